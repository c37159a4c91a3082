"""What is known of a kind of layer, whatever kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from promptflux.errors import StudyError

if TYPE_CHECKING:
    from torch import Tensor, nn

Shape = tuple[int, ...]

# Schemas (JSON Schema 2020-12) of settings that several kinds have.
WHOLE = {"type": "integer", "minimum": 1, "maximum": 65536}
PAIR = {
    "description": "a whole number of at least 1, or a pair [height, width] of these",
    "anyOf": [WHOLE, {"type": "array", "minItems": 2, "maxItems": 2, "items": WHOLE}],
}
WHOLE_OR_0 = {"type": "integer", "minimum": 0, "maximum": 65536}
SIDES = {
    "description": "a whole number of at least 0, a pair [height, width] or four [top, left, bottom, right] of these",
    "anyOf": [
        WHOLE_OR_0,
        {"type": "array", "minItems": 2, "maxItems": 2, "items": WHOLE_OR_0},
        {"type": "array", "minItems": 4, "maxItems": 4, "items": WHOLE_OR_0},
    ],
}
SAME = "same"
PADDING = {"description": f"{SIDES['description']}, or {SAME}", "anyOf": [*SIDES["anyOf"], {"const": SAME}]}
TRUTH = {"description": "true or false", "type": "boolean"}
NUMBER = {"description": "a number", "type": "number"}
EPS = {"description": "a number above 0", "type": "number", "exclusiveMinimum": 0}
OUTPUTS = {"description": "a whole number from 1 to 65536", **WHOLE}


@dataclass(frozen=True)
class Layer:
    """A layer of a network, resolved.

    name: its kind and its running number among that kind, such as `conv1`; inside of a block
    after the block's name, such as `residual3.conv2`. settings: all of them, defaults filled in,
    sizes as (height, width). in_shape, shape: of what it takes and gives for one image, (C, H, W)
    or (K,). parameters: the names and shapes of its parameters, as PyTorch has them and in its
    order. branches: of a block, the layers of each branch; an empty one hands on what it takes.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    in_shape: Shape
    shape: Shape
    parameters: Mapping[str, Shape]
    branches: tuple[tuple[Layer, ...], ...] = ()

    @property
    def own_name(self) -> str:
        """Its name inside of the block that it is in."""
        return self.name.rpartition(".")[2]

    def walk(self) -> Iterator[Layer]:
        """The layers of its branches, in the order in which they are computed, and then itself."""
        for branch in self.branches:
            for layer in branch:
                yield from layer.walk()
        yield self

    @property
    def activation(self) -> str:
        """The activation that follows the layer, "identity" if none does."""
        return self.settings.get("activation", "identity")

    @property
    def activation_settings(self) -> dict[str, Any]:
        """The settings of that activation which are not its defaults: `activation_slope` of the layer is its `slope`."""
        return {
            key.removeprefix("activation_"): value
            for key, value in self.settings.items()
            if key.startswith("activation_")
        }


