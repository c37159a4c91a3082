"""The tensor as a picture, the histogram of its values and the facts about it."""

from collections.abc import Sequence

import numpy as np

from promptflux.figures.sheet import CHANNEL_COLORS, MUTED, Box, Sheet, Style, head
from promptflux.figures.subject import Subject

PLACE = 1
TITLE = "loaded image verification"
CAPTION = (
    "What the network got: the tensor as a picture, how often each value occurs in it, and where it came "
    "from. A wrong crop, swapped colors or values out of range would show here."
)
BINS = 48


def draw(subject: Subject, style: Style) -> Sheet:
    top = head(subject.alarm) + 0.1
    sheet = Sheet(9.9, top + 3.1, style.dpi)
    sheet.title(subject.name, f"The image as {subject.classifier} receives it", subject.alarm)
    sheet.picture(subject.picture, (0.3, top, 2.75, 2.75))
    draw_histogram(sheet, subject.tensor, (3.75, top + 0.02, 2.65, 2.35))
    for line, (key, value) in enumerate(facts(subject)):
        sheet.text(6.75, top + 0.13 + 0.26 * line, key, fontsize=8.5, color=MUTED)
        sheet.text(7.47, top + 0.13 + 0.26 * line, value, fontsize=8.5)
    return sheet


def draw_histogram(sheet: Sheet, tensor: np.ndarray, box: Box) -> None:
    """How many pixels of a tensor [C, H, W] have which value, one line per channel; 0..1 is drawn whole."""
    left, top, width, height = box
    low, high = value_range(tensor)
    counts = np.stack([np.histogram(channel, bins=BINS, range=(low, high))[0] for channel in tensor])
    margin = 0.01 * (high - low)
    limits = (low - margin, high + margin)
    most = 1.05 * counts.max()

    edges = np.repeat(np.linspace(low, high, BINS + 1), 2)  # a bin's left and right one in turn
    x = left + width * (edges - limits[0]) / (limits[1] - limits[0])
    opacity = 0.25 if len(tensor) == 1 else 0.12
    for channel, color in zip(counts, CHANNEL_COLORS[len(tensor)], strict=True):
        steps = np.concatenate([[0], np.repeat(channel, 2), [0]])
        outline = np.column_stack([x, top + height * (1 - steps / most)])
        sheet.polygons([outline], facecolors=[color], alpha=opacity)
        sheet.lines([outline], colors=color, linewidths=1.1, joinstyle="miter")
    sheet.scale(box, "left", (0, most), label="pixels")
    sheet.scale(box, "bottom", limits, label="value" if len(tensor) == 1 else "value of red, green, blue")


def value_range(tensor: np.ndarray) -> tuple[float, float]:
    """The least and the largest value that the histogram shows."""
    low, high = float(tensor.min()), float(tensor.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def facts(subject: Subject) -> list[tuple[str, str]]:
    """What is known of the tensor, key and value; a value per channel where they differ."""
    given = subject.input
    channels, height, width = subject.tensor.shape
    source_height, source_width = subject.source_size
    found = []
    if not subject.problem:
        found.append(("source", f"{source_width} × {source_height} pixels, mode {subject.source_mode}"))
    found.append(("fitted", f"by {given.fit}, {given.filter} filter"))
    found.append(("tensor", f"{channels} × {height} × {width} (C × H × W), {subject.tensor.dtype}"))
    if any(given.mean) or any(std != 1 for std in given.std):
        found.append(("scaled", f"0..1, less {decimals(given.mean)}"))
        found.append(("", f"divided by {decimals(given.std)}"))
    else:
        found.append(("scaled", "0..1"))
    values = subject.tensor.astype(np.float64)
    return found + [
        (name, decimals(getattr(values, name)(axis=(1, 2)))) for name in ("min", "max", "mean", "std")
    ]


def decimals(values: Sequence[float]) -> str:
    """One number per channel, three decimals."""
    return ", ".join(f"{value:.3f}".replace("-", "\u2212") for value in values)
