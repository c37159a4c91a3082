"""What a rerun makes again and what it leaves alone, in real Snakemake runs of one small study."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from support.workflow import PROMPTS, SHARED, SPEC, WORKFLOW, Study, documented, start

from promptflux.files.checksums import read_checksums
from promptflux.files.whole import sha256_of_file

# A Julia for planning, and for a run after PyTorch's: it makes Flux's files of those of PyTorch.
JULIA = """\
#!{python}
import re, shutil, sys
if "-e" in sys.argv:
    print("1.11.0", end="")
    sys.exit()
for path in re.findall(r'"(results/[^"]+)"', open(sys.argv[-1], encoding="utf-8").read()):
    if path.startswith(("results/predictions/", "results/explanations/")):
        shutil.copy(path.replace("/flux/", "/torch/"), path)
    elif path.startswith("results/models/") and not path.endswith(".h5"):
        open(path, "w").close()
"""


@pytest.fixture
def workflow(tmp_path) -> Path:
    """A copy of the workflow, whose files a test may change."""
    folder = tmp_path / "workflow"
    folder.mkdir()
    for name in SHARED:
        source = WORKFLOW / name
        if source.is_dir():  # without what other tests' processes compile there meanwhile
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return folder


@pytest.fixture
def study(finished, workflow, tmp_path) -> Study:
    """A copy of the finished study, and of the workflow."""
    return Study(shutil.copytree(finished.folder, tmp_path / "study"), workflow)


@pytest.fixture(scope="session")
def finished_in_both(finished, made_once) -> Study:
    """The finished study with a stand-in for Julia, and its predictions for Flux's; for reading only."""

    def make(folder: Path) -> None:
        shutil.copytree(finished.folder, folder)
        (folder / "programs").mkdir()
        (folder / "programs/julia").write_text(JULIA.format(python=sys.executable))
        (folder / "programs/julia").chmod(0o755)
        both = in_both(folder)
        both.change(engines=["torch", "flux"])
        both.run()

    return in_both(made_once("finished_in_both", make))


def in_both(folder: Path, workflow: Path = WORKFLOW) -> Study:
    return Study(folder, workflow, {"PATH": f"{folder / 'programs'}{os.pathsep}{os.environ['PATH']}"})


@pytest.fixture
def study_in_both(finished_in_both, workflow, tmp_path) -> Study:
    """The same of the study that has run in both engines."""
    return in_both(shutil.copytree(finished_in_both.folder, tmp_path / "study"), workflow)


# What a run makes ----------------------------------------------------------------------


def test_a_study_makes_everything_and_then_nothing(study):
    made = study.files()
    assert set(made) == {
        *(f"images/{name}_{k}.png" for name in PROMPTS for k in (1, 2)),
        "images/metadata.jsonl",
        *(f"preprocessed/gray28/{name}_{k}.png" for name in PROMPTS for k in (1, 2)),
        "preprocessed/gray28/coffee.png",
        "tensors/gray28/prompts.h5",
        "tensors/gray28/images.h5",
        "models/small.h5",
        "models/small_architecture_torch.txt",
        "predictions/small/torch/prompts.h5",
        "predictions/small/torch/images.h5",
        "predictions/small/torch.tsv",
        "features/small/prompts.h5",
        "features/small/images.h5",
        *(f"map/small_{part}" for part in ("map.tsv", "map.png", "duplicates.tsv", "nearest.tsv")),
        "explanations/small/activations/torch/prompts.h5",
        "explanations/small/activations/torch/images.h5",
        "explanations/small/activations.tsv",
        "explanations/small/maps/torch/prompts.h5",
        "figures/small/activations.png",
        "checksums/prompts.sha256",
        "manifest.sha256",
        "study.json",
        "truth/small.tsv",
        "batches.tsv",
        "metrics/small.tsv",
        "figures/small/reliability.png",
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
                "occlusion",
                "grad_cam",
            )
        ),
        "explorer.html",
        "report.html",
    }
    assert "Nothing to be done" in study.run()
    assert study.files() == made


