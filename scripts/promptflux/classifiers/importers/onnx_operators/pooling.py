"""Pooling over windows and over whole maps."""

from collections.abc import Callable
from math import prod

from promptflux.classifiers.importers.onnx_nodes import Node, Operator, Tensor, Value, described, of
from promptflux.classifiers.importers.onnx_operators.convolution import (
    CHANNEL_PAD,
    EDGES,
    LOWEST,
    unpadded,
    window,
)
from promptflux.classifiers.importers.onnx_operators.shapes import reshaped
from promptflux.classifiers.importers.steps import (
    NEARBY,
    NEVER_NEGATIVE,
    Unsupported,
    affine,
    layer,
    operation,
)

HALF = "half"  # what has reduced height or width, and is to reduce the other


def nothing(settings: dict) -> bool:
    """Whether a window takes each value alone, as PyTorch writes a pooling to the size that is there already."""
    return settings["kernel"] == settings["stride"] == [1, 1] and not any(settings["padding"])


def maxpool(node: Node) -> list[Value]:
    values = node.maps()
    settings = window(node, values, node.get("kernel_shape"))
    if nothing(settings):
        return [values]
    settings["ceil_mode"] = bool(node.get("ceil_mode", 0))
    before, pads = unpadded(values.step)
    if values.step.kind == LOWEST or (values.step.kind == EDGES and settings["dilation"] == [1, 1]):
        # A copy of the edge is never larger than the edge, which lies in the same window.
        [before], pads = values.step.inputs, values.step.settings["sides"]
    elif before.kind not in NEVER_NEGATIVE or settings["ceil_mode"]:
        before, pads = values.step, [0, 0, 0, 0]
    # Else zeros are as good as nothing beside values that are not below 0.
    settings["padding"] = [own + more for own, more in zip(settings["padding"], pads, strict=True)]
    return [of(layer("maxpool", before, node.said, settings), values)]


def meanpool(node: Node) -> list[Value]:
    if (nearby := mean_nearby(node)) is not None:
        return [nearby]
    values = node.maps()
    settings = window(node, values, node.get("kernel_shape"))
    if nothing(settings):
        return [values]
    if settings.pop("dilation") != [1, 1]:
        raise Unsupported("its dilations are not 1")
    before, pads = unpadded(values.step)
    counted, ceil = bool(node.get("count_include_pad", 0)), bool(node.get("ceil_mode", 0))
    if any(pads) and not ceil and (counted or not any(settings["padding"])):
        settings["padding"] = [own + more for own, more in zip(settings["padding"], pads, strict=True)]
        counted = True
    else:
        before = values.step
    if any(settings["padding"]) or ceil:
        settings["count_include_pad"] = counted
    settings["ceil_mode"] = ceil
    return [of(layer("meanpool", before, node.said, settings), values)]


def global_pool(kind: str) -> Callable[[Node], list[Value]]:
    return lambda node: [of(layer(kind, node.maps().step, node.said), node.maps())]


def mean_nearby(node: Node) -> Tensor | None:
    """The mean over channels nearby, [N, 1, C, H, W], as PyTorch writes a local response normalization."""
    values = node.tensor()
    if values.step.kind != CHANNEL_PAD:
        return None
    before: Tensor = values.step.settings["before"]
    first, last = values.step.settings["sides"]
    size = first + last + 1
    whole = node.get("kernel_shape") == [size, 1, 1] and not any(node.get("pads") or [0])
    if first != last:
        raise Unsupported(f"its size is {size}; of an odd one the channels before and behind are as many")
    if not whole or set(node.get("strides") or [1]) != {1}:
        raise Unsupported("it is no mean over the channels nearby")
    why = "a mean over channels nearby is known as part of a local response normalization alone"
    step = operation(NEARBY, before.step, node.said, why, size=size, before=before)
    return Tensor(step, (before.dims[0], 1, *before.dims[1:]), "")


def reduced(kind: str, times_size: bool = False) -> Callable[[Node], list[Value]]:
    """What reduces the height and width of maps, and the mean over channels for normalizations.

    times_size: the mean, times the number of pixels, which is the sum.
    """

    def read(node: Node) -> list[Value]:
        values = node.tensor()
        count = len(values.dims)
        axes = sorted({axis % count for axis in node.integers("axes", 1) or range(count)})
        keep = bool(node.get("keepdims", 1))
        left = tuple(
            side if axis not in axes else 1
            for axis, side in enumerate(values.dims)
            if keep or axis not in axes
        )
        letters = {values.axes[axis] for axis in axes} if values.axes else set()
        if (maps := reduced_whole(values, (kind, times_size), axes)) is not None:
            step = layer(kind, maps.step, node.said)
            if times_size:
                step = affine(step, prod(maps.step.shape[1:]), 0, node.said)
            pooled = of(step, maps)
            return [pooled if pooled.dims == left else reshaped(node, pooled, left)]
        if letters in ({"h"}, {"w"}):
            why = "what reduces height or width is known together with what reduces the other alone"
            named = "".join(axis for place, axis in enumerate(values.axes) if keep or place not in axes)
            settings = {"how": (kind, times_size), "before": values, "axes": named, "done": letters.pop()}
            return [Tensor(operation(HALF, values.step, node.said, why, **settings), left, "")]
        if letters == {"c"} and keep and kind == "globalmeanpool" and not times_size:
            why = "a mean over channels is known as part of a layer normalization alone"
            return [Tensor(operation("channelmean", values.step, node.said, why), values.dims, values.axes)]
        raise Unsupported(
            f"it reduces the axes {axes} of {described(values)}; layers reduce height and width"
        )

    return read


def reduced_whole(values: Tensor, how: tuple[str, bool], axes: list[int]) -> Tensor | None:
    """The maps of which these axes are all that is left of height and width; None if they are not."""
    if values.axes:
        return values if {values.axes[axis] for axis in axes} == {"h", "w"} else None
    before: Tensor | None = values.step.settings.get("before")
    if before is None or len(axes) != 1:
        return None
    if values.step.kind == HALF:  # x.mean(3).mean(2)
        done, named = values.step.settings["done"], values.step.settings["axes"]
        return before if values.step.settings["how"] == how and {done, named[axes[0]]} == {"h", "w"} else None
    # x.flatten(2).mean(2)
    n, c, pixels = before.dims[0], before.step.shape[0], prod(before.step.shape[1:])
    flat = {"nchw": ((n, c, pixels), 2), "nhwc": ((n, pixels, c), 1)}.get(before.axes)
    return before if values.step.kind == "reshape" and flat == (values.dims, axes[0]) else None


MAX_POOL = Operator(("MaxPool",), maxpool)
MEAN_POOL = Operator(("AveragePool",), meanpool)
GLOBAL_MAX_POOL = Operator(("GlobalMaxPool",), global_pool("globalmaxpool"))
GLOBAL_MEAN_POOL = Operator(("GlobalAveragePool",), global_pool("globalmeanpool"))
REDUCE_MAX = Operator(("ReduceMax",), reduced("globalmaxpool"))
REDUCE_MEAN = Operator(("ReduceMean",), reduced("globalmeanpool"))
REDUCE_SUM = Operator(("ReduceSum",), reduced("globalmeanpool", times_size=True))
