"""Create the confusion of what was asked against what was predicted, as a table and as a figure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from promptflux.errors import StudyError
from promptflux.files import whole
from promptflux.plotting import ACCENT, FAINT, INK, MUTED, Sheet, Style, head, shorten, text_width
from promptflux.tables import read_predictions

NONE_NAMED = "(none named)"
OWN_IMAGES = "(own images)"
MOST_LABELS = 30  # drawn; the table has them all
SHARE = LinearSegmentedColormap.from_list("share", ["white", ACCENT])
CELL = 0.44  # inches


def main(
    *,
    predictions: str,
    asked: Mapping[str, str],
    labels: Sequence[str],
    classifier: str,
    table: str,
    figure: str,
    style: Mapping = MappingProxyType({}),
) -> None:
    """Count the images by the label that their prompt names and the label that was predicted.

    predictions: a table of one engine. asked: the name of a prompt -> its text; an image
    without a prompt is the user's own. labels: the classifier's, in order. table: the counts as
    tab-separated text, a row for each label that a prompt names. figure: the same as a PNG.
    style: the fields of `plotting.Style`. Raises StudyError if there are no predictions.
    """
    counts = Counter()
    for row in read_predictions(predictions):
        name = named_label(asked[row.prompt], labels) if row.prompt else OWN_IMAGES
        counts[name, row.predicted] += 1
    if not counts:
        raise StudyError(f"{predictions}: the table has no rows; there is nothing to count.")
    rows = [name for name in [*labels, NONE_NAMED, OWN_IMAGES] if any(row == name for row, _ in counts)]
    matrix = np.array([[counts[row, label] for label in labels] for row in rows])

    lines = [["asked", *labels]] + [[name, *map(str, line)] for name, line in zip(rows, matrix, strict=True)]
    with whole(table) as path:
        path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    draw(matrix, rows, list(labels), classifier).save(figure, Style(**style).dpi)


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


if "snakemake" in globals():
    from promptflux.job import job
    from promptflux.prompts import read_prompts

    with job(snakemake):  # noqa: F821
        tables = snakemake.input.prompts  # noqa: F821
        main(
            predictions=snakemake.input.predictions,  # noqa: F821
            asked={prompt.name: prompt.prompt for table in tables for prompt in read_prompts(table)},
            labels=snakemake.params.labels,  # noqa: F821
            classifier=snakemake.wildcards.classifier,  # noqa: F821
            table=snakemake.output.table,  # noqa: F821
            figure=snakemake.output.figure,  # noqa: F821
            style=snakemake.params.style,  # noqa: F821
        )
