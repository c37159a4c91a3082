"""One image of a prompt as each variant makes it, in rows and columns by the axes."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import ceil

import numpy as np
from PIL import Image

from promptflux.figures.sheet import ALARM, FAINT, MUTED, Sheet, Style
from promptflux.figures.text import MISSING, legible, text_width, wrapped
from promptflux.images.thumbnails import thumbnail

TITLE = "variants of a prompt"
CAPTION = (
    "The same image of a prompt, from the same seed, as each variant makes it: what differs from cell to cell "
    "is what the settings of its row and column change."
)
MOST_IN_A_LINE = 8  # cells of one axis side by side; with two axes a row is as long as the second
LARGEST, LEAST, WIDTH = 2.4, 0.95, 10.5  # inches: of a cell's longer side, and of all columns where they can
MARGIN, GAP, BETWEEN = 0.3, 0.08, 0.3  # inches: around the sheet, between cells, between blocks
HEADING, LINE, SMALL = 0.2, 0.165, 8.5  # inches of a line of the prompt and of a title; points of the titles
ROW_TITLE = 1.7  # inches, the most
LEAST_WIDTH = 4.5  # inches

Axis = Mapping  # "title", and the titles of its "values"


def draw(name: str, prompt: str, axes: Sequence[Axis], images: Sequence[str], style: Style) -> Sheet:
    """The sheet of a prompt.

    axes: at least one. The first has a row for each of its values and the second a column; one alone has columns, in
    lines; each combination of further ones is a block. images: the files, in the order of the product of the axes.
    """
    dpi = style.dpi
    titles = [axis["values"] for axis in axes]
    alone = len(axes) == 1
    rows, columns = ([""], titles[0]) if alone else (titles[0], titles[1])
    # Lines of equal length: ten are two of five.
    per_line = ceil(len(columns) / ceil(len(columns) / MOST_IN_A_LINE)) if alone else len(columns)
    side = max(LEAST, min(LARGEST, WIDTH / per_line))
    pictures = [thumbnail(image, round(side * dpi)) for image in images]
    sizes = [picture.size for picture in pictures if picture]
    width, height = (max(size[n] for size in sizes) / dpi if sizes else side for n in (0, 1))

    row_titles = [] if alone else [wrapped(title, ROW_TITLE, SMALL, 3) for title in rows]
    corner = [] if alone else [f"{legible(axes[0]['title'])} \u2193", f"{legible(axes[1]['title'])} \u2192"]
    left = MARGIN + (0 if alone else _widest([*row_titles, corner[:1]]) + 0.12)
    column_titles = [wrapped(title, width, SMALL, 3) for title in columns]
    above = LINE * max(map(len, column_titles)) + 0.05
    wide = max(LEAST_WIDTH, left + per_line * (width + GAP) - GAP + MARGIN)
    heading = wrapped(_heading(name, prompt), wide - 2 * MARGIN, 11, 3)
    top = MARGIN + HEADING * len(heading) + LINE + 0.2

    blocks = list(_blocks(axes))
    lines = [range(start, min(start + per_line, len(columns))) for start in range(0, len(columns), per_line)]
    block_height = (
        len(lines) * (above + height + GAP) if alone else 2 * LINE + above + len(rows) * (height + GAP)
    )
    tall = top + len(blocks) * (block_height + BETWEEN + (LINE if len(axes) > 2 else 0)) - BETWEEN + MARGIN
    sheet = Sheet(wide, tall, dpi)
    canvas = Image.new("RGB", (round(wide * dpi), round(tall * dpi)), "white")
    for number, text in enumerate(heading):
        sheet.text(MARGIN, MARGIN + 0.14 + HEADING * number, text, fontsize=11)
    what = f"{name}: one image of each variant, from the same seed"
    if alone and axes[0]["title"] != "variant":
        what = f"{name}: one image for each {axes[0]['title']}, from the same seed"
    [said] = wrapped(what, wide - 2 * MARGIN, SMALL, 1)
    sheet.text(MARGIN, MARGIN + HEADING * len(heading) + 0.11, said, fontsize=SMALL, color=MUTED)

    def place(number: int, x: float, y: float) -> None:
        picture = pictures[number]
        if picture is None:
            picture = Image.new("RGB", (round(width * dpi), round(height * dpi)), FAINT)
            sheet.text(x + 0.08, y + height - 0.08, "cannot be read", fontsize=7.5, color=ALARM)
        canvas.paste(picture, (round(x * dpi), round(y * dpi)))

    def head(column: int, x: float, bottom: float) -> None:
        texts = column_titles[column]
        for line, text in enumerate(reversed(texts)):
            sheet.text(x + width / 2, bottom - 0.06 - LINE * line, text, fontsize=SMALL, ha="center")

    for said, first in blocks:
        if said:
            [text] = wrapped(said, wide - 2 * MARGIN, 9.5, 1)
            sheet.text(MARGIN, top + 0.1, text, fontsize=9.5)
            top += LINE
        if alone:
            for line in lines:
                top += above
                for n, column in enumerate(line):
                    head(column, left + n * (width + GAP), top)
                    place(column, left + n * (width + GAP), top)
                top += height + GAP
        else:
            sheet.text(left, top + LINE, corner[1], fontsize=SMALL, color=MUTED)
            top += 2 * LINE + above - 0.1
            sheet.text(left - 0.12, top - 0.06, corner[0], fontsize=SMALL, color=MUTED, ha="right")
            for column in range(len(columns)):
                head(column, left + column * (width + GAP), top)
            for row, texts in enumerate(row_titles):
                middle = top + height / 2 - LINE * (len(texts) - 1) / 2
                for line_number, text in enumerate(texts):
                    y = middle + LINE * line_number
                    sheet.text(left - 0.12, y, text, fontsize=SMALL, ha="right", va="center_baseline")
                for column in range(len(columns)):
                    place(first(row, column), left + column * (width + GAP), top)
                top += height + GAP
            top += 0.1
        top += BETWEEN
    sheet.pixels(np.asarray(canvas.convert("RGBA")), 0, 0)
    return sheet


def _heading(name: str, prompt: str) -> str:
    """The prompt; its name, if the font has no glyphs for most of it."""
    text = legible(prompt)
    return text if 2 * text.count(MISSING) <= len(text) else name


def _widest(texts: Sequence[Sequence[str]]) -> float:
    return max(text_width(line, SMALL) for lines in texts for line in lines)


def _blocks(axes: Sequence[Axis]) -> Iterator[tuple]:
    """For each combination of the axes beyond the second, what it is and where its images are, (row, column) -> number."""
    sizes = [len(axis["values"]) for axis in axes]
    further = axes[2:]
    for place in product(*(range(size) for size in sizes[2:])):
        said = ", ".join(
            f"{axis['title']} {axis['values'][number]}" for axis, number in zip(further, place, strict=True)
        )

        def number(row: int, column: int, place: tuple = place) -> int:
            return int(np.ravel_multi_index((row, column, *place), sizes))

        yield said, number
