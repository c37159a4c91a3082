"""How every figure looks, and what is drawn in many of them.

Figures are made with matplotlib's `Figure` and no pyplot, on the Agg canvas, with the
DejaVu fonts that come with matplotlib: the same numbers give the same bytes everywhere.
Positions and sizes are in inches from the top left corner, as on paper.

`Sheet.axes` has all of matplotlib, at about 16 ms for axes with ticks. What each of many figures
draws has a quicker way here: pictures, scales, color bars, lines and polygons. They cover each
other in the order of the calls, lie over axes, and under the lines of `Sheet.text`.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import CircleCollection, LineCollection, PolyCollection
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D
from PIL import Image

from promptflux.errors import StudyError
from promptflux.figures.canvas import Canvas, Labels, Pixels
from promptflux.figures.png import write_png
from promptflux.figures.resampling import repeated
from promptflux.figures.text import one_line, text_width
from promptflux.files.whole import whole

INK = "#1f2933"  # text and outlines
MUTED = "#66727f"  # captions, ticks, what is only there for orientation
FAINT = "#d9dee3"  # grid lines, frames, what has no value
QUIET = "#9db4c8"  # bars that are not the point
ACCENT = "#1f6f8b"  # bars that are
ALARM = "#b3261e"  # what is wrong
CHANNEL_COLORS = {1: [INK], 3: ["#b5443c", "#3f8f56", "#3b6fb5"]}  # gray; red, green, blue

Box = tuple[float, float, float, float]  # left, top, width, height in inches
Points = Sequence[tuple[float, float]] | np.ndarray  # left, top in inches; [N, 2]
LINE_WIDTH = 0.6  # points, of axes and frames
TICK_SIZE = 7.5  # points, of the labels of ticks
SHARP = 96  # pixels: a picture that is smaller on both sides shows each of them as a square

matplotlib.rcdefaults()  # not the style of whoever runs this
matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9.0,
        "text.color": INK,
        "axes.unicode_minus": True,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": LINE_WIDTH,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.0,
        "axes.titlecolor": MUTED,
        "axes.labelsize": 8.0,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": TICK_SIZE,
        "ytick.labelsize": TICK_SIZE,
        "xtick.major.width": LINE_WIDTH,
        "ytick.major.width": LINE_WIDTH,
        "xtick.major.size": 3.0,
        "ytick.major.size": 3.0,
        "grid.color": FAINT,
        "grid.linewidth": LINE_WIDTH,
        "hatch.linewidth": 0.5,
    }
)


@dataclass(frozen=True)
class Style:
    """A study's settings of its figures, `figures` in config.yaml.

    Raises StudyError for a colormap that matplotlib does not know.
    """

    colormap: str
    dpi: int

    def __post_init__(self):
        if self.colormap not in matplotlib.colormaps:
            raise StudyError(
                f"config.yaml: figures.colormap is {self.colormap!r}, which matplotlib does not know; "
                f"try viridis, magma, cividis, gray or coolwarm."
            )

    @property
    def cmap(self) -> Colormap:
        """The colormap itself."""
        return matplotlib.colormaps[self.colormap]


class Sheet:
    """A figure on white paper of `width` × `height` inches; positions are in inches from the top left."""

    def __init__(self, width: float, height: float, dpi: int):
        self.width, self.height, self.dpi = width, height, dpi
        self.figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
        self.canvas = Canvas(self.figure)
        self.inches = Affine2D().scale(1 / width, -1 / height).translate(0, 1) + self.figure.transFigure

    def axes(self, left: float, top: float, width: float, height: float, **settings) -> Axes:
        """Axes whose frame has its top left corner at (`left`, `top`)."""
        bottom = self.height - top - height
        rectangle = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(rectangle, **settings)

    # Text

    def text(self, left: float, top: float, text: str, **settings) -> Text:
        """A line of text whose baseline starts at (`left`, `top`); a `$` in it is a dollar."""
        settings = {"parse_math": False, **settings}
        return self.figure.text(left / self.width, 1 - top / self.height, text, **settings)

    def title(self, title: str, subtitle: str = "", alarm: str = "", left: float = 0.3) -> None:
        """The figure's title, a line on what is seen, and in red what is wrong with it.

        They take the first `HEAD` inches, or `head(alarm)` with an alarm.
        """
        room = self.width - 2 * left
        self.text(left, 0.36, one_line(title, room, 12), fontsize=12)
        self.text(left, 0.58, one_line(subtitle, room, 8.5), fontsize=8.5, color=MUTED)
        if alarm:
            self.text(
                left + 0.06,
                0.87,
                one_line(alarm, room - 0.12, 8.5),
                fontsize=8.5,
                color="white",
                bbox={"boxstyle": "square,pad=0.45", "facecolor": ALARM, "edgecolor": "none"},
            )

    def labels(
        self,
        places: Points,
        texts: Sequence[str],
        *,
        size: float = TICK_SIZE,
        color: str = MUTED,
        ha: str = "left",
        va: str = "baseline",
    ) -> None:
        """Many short texts at `places`, (left, top) each. ha: left, center or right. va: baseline, center or top."""
        if texts:
            self._add(Labels(np.multiply(places, self.dpi), texts, size, color, ha, va))

    # Shapes

    def lines(self, segments: Any, **settings) -> None:
        """Lines, each a sequence of (left, top) or an array [N, 2]. settings: of a LineCollection."""
        if not len(segments):
            return
        settings = {"colors": MUTED, "linewidths": LINE_WIDTH, **settings}
        self._add(LineCollection(segments, transform=self.inches, **settings))

    def polygons(self, corners: Any, **settings) -> None:
        """Filled polygons, each a sequence of (left, top) or an array [N, 2]. settings: of a PolyCollection."""
        settings = {"linewidths": 0, **settings}
        self._add(PolyCollection(corners, transform=self.inches, **settings))

    def _add(self, artist: Artist) -> None:
        artist.set_zorder(1)  # one for all: later calls cover earlier ones
        self.figure.add_artist(artist, clip=False)

    def dots(self, centers: Points, *, size: float, color: Any, alpha: float | None = None) -> None:
        """Discs of `size` points at `centers`, (left, top) each; color: of all, or one for each."""
        if len(centers):
            disc = CircleCollection(
                [math.pi * (size / 2) ** 2],
                offsets=centers,
                offset_transform=self.inches,
                facecolors=color,
                edgecolors="none",
                alpha=alpha,
            )
            self._add(disc)

    # Pictures

    def pixels(self, picture: np.ndarray, left: float, top: float) -> None:
        """A picture, uint8 [H, W, 4], shown pixel by pixel."""
        self._add(Pixels(picture, round(left * self.dpi), round(top * self.dpi)))

    def picture(self, picture: np.ndarray, box: Box) -> None:
        """A picture, [H, W, 3] with values 0..1, as large as the box allows, at its top left, in a thin frame."""
        left, top, width, height = box = fitted(picture.shape[:2], box)
        self.raster(np.round(picture * 255).astype(np.uint8), box)
        corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
        self.lines([[*corners, corners[0]]], colors=FAINT, capstyle="projecting")

    def raster(
        self, values: np.ndarray, box: Box, cmap: Colormap | None = None, *, sharp: bool = False
    ) -> None:
        """An image that fills a box: uint8 [H, W, 3], or float [H, W] of 0..1 with the colors of `cmap`.

        A small one shows its pixels as rectangles, a larger one too if it is to be `sharp`.
        """
        height, width = (max(1, round(side * self.dpi)) for side in (box[3], box[2]))
        if sharp or max(values.shape[:2]) <= SHARP:
            large = repeated(values, height, width)
        else:
            large = np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC))
        pixels = np.full((height, width, 4), 255, np.uint8)
        pixels[..., :3] = colored(large, (0, 1), cmap)[..., :3] if cmap else large
        self.pixels(pixels, box[0], box[1])

    # Scales

    def scale(
        self,
        box: Box,
        side: str,
        limits: tuple[float, float],
        *,
        label: str = "",
        ticks: Sequence[float] | np.ndarray | None = None,
        texts: Sequence[str] | None = None,
        line: bool = True,
    ) -> None:
        """A linear scale with ticks along the "bottom", "left" or "right" side of a box.

        limits: its values at the left and the right end, or at the lower and the upper. ticks: the
        values that are marked, about two per inch if not given. texts: what stands at them. line:
        whether the side is drawn, too.
        """
        left, top, width, height = box
        level = side == "bottom"
        start, end = limits
        if ticks is None:
            ticks = round_values(start, end, max(2, int(2.35 * (width if level else height))))
        texts = numbers(ticks) if texts is None else texts
        parts = (np.asarray(ticks, float) - start) / (end - start)
        edge = np.column_stack(
            [left + width * parts, np.full(len(parts), top + height)]
            if level
            else [np.full(len(parts), left + (width if side == "right" else 0)), top + height * (1 - parts)]
        )
        out = {"bottom": (0.0, 1.0), "left": (-1.0, 0.0), "right": (1.0, 0.0)}[side]
        segments = [*np.stack([edge, edge + np.multiply(out, TICK)], axis=1)]
        if line:
            corner = (left + (width if side == "right" else 0), top + height)
            segments.append(np.array([corner, (left + width, top + height) if level else (corner[0], top)]))
        self.lines(segments, capstyle="projecting")
        ha, va = {"bottom": ("center", "top"), "left": ("right", "center"), "right": ("left", "center")}[side]
        self.labels(edge + np.multiply(out, TICK + 0.05), texts, ha=ha, va=va)
        if label and level:
            self.text(left + width / 2, top + height + 0.33, label, fontsize=8, color=INK, ha="center")
        elif label:
            room = TICK + 0.05 + max((text_width(text, TICK_SIZE) for text in texts), default=0.0) + 0.07
            at = left - room if side == "left" else left + width + room
            self.text(
                at,
                top + height / 2,
                label,
                fontsize=8,
                color=INK if side == "left" else MUTED,
                rotation=90,
                rotation_mode="anchor",
                ha="center",
                va="baseline" if side == "left" else "top",
            )

    def color_bar(
        self,
        box: Box,
        cmap: Colormap,
        limits: tuple[float, float],
        label: str,
        *,
        extend: str = "neither",
        ticks: Sequence[float] | np.ndarray | None = None,
        texts: Sequence[str] | None = None,
    ) -> None:
        """A vertical color bar with its meaning beside it.

        limits: the values of its lower and its upper end. extend: which of them are exceeded,
        "neither", "max" or "both". For the rest see `scale`.
        """
        left, top, width, height = box
        tip = 0.1  # inches, of the triangles that say so
        bar_top = top + (tip if extend in ("max", "both") else 0.0)
        bar_bottom = top + height - (tip if extend == "both" else 0.0)
        rows, columns = (max(1, round(side * self.dpi)) for side in (bar_bottom - bar_top, width))
        shades = cmap(np.linspace(1, 0, rows), bytes=True)
        self.pixels(np.repeat(shades[:, None], columns, axis=1), left, bar_top)
        for edge, end, shade in ((bar_top, top, cmap(1.0)), (bar_bottom, top + height, cmap(0.0))):
            if end != edge:
                triangle = [(left, edge), (left + width / 2, end), (left + width, edge)]
                self.polygons([triangle], facecolors=[shade])
        self.scale(
            (left, bar_top, width, bar_bottom - bar_top),
            "right",
            limits,
            label=label,
            ticks=ticks,
            texts=texts,
            line=False,
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write the figure as a PNG without dates or versions in it."""
        self.canvas.draw()
        # Pillow drops the opacity in a sixth of the time that NumPy takes to copy three of four bytes.
        pixels = Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")
        with whole(path) as partial:
            write_png(partial, np.asarray(pixels), self.dpi)


