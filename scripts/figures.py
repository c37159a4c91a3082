"""Create the figures of single images: what the network got, what it saw in it, and what it answered.

Everything is read from the HDF5 files that every engine writes alike, so that the figures
do not depend on the engine.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.ticker import MaxNLocator

from promptflux.classifiers.weights import load_description
from promptflux.errors import StudyError
from promptflux.figures.sheet import (
    ACCENT,
    CHANNEL_COLOURS,
    FAINT,
    INK,
    MUTED,
    QUIET,
    Sheet,
    Style,
    head,
    show_picture,
)
from promptflux.figures.text import shorten, text_width
from promptflux.files.predictions import open_predictions
from promptflux.files.tensors import open_tensors
from promptflux.images.inputs import InputSpec
from promptflux.images.thumbnails import displayed
from promptflux.runtime.job import progress
from promptflux.script import run

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of RGB, ITU-R BT.601-7, section 2.5.1
MOST_CHANNELS = 256  # drawn of one layer
MOST_LABELS = 30  # drawn of one classifier


@dataclass(frozen=True)
class Subject:
    """One image as a classifier got it, and what the classifier made of it.

    `tensor`: float32 [C, H, W], C = 1 or 3. `source_size`: (height, width) in pixels.
    `problem`: why a test pattern stands in, or "". `maps`: convolution -> float32 [C, H, W].
    `activations`: convolution -> its activation. `predicted`: the place of the predicted label.
    `probabilities`: float32 [K].
    """

    name: str
    classifier: str
    tensor: np.ndarray
    input: InputSpec
    source_size: tuple[int, int]
    source_mode: str
    problem: str
    maps: dict[str, np.ndarray]
    activations: dict[str, str]
    labels: list[str]
    predicted: int
    probabilities: np.ndarray

    @property
    def picture(self) -> np.ndarray:
        """The tensor as a picture, float32 [H, W, 3], values 0..1."""
        return displayed(self.tensor, self.input)

    @property
    def alarm(self) -> str:
        return f"TEST PATTERN: {self.problem}" if self.problem else ""


def main(
    *,
    tensors: str,
    predictions: str,
    model: str,
    images: Sequence[str],
    figures: Sequence[str],
    threads: int,
    style: Mapping,
) -> None:
    """Write the figures of `images` to `figures`, each in a folder of its own.

    tensors, predictions: HDF5 files of one batch, the latter of one engine and with the
    layers of `images`. model: the classifier's model file. style: the fields of `Style`.
    Raises StudyError if an image, its layers or the colormap is missing.
    """
    draw = partial(draw_image, tensors, predictions, model, Path(figures[0]).parents[1], Style(**style))
    workers = min(threads, len(images))
    # Only a forked process can take part: a spawned one would run the calling script once more.
    if workers > 1 and "fork" in get_all_start_methods():
        with ProcessPoolExecutor(workers, get_context("fork")) as pool:
            list(progress(pool.map(draw, images), "figures", "image", len(images)))
    else:
        for image in progress(images, "figures", "image"):
            draw(image)


def draw_image(tensors: str, predictions: str, model: str, folder: Path, style: Style, image: str) -> None:
    """Write all figures of one image to `folder/{image}/`."""
    subject = read_subject(tensors, predictions, model, image)
    folder = folder / image
    loaded_image(subject).save(folder / "loaded_image_verification.png", style.dpi)
    visualizations(subject, style).save(folder / "input_image_visualizations.png", style.dpi)
    for number, layer in enumerate(subject.maps, start=1):
        sheet = feature_maps(subject, layer, style)
        sheet.save(folder / f"conv_layer_{number}_feature_maps.png", style.dpi)
    model_output(subject).save(folder / "model_output.png", style.dpi)


def read_subject(tensors: str, predictions: str, model: str, image: str) -> Subject:
    """Read what the figures of one image need."""
    with open_tensors(tensors) as file:
        row = row_of(image, file.names, tensors)
        tensor, input_spec, problem = file.images[row], file.input, file.problems[row]
        source_size, source_mode = tuple(map(int, file.source_size[row])), file.source_mode[row]
    convolutions = load_description(model).layers_of("conv")
    with open_predictions(predictions) as file:
        place = row_of(image, file.names, predictions)
        row = row_of(image, file.layer_images, f"{predictions}, layer_images")
        return Subject(
            name=image,
            classifier=file.attributes["classifier"],
            tensor=tensor,
            input=input_spec,
            source_size=source_size,
            source_mode=source_mode,
            problem=problem,
            maps={layer.name: file.layers[layer.name][row] for layer in convolutions},
            activations={layer.name: layer.activation for layer in convolutions},
            labels=file.labels,
            predicted=int(file.logits[place].argmax()),
            probabilities=file.probabilities[place],
        )


def row_of(image: str, names: Sequence[str], where: str) -> int:
    """The row at which `image` stands in `names`."""
    if image not in names:
        raise StudyError(f"{where}: the image {image!r} is not there; remove the file and run again.")
    return names.index(image)


# The figures ---------------------------------------------------------------------------


def loaded_image(subject: Subject) -> Sheet:
    """The tensor as a picture, the histogram of its values and the facts about it."""
    top = head(subject.alarm) + 0.1
    sheet = Sheet(9.6, top + 3.1)
    sheet.title(subject.name, f"The image as {subject.classifier} receives it", subject.alarm)

    axes = sheet.axes(0.3, top, 2.75, 2.75)
    show_picture(axes, subject.picture)

    axes = sheet.axes(3.75, top + 0.02, 2.65, 2.35)
    histogram(axes, subject.tensor)

    given = subject.input
    channels, height, width = subject.tensor.shape
    source_height, source_width = subject.source_size
    facts = []
    if not subject.problem:
        facts.append(("source", f"{source_width} × {source_height} pixels, mode {subject.source_mode}"))
    facts.append(("fitted", f"by {given.fit}, {given.filter} filter"))
    facts.append(("tensor", f"{channels} × {height} × {width} (C × H × W), {subject.tensor.dtype}"))
    if any(given.mean) or any(std != 1 for std in given.std):
        facts.append(("scaled", f"0..1, less {numbers(given.mean)}"))
        facts.append(("", f"divided by {numbers(given.std)}"))
    else:
        facts.append(("scaled", "0..1"))
    for name in ("min", "max", "mean", "std"):
        facts.append((name, numbers(getattr(subject.tensor.astype(np.float64), name)(axis=(1, 2)))))
    for line, (key, value) in enumerate(facts):
        sheet.text(6.75, top + 0.13 + 0.26 * line, key, fontsize=8.5, color=MUTED)
        sheet.text(7.47, top + 0.13 + 0.26 * line, value, fontsize=8.5)
    return sheet


def histogram(axes, tensor: np.ndarray) -> None:
    """How many pixels have which value: one line a channel; 0..1 is drawn whole."""
    low, high = float(tensor.min()), float(tensor.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    opacity = 0.25 if len(tensor) == 1 else 0.12
    for channel, colour in zip(tensor, CHANNEL_COLOURS[len(tensor)], strict=True):
        counts, edges = np.histogram(channel, bins=48, range=(low, high))
        axes.stairs(counts, edges, color=colour, linewidth=1.1)
        axes.stairs(counts, edges, color=colour, alpha=opacity, fill=True, linewidth=0)
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="value" if len(tensor) == 1 else "value of red, green, blue", ylabel="pixels")


def numbers(values: Sequence[float]) -> str:
    """One number a channel, three decimals."""
    return ", ".join(f"{value:.3f}".replace("-", "\u2212") for value in values)


def visualizations(subject: Subject, style: Style) -> Sheet:
    """The image's gray values as heatmap, filled contours and surface, beside the image."""
    gray = np.clip(subject.picture @ LUMINANCE, 0.0, 1.0)  # rounding can carry white beyond 1
    kind = "Gray values" if len(subject.tensor) == 1 else "Luminance"
    colours, norm = style.colours, Normalize(0, 1)
    top = head(subject.alarm) + 0.28
    sheet = Sheet(12.95, top + 2.85)
    sheet.title(subject.name, f"{kind} of the image as {subject.classifier} receives it", subject.alarm)

    left, side = (0.3, 3.15, 6.0), 2.4
    axes = sheet.axes(left[0], top, side, side, title="image")
    show_picture(axes, subject.picture)

    axes = sheet.axes(left[1], top, side, side, title="heatmap", anchor="NW")
    sharp = "nearest" if max(gray.shape) <= 96 else "auto"
    image = axes.imshow(gray, cmap=colours, norm=norm, interpolation=sharp)

    axes = sheet.axes(
        left[2], top, side, side, title="contours, a line every 0.1", aspect="equal", anchor="NW"
    )
    height, width = gray.shape
    mesh = Mesh.of(gray, 112).to_the_edge()  # pixel noise would be a contour line each
    levels = np.linspace(0, 1, 11)
    axes.contourf(*mesh, levels=levels, cmap=colours, norm=norm)
    crossed = levels[(levels > mesh.z.min()) & (levels < mesh.z.max())]
    if crossed.size:
        axes.contour(*mesh, levels=crossed, colors=INK, linewidths=0.3, alpha=0.5)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))

    mesh = Mesh.of(gray, 56).to_the_edge()  # a finer one takes seconds and shows no more
    axes = sheet.axes(8.5, top - 0.2, 3.3, 3.0, projection="3d")
    x, y = np.meshgrid(mesh.x, mesh.y)
    axes.plot_surface(
        x, y, mesh.z, cmap=colours, norm=norm, rstride=1, cstride=1, linewidth=0, antialiased=False
    )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), zlim=(0, 1), zticks=[0, 0.5, 1])
    axes.set_box_aspect((width, height, 0.4 * max(width, height)), zoom=1.07)
    axes.view_init(elev=42, azim=-66)
    axes.tick_params(labelsize=6.5, pad=-3)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis.line.set_color(MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    sheet.text(10.15, top - 0.09, "surface", ha="center", fontsize=9, color=MUTED)
    sheet.colour_bar(image, (12.15, top, 0.12, side), "black 0, white 1")
    return sheet


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
        return cls(x, y, resampled(gray, rows, columns))

    def to_the_edge(self) -> "Mesh":
        """The same with the outermost values repeated at the picture's edges."""
        x, y = (
            np.concatenate([[-0.5], centres, [centres[-1] + centres[0] + 0.5]])
            for centres in (self.x, self.y)
        )
        return Mesh(x, y, np.pad(self.z, 1, mode="edge"))


def feature_maps(subject: Subject, layer: str, style: Style) -> Sheet:
    """All channels of a layer for one image, on one colour scale, beside the image."""
    maps = subject.maps[layer]
    channels, height, width = maps.shape
    dead = dead_channels(maps)
    drawn = maps[:MOST_CHANNELS]
    colours, (norm, extend) = style.colours, shared_scale(maps)

    grid = Grid.of(len(drawn), height / width)
    top = head(subject.alarm) + 0.1
    sheet = Sheet(max(3.3 + grid.width + 1.1, 8.0), top + max(grid.height, 2.8) + 0.3)
    parts = [f"{channels} {'channel' if channels == 1 else 'channels'} of {height} × {width}"]
    if dead.any():
        parts.append(f"{dead.sum()} dead (crossed out: one value everywhere)")
    if channels > len(drawn):
        parts.append(f"the first {len(drawn)} are drawn, {channels - len(drawn)} are left out")
    title = f"{subject.name}: what {layer} of {subject.classifier} sees"
    sheet.title(title, " · ".join(parts), subject.alarm)

    axes = sheet.axes(0.3, top + grid.label, 2.6, 2.6)
    show_picture(axes, subject.picture)

    axes = sheet.axes(3.3, top, grid.width, grid.height)
    axes.axis("off")
    axes.imshow(
        paint(drawn, dead, grid, style.dpi, colours, norm),
        extent=(0, grid.width, grid.height, 0),
        aspect="auto",
        interpolation="nearest",
    )
    crosses = []
    for channel in range(len(drawn)):
        left, tile_top = grid.corner(channel)
        right, bottom = left + grid.tile_width, tile_top + grid.tile_height
        axes.text(left, tile_top - 0.018, str(channel + 1), fontsize=grid.label * 47, color=MUTED)
        if dead[channel]:
            crosses += [[(left, tile_top), (right, bottom)], [(left, bottom), (right, tile_top)]]
    axes.add_collection(LineCollection(crosses, colors=MUTED, linewidths=0.6), autolim=False)

    bar = (3.3 + grid.width + 0.15, top + grid.label, 0.12, min(grid.height - grid.label, 4.0))
    activation = subject.activations[layer]
    meaning = "output of the convolution" if activation == "identity" else f"activation after {activation}"
    sheet.colour_bar(ScalarMappable(norm, colours), bar, meaning, extend=extend, extendfrac=0.03)
    return sheet


def dead_channels(maps: np.ndarray) -> np.ndarray:
    """Which channels of [C, H, W] carry nothing: zero, or one value everywhere, bool [C]."""
    flat = maps.reshape(len(maps), -1)
    constant = flat.max(axis=1) == flat.min(axis=1)
    return constant & ((flat.shape[1] > 1) | (flat[:, 0] == 0))


def shared_scale(maps: np.ndarray) -> tuple[Normalize, str]:
    """The colour scale of all channels, and which end of it is exceeded ("neither", "max", "both").

    From 0 for maps that are nowhere negative, else symmetric about 0. A few outliers (at most
    one value in a thousand) do not stretch it.
    """
    sizes = np.abs(maps)
    largest, usual = float(sizes.max()), float(np.quantile(sizes, 0.999))
    exceeded = 0 < 1.25 * usual < largest
    limit = (usual if exceeded else largest) or 1.0
    if maps.min() < 0:
        return Normalize(-limit, limit), "both" if exceeded else "neither"
    return Normalize(0, limit), "max" if exceeded else "neither"


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
    maps: np.ndarray, dead: np.ndarray, grid: Grid, dpi: int, colours: Colormap, norm: Normalize
) -> np.ndarray:
    """The maps [C, H, W] as one picture of the grid, uint8 [height, width, 4] at `dpi`.

    One image instead of an Axes for each map: 256 Axes take seconds.
    """
    canvas = np.zeros((round(grid.height * dpi), round(grid.width * dpi), 4), np.uint8)
    height, width = max(1, round(grid.tile_height * dpi)), max(1, round(grid.tile_width * dpi))
    for channel, values in enumerate(maps):
        if dead[channel]:
            tile = np.broadcast_to(np.uint8([*bytes.fromhex(FAINT[1:]), 255]), (height, width, 4))
        else:
            tile = colours(norm(resampled(values, height, width)), bytes=True)
        left, top = (round(edge * dpi) for edge in grid.corner(channel))
        room = canvas[top : top + height, left : left + width]
        room[:] = tile[: room.shape[0], : room.shape[1]]
    return canvas


