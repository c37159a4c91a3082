"""One layer at a time."""

import numpy as np
import torch

from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model, save_model
from support.specs import write_spec

SIZE = (11, 9)


def run(tmp_path, layers, size=SIZE):
    """What a layer, or the last of several, makes of random maps: (what goes in, its description, what comes out, parameters)."""
    layers = layers if isinstance(layers, list) else [layers]
    spec = load_spec(
        write_spec(
            tmp_path, "one", input={"name": "maps", "size": list(size), "channels": "rgb"},
            layers=[*layers, "flatten", {"dense": 2}], labels=["a", "b"],
        )
    )  # fmt: skip
    weights = untrained_weights(spec, 1)
    rng = np.random.default_rng(2)
    for name in weights:
        weights[name] = rng.uniform(0.5, 1.5, weights[name].shape).astype(np.float32)
    save_model(tmp_path / "one.h5", weights, spec)
    description, weights = load_model(tmp_path / "one.h5")
    assert description.to_dict() == spec.to_dict()
    maps = 3 * torch.randn(4, *spec.input.shape, generator=torch.Generator().manual_seed(3))
    network = Network(description).load(weights).eval()
    with torch.no_grad():
        outputs = [("input", maps), *network.outputs(maps)]
    described = description.layers[len(layers) - 1]
    (_, maps), (name, values) = outputs[len(layers) - 1 : len(layers) + 1]
    assert name == described.name and values.shape[1:] == described.shape
    own = {
        key.split("/")[1]: torch.from_numpy(array) for key, array in weights.items() if key.startswith(name)
    }
    return maps, described, values, own
