"""The config: the workflow's defaults with the user's changes over them, and where its paths lead."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path


def overlay(defaults: Mapping, changes: Mapping) -> dict:
    """`defaults` with the keys of `changes` in their place, mappings merged key by key."""
    merged = deepcopy(dict(defaults))
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = overlay(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def find(path: str, folders: Sequence[Path]) -> Path | None:
    """The first existing `folder / path`, relative to the first folder where it lies there."""
    for folder in folders:
        candidate = Path(folder) / path
        if candidate.exists():
            return Path(path) if folder == folders[0] else candidate
    return None
