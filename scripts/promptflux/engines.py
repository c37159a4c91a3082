"""Which engines run the classifiers here: PyTorch, and Flux where Julia and its packages are found."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from promptflux.errors import StudyError

FLUX_THREADS = 2  # of a job

# Exit 3: Julia is too old. Exit 4: a package of the project is not installed.
PROBE = """
VERSION >= v"1.10" || exit(3)
import Pkg
for (name, _) in Pkg.project().dependencies
    Base.find_package(name) === nothing && (print(name); exit(4))
end
print(VERSION)
"""


def find_flux(project: str | Path) -> tuple[bool, str]:
    """Whether Flux can run here, and a sentence that says with what, or how to get it.

    project: the folder of the workflow's Julia project. Starts `julia` once (about 0.5 s).
    """
    instantiate = f"julia --project={project} -e 'using Pkg; Pkg.instantiate()'"
    if shutil.which("julia") is None:
        return (
            False,
            f"Julia was not found; get it from https://julialang.org/downloads, then run: {instantiate}",
        )
    command = ["julia", "--startup-file=no", f"--project={project}", "-e", PROBE]
    try:
        probe = subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=_without_julia_paths()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"Julia could not be started ({error}); get it from https://julialang.org/downloads"
    if probe.returncode == 0:
        return True, f"Julia {probe.stdout.strip()}"
    if probe.returncode == 3:
        return (
            False,
            "the Julia on the PATH is older than 1.10; get a newer one from https://julialang.org/downloads",
        )
    if probe.returncode == 4:
        return False, f"Julia's package {probe.stdout.strip()} is not installed; run: {instantiate}"
    reason = (probe.stderr.strip().splitlines() or ["no message"])[0]
    return False, f"Julia's project cannot be loaded ({reason}); run: {instantiate}"


def flux_of_run(project: str | Path, is_main_process: bool, with_conda: bool) -> tuple[bool, str]:
    """`find_flux` once a run: the process that plans looks for Julia, the jobs it starts inherit the answer.

    with_conda: Julia comes with its conda environment, which is told where its project lies.
    """
    os.environ["PROMPTFLUX_JULIA_PROJECT"] = str(project)  # for envs/julia.post-deploy.sh
    os.environ.setdefault("JULIA_NUM_THREADS", str(FLUX_THREADS))  # Snakemake starts a bare `julia`
    if with_conda:
        return True, "Julia from the conda environment"
    if not is_main_process and VARIABLE in os.environ:
        found, _, detail = os.environ[VARIABLE].partition(" ")
        return found == "found", detail
    found, detail = find_flux(project)
    os.environ[VARIABLE] = f"{'found' if found else 'missing'} {detail}"
    return found, detail


VARIABLE = "PROMPTFLUX_FLUX"


def choose_engines(wanted: str | Sequence[str], flux: tuple[bool, str]) -> tuple[list[str], str]:
    """The engines to run, and a sentence on them for the reader of the report.

    wanted: `engines` of config.yaml. flux: what `find_flux` found. Raises StudyError if
    Flux is asked for by name and cannot run.
    """
    found, detail = flux
    if wanted != "auto":
        if "flux" in wanted and not found:
            raise StudyError(f"config.yaml: engines asks for flux, but {detail}")
        engines = [engine for engine in ("torch", "flux") if engine in wanted]
        return (
            engines,
            f"The classifiers run in {' and '.join(NAMES[engine] for engine in engines)}, as asked.",
        )
    if found:
        return ["torch", "flux"], f"The classifiers run in PyTorch and in Flux ({detail})."
    return ["torch"], f"The classifiers run in PyTorch alone: {detail}."


NAMES = {"torch": "PyTorch", "flux": "Flux"}


def _without_julia_paths() -> dict[str, str]:
    """The environment, but for a project that somebody else's Julia session may have set."""
    return {
        key: value for key, value in os.environ.items() if key not in ("JULIA_PROJECT", "JULIA_LOAD_PATH")
    }
