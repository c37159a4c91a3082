"""From logits to probabilities."""

from math import prod

from promptflux.classifiers.kind import Kind, want_vector


class Softmax(Kind):
    """exp(x) / Σ exp(x) over the labels; the last layer, if there is one. Maps of one pixel are as good as a vector."""

    name = "softmax"
    suspect = "does it run over the labels?"

    def shape(self, settings, shape):
        if prod(shape) != shape[0]:
            want_vector(self.name, shape)
        return shape

    def module(self, layer):
        from torch import nn

        return nn.Softmax(dim=1)

    def onnx(self, graph, layer, values):
        return graph.add("Softmax", values, axis=1)


SOFTMAX = Softmax()
