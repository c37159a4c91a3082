"""One GPU for one job at a time, tried with a stand-in for nvidia-smi that names two."""

import os
import shutil
import subprocess
import sys

import pytest
from support.workflow import WORKFLOW

from promptflux.runtime.gpu import LOCKS, visible_gpus

PYTHON = """\
import os, sys
sys.path.insert(0, {scripts!r})
from promptflux.runtime.gpu import claim_gpu
claim_gpu({wanted})
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
input()
"""
JULIA = """\
include("{gpu}")
claim_gpu({wanted})
println(ENV["CUDA_VISIBLE_DEVICES"])
flush(stdout)
readline()
"""


@pytest.fixture
def uuids(tmp_path, monkeypatch) -> list[str]:
    """The UUIDs of two GPUs that are not there, under names of this test alone."""
    uuids = [f"GPU-{os.getpid()}-{number}" for number in (0, 1)]
    lines = "\n".join(f"GPU {i}: NVIDIA A100 (UUID: {uuid})" for i, uuid in enumerate(uuids))
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield uuids
    for uuid in uuids:
        (LOCKS / f"promptflux-{uuid}.lock").unlink(missing_ok=True)


@pytest.fixture
def claim():
    """Start a job that claims a GPU and holds it until it is ended; the running process."""
    jobs = []

    def claim(wanted: int = 1, julia: bool = False) -> subprocess.Popen:
        if julia:
            code = JULIA.format(gpu=str(WORKFLOW / "julia/src/gpu.jl"), wanted=wanted)
            command = ["julia", "--startup-file=no", "-e", code]
        else:
            code = PYTHON.format(scripts=str(WORKFLOW / "scripts"), wanted=wanted)
            command = [sys.executable, "-c", code]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        jobs.append(subprocess.Popen(command, text=True, **pipes))
        return jobs[-1]

    yield claim
    for job in jobs:
        job.kill()
        job.wait()


def test_slurms_choice_is_respected(uuids, monkeypatch):
    assert visible_gpus() == uuids
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_gpus() == uuids[1:]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_a_machine_without_gpus_has_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []


@pytest.mark.parametrize("julia", [False, True], ids=["python", "julia"])
def test_each_job_has_a_gpu_of_its_own_and_a_third_waits(julia, uuids, claim):
    if julia and shutil.which("julia") is None:
        pytest.skip("Julia is not installed")
    first = claim()
    assert first.stdout.readline().strip() == uuids[0]
    second = claim(julia=julia)
    assert second.stdout.readline().strip() == uuids[1]
    third = claim()
    with pytest.raises(subprocess.TimeoutExpired):
        third.wait(timeout=2)
    second.kill()  # a lock goes with its process, however that ends
    assert third.stdout.readline().strip() == uuids[1]


@pytest.mark.parametrize("julia", [False, True], ids=["python", "julia"])
def test_a_job_that_wants_no_gpu_sees_none(julia, uuids, claim):
    if julia and shutil.which("julia") is None:
        pytest.skip("Julia is not installed")
    assert claim(wanted=0, julia=julia).stdout.readline() == "\n"
