"""Create the model file of a classifier: its network, resolved, and the weights that its spec names.

The weights come from a weights file of this project, a seed, an ONNX model, a file of Flux, or a PyTorch checkpoint,
whose parameters are found by the spec's `rename`, or else by kind, shape and order.
"""

import numpy as np
import torch

from promptflux.classifiers.checkpoints import from_checkpoint
from promptflux.classifiers.kind import shape_text
from promptflux.classifiers.models import read_model
from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import Spec, load_spec
from promptflux.classifiers.weights import Weights, check_weights, load_weights, save_model
from promptflux.errors import StudyError
from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note
from promptflux.script import run


def main(*, spec: str, weights: str | None = None, model: str, architecture: str) -> None:
    """Write the description and the weights of a classifier to `model`, and how PyTorch prints it to `architecture`.

    weights: the file or checkpoint that the spec names; None if the spec gives a seed. Raises
    StudyError for another SHA-256 than the spec's, and for each parameter that does not fit.
    """
    loaded = load_spec(spec)
    if weights is None:
        arrays = untrained_weights(loaded, loaded.weights["seed"])
        note(f"{loaded.name}: untrained weights from the seed {loaded.weights['seed']}")
    else:
        check_digest(weights, loaded)
        arrays = read_weights(weights, loaded)
    network = Network(loaded).load(arrays).eval()
    save_model(model, arrays, loaded)
    with whole(architecture) as partial:
        partial.write_text(printed(network), encoding="utf-8")
    note(
        f"{loaded.name}: {sum(array.size for array in arrays.values()):,} numbers in {len(arrays)} parameters"
    )


def read_weights(path: str, spec: Spec) -> Weights:
    """The weights in the file that a spec names."""
    if "file" in spec.weights:
        return load_weights(path, spec)
    if "checkpoint" in spec.weights:
        return from_checkpoint(path, spec)
    network = read_model(spec.path, spec.weights, spec.input.shape)
    for sentence in network.notes:
        note(f"{spec.name}: {sentence}")
    weights = network.weights(spec.layers)
    check_weights(weights, spec, path)
    return weights


def check_digest(path: str, spec: Spec) -> None:
    """Raise StudyError if the file does not have the SHA-256 that the spec gives, if it gives one."""
    wanted = spec.weights.get("sha256")
    found = sha256_of_file(path) if wanted else None
    if found != wanted:
        raise StudyError(
            f"{path}: its SHA-256 is {found}, and {spec.path} wants {wanted}; "
            f"the file is damaged or another one, or the spec is to be brought up to date."
        )


def printed(network: Network) -> str:
    """The network as PyTorch prints it, and a table of its layers: output shape and parameters."""
    rows = [("layer", "output", "parameters")]
    for layer in network.description.walk():
        count = sum(int(np.prod(shape)) for name, shape in layer.parameters.items() if "running" not in name)
        rows.append((layer.name, shape_text(layer.shape), f"{count:,}"))
    total = sum(parameter.numel() for parameter in network.parameters())
    rows.append(("total", "", f"{total:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in rows)
    return f"{network.description.name} in PyTorch {torch.__version__}\n\n{network}\n\n{table}\n"


if "snakemake" in globals():
    run(main, snakemake)