HEAD = 0.74
TICK = 3 / 72  # inches, its length


def head(alarm: str = "") -> float:
    """The height in inches that `Sheet.title` takes."""
    return HEAD + (0.38 if alarm else 0.0)


def fitted(shape: Sequence[int], box: Box) -> Box:
    """The largest box at the top left of `box` in which a picture of `shape` (height, width) has square pixels."""
    side = min(box[2] / shape[1], box[3] / shape[0])
    return box[0], box[1], side * shape[1], side * shape[0]


def colored(values: np.ndarray, limits: tuple[float, float], cmap: Colormap) -> np.ndarray:
    """The colors of `values` [...], uint8 [..., 4]; what lies outside of `limits` has the color of its end."""
    table = cmap(np.arange(cmap.N), bytes=True)
    low, high = limits
    places = (values - low) * (cmap.N / (high - low))
    return table[np.clip(places, 0, cmap.N - 1).astype(np.intp)]


def round_values(start: float, end: float, most: int) -> np.ndarray:
    """At most about `most` + 1 round numbers from `start` to `end`, for ticks."""
    low, high = min(start, end), max(start, end)
    values = np.asarray(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    slack = 1e-9 * (high - low)
    return values[(values >= low - slack) & (values <= high + slack)]


def numbers(values: Sequence[float] | np.ndarray) -> list[str]:
    """Numbers with equally many decimals, and with a minus that is as wide as a plus."""
    least = 1e-9 * max(map(abs, values), default=0.0)
    values = [value if abs(value) > least else 0.0 for value in values]  # no 5.6e-17, no -0
    texts = [f"{value:.6g}" for value in values]
    if not any("e" in text for text in texts):
        decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
        texts = [f"{value:.{decimals}f}" for value in values]
    return [text.replace("-", "\u2212") for text in texts]
