"""A study on a real Slurm cluster of two nodes, with jobs that the scheduler kills."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import conda_channel, slurm_cluster
from support.slurm_cluster import slurm, wait
from support.workflow import WORKFLOW, Study, results
from support.workflow import start as start_study

from promptflux.study.batches import batches

PROFILE = [
    "--profile", str(WORKFLOW / "profiles/slurm"),
    "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1",
]  # fmt: skip
PROMPTS = {"forest": "a forest", "city": "a city at night"}
BATCHES = batches(PROMPTS, 1, "prompts")
IMAGES = 8  # of a prompt
CHECKSUMS = [f"results/checksums/{batch}.sha256" for batch in BATCHES]
TABLE = Study.TABLE


@dataclass
class Story:
    """A study whose jobs are killed while they generate, and which a second run completes."""

    folder: Path
    nodes: dict[str, str]  # batch -> the node where it was generated
    killed: dict[str, tuple[str, str]]  # batch -> Slurm's job id, and the state in which the job ended
    first: str  # what the first run printed
    survivors: dict[str, str]  # the images that it left, with their digests
    second: str  # what the second run printed
    local: Path  # the same study, run without Slurm


@pytest.fixture(scope="module")
def cluster():
    """Two nodes that are up; where they cannot be started the tests are skipped with a line that says why."""
    if reason := slurm_cluster.missing():
        pytest.skip(f"Slurm is NOT TESTED: {reason}")
    try:
        slurm_cluster.start()
        yield
    finally:
        slurm_cluster.stop()


@pytest.fixture(scope="module")
def story(cluster, tiny_model, tmp_path_factory) -> Story:
    folder, local = (tmp_path_factory.mktemp(name) / "study" for name in ("slurm", "local"))
    study = start_study(folder, tiny_model)
    study.write_prompts(PROMPTS)
    study.change(generator={"steps": 5, "images_per_prompt": IMAGES, "prompts_per_job": 1, "threads": 1})
    shutil.copytree(folder, local)

    run = start(folder, *CHECKSUMS, *PROFILE, "--retries", "0")
    jobs = jobs_at_work(folder)
    nodes = {batch: node for batch, (_, node) in jobs.items()}
    late, lost = nodes
    slurm("scontrol", "update", f"JobId={jobs[late][0]}", "EndTime=now")  # Slurm looks twice a minute
    slurm_cluster.lose_node(nodes[lost])
    finish(start(local, TABLE, "--cores", "2"), expect=0)  # while Slurm takes note
    first = finish(run, expect=1)
    survivors = images_of(folder)

    slurm_cluster.start_node(nodes[lost])
    run = start(folder, TABLE, *PROFILE)
    wait(lambda: submitted("rule_import_weights"), "a job that imports weights", seconds=300)
    slurm("scancel", submitted("rule_import_weights")[0][0])
    second = finish(run, expect=0)
    ends = {late: "TIMEOUT", lost: "NODE_FAIL"}
    killed = {batch: (jobs[batch][0], end) for batch, end in ends.items()}
    return Story(folder, nodes, killed, first, survivors, second, local)


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Snakefile"), "--nocolor"]
    return subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(run: subprocess.Popen, expect: int) -> str:
    _, printed = run.communicate(timeout=600)
    assert run.returncode == expect, printed[-6000:]
    assert "Traceback" not in printed, printed[-6000:]
    return printed


def submitted(comment: str) -> list[list[str]]:
    """The jobs whose comment begins so, in the order of their submission: id, comment, node, memory in MB."""
    table = slurm("squeue", "--states=all", "--noheader", "--sort=i", "--format=%i|%k|%N|%m")
    jobs = [line.removesuffix("M").split("|") for line in table.splitlines()]
    return [job for job in jobs if job[1].startswith(comment)]


def jobs_at_work(folder: Path) -> dict[str, tuple[str, str]]:
    """The id and the node of the job of each batch, all halted in the midst of it."""
    halted: dict[str, tuple[str, str]] = {}

    def halt() -> bool:
        for batch, [prompt] in BATCHES.items():
            if batch not in halted and (folder / f"results/images/{prompt}_1.png").exists():
                [(job, _, node, _)] = submitted(f"rule_generate_{batch}")
                for process in slurm_cluster.processes_of(job):
                    if process.cmdline()[-1].endswith(".generate.py"):
                        process.suspend()
                halted[batch] = job, node
        return len(halted) == len(BATCHES)

    wait(halt, "a job of each batch to be at work", seconds=300)
    return halted


def images_of(folder: Path) -> dict[str, str]:
    """The finished images; what a killed job was about to write has a name that begins with a dot."""
    found = results(folder).items()
    return {name: digest for name, digest in found if name.startswith("images/") and "/." not in name}


def test_both_nodes_generate(story):
    assert set(story.nodes) == set(BATCHES)
    assert set(story.nodes.values()) == {"node1", "node2"}


def test_a_job_that_slurm_kills_is_reported_with_its_log(story):
    for batch, (job, end) in story.killed.items():
        log = story.folder / f".snakemake/slurm_logs/rule_generate_{batch}/{job}.log"
        report = re.search(rf"SLURM-job '{job}' failed.* SLURM status is: '{end}'.*", story.first)
        assert report, story.first[-6000:]
        assert str(log) in story.first[report.start() :]
        assert log.is_file()


def test_the_next_run_makes_only_what_is_missing(story):
    for batch, [prompt] in BATCHES.items():
        kept = [name for name in story.survivors if name.startswith(f"images/{prompt}_")]
        assert 0 < len(kept) < IMAGES
        log = (story.folder / f"results/logs/generate/{batch}.log").read_text()
        assert f"{len(kept)} of {IMAGES} images are there and kept" in log
    assert story.survivors.items() <= images_of(story.folder).items()


def test_the_bytes_are_those_of_a_run_without_slurm(story):
    assert len(images_of(story.folder)) == len(PROMPTS) * IMAGES
    assert results(story.folder) == results(story.local)


def test_a_failed_job_is_tried_again_with_more_memory(story):
    cancelled, again = submitted("rule_import_weights")
    assert int(again[3]) == 2 * int(cancelled[3])


def test_only_what_is_missing_is_submitted(story):
    assert "Nothing to be done" in finish(start(story.folder, TABLE, *PROFILE), expect=0)


def test_a_job_runs_in_a_conda_environment(cluster, story, tmp_path):
    """Of one batch, whose images are those of a run without Slurm and without conda."""
    batch, [prompt] = next(iter(BATCHES.items()))
    conda = ["--sdm", "conda", "--conda-prefix", str(tmp_path / "environments")]
    target = f"results/checksums/{batch}.sha256"
    folder = tmp_path / "study"
    shutil.copytree(story.folder, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    with conda_channel.conda_of_channel(tmp_path / "channel") as variables:
        made = Study(folder, environment=variables).run(target, *conda, "--conda-create-envs-only")
        assert "envs/generate.yaml created" in made
        printed = finish(start(folder, target, *PROFILE, "--slurm-keep-successful-logs", *conda), expect=0)
    [log] = (folder / f".snakemake/slurm_logs/rule_generate_{batch}").glob("*.log")
    assert "Activating conda environment: " in log.read_text(), printed[-3000:]
    wanted = {name: digest for name, digest in images_of(story.local).items() if f"/{prompt}_" in name}
    assert len(wanted) == IMAGES and images_of(folder) == wanted
