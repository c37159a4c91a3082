"""Reading tab-separated tables: those that the rules write, and those that people bring."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from promptflux.errors import StudyError

FIRST_COLUMNS = ["image", "prompt", "predicted", "confidence"]  # of predictions; then the labels
MOST_CELLS = 100  # of a line that is looked at; no such table has as many columns


@dataclass(frozen=True)
class Prediction:
    """A row of a predictions table. `prompt`: its prompt's name, "" for a user's own image.

    `variant`: "" for a user's own image, and in a study without variants. `probabilities`: label -> 0..1, in the labels' order.
    """

    image: str
    variant: str
    prompt: str
    predicted: str
    confidence: float
    probabilities: dict[str, float]


def rows_of(text: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the number and the cells of each line of a table that somebody brought; lines without any are left out.

    Cells are stripped, and empty ones at the end of a line are dropped. A cell that begins with
    a quote is read as spreadsheets and the csv module write it, `"a ""big"" tree"`, if that
    is what it is; all other quotes are text: `5" tall`, `"it's" and more`. What opens a
    quote and does not close it on its line may hold a line break or be a slip: in place
    of cells there is a sentence, and the line breaks of the cell open no rows.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    number = 0
    while number < len(lines):
        line, number = lines[number], number + 1
        cells = _cells(line) if line.count("\t") < MOST_CELLS else ["..."] * MOST_CELLS
        if cells is None:
            end = next((n for n in range(number, len(lines)) if lines[n].count('"') % 2), None)
            if end is None:
                yield (
                    number,
                    'a cell begins with a quote (") that nothing closes; if it is meant, write """ for it '
                    "and a quote at the end of the cell.",
                )
            else:
                yield (
                    number,
                    f"a cell in quotes goes on to line {end + 1}; write each prompt on a line of its own.",
                )
                number = end + 1
        elif any(cells):
            yield number, cells


def _cells(line: str) -> list[str] | None:
    """The cells of a line; None if one opens a quote that the line does not close."""
    try:
        [cells] = csv.reader([line], delimiter="\t", strict=True) if line else [[]]
    except csv.Error:
        cells = []
        for raw in line.split("\t"):
            try:
                cells += next(csv.reader([raw], delimiter="\t", strict=True)) or [""]
            except csv.Error:  # not as a spreadsheet writes it, so the quotes are text
                if raw.startswith('"') and raw.count('"') % 2:
                    return None
                cells.append(raw)
    cells = [cell.strip() for cell in cells]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def read_table(path: str | Path) -> Iterator[list[str]]:
    """Yield the cells of each line of a table of the rules, the header's first. A cell is text as it stands."""
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            if line.rstrip("\n"):
                yield line.rstrip("\n").split("\t")


def read_predictions(path: str | Path) -> Iterator[Prediction]:
    """Yield the rows of `predictions/{classifier}/{engine}.tsv`; StudyError if it is not such a table."""
    lines = read_table(path)
    header = next(lines, [])
    has_variants = header[:5] == ["image", "variant", *FIRST_COLUMNS[1:]]
    if not has_variants and header[:4] != FIRST_COLUMNS:
        raise StudyError(
            f"{path}: the columns begin with {', '.join(header[:4]) or 'nothing'}; "
            f"a predictions table begins with image, prompt, predicted, confidence."
        )
    for image, *others in lines:
        variant = others.pop(0) if has_variants else ""
        prompt, predicted, confidence, *probabilities = others
        by_label = dict(zip(header[4 + has_variants :], map(float, probabilities), strict=True))
        yield Prediction(image, variant, prompt, predicted, float(confidence), by_label)
