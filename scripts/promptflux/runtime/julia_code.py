"""What Julia code does, without its comments, docstrings and indentation."""

import re
from collections.abc import Iterator

_WORD = re.compile(r"\w[\w!]*")
_SPACE = re.compile(r"\s+")
_QUOTE = re.compile(r'"""|"|```|`')
_CHARACTER = re.compile(r"'(?:'|\\.[^'\n]*|[^'\\\n]+)'")
_WORDS_THAT_GO_ON = {"in", "isa", "where"}
_WORDS_AFTER_A_VALUE = {"end", "else", "elseif", "catch", "finally"}

Piece = tuple[str, str]  # what it is: "word", "text", "space", "comment" or "sign"; and how it is written


def plain_julia(source: str) -> list[str]:
    """The words, signs and texts of Julia code, with " " or a line feed where there is space between them.

    Two sources with the same list do the same.
    """
    pieces = [("space", " ") if kind == "comment" else (kind, text) for kind, text in _pieces(source)]
    joined = _with_single_spaces(pieces)
    kept = [piece for place, piece in enumerate(joined) if not _is_docstring(joined, place)]
    return [text for _, text in _with_single_spaces(kept)]


def _with_single_spaces(pieces: list[Piece]) -> list[Piece]:
    """`pieces` with one " " or line feed for a run of spaces, and none at either end."""
    joined: list[Piece] = []
    for kind, text in pieces:
        if kind != "space":
            joined.append((kind, text))
        elif joined:
            before = joined.pop()[1] if joined[-1][0] == "space" else ""
            joined.append(("space", "\n" if "\n" in before + text else " "))
    return joined[:-1] if joined and joined[-1][0] == "space" else joined


def _is_docstring(pieces: list[Piece], place: int) -> bool:
    """Whether a text is a statement whose value nobody takes: it stands between two others, outside of brackets.

    The last text of a block is what the block gives.
    """
    kind, text = pieces[place]
    if kind != "text" or not text.startswith(('"', 'raw"')):
        return False
    before, after = pieces[max(0, place - 2) : place], pieces[place + 1 : place + 3]
    if len(after) < 2 or after[0] != ("space", "\n") or after[1][1] in _WORDS_AFTER_A_VALUE:
        return False
    if before:
        ended = before[-1] == ("space", "\n") and before[0][0] in ("word", "text", "sign")
        last = before[0][1]
        if not ended or last in _WORDS_THAT_GO_ON or not re.search(r"[\w!)\]}'\";`]$", last):
            return False
    depth = sum((sign in ("(", "[", "{")) - (sign in (")", "]", "}")) for _, sign in pieces[:place])
    return depth == 0


def _pieces(source: str, at: int = 0, nested: bool = False) -> Iterator[Piece]:
    """The pieces of Julia code, which joined are the code; if `nested`, up to the bracket that was opened before `at`."""
    depth, before = 0, ""  # before: the piece that touches the next one
    while at < len(source):
        kind, end = _piece(source, at, before)
        text = source[at:end]
        if nested and text == ")" and depth == 0:
            return
        depth += (text == "(") - (text == ")")
        before = "" if kind in ("space", "comment") else text
        yield kind, text
        at = end


def _piece(source: str, at: int, before: str) -> tuple[str, int]:
    """What the piece of `source` at `at` is, and where it ends. before: the piece that touches it, if any."""
    if source.startswith("#=", at):
        return "comment", _end_of_comment(source, at)
    if source[at] == "#":
        line_end = source.find("\n", at)
        return "comment", line_end if line_end >= 0 else len(source)
    if space := _SPACE.match(source, at):
        return "space", space.end()
    if word := _WORD.match(source, at):
        quote = _QUOTE.match(source, word.end())
        if quote:  # a text of a macro, such as r"..." and raw"..."
            return "text", _end_of_text(source, quote, interpolates=False)
        return "word", word.end()
    if quote := _QUOTE.match(source, at):
        return "text", _end_of_text(source, quote, interpolates=True)
    is_adjoint = before and re.search(r"[\w!)\]}'\".]$", before)
    if not is_adjoint and (character := _CHARACTER.match(source, at)):
        return "sign", character.end()
    return "sign", at + 1


def _end_of_comment(source: str, at: int) -> int:
    """Where a comment `#= ... =#` ends, which may hold others."""
    depth = 0
    for mark in re.compile("#=|=#").finditer(source, at):
        depth += 1 if mark[0] == "#=" else -1
        if depth == 0:
            return mark.end()
    return len(source)


def _end_of_text(source: str, quote: re.Match, interpolates: bool) -> int:
    """Where a text that begins with `quote` ends; `$(...)` in it is code, which may hold texts of its own."""
    at = quote.end()
    while at < len(source):
        if source.startswith(quote[0], at):
            return at + len(quote[0])
        if source[at] == "\\":
            at += 2
        elif interpolates and source.startswith("$(", at):
            at += 2 + sum(len(text) for _, text in _pieces(source, at + 2, nested=True)) + 1
        else:
            at += 1
    return len(source)
