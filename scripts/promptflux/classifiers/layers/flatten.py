"""From maps to a vector."""

from math import prod

from promptflux.classifiers.kind import Kind


class Flatten(Kind):
    """Channels, height, width in one row, the width running fastest."""

    name = "flatten"
    suspect = "is the order of flatten channels, height, width with the width running fastest?"

    def shape(self, settings, shape):
        return (prod(shape),)

    def module(self, layer):
        from torch import nn

        return nn.Flatten()

    def onnx(self, graph, layer, values):
        return graph.add("Flatten", values, axis=1)


FLATTEN = Flatten()
