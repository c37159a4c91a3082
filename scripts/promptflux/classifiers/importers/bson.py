"""BSON files as Julia's BSON.jl writes them, read as values: nothing in them is looked up or run.

The bytes are those of https://bsonspec.org, of which BSON.jl writes eight types. What BSON has no type for is a document
with a `tag`, such as {tag: "array", type, size, data}; what is referred to in several places stands once in `_backrefs`
(BSON.jl, src/extensions.jl and src/write.jl).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from promptflux.classifiers.importers.julia_values import (
    DEEPEST,
    DTYPES,
    JuliaType,
    Misfit,
    Named,
    Struct,
    array,
    number,
)

MOST_VALUES = 1_000_000  # in a file; a ResNet-152 as a whole chain has 20,000, and its weights are one each
MOST_CALLS = 12


def is_bson(start: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that begins with `start` is a BSON document of a kind that Julia writes."""
    return (
        len(start) >= 7
        and int.from_bytes(start[:4], "little") == size
        and start[4] in (0x02, 0x03, 0x04, 0x05, 0x01, 0x10, 0x12)
        and b"\0" in start[5:]
    )


def read_bson(content: bytes) -> dict:
    """The values of a BSON document by name. Raises Misfit."""
    document = _Parser(content).document()
    backrefs = document.pop("_backrefs", [])
    if not isinstance(backrefs, list):
        raise Misfit("its list of references is none")
    return _Values(backrefs).mapping(document, 0)


class _Parser:
    """The bytes as documents (dict) and arrays (list)."""

    def __init__(self, content: bytes):
        self.bytes, self.content = content, memoryview(content)
        self.place = 0
        self.count = 0

    def document(self) -> dict:
        document = self.container(False, 1)
        if self.place != len(self.content):
            raise Misfit(f"there are {len(self.content) - self.place:,} bytes after its end")
        return document  # type: ignore[return-value]

    def container(self, is_array: bool, depth: int) -> dict | list:
        if depth > 2 * DEEPEST:
            raise Misfit(f"it is more than {2 * DEEPEST} levels deep")
        self.whole("<i")  # the length, which its parts say again
        document: dict = {}
        items: list = []
        while kind := self.take(1)[0]:
            key = self.key()
            self.count += 1
            if self.count > MOST_VALUES:
                raise Misfit(f"it holds more than {MOST_VALUES:,} values")
            value = self.value(kind, depth)
            if is_array:
                items.append(value)
            else:
                document[key] = value
        return items if is_array else document

    def value(self, kind: int, depth: int) -> object:
        match kind:
            case 0x01:
                return self.whole("<d")
            case 0x02:
                return self.text(self.take(self.length())[:-1])
            case 0x03 | 0x04:
                return self.container(kind == 0x04, depth + 1)
            case 0x05:
                length = self.length()
                self.take(1)  # of what sort
                return self.take(length)
            case 0x08:
                return self.take(1)[0] != 0
            case 0x0A:
                return None
            case 0x10:
                return self.whole("<i")
            case 0x12:
                return self.whole("<q")
        raise Misfit(f"it holds a value of the type {kind}, which BSON.jl does not write")

    def length(self) -> int:
        return self.whole("<i")  # type: ignore[return-value]

    def take(self, count: int) -> memoryview:
        if not 0 <= count <= len(self.content) - self.place:
            raise Misfit("it ends before its content does; it is cut short or damaged")
        self.place += count
        return self.content[self.place - count : self.place]

    def whole(self, form: str) -> int | float:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def key(self) -> str:
        end = self.bytes.find(b"\0", self.place)
        name = self.text(self.take(end - self.place))
        self.take(1)
        return name

    @staticmethod
    def text(data: memoryview) -> str:
        try:
            return bytes(data).decode()
        except UnicodeDecodeError:
            raise Misfit("it holds a text that is not UTF-8") from None


