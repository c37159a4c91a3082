"""What is stale is made again, however it became stale; in real Snakemake runs of one small study."""

import os
import shutil
import subprocess

import pytest
from support.workflow import PROMPTS, SPEC, WORKFLOW, Study, stages_of

from promptflux.files.checksums import read_checksums
from promptflux.files.whole import sha256_of_file

IMAGE = "results/images/sea_2.png"


def copy_of(study: Study, folder) -> Study:
    """The results, config and prompts of a finished study in another folder, without Snakemake's records."""
    folder.mkdir()
    for name in ("config.yaml", "prompts.tsv", "small.yaml"):
        shutil.copy(study / name, folder)
    for name in ("photos", "results"):
        shutil.copytree(study / name, folder / name)
    return Study(folder, study.workflow)


@pytest.fixture
def copied(finished, tmp_path) -> Study:
    return copy_of(finished, tmp_path / "copied")


@pytest.fixture(scope="session")
def copied_and_run(made_once, finished) -> Study:
    """A copy that has run, whose times are in any order."""
    return Study(made_once("copied_and_run", lambda folder: copy_of(finished, folder).run()))


def said(printed: str) -> str:
    """What a dry-run said has changed since the last run."""
    return printed.split("Since the last complete run:")[1] if "Since the last" in printed else ""


def test_a_copy_makes_again_what_an_edit_asks_for_and_nothing_else(copied):
    before = copied.images()
    copied.write_prompts(PROMPTS | {"city": "another city"})
    changed = said(copied.run("--dry-run"))
    assert "city is changed: its images are made again" in changed
    assert "edited" not in changed  # a copy has other times, and the same content
    copied.run()
    after = copied.images()
    assert {name for name in before if after[name][1] != before[name][1]} == {"city_1", "city_2"}
    assert all(after[name][0] == before[name][0] for name in ("forest_1", "sea_1", "rain_2"))
    assert copied.planned() == set()


@pytest.fixture
def copied_again(copied_and_run, tmp_path) -> Study:
    """A copy of that one."""
    ignored = shutil.ignore_patterns(".snakemake")
    return Study(shutil.copytree(copied_and_run.folder, tmp_path / "copied", ignore=ignored))


def test_a_copy_has_nothing_to_do(copied_again):
    assert copied_again.planned() == set()


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"generator": {"steps": 3}}, {"generate", "preprocess"}),
        ({"figures": {"colormap": "magma"}}, {"figures", "confusion", "gallery"}),
        ({"figures": {"images": 3}}, {"infer_torch", "figures"}),
        ({"on_bad_image": "test_pattern"}, {"preprocess", "infer_torch"}),
    ],
)
def test_a_copy_follows_every_setting(copied_again, change, stages):
    copied_again.change(**change)
    assert stages <= copied_again.planned()


def older(path, content: bytes) -> None:
    """Replace a file by an older one, as `mv`, `cp -p` and `unzip` do."""
    path.write_bytes(content)
    os.utime(path, (1e9, 1e9))


def test_an_input_replaced_by_an_older_file_counts(study):
    older(study / "small.yaml", SPEC.replace("forest, city", "wood, city").encode())
    planned = study.planned()
    assert "import_weights" in planned and "preprocess" not in planned
    older(study / "photos/coffee.jpg", (WORKFLOW / "examples/photos/cat.png").read_bytes())
    assert study.planned() >= {"import_weights", "preprocess"}
    study.run("results/models/small.h5", "results/tensors/gray28/images.h5")
    assert study.planned().isdisjoint({"import_weights", "preprocess"})


def test_an_input_with_a_new_time_alone_makes_nothing_again(study):
    os.utime(study / "small.yaml")
    assert study.planned() == set()


def test_a_file_of_the_model_that_is_replaced_by_an_older_one_counts(study, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    study.change(generator={"model": str(model)})
    study.run("results/checksums/prompts.sha256")
    assert "generate" not in study.planned()
    path = model / "scheduler/scheduler_config.json"
    older(path, path.read_bytes().replace(b'"solver_order": 2', b'"solver_order": 1'))
    assert "generate" in study.planned()


DAMAGE = {
    "tensors/gray28/prompts.h5": {"preprocess", "infer_torch"},
    "preprocessed/gray28/sea_1.png": {"preprocess"},
    "predictions/small/torch/prompts.h5": {"infer_torch", "predictions"},
    "predictions/small/torch.tsv": {"predictions", "record"},
    "models/small.h5": {"import_weights", "infer_torch"},
    "checksums/prompts.sha256": {"generate"},
    "manifest.sha256": {"record"},
    "figures/small/forest_1/model_output.png": {"figures"},
    "report.html": {"report"},
}


@pytest.mark.parametrize(("name", "how"), list(zip(DAMAGE, 3 * ["gone", "empty", "changed"], strict=True)))
def test_what_is_gone_or_damaged_is_named_and_planned(study, name, how):
    path = study / "results" / name
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if how == "empty" else content[:40] + b"\x00" + content[41:])
    printed = study.run("--dry-run")
    assert f"results/{name} is gone or damaged and is made again." in said(printed)
    assert stages_of(printed) >= DAMAGE[name]


def test_what_failed_fails_until_it_is_mended_and_then_all_that_was_damaged_is_as_it_was(study):
    before = {name: sha256_of_file(study / "results" / name) for name in DAMAGE if name != "report.html"}
    whole = (study / IMAGE).read_bytes()
    (study / IMAGE).write_bytes(whole[:700])
    for _ in range(3):
        printed = study.run("results/tensors/gray28/prompts.h5", expect=1)
        assert "'results/images/sea_2.png' is damaged" in printed
    (study / IMAGE).write_bytes(whole)
    for number, name in enumerate(before):
        path = study / "results" / name
        path.unlink() if number % 2 else path.write_bytes(b"")
    images = study.images()
    study.run()
    assert {name: sha256_of_file(study / "results" / name) for name in before} == before
    assert study.images() == images
    sums = read_checksums(study / "results/manifest.sha256")
    assert len(sums) == len(images) + 1
    assert study.planned() == set()
    check = ["sha256sum", "--check", "--quiet", "manifest.sha256"]
    assert subprocess.run(check, cwd=study / "results").returncode == 0


def test_a_manifest_does_not_vouch_for_what_was_damaged_meanwhile(study):
    """As by another program, while the run goes on: only `record` is started."""
    table = study / Study.TABLE
    table.write_bytes(table.read_bytes().replace(b"0.", b"1."))
    printed = study.run(
        "--allowed-rules", "record", "--forcerun", "record", "--", "results/manifest.sha256", expect=1
    )
    assert "results/predictions/small/torch.tsv is not what was made" in printed


def test_a_dry_run_that_is_taken_back_leaves_nothing_to_do(study):
    study.change(generator={"guidance_scale": 7.0})
    assert "generate" in study.planned()
    study.change(generator={"guidance_scale": 3.0})
    assert study.planned() == set()
