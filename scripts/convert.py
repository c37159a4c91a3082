"""Write a network of an ONNX file as a spec that can be edited, net.yaml, and its weights, net.safetensors.

    python scripts/convert.py net.onnx

Its input and labels are those of the ONNX file, as far as it has them: edit mean, std and labels in what is written. Of
a spec that names the file (`model: net.onnx`) they are kept:

    python scripts/convert.py my_net.yaml edited.yaml
"""

import argparse
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptflux.classifiers.importers.onnx_graph import input_shape, read_network
from promptflux.classifiers.importers.written import write_network
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import Spec, load_spec, resolved_layers
from promptflux.classifiers.weights import Weights
from promptflux.documents import read_text, read_yaml
from promptflux.errors import StudyError, plain
from promptflux.images.inputs import InputSpec
from promptflux.runtime.job import note

MOST_LABELS = 10_000_000  # bytes of a file of labels


def main(arguments: Sequence[str] | None = None) -> Spec:
    """Convert what the command line names, and print what came of it. Raises StudyError."""
    given = _parsed(arguments)
    source = Path(given.source)
    target = Path(given.target) if given.target else source.with_suffix(".yaml")
    for file in (target, target.with_suffix(".safetensors")):
        if file.exists():
            raise StudyError(
                f"{plain(file)} is there already; name another file: convert.py {plain(source)} OTHER.yaml"
            )
    is_spec = source.suffix in (".yaml", ".yml")
    model, output, said = _of_spec(source) if is_spec else _of_model(source, given)
    shape = InputSpec.from_config(said["input"]).shape
    network = read_network(model, shape, output)
    outputs = prod(resolved_layers(plain(model), network.spec_layers(), shape)[-1].shape)
    said.setdefault("labels", [f"label {number}" for number in range(1, outputs + 1)])
    spec = write_network(target, network, said)
    told = [f"{plain(target)} and {plain(spec.weights_path)} are written: {_size(spec)}.", *network.notes]
    if not is_spec:
        told.append(
            f"The input is {said['input']} with values from 0 to 1, {len(spec.labels)} labels: an ONNX file says nothing of "
            f"mean, std, fit and filter; write them into {plain(target.name)}."
        )
    told.append(compared(model, output, spec, network.weights(spec.layers)))
    note("\n".join(told))
    return spec


def _size(spec: Spec) -> str:
    layers = sum(1 for _ in spec.walk())
    numbers = sum(prod(shape) for shape in spec.parameters.values())
    return f"{layers:,} layers, {numbers:,} numbers"


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="convert.py",
        description="Write a network of an ONNX file as YAML that can be edited, and its weights.",
    )
    parser.add_argument("source", help="net.onnx, or a spec with `model: net.onnx`")
    parser.add_argument("target", nargs="?", help="the spec to write; net.yaml if it is not given")
    parser.add_argument("--input", help="of images, such as rgb224, if the file leaves their size open")
    parser.add_argument("--labels", metavar="FILE", help="the names of the outputs, one a line")
    parser.add_argument("--output", metavar="NAME", help="the output to take, if the file has several")
    return parser.parse_args(arguments)


def _of_spec(path: Path) -> tuple[Path, str | None, dict[str, Any]]:
    """The model that a spec names, the output that it takes of it, and what else it says."""
    spec = load_spec(path)
    if "model" not in spec.weights:
        raise StudyError(f"{plain(path)}: it names no `model`, so there is nothing to convert.")
    value = read_yaml(path, "classifier spec")
    said = {key: value[key] for key in ("description", "input", "labels") if key in value}
    return path.parent / spec.weights["model"], spec.weights.get("output"), said


def _of_model(path: Path, given: argparse.Namespace) -> tuple[Path, str | None, dict[str, Any]]:
    """The same of a model, as far as itself and the options say it."""
    said: dict[str, Any] = {"description": f"Converted from {path.name}."}
    said["input"] = given.input or input_of(path)
    if given.labels:
        said["labels"] = read_text(given.labels, "file of labels", MOST_LABELS).splitlines()
    return path, given.output, said


def input_of(path: Path) -> str | dict[str, Any]:
    """The input of a spec for the images that an ONNX file takes."""
    channels, height, width = input_shape(path)
    color = {1: "gray", 3: "rgb"}.get(channels)
    if color is None:
        raise StudyError(
            f"{plain(path)}: it takes images of {channels} channels; images have 1 (gray) or 3 (rgb)."
        )
    if height == width:
        return f"{color}{height}"
    return {"name": f"{color}{height}x{width}", "size": [height, width], "channels": color}


def compared(model: Path, output: str | None, spec: Spec, weights: Weights) -> str:
    """A sentence on how far PyTorch with the new weights is from ONNX Runtime with the file, for an image of noise."""
    try:
        from promptflux.classifiers.importers.onnx_runtime import run_onnx
    except ModuleNotFoundError:
        return (
            "They are not compared with the file itself, which takes ONNX Runtime (pip install onnxruntime)."
        )
    images = np.random.default_rng(1).standard_normal((1, *spec.input.shape), dtype=np.float32)
    wanted = run_onnx(model, images, output)
    network = Network(spec).load(weights).eval()
    with torch.inference_mode():
        *_, (_, values) = network.outputs(torch.from_numpy(images))
    difference = np.abs(values.flatten(1).numpy() - wanted).max()
    return (
        f"For an image of noise, they give what ONNX Runtime gives with {plain(model.name)}, up to {difference:.1e} of values "
        f"up to {np.abs(wanted).max():.1e}."
    )


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(str(error))
