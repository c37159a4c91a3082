"""Local response normalization."""

from promptflux.classifiers.kind import NUMBER, WHOLE, Kind, want_maps
from promptflux.errors import StudyError


class LRN(Kind):
    """x / (k + alpha/size Σ y²)^beta, the sum over the `size` channels around: torch.nn.LocalResponseNorm.

    Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012, 3.3. Of an even size the
    one channel more lies before.
    """

    name = "lrn"
    schema = {
        "size": {"description": "a whole number of at least 1", **WHOLE},
        "alpha": NUMBER,
        "beta": NUMBER,
        "k": NUMBER,
    }
    defaults = {"alpha": 1e-4, "beta": 0.75, "k": 1.0}
    shorthand = "size"
    suspect = "is alpha divided by the size, and k the same?"

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        return shape

    def module(self, layer):
        from torch import nn

        return nn.LocalResponseNorm(**layer.settings)

    def onnx(self, graph, layer, values):
        settings = layer.settings
        if settings["size"] % 2 == 0:
            raise StudyError("of an even size ONNX has the one channel more behind, and PyTorch before")
        numbers = {"alpha": settings["alpha"], "beta": settings["beta"], "bias": settings["k"]}
        return graph.add("LRN", values, size=settings["size"], **numbers)


LRN_ = LRN()
