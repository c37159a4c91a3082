"""Memory and time of the Flux engine over many images: a whole `infer_flux` job, as Snakemake runs it.

    python benchmarks/flux_streaming.py [--images 100 1000 10000] [--threads 2]

Writes flux_streaming.tsv beside itself. The images are 224×224, gray; the memory is the largest
resident set of the Julia process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flux_vs_torch import job_script, julia_versions, prepare
from measured import machine, write_table


def main(images: list[int], threads: int) -> None:
    rows = []
    for count in images:
        with tempfile.TemporaryDirectory() as folder:
            files = prepare(Path(folder), "cnn224", count)
            seconds, memory = timed(["julia", f"--threads={threads}", str(job_script(files, threads))])
            size = files["tensors"].stat().st_size / 2**20
        rows.append(
            {
                "images": count,
                "seconds": f"{seconds:.1f}",
                "images_per_s": f"{count / seconds:.0f}",
                "largest_memory_MiB": f"{memory:.0f}",
                "tensors_MiB": f"{size:.0f}",
            }
        )
    comment = f"cnn224, a whole job on {threads} threads; {machine()}, {julia_versions()}"
    write_table(Path(__file__).with_suffix(".tsv"), comment, rows)


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds that `command` takes, and its largest resident set in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed; run it to see why")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--threads", type=int, default=2)
    main(**vars(parser.parse_args()))
