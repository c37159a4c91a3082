"""The state of a Flux model as a .jld2 file, which JLD2.jl and any HDF5 library read.

A named tuple is a group, with what it holds in its order; a tuple is one with the names 1, 2, ...; an array or a number
is a dataset. (JLD2.jl itself writes types of Julia's, with which the file would be read in Julia alone.) The HDF5 library
keeps no order in a group of more than eight, so the few parts of the format that this takes are written here: HDF5 File Format
Specification, version 3.
"""

import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from promptflux.classifiers.importers.jld2 import BANNER, BASE, SIGNATURE
from promptflux.classifiers.importers.julia_values import Named
from promptflux.errors import StudyError
from promptflux.files.whole import whole

STATE = "model_state"
NOWHERE = b"\xff" * 8
# Datatype messages: class and version, bits, size, and where the bits of a number are.
FLOAT = "<B3sIHHBBBBI"
FLOATS = {
    2: struct.pack(FLOAT, 0x11, b"\x20\x0f\0", 2, 0, 16, 10, 5, 0, 10, 15),
    4: struct.pack(FLOAT, 0x11, b"\x20\x1f\0", 4, 0, 32, 23, 8, 0, 23, 127),
    8: struct.pack(FLOAT, 0x11, b"\x20\x3f\0", 8, 0, 64, 52, 11, 0, 52, 1023),
}
TRUTH = struct.pack("<B3sIHH", 0x14, b"\0\0\0", 1, 0, 8)
WHOLE = struct.pack("<B3sIHH", 0x10, b"\x08\0\0", 8, 0, 64)


def write_state(path: str | Path, state: Mapping[str, object]) -> None:
    """Write what `Flux.state` made of a model, as a reader of BSON gives it; equal content makes equal bytes."""
    with whole(path) as partial:
        partial.write_bytes(state_bytes(state))


def state_bytes(state: Mapping[str, object]) -> bytes:
    parts = _Parts()
    root = parts.group({STATE: state})
    end = len(parts.content)
    start = (
        SIGNATURE
        + bytes([2, 8, 8, 0])
        + struct.pack("<Q", BASE)
        + NOWHERE
        + struct.pack("<QQ", BASE + end, root)
    )
    parts.content[: len(start) + 4] = start + checksum(start)
    banner = BANNER + b", version 0.1.1\0 (promptflux)\0"
    return banner.ljust(BASE, b"\0") + bytes(parts.content)


class _Parts:
    """The objects of a file one after the other; an address is a place in `content`."""

    def __init__(self) -> None:
        self.content = bytearray(48)  # of the superblock

    def value(self, value: object) -> int:
        """Write a value; its address."""
        if isinstance(value, Named):
            return self.group(value)
        if isinstance(value, tuple):
            return self.group({str(i): part for i, part in enumerate(value, start=1)})
        return self.dataset(value)

    def group(self, parts: Mapping[str, object]) -> int:
        links = []
        for name, part in parts.items():
            text = name.encode()
            links.append(
                (
                    0x06,
                    struct.pack("<BBBH", 1, 0x11, 1, len(text)) + text + struct.pack("<Q", self.value(part)),
                )
            )
        return self.object([(0x02, b"\0\0" + 2 * NOWHERE), (0x0A, b"\0\0"), *links])

    def dataset(self, value: object) -> int:
        # Nothing is the state of a switch that is as it is.
        array = np.asarray(False if value is None else value)
        if array.dtype == bool:
            datatype = TRUTH
        elif array.dtype.kind == "f":
            datatype = FLOATS[array.dtype.itemsize]
        elif array.dtype.kind == "i":
            array, datatype = array.astype("<i8"), WHOLE
        else:
            raise StudyError(f"a state holds {array.dtype}, which is no number.")
        place = NOWHERE
        if array.size:
            self.content += bytes(-len(self.content) % 8)
            place = struct.pack("<Q", len(self.content))
            self.content += np.ascontiguousarray(array).tobytes()
        size = prod(array.shape) * array.dtype.itemsize
        space = bytes([2, array.ndim, 0, bool(array.ndim)]) + struct.pack(f"<{array.ndim}Q", *array.shape)
        layout = b"\x03\x01" + place + struct.pack("<Q", size)
        return self.object([(0x01, space), (0x03, datatype), (0x05, b"\x03\x09"), (0x08, layout)])

    def object(self, messages: list[tuple[int, bytes]]) -> int:
        """An object header with these messages."""
        body = b"".join(struct.pack("<BHB", kind, len(data), 0) + data for kind, data in messages)
        header = b"OHDR\x02\x02" + struct.pack("<I", len(body)) + body
        address = len(self.content)
        self.content += header + checksum(header)
        return address


def checksum(data: bytes) -> bytes:
    """Jenkins' lookup3 (`hashlittle` with the seed 0), as HDF5 has it of its headers."""

    def turned(value: int, by: int) -> int:
        return ((value << by) | (value >> (32 - by))) & 0xFFFFFFFF

    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    if not data:
        return struct.pack("<I", c)
    padded = data + bytes(-len(data) % 12)
    words = struct.unpack(f"<{len(padded) // 4}I", padded)
    for i in range(0, len(words), 3):
        a, b, c = (
            (a + words[i]) & 0xFFFFFFFF,
            (b + words[i + 1]) & 0xFFFFFFFF,
            (c + words[i + 2]) & 0xFFFFFFFF,
        )
        if i + 3 < len(words):
            for by in (4, 6, 8, 16, 19, 4):
                a = ((a - c) & 0xFFFFFFFF) ^ turned(c, by)
                c = (c + b) & 0xFFFFFFFF
                a, b, c = b, c, a
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - turned(b, by)) & 0xFFFFFFFF
        a, b, c = b, c, a
    return struct.pack("<I", b)
