"""Reading the tab-separated tables that the rules write. A cell is text as it stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from promptflux.errors import StudyError


@dataclass(frozen=True)
class Prediction:
    """A row of a predictions table. `prompt`: its prompt's name, "" for a user's own image.

    `probabilities`: label -> 0..1, in the labels' order.
    """

    image: str
    prompt: str
    predicted: str
    confidence: float
    probabilities: dict[str, float]


def read_table(path: str | Path) -> Iterator[list[str]]:
    """Yield the cells of each line, the header's first."""
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            if line.rstrip("\n"):
                yield line.rstrip("\n").split("\t")


def read_predictions(path: str | Path) -> Iterator[Prediction]:
    """Yield the rows of `predictions/{classifier}/{engine}.tsv`; StudyError if it is not such a table."""
    lines = read_table(path)
    header = next(lines, [])
    if header[:4] != ["image", "prompt", "predicted", "confidence"]:
        raise StudyError(
            f"{path}: the columns begin with {', '.join(header[:4]) or 'nothing'}; "
            f"a predictions table begins with image, prompt, predicted, confidence."
        )
    for image, prompt, predicted, confidence, *probabilities in lines:
        by_label = dict(zip(header[4:], map(float, probabilities), strict=True))
        yield Prediction(image, prompt, predicted, float(confidence), by_label)
