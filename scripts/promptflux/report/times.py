"""Where the time of a study went: Snakemake's benchmark files, and a figure of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from promptflux.figures.sheet import ACCENT, MUTED, Sheet, head
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


def draw_times(times: Sequence[Mapping]) -> Sheet:
    """The stages as bars, each divided into its jobs, with their sum beside them."""
    height = 0.36 * max(len(times), 1)
    sheet = Sheet(8.2, head() + height + 0.75)
    sheet.title("Where the time went", "Seconds of each stage, one segment per job, each from its last run")
    axes = sheet.axes(2.1, head() + 0.1, 4.6, height)
    for row, stage in enumerate(times):
        start = 0.0
        for job in sorted(stage["jobs"], reverse=True):
            axes.barh(row, job, left=start, height=0.6, color=ACCENT, edgecolor="white", linewidth=0.6)
            start += job
        share = stage["seconds"] / max(sum(other["seconds"] for other in times), 1e-9)
        text = f" {seconds(stage['seconds'])}, {share:.0%}"
        axes.text(start, row, text, va="center", fontsize=8, color=MUTED)
    axes.set_yticks(range(len(times)), [stage["name"] for stage in times])
    axes.set_ylim(max(len(times), 1) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    axes.set_xlabel("seconds")
    return sheet


def seconds(value: float) -> str:
    """A duration: 0.4 s, 12 s, 3 min 20 s, 1 h 5 min."""
    if value < 10:
        return f"{value:.1f} s"
    whole_seconds = round(value)
    hours, minutes = whole_seconds // 3600, whole_seconds // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole_seconds % 60} s" if minutes else f"{whole_seconds} s"
