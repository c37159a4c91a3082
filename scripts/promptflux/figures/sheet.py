"""How every figure looks, and how free text gets into one.

Figures are made with matplotlib's `Figure` and no pyplot, on the Agg canvas, with the
DejaVu fonts that come with matplotlib: the same numbers give the same bytes everywhere.
Positions and sizes are in inches from the top left corner, as on paper.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.text import Text

from promptflux.errors import StudyError
from promptflux.figures.text import shorten
from promptflux.files.whole import whole

INK = "#1f2933"  # text and outlines
MUTED = "#66727f"  # captions, ticks, what is only there for orientation
FAINT = "#d9dee3"  # grid lines, frames, what has no value
QUIET = "#9db4c8"  # bars that are not the point
ACCENT = "#1f6f8b"  # bars that are
ALARM = "#b3261e"  # what is wrong
CHANNEL_COLOURS = {1: [INK], 3: ["#b5443c", "#3f8f56", "#3b6fb5"]}  # gray; red, green, blue

matplotlib.rcdefaults()  # not the style of whoever runs this
matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9.0,
        "text.color": INK,
        "axes.unicode_minus": True,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.0,
        "axes.titlecolor": MUTED,
        "axes.labelsize": 8.0,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 3.0,
        "ytick.major.size": 3.0,
        "grid.color": FAINT,
        "grid.linewidth": 0.6,
        "hatch.linewidth": 0.5,
    }
)


@dataclass(frozen=True)
class Style:
    """A study's settings of its figures, `figures` in config.yaml.

    Raises StudyError for a colormap that matplotlib does not know.
    """

    colormap: str = "viridis"
    dpi: int = 130

    def __post_init__(self):
        if self.colormap not in matplotlib.colormaps:
            raise StudyError(
                f"config.yaml: figures.colormap is {self.colormap!r}, which matplotlib does not know; "
                f"try viridis, magma, cividis, gray or coolwarm."
            )

    @property
    def colours(self) -> Colormap:
        return matplotlib.colormaps[self.colormap]


# Text ----------------------------------------------------------------------------------


# Paper ---------------------------------------------------------------------------------


class Sheet:
    """A figure of `width` by `height` inches, on which things are placed from the top left."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float, **settings) -> Axes:
        """Axes whose frame has its top left corner at (`left`, `top`)."""
        bottom = self.height - top - height
        rectangle = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(rectangle, **settings)

    def text(self, left: float, top: float, text: str, **settings) -> Text:
        """A line of text whose baseline starts at (`left`, `top`); a `$` in it is a dollar."""
        settings = {"parse_math": False, **settings}
        return self.figure.text(left / self.width, 1 - top / self.height, text, **settings)

    def title(self, title: str, subtitle: str = "", alarm: str = "", left: float = 0.3) -> None:
        """The figure's title, a line on what is seen, and in red what is wrong with it.

        They take the first `HEAD` inches, or `head(alarm)` with an alarm.
        """
        room = self.width - 2 * left
        self.text(left, 0.36, shorten(title, room, 12), fontsize=12)
        self.text(left, 0.58, shorten(subtitle, room, 8.5), fontsize=8.5, color=MUTED)
        if alarm:
            self.text(
                left + 0.06,
                0.87,
                shorten(alarm, room - 0.12, 8.5),
                fontsize=8.5,
                color="white",
                bbox={"boxstyle": "square,pad=0.45", "facecolor": ALARM, "edgecolor": "none"},
            )

    def colour_bar(self, mappable: ScalarMappable, box: Sequence[float], label: str, **settings) -> Colorbar:
        """A vertical colour bar in `box` = (left, top, width, height), labelled with its meaning."""
        bar = self.figure.colorbar(mappable, cax=self.axes(*box), **settings)
        bar.outline.set_visible(False)
        bar.set_label(label, color=MUTED, fontsize=8)
        return bar

    def save(self, path: str | os.PathLike, dpi: int) -> None:
        """Write the figure as a PNG without dates or versions in it."""
        with whole(path) as partial:
            self.figure.savefig(partial, dpi=dpi, format="png", metadata={"Software": None})


HEAD = 0.74


def head(alarm: str = "") -> float:
    """The height in inches that `Sheet.title` takes."""
    return HEAD + (0.38 if alarm else 0.0)


def show_picture(axes: Axes, picture: np.ndarray) -> None:
    """Show a picture, [H, W, 3] with values 0..1, in a thin frame without ticks, at the top of its room."""
    axes.set_anchor("NW")
    axes.imshow(picture, interpolation="nearest" if max(picture.shape[:2]) <= 96 else "auto")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
