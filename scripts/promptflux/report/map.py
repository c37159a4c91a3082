"""What the report shows of where the images lie."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from promptflux.files.tables import read_table

MOST_DUPLICATES = 12  # pairs that are shown
MOST_NEAREST = 6


def read_map(files: Mapping[str, str]) -> dict[str, Any]:
    """The tables of a classifier's map. files: the paths of `duplicates` and `nearest`, as far as there are such.

    `duplicates`: None, or the first pairs as `rows` of image, other, distance, pixels and what was the same, the `count`
    of all, and of how many `images` they are. `nearest`: None, or the `rows` of the generated images that lie nearest to one of
    the user's own: image, own, distance and pixels ("" where they were not compared), and the `count` of all.
    """
    found: dict[str, Any] = {"duplicates": None, "nearest": None}
    if "duplicates" in files:
        lines = islice(read_table(files["duplicates"]), 1, None)
        rows = list(lines)
        images = {name for row in rows for name in row[:2]}
        found["duplicates"] = {"rows": rows[:MOST_DUPLICATES], "count": len(rows), "images": len(images)}
    if "nearest" in files:
        first = [row for row in islice(read_table(files["nearest"]), 1, None) if row[1] == "1"]
        ranked = sorted(first, key=lambda row: float(row[3]))
        found["nearest"] = {
            "rows": [[row[0], *row[2:5]] for row in ranked[:MOST_NEAREST]],
            "count": len(first),
        }
    return found


def shown_images(maps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The images that the sections name, each once."""
    parts = [part for it in maps for part in (it["duplicates"], it["nearest"]) if part]
    return list(dict.fromkeys(name for part in parts for row in part["rows"] for name in row[:2]))
