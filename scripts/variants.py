"""Create the tables with a row for each variant, and a figure along each numeric axis."""

from collections.abc import Mapping, Sequence

from promptflux.figures.of_study.along_an_axis import draw
from promptflux.figures.sheet import Style
from promptflux.metrics.truth import read_truth
from promptflux.report.variants import (
    panels_along,
    read_answers,
    read_costs_of_variants,
    write_answers,
    write_costs_of_variants,
)
from promptflux.script import run


def main(
    *,
    predictions: Sequence[str],
    truth: Sequence[str],
    costs: Sequence[str],
    classifiers: Mapping[str, Sequence[str]],
    variants: Sequence[Mapping],
    axes: Sequence[Mapping],
    answers: Sequence[str],
    costs_table: str,
    figures: Sequence[str] = (),
    style: Mapping,
) -> None:
    """Write a table of each classifier to `answers`, that of time and memory to `costs_table`, and `figures`.

    predictions: a table of each classifier, of one engine. truth: of each what was asked. costs: what the images of
    each batch cost. classifiers: their labels, by name. variants: of each its `name`, its `settings` as titles and its
    `place` on each axis. axes: of each its `title` and, if its values are numbers, these as `numbers`; there is a figure
    for each of those. style: the fields of `Style`.
    """
    said = {
        name: read_answers(table, read_truth(asked))
        for table, asked, name in zip(predictions, truth, classifiers, strict=True)
    }
    for path, (name, labels) in zip(answers, classifiers.items(), strict=True):
        write_answers(path, variants, said[name], labels)
    measured = read_costs_of_variants(costs)
    write_costs_of_variants(costs_table, variants, measured)
    drawn = [(number, axis) for number, axis in enumerate(axes) if axis["numbers"]]
    for path, (number, axis) in zip(figures or (), drawn, strict=True):
        draw(axis["title"], panels_along(axis, number, variants, said, measured), Style(**style)).save(path)


if "snakemake" in globals():
    run(main, snakemake)
