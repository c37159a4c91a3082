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


# Resize, then cut out the center: as torchvision ---------------------------------------------

SIZES = [
    (256, 256),
    (300, 256),
    (257, 511),
    (1000, 333),
    (31, 77),
    (427, 640),
    (224, 224),
    (1, 3),
    (255, 256),
]


def as_torchvision(
    picture: Image.Image, shorter: int, size: tuple[int, int], filter_name: str
) -> Image.Image:
    """Resize and CenterCrop of torchvision.transforms, in Pillow: `_compute_resized_output_size` and `center_crop`."""
    width, height = picture.size
    short, long = (width, height) if width <= height else (height, width)
    new_long = int(shorter * long / short)
    new = (shorter, new_long) if width <= height else (new_long, shorter)
    resized = picture.resize(new, FILTERS[filter_name])
    top, left = round((new[1] - size[0]) / 2.0), round((new[0] - size[1]) / 2.0)
    return resized.crop((left, top, left + size[1], top + size[0]))


@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize(("shorter", "size"), [(256, 224), (235, 224), (224, 224), (33, (20, 31))])
def test_resize_and_center_crop_are_torchvisions(shorter, size, filter_name):
    """Pixel by pixel."""
    height, width = size if isinstance(size, tuple) else (size, size)
    spec = an_input(size=[height, width], resize=shorter, filter=filter_name, mean="imagenet", std="imagenet")
    random = np.random.default_rng(0)
    for columns, rows in SIZES:
        picture = Image.fromarray(random.integers(0, 256, (rows, columns, 3), dtype=np.uint8))
        wanted = as_torchvision(picture, shorter, (height, width), filter_name)
        assert fitted(picture, spec) == wanted
        numbers = (np.asarray(wanted).transpose(2, 0, 1) / np.float32(255) - MEAN[:, None, None]) / STD[
            :, None, None
        ]
        assert np.array_equal(tensor(wanted, spec), numbers)


MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def test_ready_inputs_of_imagenet():
    assert InputSpec.from_config("imagenet224").to_dict() == {
        "name": "imagenet224", "height": 224, "width": 224, "channels": "rgb", "fit": "crop", "filter": "bilinear",
        "resize": 256, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    assert InputSpec.from_config("imagenet299").resize == 342  # as torchvision's Inception
    written = an_input(size=224, resize=256, mean="imagenet", std="imagenet")
    assert written.mean == (0.485, 0.456, 0.406) and written.std == (0.229, 0.224, 0.225)


def test_an_input_without_a_resize_is_described_as_ever():
    assert "resize" not in an_input().to_dict()
    assert InputSpec.from_dict(json.loads(json.dumps(an_input(resize=9).to_dict()))) == an_input(resize=9)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"resize": 7}, "has the resize 7, from which no 8 × 8 pixels can be cut out"),
        ({"size": [4, 9], "resize": 8}, "no 4 × 9 pixels"),
        ({"resize": 8, "fit": "pad"}, "a resize, which goes with fit: crop alone"),
        ({"channels": "gray", "mean": "imagenet"}, "3 numbers in mean; gray images need 1"),
    ],
)
def test_a_resize_that_does_not_fit_is_refused(fields, said):
    with pytest.raises(StudyError, match=said):
        an_input(**fields)


def test_a_strip_that_would_become_too_large_is_a_sentence():
    spec = an_input(size=224, resize=256)
    assert fitted(Image.new("RGB", (2, 2000)), spec).size == (224, 224)
    with pytest.raises(StudyError, match="1 × 9000 pixels, which become 256 × 2304000"):
        fitted(Image.new("RGB", (1, 9000)), spec)
