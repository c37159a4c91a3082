"""What was asked against what was predicted."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from promptflux.figures.sheet import ACCENT, FAINT, INK, Sheet, Style, colored, head
from promptflux.figures.text import one_line, text_width
from promptflux.metrics.truth import NO_TRUTH, OWN_IMAGES

TITLE = "asked against seen"
CAPTION = (
    "What was asked against what was seen. A row holds the images of which that label is asked, a column "
    "those predicted as it; on the framed cells both agree. The color is the share of the row."
)
MOST_LABELS = 30  # drawn; the table has them all
SHARE = LinearSegmentedColormap.from_list("share", ["white", ACCENT])
CELL = 0.44  # inches


def draw(
    matrix: np.ndarray, rows: Sequence[str], labels: Sequence[str], classifier: str, style: Style
) -> Sheet:
    """The counts in cells, colored by their share of the row; where both agree they are framed.

    matrix: whole numbers [rows, labels], a row for each asked label, and for each of NO_TRUTH.
    """
    columns, left_out = most_seen(matrix.sum(axis=0), [label in rows for label in labels])
    lines, _ = most_seen(matrix.sum(axis=1), [name in NO_TRUTH for name in rows])
    totals = matrix.sum(axis=1)
    shares = (matrix / totals[:, None])[np.ix_(lines, columns)]
    row_names = [f"{one_line(rows[line], 1.7, 8.5)}  ({totals[line]:,})" for line in lines]
    column_names = [one_line(labels[column], 1.7, 8.5) for column in columns]

    room_left = max(text_width(name, 8.5) for name in row_names) + 0.62
    room_above = 0.72 * max(text_width(name, 8.5) for name in column_names) + 0.3
    width, height = CELL * len(columns), CELL * len(lines)
    top = head() + 0.1 + room_above
    sheet = Sheet(max(room_left + width + 1.6, 6.0), top + max(height, 1.2) + 0.3, style.dpi)
    subtitle = "Images by the label that is asked of them (rows) and the predicted label (columns)"
    if rows == [OWN_IMAGES]:
        subtitle = "Images by the predicted label; what the user's own show is not known"
    if left_out:
        subtitle += f"; {left_out} labels, hardly ever predicted, are left out"
    sheet.title(f"{classifier}: asked and predicted", subtitle)

    left = room_left
    shades = colored(shares, (0, 1), SHARE)
    sheet.raster(np.ascontiguousarray(shades[..., :3]), (left, top, width, height), sharp=True)
    for (y, x), share in np.ndenumerate(shares):
        if count := matrix[lines[y], columns[x]]:
            place = (left + CELL * (x + 0.5), top + CELL * (y + 0.5))
            color = "white" if share > 0.55 else INK
            sheet.labels([place], [f"{count:,}"], size=8.5, color=color, ha="center", va="center")
    grid = [[(left, top + CELL * y), (left + width, top + CELL * y)] for y in range(len(lines) + 1)]
    grid += [[(left + CELL * x, top), (left + CELL * x, top + height)] for x in range(len(columns) + 1)]
    sheet.lines(grid, colors=FAINT, capstyle="projecting")
    agreeing = [
        (left + CELL * x, top + CELL * y)
        for y, line in enumerate(lines)
        for x, column in enumerate(columns)
        if rows[line] == labels[column]
    ]
    frame = np.array([(0, 0), (CELL, 0), (CELL, CELL), (0, CELL), (0, 0)])
    sheet.lines([corner + frame for corner in agreeing], colors=INK, linewidths=1.1, joinstyle="miter")
    for x, name in enumerate(column_names):
        place = (left + CELL * (x + 0.5), top - 0.08)
        sheet.text(*place, name, fontsize=8.5, rotation=45, rotation_mode="anchor")
    for y, name in enumerate(row_names):
        place = (left - 0.06, top + CELL * (y + 0.5))
        sheet.text(*place, name, fontsize=8.5, ha="right", va="center_baseline")
    sheet.color_bar(
        (room_left + width + 0.3, top, 0.12, max(height, 1.2)),
        SHARE,
        (0, 1),
        "share of the row",
        ticks=[0, 0.5, 1],
        texts=["0%", "50%", "100%"],
    )
    return sheet


def most_seen(counts: np.ndarray, keep: Sequence[bool]) -> tuple[np.ndarray, int]:
    """The places of at most MOST_LABELS labels, in order, and how many are left out.

    Those marked in `keep` come first, then those with the highest counts.
    """
    if len(counts) <= MOST_LABELS:
        return np.arange(len(counts)), 0
    ranked = np.lexsort((np.arange(len(counts)), -counts, ~np.asarray(keep)))[:MOST_LABELS]
    return np.sort(ranked), len(counts) - MOST_LABELS
