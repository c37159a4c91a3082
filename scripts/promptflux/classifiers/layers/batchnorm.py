"""Batch normalization."""

from promptflux.classifiers.kind import EPS, TRUTH, Kind


class BatchNorm(Kind):
    """γ (x − μ) / √(σ² + eps) + β for each channel, with the μ and σ² that training left.

    Where `affine` is false, γ is 1 and β is 0, and neither is a parameter.
    """

    name = "batchnorm"
    schema = {
        "eps": EPS,
        "affine": TRUTH,
    }
    defaults = {"eps": 1e-5, "affine": True}
    unsaid = ("affine",)
    written = "{eps: 1.0e-5}"
    suspect = "do γ, β, μ, σ² stand in this order, and is it in test mode with the same eps?"
    activates = True

    def parameters(self, settings, shape):
        affine = ("weight", "bias") if settings.get("affine", True) else ()
        return dict.fromkeys((*affine, "running_mean", "running_var"), shape[:1])

    def initial(self, parameter):
        return 1.0 if parameter in ("weight", "running_var") else 0.0

    def module(self, layer):
        from torch import nn

        kind = nn.BatchNorm2d if len(layer.in_shape) == 3 else nn.BatchNorm1d
        return kind(layer.in_shape[0], eps=layer.settings["eps"], affine=layer.settings.get("affine", True))

    def onnx(self, graph, layer, values):
        channels = layer.in_shape[0]
        parameters = [
            graph.parameter(layer, name)
            if name in layer.parameters
            else graph.constant([self.initial(name)] * channels)
            for name in ("weight", "bias", "running_mean", "running_var")
        ]
        return graph.add("BatchNormalization", values, *parameters, epsilon=layer.settings["eps"])


BATCHNORM = BatchNorm()
