"""Real Snakemake runs of small studies, as a user would start them."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image
from support.workflow import WORKFLOW

SPEC = """\
description: a small untrained CNN
input: gray28
layers:
  - conv: {out: 4, kernel: 3, activation: relu}
  - maxpool: 2
  - flatten
  - dense: 3
  - softmax
labels: [forest, city, sea]
weights: {seed: 1}
"""
PROMPTS = {"forest": "a forest", "city": "a city at night", "sea": "the sea"}


@pytest.fixture
def study(tmp_path, tiny_model):
    """A small study of three prompts with two images each, in `tmp_path`."""
    (tmp_path / "small.yaml").write_text(SPEC)
    write_prompts(tmp_path, PROMPTS)
    change(
        tmp_path,
        prompts="prompts.tsv",
        generator={"model": str(tiny_model), "steps": 2, "images_per_prompt": 2, "micro_batch": 2},
        classifiers=["small.yaml"],
        engines=["torch"],
        figures={"images": 2},
    )
    return tmp_path


@pytest.fixture
def without_julia():
    """An environment in which there is no Julia."""
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if not (Path(folder) / "julia").exists())
    return {**os.environ, "PATH": path}


def write_prompts(folder: Path, prompts: dict[str, str]) -> None:
    rows = "".join(f"{name}\t{prompt}\n" for name, prompt in prompts.items())
    (folder / "prompts.tsv").write_text("name\tprompt\n" + rows, encoding="utf-8")


def change(folder: Path, **changes) -> None:
    """Overlay the folder's config.yaml."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text()) if path.exists() else {}
    path.write_text(yaml.safe_dump(config | changes, allow_unicode=True))


def test_a_broken_image_stops_the_run_with_its_name_and_reason(study, snakemake):
    (study / "photos").mkdir()
    whole = (WORKFLOW / "examples/photos/coffee.jpg").read_bytes()
    (study / "photos/fine.jpg").write_bytes(whole)
    (study / "photos/cut.jpg").write_bytes(whole[:3000])
    (study / "photos/text.png").write_text("this is not a picture")
    change(study, prompts=None, images="photos")
    run = snakemake(expect=1)
    assert "photos/cut.jpg" in run.stderr and "photos/text.png" in run.stderr
    assert "fine.jpg:" not in run.stderr


def test_own_images_alone_and_a_broken_one_replaced_by_a_test_pattern(study, snakemake):
    (study / "photos").mkdir()
    shutil.copy(WORKFLOW / "examples/photos/coffee.jpg", study / "photos")
    (study / "photos/text.png").write_text("this is not a picture")
    change(study, prompts=None, images="photos", on_bad_image="test_pattern", figures={"images": "all"})
    snakemake()
    assert not (study / "results/images").exists()
    assert (study / "results/figures/small/coffee/model_output.png").exists()
    assert "test pattern" in (study / "results/report.html").read_text(encoding="utf-8").lower()


def test_hostile_prompts_and_file_names_are_only_text(study, snakemake, without_julia):
    prompts = {
        "shell": '"it\'s" `x` $(touch owned) $5 ${HOME} {wildcards.batch} {x}',
        "html": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
        "emoji": "🌲 غابة שמש \u2028 e\u0301",
        "long": "tree " * 1000,
    }
    write_prompts(study, prompts)
    photos = study / "my photos"
    shutil.copytree(WORKFLOW / "examples/photos", photos)
    Image.open(photos / "cat.png").convert("CMYK").save(photos / "print $(touch owned).jpg")
    Image.open(photos / "cat.png").convert("RGBA").save(photos / "🌲 & 'quoted' \"twice\" $5.png")
    change(study, images=["my photos"], engines="auto", figures={"images": "all"})
    run = snakemake(env=without_julia)
    assert "does not see" in run.stderr  # of the long one
    assert run.stderr.count("PyTorch alone") == 2  # at the start and at the end
    report = (study / "results/report.html").read_text(encoding="utf-8")
    assert "<script>document" not in report and "<img src=x" not in report
    assert "PyTorch alone" in report
    table = (study / "results/predictions/small/torch.tsv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 2 * len(prompts) + 6
    assert {"cat", "coffee", "moon", "rocket"} <= {line.split("\t")[0] for line in table}
    assert not list(study.rglob("owned"))


def test_all_mistakes_are_named_before_any_job(study, snakemake):
    change(study, classifiers=["cnn29"], colour="blue", on_bad_image="ignore")
    run = snakemake(expect=1)
    assert "'colour'" in run.stderr and "on_bad_image" in run.stderr
    assert not (study / "results").exists()


def test_flux_without_julia_is_a_sentence_that_says_how_to_get_it(study, snakemake, without_julia):
    change(study, engines=["flux"])
    run = snakemake(expect=1, env=without_julia)
    assert "Julia was not found" in run.stderr and "julialang.org" in run.stderr