# What runs again -----------------------------------------------------------------------


def changed(name: str, before: str, after: str) -> Callable[[Study], None]:
    """An edit of a file of the workflow: `before`, which it has once, becomes `after`."""

    def change(study: Study) -> None:
        path = study.workflow / name
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, (name, before)
        path.write_text(text.replace(before, after), encoding="utf-8")

    return change


def comment(study: Study) -> None:
    """Comments, a docstring and empty lines in a script, in what scripts share, and in what starts them."""
    for name in (
        "scripts/preprocess.py",
        "scripts/figures.py",
        "scripts/promptflux/images/fitting.py",
        "rules/infer.smk",
    ):
        path = study.workflow / name
        path.write_text("# Why it is so.\n\n" + path.read_text(encoding="utf-8") + "\n\n# And why not.\n")
    for path in (study.workflow / "scripts").rglob("*.py"):
        os.utime(path)


def label_a_prompt(study: Study) -> None:
    path = study / "prompts.tsv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    labels = ["sea" if row.startswith("rain") else "" for row in rows]
    lines = [f"{header}\tlabel", *(f"{row}\t{label}" for row, label in zip(rows, labels, strict=True))]
    path.write_text("\n".join(lines), encoding="utf-8")


def compare_with_a_copy(study: Study) -> None:
    shutil.copytree(study / "results", study / "other")
    study.change(compare="other")


def another_architecture(study: Study) -> None:
    """Of a study whose classifier has the layers of another file."""
    layers = SPEC[SPEC.index("layers:") : SPEC.index("labels:")]
    (study / "small.yaml").write_text(SPEC.replace(layers, "architecture: own.yaml\n"))
    (study / "own.yaml").write_text(layers)
    study.run("results/models/small.h5")
    assert "import_weights" not in study.planned()
    (study / "own.yaml").write_text(layers.replace("kernel: 3", "kernel: 5"))


EDITS = {
    "nothing": lambda study: None,
    "a prompt's text": lambda study: study.write_prompts(PROMPTS | {"city": "another city"}),
    "a prompt's label": label_a_prompt,
    "a prompt's place": lambda study: study.write_prompts(
        {name: PROMPTS[name] for name in ("city", "forest", "rain", "sea")}
    ),
    "a prompt is new": lambda study: study.write_prompts({"new": "something new", **PROMPTS}),
    "a prompt is gone": lambda study: study.write_prompts(dict(list(PROMPTS.items())[:-1])),
    "`generator: guidance_scale`": lambda study: study.change(generator={"guidance_scale": 7.0}),
    "a variant is new": lambda study: study.change(variants={"new": {"steps": 4}}),
    "a variant's settings": lambda study: study.change(variants={"weak": {"guidance_scale": 2.0}}),
    "an alternative of a template is new": lambda study: study.write_prompts(
        {"forest": "a {red|blue|golden} forest", "sea": "the sea"}
    ),
    "`generator: prompts_per_job`": lambda study: study.change(generator={"prompts_per_job": 3}),
    "a classifier's weights": lambda study: (study / "small.yaml").write_text(
        SPEC.replace("seed: 1", "seed: 2")
    ),
    "the file of layers that a classifier names (`architecture`)": another_architecture,
    "`figures: colormap`": lambda study: study.change(figures={"colormap": "magma"}),
    "`figures: images`": lambda study: study.change(figures={"images": 3}),
    "`figures: layers`": lambda study: study.change(figures={"layers": 0}),
    "`explain: patch`": lambda study: study.change(explain={"patch": 6}),
    "the script of a stage (`preprocess.py`)": changed(
        "scripts/preprocess.py", "if problems and on_bad", "if len(problems) > 0 and on_bad"
    ),
    "the script of the figures (`gallery.py`)": changed(
        "scripts/gallery.py", 'if "snakemake" in', 'NEW = 1\nif "snakemake" in'
    ),
    "what the scripts of a stage share (`images/fitting.py`)": changed(
        "scripts/promptflux/images/fitting.py", "np.float32(255)", "np.float32(256)"
    ),
    "what all figures share (`figures/sheet.py`)": changed(
        "scripts/promptflux/figures/sheet.py", 'INK = "#1f2933"', 'INK = "#1f2934"'
    ),
    "`map: distance`": lambda study: study.change(map={"distance": 0.1}),
    "`export`": lambda study: study.change(export=["safetensors", "onnx"]),
    "`compare` names a study": compare_with_a_copy,
    "`julia/src`": changed(
        "julia/src/PromptFlux.jl", "module PromptFlux\n", "module PromptFlux\n\nconst NEW = 1\n"
    ),
    "the page of the report (`report/page.html.j2`)": changed(
        "scripts/promptflux/report/page.html.j2", "</body>", "<p>New.</p></body>"
    ),
    "the page of the explorer (`report/explorer_page/`)": changed(
        "scripts/promptflux/report/explorer_page/grid.js", "const AROUND = 3;", "const AROUND = 4;"
    ),
    "a comment, a docstring, a file's time": comment,
    "a package version": changed("envs/generate.yaml", "pytorch=", "pytorch=1"),
    "an image is deleted": lambda study: (study / "results/images/sea_2.png").unlink(),
    "an image is edited by hand": lambda study: Image.new("RGB", (32, 32), "red").save(
        study / "results/images/sea_2.png"
    ),
}
DOCUMENTED = documented("you change")
# What is tried on a study with variants.
IN_A_GRID = {"a variant is new", "a variant's settings", "an alternative of a template is new"}
IN_BOTH = {"`julia/src`"}  # what is tried on a study that has run in both engines