class _Values:
    """Documents as values; what is referred to in several places is made once."""

    def __init__(self, backrefs: list):
        self.backrefs = backrefs
        self.made: dict[int, object] = {}
        self.tags: dict[str, Callable[[dict, int], object]] = {
            "array": self.array,
            "tuple": lambda document, depth: tuple(self.items(document.get("data"), depth)),
            "svec": lambda document, depth: tuple(self.items(document.get("data"), depth)),
            "symbol": lambda document, depth: self.string(document.get("name")),
            "datatype": self.datatype,
            "unionall": lambda document, depth: self.of(document.get("body"), depth),
            "struct": self.struct,
            "ref": lambda document, depth: JuliaType(self.path(document.get("path"))),
            "jl_anonymous": self.anonymous,
            "jl_bottom_type": lambda document, depth: JuliaType("Union{}"),
        }

    def of(self, raw: object, depth: int) -> object:
        depth += 1
        if depth > DEEPEST:
            raise Misfit(f"its values stand more than {DEEPEST} deep inside of each other")
        raw = self.referred(raw)
        if not isinstance(raw, (dict, list)):
            return raw
        if id(raw) in self.made:
            if self.made[id(raw)] is self:
                raise Misfit("it holds something that is part of itself")
            return self.made[id(raw)]
        self.made[id(raw)] = self
        if isinstance(raw, list):
            value: object = self.items(raw, depth)
        elif "tag" not in raw:
            value = self.mapping(raw, depth)
        else:
            tag = raw["tag"]
            if not isinstance(tag, str) or tag not in self.tags:
                raise Misfit(
                    f"it holds something with the tag {str(tag)[:80]!r}, which BSON.jl does not write"
                )
            value = self.tags[tag](raw, depth)
        self.made[id(raw)] = value
        return value

    def referred(self, raw: object) -> object:
        for _ in range(DEEPEST):
            if not isinstance(raw, dict) or raw.get("tag") != "backref":
                return raw
            number = raw.get("ref")
            if not isinstance(number, int) or not 1 <= number <= len(self.backrefs):
                raise Misfit("it refers to something that is not there")
            raw = self.backrefs[number - 1]
        raise Misfit("it refers to a reference of a reference without end")

    def mapping(self, raw: dict, depth: int) -> dict:
        return {key: self.of(value, depth) for key, value in raw.items()}

    def items(self, raw: object, depth: int) -> list:
        raw = self.referred(raw)
        if not isinstance(raw, list):
            raise Misfit("a list in it is none")
        return [self.of(item, depth) for item in raw]

    @staticmethod
    def string(raw: object) -> str:
        if not isinstance(raw, str):
            raise Misfit("a name in it is no text")
        return raw

    def path(self, raw: object) -> str:
        if not isinstance(raw, list) or not raw:
            raise Misfit("a type in it has no name")
        return ".".join(map(self.string, raw))

    def type(self, raw: object, depth: int) -> JuliaType:
        value = self.of(raw, depth)
        if not isinstance(value, JuliaType):
            raise Misfit("a type in it is none")
        return value

    def datatype(self, document: dict, depth: int) -> JuliaType:
        name = self.path(document.get("name"))
        parameters = self.of(document.get("params", []), depth)  # [2, 4] is an array of numbers
        values = parameters.tolist() if isinstance(parameters, np.ndarray) else parameters
        return JuliaType(name, tuple(values) if isinstance(values, list) else ())

    def array(self, document: dict, depth: int) -> object:
        element = self.type(document.get("type"), depth)
        dims, data = self.items(document.get("size"), depth), self.referred(document.get("data"))
        if isinstance(data, memoryview):
            return array(element.own_name, dims, data)
        if len(dims) == 1:
            return self.items(data, depth)
        raise Misfit(f"it holds an array of {element.own_name[:80]}, which is no type of number")

    def struct(self, document: dict, depth: int) -> object:
        kind = self.type(document.get("type"), depth)
        data = self.referred(document.get("data"))
        if isinstance(data, memoryview):
            return number(kind.own_name, data) if kind.own_name in DTYPES else Struct(kind)
        if kind.own_name == "NamedTuple" and kind.parameters:
            names, values = kind.parameters[0], self.items(data, depth)
            if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
                raise Misfit("a named tuple in it has no names")
            if len(names) != len(values):
                raise Misfit("a named tuple in it has other names than values")
            return Named(zip(names, values, strict=True))
        if kind.own_name == "Dict" and isinstance(data, list) and len(data) == 2:
            keys = self.of(data[0], depth)
            if isinstance(keys, list) and all(isinstance(key, str) for key in keys):
                parts = self.of(data[1], depth)
                return dict(zip(keys, parts, strict=False)) if isinstance(parts, list) else Struct(kind)
        if kind.own_name in ("Dict", "IdDict", "TypeName", "Method", "CodeInfo"):
            return Struct(kind)  # an optimizer's, or code, of which nothing is needed
        return Struct(kind, tuple(self.items(data, depth)))

    def anonymous(self, document: dict, depth: int) -> JuliaType:
        """The type of an anonymous function, which is stored with its code; of that only the names are taken."""
        name, written = "#", ""
        calls: list[str] = []
        waiting, seen = [document.get("typename")], set()
        while waiting:
            raw = self.referred(waiting.pop())
            if not isinstance(raw, (dict, list)) or id(raw) in seen:
                continue
            seen.add(id(raw))
            waiting += raw[::-1] if isinstance(raw, list) else [*raw.values()][::-1]
            kind, data = self._parts(raw)
            symbols = [self.referred(part) for part in data]
            names = [part.get("name") if isinstance(part, dict) else part for part in symbols]
            match kind, names:
                case "TypeName", [_, str(found), *_] if name == "#":
                    name = found
                case "GlobalRef", [_, str(found), *_] if (
                    found not in (*calls, ":") and len(calls) < MOST_CALLS
                ):
                    calls.append(found)
                case "Method", [_, _, str(file), int(line), *_] if not written:
                    written = f"{file}:{line}"
        return JuliaType(f"Main.{name}", calls=tuple(calls), written=written)

    def _parts(self, raw: dict | list) -> tuple[str, list]:
        """The name of the type of a struct's document, and its data."""
        if isinstance(raw, dict) and raw.get("tag") == "struct":
            kind, data = self.referred(raw.get("type")), self.referred(raw.get("data"))
            if isinstance(kind, dict) and isinstance(kind.get("name"), list) and isinstance(data, list):
                return str((kind["name"] or [""])[-1]), data[:10]
        return "", []
