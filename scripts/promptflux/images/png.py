"""PNG files: what Pillow does not make of them, namely 16 bits of color, transparent colors and missing rows."""

import struct
import zlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from promptflux.errors import StudyError
from promptflux.images.containers import PNG, png_chunk, png_chunks
from promptflux.images.decoding import (
    STRIP,
    check_size,
    in_strips,
    loaded,
    over_white,
    rounded,
    to_rgb,
    turned,
)
from promptflux.images.orientation import png_orientation

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # of a color type
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PALETTE = 3
MOST_PROFILE = 2**20  # bytes
# The low bytes of 16-bit samples; gray with alpha has as many bytes as 8-bit RGBA and is read as that.
LOW_BYTES = {2: "RGB;16L", 6: "RGBA;16L"}
# The first column and row of each pass of Adam7, and its steps.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def open_png(content: bytes) -> tuple[Image.Image, str]:
    """(An upright 8-bit RGB image, the mode that Pillow calls it); the chunks besides the pixels do not matter."""
    chunks = list(png_chunks(content))
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise StudyError("is damaged (its header cannot be read).")
    header = bytes(chunks[0][1])
    width, height, depth, color, packing, filtering, interlace = struct.unpack(">IIBBBBB", header)
    if depth not in DEPTHS.get(color, ()) or packing or filtering or interlace > 1:
        raise StudyError("is damaged (its header is of no kind of PNG).")
    check_size(width, height)
    found = {kind: bytes(data) for kind, data in reversed(chunks) if kind in (b"PLTE", b"tRNS")}
    if color == PALETTE and len(found.get(b"PLTE", b"")) not in range(3, 769, 3):
        raise StudyError("is damaged (its palette is missing or of a wrong length).")
    pixels = [data for kind, data in chunks if kind == b"IDAT"]
    kept = [(kind, found[kind]) for kind in (b"PLTE", b"tRNS") if kind in found and color == PALETTE]
    bare: list[tuple[bytes, bytes | memoryview]] = [
        (b"IHDR", header),
        *kept,
        *((b"IDAT", data) for data in pixels),
        (b"IEND", b""),
    ]
    plain = b"".join([PNG, *(part for kind, data in bare for part in png_chunk(kind, data))])

    samples, high, low = SAMPLES[color], None, None
    if depth == 16 and samples > 1:
        low = loaded(plain, "PNG", LOW_BYTES.get(color, "RGBA"))
    if samples != 2 or depth != 16:
        high = loaded(plain, "PNG")
    picture = high or low
    assert picture is not None
    if interlace or not _has_last_row(picture):
        _count(pixels, _size(width, height, depth * samples, interlace))
    mode = picture.mode
    if profile := _profile(chunks):
        picture.info["icc_profile"] = profile  # not applied; a viewer of the preprocessed picture can
    clear = transparent(found[b"tRNS"], depth, samples) if color in (0, 2) and b"tRNS" in found else None
    if low is not None:
        picture = _from_16_bits(high, low, clear)
    elif clear is not None:
        picture = _without(picture, clear, depth)
    del high, low  # three copies of a large image are a gigabyte
    picture = turned(picture, png_orientation(chunks))
    return to_rgb(picture), mode


def _profile(chunks: Iterable[tuple[bytes, memoryview]]) -> bytes:
    """The color profile, unpacked; empty if there is none, or none that is sound and of a usual size."""
    packed = next((bytes(data) for kind, data in chunks if kind == b"iCCP"), b"").partition(b"\0")[2]
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], MOST_PROFILE)
    except zlib.error:
        return b""
    return profile if unpacker.eof else b""


def transparent(chunk: bytes, depth: int, samples: int) -> tuple[int, ...]:
    """The samples of the transparent color, in the image's own depth (PNG 1.2, 4.2.1.1)."""
    if len(chunk) != 2 * samples:
        raise StudyError("is damaged (its transparent color is of a wrong length).")
    return tuple(value & (2**depth - 1) for value in struct.unpack(f">{samples}H", chunk))


def _without(picture: Image.Image, clear: tuple[int, ...], depth: int) -> Image.Image:
    """Gray, or 8-bit RGB, with the transparent color white."""
    if depth == 16:
        picture.info["transparency"] = clear[0]  # which `to_rgb` heeds
        return picture
    if len(clear) == 1:
        shade = clear[0] * 255 // (2**depth - 1)
        return picture.convert("L").point([255 if value == shade else value for value in range(256)])

    def strip(box: tuple[int, int, int, int]) -> Image.Image:
        colors = np.array(picture.crop(box))
        colors[(colors == clear).all(axis=2)] = 255
        return Image.fromarray(colors)

    return in_strips(picture.size, strip)


def _from_16_bits(high: Image.Image | None, low: Image.Image, clear: tuple[int, ...] | None) -> Image.Image:
    """RGB of 16 bits a sample. high: their high bytes; None of gray with alpha, where `low` has all four bytes."""

    def strip(box: tuple[int, int, int, int]) -> Image.Image:
        lower = np.asarray(low.crop(box)).astype(np.uint16)
        if high is None:
            return over_white(Image.fromarray(rounded(256 * lower[..., ::2] + lower[..., 1::2])))
        values = 256 * np.asarray(high.crop(box)).astype(np.uint16) + lower
        eight = rounded(values)
        if clear is not None:
            eight[(values == clear).all(axis=2)] = 255
        return over_white(Image.fromarray(eight)) if eight.shape[2] == 4 else Image.fromarray(eight)

    return in_strips(low.size, strip)


# Of pixels that end too early Pillow leaves the rest black, without a word.


def _has_last_row(picture: Image.Image) -> bool:
    """Whether the last row was there for certain: it is not all zeros."""
    width, height = picture.size
    return bool(np.asarray(picture.crop((0, height - 1, width, height))).any())


def _size(width: int, height: int, bits: int, interlace: int) -> int:
    """The bytes of all rows, each with its filter (PNG 1.2, 2.3 and 2.6)."""
    size = 0
    for left, top, step, step_down in ADAM7 if interlace else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // step), -(-(height - top) // step_down)
        size += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
    return size


def _count(pixels: Iterable[memoryview], size: int) -> None:
    """Raise StudyError if less than `size` bytes are in the compressed pixels."""
    unpacker, counted = zlib.decompressobj(), 0
    for packed in pixels:
        piece = unpacker.decompress(packed, STRIP)
        counted += len(piece)
        while piece and unpacker.unconsumed_tail and counted < size:
            piece = unpacker.decompress(unpacker.unconsumed_tail, STRIP)
            counted += len(piece)
        if counted >= size:
            return
    raise StudyError("is damaged (it has fewer rows of pixels than its header says).")
