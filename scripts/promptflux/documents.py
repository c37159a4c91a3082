"""Files of text and of YAML that people write: read safely, or refused in a sentence that says where and why."""

import codecs
import os
import re
import stat
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from promptflux.errors import StudyError, plain, shown

MOST_YAML = 1_000_000  # bytes; a spec with the thousand labels of ImageNet has 30,000
MOST_NODES = 50_000  # values of a YAML file, each alias counted as what it stands for
DEEPEST = 30

# A YAML text may hold these; a NUL byte or an escape sequence is no text.
UNWRITABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SAFE_TAGS = {None, "!", "tag:yaml.org,2002:str"}


def read_text(path: str | Path, what: str, most: int) -> str:
    """The text of a file: UTF-8, or UTF-16 with the mark at its start that says so.

    what: the file is, for messages. most: bytes that it may have. Raises StudyError with a
    sentence, also for what is no regular file: a pipe would be waited for, a device has no end.
    """
    where = plain(path)
    try:
        with open(path, "rb", opener=_regular) as file:
            data = file.read(most + 1)
    except _NotRegular as error:
        raise StudyError(f"{where}: the {what} is {error}; it must be a file.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        if os.path.islink(path) and not os.path.exists(path):
            reason = "it is a link to a file that is not there"
        raise StudyError(f"{where}: the {what} cannot be read ({reason}).") from None
    if len(data) > most:
        raise StudyError(f"{where}: the {what} has more than {most // 1_000_000} MB, the most that is read.")
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        encoding = "UTF-32"
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "UTF-16"
    elif b"\0" in data:
        raise StudyError(
            f"{where}: the {what} has NUL bytes: it is UTF-16 without a mark, or no text at all; "
            f"save it as UTF-8 text."
        )
    else:
        encoding = "UTF-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        name = encoding.removesuffix("-sig")
        raise StudyError(
            f"{where}, line {line}: byte {error.start} is not {name}; save the {what} as UTF-8 text."
        ) from None


class _NotRegular(Exception):
    pass


def _regular(path: str, flags: int) -> int:
    """Open a regular file; a pipe is not waited for."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise _NotRegular("a folder" if stat.S_ISDIR(mode) else "a pipe or a device")


def read_yaml(path: str | Path, what: str) -> Any:
    """The value of a YAML file, as `parse_yaml` reads it."""
    return parse_yaml(read_text(path, what, MOST_YAML), plain(path))


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML document: mappings (with text for keys), lists, text, numbers, booleans and None.

    where: what opens a sentence, the file. Raises StudyError for what is no YAML, and for what
    is more than data, or more of it than anybody writes: a key given twice, a tag, an alias of
    what it stands in, aliases that unfold into millions. Beside YAML 1.1, `010`, `1:30` and
    dates are text, not the numbers 8 and 90.
    """
    if strange := UNWRITABLE.search(text):
        line = text.count("\n", 0, strange.start()) + 1
        raise StudyError(f"{where}, line {line}: {strange[0]!a} is no character of a text; take it out.")
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)
    except _Refused as error:
        raise StudyError(f"{where}, line {error.line}: {error}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line_of = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        lines = text[: mark.index + 1].splitlines() if mark else []
        indented = lines and lines[-1].strip(" ").startswith("\t")
        hint = "; indent with spaces, not tabs" if indented else ""
        raise StudyError(f"{where}{line_of}: this is not YAML ({reason}){hint}.") from None


# libyaml is ten times as fast, and PyYAML comes with it almost everywhere.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):
    """PyYAML's safe loader without its surprises: what begins with a zero, or has colons, is no number."""

    yaml_implicit_resolvers: dict = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        self.flatten_mapping(node)  # `<<`; what it brings stands before the mapping's own keys
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


for _tag, _pattern, _first in (
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]{0,30})|0x[0-9a-fA-F]{1,30}", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


class _Refused(Exception):
    """What is YAML, and yet not wanted; without the full stop of its sentence."""

    def __init__(self, event: Any, sentence: str):
        super().__init__(sentence)
        self.line = _line(event)


@dataclass
class _Open:
    """A list or mapping whose end has not come. keys: key -> line, of a mapping; None of a list."""

    anchor: str | None
    keys: dict[str, int] | None
    size: int = 1
    at_key: bool = True


def _check_events(text: str) -> None:
    """Raise _Refused for the first thing that is not wanted; nothing is built, so nothing can unfold."""
    sizes: dict[str, int] = {}  # of what each anchor stands for
    stack = [_Open(None, None)]
    documents = 0
    event: Any
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _Refused(event, "a second document begins; keep one, without `---` inside")
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = stack.pop()
            if closed.anchor is not None:
                sizes[closed.anchor] = closed.size
            stack[-1].size += closed.size
        elif isinstance(event, yaml.NodeEvent):
            _check_node(event, stack, sizes)
        if stack[-1].size > MOST_NODES:
            raise _Refused(event, f"there are more than {MOST_NODES:,} values, aliases unfolded")


def _check_node(event: Any, stack: list[_Open], sizes: dict[str, int]) -> None:
    parent = stack[-1]
    if parent.keys is not None:
        if parent.at_key:
            _check_key(event, parent.keys)
        parent.at_key = not parent.at_key
    if isinstance(event, yaml.AliasEvent):
        if any(place.anchor == event.anchor for place in stack):
            raise _Refused(event, f"*{event.anchor} stands inside of what it stands for")
        parent.size += sizes.get(str(event.anchor), 1)
        return
    if event.tag not in SAFE_TAGS:
        raise _Refused(event, f"the tag {shown(event.tag)} is not wanted; write the value without it")
    if isinstance(event, yaml.ScalarEvent):
        parent.size += 1
        if event.anchor is not None:
            sizes[event.anchor] = 1
        return
    if len(stack) > DEEPEST:
        raise _Refused(event, f"lists and mappings stand inside of each other more than {DEEPEST} deep")
    stack.append(_Open(event.anchor, {} if isinstance(event, yaml.MappingStartEvent) else None))


def _check_key(event: Any, keys: dict[str, int]) -> None:
    if not isinstance(event, yaml.ScalarEvent):
        raise _Refused(event, "a key must be a word or a text, not an alias, a list or a mapping")
    if event.value in keys:
        first = keys[event.value]
        raise _Refused(
            event, f"the key {shown(event.value)} is given twice, first in line {first}; keep one of them"
        )
    keys[event.value] = _line(event)


def _line(event: Any) -> int:
    return event.start_mark.line + 1
