"""Real Snakemake runs of small studies, as a user would start them."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.workflow import MAP, WORKFLOW

from promptflux.files.tables import read_predictions
from promptflux.files.tensors import open_tensors


@pytest.fixture
def without_julia(monkeypatch):
    """An environment in which there is no Julia."""
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if not (Path(folder) / "julia").exists())
    monkeypatch.setenv("PATH", path)


def test_a_broken_image_stops_the_run_with_its_name_and_reason(new_study):
    photos = new_study / "photos"
    photos.mkdir()
    whole = (WORKFLOW / "examples/photos/coffee.jpg").read_bytes()
    (photos / "fine.jpg").write_bytes(whole)
    (photos / "cut.jpg").write_bytes(whole[:3000])
    (photos / "text.png").write_text("this is not a picture")
    new_study.change(prompts=None, images="photos")
    printed = new_study.run(expect=1)
    assert "'photos/cut.jpg' is damaged" in printed
    assert "'photos/text.png' is not a PNG, JPEG or WebP image" in printed
    assert "fine.jpg' is" not in printed
    assert not list((new_study / "results").glob("tensors/**/*.h5"))
    log = (new_study / "results/logs/preprocess/gray28/images.log").read_text(encoding="utf-8")
    assert log.count("error:") == 1 and "cut.jpg" in log and "text.png" in log


def test_own_images_alone_and_a_broken_one_replaced_by_a_test_pattern(new_study):
    photos = new_study / "photos"
    photos.mkdir()
    shutil.copy(WORKFLOW / "examples/photos/coffee.jpg", photos)
    (photos / "text.png").write_text("this is not a picture")
    new_study.change(
        prompts=None, images="photos", on_bad_image="test_pattern", figures={"images": "all"}, map=MAP
    )
    new_study.run()
    assert not (new_study / "results/images").exists()
    [head, placed] = (new_study / "results/map/small_map.tsv").read_text().splitlines()
    assert placed.startswith("coffee\t") and head.endswith("pca_1\tpca_2")
    assert sorted(path.name for path in (new_study / "results/map").iterdir()) == [
        "small_map.png",
        "small_map.tsv",
    ]
    with open_tensors(new_study / "results/tensors/gray28/images.h5") as batch:
        assert batch.names == ["coffee", "text"]
        assert batch.problems[0] == "" and "not a PNG" in batch.problems[1]
    rows = list(read_predictions(new_study / new_study.TABLE))
    assert [(row.image, row.prompt) for row in rows] == [("coffee", ""), ("text", "")]
    for image in batch.names:
        with Image.open(new_study / f"results/figures/small/{image}/model_output.png") as figure:
            figure.load()
            assert min(figure.size) > 100
    report = (new_study / "results/report.html").read_text(encoding="utf-8").lower()
    assert "test pattern" in report and "photos/text.png" in report


def test_hostile_prompts_and_file_names_are_only_text(new_study, without_julia):
    prompts = {
        "shell": '"it\'s" `x` $(touch owned) $5 ${HOME} {wildcards.batch} {x}',
        "html": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
        "emoji": "🌲 غابة שמש \u2028 e\u0301",
        "long": "tree " * 1000,
    }
    new_study.write_prompts(prompts)
    photos = new_study / "my photos"
    shutil.copytree(WORKFLOW / "examples/photos", photos)
    Image.open(photos / "cat.png").convert("CMYK").save(photos / "print $(touch owned).jpg")
    Image.open(photos / "cat.png").convert("RGBA").save(photos / "🌲 & 'quoted' \"twice\" $5.png")
    new_study.change(images=["my photos"], engines="auto", figures={"images": "all"})
    printed = new_study.run()
    assert "does not see" in printed  # of the long one
    assert printed.count("PyTorch alone") == 2  # at the start and at the end
    report = (new_study / "results/report.html").read_text(encoding="utf-8")
    assert "<script>document" not in report and "<img src=x" not in report
    assert "PyTorch alone" in report
    images = [row.image for row in read_predictions(new_study / new_study.TABLE)]
    own = {"cat", "coffee", "moon", "rocket", "print_touch_owned", "quoted_twice_5"}
    assert len(images) == len(set(images)) == 2 * len(prompts) + len(own)
    assert set(images) == {f"{name}_{k}" for name in prompts for k in (1, 2)} | own
    assert not list(new_study.folder.rglob("owned"))


def test_all_mistakes_are_named_before_any_job(new_study):
    new_study.change(classifiers=["cnn29"], colour="blue", on_bad_image="ignore")
    printed = new_study.run(expect=1)
    assert "'colour'" in printed and "on_bad_image" in printed
    assert not (new_study / "results").exists()


def test_a_study_in_pytorch_alone_starts_no_julia(new_study, tmp_path):
    """One that would be started leaves a file."""
    (tmp_path / "julia").write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    (tmp_path / "julia").chmod(0o755)
    new_study.environment["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert "infer_torch" in new_study.planned()
    assert not (tmp_path / "started").exists()
    new_study.change(engines="auto")
    new_study.run("--dry-run")
    assert (tmp_path / "started").exists()


def test_flux_without_julia_is_a_sentence_that_says_how_to_get_it(new_study, without_julia):
    new_study.change(engines=["flux"])
    printed = new_study.run(expect=1)
    assert "Julia was not found" in printed and "julialang.org" in printed
    assert not (new_study / "results").exists()
