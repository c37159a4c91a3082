"""A study in conda environments, made by the conda on the PATH of a channel of what is installed here."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import conda_channel
from support.workflow import SHARED, WORKFLOW, Study, documented, results, start

from promptflux.study.engines import find_flux

OFFLINE = ["unshare", "--net"]  # runs what follows with no network at all
TIMED = {"report.html", "figures/where_the_time_went.png"}  # they show how long their run took
SITE = f"lib/python{'.'.join(map(str, conda_channel.python_version().split('.')[:2]))}/site-packages"
# The environment of each stage; of all others figures.
ENVIRONMENTS = {
    "generate": "generate",
    "preprocess": "preprocess",
    "predictions": "preprocess",
    "record": "preprocess",
    "import_weights": "torch",
    "infer_torch": "torch",
    "infer_flux": "julia",
    "export_bson": "julia",
}


@dataclass
class Story:
    """A study that is run in environments: in PyTorch alone, without a network, and in Flux, too, where Julia is."""

    study: Study
    reference: Study  # the same, run without conda
    prefix: Path
    offline: bool
    both: bool
    printed: dict[str, str] = field(default_factory=dict)  # of each run, by what it was for
    made: dict[str, dict[str, str]] = field(default_factory=dict)  # the files and digests after it

    def run(self, *arguments: str, **options) -> str:
        return self.study.run("--sdm", "conda", "--conda-prefix", str(self.prefix), *arguments, **options)

    def environment(self, name: str) -> Path:
        """The folder of the environment that Snakemake made of a file of envs/."""
        wanted = (WORKFLOW / f"envs/{name}.yaml").read_bytes()
        [copy] = [copy for copy in self.prefix.glob("*.yaml") if copy.read_bytes() == wanted]
        return copy.with_suffix("")


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    """The variables of our channel, and a NumPy in ~/.local that `pip install --user` left there."""
    with conda_channel.conda_of_channel(tmp_path_factory.mktemp("conda")) as variables:
        old = tmp_path_factory.mktemp("local")
        (old / SITE / "numpy").mkdir(parents=True)
        (old / SITE / "numpy/__init__.py").write_text("raise ImportError('the numpy of ~/.local')")
        yield variables | {"PYTHONUSERBASE": str(old)}


@pytest.fixture(scope="module")
def story(channel, finished, tiny_model, tmp_path_factory) -> Story:
    folder = tmp_path_factory.mktemp("conda_study")
    study = start(folder / "Jane Doe" / "study", tiny_model)
    study.add_photograph()
    study.environment = dict(channel)
    offline = subprocess.run([*OFFLINE, "true"], capture_output=True).returncode == 0
    both, _ = find_flux(WORKFLOW / "julia")
    story = Story(study, finished, folder / "environments", offline, both)

    if both:
        study.change(engines=["torch", "flux"])
    story.printed["environments"] = story.run("--conda-create-envs-only")
    story.made["environments"] = results(study.folder)
    study.change(engines=["torch"])
    before = OFFLINE if offline else []
    story.printed["torch"] = story.run(cores=1, before=before)  # the jobs one after another
    story.made["torch"] = results(study.folder)
    if both:
        reference = Study(shutil.copytree(finished.folder, folder / "reference"))
        for either in (study, reference):
            either.change(engines=["torch", "flux"])
        story.printed["both"] = story.run(cores=1, before=before)
        story.made["both"] = results(study.folder)
        reference.run()
        story.reference = reference
    yield story
    shutil.rmtree(story.prefix)


def without_times(made: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in made.items() if name not in TIMED}


def environments_of_jobs(printed: str) -> dict[str, set[str]]:
    """The environments that Snakemake activated for each stage, in a run of one job at a time."""
    found: dict[str, set[str]] = {}
    activated: set[str] = set()
    for line in printed.splitlines():
        if match := re.match(r"Activating conda environment: (.+)$", line):
            activated.add(Path(match[1]).name)
        elif (match := re.match(r"Finished jobid: \d+ \(Rule: (\w+)\)$", line)) and activated:
            stage = re.sub(r"^(generate|preprocess|figures)_\w+$", r"\1", match[1])
            found.setdefault(stage, set()).update(activated)
            activated = set()
    return found


def test_environments_can_be_made_before_the_run(story):
    assert story.made["environments"] == {}
    names = {"generate", "preprocess", "torch", "figures"} | ({"julia"} if story.both else set())
    assert {copy.stem for copy in story.prefix.glob("*.env_setup_done")} == {
        story.environment(name).name for name in names
    }


def test_the_bytes_are_those_of_a_run_without_conda(story, finished):
    """Although an older NumPy lies in ~/.local, and with no network."""
    made = without_times(story.made["torch"])
    assert len(made) > 20
    assert made == without_times(results(finished.folder))


def test_flux_says_in_its_environment_what_it_says_without(story):
    if not story.both:
        pytest.skip("Flux in its conda environment is NOT TESTED: Julia or its packages were not found.")
    made = without_times(story.made["both"])
    assert {"models/small.bson", "predictions/small/flux.tsv", "parity/small/flux.tsv"} <= made.keys()
    told = {"study.json", "manifest.sha256"}  # of which Julia it was, and where from
    reference = without_times(results(story.reference.folder))
    assert {name for name in made | reference if made.get(name) != reference.get(name)} <= told


def test_each_job_runs_in_the_environment_of_its_stage(story):
    seen = environments_of_jobs(story.printed["torch"])
    for stage, environments in environments_of_jobs(story.printed.get("both", "")).items():
        seen.setdefault(stage, set()).update(environments)
    assert {"generate", "preprocess", "infer_torch", "figures", "gallery", "report"} <= seen.keys()
    for stage, environments in seen.items():
        assert environments == {story.environment(ENVIRONMENTS.get(stage, "figures")).name}, stage


def test_an_environment_has_what_its_jobs_need_and_no_more(story):
    for name, has_torch in {"generate": True, "torch": True, "figures": False, "preprocess": False}.items():
        assert (story.environment(name) / SITE / "torch").exists() == has_torch, name
    assert not (story.environment("torch") / SITE / "diffusers").exists()


def test_a_second_run_has_nothing_to_do(story):
    assert "Nothing to be done" in story.run()


def test_no_network_is_needed_once_the_environments_are_made(story):
    if not story.offline:
        pytest.skip("a run without a network is NOT TESTED: it takes the right to `unshare --net`.")
    assert "Downloading" not in story.printed["torch"]


@pytest.fixture
def rerun(story, tmp_path) -> Story:
    """A copy of the story's study in PyTorch, and of the workflow."""
    for name in SHARED:
        source = WORKFLOW / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, tmp_path / name)
    study = Study(story.study.folder, tmp_path, story.study.environment)
    return Story(study, story.reference, story.prefix, story.offline, story.both)


