"""Convolution."""

from promptflux.classifiers.kind import OUTPUTS, PAIR, PAIR_OR_0, TRUTH, Kind, want_maps, window_places
from promptflux.errors import StudyError


class Conv(Kind):
    """A two-dimensional cross-correlation, as torch.nn.Conv2d computes it."""

    name = "conv"
    schema = {
        "out": OUTPUTS,
        "kernel": PAIR,
        "stride": PAIR,
        "padding": PAIR_OR_0,
        "dilation": PAIR,
        "groups": {"description": "a whole number of at least 1", "type": "integer", "minimum": 1},
        "bias": TRUTH,
    }
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
    written = "{out: 16, kernel: 3}"
    suspect = "are its kernels flipped, or is its stride, padding or activation another?"
    activates = True

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        groups = settings["groups"]
        for what, count in (("input", shape[0]), ("output", settings["out"])):
            if count % groups:
                raise StudyError(f"its {count} {what} channels cannot be divided into {groups} groups")
        return (settings["out"], *window_places(settings, shape[1:]))

    def parameters(self, settings, shape):
        weight = (settings["out"], shape[0] // settings["groups"], *settings["kernel"])
        return {"weight": weight} | ({"bias": weight[:1]} if settings["bias"] else {})

    def module(self, layer):
        from torch import nn

        settings = dict(layer.settings)
        del settings["activation"]
        return nn.Conv2d(layer.in_shape[0], settings.pop("out"), settings.pop("kernel"), **settings)


CONV = Conv()
