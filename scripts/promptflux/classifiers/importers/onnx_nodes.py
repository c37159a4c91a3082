"""The nodes of an ONNX graph and the values between them, as its operators are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

from promptflux.classifiers.importers.steps import Step, Unsupported
from promptflux.classifiers.kind import Shape, shape_text
from promptflux.errors import plain, shown


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph that depends on the image.

    step: what computes it. dims: its shape, with the batch first. axes: what each of the dims is, a letter each: "nchw", "nhwc",
    "nc"; "" if it is neither maps nor a vector. order: of a vector, the place in the step's values of each of its
    values; None if they are in order.
    """

    step: Step
    dims: Shape
    axes: str
    order: np.ndarray | None = None


Value = Tensor | np.ndarray | None
# A value that depends on a node which cannot be carried over.
UNKNOWN = Tensor(Step("unknown", (), (), ""), (), "")


@dataclass(frozen=True)
class Operator:
    """Operators of ONNX that are carried over. An instance at the top of a module of `onnx_operators` is one.

    names: theirs. read: what a node of them gives, the values of its first outputs. Raises Unsupported.
    """

    names: tuple[str, ...]
    read: Callable[[Node], list[Value]]


@dataclass
class Node:
    """A node of the graph, as operators read it."""

    proto: onnx.NodeProto
    opset: int
    inputs: list[Value]
    notes: list[str]
    attributes: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.attributes = {
            attribute.name: helper.get_attribute_value(attribute) for attribute in self.proto.attribute
        }

    @property
    def said(self) -> str:
        return name_of(self.proto)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute; text as such."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def number(self, name: str, default: float) -> float:
        """An attribute that files have in 32 bits, with no more digits than these have: 1e-05."""
        return float(str(np.float32(self.attributes.get(name, default))))

    def tensor(self, index: int = 0) -> Tensor:
        """An input that depends on the image."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(value, Tensor):
            raise Unsupported(f"its input {index + 1} does not depend on the image")
        return value

    def constant(self, index: int, what: str) -> np.ndarray | None:
        """An input that does not depend on the image; None if it is not given. what: it is, for messages."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(value, Tensor):
            raise Unsupported(f"its {what} depends on the image")
        return value

    def needed(self, index: int, what: str) -> np.ndarray:
        value = self.constant(index, what)
        if value is None:
            raise Unsupported(f"its {what} is missing")
        return value

    def integers(self, name: str, index: int | None = None) -> list[int] | None:
        """An attribute that later opsets have as the input `index`; None if neither is given."""
        if name in self.attributes:
            value = self.attributes[name]
            return list(value) if isinstance(value, (list, tuple)) else [value]
        given = self.constant(index, name) if index is not None else None
        return None if given is None else [int(number) for number in given.reshape(-1)]

    def maps(self, index: int = 0) -> Tensor:
        """An input of maps, channels before height and width, as ONNX's own layers take them."""
        value = self.tensor(index)
        if value.axes != "nchw":
            raise Unsupported(f"it takes maps [N, C, H, W], and gets {described(value)}")
        return value


def name_of(proto: onnx.NodeProto) -> str:
    """A node for messages: by its name, or that of its output."""
    name = proto.name or next(filter(None, proto.output), "")
    return f"{shown(plain(name), 100)} ({plain(proto.op_type)})"


def described(value: Tensor) -> str:
    """A value for messages: its shape, what its axes are, and the node that made something of it which is no layer's."""
    if not value.axes and value.step.why:
        return f"{shape_text(value.dims)} of {value.step.said}, which are neither maps nor a vector"
    axes = f" (axes {', '.join(value.axes.upper())})" if value.axes not in ("", "nc", "nchw") else ""
    return shape_text(value.dims) + axes


def dims_of(step: Step, axes: str, batch: int) -> Shape:
    """The shape of a step's values with these axes."""
    sizes = dict(zip("nchw", (batch, *step.shape), strict=False))
    return tuple(sizes[axis] for axis in axes)


def of(step: Step, like: Tensor, order: np.ndarray | None = None) -> Tensor:
    """A step's values with the axes of another tensor; a vector, if they are one."""
    axes = like.axes if len(step.shape) == 3 else "nc"
    return Tensor(step, dims_of(step, axes, like.dims[0]), axes, order)
