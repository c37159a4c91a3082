"""Which images are in which batch, and so in which files of tensors and predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from promptflux.errors import StudyError, plain
from promptflux.files.tables import read_table
from promptflux.files.whole import whole

COLUMNS = ["batch", "image"]


def write_batches(path: str | Path, batches: Mapping[str, Sequence[str]]) -> None:
    """Write a row for each image, in the order of its batch."""
    rows = [COLUMNS, *([batch, image] for batch, images in batches.items() for image in images)]
    with whole(path) as partial:
        partial.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8", newline="\n")


def read_batches(path: str | Path) -> dict[str, list[str]]:
    """The images of each batch. Raises StudyError if it is not such a table, or has no image."""
    try:
        header, *rows = read_table(path)
        found: dict[str, list[str]] = {}
        for batch, image in rows:
            found.setdefault(batch, []).append(image)
    except (OSError, ValueError):
        header, found = [], {}
    if header != COLUMNS or not found:
        raise StudyError(
            f"{plain(path)}: this is not a table of the columns {' and '.join(COLUMNS)}, or it is damaged."
        )
    return found
