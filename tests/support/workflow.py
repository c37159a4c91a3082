"""Where the workflow lies, a small study of it, and what a run of that made."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import yaml

from promptflux.files.whole import sha256_of_file

WORKFLOW = Path(__file__).resolve().parents[2]
# What a study needs of the workflow; its models are named by their paths.
SHARED = (
    "Snakefile",
    "config.yaml",
    "pyproject.toml",
    "rules",
    "schemas",
    "scripts",
    "envs",
    "profiles",
    "captions",
    "julia",
)
GOLDEN = WORKFLOW / "tests" / "golden"

SPEC = """\
description: a small untrained CNN
input: gray28
layers:
  - conv: {out: 4, kernel: 3, activation: relu}
  - maxpool: 2
  - flatten
  - dense: 3
  - softmax
labels: [forest, city, sea]
weights: {seed: 1}
"""
PROMPTS = {"forest": "a forest", "city": "a city at night", "sea": "the sea", "rain": "rain over hills"}
VARIANTS = {"long": {"steps": 3}, "weak": {"guidance_scale": 1.5}}  # in the order that `change` writes
TEMPLATE = "a {red|blue} forest"
MAP = {"method": "pca"}


def results(folder: Path) -> dict[str, str]:
    """The files of a study that its inputs decide, with the digests of their bytes."""
    files = {
        str(path.relative_to(folder / "results")): path
        for path in (folder / "results").rglob("*")
        if path.is_file()
    }
    return {
        name: sha256_of_file(path)
        for name, path in files.items()
        if not name.startswith(("logs/", "benchmarks/", "requests/", "made/"))
    }


def stages_of(printed: str) -> set[str]:
    """The stages that a dry-run said it would run, without the names of batches and classifiers."""
    if "Nothing to be done" in printed:
        return set()
    table = printed.split("Job stats:")[1].split("\ntotal")[0]
    rules = set(re.findall(r"^(\w+) +\d+$", table, flags=re.MULTILINE)) - {"all"}
    return {re.sub(r"^(generate|preprocess|figures|sheets)_\w+$", r"\1", rule) for rule in rules}


def documented(what: str) -> dict[str, set[str]]:
    """The stages that a table of docs/reruns.md names for each edit. what: the head of its first column."""
    text = (WORKFLOW / "docs/reruns.md").read_text(encoding="utf-8")
    table = text.split(f"| {what} |", 1)[1].split("\n\n", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {edit: set(rules.split(", ")) - {"nothing"} for edit, rules, _ in rows}


class Study:
    """A folder with a small study, and the workflow that runs it.

    environment: variables of its runs, over those that are there.
    """

    TABLE = "results/predictions/small/torch.tsv"

    def __init__(self, folder: Path, workflow: Path = WORKFLOW, environment: Mapping[str, str] | None = None):
        self.folder, self.workflow, self.environment = folder, workflow, dict(environment or {})

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def write_prompts(self, prompts: dict[str, str]) -> None:
        rows = "".join(f"{name}\t{prompt}\n" for name, prompt in prompts.items())
        (self / "prompts.tsv").write_text("name\tprompt\n" + rows, encoding="utf-8")

    def change(self, **changes) -> None:
        """Overlay config.yaml; a mapping is merged into the one that is there."""
        path = self / "config.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, value in changes.items():
            config[key] = (config.get(key) or {}) | value if isinstance(value, dict) else value
        path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")

    def add_photograph(self) -> None:
        """An image of the user's own beside the prompts."""
        (self / "photos").mkdir()
        shutil.copy(WORKFLOW / "examples/photos/coffee.jpg", self / "photos")
        self.change(images="photos")

    def command(self, *arguments: str) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", "--nocolor", "--snakefile", str(self.workflow / "Snakefile"),
            *arguments,
        ]  # fmt: skip

    def run(self, *arguments: str, cores: int = 2, expect: int = 0, before: Sequence[str] = ()) -> str:
        """Run Snakemake in the folder to its end; what it prints. before: a program that starts it."""
        run = subprocess.run(
            [*before, *self.command("--cores", str(cores), *arguments)],
            cwd=self.folder,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        printed = run.stdout + run.stderr
        assert run.returncode == expect, printed[-6000:]
        assert "Traceback" not in printed, printed[-6000:]
        return printed

    def planned(self, *arguments: str) -> set[str]:
        """The stages that a dry-run would run."""
        return stages_of(self.run("--dry-run", *arguments))

    def images(self) -> dict[str, tuple[int, bytes]]:
        """The modification time and the bytes of each generated image."""
        paths = (self / "results/images").glob("[!.]*.png")
        return {path.stem: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}

    def files(self) -> dict[str, int]:
        """The modification time of every file of the results but logs, benchmarks and records, by its name there."""
        found = {
            path.relative_to(self / "results"): path
            for path in (self / "results").rglob("*")
            if path.is_file()
        }
        return {
            str(name): path.stat().st_mtime_ns
            for name, path in found.items()
            if name.parts[0] not in ("logs", "benchmarks", "requests", "made")
        }

    def contents(self) -> dict[str, bytes]:
        """What must not depend on how the study was run: images, tensors by image, the table."""
        found = {path.name: path.read_bytes() for path in (self / "results/images").glob("*.png")}
        for path in (self / "results").glob("preprocessed/*/*.png"):
            found[f"preprocessed {path.name}"] = path.read_bytes()
        for path in (self / "results").glob("tensors/*/*.h5"):
            with h5py.File(path) as file:
                names = file["names"].asstr()[()]
                found |= {f"tensor {name}": file["images"][row].tobytes() for row, name in enumerate(names)}
        return found | {"table": (self / self.TABLE).read_bytes()}


def start(folder: Path, model: Path, workflow: Path = WORKFLOW) -> Study:
    """A study of PROMPTS, two images each, that has not run. model: of the images."""
    folder.mkdir(parents=True, exist_ok=True)
    study = Study(folder, workflow)
    (folder / "small.yaml").write_text(SPEC)
    study.write_prompts(PROMPTS)
    config = {
        "prompts": "prompts.tsv",
        "generator": {"model": str(model), "steps": 2, "images_per_prompt": 2, "micro_batch": 2},
        "classifiers": ["small.yaml"],
        "engines": ["torch"],
        "figures": {"images": 2, "dpi": 40},
        "map": None,  # two more jobs a batch; the studies that are looked at as a whole have one
        "explain": {"images": 0},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return study