class Kind(ABC):
    """A kind of layer. An instance of a subclass, at the top of a module of `layers`, is one.

    name: as the spec says it. schema: setting -> JSON Schema; a setting without a default is
    required. defaults: setting -> value. unsaid: settings that a description has only where they are not
    the default, as descriptions were written before they came, and their digests are on record. shorthand: the setting that a bare value is, as in
    `maxpool: 2`. alone: a setting that
    stands in place of all others. written: an example for messages. suspect: what to look at first where a
    layer of this kind is the first in which two engines differ. activates: whether an
    activation may follow inside of the layer.
    """

    name: str
    schema: ClassVar[Mapping[str, Mapping]] = {}
    defaults: ClassVar[Mapping[str, Any]] = {}
    unsaid: ClassVar[tuple[str, ...]] = ()
    shorthand: ClassVar[str | None] = None
    alone: ClassVar[str | None] = None
    written: ClassVar[str] = ""
    suspect: str = "is it the same function?"
    activates: ClassVar[bool] = False

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All settings of a layer for which the spec has `given`, sizes as (height, width)."""
        settings = {**self.defaults, **given}
        for key, schema in self.schema.items():
            value = settings.get(key)
            if value is None:
                continue
            if schema is PAIR:
                settings[key] = tuple(map(int, value if isinstance(value, (list, tuple)) else (value, value)))
            elif schema is SIDES or (schema is PADDING and value != SAME):
                settings[key] = sides(value)
            elif schema.get("type") == "integer":
                settings[key] = int(value)
            elif schema.get("type") == "number":
                settings[key] = float(value)
        for key in self.unsaid:
            if settings[key] == self.defaults[key]:
                del settings[key]
        return settings

    def resolved(self, settings: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
        """The settings of a layer that takes `shape`, with numbers for what follows from it; StudyError as in `shape`."""
        return dict(settings)

    def numbered(self, number: int) -> str:
        """The name of the layer of this kind with this running number: `conv1`, `relu6_1`."""
        return f"{self.name}{'_' if self.name[-1].isdigit() else ''}{number}"

    def shape(self, settings: Mapping[str, Any], shape: Shape) -> Shape:
        """What the layer makes of `shape`; raises StudyError with half a sentence if it does not fit."""
        return shape

    def parameters(self, settings: Mapping[str, Any], shape: Shape) -> dict[str, Shape]:
        """The names and shapes of the parameters of a layer that takes `shape`."""
        return {}

    def initial(self, parameter: str) -> float | None:
        """The value that a parameter starts with; None for numbers drawn at random."""
        return None

    @abstractmethod
    def module(self, layer: Layer) -> nn.Module:
        """The layer in PyTorch, without its activation."""

    def onnx(self, graph: Any, layer: Layer, values: str) -> str:
        """Add the layer, without its activation, to an ONNX graph of opset 17.

        graph: an `OnnxGraph` of promptflux.classifiers.onnx_export, which only an export imports. values: the name of
        what it takes. Gives the name of what it makes of that; raises StudyError with half a sentence if ONNX has no
        operators for it.
        """
        raise StudyError(f"the kind {self.name} does not say how")


LAYERS = {"description": "a list of 1 to 1000 layers", "$ref": "#/$defs/layers"}
BRANCH = {"description": "a list of at most 1000 layers, [] for none", "$ref": "#/$defs/branch"}
MOST_DEEP = 7  # blocks inside of each other


class Block(Kind):
    """A kind of layer that is made of others: each of its branches takes what the block takes, and it joins what they give.

    parts: the settings that hold layers.
    """

    parts: ClassVar[tuple[str, ...]]
    activates = True

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        settings = super().settings(given)
        return {key: value for key, value in settings.items() if key not in self.parts}

    def entries(self, given: Mapping[str, Any]) -> list[tuple[str, list]]:
        """Of each branch: where it stands below the block in the spec, such as `body`, and its layers."""
        return [(part, given.get(part, [])) for part in self.parts]

    @abstractmethod
    def joined_shape(self, settings: Mapping[str, Any], shape: Shape, ends: Sequence[Shape]) -> Shape:
        """What the block gives that takes `shape` and whose branches give `ends`; StudyError as in `shape`."""

    @abstractmethod
    def join(self, settings: Mapping[str, Any], values: Tensor, ends: Sequence[Tensor]) -> Tensor:
        """What the block makes of the values that it took, [N, C, H, W], and of what its branches gave."""

    @abstractmethod
    def onnx_join(self, graph: Any, layer: Layer, values: str, ends: Sequence[str]) -> str:
        """As `join`, added to an ONNX graph, of the names of the values."""

    def module(self, layer: Layer) -> nn.Module:
        from torch import nn

        return nn.Module()  # the network puts the layers of the branches in


def shape_text(shape: Shape) -> str:
    """A shape as people write it: 16×3×3."""
    return "×".join(map(str, shape))


def want_maps(kind: str, shape: Shape) -> None:
    """Raise StudyError unless `shape` is that of maps."""
    if len(shape) != 3:
        raise StudyError(f"{kind} takes maps of channels × height × width, so put it before `- flatten`")


def want_vector(kind: str, shape: Shape) -> None:
    """Raise StudyError unless `shape` is that of a vector."""
    if len(shape) != 1:
        raise StudyError(f"{kind} takes a vector, so put `- flatten` before it")


def sides(value: int | Sequence[int]) -> Shape:
    """What is put on the sides: (height, width) where both ends have the same, else (top, left, bottom, right)."""
    numbers = tuple(map(int, value)) if isinstance(value, Sequence) else (int(value),) * 2
    return numbers[:2] if numbers[2:] == numbers[:2] else numbers


def all_sides(padding: Shape) -> Shape:
    """A padding as (top, left, bottom, right)."""
    return padding if len(padding) == 4 else padding * 2


def reach(settings: Mapping[str, Any]) -> Shape:
    """How many pixels a sliding window covers from its first to its last, (height, width)."""
    dilation = settings.get("dilation", (1, 1))
    return tuple(spread * (side - 1) + 1 for spread, side in zip(dilation, settings["kernel"], strict=True))


def window_padding(settings: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """`settings` with numbers for the padding `same` of a layer that takes maps of `shape`, (C, H, W).

    TensorFlow's: so much that there is a place for every `stride` pixels; of an odd number the bottom and the right
    side get one more (tensorflow.org/api_docs/python/tf/nn, "Notes on padding"; ONNX's SAME_UPPER).
    """
    if settings["padding"] != SAME:
        return dict(settings)
    around = [
        max((-(-side // step) - 1) * step + needed - side, 0)
        for side, step, needed in zip(shape[1:], settings["stride"], reach(settings), strict=True)
    ]
    before = [total // 2 for total in around]
    after = [total - less for total, less in zip(around, before, strict=True)]
    return {**settings, "padding": sides((*before, *after))}


def window_places(settings: Mapping[str, Any], shape: Shape) -> Shape:
    """How many places a sliding window has along the height and width of maps of `shape`, (C, H, W).

    settings: `kernel`, `stride`, `padding` and, if it has them, `dilation` and `ceil_mode`. The formula of
    torch.nn.Conv2d and MaxPool2d.
    """
    top, left, bottom, right = all_sides(settings["padding"])
    covered, room = reach(settings), (shape[1] + top + bottom, shape[2] + left + right)
    if any(side < needed for side, needed in zip(room, covered, strict=True)):
        raise StudyError(
            f"its kernel covers {shape_text(covered)} pixels, which is more than the {shape_text(room)} "
            f"that there are with the padding"
        )
    places = []
    for side, needed, step, inside in zip(
        room, covered, settings["stride"], (top + shape[1], left + shape[2]), strict=True
    ):
        place = (side - needed) // step + 1
        # A last window that is not whole, if it begins on the image or on the padding before it.
        if settings.get("ceil_mode") and (side - needed) % step and place * step < inside:
            place += 1
        places.append(place)
    return tuple(places)
