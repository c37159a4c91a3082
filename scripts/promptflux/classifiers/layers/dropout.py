"""Dropout, which does nothing but in training."""

from promptflux.classifiers.kind import Kind


class Dropout(Kind):
    """The identity; `p` is the share of values that a training would set to zero."""

    name = "dropout"
    schema = {
        "p": {
            "description": "a number from 0 to below 1",
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": 1,
        }
    }
    shorthand = "p"
    suspect = "is it switched on, instead of being the identity?"

    def module(self, layer):
        from torch import nn

        return nn.Dropout(layer.settings["p"])

    def onnx(self, graph, layer, values):
        return values


DROPOUT = Dropout()
