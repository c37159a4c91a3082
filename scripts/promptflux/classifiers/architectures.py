"""Networks that are ready: a spec names one in place of its layers.

An architecture is a file as a spec is, without weights; what a spec says itself comes first. Its layers say which
module of a checkpoint has their parameters.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptflux.classifiers.kinds import KINDS
from promptflux.errors import StudyError, plain, shown

ARCHITECTURES = Path(__file__).resolve().parents[3] / "models/architectures"
# What an architecture may say; a spec says it, too, and then that counts.
SAID = ("description", "input", "layers", "labels")


def find_architecture(entry: str, spec: Path) -> Path:
    """The file of the architecture that a spec names, by its name or by a path beside the spec."""
    if entry.endswith((".yaml", ".yml")):
        path = spec.parent / entry
        if not os.path.isfile(path):
            raise StudyError(
                f"{plain(spec)}: architecture is {shown(entry)}, and there is no file {plain(path)}."
            )
        return path
    known = {path.stem: path for path in sorted(ARCHITECTURES.glob("*.yaml"))}
    if entry not in known:
        raise StudyError(
            f"{plain(spec)}: the architecture {shown(entry)} is unknown; known are {', '.join(known)}, "
            f"and a path of a file with layers (.yaml) is welcome."
        )
    return known[entry]


def with_outputs(layers: Sequence[Any], count: int) -> list[Any]:
    """`layers` as a spec has them, with `count` outputs of the last layer that says how many it has."""
    changed = list(layers)
    for index in reversed(range(len(changed))):
        entry = changed[index]
        [(name, given)] = entry.items() if isinstance(entry, Mapping) else [(entry, {})]
        if "out" in KINDS[name].schema:
            changed[index] = {name: {**(given if isinstance(given, Mapping) else {}), "out": count}}
            break
    return changed
