"""Kinds of PNG, JPEG and WebP that are easily got wrong; tests/cases/images holds files of each."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.odd_images import CASES, GRAY, GRAY_ALPHA, REFUSED, RGB, RGBA, png
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.images.containers import dimensions, png_chunk, png_chunks, true_format
from promptflux.images.opening import open_rgb
from promptflux.images.orientation import exif_orientation, orientation
from promptflux.images.provenance import read_provenance, write_png


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(open_rgb("a file", content)[0]).astype(int)


def eight(values: np.ndarray, depth: int) -> np.ndarray:
    return np.round(values * 255 / (2**depth - 1)).astype(int)


def over_white(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return 255 + (colors - 255) * alpha / 255


# The files of tests/cases/images -----------------------------------------------------------

FIRST_PIXELS = {
    "bit1_trns0.png": [255] * 5,
    "bit1_trns1.png": [255, 0, 255, 0, 255],
    "bit2_trns1.png": [0, 255, 170, 255],
    "rgb16.png": [[0] * 3, [1] * 3, [0, 1, 127], [255, 255, 128], [4, 8, 12]],
    "la16.png": [0, 255, 191, 4, 255],
    "rgba16.png": [[255, 0, 0], [255, 255, 255], [255, 191, 127]],
    "cmyk_noadobe.jpg": [[203, 142, 37]] * 5,
}
SIZES = {  # width, height
    "ztxt_big.png": (36, 24),
    "two_pictures.jpg": (72, 48),
    "exif6_sbyte.jpg": (48, 72),
    "exif1_sbyte.jpg": (72, 48),
    "xmp6.jpg": (48, 72),
    "interlaced.png": (13, 11),
}


def test_the_cases_are_those_that_are_tested():
    assert {path.name for path in CASES.iterdir()} == FIRST_PIXELS.keys() | REFUSED.keys() | SIZES.keys()


@pytest.mark.parametrize("name", FIRST_PIXELS)
def test_pixels_of_a_case(name):
    wanted = [np.broadcast_to(value, 3).tolist() for value in FIRST_PIXELS[name]]
    assert pixels((CASES / name).read_bytes())[0, : len(wanted)].tolist() == wanted


@pytest.mark.parametrize("name", REFUSED)
def test_a_case_that_is_refused(name):
    with pytest.raises(StudyError, match=f"{name}' .*{REFUSED[name]}"):
        open_rgb(CASES / name)


@pytest.mark.parametrize("name", SIZES)
def test_size_of_a_case(name):
    assert open_rgb(CASES / name)[0].size == SIZES[name]


# PNG ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("color", [GRAY, RGB, GRAY_ALPHA, RGBA])
def test_16_bits_are_scaled_and_rounded(color, interlace):
    channels = {GRAY: 1, RGB: 3, GRAY_ALPHA: 2, RGBA: 4}[color]
    values = np.random.default_rng(color).integers(0, 65536, (19, 23, channels))
    values[0, :6, 0] = [0, 128, 129, 32767, 65406, 65535]
    found, wanted = pixels(png(values, 16, color, interlace=interlace)), eight(values, 16)
    if color in (GRAY, RGB):
        assert np.array_equal(found, np.broadcast_to(wanted, found.shape))
    else:
        assert np.abs(found - over_white(wanted[..., :-1], wanted[..., -1:])).max() <= 1


def test_16_bits_are_rounded_alike_everywhere():
    values = np.arange(65536)
    assert np.array_equal((values + 128) // 257, eight(values, 16))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("interlace", [0, 1])
def test_a_transparent_gray_is_white_and_no_other(depth, interlace):
    values = (np.arange(9 * 16).reshape(9, 16, 1) * 37) % 2**depth
    for clear in {0, 1, int(values[3, 4, 0]), 2**depth - 1}:
        found = pixels(png(values, depth, GRAY, (b"tRNS", struct.pack(">H", clear)), interlace=interlace))
        wanted = np.where(values == clear, 255, eight(values, depth))
        assert np.array_equal(found, np.broadcast_to(wanted, found.shape)), clear


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_color_is_white_in_all_its_bits(depth):
    values = np.random.default_rng(1).integers(0, 2**depth, (6, 7, 3))
    values[0, 1] = values[0, 0]
    values[0, 1, 2] ^= 1  # the neighbour in the last bit
    found = pixels(png(values, depth, RGB, (b"tRNS", struct.pack(">3H", *values[0, 0]))))
    wanted = eight(values, depth)
    wanted[0, 0] = 255
    assert np.array_equal(found, wanted)


def test_only_the_low_bits_of_a_transparent_value_count():
    values = np.array([[[0], [1], [2], [3]]])
    assert pixels(png(values, 2, GRAY, (b"tRNS", b"\xff\x02")))[0, :, 0].tolist() == [0, 85, 255, 255]


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"words\0\0" + zlib.compress(bytes(3_000_000))),
        (b"iTXt", b"words\0\1\0\0\0" + zlib.compress(bytes(80_000_000))),
        (b"iCCP", b"profile\0\0" + zlib.compress(bytes(3_000_000))),
        (b"iCCP", b"\xff" * 40),
        (b"tEXt", b"word\0" + b"x" * 70_000_000),
        (b"eXIf", b"MM\0\x2a" + b"\xff" * 30),
        (b"acTL", bytes(8)),
        (b"fcTL", bytes(26)),
        (b"pHYs", b""),
    ],
    ids=lambda chunk: f"{chunk[0].decode()}{len(chunk[1])}",
)
def test_what_a_png_says_besides_its_pixels_does_not_matter(chunk):
    values = np.random.default_rng(2).integers(0, 256, (5, 6, 3))
    assert np.array_equal(pixels(png(values, 8, RGB, chunk)), values)


def test_rows_that_are_missing_are_not_black():
    values = np.random.default_rng(3).integers(0, 256, (8, 9, 3))
    for interlace in (0, 1):
        chunks = {kind: bytes(data) for kind, data in png_chunks(png(values, 8, RGB, interlace=interlace))}
        rows = zlib.decompress(chunks[b"IDAT"])
        for missing in (1, 28, 60, len(rows)):
            chunks[b"IDAT"] = zlib.compress(rows[:-missing])
            content = b"\x89PNG\r\n\x1a\n" + b"".join(
                part for item in chunks.items() for part in png_chunk(*item)
            )
            with pytest.raises(StudyError, match="fewer rows|truncated"):
                open_rgb("a file", content)
    black = np.zeros((8, 9, 3), dtype=int)  # whose last row is black because it is
    assert np.array_equal(pixels(png(black, 8, RGB)), black)
    assert np.array_equal(pixels(png(black[..., :1], 1, GRAY)), black)


def test_a_png_whose_pixels_have_a_wrong_checksum_is_damaged(tmp_path):
    content = bytearray((CASES / "rgb16.png").read_bytes())
    content[content.index(b"IDAT") + 8] ^= 1
    with pytest.raises(StudyError, match="the checksum of its chunk IDAT is wrong"):
        open_rgb("a file", bytes(content))


def test_the_provenance_of_a_damaged_image_is_none(tmp_path):
    path = tmp_path / "image.png"
    write_png(path, Image.new("RGB", (9, 9), "red"), {"recipe": {"seed": 1}})
    assert read_provenance(path) == {"recipe": {"seed": 1}}
    whole = path.read_bytes()
    for damaged in (
        whole[:-4],
        whole[:60],
        whole.replace(b"IDAT", b"IDAX"),
        whole.replace(b'{"recipe"', b"[[recipe]"),
    ):
        path.write_bytes(damaged)
        assert read_provenance(path) == {}
    flipped = bytearray(whole)
    flipped[whole.index(b"IDAT") + 9] ^= 1
    path.write_bytes(flipped)
    assert read_provenance(path) == {}


# JPEG and WebP -----------------------------------------------------------------------------

NOISE = np.random.default_rng(5).integers(0, 256, (24, 36, 3), dtype=np.uint8)


def saved(kind: str, **settings) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, kind, **settings)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("missing", [1, 2, 5, 30])
def test_a_file_without_its_end_is_cut_short(kind, missing):
    with pytest.raises(StudyError, match=r"is damaged \(it is cut short: .*copy or download it again"):
        open_rgb("a file", saved(kind)[:-missing])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_follows_the_end_does_not_matter(kind):
    content = saved(kind)
    assert np.array_equal(pixels(content), pixels(content + b"\xff\xd8\xff\xe0 and more"))


def test_an_end_within_a_preview_is_not_the_end():
    content = saved("JPEG")
    preview = b"\xff\xe1" + struct.pack(">H", 8) + b"\xff\xd9\xff\xd9\xff\xd9"
    assert np.array_equal(pixels(content[:2] + preview + content[2:]), pixels(content))
    with pytest.raises(StudyError, match="cut short"):
        open_rgb("a file", (content[:2] + preview + content[2:])[:-2])


def test_a_jpeg_of_endless_scans_is_refused():
    content = saved("JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    with pytest.raises(StudyError, match="more than 500 scans"):
        open_rgb("a file", content[:-2] + scan * 600 + b"\xff\xd9")


def tiff(order: str, *entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF data with the entries (tag, type, count, value)."""
    packed = b"".join(
        struct.pack(f"{order}HHI", *entry[:3]) + entry[3].ljust(4, b"\0")[:4] for entry in entries
    )
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return head + struct.pack(f"{order}IH", 8, len(entries)) + packed + bytes(4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("odd", range(14))
def test_an_odd_tag_does_not_hide_the_orientation(order, odd):
    six = struct.pack(f"{order}H", 6)
    for tag in (0x0100, 0x010E, 0x0213, 0x8769, 0x9286):
        data = tiff(order, (tag, odd, 2**31, b"\xff" * 4), (0x0112, 3, 1, six))
        assert exif_orientation(data) == 6
        for kind in ("JPEG", "PNG", "WEBP"):
            assert pixels(saved(kind, exif=b"Exif\0\0" + data)).shape == (36, 24, 3)


@pytest.mark.parametrize("kind", range(14))
def test_an_orientation_of_any_type(kind):
    width = {1: "B", 3: "H", 4: "I", 6: "B", 7: "B", 8: "H", 9: "I"}.get(kind)
    value = struct.pack(f">{width or 'I'}", 8)
    assert exif_orientation(tiff(">", (0x0112, kind, 1, value))) == (8 if width else None)
    for value in (b"\xff" * 4, bytes(4)):
        assert orientation(tiff("<", (0x0112, kind, 1, value)), b"") == 1


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "text", [XMP, XMP.replace(b'="6"/', b"='6'/"), b"<tiff:Orientation> 6 </tiff:Orientation>"]
)
def test_xmp_turns_where_exif_says_nothing(kind, text):
    if kind == "PNG":
        chunk = (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text))
        content = png(NOISE.astype(int), 8, RGB, chunk)
    else:
        content = saved(kind, xmp=text)
    assert pixels(content).shape == (36, 24, 3)
    assert orientation(tiff("<", (0x0112, 3, 1, b"\3\0")), text) == 3
    assert orientation(tiff("<", (0x0100, 3, 1, b"\3\0")), text) == 6


