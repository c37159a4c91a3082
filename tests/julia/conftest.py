"""Julia, for the tests of the Flux engine."""

import subprocess
from pathlib import Path

import pytest
from support.flux import PROJECT

from promptflux.study.engines import find_flux


@pytest.fixture(scope="session")
def julia():
    """Run Julia code with the project loaded; skips the test, loudly, where Julia or a package is missing."""
    found, detail = find_flux(PROJECT)
    if not found:
        pytest.skip(f"THE FLUX ENGINE IS NOT TESTED: {detail}")

    def run(code: str, *arguments: str | Path, expect: int = 0, threads: int = 2) -> str:
        command = [
            "julia", "--startup-file=no", f"--threads={threads}", f"--project={PROJECT}", "-e",
            f"using PromptFlux\n{code}", *map(str, arguments),
        ]  # fmt: skip
        finished = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert finished.returncode == expect, finished.stdout + finished.stderr
        return finished.stdout + finished.stderr

    return run
