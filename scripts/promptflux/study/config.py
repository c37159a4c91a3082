"""The config: the workflow's defaults with the user's changes over them, and where its paths lead."""

import os
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from promptflux.documents import read_yaml
from promptflux.errors import StudyError, plain

CONFIG = "config.yaml"
# What somebody calls it who means CONFIG, or an editor that adds a suffix; in lower case.
MISNAMED = {"config.yml", "config.yaml", "config.yaml.txt", "config.yml.txt"}


def read_config(path: str | Path) -> dict:
    """The mapping of a config file. Raises StudyError with a sentence for anything else."""
    value = read_yaml(path, "config")
    if not isinstance(value, dict):
        held = "nothing" if value is None else f"a {'list' if isinstance(value, list) else 'single value'}"
        raise StudyError(
            f"{plain(path)}: the config holds {held}; it must hold settings such as `prompts: prompts.tsv`, "
            f"or not be there for the default study."
        )
    return value


def has_config(folder: str | Path = ".") -> bool:
    """Whether a folder has a CONFIG; one that is a folder or a broken link counts, so that it is not passed over.

    Raises StudyError if there is none, and a file that somebody takes for one.
    """
    if os.path.lexists(Path(folder, CONFIG)):
        return True
    if others := sorted(name for name in os.listdir(folder) if name.lower() in MISNAMED):
        raise StudyError(
            f"{plain(others[0])}: a config of this name is not read; call it {CONFIG}, or pass it with --configfile."
        )
    return False


def user_config(
    files: Iterable[str | Path], settings: Mapping, only_these: bool = False
) -> tuple[dict, bool]:
    """What the user wants other than the defaults, and whether the working folder's CONFIG has a part in it.

    As Snakemake lays them over each other: CONFIG, `files` (--configfile), `settings` (--config).
    only_these: leave out CONFIG (--replace-workflow-config). Raises StudyError with a sentence for
    each file that cannot be read.
    """
    files = list(files)
    found: list[str] = []
    changes: dict = {}
    has_own = False
    try:
        has_own = (
            not (only_these and (files or settings))
            and (not files or os.path.lexists(CONFIG))
            and has_config()
        )
    except StudyError as error:
        found.extend(error.args)
    for file in [CONFIG, *files] if has_own else files:
        try:
            changes = overlay(changes, read_config(file))
        except StudyError as error:
            found.extend(error.args)
    if found:
        raise StudyError(*found)
    return overlay(changes, settings), has_own


def overlay(defaults: Mapping, changes: Mapping) -> dict:
    """`defaults` with the keys of `changes` in their place, mappings merged key by key."""
    merged: dict[Any, Any] = deepcopy(dict(defaults))
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
        if os.path.exists(candidate):  # False, where Path.exists raises, for a name that is too long
            return Path(path) if folder == folders[0] else candidate
    return None
