"""The header of a .safetensors file: what tensors it holds, read without them and held to the file's size."""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any, TypeGuard

from promptflux.errors import StudyError, printable, shown

LARGEST_HEADER = 50_000_000  # bytes; that of FLUX.1 takes 0.1 million
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


def read_header(path: Path) -> dict[str, dict]:
    """The tensors of a .safetensors file by name, each with its dtype, shape and data_offsets.

    Reads the header only. Raises StudyError if it does not describe the file: every byte of the data belongs to
    one tensor, of as many bytes as its dtype and shape say (https://github.com/huggingface/safetensors).
    """

    def wrong(what: str) -> StudyError:
        return StudyError(f"{printable(path)}: {what}; the file is damaged, get it again.")

    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0] if size >= 8 else 0
            if size < 8 or length > size - 8:
                raise wrong("this is no .safetensors file, or it was cut short")
            if length > LARGEST_HEADER:
                raise wrong(f"its header claims {length} bytes")
            header = json.loads(file.read(length).decode(), object_pairs_hook=_once)
    except OSError as error:
        raise StudyError(f"{printable(path)} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise wrong("its header is not the JSON of a .safetensors file") from None
    if not isinstance(header, dict):
        raise wrong("its header is not the JSON of a .safetensors file")
    header.pop("__metadata__", None)
    spans = []
    for name, tensor in header.items():
        fields = tensor if isinstance(tensor, dict) else {}
        shape, offsets = fields.get("shape"), fields.get("data_offsets")
        bits = BITS.get(str(fields.get("dtype")))
        if bits is None or not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
            raise wrong(f"its header says of {shown(name)} {shown(tensor)}, which is no tensor")
        if 8 * (offsets[1] - offsets[0]) != bits * prod(shape):
            raise wrong(
                f"its header says that {shown(name)} has the shape {shown(shape)}, and {offsets[1] - offsets[0]} bytes"
            )
        spans.append((offsets[0], offsets[1]))
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise wrong("its header leaves bytes out, or gives them to two tensors")
        end = stop
    if end != size - 8 - length:
        raise wrong(f"its header describes {end} bytes of weights, and it has {size - 8 - length}")
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63 for size in value
    )


def read_metadata(path: Path) -> dict[str, str]:
    """What a .safetensors file whose header is sound says of itself, as `modelspec.architecture`; {} if nothing."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    metadata = header.get("__metadata__")
    return {str(key): str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}
