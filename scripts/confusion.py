"""Create the table of what was asked of each image, and its confusion with what was predicted, as a table and a figure."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from promptflux.errors import StudyError
from promptflux.figures.of_study.confusion import draw
from promptflux.figures.sheet import Style
from promptflux.files.tables import read_predictions
from promptflux.files.tensors import unreadable_images
from promptflux.files.whole import whole
from promptflux.generation.prompts import read_prompts
from promptflux.metrics.truth import NO_TRUTH, Truth, own_labels, write_truth
from promptflux.script import run


def main(
    *,
    predictions: str,
    prompts: Sequence[str],
    tensors: Sequence[str],
    labels: Sequence[str],
    image_labels: Mapping[str, Sequence[str]],
    classifier: str,
    truth: str,
    table: str,
    figure: str,
    style: Mapping,
) -> None:
    """Count the images by the label that is asked of them and the label that was predicted.

    predictions: a table of one engine. prompts: the prompts table, if there is one; an image
    without a prompt is the user's own. tensors: of all images, which say where a test pattern stands in. labels: the classifier's, in order. image_labels: the names of the user's own
    images by their label, if that is known. truth: what is asked of each image, see `write_truth`. table: the counts as
    tab-separated text, a row for each label that is asked. figure: the same as a PNG.
    style: the fields of `Style`. Raises StudyError if there are no predictions.
    """
    rows_of_table = [prompt for path in prompts for prompt in read_prompts(path)]
    known = Truth(labels, rows_of_table, own_labels(image_labels), unreadable_images(tensors))
    asked = {}
    counts: Counter[tuple[str, str]] = Counter()
    for row in read_predictions(predictions):
        asked[row.image] = it = known.of(row.image, row.prompt)
        counts[it.label or it.source, row.predicted] += 1
    if not counts:
        raise StudyError(f"{predictions}: the table has no rows; there is nothing to count.")
    rows = [name for name in [*labels, *NO_TRUTH] if any(row == name for row, _ in counts)]
    matrix = np.array([[counts[row, label] for label in labels] for row in rows])

    write_truth(truth, asked)
    lines = [["asked", *labels]] + [[name, *map(str, line)] for name, line in zip(rows, matrix, strict=True)]
    with whole(table) as path:
        path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    draw(matrix, rows, labels, classifier, Style(**style)).save(figure)


if "snakemake" in globals():
    run(main, snakemake)
