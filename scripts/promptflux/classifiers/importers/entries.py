"""A network as it stands in a spec, with its weights: what an importer gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promptflux.classifiers.kind import Kind, Layer
from promptflux.classifiers.kinds import KINDS, required


@dataclass
class Entry:
    """A layer of a spec that has no name yet.

    settings: those that are not the defaults; what holds layers is in `branches`, in the order of the kind's parts.
    parameters: its weights, float32 arrays of PyTorch's shapes. said: what it was read from, for messages.
    """

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    branches: list[list[Entry]] = field(default_factory=list)
    said: str = ""

    def walk(self) -> Iterator[Entry]:
        """The entries of its branches and then itself, as `Layer.walk`."""
        for branch in self.branches:
            for entry in branch:
                yield from entry.walk()
        yield self


@dataclass(frozen=True)
class Network:
    """A network that was read from a file.

    layers: its chain. files: those that it was read from, the one that was named first. notes: what was left out or is computed otherwise, a
    sentence each.
    """

    layers: list[Entry]
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def spec_layers(self) -> list:
        """The value of `layers` in a spec."""
        return spec_layers(self.layers)

    def weights(self, layers: Sequence[Layer]) -> dict[str, np.ndarray]:
        """Its weights as `{layer}/{parameter}`, in the network's order; layers: those of the spec that `spec_layers` makes."""
        return {
            f"{layer.name}/{parameter}": entry.parameters[parameter]
            for entry, layer in zip(_walked(self.layers), _walked_layers(layers), strict=True)
            for parameter in layer.parameters
        }


def spec_layers(entries: Sequence[Entry]) -> list:
    """Entries as they stand in a spec: a name, or a name and its settings."""
    return [_spec_layer(entry) for entry in entries]


def _spec_layer(entry: Entry) -> str | dict[str, Any]:
    kind = KINDS[entry.kind]
    keys = [*kind.schema, *(key for key in entry.settings if key not in kind.schema)]
    settings = {
        key: _plain(entry.settings[key])
        for key in keys
        if key in entry.settings and not _usual(kind, key, entry.settings)
    }
    match entry.kind:
        case "residual":
            body, shortcut = map(spec_layers, entry.branches)
            settings = {"body": body} | ({"shortcut": shortcut} if shortcut else {}) | settings
        case "parallel":
            settings = {"branches": list(map(spec_layers, entry.branches))} | settings
        case "scale":
            settings = {"gate": spec_layers(entry.branches[0])} | settings
    if not settings and not required(kind):
        return entry.kind
    if kind.shorthand and list(settings) == [kind.shorthand]:
        return {entry.kind: settings[kind.shorthand]}
    return {entry.kind: settings}


def _usual(kind: Kind, key: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting is what it would be if it were not said."""
    if key in required(kind):
        return False
    others = {name: value for name, value in settings.items() if name != key}
    default = {**kind.defaults, **kind.settings(others)}.get(key)
    return default is not None and _plain(default) == _plain(settings[key])


def _plain(value: Any) -> Any:
    """A setting as YAML writes it: [3, 3] is 3."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        values = [_plain(part) for part in value]
        if len(values) == 4 and values[:2] == values[2:]:
            values = values[:2]
        return values[0] if len(values) == 2 and values[0] == values[1] else values
    return value.item() if isinstance(value, np.generic) else value


def _walked(entries: Sequence[Entry]) -> Iterator[Entry]:
    for entry in entries:
        yield from entry.walk()


def _walked_layers(layers: Sequence[Layer]) -> Iterator[Layer]:
    for layer in layers:
        yield from layer.walk()
