"""Real Snakemake runs of small studies, as a user would start them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import WORKFLOW
from PIL import Image

from promptflux.files import sha256_of_file

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


def write_prompts(folder: Path, prompts: dict[str, str]) -> None:
    rows = "".join(f"{name}\t{prompt}\n" for name, prompt in prompts.items())
    (folder / "prompts.tsv").write_text("name\tprompt\n" + rows, encoding="utf-8")


def change(folder: Path, **changes) -> None:
    """Overlay the folder's config.yaml."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text()) if path.exists() else {}
    path.write_text(yaml.safe_dump(config | changes, allow_unicode=True))


def results(folder: Path) -> dict[str, str]:
    """The files of a study that its inputs decide, with the digests of their bytes."""
    files = (path for path in (folder / "results").rglob("*") if path.is_file())
    names = {str(path.relative_to(folder / "results")): path for path in files}
    return {
        name: sha256_of_file(path)
        for name, path in names.items()
        if not name.startswith(("logs/", "benchmarks/"))
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name, digest in after.items() if before.get(name) != digest}


def kept_and_made(folder: Path) -> tuple[int, int]:
    """How many images the last generate job kept, and how many it made."""
    log = (folder / "results/logs/generate/prompts.log").read_text(encoding="utf-8")
    kept, made = re.search(r"(\d+) of \d+ images are there and kept, (\d+) to make", log).groups()
    return int(kept), int(made)


def jobs_of(run: subprocess.CompletedProcess) -> set[str]:
    """The rules of the job table that Snakemake prints."""
    table = run.stderr.split("Job stats:")[1].split("\ntotal")[0]
    return set(re.findall(r"^(\w+) +\d+$", table, flags=re.MULTILINE)) - {"all"}


def test_a_study_makes_everything_and_then_nothing(study, snakemake):
    snakemake()
    made = results(study)
    expected = {
        *(f"images/{name}_{k}.png" for name in PROMPTS for k in (1, 2)),
        *(f"preprocessed/gray28/{name}_{k}.png" for name in PROMPTS for k in (1, 2)),
        "tensors/gray28/prompts.h5",
        "models/small.h5",
        "models/small_architecture_torch.txt",
        "predictions/small/torch/prompts.h5",
        "predictions/small/torch.tsv",
        "checksums/prompts.sha256",
        "manifest.sha256",
        "study.json",
        "figures/gallery.png",
        "figures/where_the_time_went.png",
        "figures/small/confusion.png",
        "figures/small/confusion.tsv",
        *(
            f"figures/small/{image}/{figure}.png"
            for image in ("forest_1", "city_1")
            for figure in (
                "loaded_image_verification",
                "input_image_visualizations",
                "conv_layer_1_feature_maps",
                "model_output",
            )
        ),
        "report.html",
    }
    assert set(made) == expected
    again = snakemake()
    assert "Nothing to be done" in again.stderr
    assert results(study) == made
    assert not [path for path in study.rglob("*.partial*")]


def test_own_images_of_every_kind_go_beside_prompts(study, snakemake):
    photos = study / "my photos"
    shutil.copytree(WORKFLOW / "examples/photos", photos)
    Image.open(photos / "cat.png").convert("CMYK").save(photos / "print $(touch owned).jpg")
    Image.open(photos / "cat.png").convert("RGBA").save(photos / "🌲 & 'quoted' \"twice\" $5.png")
    change(study, images=["my photos"], figures={"images": "all"})
    snakemake()
    table = (study / "results/predictions/small/torch.tsv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 6 + 6
    assert {"cat", "coffee", "moon", "rocket"} <= {line.split("\t")[0] for line in table}
    assert not list(study.rglob("owned"))


def test_own_images_alone_need_no_generator(study, snakemake):
    change(study, prompts=None, images=str(WORKFLOW / "examples/photos/*.jpg"), figures={"images": 1})
    snakemake()
    assert not (study / "results/images").exists()
    assert (study / "results/figures/small/coffee/model_output.png").exists()


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


def test_a_broken_image_can_be_replaced_by_a_test_pattern(study, snakemake):
    (study / "photos").mkdir()
    (study / "photos/text.png").write_text("this is not a picture")
    change(study, prompts=None, images="photos", on_bad_image="test_pattern", figures={"images": "all"})
    snakemake()
    assert "test pattern" in (study / "results/report.html").read_text(encoding="utf-8").lower()


def test_hostile_prompts_are_only_text(study, snakemake):
    prompts = {
        "shell": '"it\'s" `x` $(touch owned) $5 ${HOME} {wildcards.batch} {x}',
        "html": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
        "emoji": "🌲 غابة שמש \u2028 e\u0301",
        "long": "tree " * 1000,
    }
    write_prompts(study, prompts)
    run = snakemake()
    assert "does not see" in run.stderr  # of the long one
    report = (study / "results/report.html").read_text(encoding="utf-8")
    assert "<script>document" not in report and "<img src=x" not in report
    assert not list(study.rglob("owned"))


def test_all_mistakes_are_named_before_any_job(study, snakemake):
    change(study, classifiers=["cnn29"], colour="blue", on_bad_image="ignore")
    run = snakemake(expect=1)
    assert "'colour'" in run.stderr and "on_bad_image" in run.stderr
    assert not (study / "results").exists()


def test_flux_without_julia_is_a_sentence_that_says_how_to_get_it(study, snakemake):
    change(study, engines=["flux"])
    without = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "julia").exists()
    )
    run = snakemake(expect=1, env={**os.environ, "PATH": without})
    assert "Julia was not found" in run.stderr and "julialang.org" in run.stderr
    change(study, engines="auto")
    run = snakemake(env={**os.environ, "PATH": without})
    assert run.stderr.count("PyTorch alone") == 2  # at the start and at the end
    assert "PyTorch alone" in (study / "results/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "example", sorted(path.parent.name for path in WORKFLOW.glob("examples/*/config.yaml"))
)
def test_the_examples_run_at_a_small_size(example, tmp_path, snakemake):
    small = tmp_path / "small.yaml"
    small.write_text("generator: {steps: 1, images_per_prompt: 1, micro_batch: 2}\nfigures: {images: 1}\n")
    snakemake("--configfile", str(WORKFLOW / "examples" / example / "config.yaml"), str(small))
    assert (tmp_path / "results/report.html").exists()
    assert list((tmp_path / "results/figures").glob("*/*/model_output.png"))
