"""A factor and a summand for each channel."""

from promptflux.classifiers.kind import TRUTH, Kind
from promptflux.errors import StudyError


class Affine(Kind):
    """w x + b with a `weight` and a `bias` for each channel, or with one of the two: ConvNeXt's layer scale, say."""

    name = "affine"
    schema = {"weight": TRUTH, "bias": TRUTH}
    defaults = {"weight": True, "bias": True}
    written = "{bias: false}"
    suspect = "does it multiply before it adds, channel by channel?"
    activates = True

    def shape(self, settings, shape):
        if not (settings["weight"] or settings["bias"]):
            raise StudyError("it has neither a weight nor a bias; leave it out")
        return shape

    def parameters(self, settings, shape):
        return {parameter: shape[:1] for parameter in ("weight", "bias") if settings[parameter]}

    def initial(self, parameter):
        return 1.0 if parameter == "weight" else 0.0

    def module(self, layer):
        from promptflux.classifiers.modules import PerChannel

        return PerChannel(layer.in_shape[0], layer.settings["weight"], layer.settings["bias"])

    def onnx(self, graph, layer, values):
        for name, operator in (("weight", "Mul"), ("bias", "Add")):
            if name in layer.parameters:
                values = graph.add(operator, values, graph.per_channel(layer, name))
        return values


AFFINE = Affine()
