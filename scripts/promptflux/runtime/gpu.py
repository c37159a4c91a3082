"""Which NVIDIA GPUs are here, and one of them for one job at a time.

A job locks the GPU that it picks (`flock` on a file named after the GPU's UUID, as julia/src/gpu.jl
does too), so that jobs of several runs on one machine do not meet on a GPU. A lock goes with
its process, however that ends.
"""

import fcntl
import os
import re
import subprocess
import time
from pathlib import Path

LOCKS = Path("/tmp")
held = 0  # the GPUs that this process has claimed


def visible_gpus() -> list[str]:
    """The UUIDs of the GPUs that this process may use, in the order of nvidia-smi; none without a driver.

    CUDA_VISIBLE_DEVICES, which Slurm sets for its jobs, is respected.
    """
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    uuids = re.findall(r"^GPU \d+: .*\(UUID: (GPU-[\w-]+)\)", listing, flags=re.MULTILINE)
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return uuids
    names = {str(number): uuid for number, uuid in enumerate(uuids)} | {uuid: uuid for uuid in uuids}
    return [names[name] for name in map(str.strip, allowed.split(",")) if name in names]


def claim_gpu(wanted: int) -> None:
    """Leave one GPU visible to this process, for as long as it lives, or none if none is wanted.

    Waits while all are taken. Call it before CUDA starts. Without nvidia-smi what is visible
    stays as it is.
    """
    global held
    held = wanted
    if not wanted:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    gpus = visible_gpus()
    while gpus:
        for uuid in gpus:
            if locked(LOCKS / f"promptflux-{uuid}.lock"):
                os.environ["CUDA_VISIBLE_DEVICES"] = uuid
                return
        time.sleep(1)


def locked(path: Path) -> bool:
    """Whether this process now holds the lock, which it keeps until it ends."""
    try:
        descriptor = os.open(path, os.O_RDONLY)  # another user's file can be locked, not created again
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True
