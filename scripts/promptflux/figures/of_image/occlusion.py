"""By how much the answer loses where a patch of the image is covered, laid over the image."""

import numpy as np

from promptflux.classifiers.why import Window
from promptflux.figures.overlay import Panel, draw_panels
from promptflux.figures.sheet import Sheet, Style
from promptflux.figures.subject import Subject, Why

PLACE = 5
OF = "explained"
TITLE = "occlusion"
CAPTION = (
    "What the answer hangs on: the image is covered with its mean color, patch by patch, and bright is where the label's "
    "probability drops then. A negative drop is a rise. Each map has a scale of its own: look at its numbers first, as an answer "
    "that nothing changes has a bright place, too."
)
RISES = 0.1  # of the largest change: what a rise may be where a scale is still one of drops
LEAST = 0.01  # percentage points: the least length of a scale, so that rounding does not look like a reason


def draw(subject: Subject, style: Style) -> Sheet:
    (height, width), (down, across) = subject.why[0].patch, subject.why[0].stride
    return draw_panels(
        subject,
        f"{subject.name}: what the answer of {subject.classifier} hangs on",
        f"Drop of the label's probability while {height} × {width} pixels are covered, in steps of {down} × {across}",
        [panel(why, subject) for why in subject.why],
        style,
    )


def panel(why: Why, subject: Subject) -> Panel:
    """The map of one label, with a scale from about 0, or symmetric about 0 if the label gets more probable somewhere, too."""
    values = 100 * spread(why, subject.tensor.shape[1:])
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    most = 100 * float(np.abs(why.occlusion).max())
    if most < LEAST:
        note = f"No patch changes it by as much as {LEAST} points."
    else:
        note = f"No patch changes it by more than {most:.2g} points."
    limit = max(high, -low, LEAST)
    limits = (low, limit) if -low < RISES * limit else (-limit, limit)
    return Panel(why, values, limits, "drop in percentage points", note)


def spread(why: Why, shape: tuple[int, ...]) -> np.ndarray:
    """An occlusion map on the pixels of the image, float64 [H, W]: of each the mean drop over the patches that cover it."""
    total, count = np.zeros(shape), np.zeros(shape)
    height, width = why.patch
    rows, columns = Window(shape, why.patch, why.stride).starts
    for row, line in zip(rows, why.occlusion, strict=True):
        for column, drop in zip(columns, line, strict=True):
            place = np.s_[row : row + height, column : column + width]
            total[place] += drop
            count[place] += 1
    return total / count
