"""What Pillow is asked for, and the way from its modes to 8-bit RGB without a second copy of a large image."""

import io
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image

from promptflux.errors import StudyError
from promptflux.images.containers import MOST_PIXELS

STRIP = 2**20  # pixels that are converted at once
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow warns of images with more than half as many pixels as it refuses.
warnings.filterwarnings("ignore", module="PIL")
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def check_size(width: int, height: int) -> None:
    """Raise StudyError for an image with too many pixels, or none."""
    if width * height > MOST_PIXELS:
        raise StudyError(f"has more than {MOST_PIXELS // 10**6} million pixels, the most that is opened.")
    if not width * height:
        raise StudyError(f"is damaged (it has {width} × {height} pixels).")


def loaded(content: bytes, kind: str, rawmode: str | None = None) -> Image.Image:
    """What Pillow makes of a file; rawmode: how its samples are taken, if not as Pillow would."""
    picture = Image.open(io.BytesIO(content), formats=[kind])
    check_size(*picture.size)
    if rawmode is not None:
        picture.tile = [tile._replace(args=rawmode) for tile in picture.tile]
    picture.load()
    return picture


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """An image upright that is stored as an orientation, 1 to 8, says."""
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def to_rgb(picture: Image.Image) -> Image.Image:
    """An image of any of Pillow's modes as 8-bit RGB.

    16-bit gray (modes I;16 and I) is divided by 257 and rounded, so that 65535 becomes 255;
    transparency is laid over white; CMYK is converted without a color profile. Raises
    StudyError for floats, as it is not known which value is white.
    """
    if picture.mode == "F":
        raise StudyError("has floating-point pixels, whose range is not known; save it with 8 or 16 bits.")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        clear = picture.info.get("transparency")
        return in_strips(picture.size, lambda box: _from_16_bits(picture.crop(box), clear))
    if picture.has_transparency_data:
        return in_strips(picture.size, lambda box: over_white(picture.crop(box)))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def in_strips(
    size: tuple[int, int], strip: Callable[[tuple[int, int, int, int]], Image.Image]
) -> Image.Image:
    """An RGB image put together of strips; strip: makes that of a box (left, top, right, bottom)."""
    width, height = size
    picture, rows = Image.new("RGB", size), max(1, STRIP // width)
    for top in range(0, height, rows):
        box = (0, top, width, min(height, top + rows))
        picture.paste(strip(box), box[:2])
    return picture


def over_white(picture: Image.Image) -> Image.Image:
    """An image with transparency as RGB, laid over white."""
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def rounded(values: np.ndarray) -> np.ndarray:
    """16 bits as 8, value · 255 / 65535 rounded: 65535 is 257 · 255, so no half occurs."""
    return ((values.astype(np.int64) + 128) // 257).astype(np.uint8)


def _from_16_bits(picture: Image.Image, clear: int | None) -> Image.Image:
    """16-bit gray as RGB, the transparent value white."""
    values = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
    gray = rounded(values)
    if clear is not None:
        gray[values == clear] = 255
    return Image.fromarray(gray).convert("RGB")