def resampled(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """`values` [H, W] on height × width pixels: repeated where larger, averaged where smaller."""
    for axis, size in enumerate((height, width)):
        have = values.shape[axis]
        if have <= size:
            values = np.take(values, np.arange(size) * have // size, axis=axis)
        else:
            starts = np.arange(size + 1) * have // size
            sums = np.add.reduceat(values, starts[:-1], axis=axis)
            shape = (-1, 1) if axis == 0 else (1, -1)
            values = sums / np.diff(starts).reshape(shape)
    return values


def model_output(subject: Subject) -> Sheet:
    """The probability of each label as bars in the order of the labels, beside the image."""
    probabilities, best = subject.probabilities, subject.predicted
    shown = np.arange(len(probabilities))
    subtitle = "Probability of each label"
    if len(shown) > MOST_LABELS:
        shown = np.sort(np.argsort(-probabilities, kind="stable")[:MOST_LABELS])
        subtitle = f"The {MOST_LABELS} most probable of {len(probabilities)} labels, in the labels' order"
    answer = f"{subject.classifier} says {subject.labels[best]} ({probabilities[best]:.1%})"

    names = [shorten(subject.labels[index], 2.2, 8.5) for index in shown]
    names_width = max(text_width(name, 8.5) for name in names) + 0.12
    top = head(subject.alarm) + 0.1
    bars_height = max(2.5, 0.27 * len(shown))
    sheet = Sheet(3.25 + names_width + 4.1 + 0.75, top + bars_height + 0.62)
    sheet.title(f"{subject.name}: {answer}", subtitle, subject.alarm)

    axes = sheet.axes(0.3, top, 2.5, 2.5)
    show_picture(axes, subject.picture)

    axes = sheet.axes(3.25 + names_width, top, 4.1, bars_height)
    colours = [ACCENT if index == best else QUIET for index in shown]
    axes.barh(range(len(shown)), probabilities[shown], height=0.68, color=colours)
    for line, index in enumerate(shown):
        axes.text(
            probabilities[index] + 0.012,
            line,
            f"{probabilities[index]:.1%}",
            va="center",
            fontsize=8,
            color=INK if index == best else MUTED,
            fontweight="bold" if index == best else "normal",
        )
    axes.set_yticks(range(len(shown)), names, fontsize=8.5, color=INK, parse_math=False)
    axes.set(xlim=(0, 1), ylim=(len(shown) - 0.5, -0.5), xlabel="probability")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return sheet


if "snakemake" in globals():
    run(main, snakemake)
