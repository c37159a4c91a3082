"""Pooling: the largest or the mean value of each window."""

from math import inf, prod
from typing import ClassVar

from promptflux.classifiers.kind import (
    PADDING,
    PAIR,
    SAME,
    TRUTH,
    Kind,
    all_sides,
    reach,
    shape_text,
    sides,
    want_maps,
    window_padding,
    window_places,
)
from promptflux.errors import StudyError


class Pool(Kind):
    """A window of `kernel` pixels that slides over each map, or as many windows as the maps that it gives have pixels.

    A stride that is not given is the kernel. `ceil_mode`: a last window need not be whole. With `size` alone it is
    PyTorch's adaptive pooling: the maps become that large, by windows that meet or overlap by a pixel.
    """

    shorthand = "kernel"
    alone = "size"
    schema = {"kernel": PAIR, "stride": PAIR, "padding": PADDING, "ceil_mode": TRUTH, "size": PAIR}
    defaults = {"stride": None, "padding": 0, "ceil_mode": False}
    unsaid: ClassVar[tuple[str, ...]] = ("ceil_mode",)

    def settings(self, given):
        if "size" in given:
            return {"size": sides(given["size"])}
        return super().settings({"stride": given["kernel"], **given})

    def resolved(self, settings, shape):
        want_maps(self.name, shape)
        if "size" in settings:
            steps = [side // out for side, out in zip(shape[1:], settings["size"], strict=True)]
            if tuple(map(prod, zip(steps, settings["size"], strict=True))) != shape[1:]:
                return dict(settings)
            return {"kernel": tuple(steps), "stride": tuple(steps), "padding": (0, 0)}
        settings = window_padding(settings, shape)
        padding, covered = settings["padding"], reach(settings)
        if any(around >= side for around, side in zip(all_sides(padding), covered * 2, strict=True)):
            raise StudyError(
                f"its padding {shape_text(padding)} is not smaller than its kernel {shape_text(covered)}"
            )
        if settings.get("ceil_mode") and not any(beyond(settings, shape)):
            del settings["ceil_mode"]
        return settings

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        return (shape[0], *(settings["size"] if "size" in settings else window_places(settings, shape)))


def within_half(padding, kernel):
    """Whether PyTorch's and cuDNN's own pooling takes this padding: the same on both sides, at most half of the kernel."""
    return len(padding) == 2 and all(2 * around <= side for around, side in zip(padding, kernel, strict=True))


def beyond(settings, shape):
    """How many pixels the last windows reach beyond the padding, at the bottom and at the right."""
    top, left, bottom, right = all_sides(settings["padding"])
    return tuple(
        max((places - 1) * step + covered - side, 0)
        for places, step, covered, side in zip(
            window_places(settings, shape),
            settings["stride"],
            reach(settings),
            (top + shape[1] + bottom, left + shape[2] + right),
            strict=True,
        )
    )


def misses(settings, shape):
    """Whether a dilated window has none of the pixels of maps of `shape`, which lie between its own."""
    return any(
        not any(0 <= place * step + spread * i - before < side for i in range(kernel))
        for kernel, step, spread, before, side, places in zip(
            settings["kernel"],
            settings["stride"],
            settings.get("dilation", (1, 1)),
            all_sides(settings["padding"]),
            shape[1:],
            window_places(settings, shape),
            strict=False,
        )
        for place in range(places)
    )


class MaxPool(Pool):
    """The largest value of each window; what lies around the map is smaller than anything. `dilation`: between its pixels."""

    name = "maxpool"
    schema = Pool.schema | {"dilation": PAIR}
    defaults = Pool.defaults | {"dilation": (1, 1)}
    unsaid = (*Pool.unsaid, "dilation")
    suspect = (
        "are its kernel, stride, padding and dilation the same, and is the padding smaller than anything?"
    )

    def resolved(self, settings, shape):
        settings = super().resolved(settings, shape)
        if settings.pop("ceil_mode", False):
            # For a maximum, what is beyond the padding is padding.
            more = beyond(settings | {"ceil_mode": True}, shape)
            padding = all_sides(settings["padding"])
            settings["padding"] = sides((*padding[:2], padding[2] + more[0], padding[3] + more[1]))
        if "dilation" in settings and misses(settings, shape):
            raise StudyError("one of its windows has nothing but padding: the image lies between its pixels")
        return settings

    def module(self, layer):
        from torch import nn

        from promptflux.classifiers.modules import MaxOfWindow

        settings = layer.settings
        if "size" in settings:
            return nn.AdaptiveMaxPool2d(settings["size"])
        kernel, stride, padding = settings["kernel"], settings["stride"], settings["padding"]
        dilation = settings.get("dilation", (1, 1))
        if not within_half(padding, kernel):
            return MaxOfWindow(kernel, stride, all_sides(padding), dilation)
        return nn.MaxPool2d(kernel, stride, padding, dilation)

    def onnx(self, graph, layer, values):
        settings = layer.settings
        if "size" in settings:
            raise StudyError("ONNX has no maximum over windows of different sizes; say kernel and stride")
        dilation, window = settings.get("dilation", (1, 1)), onnx_window(settings)
        if not all(
            around < side for around, side in zip(window["pads"], settings["kernel"] * 2, strict=True)
        ):
            # ONNX Runtime takes no padding as large as the kernel, which a dilated one can have.
            top, left, bottom, right = window["pads"]
            pads = graph.constant([0, 0, top, left, 0, 0, bottom, right], "int64")
            values, window["pads"] = graph.add("Pad", values, pads, graph.constant(-inf)), (0, 0, 0, 0)
        return graph.add("MaxPool", values, dilations=dilation, **window)


class MeanPool(Pool):
    """The mean of each window, in which the padding counts as zeros, or, without `count_include_pad`, not at all.

    Not at all is what TensorFlow does, so `padding: same` has it if nothing is said.
    """

    name = "meanpool"
    schema = Pool.schema | {"count_include_pad": TRUTH}
    defaults = Pool.defaults | {"count_include_pad": True}
    unsaid = (*Pool.unsaid, "count_include_pad")
    suspect = "are its kernel, stride and padding the same, and does the mean count the padding?"

    def settings(self, given):
        if given.get("padding") == SAME:
            given = {"count_include_pad": False, **given}
        return super().settings(given)

    def resolved(self, settings, shape):
        settings = super().resolved(settings, shape)
        if not any(settings.get("padding", ())):
            settings.pop("count_include_pad", None)
        return settings

    def module(self, layer):
        from torch import nn

        from promptflux.classifiers.modules import MeanOfWindow

        settings = layer.settings
        if "size" in settings:
            return nn.AdaptiveAvgPool2d(settings["size"])
        kernel, stride, padding = settings["kernel"], settings["stride"], settings["padding"]
        count_border = settings.get("count_include_pad", True)
        if not within_half(padding, kernel):
            more = beyond(settings, layer.in_shape)
            return MeanOfWindow(kernel, stride, all_sides(padding), more, count_border)
        return nn.AvgPool2d(kernel, stride, padding, settings.get("ceil_mode", False), count_border)

    def onnx(self, graph, layer, values):
        settings = layer.settings
        if "size" in settings:
            for axis, (side, places) in enumerate(zip(layer.in_shape[1:], settings["size"], strict=True)):
                values = self._means(graph, values, side, places, over_height=axis == 0)
            return values
        return graph.add(
            "AveragePool",
            values,
            ceil_mode=int(settings.get("ceil_mode", False)),
            count_include_pad=int(settings.get("count_include_pad", True)),
            **onnx_window(settings),
        )

    def _means(self, graph, values, side, places, over_height):
        """The means over PyTorch's adaptive windows along one axis, as a product with a matrix."""
        matrix = [[0.0] * side for _ in range(places)]
        for place, row in enumerate(matrix):
            first, last = place * side // places, -(-(place + 1) * side // places)
            row[first:last] = [1 / (last - first)] * (last - first)
        if over_height:
            return graph.add("MatMul", graph.constant(matrix), values)
        return graph.add("MatMul", values, graph.constant([*zip(*matrix, strict=True)]))


def onnx_window(settings):
    """The attributes of a window in ONNX."""
    return {
        "kernel_shape": settings["kernel"],
        "strides": settings["stride"],
        "pads": all_sides(settings["padding"]),
    }


MAXPOOL = MaxPool()
MEANPOOL = MeanPool()


class GlobalPool(Kind):
    """The largest or the mean value of each map: (C, H, W) becomes (C, 1, 1)."""

    def __init__(self, name: str, module: str, operator: str):
        self.name, self._module, self._operator = name, module, operator

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        return (shape[0], 1, 1)

    def module(self, layer):
        from torch import nn

        return getattr(nn, self._module)(1)

    def onnx(self, graph, layer, values):
        return graph.add(self._operator, values)


GLOBALMAXPOOL = GlobalPool("globalmaxpool", "AdaptiveMaxPool2d", "GlobalMaxPool")
GLOBALMEANPOOL = GlobalPool("globalmeanpool", "AdaptiveAvgPool2d", "GlobalAveragePool")
