"""The stages of a study as bars, each divided into its jobs."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from promptflux.figures.sheet import ACCENT, MUTED, Sheet, Style, head
from promptflux.figures.text import duration

TITLE = "where the time went"
CAPTION = (
    "Each bar is a stage and each segment of it one job, from its last run; jobs may have run side by side. "
    "Start-up of Python, Julia and the models is part of it."
)
ROW, BAR = 0.36, 0.22  # inches, of a stage and of its bar


def draw(times: Sequence[Mapping], style: Style) -> Sheet:
    """times: of each stage its `name`, the `jobs` (seconds each) and `seconds`, their sum."""
    height = ROW * max(len(times), 1)
    sheet = Sheet(8.2, head() + height + 0.75, style.dpi)
    sheet.title("Where the time went", "Seconds of each stage, one segment per job, each from its last run")
    left, top, width = 2.1, head() + 0.1, 4.6
    longest = 1.05 * max((stage["seconds"] for stage in times), default=0.0) or 1.0
    total = sum(stage["seconds"] for stage in times) or 1.0
    for row, stage in enumerate(times):
        middle = top + (row + 0.5) * ROW
        ends = [left + width * end / longest for end in accumulate(sorted(stage["jobs"], reverse=True))]
        bars = [
            [
                (start, middle - BAR / 2),
                (end, middle - BAR / 2),
                (end, middle + BAR / 2),
                (start, middle + BAR / 2),
            ]
            for start, end in zip([left, *ends], ends, strict=False)
        ]
        sheet.polygons(bars, facecolors=[ACCENT], edgecolors="white", linewidths=0.6)
        sheet.text(
            left - 0.08, middle, stage["name"], fontsize=8.5, color=MUTED, ha="right", va="center_baseline"
        )
        share = f"{duration(stage['seconds'])}, {stage['seconds'] / total:.0%}"
        sheet.text(ends[-1] + 0.05, middle, share, fontsize=8, color=MUTED, va="center_baseline")
    box = (left, top, width, height)
    sheet.lines([[(left, top), (left, top + height)]], capstyle="projecting")
    sheet.scale(box, "bottom", (0, longest), label="seconds")
    return sheet
