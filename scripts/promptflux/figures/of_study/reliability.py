"""Whether a classifier is right as often as it is sure."""

from collections.abc import Sequence
from dataclasses import dataclass

from promptflux.figures.sheet import ACCENT, FAINT, MUTED, QUIET, Sheet, Style, head
from promptflux.metrics.table import Estimate

TITLE = "right and sure"
CAPTION = (
    "Whether the classifier is right as often as it is sure. Each dot holds the images of a tenth of the scale of "
    "confidence: from left to right how sure the classifier is of its label, upwards how often that is right, with "
    "the 95% interval; below, how many images they are. On the diagonal the two are equal; under it, it is surer than it is right."
)
SIDE, BELOW, LEFT = 3.2, 0.7, 0.8  # inches: the square, the counts under it, what is left of both


@dataclass(frozen=True)
class Bin:
    """The images of a range of confidence. confidence: their mean, 0..1. right: the share that is right."""

    low: float
    high: float
    confidence: float
    right: Estimate


def draw(bins: Sequence[Bin], error: float | None, classifier: str, style: Style) -> Sheet:
    """The share that is right over the confidence. error: the expected calibration error, None without bins."""
    top = head() + 0.1
    sheet = Sheet(LEFT + SIDE + 0.6, top + SIDE + 0.25 + BELOW + 0.65, style.dpi)
    images = sum(it.right.n for it in bins)
    counted = f"{images:,} image{'' if images == 1 else 's'} with a known label"
    sheet.title(
        f"{classifier}: right and sure",
        "No image has a known label"
        if error is None
        else f"{counted}; expected calibration error {error:.1%}",
    )
    square = (LEFT, top, SIDE, SIDE)
    below = (LEFT, top + SIDE + 0.25, SIDE, BELOW)
    tenths = [number / 10 for number in range(0, 11, 2)]

    def across(value: float) -> float:
        return LEFT + SIDE * value

    def up(value: float) -> float:
        return top + SIDE * (1 - value)

    sheet.lines([[(LEFT, up(value)), (LEFT + SIDE, up(value))] for value in tenths], colors=FAINT)
    sheet.lines(
        [[(LEFT, up(0)), (LEFT + SIDE, up(1))]], colors=MUTED, linewidths=0.8, linestyles=[(0, (4, 3))]
    )
    for it in bins:
        x = across(it.confidence)
        if it.right.low is not None and it.right.high is not None:
            sheet.lines([[(x, up(it.right.low)), (x, up(it.right.high))]], colors=ACCENT, linewidths=1)
    places = [(across(it.confidence), up(it.right.value)) for it in bins]
    sheet.dots(places, size=5.5, color=ACCENT)
    percents = [f"{value:.0%}" for value in tenths]
    sheet.scale(square, "left", (0, 1), ticks=tenths, texts=percents, label="right")
    most = max((it.right.n for it in bins), default=1)
    for it in bins:
        left, right = across(it.low) + 0.02, across(it.high) - 0.02
        bottom = below[1] + BELOW
        height = BELOW * it.right.n / most
        sheet.polygons(
            [[(left, bottom), (right, bottom), (right, bottom - height), (left, bottom - height)]],
            facecolors=[QUIET],
        )
        sheet.labels(
            [((left + right) / 2, bottom - height - 0.04)], [f"{it.right.n:,}"], size=6.5, ha="center"
        )
    sheet.scale(
        below, "bottom", (0, 1), ticks=tenths, texts=percents, label="confidence in the predicted label"
    )
    return sheet
