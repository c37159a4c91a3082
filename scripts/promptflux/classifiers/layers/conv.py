"""Convolution."""

from promptflux.classifiers.kind import (
    OUTPUTS,
    PADDING,
    PAIR,
    TRUTH,
    Kind,
    all_sides,
    want_maps,
    window_padding,
    window_places,
)
from promptflux.errors import StudyError


class Conv(Kind):
    """A two-dimensional cross-correlation, as torch.nn.Conv2d computes it."""

    name = "conv"
    schema = {
        "out": OUTPUTS,
        "kernel": PAIR,
        "stride": PAIR,
        "padding": PADDING,
        "dilation": PAIR,
        "groups": {"description": "a whole number of at least 1", "type": "integer", "minimum": 1},
        "bias": TRUTH,
    }
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
    written = "{out: 16, kernel: 3}"
    suspect = "are its kernels flipped, or is its stride, padding or activation another?"
    activates = True

    def resolved(self, settings, shape):
        want_maps(self.name, shape)
        return window_padding(settings, shape)

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        groups = settings["groups"]
        for what, count in (("input", shape[0]), ("output", settings["out"])):
            if count % groups:
                raise StudyError(f"its {count} {what} channels cannot be divided into {groups} groups")
        return (settings["out"], *window_places(settings, shape))

    def parameters(self, settings, shape):
        weight = (settings["out"], shape[0] // settings["groups"], *settings["kernel"])
        return {"weight": weight} | ({"bias": weight[:1]} if settings["bias"] else {})

    def module(self, layer):
        from torch import nn

        from promptflux.classifiers.modules import BorderedConv2d

        settings = layer.settings
        kind = nn.Conv2d if len(settings["padding"]) == 2 else BorderedConv2d
        return kind(
            layer.in_shape[0],
            settings["out"],
            settings["kernel"],
            **{key: settings[key] for key in ("stride", "padding", "dilation", "groups", "bias")},
        )

    def onnx(self, graph, layer, values):
        settings = layer.settings
        parameters = [graph.parameter(layer, name) for name in layer.parameters]
        return graph.add(
            "Conv",
            values,
            *parameters,
            kernel_shape=settings["kernel"],
            strides=settings["stride"],
            pads=all_sides(settings["padding"]),
            dilations=settings["dilation"],
            group=settings["groups"],
        )


CONV = Conv()
