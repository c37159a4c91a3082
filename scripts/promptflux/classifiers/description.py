"""The description of a network: a spec resolved, and all that an engine needs to know to build it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptflux.classifiers.kind import Layer, Shape
from promptflux.images.inputs import InputSpec


@dataclass(frozen=True)
class Description:
    """A network, resolved.

    name: of the classifier. source: the file that it was read from, for messages. labels: of
    the outputs, in order.
    """

    name: str
    source: str
    input: InputSpec
    layers: tuple[Layer, ...]
    labels: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, Shape]:
        """The name `{layer}/{parameter}` and the shape of every parameter, in the network's order."""
        return {
            f"{layer.name}/{parameter}": shape
            for layer in self.layers
            for parameter, shape in layer.parameters.items()
        }

    def layers_of(self, kind: str) -> list[Layer]:
        """The layers of one kind, in the network's order."""
        return [layer for layer in self.layers if layer.kind == kind]

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON knows it; what it was read from is no part of it."""
        return {
            "name": self.name,
            "input": self.input.to_dict(),
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "settings": dict(layer.settings),
                    "in_shape": layer.in_shape,
                    "shape": layer.shape,
                    "parameters": dict(layer.parameters),
                }
                for layer in self.layers
            ],
            "labels": list(self.labels),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], source: str) -> "Description":
        """The inverse of `to_dict`."""
        return cls(
            name=fields["name"],
            source=source,
            input=InputSpec.from_dict(fields["input"]),
            layers=tuple(
                Layer(
                    name=layer["name"],
                    kind=layer["kind"],
                    settings={key: _tuple(value) for key, value in layer["settings"].items()},
                    in_shape=tuple(layer["in_shape"]),
                    shape=tuple(layer["shape"]),
                    parameters={name: tuple(shape) for name, shape in layer["parameters"].items()},
                )
                for layer in fields["layers"]
            ),
            labels=tuple(fields["labels"]),
        )

    @property
    def digest(self) -> str:
        """A SHA-256 over the description, as 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
