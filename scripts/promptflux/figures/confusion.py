"""What was asked against what was predicted."""

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from promptflux.figures.sheet import ACCENT, FAINT, INK, MUTED, Sheet, head
from promptflux.figures.text import shorten, text_width

NONE_NAMED = "(none named)"
OWN_IMAGES = "(own images)"
MOST_LABELS = 30  # drawn; the table has them all
SHARE = LinearSegmentedColormap.from_list("share", ["white", ACCENT])
CELL = 0.44  # inches


def named_label(text: str, labels: Sequence[str]) -> str:
    """The label that `text` names first, as a whole word or its simple plural; NONE_NAMED if none.

    Of two labels that start at the same place, the longer one counts.
    """
    found = []
    for label in labels:
        match = whole_word(label).search(text)
        if match:
            found.append((match.start(), -len(match[0]), label))
    return min(found)[2] if found else NONE_NAMED


@cache
def whole_word(label: str) -> re.Pattern:
    """A pattern that finds a label or its plural: forest, forests; city, cities; beach, beaches."""
    words = [re.escape(word) for word in re.split(r"[\s_-]+", label.strip()) if word]
    last = words[-1] if words else r"(?!)"
    plural = f"(?:{last}(?:e?s)?" + (f"|{last[:-1]}ies)" if last.endswith("y") else ")")
    return re.compile(r"(?<!\w)" + r"[\s_-]+".join([*words[:-1], plural]) + r"(?!\w)", re.IGNORECASE)


def draw(matrix: np.ndarray, rows: list[str], labels: list[str], classifier: str) -> Sheet:
    """The counts in cells, coloured by their share of the row; the diagonal is framed."""
    columns, left_out = most_seen(matrix.sum(axis=0), [label in rows for label in labels])
    lines, _ = most_seen(matrix.sum(axis=1), [name in (NONE_NAMED, OWN_IMAGES) for name in rows])
    totals = matrix.sum(axis=1)
    shares = (matrix / totals[:, None])[np.ix_(lines, columns)]
    row_names = [f"{shorten(rows[line], 1.7, 8.5)}  ({totals[line]:,})" for line in lines]
    column_names = [shorten(labels[column], 1.7, 8.5) for column in columns]

    room_left = max(text_width(name, 8.5) for name in row_names) + 0.62
    room_above = 0.72 * max(text_width(name, 8.5) for name in column_names) + 0.3
    width, height = CELL * len(columns), CELL * len(lines)
    top = head() + 0.1 + room_above
    sheet = Sheet(max(room_left + width + 1.6, 6.0), top + max(height, 1.2) + 0.3)
    subtitle = "Images by the label that their prompt names (rows) and the predicted label (columns)"
    if rows == [OWN_IMAGES]:
        subtitle = "Images by the predicted label; the user's own come without a prompt"
    if left_out:
        subtitle += f"; {left_out} labels, hardly ever predicted, are left out"
    sheet.title(f"{classifier}: asked and predicted", subtitle)

    axes = sheet.axes(room_left, top, width, height)
    image = axes.imshow(shares, cmap=SHARE, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for (y, x), share in np.ndenumerate(shares):
        count = matrix[lines[y], columns[x]]
        if count:
            colour = "white" if share > 0.55 else INK
            axes.text(x, y, f"{count:,}", ha="center", va="center", fontsize=8.5, color=colour)
        if rows[lines[y]] == labels[columns[x]]:
            axes.add_patch(
                Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.1, zorder=3)
            )
    axes.set_xticks(
        range(len(columns)), column_names, rotation=45, ha="left", rotation_mode="anchor", parse_math=False
    )
    axes.set_yticks(range(len(lines)), row_names, parse_math=False)
    axes.tick_params(
        length=0, labelsize=8.5, labelcolor=INK, top=True, labeltop=True, bottom=False, labelbottom=False
    )
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(lines) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
    bar = sheet.colour_bar(image, (room_left + width + 0.3, top, 0.12, max(height, 1.2)), "share of the row")
    bar.set_ticks([0, 0.5, 1], labels=["0%", "50%", "100%"], color=MUTED)
    return sheet


def most_seen(counts: np.ndarray, keep: Sequence[bool]) -> tuple[np.ndarray, int]:
    """The places of at most MOST_LABELS labels, in order, and how many are left out.

    Those marked in `keep` come first, then those with the highest counts.
    """
    if len(counts) <= MOST_LABELS:
        return np.arange(len(counts)), 0
    ranked = np.lexsort((np.arange(len(counts)), -counts, ~np.asarray(keep)))[:MOST_LABELS]
    return np.sort(ranked), len(counts) - MOST_LABELS
