"""Create the figures of single images: what the network got, what it saw in it, and what it answered."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

from promptflux.classifiers.description import Description
from promptflux.classifiers.weights import load_description
from promptflux.figures.catalog import drawings
from promptflux.figures.sheet import Style
from promptflux.figures.subject import read_subject
from promptflux.runtime.job import progress
from promptflux.script import run


def main(
    *,
    tensors: str,
    predictions: str,
    model: str,
    images: Sequence[str],
    explained: Sequence[str] = (),
    explanations: str | None = None,
    layers: Sequence[str],
    figures: Sequence[str],
    threads: int,
    style: Mapping,
) -> None:
    """Write the figures of `images` to `figures`, each in a folder of its own.

    tensors, predictions: HDF5 files of one batch, the latter of one engine and with the
    layers of `images`. explained: those of `images` that get the figures of why, whose maps are in `explanations`, HDF5. model: the classifier's model file. layers: those whose feature maps are drawn. style: the fields of `Style`.
    Raises StudyError if an image, its layers or the colormap is missing.
    """
    folder = Path(figures[0]).parents[1 + images[0].count("/")]  # a variant is a folder of its own
    draw = partial(
        draw_image,
        tensors,
        predictions,
        dict.fromkeys(explained, explanations),
        load_description(model),
        layers,
        folder,
        Style(**style),
    )
    workers = min(threads, len(images))
    # Only a forked process can take part: a spawned one would run the calling script once more.
    if workers > 1 and "fork" in get_all_start_methods():
        with ProcessPoolExecutor(workers, get_context("fork")) as pool:
            list(progress(pool.map(draw, images), "figures", "image", len(images)))
    else:
        for image in progress(images, "figures", "image"):
            draw(image)


def draw_image(
    tensors: str,
    predictions: str,
    explanations: Mapping[str, str | None],
    description: Description,
    layers: Sequence[str],
    folder: Path,
    style: Style,
    image: str,
) -> None:
    """Write all figures of one image to `folder/{image}/`; explanations: of each image that is explained, the file."""
    wanted = drawings(description, layers, image in explanations)
    shown = [drawing.layer for drawing in wanted if drawing.layer]
    subject = read_subject(tensors, predictions, description, shown, image, explanations.get(image))
    for drawing in wanted:
        drawing.draw(subject, style).save(folder / image / f"{drawing.file}.png")


if "snakemake" in globals():
    run(main, snakemake)
