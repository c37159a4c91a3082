"""From an upright image to its tensor."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from promptflux.errors import StudyError
from promptflux.images.fitting import FILTERS, centered_box, contained_size, fitted, tensor
from promptflux.images.inputs import InputSpec


def an_input(channels="rgb", size=8, **fields):
    return InputSpec.from_config({"name": "any", "size": size, "channels": channels, **fields})


def ramp(width: int, height: int) -> Image.Image:
    """Red grows to the right, green to the bottom."""
    y, x = np.mgrid[:height, :width]
    stack = np.stack([255 * x / max(1, width - 1), 255 * y / max(1, height - 1), 0 * x], axis=2)
    return Image.fromarray(stack.astype(np.uint8))


def test_named_inputs():
    assert InputSpec.from_config("gray28") == InputSpec(
        "gray28", 28, 28, "gray", "crop", "bilinear", (0,), (1,)
    )
    assert InputSpec.from_config("rgb224").shape == (3, 224, 224)


def test_an_input_survives_json():
    spec = an_input(
        size=[10, 20], fit="pad", filter="lanczos", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
    )
    assert (spec.height, spec.width) == (10, 20)
    assert InputSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_mean_and_std_are_one_number_a_channel():
    with pytest.raises(StudyError, match="3 numbers in std; gray images need 1"):
        an_input("gray", std=[1, 1, 1])


def test_a_tensor_is_pixels_by_255():
    picture = ramp(8, 8)
    array = tensor(fitted(picture, an_input()), an_input())
    assert (array.dtype, array.shape) == (np.float32, (3, 8, 8))
    assert np.array_equal(array, np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / np.float32(255))
    assert array[0, 0, -1] == 1.0  # red at the right end of the top row: [C, H, W]
    assert array[0, -1, 0] == 0.0


def test_normalisation():
    spec = an_input(mean=[0.5, 0.25, 0], std=[0.5, 2, 4])
    array = tensor(Image.new("RGB", (8, 8), (255, 0, 51)), spec)
    assert np.allclose(array[:, 0, 0], [1.0, -0.125, 0.05])


def test_gray_is_itu_601_luma():
    colors = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    gray = np.asarray(fitted(Image.fromarray(colors), an_input("gray"))).astype(int)
    red, green, blue = colors.astype(int).transpose(2, 0, 1)
    assert np.array_equal(gray, (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)


def test_gray_comes_before_the_resize():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8))
    spec = an_input("gray", fit="stretch")
    assert fitted(noise, spec) == noise.convert("L").resize((8, 8), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_an_image_of_the_right_size_is_not_touched(filter_name, fit, channels):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    wanted = picture.convert("L") if channels == "gray" else picture
    assert fitted(picture, an_input(channels, fit=fit, filter=filter_name)) == wanted


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 7), (640, 480), (8, 9)])
@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_every_size_fits(fit, size, channels):
    spec = an_input(channels, size=[5, 9], fit=fit)
    picture = fitted(Image.new("RGB", size, "white"), spec)
    assert (picture.size, picture.mode) == ((9, 5), {"gray": "L", "rgb": "RGB"}[channels])
    assert np.asarray(picture).max() == 255
    assert tensor(picture, spec).shape == spec.shape


def test_a_reduction_is_antialiased():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    array = np.asarray(fitted(Image.fromarray(stripes), an_input()))
    assert array.min() > 100
    assert array.max() < 155


def test_crop_keeps_the_centre():
    red = np.asarray(fitted(ramp(300, 100), an_input(size=10)))[0, :, 0]
    assert red[0] == pytest.approx(255 * 105 / 300, abs=2)  # the middle of the first tenth of 100..200
    assert red[-1] == pytest.approx(255 * 195 / 300, abs=2)


def test_pad_puts_the_whole_image_on_black():
    array = np.asarray(fitted(Image.new("RGB", (100, 30), "white"), an_input(size=10, fit="pad")))
    assert (array == 255).all(axis=(1, 2)).tolist() == [False] * 3 + [True] * 3 + [False] * 4
    assert array[:3].max() == array[6:].max() == 0


def test_stretch_ignores_the_aspect_ratio():
    array = np.asarray(fitted(ramp(300, 100), an_input(size=10, fit="stretch"))).astype(int)
    assert array[0, 0, 0] < 20
    assert array[0, -1, 0] > 235
    assert np.abs(array[:, :, 0] - array[:, :, 1].T).max() <= 2


sides = st.integers(1, 5000)


@given(size=st.tuples(sides, sides), target=st.tuples(st.integers(1, 500), st.integers(1, 500)))
def test_the_boxes_of_crop_and_pad(size, target):
    left, top, right, bottom = centered_box(size, target)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert (right - left) * target[1] == pytest.approx((bottom - top) * target[0])
    assert left == pytest.approx(size[0] - right, abs=1e-6)
    assert left == 0 or top == 0

    inner = contained_size(size, target)
    assert inner[0] == target[0] or inner[1] == target[1]
    scale = min(target[0] / size[0], target[1] / size[1])
    for side, whole_side, limit in zip(inner, size, target, strict=True):
        assert 1 <= side <= limit
        assert abs(side - whole_side * scale) <= 0.5 + 1e-6 or side == 1


def test_halves_are_rounded_up():
    assert contained_size((20, 5), (10, 10)) == (10, 3)
    assert contained_size((5, 20), (10, 10)) == (3, 10)
