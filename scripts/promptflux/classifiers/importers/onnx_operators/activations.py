"""Functions of each value."""

from collections.abc import Callable

import numpy as np

from promptflux.classifiers.importers.onnx_nodes import Node, Operator, Tensor, Value, of
from promptflux.classifiers.importers.onnx_operators.normalization import in_order
from promptflux.classifiers.importers.onnx_operators.shapes import unknown
from promptflux.classifiers.importers.steps import (
    CLOSE,
    Step,
    Unsupported,
    affine,
    layer,
    one_pair,
    operation,
    relation,
)

ABOVE = "above"  # whether values are above a number


def each(read: Callable[[Node, Step], Step], *names: str) -> Operator:
    """An operator that is a function of each value, whatever its axes."""

    def read_node(node: Node) -> list[Value]:
        values = node.tensor()
        if values.step.kind == "reshape":  # the same of the values before
            before: Tensor = values.step.settings["before"]
            step = read(node, before.step)
            return [
                unknown(node, Tensor(step, before.dims, before.axes, before.order), "reshape", values.dims)
            ]
        return [Tensor(read(node, values.step), values.dims, values.axes, values.order)]

    return Operator(names, read_node)


def plain(kind: str) -> Callable[[Node, Step], Step]:
    return lambda node, step: layer(kind, step, node.said)


def part(kind: str, of_what: str) -> Callable[[Node, Step], Step]:
    why = f"no layer computes it; it is known as part of {of_what}"
    return lambda node, step: operation(kind, step, node.said, why)


def clip(node: Node, step: Step) -> Step:
    """relu6, relu, or values between any two others."""
    low, high = (
        node.get(name) if name in node.attributes else node.constant(place, name)
        for place, name in ((1, "min"), (2, "max"))
    )
    low = -np.inf if low is None else float(np.reshape(low, ()))
    high = np.inf if high is None else float(np.reshape(high, ()))
    return cut(node, step, low, high)


def cut(node: Node, step: Step, low: float, high: float) -> Step:
    """Values that are at least `low` and at most `high`."""
    if low < -1e30 and high > 1e30:
        return step
    if high > 1e30:
        return affine(layer("relu", affine(step, 1, -low, node.said), node.said), 1, low, node.said)
    if low < -1e30:  # min(x, high) = high - relu(high - x)
        return affine(layer("relu", affine(step, -1, high, node.said), node.said), -1, high, node.said)
    if high <= low:
        raise Unsupported(f"it cuts values to {low:g}..{high:g}")
    width = (high - low) / 6
    inner = affine(step, 1 / width, -low / width, node.said)
    return affine(layer("relu6", inner, node.said), width, low, node.said)


def bound(is_low: bool) -> Callable[[Node], list[Value]]:
    """The larger, or the smaller, of values and of one number."""

    def read(node: Node) -> list[Value]:
        tensors = [value for value in node.inputs if isinstance(value, Tensor)]
        numbers = [value for value in node.inputs if isinstance(value, np.ndarray)]
        if len(tensors) != 1 or any(number.size != 1 for number in numbers):
            raise Unsupported("it compares values with values; a layer compares them with one number")
        [values] = tensors
        ends = [float(number.reshape(())) for number in numbers]
        low, high = (max(ends, default=-np.inf), np.inf) if is_low else (-np.inf, min(ends, default=np.inf))
        return [Tensor(cut(node, values.step, low, high), values.dims, values.axes, values.order)]

    return read


def leaky_relu(node: Node, step: Step) -> Step:
    return layer("leaky_relu", step, node.said, {"slope": node.number("alpha", 0.01)})


def elu(node: Node, step: Step) -> Step:
    return layer("elu", step, node.said, {"alpha": node.number("alpha", 1.0)})


def selu(node: Node, step: Step) -> Step:
    alpha, gamma = node.number("alpha", 1.6732632), node.number("gamma", 1.050701)
    if np.allclose((alpha, gamma), (1.6732632, 1.050701), CLOSE):
        return layer("selu", step, node.said)
    return affine(layer("elu", step, node.said, {"alpha": alpha}), gamma, 0, node.said)


def celu(node: Node, step: Step) -> Step:
    alpha = node.number("alpha", 1.0)  # alpha · elu(x / alpha)
    return affine(layer("elu", affine(step, 1 / alpha, 0, node.said), node.said), alpha, 0, node.said)


def hard_sigmoid(node: Node, step: Step) -> Step:
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    settings = {} if abs(alpha - 1 / 6) < 1e-5 else {"alpha": alpha}
    return layer("hardsigmoid", step, node.said, settings | ({} if beta == 0.5 else {"beta": beta}))


