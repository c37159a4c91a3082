"""A finished study as frames and arrays, in Python and in Julia, beside the files themselves."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from support.workflow import PROMPTS, TEMPLATE, VARIANTS, WORKFLOW

import promptflux
from promptflux.errors import StudyError
from promptflux.files.checksums import read_checksums, write_checksums
from promptflux.files.predictions import open_predictions
from promptflux.files.tensors import open_tensors
from promptflux.files.whole import sha256_of_file
from promptflux.generation.prompts import image_seed

PHOTOGRAPH = (298, 447)  # height and width
IMAGES = [*(f"{name}_{k}" for name in PROMPTS for k in (1, 2)), "coffee"]


@pytest.fixture
def opened(finished):
    with promptflux.open_study(finished / "results") as study:
        yield study


@pytest.fixture
def results(finished, tmp_path) -> Path:
    """A copy of the results, to be damaged."""
    return Path(shutil.copytree(finished / "results", tmp_path / "results"))


def sentence(folder) -> str:
    """What opening a folder ends with, one sentence."""
    with pytest.raises(StudyError) as error:
        promptflux.open_study(folder)
    [text] = error.value.args
    assert "\n" not in text and text.endswith(".")
    return text


def test_a_notebook_imports_little_until_it_asks():
    code = "import promptflux, sys; print(*sys.modules); assert 'open_study' in dir(promptflux)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(WORKFLOW / "scripts")},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and not {"numpy", "h5py", "pandas", "PIL"} & set(run.stdout.split()), (
        run.stderr
    )
    with pytest.raises(AttributeError):
        _ = promptflux.close_study


def test_frames_are_what_was_asked_and_made(finished, opened):
    prompts, images, predictions = opened.prompts, opened.images, opened.predictions
    assert list(prompts.index) == list(PROMPTS) and list(prompts["prompt"]) == list(PROMPTS.values())
    assert list(images.index) == IMAGES
    assert (
        list(images["prompt"])[:8] == [name for name in PROMPTS for _ in (1, 2)]
        and images["prompt"].isna()["coffee"]
    )
    assert images.loc["sea_2", ["text", "number", "image_seed", "steps"]].tolist() == [
        "the sea",
        2,
        image_seed(0, "sea", 2),
        2,
    ]
    assert images.loc["coffee", ["height", "width", "mode", "problem"]].tolist() == [*PHOTOGRAPH, "RGB", ""]
    sums = read_checksums(finished / "results/manifest.sha256")
    assert images.loc["sea_2", "sha256"] == sums["images/sea_2.png"]
    table = pd.read_csv(finished / "results/predictions/small/torch.tsv", sep="\t", keep_default_na=False)
    assert list(predictions["image"]) == list(table["image"]) and set(predictions["engine"]) == {"torch"}
    assert list(predictions["predicted"]) == list(table["predicted"])
    assert np.allclose(predictions["confidence"], table["confidence"])
    asked = predictions.set_index("image")["asked"]
    assert asked["forest_1"] == "forest" and asked[["rain_2", "coffee"]].isna().all()
    right = predictions["right"].fillna(False)
    assert (
        list(right) == list(predictions["predicted"].astype(str) == predictions["asked"])
        and right.notna().all()
    )
    predictions["confidence"] = 0  # a frame is the reader's own
    assert opened.predictions["confidence"].min() > 0


def test_metrics_are_those_of_the_table(finished, opened):
    table = pd.read_csv(
        finished / "results/metrics/small.tsv",
        sep="\t",
        keep_default_na=False,
        na_values={"low": "", "high": "", "level": ""},
    )
    metrics = opened.metrics
    assert len(metrics) == len(table) > 3 and set(metrics["classifier"]) == {"small"}
    for column in ("what", "label", "value", "low", "n"):
        assert metrics[column].astype(table[column].dtype).equals(table[column]), column


def test_arrays_are_those_of_the_files(finished, opened):
    tensors = opened.tensors["gray28"]
    assert (tensors.shape, tensors.dtype, tensors.names) == ((9, 1, 28, 28), np.float32, IMAGES)
    for batch in ("prompts", "images"):
        with open_tensors(finished / f"results/tensors/gray28/{batch}.h5") as file:
            for row, name in enumerate(file.names):
                assert np.array_equal(tensors[name], file.images[row])
    with open_predictions(finished / "results/predictions/small/torch/prompts.h5") as file:
        for row, name in enumerate(file.names):
            assert np.array_equal(opened.logits["small"]["torch"][name], file.logits[row])
            assert np.array_equal(opened.probabilities["small"]["torch"][name], file.probabilities[row])
        assert list(opened.layers["small"]["torch"]) == list(file.layers)
        conv = opened.layers["small"]["torch"]["conv1"]
        assert conv.names == ["forest_1", "city_1"]
        for row, name in enumerate(file.layer_images):
            assert np.array_equal(conv[name], file.layers["conv1"][row])
    assert dict(opened.samples["small"]["torch"]) == {}
    assert opened.labels == {"small": ["forest", "city", "sea"]}
    assert opened.ran("small", "torch")["engine"] == "torch"
    assert opened.picture("sea_1").size == (32, 32)


def test_an_array_is_indexed_as_numpy_does(opened):
    tensors = opened.tensors["gray28"]
    everything = np.asarray(tensors)
    assert everything.shape == tensors.shape and len(list(tensors)) == len(tensors) == 9
    names = ["coffee", "sea_1", "coffee"]  # of two files, and one twice
    assert np.array_equal(tensors[names], everything[[8, tensors.names.index("sea_1"), 8]])
    for key in (0, -1, slice(2, 8, 3), slice(None, None, -1), [3, 1], np.arange(9) % 2 == 0, []):
        assert np.array_equal(
            tensors[key], everything[key] if len(np.atleast_1d(key)) or key == 0 else everything[:0]
        ), key
    mask = opened.images["prompt"] == "sea"
    assert np.array_equal(tensors[mask.fillna(False).to_numpy(bool)], tensors[["sea_1", "sea_2"]])
    with pytest.raises(KeyError, match="there is no ocean_1"):
        tensors["ocean_1"]
    with pytest.raises(IndexError):
        tensors[9]
    with pytest.raises(IndexError, match="3 values for 9"):
        tensors[[True, False, True]]
    for key in ((0, 0), (slice(1, 3), 0, slice(4)), ([2, 4], ..., 5)):
        assert np.array_equal(tensors[key], everything[key]), key
    with pytest.raises(IndexError, match="chooses no images"):
        tensors[[[0]]]
    with pytest.raises(IndexError):
        tensors[0, 3]
    with pytest.raises(KeyError, match="no input 'rgb32'; there are gray28"):
        opened.tensors["rgb32"]
    with pytest.raises(StudyError, match="'coffee' is the user's own"):
        opened.picture("coffee")


def test_a_closed_study_says_so(finished):
    with promptflux.open_study(finished.folder) as study:  # the folder that has `results`
        tensors, kept = study.tensors["gray28"], study.tensors["gray28"][0]
    with pytest.raises(StudyError, match="the study is closed"):
        tensors[0]
    assert kept.shape == (1, 28, 28)
    with h5py.File(finished / "results/tensors/gray28/prompts.h5", "a"):
        pass  # nothing holds it


def test_variants_are_a_column(finished_grid):
    with promptflux.open_study(finished_grid / "results") as study:
        assert (
            set(study.images["variant"].dropna())
            == set(VARIANTS)
            == set(study.predictions["variant"].dropna())
        )
        assert study.images.loc["weak/sea_1", "guidance_scale"] == 1.5
        assert TEMPLATE in set(study.prompts["template"].dropna())
        assert study.tensors["gray28"]["weak/sea_1"].shape == (1, 28, 28)
        assert len(study.tensors["gray28"]) == len(study.images)


def test_a_folder_that_is_no_study(tmp_path):
    assert "is not there" in sentence(tmp_path / "nowhere")
    assert "no results of a study" in sentence(tmp_path)
    (tmp_path / "file").write_text("")
    assert "a file, and no folder" in sentence(tmp_path / "file")
    assert "cannot be read" in sentence(tmp_path / ("long" * 100))


@pytest.mark.parametrize(
    "name",
    ["study.json", "manifest.sha256", "batches.tsv", "images/sea_2.png", "predictions/small/torch.tsv",
     "predictions/small/torch/prompts.h5", "tensors/gray28/images.h5", "models/small.h5", "truth/small.tsv"],
)  # fmt: skip
def test_what_an_unfinished_study_lacks_is_named(results, name):
    (results / name).unlink()
    assert f"the study is not finished: {name} is missing" in sentence(results)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("study.json", b'{"config": 3', "damaged, or of another version"),
        ("study.json", b'{"config": {}, "prompts": []}', "damaged, or of another version"),
        ("study.json", b"\xff\xfe\x00", "study.json"),
        ("manifest.sha256", b"something\n", "64 hexadecimal digits"),
        ("manifest.sha256", b"", "not of one run"),
        ("batches.tsv", b"batch\timage\nprompts\n", "damaged"),
        ("predictions/small/torch.tsv", b"image\tprompt\n", "not what manifest.sha256 says"),
        ("models/small.h5", b"no HDF5", "models/small.h5"),
    ],
)
def test_damage_is_a_sentence(results, name, content, said):
    (results / name).write_bytes(content)
    assert said in sentence(results)


def test_a_damaged_table_that_the_manifest_has_is_a_sentence(results):
    table = results / "predictions/small/torch.tsv"
    table.write_text(table.read_text().replace("0.", "a lot", 1))
    sums = read_checksums(results / "manifest.sha256")
    write_checksums(
        results / "manifest.sha256", sums | {"predictions/small/torch.tsv": sha256_of_file(table)}
    )
    with (
        promptflux.open_study(results) as study,
        pytest.raises(StudyError, match="table of predictions is damaged"),
    ):
        _ = study.predictions


def test_damaged_arrays_are_a_sentence(results):
    path = results / "tensors/gray28/prompts.h5"
    path.write_bytes(path.read_bytes()[:3000])
    with promptflux.open_study(results) as study, pytest.raises(StudyError, match=r"prompts\.h5"):
        study.tensors["gray28"]
    with h5py.File(results / "predictions/small/torch/prompts.h5", "a") as file:
        del file["logits"]
    with promptflux.open_study(results) as study, pytest.raises(StudyError, match=r"prompts\.h5.*damaged"):
        study.logits["small"]["torch"]


def test_a_record_of_a_later_version_is_read(results):
    """A column of prompts that this version does not know is left out."""
    record = json.loads((results / "study.json").read_text())
    record["prompts"][0]["mood"] = "calm"
    (results / "study.json").write_text(json.dumps(record))
    with promptflux.open_study(results) as study:
        assert "mood" not in study.prompts


def test_a_manifest_of_a_stranger_leads_nowhere_else(results):
    with (results / "manifest.sha256").open("a") as file:
        file.write(f"{'0' * 64}  predictions/../../../etc/passwd.tsv\n{'0' * 64}  /etc/passwd\n")
    with promptflux.open_study(results) as study:
        assert list(study.tables) == ["small"]
