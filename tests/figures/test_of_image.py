"""The figures of an image: what they show is what the files hold, for inputs of every kind."""

from pathlib import Path

import figures
import numpy as np
import pytest
from PIL import Image
from support.drawn_study import (
    BROKEN,
    CLASSIFIER,
    HOSTILE,
    STYLE,
    classify,
    draw_figures,
    explain,
    figures_of,
    files_of_figures,
    has_color,
    pixels,
)

from promptflux.classifiers.weights import load_description
from promptflux.errors import StudyError
from promptflux.figures.of_image import grad_cam, occlusion
from promptflux.figures.of_image.conv_layer_feature_maps import Grid, dead_channels, paint, shared_scale
from promptflux.figures.of_image.input_image_visualizations import Mesh, View
from promptflux.figures.of_image.loaded_image_verification import value_range
from promptflux.figures.of_image.occlusion import spread
from promptflux.figures.of_study import activations as channels
from promptflux.figures.sheet import ALARM, FAINT, Style
from promptflux.figures.subject import Why, read_subject, read_why
from promptflux.figures.text import legible
from promptflux.files.activations import Tally
from promptflux.files.explanations import UNKNOWN

FIRST, LAST = ["loaded_image_verification", "input_image_visualizations"], ["model_output"]


def draw(folder, images, drawn=None, threads=1, style=None, **changes):
    """Classify images (name -> file) and draw the figures of those in `drawn`, or of all; changes: of the spec."""
    drawn = drawn or list(images)
    results = classify(folder, {name: str(path) for name, path in images.items()}, drawn, **changes)
    draw_figures(results, drawn, threads=threads, **style or {})
    return results


def drawn_of(results, image) -> list[str]:
    """The names of all files in the folder of an image's figures, sorted."""
    return sorted(path.stem for path in Path(results.figure(CLASSIFIER, image, "x")).parent.iterdir())


def test_all_figures_are_the_same_bytes_each_time_and_with_each_count_of_threads(tmp_path, photo):
    images = {"photo": photo, "again": photo}
    one, two = (draw(tmp_path / str(threads), images, threads=threads) for threads in (1, 2))
    for name in images:
        assert drawn_of(one, name) == sorted(
            [*FIRST, "conv_layer_1_feature_maps", "conv_layer_2_feature_maps", *LAST]
        )
        for path, twin in zip(figures_of(one, name), figures_of(two, name), strict=True):
            assert Path(path).read_bytes() == Path(twin).read_bytes()


def test_a_figure_knows_its_dpi_and_nothing_else_and_is_as_large_as_it_says(tmp_path, photo):
    sizes = {}
    for dpi in (40, 80):
        results = draw(tmp_path / str(dpi), {"photo": photo}, style={"dpi": dpi})
        for path in figures_of(results, "photo"):
            with Image.open(path) as picture:
                assert set(picture.info) == {"dpi"}  # no date, no version
                assert picture.info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)
                sizes.setdefault(Path(path).stem, []).append(np.array(picture.size))
    for small, large in sizes.values():
        assert np.abs(large - 2 * small).max() <= 1


def test_the_colormap_is_respected(tmp_path, photo):
    """In gray, only the picture, the histogram's lines and the bars have colors."""
    images = {"photo": photo}
    paths = [
        figures_of(draw(tmp_path / name, images, style={"colormap": name}), "photo")
        for name in ("gray", "magma")
    ]
    for gray, magma in zip(*paths, strict=True):
        shows_values = "feature_maps" in gray or "visualizations" in gray
        assert (Path(gray).read_bytes() != Path(magma).read_bytes()) == shows_values
        if "feature_maps" in gray:
            tiles = pixels(gray)[:, 140:].astype(int)  # beside the picture
            assert np.ptp(tiles, axis=2).max() < 30  # the letters are a little blue
    with pytest.raises(
        StudyError, match=r"figures.colormap is 'rainbows', which matplotlib does not know; try viridis"
    ):
        Style(colormap="rainbows", dpi=40)


def test_a_test_pattern_is_marked_in_every_figure(tmp_path, photo):
    broken = tmp_path / BROKEN
    broken.write_text("<html>")
    results = draw(tmp_path, {"photo": photo, "broken": broken})
    assert all(has_color(path, ALARM) for path in figures_of(results, "broken"))
    assert not any(has_color(path, ALARM) for path in figures_of(results, "photo"))


