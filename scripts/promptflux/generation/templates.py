"""Prompts with alternatives, `a {red|blue} forest with __animals__`: a text for each combination."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path

from promptflux.documents import read_text
from promptflux.errors import StudyError, plain, shown
from promptflux.files.whole import sha256_of_text

# `__animals__`, `__places/castles__`: the alternatives are the lines of a file below FOLDER, beside the table.
WILDCARD = re.compile(r"(?<!_)__([A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)|/(?=[A-Za-z0-9]))*)__(?!_)")
FOLDER = "wildcards"
MOST_BYTES = 5_000_000
DEEPEST = 8  # that alternatives may lie in alternatives
MOST_TEXTS = 10_000  # of one template
LONGEST_CHOICE, LONGEST_NAME = 24, 64

Part = str | tuple[str, ...]  # text as it stands, or alternatives
Alternatives = Callable[[str], list[str]]  # of a wildcard, by its name


@dataclass
class _Open:
    """A brace that is still open: `{`, of alternatives, or `{{`, of a brace that is text."""

    literal: bool
    options: list[list[Part]] = field(default_factory=lambda: [[]])


def combinations(text: str, alternatives: Alternatives) -> list[tuple[str, tuple[str, ...]]]:
    """The texts that a template stands for, each with the alternatives that it took, in the order of these.

    A text without alternatives stands for itself. alternatives: see `wildcards_beside`. Raises StudyError,
    whose sentence goes on from the place of the text, if a brace is not closed, a wildcard is not there, an
    alternative stands there twice, or the texts are too many.
    """
    if "{" not in text and "__" not in text:
        return [(text, ())]
    parts = _parts(text, alternatives, 0)
    groups = [part for part in parts if isinstance(part, tuple)]
    if not groups:
        return [("".join(map(str, parts)), ())]
    _check_count(prod(map(len, groups)))
    found = []
    for chosen in product(*groups):
        following = iter(chosen)
        made = "".join(part if isinstance(part, str) else next(following) for part in parts)
        # One space where an alternative is empty or has spaces around it.
        found.append((re.sub(" {2,}", " ", made).strip(), tuple(choice.strip() for choice in chosen)))
    return found


def name_of(name: str, choices: Sequence[str]) -> str:
    """The name of a combination: `forest-red-dawn`. It depends on nothing but the name and its own choices."""
    full = "-".join([name, *map(_choice, choices)])
    if len(full) > LONGEST_NAME:
        full = f"{full[: LONGEST_NAME - 9].rstrip('-_')}-{sha256_of_text(full)[:8]}"
    return full


def _choice(text: str) -> str:
    """A choice as part of a name; where more than spaces is lost, six digits of its SHA-256 are part of it."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    if plain == text.replace(" ", "_") and 0 < len(plain) <= LONGEST_CHOICE:
        return plain
    return f"{plain[: LONGEST_CHOICE - 7]}_{sha256_of_text(text)[:6]}".lstrip("_") if text else "none"


def wildcards_beside(table: str | Path) -> Alternatives:
    """What reads the alternatives of a wildcard, the lines of `wildcards/{name}.txt` beside a prompts table.

    Empty lines, and those that begin with #, are left out. It raises StudyError for a file that is not
    there, cannot be read or has no lines.
    """
    read: dict[str, list[str]] = {}

    def alternatives(name: str) -> list[str]:
        if name not in read:
            path = Path(table).parent / FOLDER / f"{name}.txt"
            if not path.is_file():
                raise StudyError(
                    f"__{name}__ stands for the lines of {plain(path)}, and there is no such file; "
                    f"make it, or write the words with single underscores."
                )
            lines = map(str.strip, read_text(path, "wildcard file", MOST_BYTES).splitlines())
            read[name] = [line for line in lines if line and not line.startswith("#")]
            if not read[name]:
                raise StudyError(
                    f"{plain(path)}: the wildcard file has no lines; it needs an alternative in each."
                )
        return read[name]

    return alternatives


def _parts(text: str, alternatives: Alternatives, depth: int) -> list[Part]:
    """A template taken apart. `{{` and `}}` around something are braces of the text, and so is `{...}` without `|`."""
    if depth > DEEPEST:
        raise StudyError(
            f"its wildcards lie more than {DEEPEST} deep in each other; one of them names itself."
        )
    top: list[Part] = []
    stack: list[_Open] = []
    place = 0
    while place < len(text):
        here = stack[-1].options[-1] if stack else top
        if text[place] == "_" and (wildcard := WILDCARD.match(text, place)):
            lines = [
                option
                for line in alternatives(wildcard[1])
                for option in _texts(_parts(line, alternatives, depth + 1))
            ]
            here.append(_once(lines))
            place = wildcard.end()
            continue
        twice, character = text[place : place + 2], text[place]
        place += 1
        if character == "{":
            stack.append(_Open(literal=twice == "{{"))
            if len(stack) > 10 * DEEPEST:
                raise StudyError("its braces lie too deep in each other.")
            place += twice == "{{"
        elif character == "|" and stack and not stack[-1].literal:
            stack[-1].options.append([])
        elif character == "}" and stack:
            closed = stack.pop()
            place += closed.literal and twice == "}}"
            outer = stack[-1].options[-1] if stack else top
            outer += _closed(closed)
        else:
            here.append(character)
    for left in stack:
        if len(left.options) > 1:
            raise StudyError(
                f"the brace of {shown('{' + '|'.join(map(_shown, left.options)))} is not closed; "
                f"write }} after the last alternative, or {{{{ for a brace that is text."
            )
        top += ["{", *left.options[0]]
    return top


def _closed(brace: _Open) -> list[Part]:
    if len(brace.options) > 1:
        return [_once([text for option in brace.options for text in _texts(option)])]
    return ["{", *brace.options[0], "}"]


def _shown(parts: Sequence[Part]) -> str:
    return "".join(part if isinstance(part, str) else "{" + "|".join(part) + "}" for part in parts)


def _texts(parts: Sequence[Part]) -> Iterator[str]:
    """The texts that parts stand for."""
    groups = [(part,) if isinstance(part, str) else part for part in parts]
    _check_count(prod(map(len, groups)))
    return map("".join, product(*groups))


def _once(options: list[str]) -> tuple[str, ...]:
    _check_count(len(options))
    seen: set[str] = set()
    for option in map(str.strip, options):
        if option in seen:
            raise StudyError(f"the alternative {shown(option)} stands there twice.")
        seen.add(option)
    return tuple(options)


def _check_count(count: int) -> None:
    if count > MOST_TEXTS:
        raise StudyError(
            f"its alternatives make {count:,} prompts; at most {MOST_TEXTS:,} are made of one row."
        )
