"""Kill a small study again and again, any process of it at any moment, and look at what the next runs make of it.

    PYTHONPATH=scripts:tests:. python -m support.kills [--kills 50] [--seed 0]

An undisturbed run comes first. Then a study of its own is started, and one of its processes, or
all of them, is killed with SIGKILL after a random time; so often until enough kills have hit. The
run that is then left alone must end with the same images, tensors and tables; an image that was
finished before a kill must keep its bytes and its time, and no file that is not whole may be left.
Exits with 1 and a sentence if not.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from support.workflow import WORKFLOW, Study, start

TARGETS = ("results/manifest.sha256", "results/figures/gallery.png", "results/figures/small/confusion.png")


def main(kills: int, seed: int, model: Path | None = None) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = model or tiny_model(folder / "model")
        whole = start(folder / "whole", model)
        began = time.monotonic()
        whole.run(*TARGETS)
        seconds = time.monotonic() - began
        killed = start(folder / "killed", model)
        killed.change(generator={"prompts_per_job": 2})
        hits = kill_again_and_again(killed, kills, seconds, random.Random(seed))
        images = killed.images()
        killed.run(*TARGETS, cores=4)
        after = killed.images()
        check({name: after[name] for name in images} == images, "an image that was finished was made twice")
        check(killed.contents() == whole.contents(), "the bytes are not those of the undisturbed run")
        left = [str(path) for path in (killed / "results").rglob("*.partial*")]
        check(not left, f"files that are not whole were left: {', '.join(left)}")
        check("Nothing to be done" in killed.run(*TARGETS), "the next run finds something to do")
    print(f"{hits} kills ({', '.join(f'{n} of {what}' for what, n in sorted(COUNTS.items()))}): same bytes")


COUNTS: dict[str, int] = {}


def kill_again_and_again(study: Study, kills: int, seconds: float, chance: random.Random) -> int:
    """Start the study and kill one of its processes, or all, until `kills` have hit; how many have."""
    hits = 0
    survivors: dict[str, tuple[int, bytes]] = {}
    while hits < kills:
        run = subprocess.Popen(
            study.command("--cores", "4", *TARGETS),
            cwd=study.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0.5, max(1.0, 0.8 * seconds)))
        try:
            family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
            victim = chance.choice(family)
            what = job_of(victim)
            if chance.random() < 0.3:
                what = "all"
                os.killpg(run.pid, signal.SIGKILL)
            else:
                victim.kill()
        except (psutil.NoSuchProcess, ProcessLookupError):  # it was done before
            what = ""
        run.wait()
        stop_what_is_left(run.pid)
        if what:
            hits += 1
            COUNTS[what] = COUNTS.get(what, 0) + 1
        study.run("--unlock")
        now = study.images()
        check(
            {name: now.get(name) for name in survivors} == survivors,
            "an image that was finished was made twice",
        )
        survivors = now
        if run.returncode == 0 and hits < kills:  # it was done: from nothing again
            shutil.rmtree(study / "results")
            shutil.rmtree(study / ".snakemake")
            survivors = {}
    return hits


def job_of(process: psutil.Process) -> str:
    """What a process of a run does, in a word."""
    command = " ".join(process.cmdline())
    script = next((part for part in command.split(".") if part in SCRIPTS), "")
    return script or ("Snakemake" if "snakemake" in command else "shells")


SCRIPTS = {path.stem for path in (WORKFLOW / "scripts").glob("*.py")} | {"infer_flux", "export_bson"}


def stop_what_is_left(group: int) -> None:
    """Jobs outlive a killed Snakemake; the next run must not meet them."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def tiny_model(folder: Path) -> Path:
    from conftest import make_tiny_model

    make_tiny_model(folder)
    return folder


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"After the kills {otherwise}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
