"""Create the confusion of what was asked against what was predicted, as a table and as a figure."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from promptflux.errors import StudyError
from promptflux.figures.of_study.confusion import NONE_NAMED, OWN_IMAGES, draw, named_label
from promptflux.figures.sheet import Style
from promptflux.files.tables import read_predictions
from promptflux.files.whole import whole
from promptflux.generation.prompts import read_prompts
from promptflux.script import run


def main(
    *,
    predictions: str,
    prompts: Sequence[str],
    labels: Sequence[str],
    classifier: str,
    table: str,
    figure: str,
    style: Mapping,
) -> None:
    """Count the images by the label that their prompt names and the label that was predicted.

    predictions: a table of one engine. prompts: the prompts table, if there is one; an image
    without a prompt is the user's own. labels: the classifier's, in order. table: the counts as
    tab-separated text, a row for each label that a prompt names. figure: the same as a PNG.
    style: the fields of `Style`. Raises StudyError if there are no predictions.
    """
    asked = {prompt.name: prompt.prompt for path in prompts for prompt in read_prompts(path)}
    counts: Counter[tuple[str, str]] = Counter()
    for row in read_predictions(predictions):
        name = named_label(asked[row.prompt], labels) if row.prompt else OWN_IMAGES
        counts[name, row.predicted] += 1
    if not counts:
        raise StudyError(f"{predictions}: the table has no rows; there is nothing to count.")
    rows = [name for name in [*labels, NONE_NAMED, OWN_IMAGES] if any(row == name for row, _ in counts)]
    matrix = np.array([[counts[row, label] for label in labels] for row in rows])

    lines = [["asked", *labels]] + [[name, *map(str, line)] for name, line in zip(rows, matrix, strict=True)]
    with whole(table) as path:
        path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    draw(matrix, rows, labels, classifier, Style(**style)).save(figure)


if "snakemake" in globals():
    run(main, snakemake)
