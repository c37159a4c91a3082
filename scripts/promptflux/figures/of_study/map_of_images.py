"""All images on a plane, near each other if a classifier's layer before the last gives nearly the same of them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgba

from promptflux.figures.sheet import FAINT, INK, MUTED, Box, Sheet, Style, head
from promptflux.figures.text import legible, text_width

TITLE = "where the images lie"
CAPTION = (
    "All images by what the layer before the last gives of them: a dot is an image, a diamond one of your own, and what the "
    "classifier finds alike lies together. Each panel shows the same places in other colors; counts are in brackets."
)
# Ten that are told apart on white, also by those who see red and green alike, by their lightness.
COLORS = (
    *("#1f6f8b", "#d1822b", "#7b4fa3", "#3f9b5f", "#b5443c"),
    *("#64b5d6", "#e0a9c4", "#8a7a2f", "#2b2f6b", "#9ccc65"),
)
OTHERS = "#c3cad1"
OWN = "(your own)"  # in a panel that tells the generated ones apart
MOST_BESIDE = 3  # panels; four stand two by two
SIDE, LEFT, BETWEEN = 3.2, 0.8, 0.85  # inches: of a panel, before the first, between two
ROW, COLUMNS = 0.19, 2  # of a legend
SIZES = ((60, 7.0), (400, 5.0), (2000, 3.6), (10_000, 2.4))  # most images -> points of a dot
SMALLEST = 1.6


def draw(
    places: np.ndarray,
    panels: Mapping[str, Sequence[str]],
    own: Sequence[bool],
    axes: tuple[str, str],
    title: str,
    subtitle: str,
    style: Style,
    alike: Collection[str] = (),
) -> Sheet:
    """A panel for each of `panels`, title -> what each image is there: OWN, or "" if that is not known.

    places: [N, 2]. own: whether an image is the user's. axes: what the two are called. alike: the titles of panels
    in which the same text has the same color.
    """
    columns = len(panels) if len(panels) <= MOST_BESIDE else -(-len(panels) // 2)
    together = _colors([value for title in alike for value in panels.get(title, ())])
    colored = {
        name: {value: color for value, color in together.items() if value in values}
        if name in alike
        else _colors(values)
        for name, values in panels.items()
    }
    legend = ROW * max(-(-len(_entries(panels[name], colored[name])) // COLUMNS) for name in panels)
    high = 0.3 + SIDE + 0.62 + legend + 0.2
    width = LEFT + columns * (SIDE + BETWEEN) - BETWEEN + 0.3
    sheet = Sheet(max(width, 5.0), head() + high * -(-len(panels) // columns) + 0.05, style.dpi)
    sheet.title(title, subtitle)
    limits = tuple(_limits(values) for values in np.reshape(places, (-1, 2)).T)
    for number, (name, values) in enumerate(panels.items()):
        top = head() + 0.3 + high * (number // columns)
        box = (LEFT + number % columns * (SIDE + BETWEEN), top, SIDE, SIDE)
        colors = colored[name]
        sheet.text(box[0], top - 0.1, name, fontsize=9)
        _panel(sheet, box, places, [colors.get(value, OTHERS) for value in values], own, limits)
        sheet.scale(box, "bottom", limits[0], label=axes[0])
        sheet.scale(box, "left", limits[1], label="" if number % columns else axes[1])
        _legend(sheet, (box[0], top + SIDE + 0.62), values, colors)
    return sheet


def _limits(values: np.ndarray) -> tuple[float, float]:
    least, most = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    room = 0.06 * (most - least) or 1.0
    return least - room, most + room


def _colors(values: Sequence[str]) -> dict[str, str]:
    """A color for each of the most frequent values, of equally frequent ones for the first; white for OWN."""
    counted = Counter(value for value in values if value not in ("", OWN)).most_common(len(COLORS))
    colors = {value: color for (value, _), color in zip(counted, COLORS, strict=False)}
    return colors | ({OWN: "white"} if OWN in values else {})


def _panel(
    sheet: Sheet,
    box: Box,
    places: np.ndarray,
    colors: Sequence[str],
    own: Sequence[bool],
    limits: Sequence[tuple[float, float]],
) -> None:
    left, top, width, height = box
    (x0, x1), (y0, y1) = limits
    at = np.column_stack(
        [left + width * (places[:, 0] - x0) / (x1 - x0), top + height * (1 - (places[:, 1] - y0) / (y1 - y0))]
    )
    frame = [(left, top), (left + width, top), (left + width, top + height)]
    sheet.lines([frame], colors=FAINT, capstyle="projecting")
    size = next((size for most, size in SIZES if len(at) <= most), SMALLEST)
    # Others first; then in an order that has nothing to do with what they are, so that no color covers the rest.
    shuffled = np.random.RandomState(0).permutation(len(at))
    order = sorted(shuffled.tolist(), key=lambda it: colors[it] != OTHERS)
    dots = [it for it in order if not own[it]]
    sheet.dots(at[dots], size=size, color=[to_rgba(colors[it], 0.8) for it in dots])
    diamonds = [it for it in order if own[it]]
    _diamonds(sheet, at[diamonds], size, [colors[it] for it in diamonds])


def _diamonds(sheet: Sheet, centers: np.ndarray, size: float, colors: Sequence[str]) -> None:
    """Diamonds about as large as dots of `size` points."""
    corners = (size + 1.5) / 72 / 1.6 * np.array([(0, -1), (1, 0), (0, 1), (-1, 0)])
    if len(centers):
        shapes = [center + corners for center in centers]
        sheet.polygons(shapes, facecolors=colors, edgecolors=INK, linewidths=0.7)


def _entries(values: Sequence[str], colors: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """What a legend says: of each color what it stands for, and of how many images."""
    counts = Counter(values)
    names = {**{value: value for value in colors}, OWN: "your own"}
    entries = [(color, names[value], counts[value]) for value, color in colors.items()]
    others = [count for value, count in counts.items() if value and value not in colors]
    if others:
        entries.append((OTHERS, f"{len(others):,} more", sum(others)))
    return entries + ([(OTHERS, "not known", counts[""])] if "" in counts else [])


def _legend(
    sheet: Sheet, corner: tuple[float, float], values: Sequence[str], colors: Mapping[str, str]
) -> None:
    """What each color is, in two columns."""
    entries = _entries(values, colors)
    lines, wide = -(-len(entries) // COLUMNS), SIDE / COLUMNS
    for number, (color, name, images) in enumerate(entries):
        x = corner[0] + (number // lines) * wide
        y = corner[1] + (number % lines) * ROW
        if color == colors.get(OWN):
            _diamonds(sheet, np.array([(x + 0.05, y - 0.04)]), 6, [color])
        else:
            sheet.dots([(x + 0.05, y - 0.04)], size=6, color=color)
        count = f"({images:,})"
        shown = _cut(name, wide - 0.3 - text_width(count, 8))
        sheet.text(x + 0.15, y, shown, fontsize=8)
        sheet.text(x + 0.15 + text_width(shown, 8) + 0.06, y, count, fontsize=8, color=MUTED)


def _cut(name: str, room: float) -> str:
    """A name in at most `room` inches; of a longer one both ends, as names that begin alike end otherwise."""
    name = legible(name)
    kept = name
    while text_width(kept, 8) > room and len(kept) > 3:
        half = (len(kept) - 2) // 2
        kept = f"{name[:half]}…{name[-half:]}"
    return kept
