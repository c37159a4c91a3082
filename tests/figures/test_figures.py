"""The figures: what they show is what the files hold, for inputs and texts of every kind."""

import warnings
from pathlib import Path

import confusion
import figures
import gallery
import numpy as np
import pytest
from PIL import Image
from support.drawn_study import HOSTILE, LABELS, PROBLEM, classify, figure_paths, photograph, pixels

from promptflux.errors import StudyError
from promptflux.figures.sheet import ALARM, FAINT, Sheet, Style
from promptflux.figures.text import legible, shorten, text_width, wrapped

ALARM = tuple(bytes.fromhex(ALARM[1:]))


@pytest.fixture(autouse=True)
def no_warnings():
    """A missing glyph or an empty contour would be a warning for each figure of a study."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    photograph().save(path)
    return path


def draw(folder, images, drawn=None, threads=1, dpi=40, **changes):
    files = classify(
        folder, {name: str(path) for name, path in images.items()}, drawn or list(images), **changes
    )
    figures.main(
        tensors=files["tensors"],
        predictions=files["predictions"],
        spec=files["spec"],
        images=drawn or list(images),
        folder=str(folder / "figures"),
        threads=threads,
        style={"dpi": dpi},
    )
    return files


def has_colour(path, colour) -> bool:
    return bool((pixels(path) == colour).all(axis=2).any())


# Figures of an image -------------------------------------------------------------------


def test_all_figures_are_written_and_the_same_bytes_each_time_and_with_each_count_of_threads(tmp_path, photo):
    images = {"photo": photo, "again": photo}
    for folder, threads in (("a", 1), ("b", 2)):
        draw(tmp_path / folder, images, threads=threads)
    for name in images:
        paths = figure_paths(tmp_path / "a" / "figures" / name)
        assert sorted(map(str, (tmp_path / "a" / "figures" / name).iterdir())) == sorted(paths)
        for path in map(Path, paths):
            twin = tmp_path / "b" / "figures" / name / path.name
            assert path.read_bytes() == twin.read_bytes()
            with Image.open(path) as picture:
                assert set(picture.info) <= {"dpi"}  # no date, no version


def test_a_test_pattern_is_marked_in_every_figure(tmp_path, photo):
    broken = tmp_path / PROBLEM
    broken.write_text("<html>")
    draw(tmp_path, {"photo": photo, "broken": broken})
    for path in figure_paths(tmp_path / "figures" / "broken"):
        assert has_colour(path, ALARM)
    for path in figure_paths(tmp_path / "figures" / "photo"):
        assert not has_colour(path, ALARM)


def test_the_picture_is_the_image_whatever_the_normalisation(tmp_path, photo):
    """Undoing mean and std gives back the pixels that preprocessing saved."""
    for name, extra in (
        ("gray", {"channels": "gray"}),
        ("plain", {"channels": "rgb"}),
        ("normal", {"channels": "rgb", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}),
    ):
        files = classify(
            tmp_path / name, {"photo": str(photo)}, ["photo"], input={"name": name, "size": [12, 10], **extra}
        )
        subject = figures.read_subject(files["tensors"], files["predictions"], files["spec"], "photo")
        saved = pixels(tmp_path / name / "preprocessed" / "photo.png") / 255
        assert subject.picture.shape == (12, 10, 3)
        assert np.abs(subject.picture - saved).max() < 1e-6
        assert subject.source_size == (600, 512)


@pytest.mark.parametrize("channels", [1, 8, 100, 300])
def test_every_count_of_channels(tmp_path, photo, channels):
    layers = [{"conv": {"out": channels, "kernel": 3, "activation": "relu"}}, "flatten", {"dense": 3}]
    draw(tmp_path, {"photo": photo}, layers=layers)
    assert (tmp_path / "figures" / "photo" / "conv_layer_1_feature_maps.png").is_file()
    assert not (tmp_path / "figures" / "photo" / "conv_layer_2_feature_maps.png").exists()


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
    draw(
        tmp_path,
        {"x": path},
        input={"name": "odd", "size": size, "channels": "rgb"},
        layers=[*layers, "flatten", {"dense": 3}],
    )
    assert len(list((tmp_path / "figures" / "x").iterdir())) == 5


def test_a_network_without_convolutions_has_no_feature_maps(tmp_path, photo):
    draw(tmp_path, {"photo": photo}, layers=["flatten", {"dense": 3}, "softmax"])
    assert len(list((tmp_path / "figures" / "photo").iterdir())) == 3


def test_many_and_long_labels(tmp_path, photo):
    labels = [f"{number} {legible(text)[:90]}" for number, text in enumerate(list(HOSTILE.values()) * 5)]
    draw(tmp_path, {"photo": photo}, labels=labels, layers=["flatten", {"dense": len(labels)}])
    height = pixels(tmp_path / "figures" / "photo" / "model_output.png").shape[0]
    assert height < 40 * 15  # of 45 labels the 30 most probable are drawn


def test_what_is_missing_is_said(tmp_path, photo):
    files = draw(tmp_path, {"photo": photo, "other": photo}, drawn=["photo"])
    arguments = {key: files[key] for key in ("tensors", "predictions", "spec")} | {"folder": str(tmp_path)}
    with pytest.raises(StudyError, match="'absent' is not there"):
        figures.main(images=["absent"], **arguments)
    with pytest.raises(StudyError, match="layer_images: the image 'other'"):
        figures.main(images=["other"], **arguments)
    with pytest.raises(StudyError, match="figures.colormap is 'rainbows'"):
        figures.main(images=["photo"], style={"colormap": "rainbows"}, **arguments)


def test_dead_channels():
    maps = np.zeros((4, 5, 5), np.float32)
    maps[1] = 0.7
    maps[2, 3, 3] = 1e-6
    maps[3] = np.random.default_rng(0).random((5, 5))
    assert figures.dead_channels(maps).tolist() == [True, True, False, False]
    assert figures.dead_channels(np.float32([[[0]], [[3]]])).tolist() == [
        True,
        False,
    ]  # one pixel is no constant


def test_the_scale_starts_at_zero_or_is_symmetric_and_forgives_outliers():
    maps = np.random.default_rng(0).random((8, 20, 20)).astype(np.float32)
    norm, extend = figures.shared_scale(maps)
    assert (norm.vmin, norm.vmax, extend) == (0, maps.max(), "neither")
    maps[0, 0, 0] = 50
    norm, extend = figures.shared_scale(maps)
    assert norm.vmax < 1.01 and extend == "max"
    norm, extend = figures.shared_scale(maps - 0.5)
    assert norm.vmin == -norm.vmax and extend == "both"
    assert figures.shared_scale(np.zeros((2, 3, 3)))[0].vmax == 1


def test_resampling_repeats_and_averages():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(figures.resampled(values, 6, 8), values.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(figures.resampled(values, 3, 2), values.reshape(3, 2, 2).mean(axis=2))
    assert np.allclose(figures.resampled(values, 1, 1), values.mean())


def test_the_mosaic_shows_each_map_in_its_tile():
    maps = np.stack([np.full((6, 6), value, np.float32) for value in (0.0, 0.5, 1.0)])
    grid = figures.Grid.of(3, 1.0)
    style = Style(colormap="gray")
    canvas = figures.paint(
        maps,
        np.array([False, False, True]),
        grid,
        50,
        style.colours,
        matplotlib.colors.Normalize(0, 1),
    )
    centres = []
    for tile in range(3):
        left, top = grid.corner(tile)
        row, column = round((top + grid.tile_height / 2) * 50), round((left + grid.tile_width / 2) * 50)
        centres.append(tuple(canvas[row, column, :3]))
    assert centres == [(0, 0, 0), (128, 128, 128), tuple(bytes.fromhex(FAINT[1:]))]


# Text ----------------------------------------------------------------------------------


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
    assert shorten("short", 3.0, 9) == "short"
    assert shorten("", 3.0, 9) == ""


def test_a_dollar_is_a_dollar():
    """Two texts that differ only in what mathtext would hide look different."""
    sheets = []
    for text in ("$x$", "$x$ "), ("x", "x"):
        sheet = Sheet(2, 1)
        sheet.text(0.1, 0.5, text[0])
        sheet.figure.canvas.draw()
        sheets.append(np.asarray(sheet.figure.canvas.buffer_rgba()).copy())
    dark = [(sheet[..., 0] < 128).sum() for sheet in sheets]
    assert dark[0] > 2 * dark[1]


# Gallery -------------------------------------------------------------------------------


def hang(tmp_path, photo, counts: dict[str, int], captions=None):
    rows = [
        {
            "name": name,
            "images": [str(photo)] * count,
            "captions": [(captions or HOSTILE).get(name, f"{name} {k}") for k in range(count)],
            "count": count,
        }
        for name, count in counts.items()
    ]
    output = tmp_path / "gallery.png"
    gallery.main(
        rows=rows,
        total=len(rows),
        output=str(output),
        style={"dpi": 40},
    )
    return pixels(output)


def test_the_gallery_takes_every_text_and_every_count(tmp_path, photo):
    hang(tmp_path, photo, dict.fromkeys(HOSTILE, 3))
    hang(tmp_path, photo, {"plain": 1})
    hang(tmp_path, photo, {"plain": 3, "money": 30, "your own images": 70})


def test_the_gallery_is_the_same_bytes_each_time(tmp_path, photo):
    hang(tmp_path, photo, {"plain": 3, "emoji": 2})
    first = (tmp_path / "gallery.png").read_bytes()
    hang(tmp_path, photo, {"plain": 3, "emoji": 2})
    assert (tmp_path / "gallery.png").read_bytes() == first


def test_a_picture_that_cannot_be_read_leaves_a_gap(tmp_path, photo):
    hang(tmp_path, tmp_path / "absent.png", {"plain": 2})
    assert has_colour(tmp_path / "gallery.png", tuple(bytes.fromhex(FAINT[1:])))


def test_the_gallery_says_what_it_leaves_out():
    groups = [gallery.Group(f"p{number}", ["x.png"], ["text"], 1) for number in range(24)]
    assert gallery.summary(groups, total=30) == "24 of 30 prompts shown"
    assert gallery.summary(groups[:3], total=3) == "3 images of 3 prompts"
    own = gallery.Group("own", ["a.png", "b.png"], ["a", "b"], 2)
    assert gallery.summary([*groups[:1], own], total=2) == "3 images"


# Confusion -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A vibrant FOREST at dusk", "forest"),
        ("two cities and a forest", "city"),
        ("beaches", "beach"),
        ("a rainforest and a cityscape", confusion.NONE_NAMED),
        ("a night sky over the city", "night sky"),
        ("night-skies", "night sky"),
        ("forest, city", "forest"),
        ("", confusion.NONE_NAMED),
        ("it costs c++ (really) $5", "c++ (really)"),
    ],
)
def test_the_label_that_a_prompt_names(text, label):
    labels = ["city", "forest", "beach", "night", "night sky", "c++ (really)"]
    assert confusion.named_label(text, labels) == label


def test_the_confusion_counts_what_was_asked_against_what_was_predicted(tmp_path):
    rows = [
        ("a_1", "forest"),
        ("a_2", "city"),
        ("b_1", "city"),
        ("c_1", LABELS[2]),
        ("own", "forest"),
        ("own_2", "city"),
    ]
    lines = [["image", "prompt", "predicted", "confidence", *LABELS]]
    prompts = {image: image.rpartition("_")[0] if "own" not in image else "" for image, _ in rows}
    lines += [[image, prompts[image], predicted, "1", "0", "0", "1"] for image, predicted in rows]
    table = tmp_path / "torch.tsv"
    table.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")

    def run():
        confusion.main(
            predictions=str(table),
            asked={"a": "a forest", "b": "the city", "c": "nothing of these"},
            labels=LABELS,
            classifier="small",
            table=str(tmp_path / "confusion.tsv"),
            figure=str(tmp_path / "confusion.png"),
            style={"dpi": 40},
        )
        lines = (tmp_path / "confusion.tsv").read_text(encoding="utf-8").splitlines()
        return [line.split("\t") for line in lines]

    assert run() == [
        ["asked", *LABELS],
        ["forest", "1", "1", "0"],
        ["city", "0", "1", "0"],
        ["(none named)", "0", "0", "1"],
        ["(own images)", "1", "1", "0"],
    ]
    own = [[cells[0], "", *cells[2:]] for cells in lines[1:]]
    table.write_text("".join("\t".join(line) + "\n" for line in [lines[0], *own]), encoding="utf-8")
    assert run() == [["asked", *LABELS], ["(own images)", "2", "3", "1"]]
    table.write_text("\t".join(lines[0]) + "\n", encoding="utf-8")
    with pytest.raises(StudyError, match="no rows"):
        run()


def test_a_confusion_of_a_thousand_labels_draws_those_that_matter(tmp_path):
    labels = [f"label {number}" for number in range(1000)]
    lines = [["image", "prompt", "predicted", "confidence", *labels]]
    lines += [
        [f"a{number}_1", f"a{number}", labels[500 + number % 7], "1", *["0"] * 1000] for number in range(50)
    ]
    table = tmp_path / "torch.tsv"
    table.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    confusion.main(
        predictions=str(table),
        asked={f"a{number}": f"a label {number % 3} here" for number in range(50)},
        labels=labels,
        classifier="wide",
        table=str(tmp_path / "confusion.tsv"),
        figure=str(tmp_path / "confusion.png"),
        style={"dpi": 40},
    )
    assert pixels(tmp_path / "confusion.png").shape[1] < 40 * 20
