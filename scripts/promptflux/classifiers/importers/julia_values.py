"""The values of a file that Julia wrote, as its readers give them: nothing that such a file names is looked up or run.

Numbers, texts and truths are Python's; a symbol is a text, `nothing` None, a tuple a tuple, a vector of anything a list, a
dictionary a dict. An array of numbers is a NumPy array with its dimensions the other way round, as Julia's first
runs fastest: a (width, height, channels, N) array is [N, channels, height, width].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

DTYPES = {
    "Float16": "<f2",
    "Float32": "<f4",
    "Float64": "<f8",
    "Int8": "i1",
    "Int16": "<i2",
    "Int32": "<i4",
    "Int64": "<i8",
    "UInt8": "u1",
    "UInt16": "<u2",
    "UInt32": "<u4",
    "UInt64": "<u8",
    "Bool": "?",
}
MOST_DIMS = 8
DEEPEST = 120  # values inside of each other; the deepest networks that a spec holds have some fifty

GENERATED = re.compile(r"#.*#\d+|#\d+")  # a name that Julia gave to a function without one, such as #3#4


class Misfit(Exception):
    """What is wrong with a file, as half a sentence."""


@dataclass(frozen=True)
class JuliaType:
    """A type by its name with its modules, `Flux.Conv`, and its parameters: types and other values.

    calls: of an anonymous function, the names that its code mentions; written: where its code stood.
    """

    name: str
    parameters: tuple = ()
    calls: tuple[str, ...] = ()
    written: str = ""

    @property
    def own_name(self) -> str:
        """The name without modules: `Conv`, `#relu`."""
        return self.name.rpartition(".")[2] if not self.name.endswith(".") else "."

    @property
    def module(self) -> str:
        """The modules without `Main`, as files have it before `Base`, too."""
        return self.name.removesuffix(self.own_name).removesuffix(".").removeprefix("Main.")

    @property
    def is_function(self) -> bool:
        return self.own_name.startswith("#")

    @property
    def is_anonymous(self) -> bool:
        return bool(GENERATED.fullmatch(self.own_name))


class Named(dict):
    """A named tuple."""


@dataclass(frozen=True)
class Struct:
    """A value of any other type. fields: in their order, or by name without those that hold nothing, such as functions."""

    type: JuliaType
    fields: tuple | Mapping[str, object] = ()


def array(name: str, dims: list[int], data: bytes | memoryview) -> np.ndarray:
    """The array of numbers of Julia's type `name` and of Julia's `dims` whose bytes are `data`, not copied."""
    if name not in DTYPES:
        raise Misfit(f"it holds an array of {name[:80]}, which is no type of number")
    dtype = np.dtype(DTYPES[name])
    if len(dims) > MOST_DIMS or any(not isinstance(side, int) or side < 0 for side in dims):
        raise Misfit("it holds an array whose size makes no sense")
    count = 1
    for side in dims:
        count *= side
    if count * dtype.itemsize != len(data):
        raise Misfit(
            f"an array of {'×'.join(map(str, dims))} numbers has {len(data):,} bytes; it is cut short"
        )
    if name == "Bool":  # another byte than 0 and 1 is no truth
        return (np.frombuffer(data, "u1") != 0).reshape(dims[::-1])
    return np.frombuffer(data, dtype).reshape(dims[::-1])


def number(name: str, data: bytes | memoryview) -> object:
    """The one number of Julia's type `name` in `data`."""
    return array(name, [], data)[()].item()


def empty(value: object) -> object:
    """The one value of a type without data, as JLD2 leaves it out: a function, nothing, a tuple of such."""
    if not isinstance(value, JuliaType):
        return value
    match value.own_name:
        case "Nothing":
            return None
        case "Tuple":
            return tuple(map(empty, value.parameters))
        case "NamedTuple" if len(value.parameters) == 2 and isinstance(value.parameters[1], JuliaType):
            names, types = value.parameters[0], value.parameters[1].parameters
            if isinstance(names, tuple) and len(names) == len(types):
                return Named(zip(map(str, names), map(empty, types), strict=True))
    return Struct(value, {})
