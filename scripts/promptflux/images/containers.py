"""The parts of PNG, JPEG and WebP files, found without decoding a pixel and without Pillow.

Planning reads the size of the user's images here, and opening takes what makes the pixels: of a
PNG or JPEG file that alone goes to the decoder, so that no text, profile or preview can hinder it.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from promptflux.errors import StudyError

PNG, JPEG, RIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"
MOST_PIXELS = 2 * (1024**3 // 4 // 3)  # twice what Pillow warns of: 178 million
HEAD = 64  # bytes that tell a format
MOST_SCANS = 500  # an encoder writes a dozen; each is a pass over all pixels
MOST_TEXT = 10_000_000  # bytes of a text that is unpacked to look for an orientation

# What is opened, by the suffixes its files have; a file with another suffix, or without, tells it by its content.
OPENED = {
    "PNG": {".png", ".apng"},
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi"},
    "WebP": {".webp"},
}
# Image formats by how their files begin; of those in ISO's container a brand says which it is.
BEGINNINGS = {
    PNG: "PNG",
    JPEG: "JPEG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "Photoshop",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"qoif": "QOI",
}
BRANDS = {"AVIF": (b"avif", b"avis"), "HEIC": (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")}

# Chunks of PNG that say nothing of the pixels as they are taken here (PNG 3.0, 11.3, and its registered extensions).
BESIDE_THE_PIXELS = frozenset(
    b"acTL bKGD caBX cHRM cICP cLLI eXIf fcTL fdAT gAMA hIST iCCP iTXt mDCV oFFs pCAL pHYs sBIT sCAL sPLT sRGB sTER "
    b"tEXt tIME zTXt".split()
)
# JPEG, ITU-T T.81, table B.1.
SOS, EOI, APP0, APP2, APP14, COMMENT = 0xDA, 0xD9, 0xE0, 0xE2, 0xEE, 0xFE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
AFTER_A_SCAN = frozenset({0xC4, SOS, 0xDB, 0xDC, 0xDD, COMMENT}) | frozenset(range(0xE0, 0xF0))
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # not a stuffed byte, nor a restart


def true_format(head: bytes) -> str | None:
    """The image format of a file that begins with `head`, whatever its suffix; None if it is none that is known."""
    if head[:4] == RIFF and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        brands = {head[start : start + 4] for start in (8, *range(16, len(head), 4))}
        return next((name for name, known in BRANDS.items() if brands & set(known)), None)
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    return next((name for beginning, name in BEGINNINGS.items() if head.startswith(beginning)), None)


def dimensions(path: str | Path) -> tuple[int, int] | None:
    """The (width, height) that a PNG, JPEG or WebP file says of itself; None if its header cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
            kind = true_format(head)
            if kind == "PNG":
                return struct.unpack(">II", head[16:24])
            if kind == "WebP":
                return _webp_dimensions(head)
            if kind == "JPEG":
                file.seek(2)
                for marker, data in _segments(file):
                    if marker in FRAMES:
                        height, width = struct.unpack(">HH", data[1:5])
                        return width, height
    except (OSError, struct.error, StudyError):
        pass
    return None


def _webp_dimensions(head: bytes) -> tuple[int, int] | None:
    """As the container specification and RFC 6386 (9.1) and 9649 (3.4) have it."""
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def cut_short(where: str) -> StudyError:
    """What is said of a file without its end, of whatever format."""
    return StudyError(f"is damaged (it is cut short: {where}); copy or download it again.")


def png_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """(kind, data) of each chunk up to IEND.

    Raises StudyError if the file ends before, or if a checksum is wrong of a chunk that may bear
    on the pixels: of another, what can still be read of it counts.
    """
    view, position, kind = memoryview(content), len(PNG), b""
    while kind != b"IEND":
        if position + 8 > len(view):
            raise cut_short("its IEND chunk is missing")
        length, kind = struct.unpack_from(">I4s", view, position)
        data, end = view[position + 8 : position + 8 + length], position + 12 + length
        if end > len(view):
            raise cut_short("its last chunk is not whole, or its chunks are garbled")
        checksum = int.from_bytes(view[end - 4 : end], "big")
        if kind not in BESIDE_THE_PIXELS and zlib.crc32(data, zlib.crc32(kind)) != checksum:
            raise StudyError(f"is damaged (the checksum of its chunk {_word(kind)} is wrong).")
        yield kind, data
        position = end


def _word(kind: bytes) -> str:
    return kind.decode("ascii") if kind.isalpha() else repr(kind)


def png_chunk(kind: bytes, data: bytes | memoryview) -> tuple[bytes, bytes | memoryview, bytes]:
    """A chunk as it lies in the file, in three parts."""
    return struct.pack(">I4s", len(data), kind), data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def jpeg_parts(content: bytes) -> tuple[list[tuple[int, memoryview]], memoryview]:
    """The segments (marker, data) of a JPEG file's first picture, and from its first scan to its end marker.

    Raises StudyError if the picture has no end.
    """
    view, position = memoryview(content), 2
    segments: list[tuple[int, memoryview]] = []
    for marker, data, end in _walk(view, position):
        if marker == SOS:
            return segments, view[position : _end_of_scans(content, end)]
        segments.append((marker, data))
        position = end
    raise StudyError("is damaged (it has no pixels).")


def _walk(view: memoryview, position: int) -> Iterator[tuple[int, memoryview, int]]:
    """(marker, data, where it ends) of each segment from `position` on."""
    while True:
        while bytes(view[position : position + 2]) == b"\xff\xff":
            position += 1  # a fill byte
        if position + 4 > len(view):
            raise cut_short("its end marker is missing")
        mark, marker, length = struct.unpack_from(">BBH", view, position)
        if mark != 0xFF or marker in (0x00, EOI):
            raise StudyError("is damaged (its markers are garbled).")
        end = position + 2 + length
        if end > len(view):
            raise cut_short("its end marker is missing")
        if length < 2:
            raise StudyError("is damaged (its markers are garbled).")
        yield marker, view[position + 4 : end], end
        position = end


def _end_of_scans(content: bytes, position: int) -> int:
    """Where the first picture ends, behind its end marker; position: in its first scan."""
    view, scans = memoryview(content), 1
    while True:
        found = _MARKER.search(content, position)
        if found is None:
            raise cut_short("its end marker is missing")
        marker = content[found.end() - 1]
        if marker == EOI:
            return found.end()
        if marker not in AFTER_A_SCAN:
            raise StudyError(f"is damaged (the marker {marker:02X} stands among its pixels).")
        scans += marker == SOS
        if scans > MOST_SCANS:
            raise StudyError(
                f"has more than {MOST_SCANS} scans, which no camera or program writes; save it anew."
            )
        _, _, position = next(_walk(view, found.end() - 2))


def _segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(marker, first bytes of the data) of each segment before the pixels, each read on its own."""
    while True:
        mark, marker = struct.unpack("BB", file.read(2))
        while marker == 0xFF:
            (marker,) = struct.unpack("B", file.read(1))
        (length,) = struct.unpack(">H", file.read(2))
        if mark != 0xFF or length < 2 or marker == SOS:
            return
        data = file.read(min(length - 2, 16))
        yield marker, data
        file.seek(length - 2 - len(data), 1)


def webp_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """(kind, data) of each chunk. Raises StudyError if the file ends before."""
    view = memoryview(content)
    end = 8 + int.from_bytes(view[4:8], "little")
    if end > len(view):
        raise cut_short(f"it has {len(view)} of {end} bytes")
    position = 12
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", view, position)
        yield kind, view[position + 8 : min(position + 8 + length, end)]
        position += 8 + length + length % 2
