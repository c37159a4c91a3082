"""The PyTorch engine on the GPU beside the CPU: every layer of every classifier of a finished study.

    python benchmarks/gpu_engine.py RESULTS [--table TSV]

The same tensors and the same weights, with all their images' layers. Writes gpu_engine.tsv beside itself, or the table
that is named, and exits with 1 if a probability differs by more than 1e-4.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import infer_torch
import torch
from measured import machine, write_table
from parity import COLUMNS

from promptflux.classifiers.parity import compare
from promptflux.classifiers.weights import load_model
from promptflux.files.tensors import open_tensors

MOST = 1e-4  # between the probabilities on the GPU and on the CPU
SETTINGS = {"micro_batch": 16, "threads": 4}


def main(results: Path, table: Path) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows, failed = [], False
    for model in sorted((results / "models").glob("*.h5")):
        tensors = tensors_of(results, model)
        with open_tensors(tensors) as batch:
            names = list(batch.names)
        with tempfile.TemporaryDirectory() as folder:
            made = [f"{folder}/{place}.h5" for place in (device, "reference")]
            for file, place in zip(made, (device, "cpu"), strict=True):
                infer_torch.main(
                    tensors=str(tensors),
                    model=str(model),
                    layers_of=names,
                    predictions=file,
                    device=place,
                    **SETTINGS,
                )
            parity = compare(made[:1], made[1:], [device, "cpu"])
            parity.judge()
            for cells in parity.rows():
                rows.append({"classifier": model.stem, **dict(zip(COLUMNS, cells, strict=True))})
            print(f"{model.stem}: probabilities differ by {parity.probabilities.abs_diff:.1e} at most")
            failed |= parity.probabilities.abs_diff > MOST
    card = torch.cuda.get_device_name() if device == "cuda" else "no GPU: the CPU beside itself"
    write_table(table, f"{card}; {machine('torch')}", rows)
    if failed:
        sys.exit(f"a probability differs by more than {MOST}")


def tensors_of(results: Path, model: Path) -> Path:
    """The first batch of tensors that a classifier wants."""
    description, _ = load_model(str(model))
    return min((results / "tensors" / description.input.name).glob("*.h5"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--table", type=Path, default=Path(__file__).with_suffix(".tsv"))
    main(**vars(parser.parse_args()))
