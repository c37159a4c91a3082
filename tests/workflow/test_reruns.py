"""What a rerun makes again and what it leaves alone, in real Snakemake runs of one small study."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
import yaml
from PIL import Image
from support.workflow import WORKFLOW

from promptflux.files.checksums import read_checksums
from promptflux.files.whole import sha256_of_file

SPEC = """\
input: gray28
layers:
  - conv: {out: 4, kernel: 3, activation: relu}
  - flatten
  - dense: 3
  - softmax
labels: [forest, city, sea]
weights: {seed: 1}
"""
PROMPTS = {"forest": "a forest", "city": "a city at night", "sea": "the sea", "rain": "rain over hills"}
SHARED = ("Snakefile", "config.yaml", "rules", "schemas", "scripts", "envs", "profiles", "julia")
TABLE = "results/predictions/small/torch.tsv"


class Study:
    """A folder with a small study, and the workflow that runs it."""

    def __init__(self, folder: Path, workflow: Path):
        self.folder, self.workflow = folder, workflow

    def write_prompts(self, prompts: dict[str, str]) -> None:
        rows = "".join(f"{name}\t{prompt}\n" for name, prompt in prompts.items())
        (self.folder / "prompts.tsv").write_text("name\tprompt\n" + rows, encoding="utf-8")

    def change(self, **changes) -> None:
        """Overlay config.yaml; a mapping is merged into the one that is there."""
        path = self.folder / "config.yaml"
        config = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            config[key] = config[key] | value if isinstance(value, dict) else value
        path.write_text(yaml.safe_dump(config))

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", "--nocolor", "--snakefile", str(self.workflow / "Snakefile"),
            "--directory", str(self.folder), *arguments,
        ]  # fmt: skip

    def run(self, *arguments: str, cores: int = 2) -> str:
        """Run Snakemake to a good end; what it prints."""
        command = self.command("--cores", str(cores), *arguments)
        run = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert run.returncode == 0, run.stderr[-6000:]
        return run.stdout + run.stderr

    def planned(self) -> set[str]:
        """The stages that a dry-run would run, without the names of batches and classifiers."""
        output = self.run("--dry-run")
        if "Nothing to be done" in output:
            return set()
        table = output.split("Job stats:")[1].split("\ntotal")[0]
        rules = set(re.findall(r"^(\w+) +\d+$", table, flags=re.MULTILINE)) - {"all"}
        return {re.sub(r"^(generate|preprocess|figures)_\w+$|^infer_torch$", _stage, rule) for rule in rules}

    def images(self) -> dict[str, tuple[int, bytes]]:
        """The modification time and the bytes of each generated image."""
        paths = (self.folder / "results/images").glob("[!.]*.png")
        return {path.stem: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}

    def files(self) -> dict[str, int]:
        """The modification time of every file of the results but logs and benchmarks, by its name there."""
        results = self.folder / "results"
        found = {path.relative_to(results): path for path in results.rglob("*") if path.is_file()}
        return {
            str(name): path.stat().st_mtime_ns
            for name, path in found.items()
            if name.parts[0] not in ("logs", "benchmarks")
        }

    def contents(self) -> dict[str, bytes]:
        """What must not depend on how the study was run: images, tensors by image, the table."""
        results = self.folder / "results"
        found = {path.name: path.read_bytes() for path in (results / "images").glob("*.png")}
        found |= {f"pre {path.name}": path.read_bytes() for path in results.glob("preprocessed/*/*.png")}
        for path in results.glob("tensors/*/*.h5"):
            with h5py.File(path) as file:
                names = file["names"].asstr()[()]
                found |= {f"tensor {name}": file["images"][row].tobytes() for row, name in enumerate(names)}
        return found | {"table": (self.folder / TABLE).read_bytes()}


def _stage(match: re.Match) -> str:
    return match[1] or "infer"


def start(folder: Path, workflow: Path, model: Path) -> Study:
    """A study of PROMPTS, two images each, that has not run."""
    folder.mkdir(parents=True)
    study = Study(folder, workflow)
    (folder / "small.yaml").write_text(SPEC)
    study.write_prompts(PROMPTS)
    config = {
        "prompts": "prompts.tsv",
        "generator": {"model": str(model), "steps": 2, "images_per_prompt": 2, "micro_batch": 2},
        "classifiers": ["small.yaml"],
        "engines": ["torch"],
        "figures": {"images": 2, "dpi": 40},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return study


@pytest.fixture(scope="module")
def workflow(tmp_path_factory) -> Path:
    """A copy of the workflow, whose scripts a test may change."""
    folder = tmp_path_factory.mktemp("workflow")
    for name in SHARED:
        source = WORKFLOW / name
        if source.is_dir():  # without what other tests' processes compile there meanwhile
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, workflow, tiny_model) -> Study:
    """The study after a complete run; for reading only."""
    study = start(tmp_path_factory.mktemp("finished") / "study", workflow, tiny_model)
    study.run()
    return study


@pytest.fixture
def study(finished, tmp_path) -> Study:
    """A copy of the finished study."""
    shutil.copytree(finished.folder, tmp_path / "study")
    return Study(tmp_path / "study", finished.workflow)


# What a run makes ----------------------------------------------------------------------


def test_a_study_makes_everything_and_then_nothing(study):
    made = study.files()
    assert set(made) == {
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
    assert "Nothing to be done" in study.run()
    assert study.files() == made


# What runs again -----------------------------------------------------------------------

EDITS = {
    "nothing": lambda study: None,
    "a prompt's text": lambda study: study.write_prompts(PROMPTS | {"city": "another city"}),
    "a prompt's place": lambda study: study.write_prompts(
        {name: PROMPTS[name] for name in ("city", "forest", "rain", "sea")}
    ),
    "a prompt is new": lambda study: study.write_prompts({"new": "something new", **PROMPTS}),
    "a prompt is gone": lambda study: study.write_prompts(dict(list(PROMPTS.items())[:-1])),
    "`generator: guidance_scale`": lambda study: study.change(generator={"guidance_scale": 7.0}),
    "`generator: prompts_per_job`": lambda study: study.change(generator={"prompts_per_job": 3}),
    "a classifier's weights": lambda study: (study.folder / "small.yaml").write_text(
        SPEC.replace("seed: 1", "seed: 2")
    ),
    "`figures: colormap`": lambda study: study.change(figures={"colormap": "magma"}),
    "`figures: images`": lambda study: study.change(figures={"images": 3}),
    "the script of a stage (`preprocess.py`)": lambda study: os.utime(
        study.workflow / "scripts/preprocess.py"
    ),
    "the script of the figures (`gallery.py`)": lambda study: os.utime(study.workflow / "scripts/gallery.py"),
    "a package version": lambda study: (study.workflow / "envs/generate.yaml").write_text(
        (WORKFLOW / "envs/generate.yaml").read_text().replace("pytorch=", "pytorch=1")
    ),
    "an image is deleted": lambda study: (study.folder / "results/images/sea_2.png").unlink(),
    "an image is edited by hand": lambda study: Image.new("RGB", (32, 32), "red").save(
        study.folder / "results/images/sea_2.png"
    ),
}


def documented() -> dict[str, set[str]]:
    """The stages that the table of docs/reruns.md names for each edit."""
    lines = (WORKFLOW / "docs/reruns.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {edit: set(rules.split(", ")) - {"nothing"} for edit, rules, _ in rows[2:]}


def test_every_edit_of_the_table_is_tried():
    assert list(EDITS) == list(documented())


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_runs_what_the_table_says(edit, study):
    files = [path for path in study.workflow.rglob("*") if path.is_file()]
    times = {path: path.stat().st_mtime_ns for path in files}
    env = (study.workflow / "envs/generate.yaml").read_text()
    try:
        EDITS[edit](study)
        assert study.planned() == documented()[edit]
    finally:
        (study.workflow / "envs/generate.yaml").write_text(env)
        for path, mtime in times.items():
            os.utime(path, ns=(mtime, mtime))


def test_a_dry_run_says_what_has_changed_in_words(study):
    study.change(generator={"guidance_scale": 7.0}, figures={"colormap": "magma"})
    study.write_prompts({"new": "n", "sea": "the sea", "forest": "a forest", "city": "$(touch owned) {x}"})
    (study.folder / "results/images/sea_2.png").unlink()
    said = study.run("--dry-run").split("Since the last complete run:\n")[1].splitlines()[:7]
    assert [line.strip() for line in said] == [
        "generator.guidance_scale was 3.0 and is 7.0: every image is made again, and all that follows.",
        "figures.colormap was 'viridis' and is 'magma': the figures are drawn again, and nothing else runs but the report.",
        "prompts: new is new: its images are made.",
        "prompts: city is changed: its images are made again.",
        "prompts: rain is gone: its images stay, and nothing shows them any more.",
        "prompts: they stand in another order: no image is made again, but the gallery and the report are, and figures.images may choose other images.",
        "results/images: sea_2 is gone and is made again.",
    ]


# What stays as it is -------------------------------------------------------------------


def test_prompts_that_are_not_touched_keep_their_images(study):
    before = study.images()
    study.write_prompts(
        {"new": "something new", "sea": "the sea", "city": "another city", "forest": "a forest"}
    )
    (study.folder / "results/images/sea_2.png").unlink()
    shutil.copy(study.folder / "results/manifest.sha256", study.folder / "before.sha256")
    study.change(verify="before.sha256")
    study.run()
    after = study.images()
    assert set(after) == set(before) | {"new_1", "new_2"}  # those of a prompt that is gone stay, too
    made = {name for name in before if after[name] != before[name]}
    assert made == {"city_1", "city_2", "sea_2"}
    assert after["sea_2"][1] == before["sea_2"][1]
    assert study.planned() == set()
    report = (study.folder / "results/report.html").read_text(encoding="utf-8")
    verdicts = [line.split("\t") for line in (study.folder / "results/verify.tsv").read_text().splitlines()]
    verdict = {row[0]: row[1] for row in verdicts}
    assert verdict["images/forest_1.png"] == verdict["images/sea_2.png"] == "same bytes"
    assert verdict["images/city_1.png"] == "differs" and verdict["images/new_1.png"] == "not there"
    assert "Compared with another run" in report
    sums = read_checksums(study.folder / "results/manifest.sha256")
    assert sums == {name: sha256_of_file(study.folder / "results" / name) for name in sums}
    assert len(sums) == 8 + 1 and "images/rain_1.png" not in sums


def test_the_same_bytes_in_another_order_one_prompt_a_job(finished, tmp_path, tiny_model):
    other = start(tmp_path / "a folder with spaces", finished.workflow, tiny_model)
    other.write_prompts(dict(reversed(PROMPTS.items())))
    other.change(generator={"prompts_per_job": 1})
    other.run(TABLE, cores=1)
    assert len(list((other.folder / "results/checksums").iterdir())) == len(PROMPTS)
    assert other.contents() == finished.contents()


def test_the_same_bytes_if_it_is_killed_again_and_again(finished, tmp_path, tiny_model):
    study = start(tmp_path / "study", finished.workflow, tiny_model)
    study.change(generator={"prompts_per_job": 3})
    chance = random.Random(0)
    survivors: dict[str, tuple[int, bytes]] = {}
    for _ in range(4):
        run = subprocess.Popen(
            study.command("--cores", "4", TABLE), stderr=subprocess.DEVNULL, start_new_session=True
        )
        aim, deadline = len(survivors) + chance.randint(1, 2), time.monotonic() + 120
        while len(study.images()) < aim and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if run.poll() is None:  # else it was done before so many images were seen
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        now = study.images()
        assert {name: now[name] for name in survivors} == survivors
        survivors = now
        study.run("--unlock")
    study.run(TABLE, cores=4)
    assert {name: study.images()[name] for name in survivors} == survivors
    assert study.contents() == finished.contents()
    assert not [path for path in study.folder.rglob("*.partial*")]
