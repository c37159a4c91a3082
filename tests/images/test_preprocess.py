"""Images to tensors: the HDF5 contract, its pictures, bad images, and any number of threads."""

import hashlib
from pathlib import Path

import h5py
import numpy as np
import preprocess
import pytest
from PIL import Image

from promptflux.errors import StudyError
from promptflux.files.tensors import open_tensors
from promptflux.images.inputs import InputSpec
from promptflux.images.preparation import mapped
from promptflux.paths import Results

RGB32 = InputSpec.from_config("rgb32")


def plain(value):
    """An attribute as `to_dict` has it."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def noise(path, size=(40, 30), **options):
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def sources(tmp_path):
    """Six images of different kinds; one has a name that is trouble elsewhere."""
    folder = tmp_path / "sources"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [
        noise(folder / "a.png"),
        noise(folder / "turned.jpg", exif=exif),
        noise(folder / 'it\'s "quoted" $(x) 🌆.webp', size=(31, 33)),
        noise(folder / "small.png", size=(3, 2)),
    ]
    for name, mode, color in (("rgba.png", "RGBA", (0, 0, 0, 0)), ("gray.png", "L", 100)):
        Image.new(mode, (50, 60), color).save(folder / name)
        paths.append(folder / name)
    return paths


def run(tmp_path, sources, spec=RGB32, on_bad_image="stop", threads=2, folder="out"):
    names = [f"image_{index}" for index in range(len(sources))]
    out = tmp_path / folder
    preprocess.preprocess(
        images=[str(path) for path in sources],
        names=names,
        spec=spec,
        on_bad_image=on_bad_image,
        tensors=str(out / "tensors.h5"),
        pictures=[str(out / f"{name}.png") for name in names],
        threads=threads,
    )
    return out


def test_the_file_holds_what_the_contract_says(tmp_path, sources):
    out = run(tmp_path, sources)
    with h5py.File(out / "tensors.h5") as file:
        assert file.attrs["format"] == "promptflux tensors 2"
        assert {key: plain(value) for key, value in file["input"].attrs.items()} == RGB32.to_dict()
        images = file["images"]
        assert (images.shape, images.dtype, images.chunks) == ((6, 3, 32, 32), np.dtype("<f4"), None)
        assert images.compression is None
        assert h5py.check_string_dtype(file["names"].dtype).encoding == "utf-8"
        assert file["names"].asstr()[0] == "image_0"
        assert file["source_sha256"].asstr()[0] == hashlib.sha256(sources[0].read_bytes()).hexdigest()
        assert file["source_size"].dtype == np.dtype("<i4")
        assert file["source_size"][:3].tolist() == [[30, 40], [40, 30], [33, 31]]
        assert list(file["source_mode"].asstr()) == ["RGB", "RGB", "RGB", "RGB", "RGBA", "L"]
        assert list(file["problems"].asstr()) == [""] * 6
        assert (images[4] == 1).all()  # transparent black is white
        assert np.allclose(images[5], 100 / 255)


@pytest.mark.parametrize("name", ["gray28", "rgb32"])
def test_the_pictures_are_the_tensors_before_the_division(tmp_path, sources, name):
    spec = InputSpec.from_config(name)
    out = run(tmp_path, sources, spec)
    with open_tensors(out / "tensors.h5") as batch:
        assert batch.input == spec
        for index, image in enumerate(batch.names):
            with Image.open(out / f"{image}.png") as picture:
                picture.load()
                assert picture.mode == {"gray": "L", "rgb": "RGB"}[spec.channels]
                pixels = np.asarray(picture).reshape(spec.height, spec.width, -1).transpose(2, 0, 1)
            assert np.array_equal(batch.images[index], pixels.astype(np.float32) / np.float32(255))


def test_a_normalised_tensor_leads_back_to_its_picture(tmp_path, sources):
    fields = {
        "name": "n",
        "size": [20, 30],
        "channels": "rgb",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.2, 0.3, 0.4],
    }
    spec = InputSpec.from_config(fields)
    out = run(tmp_path, sources, spec)
    with open_tensors(out / "tensors.h5") as batch:
        values = batch.images[0] * np.array(spec.std)[:, None, None] + np.array(spec.mean)[:, None, None]
    pixels = np.asarray(Image.open(out / "image_0.png")).transpose(2, 0, 1)
    assert np.abs(values * 255 - pixels).max() < 1e-3


def test_the_bytes_do_not_depend_on_the_threads(tmp_path, sources):
    many = sources * 5
    files = [
        run(tmp_path, many, threads=threads, folder=f"t{threads}") / "tensors.h5" for threads in (1, 2, 7)
    ]
    assert len({path.read_bytes() for path in files}) == 1


def test_generated_images_lie_in_the_results_of_the_tensors(tmp_path, sources):
    """The script itself: of generated images it gets the names alone, of the user's own the files, too."""
    results = Results(f"{tmp_path}/a study/")
    names = ["forest_1", "sea_2"]
    for name, source in zip(names, sources, strict=False):
        place = Path(results.image(name))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(source.read_bytes())
    for batch, own in (("prompts", []), ("images", [str(path) for path in sources[:2]])):
        preprocess.main(
            own=own,
            names=names,
            input_spec=RGB32.to_dict(),
            on_bad_image="stop",
            tensors=results.tensors("rgb32", batch),
            threads=1,
        )
    alike = [Path(results.tensors("rgb32", batch)).read_bytes() for batch in ("prompts", "images")]
    assert alike[0] == alike[1]
    with open_tensors(results.tensors("rgb32", "prompts")) as batch:
        assert batch.names == names
    assert [Image.open(results.preprocessed("rgb32", name)).size for name in names] == [(32, 32)] * 2