def test_the_picture_is_the_image_whatever_the_normalization(tmp_path, photo):
    """Undoing mean and std gives back the pixels that preprocessing saved."""
    for name, extra in (
        ("gray", {"channels": "gray"}),
        ("plain", {"channels": "rgb"}),
        ("normal", {"channels": "rgb", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}),
    ):
        results = classify(
            tmp_path / name, {"photo": str(photo)}, ["photo"], input={"name": name, "size": [12, 10], **extra}
        )
        files = files_of_figures(results)
        description = load_description(files["model"])
        subject = read_subject(files["tensors"], files["predictions"], description, ["conv2"], "photo")
        saved = pixels(results.preprocessed(name, "photo")) / 255
        assert subject.picture.shape == (12, 10, 3)
        assert np.abs(subject.picture - saved).max() < 1e-6
        assert subject.source_size == (600, 512)
        assert [*subject.outputs] == ["conv2"]
        assert subject.outputs["conv2"].shape == description.layers_of("conv")[1].shape


@pytest.mark.parametrize("channels", [1, 8, 100, 300])
def test_every_count_of_channels(tmp_path, photo, channels):
    layers = [{"conv": {"out": channels, "kernel": 3, "activation": "relu"}}, "flatten", {"dense": 3}]
    results = draw(tmp_path, {"photo": photo}, layers=layers)
    assert drawn_of(results, "photo") == sorted([*FIRST, "conv_layer_1_feature_maps", *LAST])
    height = pixels(results.figure(CLASSIFIER, "photo", "conv_layer_1_feature_maps")).shape[0]
    assert height == pytest.approx({1: 4, 8: 7, 100: 9, 300: 13}[channels] * STYLE["dpi"], rel=0.3)


@pytest.mark.parametrize(
    ("size", "value"),
    [([7, 60], None), ([60, 7], 0), ([150, 130], None), ([3, 3], None), ([3, 3], 255)],
)
def test_every_shape_of_input_and_constant_images(tmp_path, photo, size, value):
    path = photo
    if value is not None:
        path = tmp_path / "flat.png"
        Image.new("L", (50, 50), value).save(path)
    layers = [{"conv": {"out": 5, "kernel": 3, "activation": "tanh"}}, {"conv": {"out": 2, "kernel": 1}}]
    results = draw(
        tmp_path,
        {"x": path},
        input={"name": "odd", "size": size, "channels": "rgb"},
        layers=[*layers, "flatten", {"dense": 3}],
    )
    assert drawn_of(results, "x") == sorted(
        [*FIRST, "conv_layer_1_feature_maps", "conv_layer_2_feature_maps", *LAST]
    )


def test_a_network_without_convolutions_has_no_feature_maps(tmp_path, photo):
    results = draw(tmp_path, {"photo": photo}, layers=["flatten", {"dense": 3}, "softmax"])
    assert drawn_of(results, "photo") == sorted([*FIRST, *LAST])


def test_many_and_long_labels(tmp_path, photo):
    labels = [f"{number} {legible(text)[:90]}" for number, text in enumerate(list(HOSTILE.values()) * 5)]
    results = draw(tmp_path, {"photo": photo}, labels=labels, layers=["flatten", {"dense": len(labels)}])
    height = pixels(results.figure(CLASSIFIER, "photo", "model_output")).shape[0]
    # Of 45 labels the 30 most probable are drawn, on 0.27 inches each.
    assert 30 * 0.27 * STYLE["dpi"] < height < 45 * 0.27 * STYLE["dpi"]


def test_what_is_missing_is_said(tmp_path, photo):
    results = draw(tmp_path, {"photo": photo, "other": photo}, drawn=["photo"])
    with pytest.raises(StudyError, match="'absent' is not there"):
        draw_figures(results, ["absent"])
    with pytest.raises(StudyError, match="layer_images: the image 'other'"):
        draw_figures(results, ["other"])
    with pytest.raises(TypeError, match="dpi"):  # a default stands in config.yaml alone
        figures.main(
            **files_of_figures(results),
            images=["photo"],
            figures=figures_of(results, "photo"),
            threads=1,
            style={"colormap": "gray"},
        )


