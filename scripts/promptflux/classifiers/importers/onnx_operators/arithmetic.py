"""Sums, products and what is made of constants and values."""

import numpy as np

from promptflux.classifiers.importers.onnx_nodes import Node, Operator, Tensor, Value, described
from promptflux.classifiers.importers.onnx_operators.normalization import in_order
from promptflux.classifiers.importers.steps import (
    Step,
    Unsupported,
    affine,
    concat,
    difference,
    power,
    product,
    quotient,
    total,
)
from promptflux.classifiers.kind import shape_text


def per_channel(values: Tensor, constant: np.ndarray) -> np.ndarray:
    """A constant that is laid over values: one number, or one for each channel of the step."""
    constant = np.asarray(constant, np.float64)
    if constant.size == 1:
        return constant.reshape(())
    if (
        constant.size > 1
        and (constant == constant.reshape(-1)[0]).all()
        and constant.ndim <= len(values.dims)
    ):
        return constant.reshape(-1)[0]
    sides = (1,) * (len(values.dims) - constant.ndim) + constant.shape
    channel = values.axes.find("c")
    if len(sides) != len(values.dims) or channel < 0:
        where = f"{shape_text(constant.shape)} constants and {described(values)}"
        raise Unsupported(f"it joins {where}; one constant, or one for each channel, would fit")
    if any(side != 1 for axis, side in enumerate(sides) if axis != channel):
        where = f"{shape_text(constant.shape)} constants and {described(values)}"
        raise Unsupported(f"it joins {where}; one constant, or one for each channel, would fit")
    numbers = constant.reshape(-1)
    return numbers if values.order is None else in_order(values, numbers)


def changed(values: Tensor, step: Step) -> Tensor:
    return Tensor(step, values.dims, values.axes, values.order)


def operands(node: Node) -> tuple[Tensor, Tensor | np.ndarray, bool]:
    """The two inputs: values, what they are joined with, and whether the values are the second of the two."""
    match node.inputs:
        case [Tensor() as values, Tensor() as other]:
            return values, other, False
        case [Tensor() as values, np.ndarray() as other]:
            return values, laid(node, values, other), False
        case [np.ndarray() as other, Tensor() as values]:
            return values, other, True
    raise Unsupported("it needs two inputs")


def laid(node: Node, values: Tensor, constant: np.ndarray) -> np.ndarray:
    """A constant whose first axis is the `axis` of the values, as opset 6 has it."""
    if node.opset > 6 or "axis" not in node.attributes:
        return constant
    behind = len(values.dims) - int(node.get("axis")) % len(values.dims) - constant.ndim
    return constant.reshape(constant.shape + (1,) * max(behind, 0))


def alike(*tensors: Tensor) -> None:
    """Raise Unsupported unless values can be joined value by value."""
    if strange := [tensor for tensor in tensors if not tensor.axes]:
        raise Unsupported(f"it gets {described(strange[0])}")
    first = tensors[0]
    for other in tensors[1:]:
        if first.axes != other.axes or not same_order(first.order, other.order):
            raise Unsupported(f"it joins {described(first)} and {described(other)}, whose axes differ")


def same_order(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    return first is second if first is None or second is None else np.array_equal(first, second)


def larger(first: Tensor, second: Tensor) -> Tensor:
    return (
        first
        if len(first.step.shape) >= len(second.step.shape) and np.prod(first.dims) >= np.prod(second.dims)
        else second
    )


def add(node: Node) -> list[Value]:
    values, other, _ = operands(node)
    if isinstance(other, Tensor):
        alike(values, other)
        return [changed(values, total([values.step, other.step], node.said))]
    return [changed(values, affine(values.step, 1, per_channel(values, other), node.said))]


def subtract(node: Node) -> list[Value]:
    values, other, second = operands(node)
    if isinstance(other, Tensor):
        alike(values, other)
        return [changed(values, difference(values.step, other.step, node.said))]
    sign = -1 if second else 1
    return [changed(values, affine(values.step, sign, -sign * per_channel(values, other), node.said))]


def multiply(node: Node) -> list[Value]:
    values, other, _ = operands(node)
    if isinstance(other, Tensor):
        alike(values, other)
        return [changed(larger(values, other), product(values.step, other.step, node.said))]
    return [changed(values, affine(values.step, per_channel(values, other), 0, node.said))]


def divide(node: Node) -> list[Value]:
    values, other, second = operands(node)
    if second:
        raise Unsupported("it divides a constant by values")
    if isinstance(other, Tensor):
        alike(values, other)
        return [changed(values, quotient(values.step, other.step, node.said))]
    numbers = per_channel(values, other)
    if not np.all(numbers):
        raise Unsupported("it divides by 0")
    return [changed(values, affine(values.step, 1 / numbers, 0, node.said))]


def powered(node: Node) -> list[Value]:
    values, exponent = node.tensor(), node.needed(1, "exponent")
    if exponent.size != 1:
        raise Unsupported("it has more than one exponent")
    number = float(exponent.reshape(()))
    return [changed(values, power(values.step, int(number) if number.is_integer() else number, node.said))]


def negative(node: Node) -> list[Value]:
    values = node.tensor()
    return [changed(values, affine(values.step, -1, 0, node.said))]


def summed(node: Node) -> list[Value]:
    tensors = [value for value in node.inputs if isinstance(value, Tensor)]
    constants = [value for value in node.inputs if isinstance(value, np.ndarray)]
    alike(*tensors)
    step = total([tensor.step for tensor in tensors], node.said) if len(tensors) > 1 else tensors[0].step
    for constant in constants:
        step = affine(step, 1, per_channel(tensors[0], constant), node.said)
    return [changed(tensors[0], step)]


def concatenated(node: Node) -> list[Value]:
    tensors = [node.tensor(place) for place in range(len(node.inputs))]
    if len(tensors) == 1:
        return [tensors[0]]
    alike(*tensors)
    axis = int(node.get("axis", 1)) % len(tensors[0].dims)
    if tensors[0].axes[axis] != "c" or tensors[0].order is not None:
        raise Unsupported(
            f"it sets axis {axis} of {described(tensors[0])} side by side; layers do that with channels"
        )
    step = concat([tensor.step for tensor in tensors], node.said)
    dims = list(tensors[0].dims)
    dims[axis] = step.shape[0]
    return [Tensor(step, tuple(dims), tensors[0].axes)]


ADD = Operator(("Add",), add)
SUB = Operator(("Sub",), subtract)
MUL = Operator(("Mul",), multiply)
DIV = Operator(("Div",), divide)
POW = Operator(("Pow",), powered)
NEG = Operator(("Neg",), negative)
SUM = Operator(("Sum",), summed)
CONCAT = Operator(("Concat",), concatenated)
