"""How a process treats memory that it frees."""

import ctypes
import sys


def keep_memory() -> None:
    """Have glibc keep freed memory instead of handing it back; other C libraries do as they do.

    Tensors of more than 32 MiB would come fresh from the kernel each time, which then clears them page by page: nearly half
    of the time of a training step of `cnn224`, a third of that of its predictions.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
        mallopt(M_TRIM_THRESHOLD, -1)
        mallopt(M_MMAP_MAX, 0)
