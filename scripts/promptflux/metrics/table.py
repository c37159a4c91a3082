"""The table of metrics: long and tidy, a row for each number."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from promptflux.errors import StudyError
from promptflux.files.tables import read_table
from promptflux.files.whole import whole

# Groups of images beside the variants, whose names have no parentheses.
GENERATED = "(generated)"
OWN = "(own images)"
TOP = 3
# Of more variants each is compared with the first alone: all pairs would grow with their square.
MOST_COMPARED = 12


@dataclass(frozen=True)
class Estimate:
    """A number and its interval. low, high: None where too few images give none. n: images or pairs it is of."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Metric:
    """A number.

    what: which, see docs/metrics.md. engine: that saw the images. variant: of whose images it is, GENERATED or OWN, or ""
    for all. label: that it is of, the edges of a bin of confidence, or why images are left out; "" if it is of none. other: what is compared with: a
    variant, a classifier or an engine. low, high: its interval, None if it has none. level: of this
    interval, 0..1. n: how many images, or pairs, it is of.
    """

    what: str
    engine: str
    variant: str
    label: str
    other: str
    value: float
    low: float | None
    high: float | None
    level: float | None
    n: int


HEADER = [field.name for field in fields(Metric)]


def write_metrics(path: str | Path, metrics: Iterable[Metric]) -> None:
    """Write a row for each metric; numbers with six decimals, "" for what is not there."""
    with whole(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(HEADER) + "\n")
        for it in metrics:
            numbers = [_cell(value) for value in (it.value, it.low, it.high, it.level)]
            file.write(
                "\t".join([it.what, it.engine, it.variant, it.label, it.other, *numbers, str(it.n)]) + "\n"
            )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def read_metrics(path: str | Path) -> list[Metric]:
    """The rows of a table of `write_metrics`; StudyError if it is none."""
    header, *rows = read_table(path) if Path(path).stat().st_size else [[]]
    if header != HEADER:
        raise StudyError(
            f"{path}: the columns are {', '.join(header) or 'none'}; a table of metrics has {', '.join(HEADER)}."
        )
    return [_metric(row) for row in rows]


def _metric(row: list[str]) -> Metric:
    what, engine, variant, label, other, value, *interval, n = row
    low, high, level = (float(cell) if cell else None for cell in interval)
    return Metric(what, engine, variant, label, other, float(value), low, high, level, int(n))
