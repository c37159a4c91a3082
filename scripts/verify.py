"""Compare the images and predictions of a study with those of another run, file by file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from promptflux.checksums import read_checksums
from promptflux.errors import StudyError
from promptflux.files import sha256_of_file, whole
from promptflux.job import note
from promptflux.tables import read_table

COLUMNS = ("file", "verdict", "largest_difference", "mean_difference")


@dataclass(frozen=True)
class Comparison:
    """A file beside that of another run.

    verdict: "same bytes", "differs", or "not there" if the other run has no such file.
    largest, mean: of the absolute differences; of 8-bit pixels (0..255) for an image, of
    the probabilities (0..1) for a table; None where only a checksum is known or the shapes differ.
    """

    file: str
    verdict: str
    largest: float | None = None
    mean: float | None = None


def main(*, files: Sequence[str], folder: str, reference: str | None, output: str) -> None:
    """Write a row for each of `files` (relative to the results `folder`) to the table `output`.

    reference: another results folder (or the folder of a study, with `results` in it), or a
    list of SHA-256 sums whose names are relative to the results. That files differ does not
    fail the run: another machine or device may round otherwise. Raises StudyError if
    `reference` is missing or is neither.
    """
    if reference is None:
        raise StudyError(
            "config.yaml: verify names nothing to compare with; try --config verify=OTHER/results"
        )
    compared = list(compare(files, Path(folder), Path(reference)))
    with whole(output) as partial:
        lines = ["\t".join(COLUMNS)] + [
            "\t".join(
                [row.file, row.verdict, *("" if x is None else f"{x:.6g}" for x in (row.largest, row.mean))]
            )
            for row in compared
        ]
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    note(f"verify: {summary(compared)}")


def compare(files: Sequence[str], folder: Path, reference: Path) -> Iterator[Comparison]:
    """Each file beside its like."""
    if reference.is_dir():
        other = reference / "results" if (reference / "results").is_dir() else reference
        for file in files:
            yield compare_files(file, folder / file, other / file)
        return
    sums = read_checksums(reference)
    for file in files:
        if file not in sums:
            yield Comparison(file, "not there")
        else:
            same = sums[file] == sha256_of_file(folder / file)
            yield Comparison(file, "same bytes" if same else "differs")


def compare_files(file: str, ours: Path, theirs: Path) -> Comparison:
    """A file beside its like in another folder."""
    if not theirs.is_file():
        return Comparison(file, "not there")
    if ours.read_bytes() == theirs.read_bytes():
        return Comparison(file, "same bytes", 0.0, 0.0)
    try:
        first, second = (values(path) for path in (ours, theirs))
    except (OSError, ValueError):
        return Comparison(file, "differs")
    if first.shape != second.shape:
        return Comparison(file, "differs")
    difference = np.abs(first - second)
    return Comparison(file, "differs", float(difference.max(initial=0)), float(difference.mean()))


def values(path: Path) -> np.ndarray:
    """The pixels of an image, or the numbers of a table of predictions."""
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"), dtype=np.float64)
    _, *rows = read_table(path)
    return np.array([[float(cell) for cell in row[3:]] for row in rows])


def summary(compared: Sequence[Comparison]) -> str:
    """How many files are the same, and how far the others are."""
    same = sum(row.verdict == "same bytes" for row in compared)
    text = f"{same} of {len(compared)} files are the same bytes"
    absent = sum(row.verdict == "not there" for row in compared)
    if absent:
        text += f", {absent} are not there in the other run"
    pixels = [row for row in compared if row.largest and row.file.endswith(".png")]
    if pixels:
        largest, mean = max(row.largest for row in pixels), np.mean([row.mean for row in pixels])
        text += (
            f"; pixels differ by at most {largest:g} of 255, by {mean:.3g} on average where an image differs"
        )
    return text + "."


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        results = Path(snakemake.output[0]).parent  # noqa: F821
        tables = [str(Path(table).relative_to(results)) for table in snakemake.input.tables]  # noqa: F821
        images = [name for path in snakemake.input.checksums for name in read_checksums(path)]  # noqa: F821
        main(
            files=[*images, *tables],
            folder=str(results),
            reference=snakemake.params.reference,  # noqa: F821
            output=snakemake.output[0],  # noqa: F821
        )
