"""Files of a study beside those of another run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from promptflux.errors import StudyError
from promptflux.files.checksums import read_checksums
from promptflux.files.tables import read_predictions
from promptflux.files.whole import sha256_of_file
from promptflux.images.opening import open_rgb


@dataclass(frozen=True)
class FileComparison:
    """A file beside that of another run.

    verdict: "same bytes", "differs", or "not there" if the other run has no such file.
    largest, mean: of the absolute differences; of 8-bit pixels (0..255) for an image, of
    the probabilities (0..1) for a table; None where only a checksum is known or the shapes differ.
    """

    file: str
    verdict: str
    largest: float | None = None
    mean: float | None = None


def compare(files: Sequence[str], folder: Path, reference: Path) -> Iterator[FileComparison]:
    """Each file beside its like."""
    if reference.is_dir():
        other = reference / "results" if (reference / "results").is_dir() else reference
        for file in files:
            yield compare_files(file, folder / file, other / file)
        return
    sums = read_checksums(reference)
    for file in files:
        if file not in sums:
            yield FileComparison(file, "not there")
        else:
            same = sums[file] == sha256_of_file(folder / file)
            yield FileComparison(file, "same bytes" if same else "differs")


def compare_files(file: str, ours: Path, theirs: Path) -> FileComparison:
    """A file beside its like in another folder."""
    if not theirs.is_file():
        return FileComparison(file, "not there")
    if ours.read_bytes() == theirs.read_bytes():
        return FileComparison(file, "same bytes", 0.0, 0.0)
    try:
        first, second = (values(path) for path in (ours, theirs))
    except (StudyError, OSError, ValueError):
        return FileComparison(file, "differs")
    if first.shape != second.shape:
        return FileComparison(file, "differs")
    difference = np.abs(first - second)
    return FileComparison(file, "differs", float(difference.max(initial=0)), float(difference.mean()))


def values(path: Path) -> np.ndarray:
    """The pixels of an image, or the numbers of a table of predictions."""
    if path.suffix == ".png":
        return np.asarray(open_rgb(path)[0], dtype=np.float64)
    rows = read_predictions(path)
    return np.array([[row.confidence, *row.probabilities.values()] for row in rows])


def summary(compared: Sequence[FileComparison]) -> str:
    """How many files are the same, and how far the others are."""
    same = sum(row.verdict == "same bytes" for row in compared)
    text = f"{same} of {len(compared)} files are the same bytes"
    absent = sum(row.verdict == "not there" for row in compared)
    if absent:
        text += f", {absent} are not there in the other run"
    pixels = [row for row in compared if row.largest and row.file.endswith(".png")]
    if pixels:
        largest, mean = max(row.largest or 0 for row in pixels), np.mean([row.mean or 0 for row in pixels])
        text += (
            f"; pixels differ by at most {largest:g} of 255, by {mean:.3g} on average where an image differs"
        )
    return text + "."
