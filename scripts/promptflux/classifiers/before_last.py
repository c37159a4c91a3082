"""The layer before the last: what the last layer with a weight matrix takes, the features that it decides by."""

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import Shape

MIXES = ("dense", "conv")  # the kinds whose weights mix values; others scale each by itself
IMAGE = "input"  # what stands for the layer in a network that has none before


def before_last(network: Description) -> tuple[str, Shape]:
    """The name of the layer whose output, after its activation, is a network's features, and the shape of that.

    It is what the last dense layer takes; in a network that ends otherwise, as in a convolution and a global mean,
    what the last layer with a weight matrix takes, (C, H, W). A block counts as one layer. The image itself is `IMAGE`.
    """
    names = [IMAGE, *(layer.name for layer in network.layers)]
    for before, layer in reversed(list(zip(names, network.layers, strict=False))):
        if any(inner.kind in MIXES for inner in layer.walk()):
            return before, layer.in_shape
    return IMAGE, network.input.shape
