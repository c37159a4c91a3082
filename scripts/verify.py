"""Compare the images and predictions of a study with those of another run, file by file."""

from collections.abc import Sequence
from pathlib import Path

from promptflux.errors import StudyError
from promptflux.files.checksums import read_checksums
from promptflux.files.comparison import compare, summary
from promptflux.files.whole import whole
from promptflux.paths import Results
from promptflux.runtime.job import note
from promptflux.script import run

COLUMNS = ("file", "verdict", "largest_difference", "mean_difference")


def main(
    *, checksums: Sequence[str], tables: Sequence[str], reference: str | None = None, verified: str
) -> None:
    """Write a row for each image of the lists `checksums`, and for each of `tables`, to the table `verified`.

    reference: another results folder (or the folder of a study, with `results` in it), or a
    list of SHA-256 sums whose names are relative to the results. That files differ does not
    fail the run: another machine or device may round otherwise. Raises StudyError if
    `reference` is missing or is neither.
    """
    if reference is None:
        raise StudyError(
            "config.yaml: verify names nothing to compare with; try --config verify=OTHER/results"
        )
    results = Results.of(verified)
    images = [name for path in checksums for name in read_checksums(path)]
    files = [*images, *map(results.name, tables)]
    compared = list(compare(files, Path(results()), Path(reference)))
    with whole(verified) as partial:
        lines = ["\t".join(COLUMNS)] + [
            "\t".join(
                [row.file, row.verdict, *("" if x is None else f"{x:.6g}" for x in (row.largest, row.mean))]
            )
            for row in compared
        ]
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    note(f"verify: {summary(compared)}")


if "snakemake" in globals():
    run(main, snakemake)
