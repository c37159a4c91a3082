"""Images of two studies beside each other, and how far their pixels differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from promptflux.errors import StudyError
from promptflux.figures.sheet import ALARM, HEAD, MUTED, Sheet, Style, fitted
from promptflux.figures.text import one_line
from promptflux.images.opening import open_rgb

CAPTION = (
    "Images of the same prompt and seed, here and there, with the difference of their pixels between 0 (the first color of "
    "the bar) and the largest of the images shown. Images of one size are compared pixel by pixel."
)
MOST_PAIRS = 12
ACROSS = 2  # pairs side by side
SIDE, GAP, BETWEEN, MARGIN = (
    1.55,
    0.06,
    0.3,
    0.3,
)  # inches: of a picture, between pictures, between pairs, around all
LINE = 0.22  # inches over a pair, for its name


@dataclass(frozen=True)
class PairOfImages:
    """A pair: its title, the files, and what is said of it, such as "same bytes"."""

    title: str
    here: Path
    there: Path
    verdict: str


def draw(title: str, pairs: Sequence[PairOfImages], style: Style) -> Sheet:
    """The sheet of some pairs, at most MOST_PAIRS of them are drawn. title: says which studies."""
    shown = pairs[:MOST_PAIRS]
    columns = max(1, min(ACROSS, len(shown)))
    block = 3 * SIDE + 2 * GAP
    top = HEAD + 0.1
    height = top + max(1, ceil(len(shown) / columns)) * (LINE + SIDE + BETWEEN) + MARGIN
    bar = 0.85  # inches of the color bar and its numbers
    sheet = Sheet(max(6.5, 2 * MARGIN + columns * block + (columns - 1) * BETWEEN + bar), height, style.dpi)
    sheet.title(
        title,
        "each: here, there, and their difference"
        if shown
        else "no image has the prompt and the seed of one there",
    )
    read = [_read(pair) for pair in shown]
    most = max((float(apart.max(initial=0)) for _, _, apart in read if apart is not None), default=0.0)
    for number, (pair, (here, there, apart)) in enumerate(zip(shown, read, strict=True)):
        left = MARGIN + number % columns * (block + BETWEEN)
        y = top + number // columns * (LINE + SIDE + BETWEEN) + LINE
        sheet.text(left, y - 0.07, one_line(f"{pair.title}: {pair.verdict}", block, 8.5), fontsize=8.5)
        for place, picture in enumerate((here, there)):
            box = (left + place * (SIDE + GAP), y, SIDE, SIDE)
            if picture is None:
                sheet.text(box[0] + 0.08, y + SIDE / 2, "cannot be read", fontsize=7.5, color=ALARM)
            else:
                sheet.picture(picture, box)
        box = (left + 2 * (SIDE + GAP), y, SIDE, SIDE)
        if apart is None:
            sheet.text(box[0] + 0.08, y + SIDE / 2, "not compared", fontsize=7.5, color=MUTED)
        else:
            scaled = apart / most if most else apart
            sheet.raster(scaled, fitted(scaled.shape, box), style.cmap)
    if most:
        bar_box = (sheet.width - MARGIN - bar + 0.15, top + LINE, 0.13, SIDE)
        sheet.color_bar(bar_box, style.cmap, (0.0, most), "difference of 255")
    return sheet


def _read(pair: PairOfImages) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Both pictures, [H, W, 3] of 0..1, and the mean of the channels of their difference, [H, W] of 0..255."""
    pictures = [_picture(path) for path in (pair.here, pair.there)]
    first, second = pictures
    if first is None or second is None or first.shape != second.shape:
        return first, second, None
    return first, second, 255 * np.abs(first - second).mean(axis=2)


def _picture(path: Path) -> np.ndarray | None:
    try:
        return np.asarray(open_rgb(path)[0], dtype=np.float32) / 255
    except StudyError:
        return None
