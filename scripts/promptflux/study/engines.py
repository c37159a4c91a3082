"""The engines that run the classifiers, and which of them are found here."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from promptflux.errors import StudyError


@dataclass(frozen=True)
class Engine:
    """What runs a classifier.

    name: in the config and in the results. title: for people. environment: of its jobs, in envs/.
    script: that makes its predictions, relative to the workflow. explains: that says why. model: the end of the name of
    the file that it loads, `results/models/{classifier}{model}`. architecture: the same of
    the text in which it prints the network.
    """

    name: str
    title: str
    environment: str
    script: str
    explains: str
    model: str
    architecture: str

    @property
    def stage(self) -> str:
        """The rule that runs it."""
        return f"infer_{self.name}"

    @property
    def explain(self) -> str:
        """The rule in which it says why."""
        return f"explain_{self.name}"


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            name="torch",
            title="PyTorch",
            environment="torch",
            script="scripts/infer_torch.py",
            explains="scripts/explain_torch.py",
            model=".h5",
            architecture="_architecture_torch.txt",
        ),
        Engine(
            name="flux",
            title="Flux",
            environment="julia",
            script="julia/infer_flux.jl",
            explains="julia/explain_flux.jl",
            model=".bson",
            architecture="_architecture.txt",
        ),
    )
}
REFERENCE = ENGINES["torch"]  # what parity compares the others with
Found = tuple[
    bool, str
]  # whether an engine can run here, and a sentence that says with what, or how to get it

# Exit 3: Julia is too old. Exit 4: a package of the project is not installed.
PROBE = """
VERSION >= v"1.10" || exit(3)
import Pkg
for (name, _) in Pkg.project().dependencies
    Base.find_package(name) === nothing && (print(name); exit(4))
end
print(VERSION)
"""


def find_flux(project: str | Path) -> Found:
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


def unsafe_in_julia(paths: Iterable[str | Path]) -> str | None:
    """A sentence on the first of `paths` that would not be a plain text in the code of a Julia job; None if all are.

    Snakemake writes the paths of a job into its code in quotes. There Julia takes `$` for code, and the
    two halves by which JSON writes a character beyond U+FFFF for an error.
    """
    for path in map(str, paths):
        for character in path:
            if character in '$"\\' or ord(character) > 0xFFFF or not character.isprintable():
                return (
                    f"the path {path!a} has {character!a}, which is no plain text in the code that "
                    f"Snakemake writes for Julia; move it to a path without"
                )
    return None


def flux_of_run(
    project: str | Path,
    is_main_process: bool,
    threads: int,
    paths: Iterable[str | Path],
    find: Callable[[], Found],
) -> Found:
    """What `find` finds once per run: the process that plans looks for Julia, the jobs it starts inherit the answer.

    project: the folder of the workflow's Julia project. threads: of a job. paths: which Snakemake writes
    into the code of Julia's jobs. find: `find_flux`, or what takes its place.
    """
    if problem := unsafe_in_julia([project, *paths]):
        return False, problem
    os.environ["PROMPTFLUX_JULIA_PROJECT"] = str(project)  # for envs/julia.post-deploy.sh
    os.environ.setdefault("JULIA_NUM_THREADS", str(threads))  # Snakemake starts a bare `julia`
    if not is_main_process and VARIABLE in os.environ:
        state, _, detail = os.environ[VARIABLE].partition(" ")
        return state == "found", detail
    found, detail = find()
    os.environ[VARIABLE] = f"{'found' if found else 'missing'} {detail}"
    return found, detail


VARIABLE = "PROMPTFLUX_FLUX"


def choose_engines(wanted: str | Sequence[str], found: Mapping[str, Found]) -> tuple[list[Engine], str]:
    """The engines to run, and a sentence on them for the reader of the report.

    wanted: `engines` of config.yaml. found: of the engines that may be missing, by name. Raises
    StudyError if an engine is asked for by name and cannot run.
    """
    missing = {name: detail for name, (is_found, detail) in found.items() if not is_found}
    if wanted != "auto":
        for name in wanted:
            if name in missing:
                raise StudyError(f"config.yaml: engines asks for {name}, but {missing[name]}")
        engines = [engine for engine in ENGINES.values() if engine.name in wanted]
        return engines, f"The classifiers run in {_titles(engines)}, as asked."
    engines = [engine for engine in ENGINES.values() if engine.name not in missing]
    details = "; ".join(detail for _, detail in found.values())
    if missing:
        return engines, f"The classifiers run in {_titles(engines)} alone: {details}."
    return engines, f"The classifiers run in {_titles(engines)} ({details})."


def engines_schema() -> dict:
    """What `engines` of config.yaml may be."""
    some = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(ENGINES)}}
    return {
        "description": f"auto, or a list of {' and '.join(ENGINES)}",
        "anyOf": [{"const": "auto"}, some],
    }


def _titles(engines: Sequence[Engine]) -> str:
    return " and in ".join(engine.title for engine in engines)


def _without_julia_paths() -> dict[str, str]:
    """The environment, but for a project that somebody else's Julia session may have set."""
    return {
        key: value for key, value in os.environ.items() if key not in ("JULIA_PROJECT", "JULIA_LOAD_PATH")
    }
