"""The activation that is learned."""

from promptflux.classifiers.kind import TRUTH, Kind


class PReLU(Kind):
    """x, or the channel's weight times x where x is negative; `shared`: one weight for all channels."""

    name = "prelu"
    schema = {"shared": TRUTH}
    defaults = {"shared": False}
    written = "{shared: true}"
    suspect = "does each channel have its own weight?"

    def parameters(self, settings, shape):
        return {"weight": (1,) if settings["shared"] else shape[:1]}

    def initial(self, parameter):
        return 0.25

    def module(self, layer):
        from torch import nn

        return nn.PReLU(*layer.parameters["weight"])

    def onnx(self, graph, layer, values):
        return graph.add("PRelu", values, graph.per_channel(layer, "weight"))


PRELU = PReLU()
