"""Text in figures: hostile text becomes legible lines that fit, and durations are words."""

import numpy as np
import pytest
from support.drawn_study import HOSTILE

from promptflux.figures.sheet import Sheet
from promptflux.figures.text import duration, legible, one_line, tame, text_width, wrapped


def test_hostile_text_becomes_one_legible_line():
    assert legible("a\tb\n c\x07\x1b[0m") == "a b c[0m"
    assert legible("🌲🌲 x 👨‍👩‍👧‍👦 🇩🇪 👍🏽") == "□□ x □ □ □"
    assert legible("$x^2$ \\frac {a}") == "$x^2$ \\frac {a}"
    assert legible("غابة") == "غابة"
    assert legible("\ud83c森\u202eq") == "□q"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_wrapped_lines_fit_and_lose_nothing_but_their_end(text):
    lines = wrapped(text, 3.0, 9, 2)
    assert 1 <= len(lines) <= 2
    assert all(text_width(line, 9) <= 3.0 for line in lines)
    joined = "".join(lines).replace(" ", "")
    whole = legible(text).replace(" ", "")
    assert joined == whole or (joined.endswith("…") and whole.startswith(joined[:-1]))
    assert one_line("short", 3.0, 9) == "short"
    assert one_line("", 3.0, 9) == ""


def test_a_dollar_is_a_dollar():
    """Two texts that differ only in what mathtext would hide look different."""
    sheets = []
    for text in ("$x$", "$x$ "), ("x", "x"):
        sheet = Sheet(2, 1, dpi=100)
        sheet.text(0.1, 0.5, text[0])
        sheet.canvas.draw()
        sheets.append(np.asarray(sheet.canvas.buffer_rgba()).copy())
    dark = [(sheet[..., 0] < 128).sum() for sheet in sheets]
    assert dark[0] > 2 * dark[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (12.4, "12 s"),
        (59.7, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3899, "1 h 4 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_tower_of_marks_does_not_grow_out_of_its_line():
    tower = "Z" + "".join(map(chr, range(0x300, 0x330))) + "a\u0489\u20dd\u0300l"
    assert tame(tower) == "Z\u0300\u0301a\u0489\u20ddl"
    assert len(legible(tower)) <= len(tame(tower))
    for text in ("שָׁלוֹם", "क्षि", "Việt", "xe\u0302\u0323p", "👁️‍🗨️ 1️⃣", "plain\n\ttext"):
        assert tame(text) == text


def test_control_characters_are_not_printed():
    assert tame("a\x1b[31m b\x9b1m\x07\x7f\x85c\r\n") == "a[31m b1mc\n"
