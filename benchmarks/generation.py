"""64 prompts × 1 image through the pipeline, beside a plain diffusers loop in one process; then 64 prompts more.

    python benchmarks/generation.py [--prompts 64] [--steps 20] [--threads 2] [--model FOLDER] [--table TSV]

The loop is what one writes at first: load the embedded model, then one call a prompt, with
the same steps, guidance and threads. The pipeline is a whole `snakemake` call from an empty
folder to the images and their checksums; then the table gets as many prompts again. Processor time
counts every process and, unlike wall time, hardly notices what else the machine does. Where there is a
GPU both take it, the loop in float32 and the pipeline in what `dtype: auto` is there.
Writes generation.tsv beside itself, or the table that is named.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import yaml
from measured import WORKFLOW, Run, machine, measured, snakemake, write_table

from promptflux.study.study import load_study

GUIDANCE = 3.0
LOOP = """\
import sys
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

model, steps, guidance, threads = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
pipeline = DiffusionPipeline.from_pretrained(model).to("cuda" if torch.cuda.is_available() else "cpu")
for number, prompt in enumerate(Path("prompts.txt").read_text().splitlines()):
    generator = torch.Generator().manual_seed(number)
    image = pipeline(prompt, num_inference_steps=steps, guidance_scale=guidance, generator=generator).images[0]
    image.save(f"{number}.png")
"""
PLACES = ["a forest", "mountains", "a city", "the ocean", "a desert", "a lake", "a meadow", "a volcano"]
TIMES = ["at dawn", "at noon", "at sunset", "at night", "in the rain", "in fog", "in winter", "in autumn"]
MORE = ["by the sea", "with birds"]


def main(prompts: int, steps: int, threads: int, model: Path, table: Path) -> None:
    texts = [f"{place} {time_of_day}" for place in PLACES for time_of_day in TIMES]
    texts = (texts + [f"{text} {more}" for more in MORE for text in texts])[: 2 * prompts]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop = plain_loop(folder / "loop", texts[:prompts], steps, threads, model)
        study = folder / "study"
        first = pipeline(study, texts[:prompts], steps, threads, model)
        before = {path: path.stat().st_mtime_ns for path in (study / "results/images").iterdir()}
        more = pipeline(study, texts, steps, threads, model)
        assert before == {path: path.stat().st_mtime_ns for path in before}
        assert len(list((study / "results/images").iterdir())) == 2 * prompts == len(texts)
    rows = [
        row("plain diffusers loop", prompts, loop, loop),
        row("this pipeline, from nothing", prompts, first, loop),
        row(f"this pipeline, {prompts} prompts more", prompts, more, loop),
    ]
    comment = f"{model.name}, {steps} steps, {threads} threads; {machine('torch', 'diffusers', 'snakemake')}"
    write_table(table, comment, rows)


def plain_loop(folder: Path, texts: list[str], steps: int, threads: int, model: Path) -> Run:
    folder.mkdir()
    (folder / "prompts.txt").write_text("\n".join(texts))
    command = [
        sys.executable,
        "-c",
        LOOP,
        str(model),
        str(steps),
        str(GUIDANCE),
        str(threads),
    ]
    run = measured(command, folder)
    assert len(list(folder.glob("*.png"))) == len(texts)
    return run


def pipeline(folder: Path, texts: list[str], steps: int, threads: int, model: Path) -> Run:
    """Run the workflow as far as the checksums of all images."""
    folder.mkdir(exist_ok=True)
    rows = "".join(f"prompt{number}\t{text}\n" for number, text in enumerate(texts))
    table = folder / "prompts.tsv"
    table.write_text("name\tprompt\n" + rows)
    settings = {
        "model": str(model),
        "steps": steps,
        "guidance_scale": GUIDANCE,
        "images_per_prompt": 1,
        "threads": threads,
    }
    config = {"prompts": str(table), "generator": settings, "engines": ["torch"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    batches = load_study(config, [folder, WORKFLOW]).prompts_of
    return snakemake(
        WORKFLOW, folder, *(f"results/checksums/{batch}.sha256" for batch in batches), cores=threads
    )


def row(way: str, images: int, run: Run, loop: Run) -> dict:
    return {
        "way": way,
        "images": images,
        "wall_s": f"{run.seconds:.1f}",
        "processor_s": f"{run.cpu_seconds:.1f}",
        "wall_to_loop": f"{run.seconds / loop.seconds:.2f}",
        "processor_to_loop": f"{run.cpu_seconds / loop.cpu_seconds:.2f}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--model", type=Path, default=WORKFLOW / "models/scenes")
    parser.add_argument("--table", type=Path, default=Path(__file__).with_suffix(".tsv"))
    main(**vars(parser.parse_args()))
