"""Matplotlib's Agg canvas, and two artists that cost little.

A figure is mostly text. Matplotlib lays every line out three times and renders every letter
anew; here a line of the same text, font and size is rendered once in a process, and pasted.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags


class Ink(NamedTuple):
    """A rendered line of text: how opaque each pixel is, uint8 [H, W].

    width, height, descent: of the line in pixels. left, bottom: of the pixels, from the start of its baseline.
    """

    opacity: np.ndarray
    width: float
    height: float
    descent: float
    left: int
    bottom: int


@lru_cache(maxsize=4096)
def ink(text: str, font_file: str, size: float, dpi: float) -> Ink:
    """A line of text in a font at `size` points."""
    font = get_font(font_file)  # not kept: two processes cannot share one open font file
    font.set_size(size, dpi)
    font.set_text(text, 0.0, flags=LoadFlags.DEFAULT)  # matplotlib's own choice
    width, height = font.get_width_height()  # in 64ths of a pixel, as all that follows
    font.draw_glyphs_to_bitmap(antialiased=True)
    left, bottom = font.get_bitmap_offset()
    opacity = np.array(font.get_image())
    return Ink(
        opacity,
        width / 64,
        height / 64,
        font.get_descent() / 64,
        round(left / 64),
        round((font.get_descent() + bottom) / 64),
    )


class Renderer(RendererAgg):
    """Agg with the text of `ink`. Turned text and formulas stay matplotlib's own."""

    def get_text_width_height_descent(self, s, prop, ismath):
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        line = ink(s, findfont(prop), prop.get_size_in_points(), self.dpi)
        return line.width, line.height, line.descent

    def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        if ismath or angle:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        line = ink(s, findfont(prop), prop.get_size_in_points(), self.dpi)
        rows, columns = line.opacity.shape
        pixels = np.empty((rows, columns, 4), np.uint8)
        pixels[..., :3] = np.round(np.multiply(gc.get_rgb()[:3], 255))
        pixels[..., 3] = line.opacity
        bottom = round(y) + line.bottom  # y is downwards
        self.draw_image(gc, round(x) + line.left, self.height - bottom, pixels[::-1])


class Canvas(FigureCanvasAgg):
    """The Agg canvas with this module's renderer."""

    def get_renderer(self):
        size = (*self.get_width_height(physical=True), self.figure.dpi)
        renderer = getattr(self, "renderer", None)
        if renderer is None or (renderer.width, renderer.height, renderer.dpi) != size:
            self.renderer = renderer = Renderer(*size)
        return renderer


class Pixels(Artist):
    """A picture, uint8 [H, W, 4], shown pixel by pixel; `left` and `top` in pixels of the figure.

    An `AxesImage` would resample it, and wants an `Axes`, which takes longer to make than the rest of a figure.
    """

    def __init__(self, picture: np.ndarray, left: int, top: int):
        super().__init__()
        self.picture, self.left, self.top = picture, left, top

    def draw(self, renderer):
        gc = renderer.new_gc()
        bottom = renderer.height - self.top - len(self.picture)
        renderer.draw_image(gc, self.left, bottom, self.picture[::-1])
        gc.restore()


class Labels(Artist):
    """Short level texts of one font, such as those of ticks.

    places: in pixels from the top left corner, [N, 2]. ha: where of a text its place is, "left", "center" or
    "right". va: the same, "baseline", "center" or "top"; of digits, which all have one height.
    """

    def __init__(self, places: np.ndarray, texts: Sequence[str], size: float, color: str, ha: str, va: str):
        super().__init__()
        self.places, self.texts, self.size, self.color = places, texts, size, color
        self.ha, self.va = ha, va

    def draw(self, renderer):
        gc = renderer.new_gc()
        gc.set_foreground(to_rgba(self.color), isRGBA=True)
        font = FontProperties(size=self.size)
        digits = 0.729 * self.size / 72 * renderer.dpi  # the height of DejaVu's
        down = {"baseline": 0.0, "center": digits / 2, "top": digits}[self.va]
        for (x, y), text in zip(self.places, self.texts, strict=True):
            width, _, _ = renderer.get_text_width_height_descent(text, font, False)
            back = {"left": 0.0, "center": width / 2, "right": width}[self.ha]
            renderer.draw_text(gc, x - back, y + down, text, font, 0)
        gc.restore()
