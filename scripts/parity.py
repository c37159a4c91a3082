"""Compare an engine with the reference layer by layer: a table, a figure and a verdict."""

import sys
from collections.abc import Mapping, Sequence

from promptflux.classifiers.parity import compare, compare_maps, complaint
from promptflux.errors import StudyError
from promptflux.figures.of_study.parity import draw
from promptflux.figures.sheet import Style
from promptflux.files.whole import whole
from promptflux.runtime.job import note
from promptflux.script import run

COLUMNS = ("layer", "images", "shape", "compared", "max_abs_diff", "max_rel_diff", "verdict")


def main(
    *,
    classifier: str,
    titles: Sequence[str],
    predictions: Sequence[str],
    reference: Sequence[str],
    explanations: Sequence[str] = (),
    reference_explanations: Sequence[str] = (),
    table: str,
    figure: str,
    style: Mapping,
) -> None:
    """Write the table and the figure of what differs between an engine and the reference on the same tensors.

    titles: what people call the engine and the reference. predictions, reference: their
    predictions files of the same batches. explanations, reference_explanations: their explanations files, of those batches that
    have some. style: the fields of `Style`. The columns of the
    table: layer, images compared, shape, how many of an image's values were compared, largest absolute
    difference, that relative to the layer's largest value, verdict. The last row, `label`, counts the images whose predicted
    label differs. Raises StudyError after writing both if a probability differs by more than 1e-4,
    a layer in one step by more than 1e-5 of its largest value, a map of occlusion by twice what a probability may, one of Grad-CAM by
    1e-3 of what is added up in it, or a label; the table is then in the log, too.
    """
    parity = compare(predictions, reference, titles)
    compare_maps(parity, explanations, reference_explanations)
    parity.judge()
    text = "".join("\t".join(cells) + "\n" for cells in [COLUMNS, *parity.rows()])
    with whole(table) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    draw(parity, classifier, Style(**style)).save(figure)
    if parity.failed:
        print(text, file=sys.stderr)
        raise StudyError(complaint(parity, classifier))
    worst = parity.probabilities.abs_diff
    both = " and ".join(titles)
    note(f"{classifier}: {both} agree on {parity.images} images (probabilities to {worst:.1e})")


if "snakemake" in globals():
    run(main, snakemake)
