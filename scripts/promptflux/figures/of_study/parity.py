"""How far two engines differ, layer by layer and probability by probability."""

from collections.abc import Sequence

import numpy as np

from promptflux.classifiers.parity import LAYER_FAILS, PROBABILITY_FAILS, LayerDifference, Parity
from promptflux.figures.sheet import ACCENT, ALARM, FAINT, MUTED, TICK_SIZE, Box, Sheet, Style, head

TITLE = "engines compared"
CAPTION = (
    "Left, the largest difference between the engines in each layer, on a logarithmic scale: it grows slowly "
    "as rounding adds up, and a jump would mean that a layer is not the same in both. Right, the "
    "probabilities of one engine against those of the other: equal ones lie on the diagonal."
)
LOW, HIGH = -9, 1  # powers of ten, the ends of the scale of differences
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ENDS = (10.0**LOW, 10.0**HIGH)
LINE = 0.24  # inches, of a row with its name
NAMED = 50  # rows that all have their names; of more some have, and those that fail


def draw(parity: Parity, classifier: str, style: Style) -> Sheet:
    """The difference of each layer, and the probabilities of both engines against each other."""
    rows = parity.parts
    tall = max(2.6, LINE * len(rows) + 0.3) if len(rows) <= NAMED else NAMED * LINE
    left = 0.5 + 0.062 * max(len(row.name) for row in rows)  # inches, of names in TICK_SIZE
    alarm = (
        "The engines do not agree; the log of the parity rule says where it begins." if parity.failed else ""
    )
    top = head(alarm) + 0.25
    sheet = Sheet(left + 7.7, top + tall + 0.65, style.dpi)
    sheet.title(
        f"{' and '.join(parity.titles)} on {classifier}",
        f"{parity.images} images, {sum(layer.images > 0 for layer in parity.layers)} layers compared "
        f"on {max((layer.images for layer in parity.layers), default=0)} of them",
        alarm,
    )
    draw_layers(sheet, rows, (left, top, 3.9, tall))
    side = min(2.6, tall)
    draw_probabilities(
        sheet, np.concatenate(parity.pairs, axis=1), parity.titles, (left + 4.8, top, side, side)
    )
    return sheet


def draw_layers(sheet: Sheet, rows: Sequence[LayerDifference], box: Box) -> None:
    """A dot per layer on a logarithmic scale; what is exactly equal stands at its left end."""
    left, top, width, height = box

    def across(difference: float) -> float:
        return left + width * float((np.log10(np.clip(difference, *ENDS)) - LOW) / (HIGH - LOW))

    limit = across(LAYER_FAILS)
    sheet.lines([[(limit, top), (limit, top + height)]], linewidths=0.7, linestyles=[(0, (4, 3))])
    sheet.labels([(limit, top - 0.05)], ["a step beyond fails"], size=7, ha="center")
    line = height / len(rows)
    named = named_rows(rows)
    for number, row in enumerate(rows):
        y = top + (number + 0.5) * line
        if number in named:
            color = ALARM if row.verdict == "FAIL" else MUTED
            sheet.text(
                left - 0.1, y, row.name, fontsize=TICK_SIZE, color=color, ha="right", va="center_baseline"
            )
        if row.images:
            x = across(row.rel_diff)
            sheet.lines([[(left, y), (x, y)]], colors=FAINT, linewidths=1)
            sheet.dots(
                [(x, y)], size=6 if len(rows) <= NAMED else 3, color=ACCENT if row.verdict == "ok" else ALARM
            )
        said = "not compared" if not row.images else "equal to the last bit" if row.abs_diff == 0 else ""
        if said and number in named:
            sheet.text(left + 0.12, y, said, fontsize=7, color=MUTED, va="center_baseline")
    decades = range(LOW, HIGH + 1, 2)
    texts = [f"10{str(decade).translate(RAISED)}" for decade in decades]
    sheet.scale(
        box,
        "bottom",
        (LOW, HIGH),
        ticks=decades,
        texts=texts,
        label="largest difference / largest value of the layer",
    )
    sheet.lines([[(left, top), (left, top + height)]], capstyle="projecting")


def named_rows(rows: Sequence[LayerDifference]) -> set[int]:
    """The rows that have room for their names: all of a few; of many the first that fails, the ends, and some between."""
    apart = -(-len(rows) // NAMED)
    failing = [number for number, row in enumerate(rows) if row.verdict == "FAIL"]
    wanted = [*failing[:1], len(rows) - 1, *range(0, len(rows), apart)]
    named: set[int] = set()
    for number in wanted:
        if all(abs(number - other) >= apart for other in named):
            named.add(number)
    return named


def draw_probabilities(sheet: Sheet, probabilities: np.ndarray, titles: Sequence[str], box: Box) -> None:
    """The reference's probabilities against the engine's, [2, N, K]; equal ones lie on the diagonal."""
    left, top, width, height = box
    limits = (-0.03, 1.03)

    def places(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        parts = (np.column_stack([x, y]) - limits[0]) / (limits[1] - limits[0])
        return np.column_stack([left + width * parts[:, 0], top + height * (1 - parts[:, 1])])

    ends = np.array([0.0, 1.0])
    sheet.lines([places(ends, ends)], colors=FAINT, linewidths=1)
    reference, engine = (part.ravel() for part in probabilities)
    agree = np.abs(reference - engine) <= PROBABILITY_FAILS
    for chosen, color in ((agree, ACCENT), (~agree, ALARM)):
        sheet.dots(places(reference[chosen], engine[chosen]), size=3, color=color, alpha=0.5)
    sheet.scale(box, "bottom", limits, label=f"probability in {titles[1]}")
    sheet.scale(box, "left", limits, label=f"probability in {titles[0]}")
