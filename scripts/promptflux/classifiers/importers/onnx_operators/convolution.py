"""Convolution, and the windows that pooling has, too."""

import numpy as np

from promptflux.classifiers.importers.onnx_nodes import Node, Operator, Tensor, Value, of
from promptflux.classifiers.importers.onnx_operators.shapes import unknown
from promptflux.classifiers.importers.steps import Step, Unsupported, layer

EDGES = "edges"  # a padding with copies of the values at the edge
LOWEST = "lowest"  # one with numbers below all others
LOW = -1e30
CHANNEL_PAD = "channel_pad"  # zeros beyond the channels of maps [N, 1, C, H, W]


def window(node: Node, values: Tensor, kernel: list[int]) -> dict:
    """The settings `stride`, `padding` and `dilation` of a sliding window over maps."""
    if len(kernel) != 2:
        raise Unsupported(f"its kernel has {len(kernel)} dimensions, and layers are of height and width")
    stride = node.get("strides") or [1, 1]
    dilation = node.get("dilations") or [1, 1]
    padding = node.get("pads") or [0, 0, 0, 0]
    how = node.get("auto_pad", "NOTSET")
    if how in ("SAME_UPPER", "SAME_LOWER"):
        padding = same(values.dims[2:], kernel, stride, dilation, more_at_the_end=how == "SAME_UPPER")
    elif how not in ("NOTSET", "VALID", ""):
        raise Unsupported(f"its auto_pad is {how!r}")
    elif how == "VALID":
        padding = [0, 0, 0, 0]
    if min(padding) < 0:
        raise Unsupported(f"its pads are {list(padding)}, which cut something off")
    return {
        "kernel": [*map(int, kernel)],
        "stride": [*map(int, stride)],
        "padding": [*map(int, padding)],
        "dilation": [*map(int, dilation)],
    }


