"""Activation functions, which are layers of their own or follow inside of one."""

from promptflux.classifiers.kind import NUMBER, Kind


class Activation(Kind):
    """A function of each number, under PyTorch's name for it."""

    def __init__(self, name: str, module: str):
        self.name, self._module = name, module

    def module(self, layer):
        from torch import nn

        return getattr(nn, self._module)(*layer.settings.values())


class LeakyReLU(Activation):
    """x, or `slope` times x where x is negative."""

    schema = {"slope": NUMBER}
    defaults = {"slope": 0.01}
    written = "{slope: 0.1}"


class ELU(Activation):
    """x, or `alpha` (eˣ − 1) where x is negative."""

    schema = {"alpha": NUMBER}
    defaults = {"alpha": 1.0}
    written = "{alpha: 0.5}"


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


RELU = Activation("relu", "ReLU")
RELU6 = Activation("relu6", "ReLU6")
LEAKY_RELU = LeakyReLU("leaky_relu", "LeakyReLU")
ELU_ = ELU("elu", "ELU")
GELU_ = GELU("gelu", "GELU")
SILU = Activation("silu", "SiLU")
MISH = Activation("mish", "Mish")
SIGMOID = Activation("sigmoid", "Sigmoid")
HARDSIGMOID = HardSigmoid("hardsigmoid", "Hardsigmoid")
HARDSWISH = Activation("hardswish", "Hardswish")
TANH = Activation("tanh", "Tanh")
IDENTITY = Activation("identity", "Identity")
