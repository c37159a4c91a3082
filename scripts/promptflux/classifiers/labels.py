"""The labels of a spec from a text file, one a line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptflux.documents import read_text
from promptflux.errors import StudyError, plain, shown

READY = Path(__file__).resolve().parents[3] / "models/labels"  # `labels: imagenet` is imagenet.txt
MOST_TEXT = 10_000_000


def with_labels(value: Mapping[str, Any], path: Path) -> tuple[Mapping[str, Any], Path | None]:
    """A spec's mapping with the list of its labels; and the file that they come from, if it names one.

    path: of the spec. A name without a suffix is that of a list in models/labels, if there is one; anything else the
    path of a file, from the spec's folder. Raises StudyError for a file that is none, and names its line for an
    empty label and one that is there twice.
    """
    entry = value.get("labels")
    if not isinstance(entry, str):
        return value, None
    ready = {file.stem: file for file in READY.glob("*.txt")}
    file = ready.get(entry, path.parent / entry)
    if not os.path.isfile(file):
        raise StudyError(
            f"{plain(path)}: labels is {shown(entry)}, and there is no file {plain(file)}; it must be a list of names, "
            f"the path of a text file with a name on each line, or {' or '.join(sorted(ready))}."
        )
    return {**value, "labels": read_labels(file)}, file


def read_labels(file: Path) -> list[str]:
    """The lines of a text file, without the spaces around them."""
    lines = [line.strip(" \t\r") for line in read_text(file, "list of labels", MOST_TEXT).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    first: dict[str, int] = {}
    found = []
    for number, label in enumerate(lines, start=1):
        if not label:
            found.append(
                f"{plain(file)}, line {number}: it is empty; a list of labels has a name on each line."
            )
        elif label in first:
            found.append(f"{plain(file)}, line {number}: {shown(label)} stands in line {first[label]}, too.")
        first.setdefault(label, number)
    if found or not lines:
        raise StudyError(*(found[:20] or [f"{plain(file)}: the list of labels is empty."]))
    return lines