def same(sides: tuple, kernel: list, stride: list, dilation: list, more_at_the_end: bool) -> list[int]:
    """The pads [top, left, bottom, right] of SAME_UPPER and SAME_LOWER: a place for every `stride` pixels."""
    before, after = [], []
    for side, width, step, spread in zip(sides, kernel, stride, dilation, strict=True):
        around = max((-(-side // step) - 1) * step + spread * (width - 1) + 1 - side, 0)
        less, more = around // 2, around - around // 2
        before.append(less if more_at_the_end else more)
        after.append(more if more_at_the_end else less)
    return [*before, *after]


def unpadded(step: Step) -> tuple[Step, list[int]]:
    """The step before a `Pad` of zeros, and its pads [top, left, bottom, right]."""
    if step.kind == "pad":
        return step.inputs[0], step.settings["sides"]
    return step, [0, 0, 0, 0]


def over_channels(node: Node, weight: np.ndarray, bias: np.ndarray | None) -> Tensor | None:
    """A convolution along the channels of 1×1 maps, [N, 1, C], as a product with a matrix that is a band.

    Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks", 2020.
    """
    values = node.tensor()
    before: Tensor | None = values.step.settings.get("before")
    if values.step.kind != "reshape" or before is None or not before.axes or before.order is not None:
        return None
    channels, kernel = before.step.shape[0], weight.size
    spread, pads = (node.get("dilations") or [1])[0], node.get("pads") or [0, 0]
    as_long = sum(pads) == spread * (kernel - 1) and (node.get("strides") or [1]) == [1]
    if values.dims != (before.dims[0], 1, channels) or weight.shape != (1, 1, kernel) or not as_long:
        return None
    matrix = np.zeros((channels, channels), np.float32)
    for place, number in enumerate(weight.reshape(-1)):
        matrix += number * np.eye(channels, k=spread * place - pads[0], dtype=np.float32)
    settings: dict = {"out": channels, "bias": bias is not None}
    parameters = {"weight": matrix} | ({} if bias is None else {"bias": np.broadcast_to(bias, (channels,))})
    kind = "dense"
    if len(before.step.shape) == 3:
        kind, settings["kernel"], parameters["weight"] = "conv", 1, matrix[:, :, None, None]
    node.notes.append(
        f"{node.said} goes along channels; it becomes a {kind} layer with {channels} × {channels} weights, most of them 0"
    )
    return unknown(
        node, of(layer(kind, before.step, node.said, settings, **parameters), before), "reshape", values.dims
    )


def conv(node: Node) -> list[Value]:
    weight = node.needed(1, "kernel")
    bias = node.constant(2, "bias")
    if weight.ndim == 3 and (made := over_channels(node, weight, bias)) is not None:
        return [made]
    values = node.maps()
    if weight.ndim != 4:
        raise Unsupported(f"its kernel has {weight.ndim - 2} dimensions, and layers are of height and width")
    settings = window(node, values, list(weight.shape[2:]))
    before, pads = unpadded(values.step)
    settings["padding"] = [own + more for own, more in zip(settings["padding"], pads, strict=True)]
    settings |= {"out": weight.shape[0], "groups": int(node.get("group", 1)), "bias": bias is not None}
    parameters = {"weight": weight} | ({"bias": bias} if bias is not None else {})
    return [of(layer("conv", before, node.said, settings, **parameters), values)]


def pad(node: Node) -> list[Value]:
    values = node.tensor()
    mode = node.get("mode", "constant")
    pads = node.integers("pads", 1)
    if pads is None and "paddings" in node.attributes:
        pads = list(node.attributes["paddings"])
    value = node.get("value", 0.0)
    if (given := node.constant(2, "value")) is not None and given.size:
        value = given.reshape(-1)[0]
    count = len(values.dims)
    axes = node.constant(3, "axes")
    if axes is not None and pads is not None:
        spread = np.zeros(2 * count, int)
        for place, axis in enumerate(axes):
            spread[int(axis) % count] = pads[place]
            spread[int(axis) % count + count] = pads[place + len(axes)]
        pads = spread.tolist()
    if pads is None or len(pads) != 2 * count:
        raise Unsupported("it does not say how much it pads")
    if not any(pads):
        return [values]
    if (padded := channels_nearby(node, values, mode, pads)) is not None:
        return [padded]
    if mode not in ("constant", "edge") or not values.axes or len(values.axes) != 4:
        raise Unsupported(f"it pads {mode!r}; layers pad the height and width of maps with zeros")
    ends = {axis: (int(pads[place]), int(pads[place + count])) for place, axis in enumerate(values.axes)}
    if any(ends["n"]) or (any(ends["c"]) and (mode == "edge" or values.axes != "nchw")) or min(pads) < 0:
        raise Unsupported("it pads or cuts off other than the channels, height and width of maps")
    (top, bottom), (left, right) = ends["h"], ends["w"]
    beyond = EDGES if mode == "edge" else LOWEST if value < LOW else ""
    if beyond and not any(ends["c"]):
        channels, height, width = values.step.shape
        shape = (channels, height + top + bottom, width + left + right)
        what = "pads 'edge'" if beyond == EDGES else "puts the lowest numbers around maps"
        why = f"it {what}, which is known before a maximum alone; layers pad with zeros"
        sides = [top, left, bottom, right]
        return [of(Step(beyond, (values.step,), shape, node.said, {"sides": sides}, why=why), values)]
    if value:
        raise Unsupported(f"it puts {float(value):g} around maps, and layers put zeros")
    if any(ends["c"]):
        values = of(more_channels(node, values.step, *ends["c"]), values)
    if not any((top, left, bottom, right)):
        return [values]
    before, inner = unpadded(values.step)
    sides = [own + more for own, more in zip([top, left, bottom, right], inner, strict=True)]
    return [of(layer("pad", before, node.said, {"sides": sides}), values)]


def more_channels(node: Node, step: Step, first: int, last: int) -> Step:
    """Channels of zeros before and behind the others, as shortcuts of ResNets for CIFAR have them."""
    channels = step.shape[0]
    weight = np.zeros((first + channels + last, channels, 1, 1), np.float32)
    weight[first : first + channels, :, 0, 0] = np.eye(channels)
    node.notes.append(
        f"{node.said} puts channels of zeros beside others, which a convolution with weights of 1 and 0 does"
    )
    settings = {"out": len(weight), "kernel": 1, "bias": False}
    return layer("conv", step, node.said, settings, weight=weight)


def channels_nearby(node: Node, values: Tensor, mode: str, pads: list[int]) -> Tensor | None:
    """Zeros beyond the channels of maps [N, 1, C, H, W], as PyTorch writes a local response normalization."""
    before: Tensor | None = values.step.settings.get("before")
    if values.step.kind != "reshape" or before is None or mode != "constant":
        return None
    if before.axes != "nchw" or values.dims != (before.dims[0], 1, *before.dims[1:]):
        return None
    first, last = pads[2], pads[7]
    if [*pads[:2], *pads[3:7], *pads[8:]] != [0] * 8:
        return None
    dims = (*values.dims[:2], values.dims[2] + first + last, *values.dims[3:])
    settings = {"before": before, "sides": (first, last)}
    return Tensor(
        Step(CHANNEL_PAD, (before.step,), before.step.shape, node.said, settings, why=values.step.why),
        dims,
        "",
    )


CONV = Operator(("Conv",), conv)
PAD = Operator(("Pad",), pad)