def test_a_raw_profile_turns_as_exif():
    text = b"\nexif\n  26\n" + (b"Exif\0\0" + tiff("<", (0x0112, 3, 1, b"\6\0"))).hex().encode() + b"\n"
    for chunk in (
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)),
        (b"tEXt", b"Raw profile type exif\0" + text),
    ):
        assert pixels(png(NOISE.astype(int), 8, RGB, chunk)).shape == (36, 24, 3)


# What a file says of itself ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", None),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"GIF89a", "GIF"),
        (b"BM\x36\0\0\0\0\0\0\0", "BMP"),
        (b"BMW is a car", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"", None),
    ],
)
def test_the_true_format_is_named(head, wanted):
    assert true_format(head) == wanted
    if wanted:
        with pytest.raises(StudyError, match=f"not a PNG, JPEG or WebP image but {wanted}; convert it"):
            open_rgb("photo.jpg", head)


def test_dimensions_are_read_from_the_header(tmp_path):
    files = [
        *CASES.iterdir(),
        *(WORKFLOW / "examples/photos").glob("*.*g"),
        *(WORKFLOW / "examples/photos").glob("*.webp"),
    ]
    for number, settings in enumerate(({}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*"})):
        files.append(tmp_path / f"{number}.webp")
        files[-1].write_bytes(saved("WEBP", **settings))
    assert len(files) > 20
    for path in files:
        if path.name not in ("avif_as.jpg", "ztxt_big.png"):  # which Pillow does not open
            with Image.open(path) as picture:
                assert dimensions(path) == picture.size, path
    for content in (
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xff\xff\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBPVP8 ",
    ):
        (tmp_path / "broken").write_bytes(content)
        assert dimensions(tmp_path / "broken") is None
    assert dimensions(Path(tmp_path / "none")) is None
