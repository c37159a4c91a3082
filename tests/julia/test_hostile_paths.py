"""Paths that are code in Julia, in the places where a user can put one."""

import shutil

import pytest
from support.workflow import SHARED, SPEC, WORKFLOW, Study

CODE = "a$(touch(string(:PWNED)))b"


def photographs(folder, workflow=WORKFLOW, spec="small.yaml", images="photos") -> Study:
    """A study of one photograph in `folder`, for every engine that is found."""
    (folder / spec).parent.mkdir(parents=True, exist_ok=True)
    (folder / spec).write_text(SPEC)
    (folder / images).mkdir(parents=True)
    shutil.copy(WORKFLOW / "examples/photos/coffee.jpg", folder / images)
    study = Study(folder, workflow)
    (folder / "config.yaml").write_text("prompts: null\n")
    study.change(images=images, classifiers=[spec])
    return study


def test_paths_of_a_study_are_text(julia, tmp_path):
    """A spec and images in folders whose names are code, in a folder whose name is code."""
    study = photographs(tmp_path / CODE, spec=f"{CODE}/small.yaml", images=f"{CODE} {CODE}")
    study.run("--", "results/parity/small/flux.tsv")
    assert "FAIL" not in (study / "results/parity/small/flux.tsv").read_text()
    assert not list(tmp_path.rglob("PWNED*"))


@pytest.mark.parametrize("name", [CODE, "a🌲b"])
def test_a_clone_with_such_a_name_runs_pytorch_alone_and_says_why(julia, tmp_path, name):
    clone = tmp_path / name
    clone.mkdir()
    for part in SHARED:
        source = WORKFLOW / part
        shutil.copytree(source, clone / part) if source.is_dir() else shutil.copy2(source, clone / part)
    study = photographs(tmp_path / "study", workflow=clone)
    printed = study.run("--", "results/predictions/small/torch.tsv")
    assert "PyTorch alone: the path" in printed and "which is no plain text in the code" in printed
    study.change(engines=["flux"])
    assert "engines asks for flux, but the path" in study.run("--dry-run", expect=1)
    assert not list(tmp_path.rglob("PWNED*"))
