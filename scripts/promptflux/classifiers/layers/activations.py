"""Activation functions, which are layers of their own or follow inside of one."""

from math import pi, sqrt

from promptflux.classifiers.kind import NUMBER, Kind


class Activation(Kind):
    """A function of each number, under PyTorch's name for it. operator: the one of ONNX, if there is one."""

    def __init__(self, name: str, module: str, operator: str = ""):
        self.name, self._module, self._operator = name, module, operator

    def module(self, layer):
        from torch import nn

        return getattr(nn, self._module)(*layer.settings.values())

    def onnx(self, graph, layer, values):
        return graph.add(self._operator, values)


class Identity(Activation):
    """x."""

    def onnx(self, graph, layer, values):
        return values


class ReLU6(Activation):
    """x, cut to 0..6."""

    def onnx(self, graph, layer, values):
        return graph.add("Clip", values, graph.constant(0), graph.constant(6))


class SiLU(Activation):
    """x σ(x)."""

    def onnx(self, graph, layer, values):
        return graph.add("Mul", values, graph.add("Sigmoid", values))


class Mish(Activation):
    """x tanh(log(1 + eˣ))."""

    def onnx(self, graph, layer, values):
        return graph.add("Mul", values, graph.add("Tanh", graph.add("Softplus", values)))


class LeakyReLU(Activation):
    """x, or `slope` times x where x is negative."""

    schema = {"slope": NUMBER}
    defaults = {"slope": 0.01}
    written = "{slope: 0.1}"

    def onnx(self, graph, layer, values):
        return graph.add("LeakyRelu", values, alpha=layer.settings["slope"])


class ELU(Activation):
    """x, or `alpha` (eˣ − 1) where x is negative."""

    schema = {"alpha": NUMBER}
    defaults = {"alpha": 1.0}
    written = "{alpha: 0.5}"

    def onnx(self, graph, layer, values):
        return graph.add("Elu", values, alpha=layer.settings["alpha"])


class GELU(Activation):
    """x Φ(x); or, with `approximate: tanh`, x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2."""

    schema = {"approximate": {"description": "none or tanh", "enum": ["none", "tanh"]}}
    defaults = {"approximate": "none"}
    unsaid = ("approximate",)
    written = "{approximate: tanh}"
    suspect = "is it the exact form in one and the approximation by tanh in the other?"

    def module(self, layer):
        from torch import nn

        return nn.GELU(**layer.settings)

    def onnx(self, graph, layer, values):
        if layer.settings.get("approximate", "none") == "tanh":
            cube = graph.add("Mul", graph.add("Pow", values, graph.constant(3)), graph.constant(0.044715))
            inner = graph.add("Mul", graph.add("Add", values, cube), graph.constant(sqrt(2 / pi)))
            function = graph.add("Tanh", inner)
        else:
            function = graph.add("Erf", graph.add("Mul", values, graph.constant(sqrt(0.5))))
        gate = graph.add("Add", function, graph.constant(1))
        return graph.add("Mul", graph.add("Mul", values, graph.constant(0.5)), gate)


class HardSigmoid(Activation):
    """`alpha` x + `beta`, cut to 0..1; without settings PyTorch's, (x + 3) / 6. (ONNX's and Keras' alpha is 0.2.)"""

    schema = {"alpha": NUMBER, "beta": NUMBER}
    defaults = {"alpha": 1 / 6, "beta": 0.5}
    unsaid = ("alpha", "beta")
    written = "{alpha: 0.2}"
    suspect = "is its slope 1/6, as PyTorch has it, or 0.2, as ONNX and Keras?"

    def settings(self, given):
        settings = super().settings(given)
        # 1/6 as a file has it, in 32 bits or in some decimals.
        if abs(settings.get("alpha", 1) - 1 / 6) < 1e-7:
            del settings["alpha"]
        return settings

    def module(self, layer):
        from torch import nn

        if not layer.settings:
            return nn.Hardsigmoid()
        from promptflux.classifiers.modules import Ramp

        return Ramp(**{**self.defaults, **layer.settings})

    def onnx(self, graph, layer, values):
        return graph.add("HardSigmoid", values, **{**self.defaults, **layer.settings})


RELU = Activation("relu", "ReLU", "Relu")
RELU6 = ReLU6("relu6", "ReLU6")
LEAKY_RELU = LeakyReLU("leaky_relu", "LeakyReLU")
ELU_ = ELU("elu", "ELU")
GELU_ = GELU("gelu", "GELU")
SELU = Activation("selu", "SELU", "Selu")
SOFTPLUS = Activation("softplus", "Softplus", "Softplus")
SILU = SiLU("silu", "SiLU")
MISH = Mish("mish", "Mish")
SIGMOID = Activation("sigmoid", "Sigmoid", "Sigmoid")
HARDSIGMOID = HardSigmoid("hardsigmoid", "Hardsigmoid")
HARDSWISH = Activation("hardswish", "Hardswish", "HardSwish")
TANH = Activation("tanh", "Tanh", "Tanh")
IDENTITY = Identity("identity", "Identity")
