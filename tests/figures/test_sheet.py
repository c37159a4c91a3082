"""What figures share: pictures pixel by pixel, scales, colors, and the PNG itself."""

import io
import zlib

import numpy as np
import pytest
from matplotlib.colors import Normalize
from PIL import Image
from support.drawn_study import pixels

from promptflux.figures.resampling import averaged, repeated
from promptflux.figures.sheet import Sheet, Style, colored, fitted, numbers, round_values


def saved(sheet: Sheet, folder) -> np.ndarray:
    sheet.save(folder / "sheet.png")
    return pixels(folder / "sheet.png")


def test_a_picture_is_shown_pixel_by_pixel(tmp_path):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (30, 40, 4), np.uint8)
    picture[..., 3] = 255
    sheet = Sheet(2, 1.5, 100)
    sheet.pixels(picture, 0.5, 0.25)
    shown = saved(sheet, tmp_path).copy()
    assert np.array_equal(shown[25:55, 50:90], picture[..., :3])
    shown[25:55, 50:90] = 255
    assert (shown == 255).all()


def test_a_small_picture_keeps_its_pixels_and_its_shape(tmp_path):
    picture = np.zeros((2, 4, 3), np.float32)
    picture[0, 0] = [1, 0, 0]
    picture[1, 3] = [0, 0, 1]
    sheet = Sheet(1, 1, 100)
    sheet.picture(picture, (0.1, 0.1, 0.8, 0.8))
    shown = saved(sheet, tmp_path)
    assert (shown[13:27, 13:27] == [255, 0, 0]).all()
    assert (shown[33:47, 73:87] == [0, 0, 255]).all()
    assert (shown[55:, :] == 255).all()  # it is twice as wide as high


def test_what_is_drawn_later_covers_what_was_drawn_before(tmp_path):
    square = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
    sheet = Sheet(1, 1, 100)
    sheet.lines([[(0, 0.5), (1, 0.5)]], colors="black", linewidths=5)
    sheet.polygons([square], facecolors=["#00ff00"])
    sheet.dots([(0.5, 0.5)], size=10, color="#0000ff")
    shown = saved(sheet, tmp_path)
    assert shown[50, 50].tolist() == [0, 0, 255]
    assert shown[50, 30].tolist() == [0, 255, 0]
    assert shown[50, 10].tolist() == [0, 0, 0]


def test_a_sheet_takes_what_matplotlib_draws(tmp_path):
    sheet = Sheet(2, 2, 50)
    sheet.axes(0, 0, 2, 2).bar([0], [1], color="#123456")
    assert (saved(sheet, tmp_path) == [0x12, 0x34, 0x56]).all(axis=2).any()


def test_ticks_stand_where_their_values_are(tmp_path):
    """A scale of 0 to 10 over 2 inches has a tick at each whole number that it is given, and no other."""
    sheet = Sheet(3, 1, 100)
    sheet.scale((0.5, 0.2, 2, 0.3), "bottom", (0, 10), ticks=[0, 5, 10], texts=["", "", ""], line=False)
    dark = (saved(sheet, tmp_path)[51:54] < 200).all(axis=(0, 2))
    assert np.abs(np.flatnonzero(dark) - 0.5).round().astype(int).tolist() == pytest.approx(
        [50, 150, 250], abs=1
    )


@pytest.mark.parametrize(
    ("start", "end", "most", "texts"),
    [
        (0, 1, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (223.5, -0.5, 5, ["0", "50", "100", "150", "200"]),
        (-14.4, 14.4, 8, ["\u221210", "\u22125", "0", "5", "10"]),
        (0, 3e-7, 3, ["0", "1e\u221207", "2e\u221207", "3e\u221207"]),
        (0, 1, 4, ["0.00", "0.25", "0.50", "0.75", "1.00"]),
    ],
)
def test_ticks_are_round_numbers_with_equally_many_decimals(start, end, most, texts):
    assert numbers(round_values(start, end, most)) == texts


def test_colors_are_those_of_the_colormap_and_of_its_ends_beyond():
    cmap = Style(colormap="viridis", dpi=1).cmap
    values = np.float32([-5, 0, 1, 2, 9])
    shown = colored(values, (0, 2), cmap)
    assert np.array_equal(shown, cmap(Normalize(0, 2, clip=True)(values), bytes=True))


def test_a_picture_fills_its_box_with_square_pixels():
    assert fitted((50, 100), (1, 1, 2, 2)) == (1, 1, 2, 1)
    assert fitted((100, 50), (1, 1, 2, 2)) == (1, 1, 1, 2)


def test_resampling_repeats_and_averages():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(repeated(values, 6, 8), values.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(averaged(values, 3, 2), values.reshape(3, 2, 2).mean(axis=2))
    assert np.array_equal(averaged(values, 6, 8), values)
    assert np.allclose(averaged(np.stack([values, 2 * values]), 1, 1).ravel(), [5.5, 11])


def test_a_png_holds_the_pixels_and_can_be_read_by_the_letter(tmp_path):
    """Pillow is lenient with checksums, so the chunks are checked here."""
    shown = saved(Sheet(0.5, 0.3, 100), tmp_path)
    assert shown.shape == (30, 50, 3)
    file = io.BytesIO((tmp_path / "sheet.png").read_bytes())
    assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    names = []
    while length := file.read(4):
        name, content = file.read(4), file.read(int.from_bytes(length, "big"))
        assert int.from_bytes(file.read(4), "big") == zlib.crc32(name + content)
        names.append(name)
    assert names == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    with Image.open(tmp_path / "sheet.png") as picture:
        picture.verify()
