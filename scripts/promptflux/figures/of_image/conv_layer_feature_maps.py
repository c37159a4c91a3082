"""All channels of a convolution for one image, on one color scale, beside the image."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import Colormap

from promptflux.figures.resampling import averaged, repeated
from promptflux.figures.sheet import FAINT, Sheet, Style, colored, head
from promptflux.figures.subject import Subject

PLACE = 3
EACH = "conv"
FILE = "conv_layer_{number}_feature_maps"
TITLE = "conv layer {number} feature maps"
CAPTION = (
    "Each tile is one channel of convolution {number}: it is bright where the channel finds its pattern. All "
    "tiles share the color bar, so they can be compared; a crossed-out one found nothing in this image."
)
MOST_CHANNELS = 256  # drawn of one layer


def draw(subject: Subject, layer: str, style: Style) -> Sheet:
    maps = subject.outputs[layer]
    channels, height, width = maps.shape
    dead = dead_channels(maps)
    drawn = maps[:MOST_CHANNELS]
    limits, extend = shared_scale(maps)

    grid = Grid.of(len(drawn), height / width)
    top = head(subject.alarm) + 0.1
    sheet = Sheet(max(3.3 + grid.width + 1.1, 8.0), top + max(grid.height, 2.8) + 0.3, style.dpi)
    parts = [f"{channels} {'channel' if channels == 1 else 'channels'} of {height} × {width}"]
    if dead.any():
        parts.append(f"{dead.sum()} dead (crossed out: one value everywhere)")
    if channels > len(drawn):
        parts.append(f"the first {len(drawn)} are drawn, {channels - len(drawn)} are left out")
    title = f"{subject.name}: what {layer} of {subject.classifier} sees"
    sheet.title(title, " · ".join(parts), subject.alarm)
    sheet.picture(subject.picture, (0.3, top + grid.label, 2.6, 2.6))

    left = 3.3
    sheet.pixels(paint(drawn, dead[: len(drawn)], grid, style.dpi, style.cmap, limits), left, top)
    corners = np.add([grid.corner(channel) for channel in range(len(drawn))], (left, top))
    names = [str(channel + 1) for channel in range(len(drawn))]
    sheet.labels(np.subtract(corners, (0, 0.018)), names, size=grid.label * 47)
    diagonals = np.array([[(0, 0), (1, 1)], [(0, 1), (1, 0)]]) * (grid.tile_width, grid.tile_height)
    sheet.lines([corner + diagonal for corner in corners[dead[: len(drawn)]] for diagonal in diagonals])

    bar = (left + grid.width + 0.15, top + grid.label, 0.12, min(grid.height - grid.label, 4.0))
    activation = subject.layers[layer].activation
    meaning = "output of the convolution" if activation == "identity" else f"activation after {activation}"
    sheet.color_bar(bar, style.cmap, limits, meaning, extend=extend)
    return sheet


def dead_channels(maps: np.ndarray) -> np.ndarray:
    """Which channels of [C, H, W] carry nothing: zero, or one value everywhere, bool [C]."""
    flat = maps.reshape(len(maps), -1)
    constant = flat.max(axis=1) == flat.min(axis=1)
    return constant & ((flat.shape[1] > 1) | (flat[:, 0] == 0))


def shared_scale(maps: np.ndarray) -> tuple[tuple[float, float], str]:
    """The lower and the upper end of the color scale of all channels, and which end of it is exceeded ("neither", "max", "both").

    From 0 for maps that are nowhere negative, else symmetric about 0. A few outliers (at most
    one value in a thousand) do not stretch it.
    """
    sizes = np.abs(maps)
    largest, usual = float(sizes.max()), float(np.quantile(sizes, 0.999))
    exceeded = 0 < 1.25 * usual < largest
    limit = (usual if exceeded else largest) or 1.0
    if maps.min() < 0:
        return (-limit, limit), "both" if exceeded else "neither"
    return (0.0, limit), "max" if exceeded else "neither"


@dataclass(frozen=True)
class Grid:
    """Tiles in rows, each with its number above it; all lengths in inches."""

    columns: int
    rows: int
    tile_width: float
    tile_height: float
    label: float
    gap: float = 0.06

    @classmethod
    def of(cls, tiles: int, aspect: float) -> "Grid":
        """A nearly square grid of `tiles` maps whose height is `aspect` times their width."""
        aspect = min(max(aspect, 0.1), 10.0)
        columns = min(tiles, max(1, math.ceil(math.sqrt(tiles * aspect))))
        rows = math.ceil(tiles / columns)
        tile_width = min(max(6.6 / columns - cls.gap, 0.4), 2.2, 2.2 / aspect)
        return cls(columns, rows, tile_width, tile_width * aspect, label=0.1 if columns > 10 else 0.14)

    @property
    def width(self) -> float:
        return self.columns * (self.tile_width + self.gap) - self.gap

    @property
    def height(self) -> float:
        return self.rows * (self.label + self.tile_height + self.gap) - self.gap

    def corner(self, tile: int) -> tuple[float, float]:
        """The left and top edge of a tile."""
        row, column = divmod(tile, self.columns)
        left = column * (self.tile_width + self.gap)
        return left, self.label + row * (self.label + self.tile_height + self.gap)


def paint(
    maps: np.ndarray, dead: np.ndarray, grid: Grid, dpi: int, cmap: Colormap, limits: tuple[float, float]
) -> np.ndarray:
    """The maps [C, H, W] as one picture of the grid, uint8 [height, width, 4] at `dpi`.

    One image instead of an Axes for each map: 256 Axes take seconds.
    """
    canvas = np.zeros((round(grid.height * dpi), round(grid.width * dpi), 4), np.uint8)
    height, width = max(1, round(grid.tile_height * dpi)), max(1, round(grid.tile_width * dpi))
    tiles = colored(averaged(maps, height, width), limits, cmap)
    tiles[dead] = [*bytes.fromhex(FAINT[1:]), 255]
    for channel, tile in enumerate(tiles):
        left, top = (round(edge * dpi) for edge in grid.corner(channel))
        room = canvas[top : top + height, left : left + width]
        room[:] = repeated(tile, height, width)[: room.shape[0], : room.shape[1]]
    return canvas
