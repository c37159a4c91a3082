"""The fully connected layer."""

from promptflux.classifiers.kind import OUTPUTS, Kind, want_vector


class Dense(Kind):
    """W x + b, with W [out, in]."""

    name = "dense"
    schema = {"out": OUTPUTS}
    shorthand = "out"
    suspect = "is its weight matrix transposed?"
    activates = True

    def shape(self, settings, shape):
        want_vector(self.name, shape)
        return (settings["out"],)

    def parameters(self, settings, shape):
        return {"weight": (settings["out"], shape[0]), "bias": (settings["out"],)}

    def module(self, layer):
        from torch import nn

        return nn.Linear(layer.in_shape[0], layer.settings["out"])


DENSE = Dense()
