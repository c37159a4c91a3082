"""The fully connected layer."""

from promptflux.classifiers.kind import OUTPUTS, TRUTH, Kind, want_vector


class Dense(Kind):
    """W x + b, with W [out, in]; W x where `bias` is false."""

    name = "dense"
    schema = {"out": OUTPUTS, "bias": TRUTH}
    defaults = {"bias": True}
    unsaid = ("bias",)
    shorthand = "out"
    suspect = "is its weight matrix transposed?"
    activates = True

    def shape(self, settings, shape):
        want_vector(self.name, shape)
        return (settings["out"],)

    def parameters(self, settings, shape):
        weight = (settings["out"], shape[0])
        return {"weight": weight} | ({"bias": weight[:1]} if settings.get("bias", True) else {})

    def module(self, layer):
        from torch import nn

        return nn.Linear(layer.in_shape[0], layer.settings["out"], bias=layer.settings.get("bias", True))

    def onnx(self, graph, layer, values):
        parameters = [graph.parameter(layer, name) for name in layer.parameters]
        return graph.add("Gemm", values, *parameters, transB=1)


DENSE = Dense()
