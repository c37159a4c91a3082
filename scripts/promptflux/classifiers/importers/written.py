"""A network that was read from a foreign file, written as a spec that people edit: YAML, and its weights beside it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import save

from promptflux.classifiers.importers.entries import Network
from promptflux.classifiers.kind import Block
from promptflux.classifiers.kinds import KINDS
from promptflux.classifiers.spec import Spec, load_spec
from promptflux.classifiers.weights import check_weights
from promptflux.files.whole import sha256_of_file, whole

WIDTH = 110


def write_network(path: Path, network: Network, said: Mapping[str, Any]) -> Spec:
    """Write the spec `path` and, under its name with .safetensors, the weights. Gives the spec, read back.

    said: what stands in the spec beside layers and weights: description, input, labels. Raises StudyError if the spec
    would not be one, before anything is written.
    """
    weights_path = path.with_suffix(".safetensors")
    value = {**said, "layers": network.spec_layers(), "weights": {"checkpoint": weights_path.name}}
    spec = load_spec(path, weights_exist=False, value=value)
    weights = network.weights(spec.layers)
    check_weights(weights, spec, network.files[0])
    # Safetensors writes the memory of an array, whatever order its values have there.
    tensors = {name.replace("/", "."): np.ascontiguousarray(array) for name, array in weights.items()}
    with whole(weights_path) as partial:
        partial.write_bytes(save(tensors))
    value["weights"]["sha256"] = sha256_of_file(weights_path)
    with whole(path) as partial:
        partial.write_text(spec_text(value), encoding="utf-8")
    return load_spec(path)


def spec_text(value: Mapping[str, Any]) -> str:
    """A spec as YAML, a layer a line; what is in a block stands indented below it."""
    lines: list[str] = []
    for key in ("description", "input", "layers", "labels", "weights"):
        if key == "layers":
            lines += ["layers:", *_layer_lines(value[key], "  ")]
        elif key in value:
            lines.append(f"{key}: {_flow(value[key], WIDTH)}")
    return "\n".join(lines) + "\n"


def _layer_lines(layers: Sequence[Any], indent: str) -> Iterator[str]:
    for entry in layers:
        [(name, settings)] = entry.items() if isinstance(entry, Mapping) else [(entry, None)]
        kind = KINDS[name]
        if settings is None:
            yield f"{indent}- {name}"
        elif not isinstance(kind, Block):
            yield f"{indent}- {name}: {_flow(settings)}"
        else:
            yield f"{indent}- {name}:"
            for key, part in settings.items():
                yield from _part_lines(key, part, key in kind.parts, indent + "    ")


def _part_lines(key: str, part: Any, holds_layers: bool, indent: str) -> Iterator[str]:
    """A setting of a block: layers, a list of branches, or a plain one."""
    if not holds_layers or not part:
        yield f"{indent}{key}: {_flow(part)}"
    elif not isinstance(part[0], list):
        yield f"{indent}{key}:"
        yield from _layer_lines(part, indent + "  ")
    else:
        yield f"{indent}{key}:"
        for branch in part:
            first, *rest = [*_layer_lines(branch, indent + "    ")] or [f"{indent}    []"]
            yield f"{indent}  - {first.lstrip()}"
            yield from rest


def _flow(value: Any, width: float = float("inf")) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=width)
    return text.removesuffix("...\n").rstrip("\n")
