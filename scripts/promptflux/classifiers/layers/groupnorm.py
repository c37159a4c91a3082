"""Group normalization."""

from promptflux.classifiers.kind import EPS, TRUTH, WHOLE, Kind
from promptflux.errors import StudyError


class GroupNorm(Kind):
    """γ (x − μ) / √(σ² + eps) + β with the mean and variance of an image's own values in a group of channels.

    With as many groups as channels it is instance normalization. Wu and He, "Group Normalization", 2018.
    """

    name = "groupnorm"
    schema = {
        "groups": {"description": "a whole number of at least 1", **WHOLE},
        "eps": EPS,
        "affine": TRUTH,
    }
    defaults = {"eps": 1e-5, "affine": True}
    shorthand = "groups"
    suspect = "are its groups channels that follow each other, and is eps inside of the root?"
    activates = True

    def shape(self, settings, shape):
        want_groups(settings["groups"], shape)
        return shape

    def parameters(self, settings, shape):
        return dict.fromkeys(("weight", "bias"), shape[:1]) if settings["affine"] else {}

    def initial(self, parameter):
        return 1.0 if parameter == "weight" else 0.0

    def module(self, layer):
        from torch import nn

        settings = layer.settings
        return nn.GroupNorm(settings["groups"], layer.in_shape[0], settings["eps"], settings["affine"])

    def onnx(self, graph, layer, values):
        groups = layer.settings["groups"]
        rows = graph.add("Reshape", values, graph.constant([0, groups, -1], "int64"))
        plain = [graph.constant([number] * groups) for number in (1, 0)]
        rows = graph.add("InstanceNormalization", rows, *plain, epsilon=layer.settings["eps"])
        values = graph.add("Reshape", rows, graph.constant([0, *layer.shape], "int64"))
        if layer.settings["affine"]:
            values = graph.add("Mul", values, graph.per_channel(layer, "weight"))
            values = graph.add("Add", values, graph.per_channel(layer, "bias"))
        return values


def want_groups(groups, shape):
    """Raise StudyError unless the channels of `shape` divide into `groups`."""
    if shape[0] % groups:
        raise StudyError(f"its {shape[0]} channels cannot be divided into {groups} groups")


GROUPNORM = GroupNorm()
