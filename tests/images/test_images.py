"""Users' own images: found, named and opened, whatever they are."""

import hashlib
import io
import os
import re
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from promptflux.errors import StudyError
from promptflux.images.decoding import to_rgb
from promptflux.images.opening import open_rgb
from promptflux.images.test_pattern import test_pattern as pattern
from promptflux.study.own_images import list_images, slug

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path, format="PNG")


def pixels(picture) -> np.ndarray:
    assert picture.mode == "RGB"
    return np.asarray(picture)


# Finding and naming ----------------------------------------------------------------------


def test_a_folder_gives_its_images_sorted(tmp_path):
    touch(
        tmp_path, "photos/b.png", "photos/a.JPG", "photos/c.webp", "photos/.hidden.png", "photos/deep/d.png"
    )
    (tmp_path / "photos/notes.txt").write_text("no image")
    found = list_images("photos", [tmp_path])
    assert [(image.name, str(image.path)) for image in found] == [
        ("a", "photos/a.JPG"),
        ("b", "photos/b.png"),
        ("c", "photos/c.webp"),
    ]


def test_globs_and_lists_and_the_workflow_folder(tmp_path):
    here, workflow = tmp_path / "here", tmp_path / "workflow"
    touch(here, "photos/a.png", "photos/deep/b.png")
    touch(workflow, "examples/c.png")
    assert [image.name for image in list_images("photos/**/*.png", [here, workflow])] == ["a", "b"]
    found = list_images(["examples", "photos/a.png", "photos/*"], [here, workflow])
    assert {image.name: str(image.path) for image in found} == {
        "a": "photos/a.png",
        "c": str(workflow / "examples/c.png"),
    }
    assert list_images(str(here / "photos"), [here])[0].path == here / "photos/a.png"


def test_a_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path):
    touch(tmp_path, "a[1].png", "a1.png")
    assert [str(image.path) for image in list_images("a[1].png", [tmp_path])] == ["a[1].png"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("nowhere", "no such file or folder"),
        ("photos/*.tiff", "nothing matches"),
        ("notes.txt", "not a PNG, JPEG or WebP"),
        ("texts", "1 files were found and no PNG"),
        ("empty", "0 files"),
    ],
)
def test_what_gives_no_image_is_an_error(tmp_path, setting, said):
    (tmp_path / "texts").mkdir()
    (tmp_path / "empty").mkdir()
    for path in ("notes.txt", "texts/a.txt"):
        (tmp_path / path).write_text("")
    with pytest.raises(StudyError, match=said) as caught:
        list_images(setting, [tmp_path])
    assert setting in str(caught.value)


def test_all_missing_entries_are_named(tmp_path):
    with pytest.raises(StudyError) as caught:
        list_images(["one", "two.png"], [tmp_path])
    assert [problem.split(",")[0] for problem in caught.value.args] == [
        "config.yaml: images names 'one'",
        "config.yaml: images names 'two.png'",
    ]


HOSTILE = {
    "plain.png": "plain",
    'it\'s "quoted" $5.png': "it_s_quoted_5",
    "$(run `id`).png": "run_id",
    "Ünïcödé façade.png": "Unicode_facade",
    "🌆 city 🏙️.png": "city",
    "עִבְרִית.png": "image",
    "\u202egnp.exe.png": "gnp.exe",
    "-rf.png": "rf",
    "..png.png": "png",
    "a&b< c >;{}.png": "a_b_c",
    "x" * 200 + ".png": "x" * 80,
    "ﬁne ½.png": "fine_1_2",
}


def test_hostile_names_become_slugs(tmp_path):
    touch(tmp_path, *(f"p/{name}" for name in HOSTILE if not name.startswith(".")))
    found = list_images("p", [tmp_path])
    assert {image.path.name: image.name for image in found} == {
        name: wanted for name, wanted in HOSTILE.items() if not name.startswith(".")
    }


def test_names_that_would_collide_get_six_digits(tmp_path):
    touch(tmp_path, "p/Cat.png", "p/cat.jpg", "p/é.png", "p/e.png", "p/dog.png", "p/x/cat.png")
    found = {str(image.path): image.name for image in list_images("p/**", [tmp_path])}
    assert found["p/dog.png"] == "dog"
    for path in ("p/Cat.png", "p/cat.jpg", "p/é.png", "p/e.png", "p/x/cat.png"):
        digits = hashlib.sha256(path.encode()).hexdigest()[:6]
        assert found[path] == f"{slug(os.path.basename(path).rsplit('.')[0])}_{digits}"


