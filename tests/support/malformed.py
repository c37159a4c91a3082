"""Malformed JSON files, made by chance from sound ones: other types, numbers and texts, keys gone, bytes cut and turned."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

VALUES = [
    None, True, False, 0, 1, -1, 7, 3.5, float("inf"), float("nan"), 10**9, 10**30, -(10**18), "", "x", "8", "diffusers",
    "\ud800", "\x1b[31mred", "../../etc", [], [None], [None, None], [1, 2], [8, "x"], [[[]]], ["diffusers"],
    ["diffusers", None], [None, "AutoencoderKL"], ["os", "system"], ["diffusers", "AutoencoderKL"], ["transformers", "x"],
    {}, {"a": 1}, [16] * 100, [0, 0], [-4, 8],
]  # fmt: skip
WHOLE = [
    b"", b"null", b"[]", b"3", b'"text"', b"{", b"{}", b"not json", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"\x00" * 40,
    b"[" * 200_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"sample_size": ' + b"9" * 5000 + b"}", b'{"a": NaN}', b"\xe9",
]  # fmt: skip


def malformed(files: list[Path], count: int, seed: int) -> Iterator[tuple[Path, bytes, str]]:
    """`count` times one of the files, what to write into it, and what that is in words."""
    chance = random.Random(seed)
    for _ in range(count):
        path = chance.choice(files)
        content = path.read_bytes()
        way = chance.choices(["value", "gone", "whole", "cut", "byte"], [6, 1, 1, 0.5, 0.5])[0]
        if way == "whole":
            made = chance.choice(WHOLE)
            yield path, made, f"{path.name} holds {made[:30]!r}"
        elif way == "cut":
            end = chance.randrange(len(content))
            yield path, content[:end], f"{path.name} ends after {end} bytes"
        elif way == "byte":
            place = chance.randrange(len(content))
            turned = bytes([content[place] ^ (1 << chance.randrange(8))])
            yield (
                path,
                content[:place] + turned + content[place + 1 :],
                f"byte {place} of {path.name} is {turned!r}",
            )
        else:
            value = json.loads(content)
            key = chance.choice(list(value))
            if way == "gone":
                del value[key]
                yield path, json.dumps(value).encode(), f"{path.name} has no {key}"
            else:
                value[key] = chance.choice(VALUES)
                yield path, json.dumps(value).encode(), f"{path.name}: {key} is {value[key]!r}"
