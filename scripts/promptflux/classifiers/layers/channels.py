"""What only picks or moves values: some of the channels, channels in another order, zeros around maps."""

from promptflux.classifiers.kind import SIDES, WHOLE, WHOLE_OR_0, Kind, all_sides, want_maps
from promptflux.classifiers.layers.groupnorm import want_groups
from promptflux.errors import StudyError


class Channels(Kind):
    """The channels, or the values of a vector, from number `from` to before number `to`, counted from 0."""

    name = "channels"
    schema = {
        "from": {"description": "a whole number of at least 0", **WHOLE_OR_0},
        "to": {"description": "a whole number of at least 1", **WHOLE},
    }
    defaults = {"from": 0, "to": None}
    written = "{from: 0, to: 24}"
    suspect = "is it the same part of the channels?"

    def resolved(self, settings, shape):
        first, last = settings["from"], settings["to"] or shape[0]
        if not first < last <= shape[0]:
            raise StudyError(f"there are no channels from {first} to before {last} in its {shape[0]}")
        return {"from": first, "to": last}

    def shape(self, settings, shape):
        return (settings["to"] - settings["from"], *shape[1:])

    def module(self, layer):
        from promptflux.classifiers.modules import ChannelSlice

        return ChannelSlice(layer.settings["from"], layer.settings["to"])

    def onnx(self, graph, layer, values):
        ends = [graph.constant([layer.settings[key]], "int64") for key in ("from", "to")]
        return graph.add("Slice", values, *ends, graph.constant([1], "int64"))


class Shuffle(Kind):
    """The first channel of each group, then the second of each, and so on: torch.nn.ChannelShuffle.

    Zhang et al., "ShuffleNet", 2018.
    """

    name = "shuffle"
    schema = {"groups": {"description": "a whole number of at least 1", **WHOLE}}
    shorthand = "groups"
    suspect = "does it take one channel of each group in turn?"

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        want_groups(settings["groups"], shape)
        return shape

    def module(self, layer):
        from torch import nn

        return nn.ChannelShuffle(layer.settings["groups"])

    def onnx(self, graph, layer, values):
        channels, height, width = layer.shape
        groups = layer.settings["groups"]
        split = graph.constant([0, groups, channels // groups, height, width], "int64")
        swapped = graph.add("Transpose", graph.add("Reshape", values, split), perm=[0, 2, 1, 3, 4])
        return graph.add("Reshape", swapped, graph.constant([0, channels, height, width], "int64"))


class Pad(Kind):
    """Zeros around each map."""

    name = "pad"
    schema = {"sides": SIDES}
    shorthand = "sides"
    suspect = "are there as many zeros on each side?"

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        top, left, bottom, right = all_sides(settings["sides"])
        return (shape[0], shape[1] + top + bottom, shape[2] + left + right)

    def module(self, layer):
        from torch import nn

        top, left, bottom, right = all_sides(layer.settings["sides"])
        return nn.ZeroPad2d((left, right, top, bottom))

    def onnx(self, graph, layer, values):
        top, left, bottom, right = all_sides(layer.settings["sides"])
        pads = [0, 0, top, left, 0, 0, bottom, right]
        return graph.add("Pad", values, graph.constant(pads, "int64"))


CHANNELS = Channels()
SHUFFLE = Shuffle()
PAD = Pad()
