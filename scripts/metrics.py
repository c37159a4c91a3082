"""Create the tables of metrics, and the figure of how right each classifier is where it is how sure."""

from collections.abc import Iterable, Mapping, Sequence

from promptflux.figures.of_study import reliability
from promptflux.figures.sheet import Style
from promptflux.metrics.scores import BIN_CONFIDENCE, BIN_RIGHT, metrics_of
from promptflux.metrics.seen import Seen, read_seen
from promptflux.metrics.table import Estimate, Metric, write_metrics
from promptflux.metrics.truth import read_truth
from promptflux.script import run


def main(
    *,
    generated: Sequence[str],
    own: Sequence[str],
    truth: Sequence[str],
    classifiers: Mapping[str, Sequence[str]],
    engines: Sequence[str],
    variants: Sequence[str],
    tables: Sequence[str],
    figures: Sequence[str],
    style: Mapping,
) -> None:
    """Write a table and a figure of each classifier; the figure is of the first engine.

    generated, own: predictions files, those of the first classifier first, of these those of the first engine. truth: of
    each classifier what is asked of the images. classifiers: the labels of each, by name. engines, variants: their names; no
    variants in a study without. style: the fields of `Style`.
    """
    pairs = [(classifier, engine) for classifier in classifiers for engine in engines]
    seen: dict[str, dict[str, Seen]] = {classifier: {} for classifier in classifiers}
    shares = zip(pairs, _shares(generated, len(pairs)), _shares(own, len(pairs)), strict=True)
    for (classifier, engine), *files in shares:
        seen[classifier][engine] = read_seen(*files, classifiers[classifier])
    for name, asked, table, figure in zip(classifiers, truth, tables, figures, strict=True):
        known, labels = read_truth(asked), classifiers[name]
        alike = [other for other in classifiers if other != name and list(classifiers[other]) == list(labels)]
        rows = [
            metric
            for engine in engines
            for metric in metrics_of(
                engine,
                seen[name][engine],
                known,
                labels,
                variants,
                {other: seen[other][engine] for other in alike},
                {other: seen[name][other] for other in engines if other != engine},
            )
        ]
        write_metrics(table, rows)
        of_all = [row for row in rows if row.engine == engines[0] and not row.variant]
        error = next((row.value for row in of_all if row.what == "calibration error"), None)
        reliability.draw(bins(of_all), error, name, Style(**style)).save(figure)


def _shares(files: Sequence[str], count: int) -> list[Sequence[str]]:
    """So many parts of equal length."""
    size, rest = divmod(len(files), count)
    if rest:
        raise ValueError(f"{len(files)} files are not those of {count} runs")
    return [files[size * number :][:size] for number in range(count)]


def bins(rows: Iterable[Metric]) -> list[reliability.Bin]:
    """The bins of confidence among the metrics of a group of images."""
    found = []
    rows = list(rows)
    sure = {row.label: row.value for row in rows if row.what == BIN_CONFIDENCE}
    for row in rows:
        if row.what == BIN_RIGHT:
            low, _, high = row.label.partition(" to ")
            right = Estimate(row.value, row.low, row.high, row.n)
            found.append(reliability.Bin(float(low), float(high), sure[row.label], right))
    return found


if "snakemake" in globals():
    run(main, snakemake)
