"""Which figures of an image there are, as the modules of `of_image` say themselves.

Rules, report and jobs ask here. Reading it runs none of those modules: planning needs no matplotlib.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from promptflux.classifiers.kind import Layer
from promptflux.registry import declared, module

if TYPE_CHECKING:
    from promptflux.figures.sheet import Sheet, Style
    from promptflux.figures.subject import Subject


class Network(Protocol):
    """What has layers: a spec or a description."""

    def layers_of(self, kind: str) -> list[Layer]: ...


@dataclass(frozen=True)
class Figure:
    """A kind of figure of an image: a module of `of_image`, with what its constants say.

    each: the kind of layer of which every one gets a figure, "" for one figure an image. file,
    title and caption then have `{number}` in them.
    """

    module: str
    place: float
    title: str
    caption: str
    each: str
    file: str

    def of(self, network: Network, layers: Sequence[str]) -> list["Drawing"]:
        """The figures of this kind that every image seen by `network` gets, of those of `layers` that it can show."""
        if not self.each:
            return [Drawing(self.module, self.file, self.title, self.caption, "")]
        return [
            Drawing(
                self.module,
                self.file.format(number=number),
                self.title.format(number=number),
                self.caption.format(number=number),
                layer.name,
            )
            for number, layer in enumerate(network.layers_of(self.each), start=1)
            if layer.name in layers
        ]


@dataclass(frozen=True)
class Drawing:
    """One figure of every image that a classifier sees.

    file: its name without `.png`. layer: the layer that it shows, "" if it is not of one.
    """

    module: str
    file: str
    title: str
    caption: str
    layer: str

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
            )
        )
    return sorted(figures, key=lambda figure: (figure.place, figure.module))


FIGURES = read_catalog()


def drawings(network: Network, layers: Sequence[str]) -> list[Drawing]:
    """The figures that every image seen by `network` gets, in the order of the report; layers: those that are asked for."""
    return [drawing for figure in FIGURES for drawing in figure.of(network, layers)]
