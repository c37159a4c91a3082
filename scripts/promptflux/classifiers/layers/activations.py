"""Activation functions, which are layers of their own or follow inside of one."""

from promptflux.classifiers.kind import Kind


class Activation(Kind):
    """A function of each number, under PyTorch's name for it."""

    def __init__(self, name: str, module: str):
        self.name, self._module = name, module

    def module(self, layer):
        from torch import nn

        return getattr(nn, self._module)(*layer.settings.values())


class LeakyReLU(Activation):
    """x, or `slope` times x where x is negative."""

    schema = {"slope": {"description": "a number", "type": "number"}}
    defaults = {"slope": 0.01}
    written = "{slope: 0.1}"


RELU = Activation("relu", "ReLU")
GELU = Activation("gelu", "GELU")  # the exact form, x Φ(x), not the tanh approximation
SIGMOID = Activation("sigmoid", "Sigmoid")
TANH = Activation("tanh", "Tanh")
LEAKY_RELU = LeakyReLU("leaky_relu", "LeakyReLU")
IDENTITY = Activation("identity", "Identity")
