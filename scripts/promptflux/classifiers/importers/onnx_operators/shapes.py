"""What changes the shape of values, or nothing about them."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx

from promptflux.classifiers.importers.onnx_nodes import (
    Node,
    Operator,
    Tensor,
    Value,
    described,
    of,
)
from promptflux.classifiers.importers.steps import JOINS, NEARBY, SPREAD, Step, Unsupported, concat, layer
from promptflux.classifiers.kind import Shape, shape_text
from promptflux.classifiers.kinds import ACTIVATIONS

MOST_RUNS = 64  # of channels that lie side by side otherwise than before: branches of a `parallel`


def reshaped(node: Node, values: Tensor, dims: Shape) -> Tensor:
    """Values with other dims, if a layer or the dims around them say what that means."""
    while values.step.kind == "reshape":
        values = values.step.settings["before"]
    if dims == values.dims:
        return values
    if values.step.kind == NEARBY and dims == (before := values.step.settings["before"]).dims:
        return Tensor(values.step, dims, before.axes)
    if values.axes == "c":
        values = Tensor(values.step, (1, *values.dims), "nc", values.order)
    batch, step = values.dims[0], values.step
    if batch == 1 and dims == step.shape[:1] and values.axes:  # the one image without its batch
        row = reshaped(node, values, (1, *dims))
        return Tensor(row.step, dims, "c", row.order)
    if prod(dims) != prod(values.dims):
        raise Unsupported(f"it makes {shape_text(dims)} of {shape_text(values.dims)}")
    if values.axes and dims[:1] == (batch,):
        if len(dims) == 2 and len(step.shape) == 3:
            return flat(node, values)
        if len(dims) == 2 and len(step.shape) == 1:  # a vector that the file has as maps of 1×1
            return Tensor(step, dims, "nc", values.order)
        if len(dims) == 4 and len(step.shape) == 3 and step.shape[1:] == (1, 1):
            return Tensor(step, dims, _axes_of_points(dims))
        if len(dims) == 4 and len(step.shape) == 1:
            return _maps_again(node, values, dims)
    if (shuffled := _shuffled(node, values, dims)) is not None:
        return shuffled
    return unknown(node, values, "reshape", dims)


def flat(node: Node, values: Tensor) -> Tensor:
    """The layer flatten; of maps with other axes than [N, C, H, W] its values are in another order."""
    step = layer("flatten", values.step, node.said)
    places = np.arange(prod(values.step.shape)).reshape(values.step.shape)
    axes = ["chw".index(axis) for axis in values.axes[1:]]
    order = places.transpose(axes).reshape(-1)
    in_order = bool((order[1:] > order[:-1]).all())
    return Tensor(step, (values.dims[0], *step.shape), "nc", None if in_order else order)


def _axes_of_points(dims: Shape) -> str:
    """The axes of maps of 1×1 with these dims."""
    return "nchw" if dims[2:] == (1, 1) else "nhwc" if dims[1:3] == (1, 1) else ""


def _maps_again(node: Node, values: Tensor, dims: Shape) -> Tensor:
    """Maps of a vector: those that it was before, or of 1×1."""
    step = values.step
    if step.kind == "flatten" and values.order is None and (values.dims[0], *step.inputs[0].shape) == dims:
        return Tensor(step.inputs[0], dims, "nchw")
    axes = _axes_of_points(dims)
    if axes and values.order is None and _was_points(step):
        return Tensor(Step("unflatten", (step,), (*step.shape, 1, 1), node.said), dims, axes)
    return unknown(node, values, "reshape", dims)


def _was_points(step: Step) -> bool:
    """Whether a vector was made of 1×1 maps, by layers that take such maps as well."""
    while step.kind != "flatten":
        if step.kind in JOINS or step.kind not in ("dense", "batchnorm", "affine", *ACTIVATIONS):
            return False
        [step] = step.inputs
    return step.inputs[0].shape[1:] == (1, 1)


def unknown(node: Node, before: Tensor, kind: str, dims: Shape, **settings: Any) -> Tensor:
    """Values that are neither maps nor a vector; what follows may know them by `before`, which they are made of."""
    why = (
        f"it gives values of {shape_text(dims)}, which are neither maps nor a vector and are known in a channel shuffle, "
        f"in a group normalization and around 1×1 maps alone"
    )
    settings |= {"before": before, "dims": dims}
    return Tensor(Step(kind, (before.step,), before.step.shape, node.said, settings, why=why), dims, "")


def _shuffled(node: Node, values: Tensor, dims: Shape) -> Tensor | None:
    """A channel shuffle: channels as groups × the rest, these two exchanged, and channels again."""
    swap = values.step
    if swap.kind != "transpose" or swap.inputs[0].kind != "reshape":
        return None
    split = swap.inputs[0]
    before: Tensor = split.settings["before"]
    parts, perm = split.settings["dims"], tuple(swap.settings["perm"])
    if before.axes != "nchw" or dims != before.dims or len(parts) < 3 or parts[1] * parts[2] != dims[1]:
        return None
    rest = tuple(range(3, len(parts)))
    if perm != (0, 2, 1, *rest) or prod(parts[3:]) != prod(dims[2:]):
        return None
    return of(layer("shuffle", before.step, node.said, {"groups": parts[1]}), before)


def reshape(node: Node) -> list[Value]:
    values = node.tensor()
    target = node.integers("shape", 1) or []
    if not node.get("allowzero", 0):
        target = [
            side or (values.dims[place] if place < len(values.dims) else 0)
            for place, side in enumerate(target)
        ]
    known = prod(side for side in target if side >= 0)
    if target.count(-1) == 1 and known > 0:
        target[target.index(-1)] = prod(values.dims) // known
    if min(target, default=0) < 1:
        raise Unsupported(f"it makes {target} of {described(values)}")
    return [reshaped(node, values, tuple(target))]


def flatten(node: Node) -> list[Value]:
    values = node.tensor()
    axis = int(node.get("axis", 1)) % (len(values.dims) + 1)
    return [reshaped(node, values, (prod(values.dims[:axis]), prod(values.dims[axis:])))]


def squeeze(node: Node) -> list[Value]:
    values = node.tensor()
    count = len(values.dims)
    axes = node.integers("axes", 1)
    if axes is None:
        axes = [axis for axis in range(1, count) if values.dims[axis] == 1]
    gone = {axis % count for axis in axes}
    return [reshaped(node, values, tuple(side for axis, side in enumerate(values.dims) if axis not in gone))]


def unsqueeze(node: Node) -> list[Value]:
    values = node.tensor()
    axes = node.integers("axes", 1) or []
    count = len(values.dims) + len(axes)
    new = {axis % count for axis in axes}
    sides = iter(values.dims)
    return [reshaped(node, values, tuple(1 if axis in new else next(sides) for axis in range(count)))]


def transpose(node: Node) -> list[Value]:
    values = node.tensor()
    count = len(values.dims)
    perm = list(node.get("perm") or range(count)[::-1])
    dims = tuple(values.dims[axis] for axis in perm)
    if perm == list(range(count)):
        return [values]
    if values.step.kind == "reshape" and perm[0] == 0 and sum(side > 1 for side in dims[1:]) <= 1:
        return [reshaped(node, values, dims)]  # of one row, in which nothing changes its place
    if values.axes and perm[0] == 0 and values.order is None:
        return [Tensor(values.step, dims, "".join(values.axes[axis] for axis in perm))]
    return [unknown(node, values, "transpose", dims, perm=perm)]


def shape(node: Node) -> list[Value]:
    return [np.array(node.tensor().dims, np.int64)[node.get("start", 0) : node.get("end", None)]]


def size(node: Node) -> list[Value]:
    return [np.array(prod(node.tensor().dims), np.int64)]


def same(node: Node) -> list[Value]:
    return [node.tensor()]


def dropout(node: Node) -> list[Value]:
    training = node.constant(2, "training_mode")
    if training is not None and training.any():
        raise Unsupported("it is exported for training; export the network for inference")
    return [node.tensor()]


def cast(node: Node) -> list[Value]:
    floats = (
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.DOUBLE,
        onnx.TensorProto.BFLOAT16,
    )
    if node.get("to", onnx.TensorProto.FLOAT) not in floats:
        raise Unsupported("it makes whole numbers of values")
    return [node.tensor()]


def cast_like(node: Node) -> list[Value]:
    return [node.inputs[0]]


def slice_(node: Node) -> list[Value]:
    values = node.tensor()
    starts, ends = node.integers("starts", 1), node.integers("ends", 2)
    axes = node.integers("axes", 3)
    steps = node.integers("steps", 4)
    if starts is None or ends is None:
        raise Unsupported("it does not say what it takes")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis % len(values.dims)
        values = picked(node, values, place, range(values.dims[place])[start:end:step])
    return [values]


def picked(node: Node, values: Tensor, place: int, numbers: Sequence[int]) -> Tensor:
    """The values with these numbers along the axis `place`: channels in any order, or every n-th row or column."""
    count = values.dims[place]
    if list(numbers) == list(range(count)):
        return values
    axis = values.axes[place : place + 1]
    if axis in ("h", "w") and len(numbers) > 1:
        every = numbers[1] - numbers[0]
        if every > 1 and list(numbers) == list(range(0, count, every)):
            return thinned(node, values, (every, 1) if axis == "h" else (1, every))
    if axis != "c" or values.order is not None or not len(numbers):
        raise Unsupported(
            f"it takes {_numbers_said(numbers)} of axis {place} of {described(values)}; layers take channels, or every "
            f"n-th row and column"
        )
    starts = [0, *(place for place in range(1, len(numbers)) if numbers[place] != numbers[place - 1] + 1)]
    if len(starts) > MOST_RUNS:
        raise Unsupported(f"it takes channels in {len(starts)} runs; at most {MOST_RUNS} are taken")
    parts = [
        layer(
            "channels",
            values.step,
            node.said,
            {"from": int(numbers[first]), "to": int(numbers[last - 1]) + 1},
        )
        for first, last in zip(starts, [*starts[1:], len(numbers)], strict=True)
    ]
    return of(parts[0] if len(parts) == 1 else concat(parts, node.said), values)


def _numbers_said(numbers: Sequence[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) else "nothing"


def thinned(node: Node, values: Tensor, every: tuple[int, int]) -> Tensor:
    """Every n-th row and column: the maximum of windows of one pixel."""
    step = values.step
    if step.kind == "maxpool" and step.settings.get("kernel") == 1:  # of the rows, and now of the columns
        every = (step.settings["stride"][0] * every[0], step.settings["stride"][1] * every[1])
        [step] = step.inputs
    return of(layer("maxpool", step, node.said, {"kernel": 1, "stride": list(every)}), values)


def gather(node: Node) -> list[Value]:
    """Some of the channels, in any order; or all values with other dims, as PyTorch writes `as_strided`."""
    values, places = node.tensor(), node.needed(1, "indices")
    axis = int(node.get("axis", 0)) % len(values.dims)
    count = values.dims[axis]
    numbers = np.where(places < 0, places + count, places).reshape(-1).tolist()
    if len(values.dims) == 1 and numbers == list(range(count)):
        return [reshaped(node, values, places.shape)]
    if places.ndim > 1:
        raise Unsupported(
            f"it picks values of axis {axis} of {described(values)} in {places.ndim} dimensions; layers take channels"
        )
    found = picked(node, values, axis, numbers)
    if places.ndim == 0:  # of one channel, without its axis
        return [reshaped(node, found, (*found.dims[:axis], *found.dims[axis + 1 :]))]
    return [found]


def expand(node: Node) -> list[Value]:
    """One number for each map as large as the maps that it is the gate of; or one channel several times."""
    values = node.tensor()
    return [spread(node, values, np.broadcast_shapes(values.dims, tuple(node.integers("shape", 1) or [])))]


def tile(node: Node) -> list[Value]:
    values, times = node.tensor(), node.integers("repeats", 1) or []
    return [spread(node, values, tuple(side * count for side, count in zip(values.dims, times, strict=True)))]


def spread(node: Node, values: Tensor, dims: Shape) -> Tensor:
    """Values that are repeated to have other dims."""
    if dims == values.dims:
        return values
    channel, step = values.axes.find("c"), values.step
    if len(dims) == 4 and sorted(values.axes) == sorted("nchw"):
        times = dims[channel] // values.dims[channel]
        sides = [dims[values.axes.index(axis)] for axis in "hw"]
        if dims[values.axes.index("n")] == values.dims[values.axes.index("n")]:
            if sides == list(step.shape[1:]) and times <= MOST_RUNS:
                return of(concat([step] * times, node.said), values)
            if step.shape[1:] == (1, 1) and times == 1:
                why = "it lays one number over each map, which is known of what multiplies these maps alone"
                return Tensor(
                    Step(SPREAD, (step,), (step.shape[0], *sides), node.said, why=why), dims, values.axes
                )
    raise Unsupported(
        f"it makes {shape_text(dims)} of {described(values)}; layers repeat channels, and the gates of maps"
    )


def split(node: Node) -> list[Value]:
    values = node.tensor()
    place = int(node.get("axis", 0)) % len(values.dims)
    sizes = node.integers("split", 1)
    outputs = len(node.proto.output)
    if sizes is None:
        each = -(-values.dims[place] // outputs)
        sizes = [min(each, values.dims[place] - each * number) for number in range(outputs)]
    ends = np.cumsum(sizes).tolist()
    return [
        picked(node, values, place, range(end - side, end)) for end, side in zip(ends, sizes, strict=True)
    ]


RESHAPE = Operator(("Reshape",), reshape)
FLATTEN = Operator(("Flatten",), flatten)
SQUEEZE = Operator(("Squeeze",), squeeze)
UNSQUEEZE = Operator(("Unsqueeze",), unsqueeze)
TRANSPOSE = Operator(("Transpose",), transpose)
SHAPE = Operator(("Shape",), shape)
SIZE = Operator(("Size",), size)
IDENTITY = Operator(("Identity",), same)
DROPOUT = Operator(("Dropout",), dropout)
CAST = Operator(("Cast",), cast)
CAST_LIKE = Operator(("CastLike",), cast_like)
SLICE = Operator(("Slice",), slice_)
GATHER = Operator(("Gather",), gather)
SPLIT = Operator(("Split",), split)
EXPAND = Operator(("Expand",), expand)
TILE = Operator(("Tile",), tile)
