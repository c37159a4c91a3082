"""Pooling over windows and over whole maps."""

from collections.abc import Callable

from promptflux.classifiers.importers.onnx_nodes import Node, Operator, Tensor, Value, described, of
from promptflux.classifiers.importers.onnx_operators.convolution import EDGES, unpadded, window
from promptflux.classifiers.importers.onnx_operators.shapes import reshaped
from promptflux.classifiers.importers.steps import NEVER_NEGATIVE, Unsupported, layer, operation


def nothing(settings: dict) -> bool:
    """Whether a window takes each value alone, as PyTorch writes a pooling to the size that is there already."""
    return settings["kernel"] == settings["stride"] == [1, 1] and not any(settings["padding"])


def maxpool(node: Node) -> list[Value]:
    values = node.maps()
    settings = window(node, values, node.get("kernel_shape"))
    if nothing(settings):
        return [values]
    before, pads = unpadded(values.step)
    if values.step.kind == EDGES and settings["dilation"] == [1, 1]:
        # A copy of the edge is never larger than the edge, which lies in the same window.
        [before], pads = values.step.inputs, values.step.settings["sides"]
        settings["padding"] = [own + more for own, more in zip(settings["padding"], pads, strict=True)]
    elif any(pads):
        # Zeros are as good as nothing beside values that are not below 0.
        if before.kind not in NEVER_NEGATIVE:
            raise Unsupported("it takes the largest of values and of zeros around them")
        settings["padding"] = [own + more for own, more in zip(settings["padding"], pads, strict=True)]
    settings["ceil_mode"] = bool(node.get("ceil_mode", 0))
    return [of(layer("maxpool", before, node.said, settings), values)]


def meanpool(node: Node) -> list[Value]:
    values = node.maps()
    settings = window(node, values, node.get("kernel_shape"))
    if nothing(settings):
        return [values]
    if settings.pop("dilation") != [1, 1]:
        raise Unsupported("its dilations are not 1")
    before, pads = unpadded(values.step)
    counted = bool(node.get("count_include_pad", 0))
    if any(pads):
        if any(settings["padding"]) and not counted:
            raise Unsupported("it counts some of the zeros around and others not")
        settings["padding"] = [own + more for own, more in zip(settings["padding"], pads, strict=True)]
        counted = True
    ceil = bool(node.get("ceil_mode", 0))
    if any(settings["padding"]) or ceil:
        settings["count_include_pad"] = counted
    settings["ceil_mode"] = ceil
    return [of(layer("meanpool", before, node.said, settings), values)]


def global_pool(kind: str) -> Callable[[Node], list[Value]]:
    return lambda node: [of(layer(kind, node.maps().step, node.said), node.maps())]


def reduced(kind: str) -> Callable[[Node], list[Value]]:
    """ReduceMean and ReduceMax over the height and width of maps, and the mean over channels for normalizations."""

    def read(node: Node) -> list[Value]:
        values = node.tensor()
        count = len(values.dims)
        axes = node.integers("axes", 1) or list(range(count))
        letters = {values.axes[axis % count] for axis in axes} if values.axes else set()
        keep = bool(node.get("keepdims", 1))
        if letters == {"h", "w"}:
            pooled = of(layer(kind, values.step, node.said), values)
            kept = [axis for axis in range(count) if values.axes[axis] not in "hw"]
            return [pooled if keep else reshaped(node, pooled, tuple(pooled.dims[axis] for axis in kept))]
        if letters == {"c"} and keep and kind == "globalmeanpool":
            why = "a mean over channels is known as part of a layer normalization alone"
            return [Tensor(operation("channelmean", values.step, node.said, why), values.dims, values.axes)]
        raise Unsupported(
            f"it reduces the axes {sorted(axes)} of {described(values)}; layers reduce height and width"
        )

    return read


MAX_POOL = Operator(("MaxPool",), maxpool)
MEAN_POOL = Operator(("AveragePool",), meanpool)
GLOBAL_MAX_POOL = Operator(("GlobalMaxPool",), global_pool("globalmaxpool"))
GLOBAL_MEAN_POOL = Operator(("GlobalAveragePool",), global_pool("globalmeanpool"))
REDUCE_MAX = Operator(("ReduceMax",), reduced("globalmaxpool"))
REDUCE_MEAN = Operator(("ReduceMean",), reduced("globalmeanpool"))
