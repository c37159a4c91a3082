"""JLD2 files, as Julia's JLD2.jl writes them, read as values: nothing in them is looked up or run.

They are HDF5 files of a small part of that format (HDF5 File Format Specification, version 3): a superblock of version 2,
object headers of version 2, links in these, data in one piece, texts and lists in global heaps. The HDF5 library cannot
read the references in them, and on damaged files it can crash, so these parts are read here, each within the file's bounds. A
Julia type is a datatype in the group `_types`, with its name and parameters as attribute; what holds nothing, such as a function,
is in no file, but in the parameters of the type that has it (JLD2.jl, src/data).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

import numpy as np

from promptflux.classifiers.importers.julia_values import (
    DEEPEST,
    DTYPES,
    JuliaType,
    Misfit,
    Named,
    Struct,
    array,
    empty,
    number,
)

SIGNATURE = b"\x89HDF\r\n\x1a\n"
BANNER = b"HDF5-based Julia Data Format"
BASE = 512  # where JLD2 puts the HDF5 file in its own, and what all addresses in it count from
NOWHERE = (0, 2**64 - 1)
MOST_VALUES = 1_000_000
MOST_SMALLER = 30  # times: weights lose a tenth when they are compressed
ROOM = (
    2**24
)  # bytes that compressed data may have in any case: zeros, which biases begin as, lose nearly everything
MASTER_TYPE = "DataType"

DATASPACE, DATATYPE, LINK, LAYOUT, FILTERS, ATTRIBUTE, CONTINUATION = 0x01, 0x03, 0x06, 0x08, 0x0B, 0x0C, 0x10
FIXED, FLOAT, STRING, BITS, OPAQUE, COMPOUND, REFERENCE, VLEN = 0, 1, 3, 4, 5, 6, 7, 9
DEFLATE, SHUFFLE = 1, 2


def is_jld2(start: bytes) -> bool:
    """Whether a file that begins with `start` (at least 520 bytes of it) is one of JLD2.jl."""
    return start.startswith(BANNER) and start[BASE : BASE + 8] == SIGNATURE


def read_jld2(content: bytes) -> dict:
    """The values of a JLD2 file by name. A group is a named tuple, or a tuple if it has the names 1, 2, ... Raises Misfit."""
    return _File(content).root()


@dataclass
class _Datatype:
    """A datatype. committed: the address of the type that it is, or 0."""

    kind: int
    size: int
    bits: int = 0
    members: list[tuple[str, int, _Datatype]] = field(default_factory=list)
    base: _Datatype | None = None
    committed: int = 0


@dataclass
class _Object:
    """An object header: what its messages say. space: (dimensions) or None for nothing."""

    datatype: _Datatype | None = None
    space: tuple[int, ...] | None = None
    has_space: bool = False
    links: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, tuple[_Datatype, tuple[int, ...] | None, memoryview]] = field(default_factory=dict)
    layout: memoryview | None = None
    filters: list[int] = field(default_factory=list)


@dataclass
class _Type:
    """A Julia type of the group `_types`: what it is, and how its values are written.

    fields: the addresses of the types of its fields by name, also of those that hold nothing; 0 where a field is as
    the datatype says.
    """

    julia: JuliaType
    datatype: _Datatype
    fields: dict[str, int] = field(default_factory=dict)


class _Cursor:
    """A place in some bytes, from which numbers are read."""

    def __init__(self, data: memoryview, place: int = 0):
        self.data, self.place = data, place

    def take(self, count: int) -> memoryview:
        if not 0 <= count <= len(self.data) - self.place:
            raise Misfit("it ends before its content does; it is cut short or damaged")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def name(self) -> str:
        end = bytes(self.data[self.place : self.place + 1024]).find(b"\0")
        name = self.take(end)
        self.take(1)
        return _text(name)


def _text(data: memoryview | bytes) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise Misfit("it holds a text that is not UTF-8") from None


class _File:
    def __init__(self, content: bytes):
        self.data = memoryview(content)[BASE:]
        self.count = 0
        self.inflated = 0
        self.objects: dict[int, _Object] = {}
        self.types: dict[int, _Type | None] = {}
        self.values: dict[int, object] = {}

    def root(self) -> dict:
        start = self.at(0)
        start.take(8)
        version, offsets, lengths = (start.number(1) for _ in range(3))
        if version not in (2, 3) or (offsets, lengths) != (8, 8):
            raise Misfit(f"its superblock is of version {version}, which JLD2.jl does not write")
        start.take(1 + 3 * 8)
        return dict(self.links(start.number(8), 0))

    def links(self, address: int, depth: int) -> Iterator[tuple[str, object]]:
        if depth > DEEPEST:
            raise Misfit("its groups stand too deep inside of each other")
        for name, place in self.header(address).links.items():
            if name != "_types":
                self.counted()
                yield name, self.group(place, depth + 1) if self.is_group(place) else self.deref(place, depth)

    def group(self, address: int, depth: int) -> Named | tuple:
        found = Named(self.links(address, depth))
        return tuple(found.values()) if list(found) == [str(i) for i in range(1, len(found) + 1)] else found

    def is_group(self, address: int) -> bool:
        found = self.header(address)
        return found.datatype is None and not found.has_space

    def at(self, address: int) -> _Cursor:
        if not 0 <= address < len(self.data):
            raise Misfit("it refers to a place behind its end; it is cut short or damaged")
        return _Cursor(self.data, address)

    def counted(self, count: int = 1) -> None:
        self.count += count
        if self.count > MOST_VALUES:
            raise Misfit(f"it holds more than {MOST_VALUES:,} values")

    # Object headers ------------------------------------------------------------------------

    def header(self, address: int) -> _Object:
        if address not in self.objects:
            self.counted()
            self.objects[address] = found = _Object()
            for kind, flags, data in self.messages(address):
                self.message(found, kind, flags, _Cursor(data))
        return self.objects[address]

    def messages(self, address: int) -> Iterator[tuple[int, int, memoryview]]:
        start = self.at(address)
        if bytes(start.take(4)) != b"OHDR" or start.number(1) != 2:
            raise Misfit("it has no object where one should be; it is damaged")
        flags = start.number(1)
        start.take((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
        chunks = [start.take(start.number(1 << (flags & 3)))]
        seen = 0
        while chunks:
            chunk = _Cursor(chunks.pop(0))
            seen += 1
            if seen > 1000:
                raise Misfit("an object in it goes on without end")
            while len(chunk.data) - chunk.place >= 4 + (2 if flags & 4 else 0):
                self.counted()
                kind, size, own = chunk.number(1), chunk.number(2), chunk.number(1)
                if flags & 4:
                    chunk.take(2)
                data = chunk.take(size)
                if kind == CONTINUATION:
                    more = _Cursor(data)
                    place, length = more.number(8), more.number(8)
                    if length < 8 or bytes(self.at(place).take(4)) != b"OCHK":
                        raise Misfit("an object in it goes on at a wrong place")
                    chunks.append(self.at(place + 4).take(length - 8))
                else:
                    yield kind, own, data

    def message(self, found: _Object, kind: int, flags: int, data: _Cursor) -> None:
        if kind == DATATYPE:
            found.datatype = self.shared(data) if flags & 2 else self.datatype(data, 0)
        elif kind == DATASPACE:
            found.space, found.has_space = self.dataspace(data), True
        elif kind == LINK:
            self.link(found, data)
        elif kind == LAYOUT:
            found.layout = data.data
        elif kind == FILTERS:
            found.filters = self.filters(data)
        elif kind == ATTRIBUTE:
            version, shared = data.number(1), data.number(1)
            if version not in (2, 3):
                raise Misfit(f"it has an attribute of version {version}, which JLD2.jl does not write")
            sizes = [data.number(2) for _ in range(3)]
            data.take(1 if version == 3 else 0)
            name = _text(bytes(data.take(sizes[0])).rstrip(b"\0")).replace(" ", "_")
            part = _Cursor(data.take(sizes[1]))
            datatype = self.shared(part) if shared & 1 else self.datatype(part, 0)
            space = self.dataspace(_Cursor(data.take(sizes[2])))
            found.attributes[name] = (datatype, space, data.data[data.place :])

    @staticmethod
    def dataspace(data: _Cursor) -> tuple[int, ...] | None:
        version, count, _ = (data.number(1) for _ in range(3))
        if version == 1:
            data.take(5)
            return tuple(data.number(8) for _ in range(count))
        if version != 2:
            raise Misfit(f"it has a dataspace of version {version}, which JLD2.jl does not write")
        if data.number(1) == 2:
            return None
        return tuple(data.number(8) for _ in range(count))

    def link(self, found: _Object, data: _Cursor) -> None:
        data.take(1)
        flags = data.number(1)
        kind = data.number(1) if flags & 8 else 0
        data.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
        name = _text(data.take(data.number(1 << (flags & 3))))
        if kind:
            raise Misfit("it holds a link to another place, which JLD2.jl does not write")
        found.links[name] = data.number(8)

    @staticmethod
    def filters(data: _Cursor) -> list[int]:
        version, count = data.number(1), data.number(1)
        if version not in (1, 2):
            raise Misfit(f"it is compressed in a way of version {version}, which JLD2.jl does not write")
        data.take(6 if version == 1 else 0)
        found = []
        for _ in range(count):
            found.append(data.number(2))
            length = data.number(2) if version == 1 or found[-1] > 255 else 0
            data.take(2)
            values = data.number(2)
            data.take(
                length
                + (-length % 8 if version == 1 else 0)
                + 4 * values
                + (4 if version == 1 and values % 2 else 0)
            )
        return found

    # Types ---------------------------------------------------------------------------------

    def shared(self, data: _Cursor) -> _Datatype:
        data.take(2)
        address = data.number(8)
        datatype = self.header(address).datatype
        if datatype is None or datatype.committed:
            raise Misfit("a type in it is none")
        return _Datatype(
            datatype.kind, datatype.size, datatype.bits, datatype.members, datatype.base, address
        )

    def datatype(self, data: _Cursor, depth: int) -> _Datatype:
        if depth > DEEPEST:
            raise Misfit("its types stand too deep inside of each other")
        self.counted()
        first, bits, size = data.number(1), data.number(3), data.number(4)
        kind, version = first & 15, first >> 4
        found = _Datatype(kind, size, bits)
        if kind in (FIXED, BITS):
            data.take(4)
        elif kind == FLOAT:
            data.take(12)
        elif kind == OPAQUE:
            data.take(bits & 0xFF)
        elif kind == VLEN:
            found.base = self.datatype(data, depth + 1)
        elif kind == COMPOUND:
            if version != 3:
                raise Misfit(f"it has a compound type of version {version}, which JLD2.jl does not write")
            width = 1 if size < 2**8 else 2 if size < 2**16 else 3 if size < 2**24 else 4
            for _ in range(bits & 0xFFFF):
                name, place = data.name(), data.number(width)
                found.members.append((name, place, self.datatype(data, depth + 1)))
        elif kind not in (STRING, REFERENCE):
            raise Misfit(f"it has a type of the class {kind}, which JLD2.jl does not write")
        return found

    def type(self, address: int, depth: int) -> _Type:
        """The Julia type at an address of the group `_types`."""
        known = self.types.get(address)
        if known is not None:
            return known
        if address in self.types or depth > DEEPEST:
            raise Misfit("a type in it is a part of itself")
        self.types[address] = None
        found = self.header(address)
        if found.datatype is None or "julia_type" not in found.attributes:
            raise Misfit("a type in it has no name")
        datatype, _, data = found.attributes["julia_type"]
        if datatype.committed == address:  # the type of types
            made = _Type(JuliaType(MASTER_TYPE), found.datatype)
        else:
            julia = self.julia_type(datatype, data, depth + 1)
            made = _Type(julia, found.datatype, self.fields(found))
        self.types[address] = made
        return made

    def fields(self, found: _Object) -> dict[str, int]:
        """As in `_Type`. JLD2 before 0.4.54 names the types of the members alone, under another name."""
        names = [name for name, _, _ in found.datatype.members] if found.datatype else []
        for key in ("field_types", "field_datatypes"):
            if key in found.attributes:
                cursor = _Cursor(found.attributes[key][2])
                places = [cursor.number(8) for _ in range(len(cursor.data) // 8)]
                if key == "field_types" and "field_names" in found.attributes:
                    texts = _Cursor(found.attributes["field_names"][2])
                    names = [_text(self.heap(texts.take(16), 1)) for _ in range(len(texts.data) // 16)]
                self.counted(len(places))
                return dict(zip(names, places, strict=False))
        return {}

    def julia_type(self, datatype: _Datatype, data: memoryview, depth: int) -> JuliaType:
        """A type as it is written: its name, and its parameters as references."""
        if [name for name, _, _ in datatype.members] != ["name", "parameters"]:
            return JuliaType("Union")  # of which nothing is needed
        name = _text(self.heap(_Cursor(data).take(16), 1))
        listed = _Cursor(self.heap(_Cursor(data, 16).take(16), 8))
        places = [listed.number(8) for _ in range(len(listed.data) // 8)]
        self.counted(len(places))
        return JuliaType(name, tuple(self.deref(place, depth) for place in places))

    def heap(self, where: memoryview, size: int) -> memoryview:
        """What a text or list is, whose elements have `size` bytes: its length, and its place in a global heap."""
        cursor = _Cursor(where)
        count, address, index = cursor.number(4), cursor.number(8), cursor.number(4)
        if not count:
            return self.data[:0]
        heap = self.at(address)
        if bytes(heap.take(4)) != b"GCOL":
            raise Misfit("a text in it has no place")
        heap.take(4)
        end = address + heap.number(8)
        while heap.place + 16 <= end:
            self.counted()
            number, _, length = heap.number(2), heap.take(6), heap.number(8)
            if number == index:
                content = heap.take(length)
                if count * size > length:
                    raise Misfit("a text in it is cut short")
                return content[: count * size]
            if not number:
                break
            heap.take(length + -length % 8)
        raise Misfit("a text in it has no place")

    # Values --------------------------------------------------------------------------------

    def deref(self, address: int, depth: int) -> object:
        if address in NOWHERE:
            return None
        if depth > DEEPEST:
            raise Misfit(f"its values stand more than {DEEPEST} deep inside of each other")
        if address in self.values:
            if self.values[address] is self:
                raise Misfit("it holds something that is part of itself")
            return self.values[address]
        self.values[address] = self
        found = self.header(address)
        if found.datatype is not None and not found.has_space:
            value: object = self.type(address, depth + 1).julia
        else:
            value = self.dataset(found, depth + 1)
        self.values[address] = value
        return value

    def dataset(self, found: _Object, depth: int) -> object:
        datatype, space = found.datatype, found.space
        if datatype is None:
            raise Misfit("it holds data of no type")
        name = _number_type(datatype)
        if space is None or (not space and found.layout is None):
            return empty(self.type(datatype.committed, depth).julia) if datatype.committed else None
        size = datatype.size
        count = prod(space)
        if name:
            filled = array(name, list(space[::-1]), self.content(found, count * size))
            return filled if space else filled[()].item()
        content = _Cursor(self.content(found, count * size))
        self.counted(count)
        if size == 0 and count > 1:
            raise Misfit("it holds many values of nothing")
        values = [self.value(datatype, content.take(size), depth) for _ in range(count)]
        return values if space else values[0]

    def content(self, found: _Object, size: int) -> memoryview:
        """The `size` bytes of a dataset."""
        if found.layout is None:
            raise Misfit("it holds data without a place")
        layout = _Cursor(found.layout)
        version, kind = layout.number(1), layout.number(1)
        if version not in (3, 4):
            raise Misfit(f"it has a layout of version {version}, which JLD2.jl does not write")
        if kind == 0:
            return self.whole(layout.take(layout.number(2)), size)
        if kind == 1:
            address, length = layout.number(8), layout.number(8)
            return self.whole(self.at(address).take(length) if size else self.data[:0], size)
        if kind == 2 and version == 4:
            layout.take(1)
            dims, width = layout.number(1), layout.number(1)
            layout.take(dims * width)
            if layout.number(1) != 1:
                raise Misfit("an array in it is stored in several pieces, which JLD2.jl does not write")
            length, skipped = layout.number(8), layout.number(4)
            data = self.at(layout.number(8)).take(length)
            return self.unfiltered(data, found, size) if not skipped else self.whole(data, size)
        raise Misfit("an array in it is stored in a way that JLD2.jl does not write")

    @staticmethod
    def whole(data: memoryview, size: int) -> memoryview:
        if len(data) < size:
            raise Misfit(f"an array has {len(data):,} of its {size:,} bytes; it is cut short")
        return data[:size]

    def unfiltered(self, data: memoryview, found: _Object, size: int) -> memoryview:
        """Compressed data as it was, in memory that the size of the file bounds."""
        element = found.datatype.size if found.datatype else 1
        for kind in reversed(found.filters):
            if kind == DEFLATE:
                self.inflated += size
                if self.inflated > MOST_SMALLER * len(self.data) + ROOM:
                    raise Misfit(
                        f"what is compressed in it is more than {MOST_SMALLER} times as large as the file"
                    )
                try:
                    data = memoryview(zlib.decompressobj().decompress(data, max(size, 1)))
                except zlib.error:
                    raise Misfit("what is compressed in it is damaged") from None
            elif kind == SHUFFLE:
                if len(data) % max(element, 1):
                    raise Misfit("an array in it is cut short")
                data = memoryview(np.frombuffer(data, "u1").reshape(element, -1).T.tobytes())
            else:
                raise Misfit(
                    f"it is compressed by the filter {kind}; save it again with `jldsave(file; ...)` without `compress`"
                )
        return self.whole(data, size)

    def value(self, datatype: _Datatype, data: memoryview, depth: int) -> object:
        """A value as its type says, from the bytes that it has."""
        self.counted()
        if depth > DEEPEST:
            raise Misfit(f"its values stand more than {DEEPEST} deep inside of each other")
        if datatype.committed:
            return self.of_type(datatype.committed, data, depth)
        if name := _number_type(datatype):
            return number(name, data)
        match datatype.kind:
            case 3:
                return _text(data)
            case 7:
                return self.deref(_Cursor(data).number(8), depth)
            case 9 if datatype.bits & 15 == 1:
                return _text(self.heap(data, 1))
            case 6:
                return Struct(JuliaType(""), self.members(datatype, {}, data, depth))
        return None

    def of_type(self, address: int, data: memoryview, depth: int) -> object:
        made = self.type(address, depth + 1)
        kind, name = made.julia, made.julia.own_name
        if kind.name == MASTER_TYPE or [member for member, _, _ in made.datatype.members] == [
            "name",
            "parameters",
        ]:
            return self.julia_type(made.datatype, data, depth + 1)
        if made.datatype.kind == OPAQUE:
            return number(name, data) if name in DTYPES else Struct(kind, {})
        if made.datatype.kind == VLEN:  # a symbol, or a function, by its name
            return self.value(_Datatype(VLEN, 16, made.datatype.bits, base=made.datatype.base), data, depth)
        if made.datatype.kind == REFERENCE:  # a long tuple, as a vector
            value = self.deref(_Cursor(data).number(8), depth)
            return tuple(value) if isinstance(value, list) and name == "Tuple" else value
        if made.datatype.kind != COMPOUND:
            return Struct(kind, {})
        members = self.members(made.datatype, made.fields, data, depth + 1)
        if name in ("Tuple", "NTuple"):
            types = kind.parameters
            if name == "NTuple":
                count = types[0] if len(types) == 2 and isinstance(types[0], int) else -1
                if not 0 <= count <= len(members):
                    raise Misfit("a tuple in it has no length")
                types = types[1:] * count
            self.counted(len(types))
            return tuple(
                members[str(i)] if str(i) in members else empty(part) for i, part in enumerate(types, start=1)
            )
        if name == "NamedTuple":
            without = empty(kind)
            if not isinstance(without, Named):
                raise Misfit("a named tuple in it has no names")
            return Named({key: members.get(key, value) for key, value in without.items()})
        return Struct(kind, members)

    def members(
        self, datatype: _Datatype, fields: dict[str, int], data: memoryview, depth: int
    ) -> dict[str, object]:
        """The fields of a compound value by name. fields: as in `_Type`."""
        found = {}
        for name, place, member in datatype.members:
            part, address = _Cursor(data, place).take(member.size), fields.get(name, 0)
            found[name] = (
                self.value(member, part, depth) if address in NOWHERE else self.of_type(address, part, depth)
            )
        for name, address in fields.items():
            if name not in found and address not in NOWHERE:
                found[name] = empty(self.type(address, depth).julia)
        return found


def _number_type(datatype: _Datatype) -> str:
    """The name of Julia's type of the numbers that a datatype without a name of its own has; "" for no numbers."""
    if datatype.committed or datatype.bits & 1:  # big-endian
        return ""
    if datatype.kind == FLOAT:
        name = f"Float{8 * datatype.size}"
    elif datatype.kind == FIXED:
        name = f"{'' if datatype.bits & 8 else 'U'}Int{8 * datatype.size}"
    else:
        name = "Bool" if datatype.kind == BITS and datatype.size == 1 else ""
    return name if name in DTYPES else ""
