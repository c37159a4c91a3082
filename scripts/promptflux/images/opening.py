"""Opening an image of any kind as 8-bit RGB."""

import stat
import struct
from pathlib import Path

from PIL import Image

from promptflux.errors import StudyError, printable, reason
from promptflux.images.containers import (
    APP0,
    APP2,
    APP14,
    COMMENT,
    FRAMES,
    HEAD,
    JPEG,
    PNG,
    RIFF,
    jpeg_parts,
    true_format,
    webp_chunks,
)
from promptflux.images.decoding import check_size, loaded, to_rgb, turned
from promptflux.images.orientation import jpeg_orientation, webp_orientation
from promptflux.images.png import open_png

MOST_BYTES = 2**31  # the pixels of the largest image that is opened, not even compressed, are fewer


def open_rgb(source: str | Path, content: bytes | None = None) -> tuple[Image.Image, str]:
    """Open a PNG, JPEG or WebP file: (an upright 8-bit RGB image, the mode it was stored in).

    Of several pictures in a file it is the first. The orientation of EXIF or XMP is applied,
    transparency is laid over white. `content`: the file's bytes, if they are at hand. Raises
    StudyError with the file and the reason if it cannot be read, is not an image of these
    formats, is damaged, has no end or is too large.
    """
    name = printable(source)
    content = read_image(source) if content is None else content
    if not content:
        raise StudyError(f"{name} is empty (0 bytes).")
    kind = true_format(content[:HEAD])
    try:
        if kind in OPENERS:
            return OPENERS[kind](content)
    except StudyError as error:
        raise StudyError(f"{name} {error}") from None
    except MemoryError:
        raise StudyError(f"{name} has more pixels than there is memory for.") from None
    except Exception as error:  # what damage raises depends on the format and the damage
        raise StudyError(f"{name} is damaged ({reason(error)}).") from None
    if kind is not None:
        raise StudyError(f"{name} is not a PNG, JPEG or WebP image but {kind}; convert it to one of these.")
    if content.startswith((PNG[:4], JPEG[:2], RIFF)):
        raise StudyError(f"{name} is damaged (its header cannot be read).")
    raise StudyError(f"{name} is not a PNG, JPEG or WebP image; it begins with {content[:8]!r}.")


def read_image(path: str | Path) -> bytes:
    """The bytes of a file. Raises StudyError if it cannot be read, or is larger than an image can be."""
    name = printable(path)
    try:
        status = Path(path).stat()
        if stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
            raise StudyError(f"{name} cannot be read (it is a pipe or device, not a file).")
        if status.st_size > MOST_BYTES:
            raise StudyError(
                f"{name} has {status.st_size:,} bytes, more than an image that is opened can have."
            )
        return Path(path).read_bytes()
    except OSError as error:
        raise StudyError(f"{name} cannot be read ({error.strerror}).") from None


def _open_jpeg(content: bytes) -> tuple[Image.Image, str]:
    segments, scans = jpeg_parts(content)
    for marker, data in segments:
        if marker in FRAMES:
            bits, height, width = struct.unpack_from(">BHH", data)
            check_size(width, height)
            if bits != 8:
                raise StudyError(f"has {bits} bits a sample, and of a JPEG 8 are opened; save it as PNG.")
    parts: list[bytes | memoryview] = [JPEG[:2]]
    for marker, data in segments:
        if _is_kept(marker, data):
            parts += [struct.pack(">BBH", 0xFF, marker, len(data) + 2), data]
    picture = loaded(b"".join([*parts, scans]), "JPEG")
    mode, picture = picture.mode, turned(picture, jpeg_orientation(segments))
    return to_rgb(picture), mode


def _is_kept(marker: int, data: memoryview) -> bool:
    """Whether a segment bears on the pixels: of what applications add, JFIF and Adobe tell the colors.

    The color profile is not applied; it goes into the preprocessed picture, so that a viewer can.
    """
    if marker == APP0:
        return len(data) >= 14 and bytes(data[:5]) == b"JFIF\0"
    if marker == APP2:
        return len(data) >= 14 and bytes(data[:12]) == b"ICC_PROFILE\0"
    if marker == APP14:
        return len(data) >= 12 and bytes(data[:5]) == b"Adobe"
    return marker != COMMENT and marker not in range(0xE0, 0xF0)


def _open_webp(content: bytes) -> tuple[Image.Image, str]:
    orientation = webp_orientation(webp_chunks(content))
    picture = loaded(content, "WEBP")
    mode, picture = picture.mode, turned(picture, orientation)
    return to_rgb(picture), mode


OPENERS = {"PNG": open_png, "JPEG": _open_jpeg, "WebP": _open_webp}
