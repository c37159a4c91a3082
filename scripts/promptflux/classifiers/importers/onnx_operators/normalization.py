"""Normalization."""

from math import prod

import numpy as np

from promptflux.classifiers.importers.onnx_nodes import Node, Operator, Tensor, Value, described, of
from promptflux.classifiers.importers.steps import Step, Unsupported, layer


def batchnorm(node: Node) -> list[Value]:
    values = node.tensor()
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise Unsupported("it is exported for training; export the network for inference")
    if values.axes not in ("nchw", "nc"):
        raise Unsupported(f"it takes maps or a vector, and gets {described(values)}")
    names = ("weight", "bias", "running_mean", "running_var")
    parameters = {name: node.needed(place, name) for place, name in enumerate(names, start=1)}
    if values.order is not None:
        parameters = {name: in_order(values, array) for name, array in parameters.items()}
    step = layer("batchnorm", values.step, node.said, {"eps": node.number("epsilon", 1e-5)}, **parameters)
    return [of(step, values, values.order)]


def in_order(values: Tensor, array: np.ndarray) -> np.ndarray:
    """Numbers for the values of a vector, in the order of the step that gives it."""
    ordered = np.empty_like(array)
    ordered[values.order] = array
    return ordered


def layer_normalization(node: Node) -> list[Value]:
    """Over the channels of each place, which stand last, or over all values of an image."""
    values = node.tensor()
    axis = int(node.get("axis", -1)) % len(values.dims)
    over = {"c": "channels", "chw": "all"}.get(values.axes[axis:])
    if over is None or values.order is not None:
        raise Unsupported(
            f"it normalizes {described(values)} from axis {axis} on; a layer normalizes all values, or the channels of each "
            f"place"
        )
    shape = values.step.shape if over == "all" else values.step.shape[:1]
    weight, bias = node.needed(1, "weight"), node.constant(2, "bias")
    bias = np.zeros(shape, np.float32) if bias is None else bias
    settings = {"over": over, "eps": node.number("epsilon", 1e-5)}
    weights = {"weight": np.broadcast_to(weight, shape), "bias": np.broadcast_to(bias, shape)}
    return [of(layer("layernorm", values.step, node.said, settings, **weights), values)]


def groupnorm(values: Step, groups: int, eps: float, said: str, weight: np.ndarray, bias: np.ndarray) -> Step:
    return layer("groupnorm", values, said, {"groups": groups, "eps": eps}, weight=weight, bias=bias)


def group_normalization(node: Node) -> list[Value]:
    values = node.maps()
    groups = int(node.get("num_groups", 0))
    weight, bias = node.needed(1, "weight"), node.needed(2, "bias")
    if weight.size == groups != values.step.shape[0]:  # before opset 21: one for each group
        weight, bias = (np.repeat(array, values.step.shape[0] // groups) for array in (weight, bias))
    return [of(groupnorm(values.step, groups, node.number("epsilon", 1e-5), node.said, weight, bias), values)]


def instance_normalization(node: Node) -> list[Value]:
    """Of maps; or of groups of channels as one row of values each, as PyTorch writes a group normalization."""
    values = node.tensor()
    weight, bias = node.needed(1, "weight"), node.needed(2, "bias")
    eps = node.number("epsilon", 1e-5)
    if values.axes == "nchw":
        return [of(groupnorm(values.step, values.step.shape[0], eps, node.said, weight, bias), values)]
    before = values.step.settings.get("before")
    if before is None or before.axes != "nchw" or values.dims[0] != before.dims[0]:
        raise Unsupported(f"it takes maps, and gets {described(values)}")
    groups = values.dims[1]
    if prod(values.dims[2:]) * groups != prod(before.dims[1:]) or before.dims[1] % groups:
        raise Unsupported(f"it normalizes groups of other than channels, {described(values)}")
    each = before.dims[1] // groups
    step = groupnorm(before.step, groups, eps, node.said, np.repeat(weight, each), np.repeat(bias, each))
    return [
        Tensor(
            Step(
                "reshape",
                (step,),
                step.shape,
                node.said,
                {"before": of(step, before), "dims": values.dims},
                why=values.step.why,
            ),
            values.dims,
            "",
        )
    ]


def lrn(node: Node) -> list[Value]:
    values = node.maps()
    size = int(node.get("size"))
    if size % 2 == 0:
        raise Unsupported(f"its size is {size}; of an odd one the channels before and behind are as many")
    settings = {
        "size": size,
        "alpha": node.number("alpha", 1e-4),
        "beta": node.number("beta", 0.75),
        "k": node.number("bias", 1.0),
    }
    return [of(layer("lrn", values.step, node.said, settings), values)]


BATCH_NORMALIZATION = Operator(("BatchNormalization",), batchnorm)
LAYER_NORMALIZATION = Operator(("LayerNormalization",), layer_normalization)
GROUP_NORMALIZATION = Operator(("GroupNormalization",), group_normalization)
INSTANCE_NORMALIZATION = Operator(("InstanceNormalization",), instance_normalization)
LRN = Operator(("LRN",), lrn)
