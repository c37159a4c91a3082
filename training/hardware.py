"""Where a training computes, and in which precision."""

import os
import platform
from pathlib import Path

import torch

from promptflux.runtime.cuda import need_cuda
from promptflux.runtime.memory import keep_memory


def device() -> torch.device:
    """A GPU if there is one, else the CPU, with the memory of the process kept for what comes next.

    StudyError if the job holds a GPU that PyTorch does not see.
    """
    need_cuda()
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
        return torch.device("cuda")
    keep_memory()
    return torch.device("cpu")


def machine() -> str:
    """The processor and what of it there is, as a model card names it."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.processor() or platform.machine()}"


def workers(threads: int) -> int:
    """How many processes make batches ahead of a training that may use `threads`: none where it computes on the CPU itself."""
    return threads if torch.cuda.is_available() else 0


def half_precision(target: torch.device) -> torch.autocast:
    """Automatic bfloat16 on GPUs and on processors that compute in it; elsewhere it would be emulated, ten times slower."""
    quick = (
        target.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
    return torch.autocast(target.type, torch.bfloat16, enabled=quick)
