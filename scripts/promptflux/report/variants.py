"""A study's variants beside each other: what classifiers say of their images, and what an image costs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from promptflux.files.costs import Cost, read_costs
from promptflux.files.tables import read_predictions, read_table
from promptflux.files.whole import whole
from promptflux.metrics.truth import Asked


@dataclass
class Answers:
    """What a classifier says of the images of a variant.

    images: how many. asked: those of which a label is asked; right: those of them for which that is predicted.
    confidence, probabilities: sums over the images, of the predicted label and of each.
    """

    images: int = 0
    asked: int = 0
    right: int = 0
    confidence: float = 0.0
    probabilities: dict[str, float] = field(default_factory=dict)

    @property
    def agrees(self) -> float | None:
        """The share of the images of which a label is asked for which that is predicted; None if there are none."""
        return self.right / self.asked if self.asked else None


def read_answers(predictions: str, truth: Mapping[str, Asked]) -> dict[str, Answers]:
    """What a classifier says of each variant's images. predictions: its table. truth: what is asked of each image."""
    found: dict[str, Answers] = {}
    for row in read_predictions(predictions):
        if not row.variant:
            continue  # a user's own image
        of_variant = found.setdefault(row.variant, Answers())
        of_variant.images += 1
        of_variant.confidence += row.confidence
        if (label := truth[row.image].label) is not None:
            of_variant.asked += 1
            of_variant.right += label == row.predicted
        for label, probability in row.probabilities.items():
            of_variant.probabilities[label] = of_variant.probabilities.get(label, 0.0) + probability
    return found


def write_answers(
    path: str, variants: Sequence[Mapping], answers: Mapping[str, Answers], labels: Sequence[str]
) -> None:
    """Write a row for each variant: its settings, its images, and means over these.

    variants: of each its `name` and `settings`, as titles. Columns after the settings: images, agrees (0..1,
    empty if no label is asked), confidence, and the mean probability of each label.
    """

    def cells(variant: Mapping) -> Iterator[str]:
        it = answers.get(variant["name"], Answers())
        yield str(it.images)
        yield "" if it.agrees is None else f"{it.agrees:.6f}"
        for total in (it.confidence, *(it.probabilities.get(label, 0.0) for label in labels)):
            yield f"{total / it.images:.6f}" if it.images else ""

    _write(path, variants, ["images", "agrees", "confidence", *labels], cells)


def write_costs_of_variants(
    path: str, variants: Sequence[Mapping], costs: Mapping[str, Sequence[Cost]]
) -> None:
    """Write a row for each variant: its settings, the images that were timed, the mean seconds and the most memory in MB."""

    def cells(variant: Mapping) -> Iterator[str]:
        known = costs.get(variant["name"], [])
        yield str(len(known))
        yield f"{sum(cost.seconds for cost in known) / len(known):.4f}" if known else ""
        yield f"{max(cost.memory for cost in known):.1f}" if known else ""

    _write(path, variants, ["images_timed", "seconds_an_image", "memory_mb"], cells)


def read_costs_of_variants(files: Sequence[str]) -> dict[str, list[Cost]]:
    """What the images of each variant cost. files: the tables of the batches."""
    found: dict[str, list[Cost]] = {}
    for file in files:
        for image, cost in read_costs(file).items():
            found.setdefault(image.rpartition("/")[0], []).append(cost)
    return found


def _write(
    path: str,
    variants: Sequence[Mapping],
    columns: Sequence[str],
    cells: Callable[[Mapping], Iterator[str]],
) -> None:
    settings = list(variants[0]["settings"])
    lines = [["variant", *settings, *columns]]
    lines += [[it["name"], *map(_one_cell, it["settings"].values()), *cells(it)] for it in variants]
    with whole(path) as partial:
        text = "".join("\t".join(line) + "\n" for line in lines)
        partial.write_text(text, encoding="utf-8", newline="\n")


def _one_cell(text: str) -> str:
    return " ".join(text.split())


def panels_along(
    axis: Mapping,
    number: int,
    variants: Sequence[Mapping],
    answers: Mapping[str, Mapping[str, Answers]],
    costs: Mapping[str, Sequence[Cost]],
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """What is drawn along an axis, see `along_an_axis.draw`; what nothing is known of is left out.

    axis: with its `numbers`, the `number`th of the grid. variants: as above, with their `place` on each axis.
    answers: classifier -> variant -> what it says.
    """
    places = {it["name"]: axis["numbers"][it["place"][number]] for it in variants}
    agrees, sure = {}, {}
    for classifier, of_variants in answers.items():
        agrees[classifier] = [
            (places[v], it.agrees) for v, it in of_variants.items() if it.agrees is not None
        ]
        sure[classifier] = [(places[v], it.confidence / it.images) for v, it in of_variants.items()]
    known = {variant: each for variant, each in costs.items() if each and variant in places}
    seconds = [(places[v], sum(cost.seconds for cost in each) / len(each)) for v, each in known.items()]
    memory = [(places[v], max(cost.memory for cost in each)) for v, each in known.items()]
    panels = {
        "Sees what was asked (share)": agrees,
        "Confidence in what it sees (share)": sure,
        "Seconds an image": {"": seconds},
        "Memory in MB": {"": memory},
    }
    kept = {title: {name: dots for name, dots in lines.items() if dots} for title, lines in panels.items()}
    return {title: lines for title, lines in kept.items() if lines}


def read_variants(answers: Mapping[str, str], costs: str) -> dict:
    """What the report shows of the variants: the `settings` that differ, the `classifiers`, and `rows`.

    answers: classifier -> its table, as above. A row: `name`, `settings`, `said` (classifier -> (agrees, confidence),
    each None if unknown), `seconds`, `memory`.
    """
    tables = {classifier: _rows(path) for classifier, path in answers.items()}
    measured = _rows(costs)
    header = next(read_table(costs))
    settings = header[1:-3]
    return {
        "settings": settings,
        "classifiers": list(answers),
        "rows": [
            {
                "name": name,
                "settings": [row[key] for key in settings],
                "said": {
                    classifier: (_number(table[name]["agrees"]), _number(table[name]["confidence"]))
                    for classifier, table in tables.items()
                },
                "seconds": _number(row["seconds_an_image"]),
                "memory": _number(row["memory_mb"]),
            }
            for name, row in measured.items()
        ],
    }


def _rows(path: str | Path) -> dict[str, dict[str, str]]:
    header, *rows = read_table(path)
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