def test_every_edit_of_the_table_is_tried():
    assert list(EDITS) == list(DOCUMENTED)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_runs_what_the_table_says(edit, request):
    study = request.getfixturevalue(
        "study_in_both" if edit in IN_BOTH else "grid" if edit in IN_A_GRID else "study"
    )
    EDITS[edit](study)
    planned = {stage if edit in IN_BOTH else stage.removesuffix("_torch") for stage in study.planned()}
    assert planned == DOCUMENTED[edit]


def test_a_comment_in_julia_runs_nothing(study_in_both):
    path = study_in_both.workflow / "julia/src/PromptFlux.jl"
    path.write_text("# Why it is so.\n#= And\nwhy not. =#\n" + path.read_text(encoding="utf-8"))
    assert study_in_both.planned() == set()


def test_an_engine_that_is_new_leaves_the_files_of_the_other(finished, finished_in_both):
    before, after = finished.files(), finished_in_both.files()
    assert after.keys() - before.keys() == {
        "models/small.bson",
        "models/small_architecture.txt",
        "predictions/small/flux.tsv",
        "predictions/small/flux/images.h5",
        "predictions/small/flux/prompts.h5",
        "explanations/small/maps/flux/prompts.h5",
        "parity/small/flux.tsv",
        "parity/small/flux.png",
    }
    made = {name for name in before if after[name] != before[name]}
    assert made == {
        "manifest.sha256",
        "metrics/small.tsv",
        "figures/small/reliability.png",
        "images/metadata.jsonl",
        "study.json",
        "batches.tsv",
        "explorer.html",
        "report.html",
        "figures/where_the_time_went.png",
    }


@pytest.mark.parametrize("snakefile", ["../Snakefile", "{workflow}/Snakefile"])
def test_the_profile_of_the_workflow_holds_in_any_folder(finished, workflow, snakefile):
    """It says that the digests of the code decide, and not the times of scripts."""
    study = Study(shutil.copytree(finished.folder, workflow / "my study"), workflow)
    for path in (workflow / "scripts").rglob("*.py"):
        os.utime(path)
    command = study.command("--dry-run", "--cores", "1")
    command[command.index("--snakefile") + 1] = snakefile.format(workflow=workflow)
    run = subprocess.run(command, cwd=study.folder, capture_output=True, text=True, timeout=120)
    assert "profiles/default" in run.stderr
    assert "Nothing to be done" in run.stdout + run.stderr


