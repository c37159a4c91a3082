"""What changes along a numeric axis of the variants: what classifiers say, and what an image costs."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from promptflux.figures.sheet import FAINT, MUTED, Sheet, Style, head
from promptflux.figures.text import one_line, text_width

TITLE = "along an axis"
CAPTION = (
    "A dot is a variant, and a line goes through the means of those that have the same value on this axis. "
    "From left to right: how often the classifier sees the label that is asked, how sure it is of what "
    "it sees, the seconds that an image took, and the most memory that was held."
)
COLORS = ("#1f6f8b", "#b5443c", "#3f8f56", "#8a5fb0", "#c98a1b", "#66727f")  # again after six classifiers
WIDTH, HEIGHT, LEFT, BETWEEN = 2.2, 1.9, 0.75, 0.75  # inches: of a panel, before the first, between two

Lines = Mapping[str, Sequence[tuple[float, float]]]  # name of a line -> its dots, (place on the axis, value)


def draw(axis: str, panels: Mapping[str, Lines], style: Style) -> Sheet:
    """Side by side a panel for each of `panels`, by its title; values of a share, which ends in "(share)", are 0..1."""
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines if name))
    legend = 0.25 if names else 0.0
    top = head() + legend + 0.25
    width = LEFT + len(panels) * (WIDTH + BETWEEN) - BETWEEN + 0.35
    sheet = Sheet(width, top + HEIGHT + 0.65, style.dpi)
    sheet.title(f"Along {axis}", "Each dot is a variant; a line goes through the means")
    colors = {name: COLORS[number % len(COLORS)] for number, name in enumerate(names)}
    x = LEFT
    for name in names:
        sheet.dots([(x + 0.05, head() + 0.02)], size=5, color=colors[name])
        sheet.text(x + 0.14, head() + 0.06, one_line(name, 2.0, 8.5), fontsize=8.5)
        x += 0.14 + min(2.0, text_width(name, 8.5)) + 0.25
    places = [place for lines in panels.values() for dots in lines.values() for place, _ in dots]
    spread = (max(places) - min(places)) or 1.0
    limits = (min(places) - 0.05 * spread, max(places) + 0.05 * spread)
    for number, (title, lines) in enumerate(panels.items()):
        box = (LEFT + number * (WIDTH + BETWEEN), top, WIDTH, HEIGHT)
        _panel(sheet, box, axis, title, lines, limits, colors)
    return sheet


def _ticks(lines: Lines) -> list[float] | None:
    """The places on the axis themselves, where they are far enough from each other."""
    places = sorted({place for dots in lines.values() for place, _ in dots})
    gaps = [after - before for before, after in pairwise(places)]
    return places if gaps and min(gaps) >= 0.12 * (places[-1] - places[0]) else None


def _panel(
    sheet: Sheet,
    box: tuple[float, float, float, float],
    axis: str,
    title: str,
    lines: Lines,
    limits: tuple[float, float],
    colors: Mapping[str, str],
) -> None:
    left, top, width, height = box
    is_share = title.endswith("(share)")
    highest = 1.0 if is_share else 1.08 * max(value for dots in lines.values() for _, value in dots) or 1.0

    def at(place: float, value: float) -> tuple[float, float]:
        return (
            left + width * (place - limits[0]) / (limits[1] - limits[0]),
            top + height * (1 - value / highest),
        )

    sheet.text(left, top - 0.1, one_line(title.removesuffix(" (share)"), width + 0.4, 8.5), fontsize=8.5)
    if is_share:
        sheet.lines(
            [[(left, top + height * part), (left + width, top + height * part)] for part in (0, 0.5)],
            colors=FAINT,
        )
    for name, dots in lines.items():
        color = colors.get(name, MUTED)
        sheet.dots([at(*dot) for dot in dots], size=3.5, color=color, alpha=0.45)
        means = {place: [v for p, v in dots if p == place] for place in sorted({place for place, _ in dots})}
        line = [at(place, sum(values) / len(values)) for place, values in means.items()]
        if len(line) > 1:
            sheet.lines([line], colors=color, linewidths=1.4)
        sheet.dots(line, size=4.5, color=color)
    sheet.scale(box, "bottom", limits, label=axis, ticks=_ticks(lines))
    if is_share:
        sheet.scale(box, "left", (0, 1), ticks=[0, 0.5, 1], texts=["0%", "50%", "100%"])
    else:
        sheet.scale(box, "left", (0, highest))
