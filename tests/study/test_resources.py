"""What jobs ask of a scheduler grows with what they do."""

import dataclasses
from pathlib import Path

import pytest
from PIL import Image
from support.workflow import WORKFLOW

from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.why import Window
from promptflux.study.resources import (
    explain_needs,
    features_mb,
    figures_needs,
    generate_needs,
    infer_needs,
    map_needs,
    metrics_needs,
    model_needs,
    opening_mb,
    preprocess_needs,
)
from promptflux.study.study import Study, load_study


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a study of the default models from a table of so many prompts."""
    monkeypatch.chdir(tmp_path)

    def load(prompts: int = 3, **generator) -> Study:
        rows = "".join(f"prompt{i}\ta forest\n" for i in range(prompts))
        Path("prompts.tsv").write_text(f"name\tprompt\n{rows}")
        return load_study({"generator": {"prompts_per_job": 1000, **generator}}, [Path("."), WORKFLOW])

    return load


def test_time_and_disk_grow_with_the_images(load):
    few, many = load(3), load(900)
    for needs in (
        lambda study: generate_needs(study, "prompts", gpu=0),
        lambda study: preprocess_needs(study, "prompts"),
        lambda study: infer_needs(study, "cnn224", "prompts"),
    ):
        small, large = needs(few), needs(many)
        assert small["runtime"] < large["runtime"] and small["disk_mb"] < large["disk_mb"]
        assert small["mem_mb"] == large["mem_mb"]  # they work through their images a few at a time
    assert metrics_needs(few, 1)["runtime"] < metrics_needs(many, 1)["runtime"]
    assert metrics_needs(few, 1)["mem_mb"] < metrics_needs(many, 2)["mem_mb"]
    figures = [figures_needs(study, "cnn224", study.image_batches["prompts"]) for study in (few, many)]
    assert figures[0]["runtime"] < figures[1]["runtime"]


def test_to_say_why_takes_longer_the_more_places_are_covered(load):
    study = load()
    fine = dataclasses.replace(study, windows={"cnn224": Window((224, 224), (16, 16), (2, 2))})
    needs = [explain_needs(it, "cnn224", "prompts") for it in (study, fine)]
    assert needs[0]["runtime"] < needs[1]["runtime"] and needs[0]["mem_mb"] == needs[1]["mem_mb"]
    none = explain_needs(dataclasses.replace(study, explained=[]), "cnn224", "prompts")
    assert none["runtime"] <= needs[0]["runtime"]


def test_a_map_needs_memory_for_each_image_and_none_for_each_pair(load):
    few, many, more = (map_needs(load(count, images_per_prompt=10), "cnn224") for count in (3, 1000, 3000))
    assert few["mem_mb"] < many["mem_mb"] < more["mem_mb"] < 8000
    assert few["runtime"] < many["runtime"] < more["runtime"]
    with_one, with_many = (
        features_mb(load(3, images_per_prompt=count), "cnn224", "prompts") for count in (1, 9000)
    )
    assert with_one < with_many


def test_a_large_network_gets_room_for_its_weights(load, tmp_path):
    """VGG-16: 1,870 MB were measured, and its two model files have 553 MB each."""
    (tmp_path / "vgg.yaml").write_text("architecture: vgg16\nweights: {seed: 1}\n")
    study = load()
    vgg = dataclasses.replace(study, classifiers={"vgg": load_spec(tmp_path / "vgg.yaml")})
    needs = model_needs(vgg, "vgg")
    assert 2 * 1870 < needs["mem_mb"] < 3 * 1870 and needs["disk_mb"] > 2 * 553
    assert model_needs(study, "cnn28")["mem_mb"] < 2100


def test_memory_grows_with_the_model_and_the_images_at_once(load):
    study = load()
    hub = dataclasses.replace(study.generators[""], model="some/model", revision="main", is_folder=False)
    of_the_hub = dataclasses.replace(study, generators={"": hub})
    needs = generate_needs(study, "prompts", gpu=0)["mem_mb"]
    assert needs < generate_needs(load(micro_batch=64), "prompts", gpu=0)["mem_mb"]
    assert needs < generate_needs(of_the_hub, "prompts", gpu=0)["mem_mb"]


def test_stable_diffusion_takes_less_time_on_a_gpu(load):
    study = load(900)
    hub = dataclasses.replace(
        study.generators[""], model="some/model", revision="main", is_folder=False, width=512, height=512
    )
    study = dataclasses.replace(study, generators={"": hub})
    on_gpu, on_cpu = (generate_needs(study, "prompts", gpu)["runtime"] for gpu in (1, 0))
    assert on_gpu < on_cpu / 5


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_memory_grows_with_the_pixels_of_the_own_images(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    needs = {}
    for side in (10, 6000):
        Image.new("L" if suffix == "png" else "RGB", (side, side)).save(f"a.{suffix}")
        Path("b.jpg").write_bytes(b"\xff\xd8\xff garbled")
        study = load_study({"prompts": None, "images": [f"a.{suffix}", "b.jpg"]}, [Path("."), WORKFLOW])
        needs[side] = preprocess_needs(study, "images")["mem_mb"]
    assert 36 * 10 < needs[6000] - needs[10] < 36 * 20  # some 10 to 20 bytes a pixel, however small the file


def test_four_images_are_open_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        Image.new("1", (3000, 3000)).save(f"{number}.png")
    study = load_study({"prompts": None, "images": "*.png"}, [Path("."), WORKFLOW])
    one, four, all_ = (opening_mb(study, study.own_images, count) for count in (1, 4, 6))
    assert (four, all_) == (pytest.approx(4 * one, rel=0.01), pytest.approx(6 * one, rel=0.01))
    assert preprocess_needs(study, "images")["mem_mb"] > four
