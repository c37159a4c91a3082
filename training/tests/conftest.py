"""What the tests of the training share: runs of its workflow."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.workflow import WORKFLOW


@pytest.fixture(scope="session")
def run_training():
    """Run the training's workflow in a folder; returns the finished process."""

    def run(folder: Path, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess:
        command = [
            sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor",
            "--snakefile", str(WORKFLOW / "training/Snakefile"), "--directory", str(folder), *arguments,
        ]  # fmt: skip
        finished = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=600)
        assert finished.returncode == expect, finished.stderr[-6000:]
        assert "Traceback" not in finished.stderr, finished.stderr[-6000:]
        return finished

    return run


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small networks are no quicker on several threads, and far slower where other tests run beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
