"""A wall of the study's images, those of one prompt side by side under its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_high

import numpy as np
from PIL import Image

from promptflux.figures.sheet import ALARM, FAINT, MUTED, Sheet, Style
from promptflux.figures.text import MISSING, legible, one_line, wrapped
from promptflux.images.thumbnails import thumbnail

TITLE = "gallery"
CAPTION = (
    "The images of the study, those of one prompt side by side under its text. Judge by eye: is what the text "
    "names in the picture?"
)
CAPTION_WITHOUT_PROMPTS = (
    "The images of the study as they are, before they are fitted to what a classifier wants."
)
MOST_IN_A_LINE = 6
MOST_LINES, MOST_LINES_CAPTIONED = 2, 8  # of a group's images: under one text, or with one each
MARGIN, GAP, BETWEEN = 0.3, 0.08, 0.32  # inches: around the wall, between images, between groups
LINE, CAPTION_LINE = 0.19, 0.2  # inches: a line of a heading, the room of an image's own caption


@dataclass
class Group:
    """The first images of a row, the caption of each, and how many images the row has in all.

    text: that of their prompt, where the captions are of something else.
    """

    name: str
    images: Sequence[str]
    captions: Sequence[str]
    count: int
    text: str = ""

    @property
    def alike(self) -> bool:
        """Whether one text stands for all images, as a prompt does."""
        return len(set(self.captions)) == 1

    @property
    def heading(self) -> str:
        """The text over the images; the name, if the font has no glyphs for most of the text."""
        text = legible(self.text or (self.captions[0] if self.alike else ""))
        return text if text and 2 * text.count(MISSING) <= len(text) else self.name


def draw(groups: Sequence[Group], total: int, style: Style, note: str = "") -> Sheet:
    """The groups in one column, or in two if there are many; `total`: how many the whole study has; `note`: what the captions say."""
    dpi = style.dpi
    # What most groups need: one with many images must not make all the others narrow.
    per_line = max(3, min(MOST_IN_A_LINE, median_high(group.count for group in groups)))
    few = len(groups) <= 6 and per_line <= 4
    tile = 1.9 if few else 1.35
    columns = 2 if len(groups) > 6 and per_line <= 4 else 1
    width = per_line * (tile + GAP) - GAP
    blocks = [Block(group, tile, per_line, dpi) for group in groups]

    tops, bottom = [], 0.9
    for side_by_side in lines_of(blocks, columns):
        tops += [bottom] * len(side_by_side)
        bottom += max(block.height for block in side_by_side) + BETWEEN
    sheet = Sheet(2 * MARGIN + columns * (width + 2 * BETWEEN) - 2 * BETWEEN, bottom - BETWEEN + MARGIN, dpi)
    sheet.title("Gallery", summary(groups, total) + (f"; {note}" if note else ""))
    canvas = Image.new("RGB", (round(sheet.width * dpi), round(sheet.height * dpi)), "white")
    for number, (block, top) in enumerate(zip(blocks, tops, strict=True)):
        block.place(sheet, canvas, MARGIN + number % columns * (width + 2 * BETWEEN), top)
    sheet.pixels(np.asarray(canvas.convert("RGBA")), 0, 0)
    return sheet


def lines_of(items: list, length: int) -> list[list]:
    """`items` in their order, `length` to a line."""
    return [items[start : start + length] for start in range(0, len(items), length)]


def summary(groups: Sequence[Group], total: int) -> str:
    """How many images of how many prompts there are, or how many of them are shown."""
    if total > len(groups):
        return f"{len(groups)} of {total:,} prompts shown"
    images, prompts = (
        sum(group.count for group in groups),
        sum(group.alike or bool(group.text) for group in groups),
    )
    text = f"{images:,} images" if images > 1 else "1 image"
    if prompts == len(groups):
        text += f" of {prompts} prompts" if prompts > 1 else " of 1 prompt"
    return text


class Block:
    """A group's heading and pictures, measured in inches before they are placed."""

    def __init__(self, group: Group, tile: float, per_line: int, dpi: int):
        self.group, self.tile, self.dpi = group, tile, dpi
        self.width = per_line * (tile + GAP) - GAP
        self.caption = 0.0 if group.alike else CAPTION_LINE
        most = per_line * (MOST_LINES if group.alike else MOST_LINES_CAPTIONED)
        self.count = min(len(group.images), most)
        pictures = [thumbnail(image, round(tile * dpi)) for image in group.images[: self.count]]
        self.lines = [Line(pictures, tile * dpi) for pictures in lines_of(pictures, per_line)]
        room = self.width - (1.2 if self.count < group.count else 0.0)
        self.heading = wrapped(group.heading, room, 9, 2)

    @property
    def height(self) -> float:
        pictures = sum(line.height / self.dpi + self.caption + GAP for line in self.lines)
        return len(self.heading) * LINE + pictures

    def place(self, sheet: Sheet, canvas: Image.Image, left: float, top: float) -> None:
        """Write the texts on `sheet` and paste the pictures on `canvas`, which has the same size."""
        if self.count < self.group.count:
            text = f"{self.count} of {self.group.count:,} images"
            sheet.text(left + self.width, top + 0.12, text, fontsize=7.5, color=MUTED, ha="right")
        for text in self.heading:
            sheet.text(left, top + 0.12, text, fontsize=9)
            top += LINE
        captions = iter(self.group.captions)
        for line in self.lines:
            lower = top + line.height / self.dpi
            for number, picture in enumerate(line.pictures):
                x = left + number * (self.tile + GAP)
                # Lower edges in line: a caption belongs to what stands on it.
                canvas.paste(picture, (round(x * self.dpi), round(lower * self.dpi) - picture.height))
                if number in line.gaps:
                    sheet.text(x + 0.1, lower - 0.1, "cannot be read", fontsize=8, color=ALARM)
                if self.caption:
                    text = one_line(next(captions), self.tile, 7.5)
                    sheet.text(x, lower + 0.14, text, fontsize=7.5, color=MUTED)
            top = lower + self.caption + GAP


class Line:
    """Pictures side by side; `gaps` are the places of those that could not be read. Lengths in pixels."""

    def __init__(self, pictures: Sequence[Image.Image | None], side: float):
        self.gaps = {number for number, picture in enumerate(pictures) if picture is None}
        gap = Image.new("RGB", (round(side), round(side * 0.6)), FAINT)
        self.pictures = [picture or gap for picture in pictures]
        self.height = max(picture.height for picture in self.pictures)