def test_a_name_that_looks_like_a_digest_is_still_unique(tmp_path):
    digits = hashlib.sha256(b"p/a.png").hexdigest()[:6]
    touch(tmp_path, "p/a.png", "p/A.png", f"p/a_{digits}.png")
    names = [image.name.casefold() for image in list_images("p", [tmp_path])]
    assert len(set(names)) == 3


@given(st.text(max_size=100))
def test_a_slug_is_a_slug(stem):
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", slug(stem))
    assert len(slug(stem)) <= 80


def test_a_file_name_that_is_not_utf8(tmp_path):
    try:
        with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    with pytest.raises(StudyError, match="not UTF-8"):
        list_images(".", [tmp_path])


@pytest.mark.parametrize("name", ["{x}.png", "a{ x }.png", "{a,b}.png", "<html>.png"])
def test_a_file_name_that_snakemake_would_change(tmp_path, name):
    touch(tmp_path, name)
    with pytest.raises(StudyError, match="Snakemake takes [{<].*[}>] for a variable"):
        list_images(".", [tmp_path])


# Opening ---------------------------------------------------------------------------------


def saved(tmp_path, picture: Image.Image, suffix: str = ".png", **options):
    path = tmp_path / f"picture{suffix}"
    picture.save(path, **options)
    return path


def test_rgb_stays_as_it_is(tmp_path):
    picture, mode = open_rgb(saved(tmp_path, Image.fromarray(PICTURE)))
    assert mode == "RGB"
    assert np.array_equal(pixels(picture), PICTURE)


def test_transparency_is_laid_over_white(tmp_path):
    for alpha, wanted in ((0, 255), (255, 10), (51, 255 - (255 - 10) // 5)):
        picture, mode = open_rgb(saved(tmp_path, Image.new("RGBA", (3, 2), (10, 10, 10, alpha))))
        assert mode == "RGBA"
        assert np.abs(pixels(picture).astype(int) - wanted).max() <= 1
        picture, mode = open_rgb(saved(tmp_path, Image.new("LA", (3, 2), (10, alpha))))
        assert mode == "LA"
        assert np.abs(pixels(picture).astype(int) - wanted).max() <= 1
        picture, _ = open_rgb(
            saved(
                tmp_path, Image.new("RGBA", (3, 2), (10, 10, 10, alpha)), ".webp", lossless=True, exact=True
            )
        )
        assert np.abs(pixels(picture).astype(int) - wanted).max() <= 1


def test_palettes_with_and_without_transparency(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.putdata([0, 1])
    picture, mode = open_rgb(saved(tmp_path, palette))
    assert mode == "P"
    assert pixels(picture).tolist() == [[[200, 0, 0], [0, 0, 200]]]
    picture, _ = open_rgb(saved(tmp_path, palette, transparency=1))
    assert pixels(picture).tolist() == [[[200, 0, 0], [255, 255, 255]]]
    picture, _ = open_rgb(saved(tmp_path, palette, transparency=b"\x00\xff"))
    assert pixels(picture).tolist() == [[[255, 255, 255], [0, 0, 200]]]


def test_a_transparent_color(tmp_path):
    picture, _ = open_rgb(saved(tmp_path, Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3)))
    assert (pixels(picture) == 255).all()
    picture, _ = open_rgb(saved(tmp_path, Image.new("L", (2, 2), 7), transparency=7))
    assert (pixels(picture) == 255).all()


def test_black_and_white(tmp_path):
    bits = Image.new("1", (2, 1))
    bits.putdata([0, 1])
    picture, mode = open_rgb(saved(tmp_path, bits))
    assert mode == "1"
    assert pixels(picture).tolist() == [[[0] * 3, [255] * 3]]


def test_16_bit_gray_is_divided_by_257(tmp_path):
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    picture, mode = open_rgb(saved(tmp_path, Image.fromarray(values)))
    assert mode.startswith("I")
    assert pixels(picture)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]
    as_int32 = Image.fromarray(values.astype(np.int32))
    assert as_int32.mode == "I"
    assert np.array_equal(to_rgb(as_int32), pixels(picture))


def test_16_bit_gray_with_a_transparent_value(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = tmp_path / "clear.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", 1000))
        + chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">HH", 1000, 25700)))
        + chunk(b"IEND", b"")
    )
    picture, _ = open_rgb(path)
    assert pixels(picture)[0, :, 0].tolist() == [255, 100]