# Why the classifier says so ------------------------------------------------------------------


def explained(folder, images, asked, **changes):
    """Figures of images (name -> file) of which it is known why; the results, and the names of their figures."""
    results = classify(folder, {name: str(path) for name, path in images.items()}, [*images], **changes)
    explain(results, [*asked], [*asked.values()])
    draw_figures(results, [*images], explained=[*asked])
    return results, {name: drawn_of(results, name) for name in images}


def test_an_image_that_is_explained_has_two_figures_more(tmp_path, photo):
    broken = tmp_path / BROKEN
    broken.write_text("<html>")
    images = {"photo": photo, "other": photo, "broken": broken}
    results, drawn = explained(tmp_path, images, {"photo": 1, "broken": UNKNOWN})
    assert set(drawn["photo"]) - set(drawn["other"]) == {"occlusion", "grad_cam"}
    said = {why.target for why in read_why(results.explanations(CLASSIFIER, "torch", "own"), "photo")}
    widths = [pixels(results.figure(CLASSIFIER, name, "occlusion")).shape[1] for name in ("photo", "broken")]
    assert (widths[0] > widths[1]) == (said == {"predicted", "asked"}), "a map for each label"
    for name in ("occlusion", "grad_cam"):
        assert has_color(results.figure(CLASSIFIER, "broken", name), ALARM)
        assert not has_color(results.figure(CLASSIFIER, "photo", name), ALARM)


def test_a_network_without_convolution_has_no_grad_cam(tmp_path, photo):
    _, drawn = explained(tmp_path, {"photo": photo}, {"photo": 0}, layers=["flatten", {"dense": 3}])
    assert "occlusion" in drawn["photo"] and "grad_cam" not in drawn["photo"]


def test_an_image_that_nobody_explained_is_said(tmp_path, photo):
    results, _ = explained(tmp_path, {"photo": photo, "other": photo}, {"photo": 0})
    with pytest.raises(StudyError, match="the image 'other' is not there"):
        draw_figures(results, ["other"], explained=["other"])


def why(occlusion, gradcam, patch=(2, 2), stride=(1, 1)):
    maps = (np.float32(occlusion), np.float32(gradcam))
    return Why("predicted", 0, 0.5, patch, stride, maps[0], "conv1", maps[1])


def test_a_map_that_is_nothing_but_rounding_does_not_look_like_a_reason(tmp_path, photo):
    results = classify(tmp_path, {"photo": str(photo)}, ["photo"])
    files = files_of_figures(results)
    subject = read_subject(
        files["tensors"], files["predictions"], load_description(files["model"]), [], "photo"
    )
    places = (11, 9)  # of 12 × 10 pixels
    for size, said in (
        (1e-7, "No patch changes it by as much as 0.01 points."),
        (0.3, "by more than 30 points"),
    ):
        flat = why(np.zeros(places) + size, np.zeros((3, 3)))
        panel = occlusion.panel(flat, subject)
        assert said in panel.note and panel.values.shape == (12, 10)
        np.testing.assert_allclose(panel.values, 100 * size, rtol=1e-5)
        low, high = panel.limits
        assert low == 0 and high == pytest.approx(max(100 * size, 0.01))
    rises = occlusion.panel(why(np.zeros(places) - 0.2, np.zeros((3, 3))), subject)
    assert rises.limits == pytest.approx((-20, 20))
    nothing = grad_cam.panel(why(np.zeros(places), np.zeros((3, 3))), subject)
    assert nothing.limits == (0, 1) and "No place" in nothing.note


def test_a_pixel_has_the_mean_of_the_patches_that_cover_it():
    drops = spread(why([[0, 1], [2, 3]], [[0]], patch=(2, 2), stride=(2, 2)), (3, 4))
    # The second row of patches is pushed back by a pixel, so that the middle row is in both.
    np.testing.assert_array_equal(drops, [[0, 0, 1, 1], [1, 1, 2, 2], [2, 2, 3, 3]])


