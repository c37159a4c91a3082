"""Which layers a study asks for: their outputs are kept, and their feature maps drawn."""

from collections.abc import Sequence
from math import prod

from promptflux.classifiers.description import Description
from promptflux.files.sample import SAMPLE


def asked_layers(
    network: Description, wanted: int | str | Sequence[str], kinds: Sequence[str] = ("conv",)
) -> list[str]:
    """The names of the layers of `network` that `figures.layers` asks for, in the network's order.

    wanted: so many layers of each of `kinds`, spread over the depth, the first and the last among them; "all" layers;
    or names, of which those of other networks are passed over.
    """
    if wanted == "all":
        return [layer.name for layer in network.walk()]
    names = (
        {
            name
            for kind in kinds
            for name in _spread([layer.name for layer in network.layers_of(kind)], wanted)
        }
        if isinstance(wanted, int)
        else set(wanted)
    )
    return [layer.name for layer in network.walk() if layer.name in names]


def _spread(names: Sequence[str], count: int) -> list[str]:
    """So many of `names`, evenly, the first and the last among them; all, if there are no more."""
    last = len(names) - 1
    return (
        [names[place] for place in sorted({round(i * last / max(1, count - 1)) for i in range(count)})]
        if names
        else []
    )


def kept_layers(network: Description, asked: Sequence[str]) -> dict[str, bool]:
    """Of each layer, in the network's order, whether its output is kept whole: it is asked for, or small."""
    return {layer.name: layer.name in asked or prod(layer.shape) <= SAMPLE for layer in network.walk()}


def kept_bytes(network: Description, asked: Sequence[str]) -> int:
    """What a predictions file holds of the layers for one image: float32 values, of the others a sample."""
    kept = kept_layers(network, asked)
    return 4 * sum(prod(layer.shape) if kept[layer.name] else SAMPLE for layer in network.walk())
