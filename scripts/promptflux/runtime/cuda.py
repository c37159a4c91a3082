"""Whether the GPU of a job is one that its PyTorch can use."""

import torch

from promptflux.errors import StudyError
from promptflux.runtime import gpu


def need_cuda() -> None:
    """Raise StudyError if this job holds a GPU that its PyTorch does not see: it would compute on the CPU in silence."""
    if not gpu.held or torch.cuda.is_available():
        return
    built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built for CPUs"
    raise StudyError(
        f"this job holds a GPU, and its PyTorch {torch.__version__} sees no CUDA: it {built}. A conda environment made where "
        f"there is no GPU gets the PyTorch for CPUs: delete it, and make it again with the variable CONDA_OVERRIDE_CUDA set to "
        f"the CUDA version of the GPU's driver (nvidia-smi shows it). To compute on CPUs instead: --resources gpu=0"
    )
