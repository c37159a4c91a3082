"""What the figures of a finished study cost: the processor time of the jobs that draw them.

    python benchmarks/drawing.py RESULTS [--workflows DIR ...] [--repeat 3]

RESULTS: the folder `results` of a study that PyTorch ran in, with a batch called `prompts`, as the default study
has it. Of several workflows, such as worktrees of two commits, the jobs take turns, so that a busy machine slows
all alike; the least of the repeats counts. Python's start and its imports are part of a job, Snakemake is not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from measured import WORKFLOW, machine

from promptflux.classifiers.weights import load_description

JOB = "import {script}, json, sys; {script}.main(**json.loads(sys.argv[1]))"
STYLE = {"colormap": "viridis", "dpi": 130}
Job = tuple[str, Callable[[str], dict]]  # a script, and what its `main` gets, given a folder to write to


def main(results: Path, workflows: list[Path], repeat: int) -> None:
    jobs = dict(jobs_of(results))
    least = {(job, workflow): float("inf") for job in jobs for workflow in workflows}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeat):
            for job, (script, arguments) in jobs.items():
                for workflow in workflows:
                    spent = processor_time(workflow, script, arguments(folder))
                    least[job, workflow] = min(least[job, workflow], spent)
    print(f"# processor time in seconds, the least of {repeat}; {machine('matplotlib')}")
    print("job", *workflows, sep="\t")
    for job in jobs:
        print(job, *(f"{least[job, workflow]:.2f}" for workflow in workflows), sep="\t")
    print("all", *(f"{sum(least[job, workflow] for job in jobs):.2f}" for workflow in workflows), sep="\t")


def jobs_of(results: Path) -> Iterator[tuple[str, Job]]:
    for path in sorted((results / "predictions").iterdir()):
        name, predictions = path.name, path / "torch"
        description = load_description(results / f"models/{name}.h5")
        images = sorted(part for part in (results / "figures" / name).iterdir() if part.is_dir())
        figures = sorted(figure.name for figure in images[0].iterdir())
        yield f"figures {name}", figures_job(results, description, [image.name for image in images], figures)
        shared = {"classifier": name, "style": STYLE}
        confusion = {
            "predictions": f"{predictions}.tsv",
            "prompts": [str(WORKFLOW / "prompts.tsv")],
            "tensors": [],
            "labels": list(description.labels),
            "image_labels": {},
            "truth": os.devnull,
        }
        yield f"confusion {name}", ("confusion", table_and_figure(name, shared | confusion))
        parity = {
            "titles": ["PyTorch again", "PyTorch"],
            "predictions": [f"{predictions}/prompts.h5"],
            "reference": [f"{predictions}/prompts.h5"],
        }
        yield f"parity {name}", ("parity", table_and_figure(name, shared | parity))
    yield "gallery", gallery_job(results)


def figures_job(results: Path, description, images: list[str], figures: list[str]) -> Job:
    name = description.name
    given = {
        "tensors": str(results / f"tensors/{description.input.name}/prompts.h5"),
        "predictions": str(results / f"predictions/{name}/torch/prompts.h5"),
        "model": str(results / f"models/{name}.h5"),
        "images": images,
        "threads": 2,
        "style": STYLE,
    }
    return (
        "figures",
        lambda folder: (
            given
            | {
                "figures": [
                    f"{folder}/results/figures/{name}/{image}/{figure}"
                    for image in images
                    for figure in figures
                ]
            }
        ),
    )


def table_and_figure(name: str, given: dict) -> Callable[[str], dict]:
    return lambda folder: given | {"table": f"{folder}/{name}.tsv", "figure": f"{folder}/{name}.png"}


def gallery_job(results: Path) -> Job:
    prompts: dict[str, list[str]] = {}
    paths = {path.stem: str(path) for path in sorted((results / "images").glob("*.png"))}
    for image in paths:
        prompts.setdefault(image.rpartition("_")[0], []).append(image)
    rows = [
        {
            "name": name,
            "images": images,
            "captions": [f"A text of {name}"] * len(images),
            "count": len(images),
        }
        for name, images in prompts.items()
    ]
    given = {"rows": rows, "sources": paths, "total": len(rows), "style": STYLE}
    return "gallery", lambda folder: given | {"figure": f"{folder}/gallery.png"}


def processor_time(workflow: Path, script: str, arguments: dict) -> float:
    """Seconds of processor time of a job, with the processes that it starts."""
    command = [sys.executable, "-c", JOB.format(script=script), json.dumps(arguments)]
    environment = os.environ | {"PYTHONPATH": str(workflow.resolve() / "scripts")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd="/")
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(errors.decode(errors="replace")[-3000:])
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--workflows", type=Path, nargs="+", default=[WORKFLOW])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    main(options.results.resolve(), options.workflows, options.repeat)