def gelu(node: Node, step: Step) -> Step:
    approximate = node.get("approximate", "none")
    return layer("gelu", step, node.said, {} if approximate == "none" else {"approximate": approximate})


def swish(node: Node, step: Step) -> Step:
    alpha = node.number("alpha", 1.0)
    return affine(layer("silu", affine(step, alpha, 0, node.said), node.said), 1 / alpha, 0, node.said)


def greater(node: Node) -> list[Value]:
    """Whether values are above a number, which is known of a Softplus alone."""
    values, number = node.tensor(), node.needed(1, "number")
    if number.size != 1:
        raise Unsupported("it compares values with more than one number")
    why = "values that are compared are known in a softplus alone, which large values pass as they are"
    step = operation(ABOVE, values.step, node.said, why, number=float(number.reshape(())))
    return [Tensor(step, values.dims, values.axes, values.order)]


def where(node: Node) -> list[Value]:
    """x where β x is large, and softplus(β x) / β, which is x there but for rounding, where it is not."""
    condition, x, small = (node.tensor(place) for place in range(3))
    if condition.axes == x.axes == small.axes and _is_passed(condition.step, x.step, small.step):
        return [small]
    raise Unsupported("it chooses between values, which is known of a softplus alone")


def _is_passed(condition: Step, x: Step, small: Step) -> bool:
    """Whether `small` is softplus(β x) / β, and the condition one that x is large."""
    pair = one_pair(small)
    if condition.kind != ABOVE or pair is None or pair[0].kind != "softplus" or abs(pair[2]) > CLOSE:
        return False
    inside, compared = relation(pair[0].inputs[0], x), relation(condition.inputs[0], x)
    if inside is None or compared is None or inside[1] or compared[1] or compared[0] <= 0:
        return False
    large = condition.settings["number"] * inside[0] / compared[0]
    return abs(inside[0] * pair[1] - 1) < CLOSE and large >= 17  # softplus(17) is 17 + 4e-8


def prelu(node: Node) -> list[Value]:
    values = node.tensor()
    slope = node.needed(1, "slope")
    channels = values.step.shape[0]
    if slope.size not in (1, channels) or (slope.size > 1 and values.axes not in ("nchw", "nc")):
        raise Unsupported(f"its slope has {slope.size} values, and one or {channels} would fit")
    shared = slope.size == 1
    slope = slope.reshape(-1)
    if values.order is not None and not shared:
        slope = in_order(values, slope)
    step = layer("prelu", values.step, node.said, {"shared": shared}, weight=slope)
    return [of(step, values, values.order)]


def softmax(node: Node) -> list[Value]:
    """Over the labels: of a vector, or of maps of 1×1."""
    values = node.tensor()
    step = values.step
    axis = int(node.get("axis", -1 if node.opset >= 13 else 1)) % len(values.dims)
    flat = len(step.shape) == 1 or step.shape[1:] == (1, 1)
    before_13 = node.opset < 13 and axis == 1
    if not flat or not values.axes or (values.axes[axis] != "c" and not before_13):
        raise Unsupported("it does not run over the labels at the end of a network")
    if len(step.shape) == 3:
        step = layer("flatten", step, node.said)
    made = layer("softmax", step, node.said)
    if node.proto.op_type == "LogSoftmax":
        made = operation("log_softmax", step, node.said, "it is known at the end of a network alone")
    return [Tensor(made, values.dims, values.axes, values.order)]


RELU = each(plain("relu"), "Relu")
SIGMOID = each(plain("sigmoid"), "Sigmoid")
TANH = each(plain("tanh"), "Tanh")
HARD_SWISH = each(plain("hardswish"), "HardSwish")
MISH = each(plain("mish"), "Mish")
SWISH = each(swish, "Swish")
CLIP = each(clip, "Clip")
MAX = Operator(("Max",), bound(is_low=True))
MIN = Operator(("Min",), bound(is_low=False))
LEAKY_RELU = each(leaky_relu, "LeakyRelu")
ELU = each(elu, "Elu")
SELU = each(selu, "Selu")
CELU = each(celu, "Celu")
HARD_SIGMOID = each(hard_sigmoid, "HardSigmoid")
GELU = each(gelu, "Gelu")
PRELU = Operator(("PRelu",), prelu)
SOFTMAX = Operator(("Softmax", "LogSoftmax"), softmax)
ERF = each(part("erf", "a GELU"), "Erf")
GREATER = Operator(("Greater",), greater)
WHERE = Operator(("Where",), where)
SOFTPLUS = each(plain("softplus"), "Softplus")
ROOT = each(part("root", "a layer normalization"), "Sqrt")
