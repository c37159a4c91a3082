"""The probability of each label as bars in the order of the labels, beside the image."""

import numpy as np

from promptflux.figures.sheet import ACCENT, INK, MUTED, QUIET, Sheet, Style, head
from promptflux.figures.subject import Subject
from promptflux.figures.text import one_line, text_width

PLACE = 4
TITLE = "model output"
CAPTION = (
    "The answer: one bar per label, adding up to 100%. The dark bar is the prediction; bars of similar "
    "length mean that the network was unsure."
)
MOST_LABELS = 30  # drawn of one classifier
BAR = 0.68  # of the room of a label


def draw(subject: Subject, style: Style) -> Sheet:
    probabilities, best = subject.probabilities, subject.predicted
    shown = np.arange(len(probabilities))
    subtitle = "Probability of each label"
    if len(shown) > MOST_LABELS:
        shown = np.sort(np.argsort(-probabilities, kind="stable")[:MOST_LABELS])
        subtitle = f"The {MOST_LABELS} most probable of {len(probabilities)} labels, in the labels' order"
    answer = f"{subject.classifier} says {subject.labels[best]} ({probabilities[best]:.1%})"

    names = [one_line(subject.labels[index], 2.2, 8.5) for index in shown]
    names_width = max(text_width(name, 8.5) for name in names) + 0.12
    top = head(subject.alarm) + 0.1
    left, width, height = 3.25 + names_width, 4.1, max(2.5, 0.27 * len(shown))
    sheet = Sheet(left + width + 0.75, top + height + 0.62, style.dpi)
    sheet.title(f"{subject.name}: {answer}", subtitle, subject.alarm)
    sheet.picture(subject.picture, (0.3, top, 2.5, 2.5))

    line = height / len(shown)
    bars = []
    for row, (index, name) in enumerate(zip(shown, names, strict=True)):
        center, end = top + (row + 0.5) * line, left + width * float(probabilities[index])
        upper, lower = center - BAR / 2 * line, center + BAR / 2 * line
        bars.append([(left, upper), (end, upper), (end, lower), (left, lower)])
        is_best = index == best
        settings = {"va": "center_baseline"}
        sheet.text(left - 0.05, center, name, fontsize=8.5, color=INK, ha="right", **settings)
        sheet.text(
            end + 0.05,
            center,
            f"{probabilities[index]:.1%}",
            fontsize=8,
            color=INK if is_best else MUTED,
            fontweight="bold" if is_best else "normal",
            **settings,
        )
    sheet.polygons(bars, facecolors=[ACCENT if index == best else QUIET for index in shown])
    sheet.scale((left, top, width, height), "bottom", (0, 1), label="probability")
    return sheet
