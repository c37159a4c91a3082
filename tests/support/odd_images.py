"""Image files of kinds that are easily got wrong, and damaged ones."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from promptflux.images.containers import png_chunk
from support.workflow import WORKFLOW

CASES = WORKFLOW / "tests/cases/images"
# Files of CASES, and what is said of them.
REFUSED = {
    "avif_as.jpg": "is not a PNG, JPEG or WebP image but AVIF",
    "jpg_no_eoi.jpg": "cut short: its end marker is missing",
    "jpg_cut10.jpg": "cut short: its end marker is missing",
    "png_no_iend.png": "cut short: its IEND chunk is missing",
}
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6

NOISE = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def png(values: np.ndarray, depth: int, color: int, *extra: tuple[bytes, bytes], interlace: int = 0) -> bytes:
    """A PNG of samples [H, W, C] without filters, with `extra` chunks before the pixels."""
    height, width, _ = values.shape
    passes = [values]
    if interlace:
        starts = (
            (0, 0, 8, 8),
            (0, 4, 8, 8),
            (4, 0, 8, 4),
            (0, 2, 4, 4),
            (2, 0, 4, 2),
            (0, 1, 2, 2),
            (1, 0, 2, 1),
        )
        passes = [values[y::down, x::across] for y, x, down, across in starts]
    rows = [row for part in passes if part.size for row in part]
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + packed(row.reshape(-1), depth) for row in rows))
    chunks = [(b"IHDR", header), *extra, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part for chunk in chunks for part in png_chunk(*chunk))


def packed(samples: np.ndarray, depth: int) -> bytes:
    if depth == 16:
        return samples.astype(">u2").tobytes()
    bits = (samples[:, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()


def encoded(kind: str, picture: Image.Image | None = None, **settings) -> bytes:
    """A picture in a format, with all that can stand beside its pixels."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x829A] = 6, "words", 0.25
    file = io.BytesIO()
    settings = {"exif": exif, "icc_profile": bytes(range(256)) * 4, **settings}
    (picture or Image.fromarray(NOISE)).save(file, kind, **settings)
    return file.getvalue()


SOURCES = {
    "rgb.png": encoded("PNG"),
    "palette.png": encoded("PNG", Image.fromarray(NOISE).quantize(16), transparency=3),
    "rgb16.png": png(NOISE.astype(int) * 257, 16, RGB, (b"tRNS", bytes(6))),
    "baseline.jpg": encoded("JPEG"),
    "progressive.jpg": encoded("JPEG", progressive=True),
    "cmyk.jpg": encoded("JPEG", Image.fromarray(NOISE).convert("CMYK")),
    "lossy.webp": encoded("WEBP"),
    "lossless.webp": encoded("WEBP", lossless=True),
}


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Bytes changed, cut out, put in, repeated, or the end cut off; mostly where the headers are."""
    damaged = bytearray(content)
    for _ in range(random.integers(1, 4)):
        near = len(damaged) if random.random() < 0.4 else min(len(damaged), 700)
        place, length = int(random.integers(near)), int(random.integers(1, 9))
        some = bytes(random.choice([0, 1, 0x7F, 0x80, 0xFF, *range(256)], length).astype(np.uint8))
        match random.integers(6):
            case 0 | 1 | 2:
                damaged[place : place + length] = some
            case 3:
                del damaged[place : place + length]
            case 4:
                damaged[place:place] = some
            case 5:
                del damaged[int(random.integers(len(damaged))) + 1 :]
        damaged = damaged or bytearray(b"\0")
    return bytes(damaged)
