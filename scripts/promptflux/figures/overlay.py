"""Maps over an image that say why a classifier says what it says, one for each label that is explained."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptflux.figures.sheet import MUTED, Sheet, Style, colored, fitted, head
from promptflux.figures.subject import Subject, Why
from promptflux.figures.text import one_line

SIDE = 2.6  # inches, of each picture
ROOM = 1.15  # inches beside a map, for its scale
GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # of RGB, ITU-R BT.601-7, section 2.5.1
LEAST, MOST = (
    0.45,
    0.8,
)  # the part of the map in what is laid over the image: where it is 0, and where it is largest


@dataclass(frozen=True)
class Panel:
    """A map of one label.

    values: [H, W], on the pixels of the image. limits: the values at the ends of its scale, 0 among or between them. meaning: of the scale. note: a few words
    under it.
    """

    why: Why
    values: np.ndarray
    limits: tuple[float, float]
    meaning: str
    note: str


def draw_panels(subject: Subject, title: str, subtitle: str, panels: Sequence[Panel], style: Style) -> Sheet:
    """The image, and beside it each map over the image in gray, with its scale."""
    top = head(subject.alarm) + 0.32
    width = 0.3 + SIDE + 0.35 + (SIDE + ROOM) * len(panels)
    sheet = Sheet(max(width, 7.0), top + SIDE + 0.42, style.dpi)
    sheet.title(title, subtitle, subject.alarm)
    sheet.text(0.3, top - 0.1, "image", fontsize=9, color=MUTED)
    sheet.picture(subject.picture, (0.3, top, SIDE, SIDE))
    gray = subject.picture @ GRAY
    for number, panel in enumerate(panels):
        left = 0.3 + SIDE + 0.35 + (SIDE + ROOM) * number
        box = fitted(gray.shape, (left, top, SIDE, SIDE))
        label = f"{subject.labels[panel.why.label]}, {panel.why.target} ({panel.why.probability:.1%})"
        sheet.text(left, top - 0.1, one_line(label, SIDE + ROOM - 0.2, 9), fontsize=9)
        low, high = panel.limits
        over = colored(panel.values, panel.limits, style.cmap)[..., :3] / 255
        size = np.clip(np.abs(panel.values) / max(-low, high), 0, 1)[..., None]
        part = LEAST + (MOST - LEAST) * size
        sheet.picture(np.clip(part * over + (1 - part) * gray[..., None], 0, 1), box)
        sheet.color_bar((box[0] + box[2] + 0.12, top, 0.12, box[3]), style.cmap, panel.limits, panel.meaning)
        sheet.text(
            left, top + box[3] + 0.2, one_line(panel.note, SIDE + ROOM - 0.2, 8), fontsize=8, color=MUTED
        )
    return sheet
