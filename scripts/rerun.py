"""Run a packed study again, and see whether the same bytes come out.

    python scripts/rerun.py my_study.zip again

Unpacks it into the folder `again`, says what is missing or another than it was, runs the study there and compares images and
predictions with those of the pack. Started again with the folder in place of the zip file, it goes on where it was.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from promptflux.errors import StudyError, listed, plain
from promptflux.opened.pack import STUDY, WORKFLOW, check_inputs, unpack, verified
from promptflux.runtime.job import note


def main(arguments: Sequence[str] | None = None) -> bool:
    """Run what the command line names; whether all files are the same bytes. Raises StudyError."""
    given = _parsed(arguments)
    pack = Path(given.pack)
    folder = pack if pack.is_dir() else Path(given.folder or pack.with_suffix(""))
    if not pack.is_dir():
        unpack(pack, folder)
        note(f"{plain(pack)} is unpacked in {plain(folder)}.")
    check_inputs(folder)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Snakefile"),
        "--directory", str((folder / STUDY).resolve()), "--cores", given.cores,
    ]  # fmt: skip
    # Where the workflow lies: Snakemake reads profiles in the folder that it is started in.
    if subprocess.run(command, cwd=WORKFLOW).returncode:
        raise StudyError(
            f"{plain(folder)}: the study did not run to its end; when that is mended: python scripts/rerun.py {plain(folder)}"
        )
    same, others = verified(folder)
    note(f"{len(same):,} of {len(same) + len(others):,} images and tables are the same bytes as in the pack.")
    if others:
        note(
            f"Not the same: {listed(others)}. Other versions, processors or devices round otherwise in the last bits: "
            f"{plain(folder)}/environment/versions.json says what it was made with, and how far images differ shows `compare`."
        )
    return not others


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rerun.py", description="Run a packed study again and verify it.")
    parser.add_argument("pack", help="the zip file that pack.py wrote, or the folder that it was unpacked in")
    parser.add_argument(
        "folder", nargs="?", help="where to unpack it; the name of the zip file without .zip, if not given"
    )
    parser.add_argument("--cores", default="all", help="as of Snakemake")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(0 if main() else 1)
    except StudyError as error:
        sys.exit(f"error: {error}")