def test_an_empty_batch(tmp_path):
    with open_tensors(run(tmp_path, []) / "tensors.h5") as batch:
        assert batch.images.shape == (0, 3, 32, 32)
        assert batch.names == batch.problems == []


def broken(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("<html>404</html>")
    return [folder / "empty.png", folder / "text.jpg", folder / "missing.png"]


def test_bad_images_stop_the_run_and_all_are_named(tmp_path, sources):
    with pytest.raises(StudyError) as caught:
        run(tmp_path, [*sources, *broken(tmp_path)])
    assert len(caught.value.args) == 3
    for words in ("empty.png' is empty", "text.jpg' is not a PNG", "missing.png' cannot be read"):
        assert words in str(caught.value)
    assert not (tmp_path / "out/tensors.h5").exists()
    pictures = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert pictures == [f"image_{index}.png" for index in range(len(sources))]  # none of a broken image
    assert not list((tmp_path / "out").glob(".*partial*"))


@pytest.mark.parametrize("name", ["gray28", "rgb32"])
def test_a_test_pattern_takes_the_place_of_a_bad_image(tmp_path, sources, name, capsys):
    spec = InputSpec.from_config(name)
    out = run(tmp_path, [sources[0], *broken(tmp_path)], spec, on_bad_image="test_pattern")
    with open_tensors(out / "tensors.h5") as batch:
        assert batch.problems[0] == ""
        assert "is empty" in batch.problems[1]
        assert "begins with b'<html>40'" in batch.problems[2]
        assert batch.source_size.tolist() == [[30, 40], [0, 0], [0, 0], [0, 0]]
        assert batch.source_mode[1:] == ["", "", ""]
        assert np.array_equal(batch.images[1], batch.images[3])
        assert 0.3 < batch.images[1].std() < 0.6
    log = capsys.readouterr().err
    assert log.count("A test pattern takes its place.") == 3


def test_results_come_in_order_and_not_far_ahead():
    started = []

    def work(item):
        started.append(item)
        return item * item

    results = mapped(work, range(100), threads=3)
    assert next(results) == 0
    assert len(started) <= 7
    assert list(results) == [item * item for item in range(1, 100)]


def test_reading_something_else_is_a_sentence(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with (
        pytest.raises(StudyError, match="x.h5: the tensors file cannot be read"),
        open_tensors(tmp_path / "x.h5"),
    ):
        pass
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.attrs["format"] = "something 1"
    with pytest.raises(StudyError, match="not a tensors file"), open_tensors(tmp_path / "y.h5"):
        pass
