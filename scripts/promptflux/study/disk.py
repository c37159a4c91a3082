"""The room on the disk that a study takes, reckoned before its first job."""

import os
import shutil
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

from promptflux.classifiers.before_last import before_last
from promptflux.classifiers.kept import kept_bytes
from promptflux.errors import StudyError
from promptflux.paths import Results
from promptflux.study.engines import Engine
from promptflux.study.resources import image_pixels
from promptflux.study.study import Study

# Bytes, on the low side, so that no study is refused that fits.
PNG_PIXEL = 1.5  # of a generated image; measured 1.0 to 1.6 of those of models/scenes
PICTURE_PIXEL = 0.5  # of a preprocessed picture and channel
FIGURE = 100_000  # measured: 125 KB of the default study's
SPARE = 50_000_000  # logs, records, Snakemake's own files


def disk_bytes(study: Study, engines: Sequence[Engine]) -> int:
    """What the results of a study take, in bytes: an estimate on the low side."""
    return round(sum(_parts(study, engines))) + SPARE


def _parts(study: Study, engines: Sequence[Engine]) -> Iterator[float]:
    images = sum(map(len, study.image_batches.values()))
    for batch in study.prompts_of:
        yield PNG_PIXEL * image_pixels(study.generator_of(batch)) * len(study.image_batches[batch])
    for spec in study.inputs.values():
        yield images * prod(spec.shape) * (4 + PICTURE_PIXEL)
    for name, network in study.classifiers.items():
        layers = kept_bytes(network, study.layers[name])
        weights = 4 * sum(map(prod, network.parameters.values()))
        yield len(engines) * (len(study.chosen) * layers + weights + 8 * images * len(network.labels))
        yield len(study.config["export"]) * weights
        if study.config["map"]:
            yield 2 * images * prod(before_last(network)[1]) + FIGURE
        yield FIGURE * sum(len(study.drawings_of(name, image)) for image in study.chosen)


def check_free_disk(study: Study, engines: Sequence[Engine], results: Results) -> None:
    """Raise StudyError if what is still to be made does not fit on the disk of the results."""
    folder = Path(results())
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    needed = disk_bytes(study, engines)
    free = shutil.disk_usage(there).free
    if needed <= free:  # most often, and then what is there need not be counted
        return
    needed -= _size(folder)
    if needed > free:
        raise StudyError(
            f"The results need some {needed / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free in "
            f"{there.absolute()}; make room, or run in a folder on another disk."
        )


def _size(folder: Path) -> int:
    """The bytes of all files of a folder."""
    files = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in files)
