"""How a photograph must be turned to stand upright: what its EXIF data or else its XMP say."""

import re
import struct
import zlib
from collections.abc import Iterable

from promptflux.images.containers import MOST_TEXT

UPRIGHT = 1
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
ORIENTATION = 0x0112
# The whole numbers among the types of TIFF 6.0: BYTE, SHORT, LONG, SBYTE, UNDEFINED, SSHORT, SLONG.
NUMBERS = {1: "B", 3: "H", 4: "I", 6: "B", 7: "B", 8: "H", 9: "I"}
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")


def orientation(exif: bytes, xmp: bytes) -> int:
    """1 to 8, of EXIF data (a small TIFF file) and an XMP packet, either of which may be empty or broken."""
    found = exif_orientation(exif.removeprefix(EXIF))
    if found is None and (match := _XMP_ORIENTATION.search(xmp)):
        found = int(match[1])
    return found if found is not None and 1 <= found <= 8 else UPRIGHT


def exif_orientation(tiff: bytes) -> int | None:
    """The value of the tag Orientation (CIPA DC-008, 4.6), whatever stands in the others; None without one."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack_from(f"{order}HHI", tiff, entry)
            if tag == ORIENTATION and kind in NUMBERS and length:
                return struct.unpack_from(order + NUMBERS[kind], tiff, entry + 8)[0]
    except struct.error:  # it ends before
        pass
    return None


def jpeg_orientation(segments: Iterable[tuple[int, memoryview]]) -> int:
    """That of a JPEG file's segments, its EXIF data in one or several."""
    texts = [bytes(data) for marker, data in segments if marker == 0xE1]
    exif = b"".join(text.removeprefix(EXIF) for text in texts if text.startswith(EXIF))
    return orientation(exif, next((text.removeprefix(XMP) for text in texts if text.startswith(XMP)), b""))


def png_orientation(chunks: Iterable[tuple[bytes, memoryview]]) -> int:
    """That of a PNG file's chunks: eXIf, else EXIF data as text, as ImageMagick wrote them; XMP as iTXt."""
    exif = xmp = raw = b""
    for kind, data in chunks:
        if kind == b"eXIf":
            exif = exif or bytes(data)
        elif kind in (b"iTXt", b"zTXt", b"tEXt"):
            keyword, _, text = bytes(data[:80]).partition(b"\0")
            if keyword == b"XML:com.adobe.xmp" and kind == b"iTXt":
                xmp = xmp or _international(bytes(data[len(keyword) + 1 :]))
            elif keyword == b"Raw profile type exif" and kind != b"iTXt":
                text = bytes(data[len(keyword) + 1 :])
                raw = raw or _from_hexadecimal(_unpacked(text[1:]) if kind == b"zTXt" else text)
    return orientation(exif or raw, xmp)


def webp_orientation(chunks: Iterable[tuple[bytes, memoryview]]) -> int:
    """That of a WebP file's chunks."""
    found = {kind: bytes(data) for kind, data in chunks if kind in (b"EXIF", b"XMP ")}
    return orientation(found.get(b"EXIF", b""), found.get(b"XMP ", b""))


def _international(data: bytes) -> bytes:
    """The text of an iTXt chunk behind its keyword."""
    _, _, text = data[2:].split(b"\0", 2) if data[2:].count(b"\0") > 1 else (b"", b"", b"")
    return _unpacked(text) if data[:1] == b"\1" else text


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MOST_TEXT)
    except zlib.error:
        return b""


def _from_hexadecimal(text: bytes) -> bytes:
    """What a raw profile holds: behind three lines with its name and length, hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""
