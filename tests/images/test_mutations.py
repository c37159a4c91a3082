"""Files that are damaged in thousands of ways: each opens, or one sentence says why not.

MUTATIONS=3000 python -m pytest tests/images/test_mutations.py tries more of each source, and -s counts them.
"""

import os
import struct
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from support.odd_images import SOURCES, mutated

from promptflux.errors import StudyError
from promptflux.images.containers import jpeg_parts, png_chunk, png_chunks
from promptflux.images.opening import open_rgb

COUNT = int(os.environ.get("MUTATIONS", "120"))
SLOW = 10.0  # seconds; the sources open in milliseconds


def with_true_checksums(content: bytes) -> bytes:
    """A damaged PNG whose chunks are vouched for all the same, as far as they can be told."""
    position, parts = 8, [content[:8]]
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        parts += png_chunk(kind, content[position + 8 : position + 8 + length])
        position += 12 + length
    return b"".join(parts)


@pytest.mark.parametrize("name", SOURCES)
def test_a_damaged_file_opens_or_is_a_sentence(name):
    random, found = np.random.default_rng(16), Counter()
    sound, _ = open_rgb(name, SOURCES[name])
    alike = in_all_orientations(sound)
    for turn in range(COUNT):
        content = mutated(SOURCES[name], random)
        if name.endswith(".png") and turn % 2:
            content = with_true_checksums(content)
        start = time.perf_counter()
        try:
            picture, _ = open_rgb(name, content)
        except StudyError as error:
            (sentence,) = error.args
            assert sentence.startswith(f"'{name}' ") and sentence.endswith(".") and sentence.isprintable()
            found["refused"] += 1
        else:
            assert picture.mode == "RGB"
            same = picture.tobytes() in alike
            found["the same pixels" if same else "other pixels"] += 1
            # A checksum stands for each byte of a PNG's pixels.
            assert same or turn % 2 or not name.endswith(".png")
        assert time.perf_counter() - start < SLOW
    assert found["refused"]
    print(name, dict(found))


def in_all_orientations(picture: Image.Image) -> set[bytes]:
    """Its pixels: as an orientation that was mutated turns them, or as they are stored if it was lost."""
    return {picture.tobytes(), *(picture.transpose(turn).tobytes() for turn in Image.Transpose)}


@pytest.mark.parametrize("name", [name for name in SOURCES if not name.endswith(".webp")])
def test_what_stands_beside_the_pixels_cannot_damage_them(name):
    """Texts, profiles and EXIF data are mutated, and the pixels are as they were, in whichever orientation."""
    random, content = np.random.default_rng(17), SOURCES[name]
    wanted = in_all_orientations(open_rgb(name, content)[0])
    for _ in range(COUNT):
        picture, _ = open_rgb(name, with_mutated_texts(content, random))
        assert picture.tobytes() in wanted


def with_mutated_texts(content: bytes, random: np.random.Generator) -> bytes:
    """The file with what does not make its pixels mutated, its lengths and checksums true."""
    if content.startswith(b"\x89PNG"):
        chunks = [
            (kind, mutated(bytes(data), random)[:60_000] if kind[0] & 0x20 and kind != b"tRNS" else data)
            for kind, data in png_chunks(content)
        ]
        chunks[1:1] = [
            (kind, random.bytes(40)) for kind in (b"eXIf", b"iCCP", b"zTXt", b"iTXt", b"acTL", b"fcTL")
        ]
        return content[:8] + b"".join(part for chunk in chunks for part in png_chunk(*chunk))
    segments, scans = jpeg_parts(content)
    parts = [content[:2]]
    for marker, data in [*segments, (0xED, random.bytes(20)), (0xE2, b"MPF\0" + random.bytes(30))]:
        if marker in range(0xE1, 0xEE):
            data = mutated(bytes(data), random)[:60_000]
        parts += [struct.pack(">BBH", 0xFF, marker, len(data) + 2), data]
    return b"".join([*parts, scans])
