"""The description of a network: a spec resolved, and all that an engine needs to know to build it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from promptflux.classifiers.kind import Layer, Shape
from promptflux.images.inputs import InputSpec


@dataclass(frozen=True)
class Description:
    """A network, resolved.

    name: of the classifier. source: the file that it was read from, for messages. layers: the
    chain; a layer that is a block holds others. labels: of the outputs, in order.
    """

    name: str
    source: str
    input: InputSpec
    layers: tuple[Layer, ...]
    labels: tuple[str, ...]

    def walk(self) -> Iterator[Layer]:
        """All layers, those inside of blocks, too, in the order in which they are computed."""
        for layer in self.layers:
            yield from layer.walk()

    @property
    def parameters(self) -> dict[str, Shape]:
        """The name `{layer}/{parameter}` and the shape of every parameter, in the network's order."""
        return {
            f"{layer.name}/{parameter}": shape
            for layer in self.walk()
            for parameter, shape in layer.parameters.items()
        }

    def layers_of(self, kind: str) -> list[Layer]:
        """The layers of one kind, in the network's order."""
        return [layer for layer in self.walk() if layer.kind == kind]

    @property
    def most_values(self) -> int:
        """The most values of one image that are held at one time while the network runs layer after layer."""
        return _most_values(self.layers, self.input.shape)

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON knows it; what it was read from is no part of it."""
        return {
            "name": self.name,
            "input": self.input.to_dict(),
            "layers": [_fields(layer) for layer in self.layers],
            "labels": list(self.labels),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], source: str) -> "Description":
        """The inverse of `to_dict`."""
        return cls(
            name=fields["name"],
            source=source,
            input=InputSpec.from_dict(fields["input"]),
            layers=tuple(_layer(layer) for layer in fields["layers"]),
            labels=tuple(fields["labels"]),
        )

    @property
    def digest(self) -> str:
        """A SHA-256 over the description, as 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _most_values(layers: Sequence[Layer], shape: Shape) -> int:
    most = prod(shape)
    for layer in layers:
        taken, held = prod(layer.in_shape), 0
        for branch in layer.branches:
            most = max(most, taken + held + _most_values(branch, layer.in_shape))
            held += prod(branch[-1].shape) if branch else 0
        most = max(most, taken + held + prod(layer.shape))
    return most


def _fields(layer: Layer) -> dict[str, Any]:
    fields = {
        "name": layer.name,
        "kind": layer.kind,
        "settings": dict(layer.settings),
        "in_shape": layer.in_shape,
        "shape": layer.shape,
        "parameters": dict(layer.parameters),
    }
    # Said of blocks alone: the digests of chains are on record.
    if layer.branches:
        fields["branches"] = [[_fields(inner) for inner in branch] for branch in layer.branches]
    return fields


def _layer(fields: Mapping[str, Any]) -> Layer:
    return Layer(
        name=fields["name"],
        kind=fields["kind"],
        settings={key: _tuple(value) for key, value in fields["settings"].items()},
        in_shape=tuple(fields["in_shape"]),
        shape=tuple(fields["shape"]),
        parameters={name: tuple(shape) for name, shape in fields["parameters"].items()},
        branches=tuple(tuple(map(_layer, branch)) for branch in fields.get("branches", ())),
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
