"""A study held beside others, by real runs."""

import shutil
from pathlib import Path

import pytest
from support.workflow import WORKFLOW, Study

from promptflux.errors import StudyError
from promptflux.files.tables import read_table
from promptflux.study.study import load_study


def rows(path) -> list[dict[str, str]]:
    header, *cells = read_table(path)
    return [dict(zip(header, row, strict=True)) for row in cells]


def test_a_study_beside_two_others(study, finished, finished_grid):
    """A copy of itself, and one whose variants share a prompt with it."""
    shutil.copytree(finished / "results", study / "elsewhere/old results")
    study.change(compare=["elsewhere/old results", str(finished_grid.folder)], figures={"dpi": 60})
    printed = study.run()
    assert "old_results: what was asked and used differs in 1 place; of 8 images" in printed
    same, grid = study / "results/comparison/old_results", study / "results/comparison/finished_grid"
    assert {row["what"] for row in rows(same / "differences.tsv")} == {"figures.dpi"}
    assert {row["verdict"] for row in rows(same / "images.tsv")} == {"same bytes"} and rows(
        same / "labels.tsv"
    ) == []
    said = {row["what"]: (row["here"], row["there"]) for row in rows(grid / "differences.tsv")}
    assert said["variant weak"] == ("", "guidance_scale 1.5") and said["prompt city"] == (
        "a city at night",
        "",
    )
    assert said["generator.images_per_prompt"] == ("2", "1")
    pairs = {row["image_there"]: row for row in rows(grid / "images.tsv")}
    assert pairs["weak/sea_1"]["image"] == pairs["long/sea_1"]["image"] == "sea_1"
    assert pairs["weak/sea_1"]["verdict"] == "differs" and float(pairs["weak/sea_1"]["mean_difference"]) > 0
    assert pairs["weak/forest-red_1"]["verdict"] == "only there"
    metrics = [row for row in rows(grid / "metrics.tsv") if row["metric"] == "right, here less there"]
    assert [row["n"] for row in metrics] == ["2"] and metrics[0]["low"] < metrics[0]["high"]
    page = (study / "results/report.html").read_text()
    assert 'id="comparison-old_results"' in page and "variant weak is there alone: guidance_scale 1.5" in page
    assert study.planned() == set()
    # The other study is made again: so is the comparison.
    table = study / "elsewhere/old results/manifest.sha256"
    table.write_text(table.read_text() + f"{'0' * 64}  another\n")
    assert study.planned() == {"compare", "report"}


def problems(wanted) -> list[str]:
    with pytest.raises(StudyError) as error:
        load_study({"compare": wanted, "generator": {"steps": "many"}}, [Path("."), WORKFLOW])
    found = [text for text in error.value.args if "compare" in text]
    assert len(found) < len(error.value.args)  # all mistakes at once
    return found


def test_another_study_that_cannot_be_compared_is_said_before_anything_runs(
    study: Study, finished, monkeypatch
):
    monkeypatch.chdir(study.folder)
    for name in ("unfinished", "broken", "empty"):
        shutil.copytree(finished / "results", study / name)
    (study / "unfinished/metrics/small.tsv").unlink()
    (study / "broken/study.json").write_text("{")
    shutil.rmtree(study / "empty")
    (study / "empty").mkdir()
    found = problems(["gone", "unfinished", "broken", "empty", "results", "."])
    assert [text.split(" names ")[1].split("'")[1] for text in found] == [
        "gone",
        "unfinished",
        "broken",
        "empty",
        "results",
        ".",
    ]
    for text, said in zip(
        found,
        [
            "there is no such folder",
            "the study is not finished: metrics/small.tsv is missing",
            "the record of the study is damaged",
            "there are no results of a study",
            "the results of this study itself",
            "the results of this study itself",
        ],
        strict=True,
    ):
        assert said in text and text.endswith(".")
    assert "a results folder, a list of these, or null" in problems(7)[0]
    (study / "config.yaml").write_text("compare: gone\n")
    printed = study.run("--dry-run", expect=1)
    assert "The study cannot start." in printed and "compare names 'gone'" in printed


def test_studies_have_names_of_their_own(study: Study, finished, monkeypatch):
    """Of folders that are called alike, or have names that are no names of folders here."""
    monkeypatch.chdir(study.folder)
    for name in ("a/my study", "b/my study", "c/results"):
        shutil.copytree(finished / "results", study / name / "results")
    found = load_study(
        {"compare": ["a/my study", "b/my study/results", "c/results"]}, [Path("."), WORKFLOW]
    ).compared
    assert {name: str(it.folder) for name, it in found.items()} == {
        "my_study": "a/my study/results", "my_study_2": "b/my study/results", "other": "c/results/results"
    }  # fmt: skip
