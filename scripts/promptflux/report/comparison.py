"""What the report shows of other studies beside this one, from the tables of the comparison."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from promptflux.figures.of_study import studies_beside
from promptflux.files.tables import read_table

MOST_DIFFERENCES, MOST_LABELS, MOST_IMAGES = 60, 40, 20
SHOWN_METRICS = (
    "right",
    "right, of the images of both",
    "right, here less there",
    "confidence",
)  # of all images


def read_comparison(
    other: str, files: Mapping[str, str], link: Callable[[str], str], picture: Callable[[str], dict]
) -> dict[str, Any]:
    """What the page shows of one comparison. files: its tables and its figure, by name; link, picture: see `page`."""
    differences, images = _rows(files["differences.tsv"]), _rows(files["images.tsv"])
    labels, metrics = _rows(files["labels.tsv"]), _rows(files["metrics.tsv"])
    differing = [row for row in images if row["mean_difference"] not in ("", "0")]
    return {
        "name": other,
        "differences": [_said(row) for row in differences[:MOST_DIFFERENCES]],
        "difference_count": len(differences),
        "verdicts": dict(Counter(row["verdict"] for row in images)),
        "largest": sorted(differing, key=lambda row: -float(row["mean_difference"]))[:MOST_IMAGES],
        "labels": labels[:MOST_LABELS],
        "label_count": len(labels),
        "metrics": [
            {**row, "here": _number(row, ""), "there": _number(row, "_there")}
            for row in metrics
            if row["metric"] in SHOWN_METRICS and not row["variant"] and not row["label"] and not row["other"]
        ],
        "picture": picture(files["images.png"]) | {"caption": studies_beside.CAPTION},
        "links": {name: link(path) for name, path in files.items() if name.endswith(".tsv")},
    }


def _said(row: Mapping[str, str]) -> str:
    """A difference in words."""
    if not row["here"]:
        return f"{row['what']} is there alone: {row['there']}"
    if not row["there"]:
        return f"{row['what']} is here alone: {row['here']}"
    return f"{row['what']} is {row['here']} here, and {row['there']} there"


def _number(row: Mapping[str, str], where: str) -> str:
    value, low, high, n = (row[f"{key}{where}"] for key in ("value", "low", "high", "n"))
    if not value:
        return "–"
    interval = f" ({float(low):.3f} to {float(high):.3f})" if low else ""
    return f"{float(value):.3f}{interval}, n = {n}"


def _rows(path: str) -> list[dict[str, str]]:
    header, *rows = read_table(path)
    return [dict(zip(header, row, strict=True)) for row in rows]
