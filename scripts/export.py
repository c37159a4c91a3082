"""Create a file of a classifier for others: its state for Flux as .jld2, its weights as .safetensors, or itself as .onnx."""

from pathlib import Path

from safetensors.numpy import save

from promptflux.classifiers.importers.bson import read_bson
from promptflux.classifiers.importers.julia_values import Misfit
from promptflux.classifiers.state_files import write_state
from promptflux.classifiers.weights import load_model
from promptflux.errors import StudyError, plain
from promptflux.files.whole import whole
from promptflux.runtime.job import note
from promptflux.script import run


def main(*, model: str, exported: str) -> None:
    """Write `exported`, whose suffix says its format, from the model file that Flux (.jld2) or PyTorch loads.

    .safetensors has PyTorch's names and shapes, as a checkpoint of the same layers has them.
    """
    suffix = Path(exported).suffix
    if suffix == ".jld2":
        write_state(exported, state_of(model))
    else:
        description, weights = load_model(model)
        if suffix == ".onnx":
            from promptflux.classifiers.onnx_export import write_onnx

            write_onnx(exported, description, weights)
        else:
            tensors = {name.replace("/", "."): array for name, array in weights.items()}
            with whole(exported) as partial:
                partial.write_bytes(save(tensors, {"format": "pt"}))
    note(f"{exported}: {Path(exported).stat().st_size:,} bytes")


def state_of(model: str) -> dict:
    """The state of the chain in the model file of Flux."""
    try:
        return read_bson(Path(model).read_bytes())["state"]
    except (Misfit, KeyError) as error:
        raise StudyError(f"{model}: this is no model file of Flux ({plain(error)}).") from None


if "snakemake" in globals():
    run(main, snakemake)