CONDA_EDITS = documented("you change, with `--sdm conda`")


@pytest.mark.parametrize("edit", CONDA_EDITS)
def test_an_edit_runs_what_the_table_says(edit, rerun):
    """A dry-run of the study as it stands after the story; the table tells of one engine, so the others' stages are renamed."""
    options = ["--sdm", "conda", "--conda-prefix", str(rerun.prefix)]
    if edit == "nothing but `--sdm conda` itself":
        options = []
    else:
        assert edit == "a comment in an environment (`envs/figures.yaml`)"
        path = rerun.study.workflow / "envs/figures.yaml"
        path.write_text("# Why it is so.\n" + path.read_text())
    planned = {
        stage.replace("infer_torch", "infer").replace("infer_flux", "infer")
        for stage in rerun.study.planned(*options)
    } - {"export_bson", "parity"}
    assert planned == CONDA_EDITS[edit]


# What stands in the way


def test_environments_in_a_path_with_a_space(channel, tmp_path):
    """Python's can be made there; that of Julia cannot, which is said at the start."""
    study = start(tmp_path / "Jane Doe", tmp_path)
    study.environment = dict(channel)
    shutil.copytree(WORKFLOW / "examples/photos", study / "photos")
    study.change(prompts=None, images="photos", engines="auto")
    printed = study.run("results/tensors/gray28/images.h5", "--sdm", "conda")
    assert "The classifiers run in PyTorch alone: " in printed and "--conda-prefix FOLDER" in printed
    assert list((study / ".snakemake/conda").glob("*.env_setup_done"))
    study.change(engines=["flux"])
    stopped = study.run("--sdm", "conda", "--dry-run", expect=1)
    assert "The study cannot start.\nconfig.yaml: engines asks for flux, but " in stopped


@pytest.mark.parametrize("env", conda_channel.ENVS, ids=lambda env: env.stem)
def test_every_environment_has_a_solution(channel, env, tmp_path):
    """Also that of the training, which the study does not make."""
    if env.stem == "julia" and shutil.which("julia") is None:
        pytest.skip("Julia is not installed")
    command = ["conda", "env", "create", "--dry-run", "--quiet", "--file", str(env), "--prefix"]
    run = subprocess.run(
        [*command, str(tmp_path / "env")],
        env=os.environ | channel,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
