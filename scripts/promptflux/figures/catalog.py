"""Which figures of an image there are, as the modules of `of_image` say themselves.

Rules, report and jobs ask here. Reading it runs none of those modules: planning needs no matplotlib.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptflux.classifiers.why import HasLayers as Network
from promptflux.classifiers.why import last_convolution
from promptflux.registry import declared, module

if TYPE_CHECKING:
    from promptflux.figures.sheet import Sheet, Style
    from promptflux.figures.subject import Subject


ALWAYS, EXPLAINED, WITH_CONVOLUTION = "always", "explained", "explained, with a convolution"


@dataclass(frozen=True)
class Figure:
    """A kind of figure of an image: a module of `of_image`, with what its constants say.

    of: of which images there is one. each: the kind of layer of which every one gets a figure, "" for one figure an image. file,
    title and caption then have `{number}` in them.
    """

    module: str
    place: float
    title: str
    caption: str
    each: str
    file: str
    of: str

    def drawings(self, network: Network, layers: Sequence[str], explained: bool) -> list["Drawing"]:
        """The figures of this kind that an image seen by `network` gets, of those of `layers` that it can show."""
        if self.of != ALWAYS and not (explained and (self.of == EXPLAINED or last_convolution(network))):
            return []
        if not self.each:
            return [Drawing(self.module, self.file, self.title, self.caption, "", self.of != ALWAYS)]
        return [
            Drawing(
                self.module,
                self.file.format(number=number),
                self.title.format(number=number),
                self.caption.format(number=number),
                layer.name,
                self.of != ALWAYS,
            )
            for number, layer in enumerate(network.layers_of(self.each), start=1)
            if layer.name in layers
        ]


@dataclass(frozen=True)
class Drawing:
    """One figure of every image that a classifier sees.

    file: its name without `.png`. layer: the layer that it shows, "" if it is not of one.
    explains: whether it is there of those images alone that are explained.
    """

    module: str
    file: str
    title: str
    caption: str
    layer: str
    explains: bool

    def draw(self, subject: "Subject", style: "Style") -> "Sheet":
        """The figure of one image."""
        draw = module("promptflux.figures.of_image", self.module).draw
        return draw(subject, self.layer, style) if self.layer else draw(subject, style)


def read_catalog() -> list[Figure]:
    """The figures of an image, in the order of the report. Raises TypeError if one does not say what it must."""
    figures = []
    for name, constants in declared("promptflux.figures.of_image").items():
        wanted = ["PLACE", "TITLE", "CAPTION", *(["FILE"] if "EACH" in constants else [])]
        if missing := [constant for constant in wanted if constant not in constants]:
            raise TypeError(f"figures/of_image/{name}.py: {', '.join(missing)} is missing, as a plain value")
        figures.append(
            Figure(
                module=name,
                place=constants["PLACE"],
                title=constants["TITLE"],
                caption=constants["CAPTION"],
                each=constants.get("EACH", ""),
                file=constants.get("FILE", name),
                of=constants.get("OF", ALWAYS),
            )
        )
    return sorted(figures, key=lambda figure: (figure.place, figure.module))


FIGURES = read_catalog()


def drawings(network: Network, layers: Sequence[str], explained: bool = False) -> list[Drawing]:
    """The figures that an image seen by `network` gets, in the order of the report.

    layers: those that are asked for. explained: whether it is known why the network says what it says of the image.
    """
    return [drawing for figure in FIGURES for drawing in figure.drawings(network, layers, explained)]