def test_a_dry_run_says_what_has_changed_in_words(study):
    study.change(generator={"guidance_scale": 7.0}, figures={"colormap": "magma"})
    study.write_prompts({"new": "n", "sea": "the sea", "forest": "a forest", "city": "$(touch owned) {x}"})
    (study / "results/images/sea_2.png").unlink()
    said = study.run("--dry-run").split("Since the last complete run:\n")[1].splitlines()[:7]
    assert [line.strip() for line in said] == [
        "generator.guidance_scale was 3.0 and is 7.0: every image is made again, and all that follows.",
        "figures.colormap was 'viridis' and is 'magma': the figures are drawn again, and nothing else runs but the explorer and the report.",
        "prompts: new is new: its images are made.",
        "prompts: city is changed: its images are made again.",
        "prompts: rain is gone: its images stay, and nothing shows them any more.",
        "prompts: they stand in another order: no image is made again, but the gallery, the explorer and the report are, and figures.images may choose other images.",
        "results/images: sea_2 is gone and is made again.",
    ]


# What stays as it is -------------------------------------------------------------------


def test_prompts_that_are_not_touched_keep_their_images(study):
    before = study.images()
    study.write_prompts(
        {"new": "something new", "sea": "the sea", "city": "another city", "forest": "a forest"}
    )
    (study / "results/images/sea_2.png").unlink()
    shutil.copy(study / "results/manifest.sha256", study / "before.sha256")
    study.change(verify="before.sha256")
    study.run()
    after = study.images()
    assert set(after) == set(before) | {"new_1", "new_2"}  # those of a prompt that is gone stay, too
    made = {name for name in before if after[name] != before[name]}
    assert made == {"city_1", "city_2", "sea_2"}
    assert after["sea_2"][1] == before["sea_2"][1]
    assert study.planned() == set()
    report = (study / "results/report.html").read_text(encoding="utf-8")
    verdicts = [line.split("\t") for line in (study / "results/verify.tsv").read_text().splitlines()]
    verdict = {row[0]: row[1] for row in verdicts}
    assert verdict["images/forest_1.png"] == verdict["images/sea_2.png"] == "same bytes"
    assert verdict["images/city_1.png"] == "differs" and verdict["images/new_1.png"] == "not there"
    assert "Compared with another run" in report
    sums = read_checksums(study / "results/manifest.sha256")
    assert sums == {name: sha256_of_file(study / "results" / name) for name in sums}
    assert len(sums) == 8 + 1 and "images/rain_1.png" not in sums


def test_the_same_bytes_in_another_order_one_prompt_a_job(finished, tmp_path, tiny_model):
    other = start(tmp_path / "a folder with spaces", tiny_model)
    other.add_photograph()
    other.write_prompts(dict(reversed(PROMPTS.items())))
    other.change(generator={"prompts_per_job": 1})
    other.run(Study.TABLE, cores=1)
    lists = [read_checksums(path) for path in (other / "results/checksums").iterdir()]
    assert sorted(sorted(sums) for sums in lists) == [
        [f"images/{name}_1.png", f"images/{name}_2.png"] for name in sorted(PROMPTS)
    ]
    assert other.contents() == finished.contents()


def test_the_same_bytes_if_it_is_killed_again_and_again(finished, tmp_path, tiny_model):
    study = start(tmp_path / "study", tiny_model)
    study.add_photograph()
    study.change(generator={"prompts_per_job": 3})
    chance = random.Random(0)
    survivors: dict[str, tuple[int, bytes]] = {}
    for _ in range(2):
        run = subprocess.Popen(
            study.command("--cores", "4", Study.TABLE),
            cwd=study.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
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
    study.run(Study.TABLE, cores=4)
    assert {name: study.images()[name] for name in survivors} == survivors
    assert study.contents() == finished.contents()
    assert list(study.folder.rglob("*.partial*")) == []
