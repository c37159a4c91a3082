"""The image's gray values as heatmap, filled contours and surface, beside the image."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.colors import Normalize

from promptflux.figures.resampling import averaged
from promptflux.figures.sheet import (
    FAINT,
    INK,
    MUTED,
    Box,
    Sheet,
    Style,
    colored,
    fitted,
    head,
    numbers,
    round_values,
)
from promptflux.figures.subject import Subject

PLACE = 2
TITLE = "input image visualizations"
CAPTION = (
    "The brightness of this picture in three ways: as colors, as lines of equal brightness, and as a "
    "landscape in which bright is high. All three share the color bar."
)
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of RGB, ITU-R BT.601-7, section 2.5.1
LIMITS = (0.0, 1.0)
SIDE = 2.4  # inches, of each picture


def draw(subject: Subject, style: Style) -> Sheet:
    gray = np.clip(subject.picture @ LUMINANCE, 0.0, 1.0)  # rounding can carry white beyond 1
    kind = "Gray values" if len(subject.tensor) == 1 else "Luminance"
    top = head(subject.alarm) + 0.28
    sheet = Sheet(12.95, top + 2.85, style.dpi)
    sheet.title(subject.name, f"{kind} of the image as {subject.classifier} receives it", subject.alarm)

    names = ("image", "heatmap", "contours, a line every 0.1", "surface")
    for name, center in zip(names, (1.5, 4.35, 7.2, 10.15), strict=True):
        sheet.text(center, top - 0.09, name, ha="center", fontsize=9, color=MUTED)
    sheet.picture(subject.picture, (0.3, top, SIDE, SIDE))
    draw_heatmap(sheet, gray, style, (3.15, top, SIDE, SIDE))
    draw_contours(sheet, gray, style, (6.0, top, SIDE, SIDE))
    draw_surface(sheet, gray, style, (8.75, top, 2.8, SIDE))
    sheet.color_bar((12.15, top, 0.12, SIDE), style.cmap, LIMITS, "black 0, white 1")
    return sheet


def draw_heatmap(sheet: Sheet, gray: np.ndarray, style: Style, room: Box) -> None:
    """`gray` [H, W] as colors."""
    box = place_of(sheet, gray, room)
    sheet.raster(gray, box, style.cmap)


def draw_contours(sheet: Sheet, gray: np.ndarray, style: Style, room: Box) -> None:
    """The areas of `gray` [H, W] between two levels, and the lines between them."""
    box = place_of(sheet, gray, room)
    height, width = gray.shape
    axes = sheet.axes(*box, xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.axis("off")
    mesh = Mesh.of(gray, 112).to_the_edge()  # pixel noise would be a contour line each
    levels = np.linspace(0, 1, 11)
    axes.contourf(*mesh, levels=levels, cmap=style.cmap, norm=Normalize(*LIMITS))
    crossed = levels[(levels > mesh.z.min()) & (levels < mesh.z.max())]
    if crossed.size:
        axes.contour(*mesh, levels=crossed, colors=INK, linewidths=0.3, alpha=0.5)


def place_of(sheet: Sheet, gray: np.ndarray, room: Box) -> Box:
    """Where `gray` [H, W] has square pixels at the top left of a room; its sides get scales of pixels."""
    box = fitted(gray.shape, room)
    sheet.scale(box, "bottom", (-0.5, gray.shape[1] - 0.5))
    sheet.scale(box, "left", (gray.shape[0] - 0.5, -0.5))
    return box


def draw_surface(sheet: Sheet, gray: np.ndarray, style: Style, room: Box) -> None:
    """`gray` [H, W] as heights over the picture, seen from its lower right.

    Matplotlib's own 3D axes take about 30 ms, this takes 10.
    """
    height, width = gray.shape
    left, right, back, front = -0.5, width - 0.5, -0.5, height - 0.5
    view = View.of(width, height, room)
    # The walls behind, at three heights.
    behind = [(left, front), (left, back), (right, back)]
    walls = [[(*corner, z) for corner in behind] for z in (0, 0.5, 1)]
    walls += [[(*corner, 0), (*corner, 1)] for corner in behind]
    sheet.lines([view(np.array(wall)) for wall in walls], colors=FAINT)

    mesh = Mesh.of(gray, 56).to_the_edge()  # a finer one takes longer and shows no more
    points = view(np.stack([*np.meshgrid(mesh.x, mesh.y), mesh.z], axis=-1))
    # Row by row from the back, so that what is in front is drawn last.
    quads = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2)
    heights = (mesh.z[:-1, :-1] + mesh.z[:-1, 1:] + mesh.z[1:, 1:] + mesh.z[1:, :-1]) / 4
    shades = colored(heights.reshape(-1), LIMITS, style.cmap) / 255
    sheet.polygons(quads.reshape(-1, 4, 2), facecolors=shades, antialiaseds=False)

    across, down, up = (
        round_values(left, right, 4),
        round_values(back, front, 4),
        [0.5, 1],
    )  # a 0 would stand on that of the rows
    out = 0.035 * max(width, height)
    sheet.lines([view(np.array([(left, front, 0), (right, front, 0), (right, back, 0), (right, back, 1)]))])
    for values, start, direction in (
        (across, lambda x: (x, front, 0), (0, out, 0)),
        (down, lambda y: (right, y, 0), (out, 0, 0)),
        (up, lambda z: (right, back, z), (out, 0, 0)),
    ):
        starts = np.array([start(value) for value in values])
        sheet.lines([view(np.array([place, place + direction])) for place in starts])
        sheet.labels(
            view(starts + np.multiply(3, direction)), numbers(values), size=6.5, ha="center", va="center"
        )


class View:
    """From where a landscape is seen, and where its points are then on the sheet."""

    TURNED = math.radians(24)  # to the left, so that the right side is seen
    RAISED = math.radians(42)  # above the horizon
    DISTANCE = 4.0  # of the eye, in lengths of the longer side
    HEIGHT = 0.4  # of a landscape from 0 to 1, in the same

    def __init__(self, width: float, height: float):
        self.center = np.array([(width - 1) / 2, (height - 1) / 2, 0.5])
        self.unit = np.array([max(width, height), -max(width, height), 1 / self.HEIGHT])
        self.scale, self.offset = 1.0, np.zeros(2)

    @classmethod
    def of(cls, width: float, height: float, room: Box) -> "View":
        """The view in which a picture of width × height pixels fills a room, with some of it left for ticks."""
        view = cls(width, height)
        corners = np.array(
            [(x, y, z) for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5) for z in (0, 1)]
        )
        seen = view(corners)
        least, most = seen.min(axis=0), seen.max(axis=0)
        view.scale = float(np.min(np.array(room[2:]) / (most - least)))
        view.offset = np.array(room[:2]) + (np.array(room[2:]) - view.scale * (most - least)) / 2
        view.offset -= view.scale * least
        return view

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] of the picture (x, y in pixels, height 0..1) on the sheet, [..., 2] in inches."""
        x, y, z = np.moveaxis((points - self.center) / self.unit, -1, 0)
        right = x * math.cos(self.TURNED) + y * math.sin(self.TURNED)
        away = y * math.cos(self.TURNED) - x * math.sin(self.TURNED)
        up = away * math.sin(self.RAISED) + z * math.cos(self.RAISED)
        depth = away * math.cos(self.RAISED) - z * math.sin(self.RAISED)
        seen = np.stack([right, -up], axis=-1) / (1 + depth / self.DISTANCE)[..., None]
        return self.offset + self.scale * seen


class Mesh(NamedTuple):
    """Heights `z` [rows, columns] over the pixel coordinates `x` [columns] and `y` [rows]."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    @classmethod
    def of(cls, gray: np.ndarray, most: int) -> "Mesh":
        """The means of square blocks of `gray` [H, W], so large that at most `most` lie on a side."""
        step = math.ceil(max(gray.shape) / most)
        rows, columns = (max(1, round(side / step)) for side in gray.shape)
        x = (np.arange(columns) + 0.5) * gray.shape[1] / columns - 0.5
        y = (np.arange(rows) + 0.5) * gray.shape[0] / rows - 0.5
        return cls(x, y, averaged(gray, rows, columns))

    def to_the_edge(self) -> "Mesh":
        """The same with the outermost values repeated at the picture's edges."""
        x, y = (
            np.concatenate([[-0.5], centers, [centers[-1] + centers[0] + 0.5]])
            for centers in (self.x, self.y)
        )
        return Mesh(x, y, np.pad(self.z, 1, mode="edge"))
