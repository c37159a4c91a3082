"""YAML with slips in it, and what a sentence about them must be."""

import random

WORDS = (
    "null '' 'x' -1 0 1 2.0 2.5 .nan .inf -.inf 1.0e+400 010 1:30 1_000 yes ~ [] {} [1] [[[]]] all auto / '../..' << = "
    "/etc/passwd /dev/zero '{b}' '<b>' '$(x)' [null] [3.0] *b 1e5 1e-5 true conv 65537 2024-13-45 !!binary '😀'"
)
LONG = ["9" * 5000, "'" + "x" * 5000 + "'"]
VALUES = [*WORDS.split(), *LONG, "{a: 1}", "&a [*a]", "{1: 2}", '"\\e[1m"', '"a\\n"', "- conv"]
EXTRA = [
    "x: 1",
    "\ty: 1",
    "---",
    "...",
    "%YAML 2.0",
    "<<: {steps: 3}",
    "- a",
    "}",
    "? [a]\n: b",
    "\x00",
    "\x1b[2J",
]


def mutated(text: str, draw: random.Random) -> bytes:
    """A text of YAML with one to three slips."""
    lines = text.splitlines()
    for _ in range(draw.choice([1, 1, 2, 3])):
        place = draw.randrange(len(lines))
        line, slip = lines[place], draw.random()
        if slip < 0.6 and ":" in line:
            lines[place] = f"{line.split(':')[0]}: {draw.choice(VALUES)}"
        elif slip < 0.7:
            lines.insert(place, line)
        elif slip < 0.8:
            lines[place] = "  " * draw.randrange(3) + line
        elif slip < 0.9:
            lines.insert(place, draw.choice(EXTRA))
        else:
            lines[place] = line[: draw.randrange(len(line) + 1)]
    data = "\n".join(lines).encode()
    return data if draw.random() < 0.9 else data[: draw.randrange(len(data))] + bytes([draw.randrange(256)])


def is_readable(sentences: str) -> None:
    assert sentences.strip() and all(line.isprintable() for line in sentences.splitlines()), repr(sentences)
    for words in ("Traceback", "is not of type", "does not match", "is not valid under"):
        assert words not in sentences
