"""Where the time of a study went, as Snakemake's benchmark files tell it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from promptflux.files.tables import read_table


def read_times(benchmarks: Mapping[str, Sequence[str]]) -> list[dict]:
    """Of each stage that was measured: `name`, the `jobs` (seconds each), `seconds` (their sum), `memory`.

    benchmarks: title of a stage -> Snakemake's benchmark files, of which some may be missing. memory:
    the most of any job in MB, None if Snakemake could not measure it.
    """
    times = []
    for stage, paths in benchmarks.items():
        measured = [line for path in paths if Path(path).is_file() for line in benchmark_lines(path)]
        if measured:
            memory = [float(line["max_rss"]) for line in measured if is_number(line.get("max_rss"))]
            jobs = [float(line["s"]) for line in measured]
            times.append(
                {
                    "name": stage,
                    "jobs": jobs,
                    "seconds": sum(jobs),
                    "memory": max(memory, default=None),
                }
            )
    return times


def benchmark_lines(path: str) -> Iterator[dict[str, str]]:
    """The lines of a Snakemake benchmark that have a time."""
    header, *lines = read_table(path)
    for line in lines:
        named = dict(zip(header, line, strict=False))
        if is_number(named.get("s")):
            yield named


def is_number(text: str | None) -> bool:
    """Whether a cell holds a number; Snakemake writes `NA` or `-` for what it could not measure."""
    try:
        return text is not None and float(text) >= 0
    except ValueError:
        return False
