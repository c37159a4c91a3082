"""Users' own images: finding them, naming them, and opening an image of any kind as 8-bit RGB."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from promptflux.errors import StudyError, printable

FORMATS = ("PNG", "JPEG", "WEBP")
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")

# Pillow warns of broken EXIF data, which are ignored here, and of images with more than
# MAX_IMAGE_PIXELS pixels; those with more than twice as many it refuses.
warnings.filterwarnings("ignore", module="PIL")
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def open_rgb(source: str | Path, content: bytes | None = None) -> tuple[Image.Image, str]:
    """Open a PNG, JPEG or WebP file: (an upright 8-bit RGB image, the mode it was stored in).

    The EXIF orientation is applied and transparency is laid over white. `content`: the
    file's bytes, if they are at hand. Raises StudyError with the file and the reason if it
    cannot be read, is not an image of these formats, is damaged or is too large.
    """
    name = printable(source)
    try:
        content = Path(source).read_bytes() if content is None else content
    except OSError as error:
        raise StudyError(f"{name} cannot be read ({error.strerror}).") from None
    if not content:
        raise StudyError(f"{name} is empty (0 bytes).")
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.UnidentifiedImageError:
        if content.startswith(SIGNATURES):
            raise StudyError(f"{name} is damaged (its header cannot be read).") from None
        raise StudyError(
            f"{name} is not a PNG, JPEG or WebP image; it begins with {content[:8]!r}."
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise StudyError(f"{name} has more than {limit} million pixels, the most that is opened.") from None
    except Exception as error:  # what a damaged header raises depends on the format and the damage
        raise StudyError(f"{name} is damaged ({_reason(error)}).") from None
    try:
        picture.load()
        mode = picture.mode
        return to_rgb(_upright(picture)), mode
    except StudyError as error:
        raise StudyError(f"{name} {error}") from None
    except Exception as error:  # as above, for the pixels
        raise StudyError(f"{name} is damaged ({_reason(error)}).") from None


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__


def _upright(picture: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; as it is if its EXIF data cannot be read."""
    try:
        orientation = picture.getexif().get(0x0112, 1)
    except Exception:  # viewers show such an image unturned, too
        return picture
    return ImageOps.exif_transpose(picture) if orientation in range(2, 9) else picture


def to_rgb(picture: Image.Image) -> Image.Image:
    """An image of any of Pillow's modes as 8-bit RGB.

    16-bit gray (modes I;16 and I) is divided by 257 and rounded, so that 65535 becomes 255;
    transparency is laid over white; CMYK is converted without a colour profile. Raises
    StudyError for floats, as it is not known which value is white.
    """
    if picture.mode == "F":
        raise StudyError("has floating-point pixels, whose range is not known; save it with 8 or 16 bits.")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        values = np.asarray(picture).astype(np.int64)
        gray = Image.fromarray(((np.clip(values, 0, 65535) + 128) // 257).astype(np.uint8))
        clear = picture.info.get("transparency")
        if clear is not None:
            gray.paste(255, mask=Image.fromarray(values == clear))
        return gray.convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
