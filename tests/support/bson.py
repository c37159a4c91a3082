"""BSON documents for tests, as BSON.jl writes them."""

import struct

import numpy as np


def bson(value: dict) -> bytes:
    """The bytes of a document: dicts, lists, texts, bytes, truths, None, whole numbers and floats."""
    parts = b"".join(_entry(key, part) for key, part in value.items()) + b"\0"
    return struct.pack("<i", len(parts) + 4) + parts


def _entry(key: str, value) -> bytes:
    match value:
        case bool():
            kind, data = 8, bytes([value])
        case int():
            kind, data = 18, struct.pack("<q", value)
        case float():
            kind, data = 1, struct.pack("<d", value)
        case str():
            kind, data = 2, struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
        case bytes():
            kind, data = 5, struct.pack("<ib", len(value), 0) + value
        case None:
            kind, data = 10, b""
        case list():
            kind, data = 4, bson({str(i): part for i, part in enumerate(value)})
        case _:
            kind, data = 3, bson(value)
    return bytes([kind]) + key.encode() + b"\0" + data


def named(name: str, *parameters) -> dict:
    return {"tag": "datatype", "name": name.split("."), "params": list(parameters)}


def made(name: str, *fields) -> dict:
    """A struct of Julia."""
    return {"tag": "struct", "type": named(name), "data": list(fields)}


def several(*values) -> dict:
    return {"tag": "tuple", "data": list(values)}


def numbers(array) -> dict:
    """An array of Julia whose dimensions are those of `array`."""
    array = np.asarray(array, dtype="<f4")
    return {
        "tag": "array",
        "type": named("Core.Float32"),
        "size": list(array.shape),
        "data": array.tobytes(order="F"),
    }


def function(name: str) -> dict:
    module, _, own = name.rpartition(".")
    return made(f"{module}.#{own}")


def chain(*layers) -> dict:
    return made("Flux.Chain", several(*layers))


def dense(weight, bias=False, activation="Main.Base.identity") -> dict:
    return made("Flux.Dense", numbers(weight), bias, function(activation))
