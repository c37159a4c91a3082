"""Of which layers it is counted what their channels give, and in which of these a channel can die."""

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import Layer
from promptflux.classifiers.kinds import ACTIVATIONS

HAND_ON = ("flatten", "dropout", "identity")  # kinds that give what they take


def counted_layers(network: Description) -> list[str]:
    """The names of the layers whose channels are counted, in the network's order: all that do not just hand on what they take."""
    return [layer.name for layer in network.walk() if layer.kind not in HAND_ON]


def can_die(layer: Layer) -> bool:
    """Whether a channel can die in a layer, and not only in one before it: it has parameters or an activation."""
    return bool(layer.parameters) or layer.activation != "identity" or layer.kind in ACTIVATIONS
