"""Why a classifier says what it says: what is asked of an image, worked out before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import Layer, Shape, shape_text
from promptflux.errors import StudyError


class HasLayers(Protocol):
    """A spec or a description."""

    def layers_of(self, kind: str) -> list[Layer]: ...


PARTS = 7  # of a side that `patch: auto` covers one of


@dataclass(frozen=True)
class Window:
    """What is covered of an image, place by place; all sizes are (height, width) in pixels.

    image: of the whole. patch: of what is covered at once. stride: from one place to the next.
    """

    image: Shape
    patch: Shape
    stride: Shape

    @property
    def starts(self) -> tuple[list[int], list[int]]:
        """The first row of each patch from the top to the bottom, and the first column from the left to the right.

        The last one is pushed back onto the image, so that every pixel is covered at least once.
        """
        rows, columns = (
            [min(step * place, side - patch) for place in range(-(-(side - patch) // step) + 1)]
            for side, patch, step in zip(self.image, self.patch, self.stride, strict=True)
        )
        return rows, columns

    @property
    def places(self) -> Shape:
        """How many places there are along the height and the width: the size of an occlusion map."""
        rows, columns = self.starts
        return len(rows), len(columns)


def window_of(
    network: Description, patch: int | str | Sequence[int], stride: int | str | Sequence[int]
) -> Window:
    """The window of `explain.patch` and `explain.stride` for the input of `network`.

    patch, stride: a number of pixels, (height, width), or "auto": a seventh of each side, and half of the patch. Raises
    StudyError if the patch is larger than the image, or if pixels would never be covered.
    """
    image = network.input.shape[1:]
    auto = tuple(max(1, round(side / PARTS)) for side in image)
    covered = auto if patch == "auto" else _pair(patch)
    step = tuple(max(1, side // 2) for side in covered) if stride == "auto" else _pair(stride)
    if any(side > whole for side, whole in zip(covered, image, strict=True)):
        raise StudyError(
            f"config.yaml: explain.patch covers {shape_text(covered)} pixels, and the images of {network.name} have {shape_text(image)}."
        )
    if any(side > most for side, most in zip(step, covered, strict=True)):
        raise StudyError(
            f"config.yaml: explain.stride is {shape_text(step)}, and a patch on the images of {network.name} covers "
            f"{shape_text(covered)} pixels: what lies between two patches would never be covered; take a smaller stride."
        )
    return Window(image, covered, step)


def _pair(value: int | str | Sequence[int]) -> Shape:
    height, width = value if isinstance(value, (list, tuple)) else (value, value)
    return int(height), int(width)


def last_convolution(network: HasLayers) -> str:
    """The convolution that Grad-CAM looks at: the last one whose maps have more than one place; "" without one.

    What comes after a mean over the maps, and what a gate of squeeze-and-excitation has inside, knows of no places.
    """
    names = [layer.name for layer in network.layers_of("conv") if max(layer.shape[1:]) > 1]
    return names[-1] if names else ""
