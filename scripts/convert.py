"""Write a network of an ONNX file, or of a chain of Julia's Flux, as a spec that can be edited, net.yaml, and its
weights, net.safetensors.

    python scripts/convert.py net.onnx
    python scripts/convert.py trained_model.bson

Its input and labels are those of the ONNX file, as far as it has them: edit mean, std and labels in what is written. Of
a spec that names the file (`model: net.onnx`, `model: trained_model.bson`) they are kept:

    python scripts/convert.py my_net.yaml edited.yaml
"""

import argparse
import re
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file

from promptflux.classifiers.importers.flux_file import FluxNetwork, flux_network, image_shape, is_flux_file
from promptflux.classifiers.importers.flux_model import HWCN, WHCN
from promptflux.classifiers.importers.onnx_graph import input_shape, read_network
from promptflux.classifiers.importers.written import write_network
from promptflux.classifiers.kind import Shape
from promptflux.classifiers.models import read_model
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import Spec, load_spec, resolved_layers
from promptflux.documents import read_text, read_yaml
from promptflux.errors import StudyError, plain
from promptflux.images.inputs import InputSpec
from promptflux.runtime.job import note

ABOUT_AXES = {
    WHCN: "It is taken to be trained on arrays of (width, height, channels, N). Julia's image libraries give height before "
    "width: for a network of such arrays convert it with `--axes hwcn`.",
    HWCN: "Its kernels and what lies behind its flatten are turned from (height, width, channels, N).",
}
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
    if is_spec:
        spec, said = _of_spec(source)
        network, shape = read_model(source, spec.weights, spec.input.shape), spec.input.shape
        model, output = spec.weights_path, spec.weights.get("output")
    else:
        said = _of_model(source, given)
        model, output, shape = source, given.output, InputSpec.from_config(said["input"]).shape
        network = read_flux_network(source, given) if given.is_flux else read_network(model, shape, output)
    outputs = prod(resolved_layers(plain(model), network.spec_layers(), shape)[-1].shape)
    said.setdefault("labels", [f"label {number}" for number in range(1, outputs + 1)])
    spec = write_network(target, network, said)
    told = [f"{plain(target)} and {plain(spec.weights_path)} are written: {_size(spec)}.", *network.notes]
    if not is_spec:
        told.append(
            f"The input is {said['input']} with values from 0 to 1, {len(spec.labels)} labels: {plain(source.name)} says "
            f"nothing of mean, std, fit and filter; write them into {plain(target.name)}."
        )
    if isinstance(network, FluxNetwork):
        told.append(ABOUT_AXES[network.axes])
    else:
        told.append(compared(model, output, spec))
    note("\n".join(told))
    return spec


def _size(spec: Spec) -> str:
    layers = sum(1 for _ in spec.walk())
    numbers = sum(prod(shape) for shape in spec.parameters.values())
    return f"{layers:,} layers, {numbers:,} numbers"


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="convert.py",
        description="Write a network of an ONNX file, or of a chain of Flux, as YAML that can be edited, and its weights.",
    )
    parser.add_argument(
        "source", help="net.onnx, trained_model.bson or .jld2, or a spec with `model: FILE` of one"
    )
    parser.add_argument("target", nargs="?", help="the spec to write; net.yaml if it is not given")
    parser.add_argument(
        "--input",
        help="of images, such as rgb224 or rgb90x120 (height, width), if the file leaves their size open",
    )
    parser.add_argument("--labels", metavar="FILE", help="the names of the outputs, one a line")
    parser.add_argument("--output", metavar="NAME", help="the output to take, if the file has several")
    parser.add_argument(
        "--instead",
        metavar="PLACE=LAYER",
        action="append",
        default=[],
        help="of Flux: the layer that a function of your own is, such as 'model[3]=flatten'",
    )
    parser.add_argument(
        "--axes",
        choices=[WHCN, HWCN],
        default=WHCN,
        help="of Flux: hwcn, if it was trained on arrays of (height, width, channels, N)",
    )
    given = parser.parse_args(arguments)
    try:
        given.is_flux = is_flux_file(given.source)
    except OSError as error:
        raise StudyError(f"{plain(given.source)}: it cannot be read ({error.strerror}).") from None
    if not given.is_flux and (given.instead or given.axes != WHCN):
        raise StudyError(
            f"{plain(given.source)}: --instead and --axes are for files of Flux, .bson and .jld2."
        )
    return given


def read_flux_network(path: Path, given: argparse.Namespace) -> FluxNetwork:
    """The network of a file of Flux, as the options say it."""
    for text in given.instead:
        if "=" not in text:
            raise StudyError(
                f"--instead {plain(text)}: write a place and a layer, such as 'model[3]=flatten'."
            )
    return flux_network(path, given.axes, dict(text.rsplit("=", 1) for text in given.instead))


def _of_spec(path: Path) -> tuple[Spec, dict[str, Any]]:
    """A spec that names a model, and what of it is kept."""
    spec = load_spec(path)
    if "model" not in spec.weights:
        raise StudyError(f"{plain(path)}: it names no `model`, so there is nothing to convert.")
    value = read_yaml(path, "classifier spec")
    said = {key: value[key] for key in ("description", "input", "labels") if key in value}
    if spec.labels_file and spec.labels_file.stem != said["labels"]:
        said["labels"] = list(spec.labels)  # whose file need not be where the new spec is
    return spec, said


def _of_model(path: Path, given: argparse.Namespace) -> dict[str, Any]:
    """What a spec says beside layers and weights, as far as a model and the options say it."""
    said: dict[str, Any] = {"description": f"Converted from {path.name}."}
    said["input"] = input_named(given.input) or input_of(
        path, image_shape(read_flux_network(path, given)) if given.is_flux else input_shape(path)
    )
    if given.labels:
        said["labels"] = read_text(given.labels, "file of labels", MOST_LABELS).splitlines()
    return said


def input_named(name: str | None) -> str | dict[str, Any] | None:
    """The input of a spec by its name; one such as rgb90x120, of images that are not square, has no name in a spec."""
    if name and (found := re.fullmatch(r"(gray|rgb)([1-9]\d{0,3})x([1-9]\d{0,3})", name)):
        return {"name": name, "size": [int(found[2]), int(found[3])], "channels": found[1]}
    return name


def input_of(path: Path, shape: Shape) -> str | dict[str, Any]:
    """The input of a spec for images of `shape`, (C, H, W), which the network in `path` takes."""
    channels, height, width = shape
    color = {1: "gray", 3: "rgb"}.get(channels)
    if color is None:
        raise StudyError(
            f"{plain(path)}: it takes images of {channels} channels; images have 1 (gray) or 3 (rgb)."
        )
    if height == width:
        return f"{color}{height}"
    return {"name": f"{color}{height}x{width}", "size": [height, width], "channels": color}


def compared(model: Path, output: str | None, spec: Spec) -> str:
    """A sentence on how far PyTorch with the new weights is from ONNX Runtime with the file, for an image of noise."""
    try:
        from promptflux.classifiers.importers.onnx_runtime import run_onnx
    except ModuleNotFoundError:
        return (
            "They are not compared with the file itself, which takes ONNX Runtime (pip install onnxruntime)."
        )
    images = np.random.default_rng(1).standard_normal((1, *spec.input.shape), dtype=np.float32)
    wanted = run_onnx(model, images, output)
    tensors = load_file(spec.weights_path)
    weights = {name: tensors[name.replace("/", ".")] for name in spec.parameters}
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
