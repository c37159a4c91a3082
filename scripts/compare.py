"""Hold a study beside another finished one: what was asked otherwise, the images, the labels and the metrics of both."""

from collections.abc import Mapping

from promptflux.figures.of_study.studies_beside import PairOfImages, draw
from promptflux.figures.sheet import Style
from promptflux.opened.beside import (
    compare_images,
    differences,
    in_turns,
    metrics_beside,
    pairs,
    said_of_both,
    summary,
    write_differences,
    write_images,
    write_labels,
    write_metrics_beside,
)
from promptflux.paths import HERE, Results
from promptflux.runtime.job import note
from promptflux.script import run
from promptflux.study.finished import find_finished


def main(
    *,
    folder: str,
    other: str,
    asked_otherwise: str,
    image_pairs: str,
    labels: str,
    beside: str,
    figure: str,
    style: Mapping,
) -> None:
    """Write the four tables and the figure; see `promptflux.opened.beside`.

    folder: the results of the other study, which is called `other` here. Raises StudyError if it is not finished, or
    damaged.
    """
    here, there = find_finished(Results.of(figure)()), find_finished(folder)
    found = differences(here, there)
    write_differences(asked_otherwise, found)
    compared = list(compare_images(here, there, pairs(here.asked, there.asked)))
    write_images(image_pairs, compared)
    said = list(said_of_both(here, there, [it.pair for it in compared]))
    changed = write_labels(labels, said)
    write_metrics_beside(beside, metrics_beside(here, there, said))
    shown = [
        PairOfImages(title, here(HERE.image(image)), there(HERE.image(its_like)), verdict)
        for title, image, its_like, verdict in in_turns(compared)
    ]
    draw(f"This study beside {other}", shown, Style(**style)).save(figure)
    note(f"{other}: {summary(found, compared, changed, len(said))}")


if "snakemake" in globals():
    run(main, snakemake)
