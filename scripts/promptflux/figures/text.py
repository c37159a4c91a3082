"""Text in figures: what free text becomes, how much room it takes, and durations in words."""

import os
import re
import unicodedata
from functools import cache, lru_cache

import matplotlib
from matplotlib.font_manager import get_font
from matplotlib.ft2font import FT2Font

# What joins or modifies emoji without a glyph of its own: an emoji followed by these, and
# joined to others by U+200D, is one picture on a screen and becomes one box here.
_EMOJI_SEQUENCE = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf][\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
    "(?:\u200d[\U0001f000-\U0001faff\u2600-\u27bf][\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]*)*"
)
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MOST_MARKS = 2  # that are set on one letter, as scripts need them; more would grow out of the line
MISSING = "\u25a1"  # □, what stands for a character without a glyph


def _font() -> FT2Font:
    # By matplotlib's cache, which a forked process empties: two cannot share one open font file.
    return get_font(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@cache
def _drawable() -> frozenset[int]:
    return frozenset(_font().get_charmap())


@cache
def _marks_beyond() -> re.Pattern[str]:
    """Marks on one letter, more than it may have."""
    plane = map(chr, range(0x300, 0x10000))  # with those of rare scripts beyond, it takes a second a megabyte
    marks = "".join(character for character in plane if unicodedata.category(character) in ("Mn", "Me"))
    return re.compile(f"([{marks}]{{{MOST_MARKS}}})[{marks}]+")


def tame(text: str) -> str:
    """`text` without control characters but tabs and line ends, and with at most two marks on a letter."""
    text = _CONTROL.sub("", text)
    return text if text.isascii() else _marks_beyond().sub(r"\1", text)


def legible(text: str) -> str:
    """`text` as one line that DejaVu Sans can draw.

    Control characters are dropped, white space becomes single spaces, and a character or an
    emoji sequence without a glyph becomes one `□`. Right-to-left text is left as it is.
    """
    text = _EMOJI_SEQUENCE.sub(lambda match: match[0][0], _FLAG.sub(MISSING, tame(" ".join(text.split()))))
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Cs", "Cf", "Co") and character not in "\u200c\u200d":
            continue  # but for the two that shape the letters of Arabic and Indian scripts
        if ord(character) in _drawable():
            kept.append(character)
        elif not unicodedata.combining(character):
            kept.append(MISSING)
    return "".join(kept)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """The width in inches of one line of DejaVu Sans at `size` points."""
    font = _font()
    font.set_size(size, 72)
    font.set_text(text, 0.0)
    return font.get_width_height()[0] / 64 / 72  # 26.6 fixed-point points


def one_line(text: str, width: float, size: float) -> str:
    """`legible(text)`, cut with an ellipsis to at most `width` inches at `size` points."""
    return (wrapped(text, width, size, 1) or [""])[0]


def wrapped(text: str, width: float, size: float, lines: int) -> list[str]:
    """`legible(text)` broken into at most `lines` lines of at most `width` inches.

    Lines break at spaces, or inside a long word rather than leave a line nearly empty. An
    ellipsis ends the last line if something is left out.
    """
    rest = legible(text)
    broken: list[str] = []
    while rest and len(broken) < lines:
        last = len(broken) == lines - 1
        fit = _fitting(rest, width, size, "\u2026" if last else "")
        if fit == len(rest):
            broken.append(rest)
            break
        space = rest.rfind(" ", 1, fit + 1)
        cut = space if space > 0.6 * fit else fit
        broken.append(rest[:cut].rstrip() + ("\u2026" if last else ""))
        rest = rest[cut:].lstrip()
    return broken


def _fitting(text: str, width: float, size: float, ending: str) -> int:
    """How many characters of `text` fit on a line: all, or as many as leave room for `ending`."""
    if len(text) < 400 and text_width(text, size) <= width:
        return len(text)
    fits, too_many = 1, min(len(text), 400) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if text_width(text[:middle] + ending, size) <= width:
            fits = middle
        else:
            too_many = middle
    return fits


def duration(seconds: float) -> str:
    """A duration: 0.4 s, 12 s, 3 min 20 s, 1 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole_seconds = round(seconds)
    hours, minutes = whole_seconds // 3600, whole_seconds // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole_seconds % 60} s" if minutes else f"{whole_seconds} s"
