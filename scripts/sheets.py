"""Create the sheets of one batch of prompts: one image of each prompt as each variant makes it."""

from collections.abc import Mapping, Sequence

from promptflux.figures.of_study.variants_of_a_prompt import draw
from promptflux.figures.sheet import Style
from promptflux.paths import Results
from promptflux.runtime.job import progress
from promptflux.script import run


def main(
    *,
    rows: Sequence[Mapping],
    axes: Sequence[Mapping],
    variants: Sequence[str],
    sheets: Sequence[str],
    style: Mapping,
) -> None:
    """Write a sheet for each prompt to `sheets`, in the results that these lie in.

    rows: of each prompt its `name` and its `text`. axes: of each its `title` and the titles of its `values`.
    variants: their names, in the order of the product of the axes. style: the fields of `Style`. An image that
    cannot be read leaves a marked gap.
    """
    results = Results.of(sheets[0])
    work = list(zip(rows, sheets, strict=True))
    for row, sheet in progress(work, "sheets", "sheet"):
        images = results.images(f"{variant}/{row['name']}_1" for variant in variants)
        draw(row["name"], row["text"], axes, images, Style(**style)).save(sheet)


if "snakemake" in globals():
    run(main, snakemake)