def test_each_layer_is_a_strip_of_its_channels_with_the_dead_ones_last():
    share = np.array([0.5, 1.0, 0.0, 0.2])
    zeros = np.zeros(4)
    tally = Tally(10, zeros, zeros, 10 * share, zeros, np.array([1.0, 0, 1, 1]))
    strip = channels.colors_of(tally, Style("gray", 40))[0]
    assert strip[-1].tolist() == [*bytes.fromhex(ALARM[1:])]
    assert np.diff(strip[:3, 0].astype(int)).min() > 0
    many = {f"conv{number}": tally for number in range(200)}
    assert len(channels.drawn_layers(many)) <= channels.MOST_LAYERS
    for shown in ({"conv1": tally}, many, {}):
        assert channels.draw(shown, 9, "small", Style("gray", 40)).height > 1.5


# The parts of the figures -----------------------------------------------------------------


def test_dead_channels():
    maps = np.zeros((4, 5, 5), np.float32)
    maps[1] = 0.7
    maps[2, 3, 3] = 1e-6
    maps[3] = np.random.default_rng(0).random((5, 5))
    assert dead_channels(maps).tolist() == [True, True, False, False]
    one_pixel = np.float32([[[0]], [[3]]])  # is no constant
    assert dead_channels(one_pixel).tolist() == [True, False]


def test_the_scale_starts_at_zero_or_is_symmetric_and_forgives_outliers():
    maps = np.random.default_rng(0).random((8, 20, 20)).astype(np.float32)
    limits, extend = shared_scale(maps)
    assert (limits, extend) == ((0, maps.max()), "neither")
    maps[0, 0, 0] = 50
    limits, extend = shared_scale(maps)
    assert limits[1] < 1.01 and extend == "max"
    limits, extend = shared_scale(maps - 0.5)
    assert limits[0] == -limits[1] and extend == "both"
    assert shared_scale(np.zeros((2, 3, 3)))[0] == (0, 1)


def test_the_mosaic_shows_each_map_in_its_tile():
    maps = np.stack([np.full((6, 6), value, np.float32) for value in (0.0, 0.5, 1.0)])
    grid = Grid.of(3, 1.0)
    cmap = Style(colormap="gray", dpi=50).cmap
    canvas = paint(maps, np.array([False, False, True]), grid, 50, cmap, (0, 1))
    centers = []
    for tile in range(3):
        left, top = grid.corner(tile)
        row, column = round((top + grid.tile_height / 2) * 50), round((left + grid.tile_width / 2) * 50)
        centers.append(tuple(canvas[row, column, :3]))
    assert centers == [(0, 0, 0), (128, 128, 128), tuple(bytes.fromhex(FAINT[1:]))]


def test_the_histogram_shows_the_values_there_are():
    assert value_range(np.float32([[[0.2, 0.7]]])) == (0, 1)
    assert value_range(np.float32([[[-2, 3]]])) == (-2, 3)
    assert value_range(np.float32([[[2, 2]]])) == (1.5, 2.5)


def test_a_landscape_keeps_its_directions_and_fills_its_room():
    """Right is to the right, a lower row is lower, a higher value is higher, and what is near is larger."""
    room = (1.0, 2.0, 3.0, 2.5)
    view = View.of(100, 60, room)
    middle = np.array([50, 30, 0.5])
    right, down, up = (view(middle + step) - view(middle) for step in np.diag([10, 10, 0.1]))
    assert right[0] > 0 and down[1] > 0 and up[1] < 0
    assert abs(up[0]) < abs(up[1]) / 10
    corners = [(x, y, z) for x in (-0.5, 99.5) for y in (-0.5, 59.5) for z in (0, 1)]
    seen = view(np.array(corners))
    assert (seen >= np.array(room[:2]) - 1e-9).all()
    assert (seen <= np.array(room[:2]) + np.array(room[2:]) + 1e-9).all()
    back, front = (np.ptp(view(np.array([(-0.5, y, 0), (99.5, y, 0)])), axis=0) for y in (-0.5, 59.5))
    assert np.hypot(*front) > 1.05 * np.hypot(*back)


def test_a_mesh_has_the_means_of_blocks_up_to_the_edges():
    gray = np.arange(16, dtype=np.float32).reshape(4, 4)
    mesh = Mesh.of(gray, 2)
    assert mesh.z.tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert mesh.x.tolist() == [0.5, 2.5]
    wide = mesh.to_the_edge()
    assert wide.x.tolist() == [-0.5, 0.5, 2.5, 3.5]
    assert wide.z[0].tolist() == [2.5, 2.5, 4.5, 4.5]
