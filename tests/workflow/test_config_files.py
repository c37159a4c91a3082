"""What Snakemake says of a config, a target or a place that cannot be: sentences, before any job."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.workflow import WORKFLOW, Study

SAY = "The study cannot start.\n"


def refused(study: Study, *arguments: str) -> str:
    """The sentences of a dry-run that does not come to plan."""
    printed = study.run("--dry-run", *arguments, expect=1)
    assert SAY in printed and not (study / "results").exists()
    return printed.split(SAY)[1]


def test_a_config_that_is_no_config(new_study):
    """What Snakemake would run, pass over or wait for; tests/study/test_reading_config.py has all else."""
    config = new_study / "config.yaml"
    sound = config.read_bytes()
    for content, words in (
        (sound + b"verify: null\nverify: null\n", "the key 'verify' is given twice"),
        (b"__use_yte__: true\nx: ?open('owned', 'w')\n", "'__use_yte__'"),  # which Snakemake would run
        (b"a: &a [*a]\n", "*a stands inside of what it stands for"),
    ):
        config.write_bytes(content)
        assert words in refused(new_study)
    assert not (new_study / "owned").exists()
    config.unlink()
    config.symlink_to("nowhere")
    assert "a link to a file that is not there" in refused(new_study)
    config.unlink()
    os.mkfifo(config)
    assert "a pipe or a device" in refused(new_study)
    config.unlink()
    (new_study / "config.yml").write_bytes(sound)
    assert "config.yml: a config of this name is not read" in refused(new_study)
    assert "stepps" in refused(new_study, "--configfile", "config.yml", "--config", "generator={stepps: 3}")
    assert "generate" in new_study.planned("--configfile", "config.yml")


def test_what_is_read_beside_the_config_is_not_waited_for(new_study):
    (new_study / "prompts.tsv").unlink()
    (new_study / "small.yaml").unlink()
    os.mkfifo(new_study / "prompts.tsv")
    os.mkfifo(new_study / "small.yaml")
    sentences = refused(new_study)
    assert "prompts.tsv: the prompts table is a pipe" in sentences
    assert "small.yaml: the classifier spec is a pipe" in sentences


@pytest.mark.parametrize(
    "target",
    [
        "models/other.h5",
        "tensors/rgb99/prompts.h5",
        "figures/other/confusion.png",
        "predictions/small/torch/no.h5",
    ],
)
def test_a_target_that_the_study_does_not_have(new_study, target):
    printed = new_study.run("--dry-run", f"results/{target}", expect=1)
    assert f"No rule to produce results/{target}" in printed and "KeyError" not in printed


def test_paths_that_snakemake_would_change(new_study):
    folder = new_study / "{a}"
    folder.mkdir()
    shutil.copy(new_study / "small.yaml", folder)
    shutil.copy(new_study / "prompts.tsv", new_study / "<b>.tsv")
    new_study.change(prompts="<b>.tsv", classifiers=["{a}/small.yaml"])
    sentences = refused(new_study)
    assert (
        "{a}/small.yaml: Snakemake takes '{a}'" in sentences and "<b>.tsv: Snakemake takes '<b>'" in sentences
    )
    spec = (new_study / "small.yaml").read_text()
    (new_study / "w{c}.pt").touch()
    (new_study / "small.yaml").write_text(spec.replace("{seed: 1}", "{checkpoint: 'w{c}.pt'}"))
    new_study.change(prompts="prompts.tsv", classifiers=["small.yaml"])
    assert "w{c}.pt: Snakemake takes '{c}'" in refused(new_study)


@pytest.mark.parametrize("name", ["a{b}", "a{b"])
def test_a_clone_that_lies_where_snakemake_would_change_its_path(new_study, tmp_path, name):
    clone = tmp_path / name
    for part in (
        "Snakefile",
        "config.yaml",
        "prompts.tsv",
        "rules",
        "scripts",
        "schemas",
        "models",
        "julia",
        "envs",
    ):
        origin, place = WORKFLOW / part, clone / part
        shutil.copytree(origin, place) if origin.is_dir() else place.parent.mkdir(exist_ok=True)
        if origin.is_file():
            shutil.copy(origin, place)
    assert f"{clone}: Snakemake takes" in refused(Study(new_study.folder, clone))


def test_a_damaged_record_of_the_last_run_stops_nothing(study):
    (study / "results/study.json").write_bytes(b'{"config": 3')
    printed = study.run("--dry-run")
    assert "the record of the last run is damaged, or of another version" in printed


def test_configs_are_laid_over_each_other(new_study, tmp_path):
    """Snakemake's own order: config.yaml, --configfile, --config; or the latter two alone."""
    (new_study / "more.yaml").write_text("generator: {steps: 3, seed: 4}\n")
    more = ["--configfile", "more.yaml", "--config", "generator={seed: 5}", "nonsense=1"]
    assert "'nonsense' is unknown" in refused(new_study, *more)
    new_study.change(verify="nowhere")
    assert "verify is 'nowhere'" in refused(new_study, "--configfile", "more.yaml")
    replaced = subprocess.run(
        [
            sys.executable, "-m", "snakemake", "--dry-run", "--nocolor", "--snakefile", str(WORKFLOW / "Snakefile"),
            "--replace-workflow-config", "--configfile", "more.yaml", "--config", "engines=[torch]",
        ],
        cwd=new_study.folder, capture_output=True, text=True,
    )  # fmt: skip
    assert replaced.returncode == 0, replaced.stderr
    assert "infer_torch" in replaced.stdout and Path(new_study / "config.yaml").is_file()
