"""What Snakemake itself costs, from a hundred prompts to ten thousand, with stand-ins for all scripts.

    python benchmarks/bookkeeping.py [--prompts 100 316 1000 3162 10000]

The stand-ins write tiny files at once, so that what is left is the planning, the start of
the jobs and the bookkeeping. Writes bookkeeping.tsv and bookkeeping.png beside itself.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import yaml
from measured import WORKFLOW, copy_of_workflow, machine, snakemake, write_table

IMAGES_PER_PROMPT = 3
GENERATE = """\
import hashlib
from pathlib import Path

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "789c63606060000000040001f61738550000000049454e44ae426082"
)
lines = []
for image in snakemake.params.names:
    path = Path("results/images", image + ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(PNG)
    lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  images/{image}.png\\n")
Path(snakemake.output.checksums).write_text("".join(lines))
"""
OTHERS = """\
from pathlib import Path

for path in snakemake.output:
    Path(path).touch()
"""


def main(prompts: list[int]) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        workflow = copy_of_workflow(Path(name) / "workflow")
        for script in (workflow / "scripts").glob("*.py"):
            script.write_text(GENERATE if script.name == "generate.py" else OTHERS)
        for count in prompts:
            folder = Path(name) / str(count)
            folder.mkdir()
            rows.append(measure(workflow, folder, count))
            shutil.rmtree(folder)
    here = Path(__file__).parent
    comment = f"{IMAGES_PER_PROMPT} images per prompt, one classifier; {machine('snakemake')}"
    write_table(here / "bookkeeping.tsv", comment, rows)
    if len(rows) > 1:
        draw(rows, here / "bookkeeping.png")


def measure(workflow: Path, folder: Path, prompts: int) -> dict:
    """One study from nothing, then with nothing to do, then with one more prompt."""
    images = IMAGES_PER_PROMPT * prompts
    config = {
        "prompts": "prompts.tsv",
        "generator": {
            "model": str(WORKFLOW / "models/scenes"),
            "images_per_prompt": IMAGES_PER_PROMPT,
            "threads": 1,
        },
        "classifiers": ["cnn28"],
        "engines": ["torch"],
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    table = folder / "prompts.tsv"
    texts = (
        f"prompt{number:05}\ta forest of {number} trees by the sea at dawn, in the style of a woodcut\n"
        for number in range(prompts)
    )
    table.write_text("name\tprompt\n" + "".join(texts))
    dry = snakemake(workflow, folder, "--dry-run")
    first = snakemake(workflow, folder)
    assert len(list((folder / "results/images").glob("*.png"))) == images
    metadata = sum(path.stat().st_blocks * 512 for path in (folder / ".snakemake/metadata").rglob("*"))
    nothing = snakemake(workflow, folder)
    assert "Nothing to be done" in nothing.output
    with table.open("a") as file:
        file.write("another\tone more\n")
    more = snakemake(workflow, folder)
    return {
        "prompts": prompts,
        "images": images,
        "jobs": first.output.count("Finished jobid"),
        "dry_run_s": f"{dry.seconds:.1f}",
        "first_run_s": f"{first.seconds:.1f}",
        "first_run_ms_per_image": f"{1000 * first.seconds / images:.2f}",
        "nothing_to_do_s": f"{nothing.seconds:.1f}",
        "one_more_prompt_s": f"{more.seconds:.1f}",
        "metadata_mb": f"{metadata / 1e6:.2f}",
        "memory_mb": f"{max(run.memory_mb for run in (dry, first, nothing, more)):.0f}",
    }


def draw(rows: list[dict], path: Path) -> None:
    """Each cost against the number of prompts, on logarithmic axes, with its exponent (least squares)."""
    import numpy as np
    from matplotlib.ticker import NullFormatter

    from promptflux.figures.sheet import ACCENT, FAINT, MUTED, Sheet

    prompts = np.array([row["prompts"] for row in rows], dtype=float)
    sheet = Sheet(10.4, 3.6, dpi=130)
    sheet.title(
        "What Snakemake itself costs",
        "3 images per prompt, stand-ins for all scripts; the dashed line is the aim",
    )
    for number, (key, label, aim) in enumerate(COSTS):
        costs = np.array([float(row[key]) for row in rows])
        exponent = np.polyfit(np.log(prompts), np.log(costs), 1)[0]
        axes = sheet.axes(0.6 + 2.5 * number, 1.1, 1.9, 2.0)
        axes.loglog(prompts, costs, "o-", color=ACCENT, markersize=4)
        axes.axhline(aim, linestyle="--", color=MUTED, linewidth=0.8)
        axes.set_title(f"{label}\n∝ prompts^{round(exponent, 2) + 0.0:.2f}", loc="left")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        axes.grid(True, color=FAINT)
        axes.set_xlabel("prompts")
    sheet.save(path)


# A column, what it is, and what it should not exceed at 10,000 prompts.
COSTS = (
    ("first_run_ms_per_image", "First run, ms per image", 1),
    ("nothing_to_do_s", "Nothing to do, s", 10),
    ("metadata_mb", "Metadata, MB", 30),
    ("memory_mb", "Memory, MB", 500),
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, nargs="+", default=[100, 316, 1000, 3162, 10000])
    main(**vars(parser.parse_args()))
