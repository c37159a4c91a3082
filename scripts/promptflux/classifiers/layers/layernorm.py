"""Layer normalization."""

from promptflux.classifiers.kind import EPS, TRUTH, Kind


class LayerNorm(Kind):
    """γ (x − μ) / √(σ² + eps) + β with the mean and variance of an image's own values.

    over: `channels`, those of one pixel, as ConvNeXt has it; or `all` values, each with a γ and β of its own, as
    torch.nn.LayerNorm has it. Of a vector they are the same.
    """

    name = "layernorm"
    schema = {
        "over": {"description": "channels or all", "enum": ["channels", "all"]},
        "eps": EPS,
        "affine": TRUTH,
    }
    defaults = {"over": "channels", "eps": 1e-5, "affine": True}
    written = "{eps: 1.0e-6}"
    suspect = "are mean and variance taken over the same values, and is eps inside of the root?"
    activates = True

    def parameters(self, settings, shape):
        if not settings["affine"]:
            return {}
        return dict.fromkeys(("weight", "bias"), shape if settings["over"] == "all" else shape[:1])

    def initial(self, parameter):
        return 1.0 if parameter == "weight" else 0.0

    def module(self, layer):
        from torch import nn

        from promptflux.classifiers.modules import PixelLayerNorm

        settings = layer.settings
        by_pixel = len(layer.in_shape) == 3 and settings["over"] == "channels"
        kind = PixelLayerNorm if by_pixel else nn.LayerNorm
        shape = layer.in_shape[:1] if by_pixel else layer.in_shape
        return kind(shape, eps=settings["eps"], elementwise_affine=settings["affine"])

    def onnx(self, graph, layer, values):
        settings, shape = layer.settings, layer.in_shape
        by_pixel = len(shape) == 3 and settings["over"] == "channels"
        if by_pixel:
            values, shape = graph.add("Transpose", values, perm=[0, 2, 3, 1]), shape[:1]
        parameters = (
            [graph.parameter(layer, name) for name in layer.parameters]
            if settings["affine"]
            else [graph.ones(shape)]
        )
        values = graph.add(
            "LayerNormalization", values, *parameters, axis=-len(shape), epsilon=settings["eps"]
        )
        return graph.add("Transpose", values, perm=[0, 3, 1, 2]) if by_pixel else values


LAYERNORM = LayerNorm()