def test_cmyk(tmp_path):
    picture, mode = open_rgb(saved(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), ".jpg", quality=95))
    assert mode == "CMYK"
    assert np.abs(pixels(picture).astype(int) - [255, 0, 0]).max() < 8


@pytest.mark.parametrize("mode", ["LAB", "HSV", "YCbCr", "PA", "RGBa", "RGBX"])
def test_other_modes_are_converted(mode):
    assert to_rgb(Image.new(mode, (2, 2))).mode == "RGB"


def test_floats_are_refused():
    with pytest.raises(StudyError, match="floating-point"):
        to_rgb(Image.new("F", (2, 2)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    """What is stored turned in one of the eight ways of EXIF comes out upright."""
    inverse = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    stored = Image.fromarray(np.ascontiguousarray(inverse(PICTURE)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == ".webp" else {}
    picture, _ = open_rgb(saved(tmp_path, stored, suffix, exif=exif, **options))
    assert np.array_equal(pixels(picture), PICTURE)


def test_a_turned_jpeg(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture, _ = open_rgb(saved(tmp_path, Image.new("L", (20, 10)), ".jpg", exif=exif))
    assert picture.size == (10, 20)


def test_broken_exif_data_are_ignored(tmp_path):
    path = saved(tmp_path, Image.fromarray(PICTURE), exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xffgarbage")
    picture, _ = open_rgb(path)
    assert np.array_equal(pixels(picture), PICTURE)


def test_the_suffix_does_not_decide_what_an_image_is(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    Image.fromarray(PICTURE).save(path, format="PNG")
    assert np.array_equal(pixels(open_rgb(path)[0]), PICTURE)


def png_bytes() -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format="PNG")
    return file.getvalue()


def jpeg_bytes() -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(png_bytes())).save(file, format="JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"hello, I am a text", "not a PNG, JPEG or WebP image; it begins with"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "not a PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
        (png_bytes()[:3000], "damaged"),
        (png_bytes()[:20], "damaged"),
        (jpeg_bytes()[:900], "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "damaged"),
        (png_bytes()[:40] + b"\xff" * 400 + png_bytes()[440:], "damaged"),
    ],
)
def test_a_broken_file_is_named_with_its_reason(tmp_path, content, said):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=said) as caught:
        open_rgb(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_missing_or_a_folder(tmp_path):
    with pytest.raises(StudyError, match="No such file"):
        open_rgb(tmp_path / "none.png")
    with pytest.raises(StudyError, match="cannot be read"):
        open_rgb(tmp_path)


def test_a_decompression_bomb_is_refused(tmp_path):
    content = bytearray(png_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path = tmp_path / "bomb.png"
    path.write_bytes(content)
    with pytest.raises(StudyError, match="178 million pixels"):
        open_rgb(path)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), source=st.sampled_from([png_bytes(), jpeg_bytes()]))
def test_a_damaged_file_never_raises_anything_else(data, source):
    """Flip bytes and cut: the image opens, or a StudyError says that it does not."""
    content = bytearray(source[: data.draw(st.integers(1, len(source)))])
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture, _ = open_rgb("damaged.png", bytes(content))
        assert picture.mode == "RGB"
    except StudyError as error:
        assert "damaged.png" in str(error)


def test_line_breaks_of_a_file_name_do_not_break_the_message(tmp_path):
    path = tmp_path / "two\nlines\u202e.png"
    path.write_bytes(b"")
    with pytest.raises(StudyError) as caught:
        open_rgb(path)
    assert "\n" not in str(caught.value)
    assert "\u202e" not in str(caught.value)


# The test pattern ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (28, 28), (32, 32), (224, 224), (10, 300), (300, 10)])
def test_the_test_pattern_exists_at_any_size(size):
    picture = pattern(*size)
    assert (picture.mode, picture.height, picture.width) == ("RGB", *size)


def test_the_test_pattern_has_bars_and_a_label():
    picture = np.asarray(pattern(224, 224))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 8
    assert (picture[100:124, 60:160] == 255).all(axis=2).sum() > 200
