"""What the benchmarks share: the machine in words, tables, and Snakemake runs that are measured."""

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

WORKFLOW = Path(__file__).resolve().parents[1]
PARTS = (
    "Snakefile",
    "config.yaml",
    "rules",
    "scripts",
    "schemas",
    "envs",
    "profiles",
    "julia",
    "models/classifiers",
)


def machine(*packages: str) -> str:
    """The processor, its cores, the versions of Python and `packages`, and the day."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    versions = [f"{package} {metadata.version(package)}" for package in packages]
    return ", ".join(
        [
            model,
            f"{os.cpu_count()} cores",
            f"Python {platform.python_version()}",
            *versions,
            time.strftime("%Y-%m-%d"),
        ]
    )


def write_table(path: Path, comment: str, rows: Sequence[dict]) -> None:
    """Write rows of equal keys as tab-separated text under a line of comment, and print it."""
    lines = [list(rows[0])] + [[str(value) for value in row.values()] for row in rows]
    text = f"# {comment}\n" + "".join("\t".join(line) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    print(text)


def copy_of_workflow(folder: Path) -> Path:
    """A copy of the workflow without its models and results, to put other scripts into."""
    for part in PARTS:
        source, target = WORKFLOW / part, folder / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "test"))
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return folder


@dataclass(frozen=True)
class Run:
    """A finished Snakemake run: its wall time, its processor time (both with its jobs), its peak memory."""

    seconds: float
    cpu_seconds: float
    memory_mb: float
    output: str


def snakemake(workflow: Path, folder: Path, *arguments: str, cores: int = 2) -> Run:
    """Run the workflow in `folder`; `arguments` are options and targets."""
    command = [
        sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(workflow / "Snakefile"),
        "--directory", str(folder), "--cores", str(cores), "--quiet", "rules",
    ]  # fmt: skip
    return measured(command, folder)


def measured(command: Sequence[str], folder: Path) -> Run:
    """Run `command` in `folder`. Exits with the end of its output if it fails."""
    log = folder / "output.log"
    with open(log, "w", encoding="utf-8") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    text = log.read_text(encoding="utf-8", errors="replace")
    if status:
        sys.exit(text[-3000:])
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text)
