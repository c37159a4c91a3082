"""Create the gallery: a wall of the study's images, those of one prompt side by side under its text."""

from collections.abc import Mapping, Sequence

from promptflux.figures.of_study.gallery import Group, draw
from promptflux.figures.sheet import Style
from promptflux.script import run


def main(
    *,
    rows: Sequence[Mapping],
    sources: Mapping[str, str],
    total: int,
    figure: str,
    style: Mapping,
    note: str = "",
) -> None:
    """Write the gallery as a PNG.

    rows: of each its `name`, its first `images`, a caption for each in `captions` (its prompt, or
    its own name; if they are all the same it is shown once), and the `count` of all its images.
    sources: image -> its file. total: how many rows the whole study has. note: what the captions say, where that
    is not plain. style: the fields of
    `Style`. A picture that cannot be read leaves a marked gap.
    """
    groups = [Group(**{**row, "images": [sources[image] for image in row["images"]]}) for row in rows]
    draw(groups, total, Style(**style), note).save(figure)


if "snakemake" in globals():
    run(main, snakemake)
