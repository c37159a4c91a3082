"""What stands beside the environment for comparison, as tests/beside.txt lists it: networks of torchvision and of timm."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(sys.prefix) / "beside"
PACKAGES = ("torchvision", "timm")
POOL = 1_000_003  # random numbers that weights are made of, so that half a gigabyte of them takes no time

_modules: dict[str, ModuleType] = {}
_operators: list[torch.library.Library] = []


@contextmanager
def beside() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The models of torchvision, and timm; outside of it they are not there, as in the product's environment."""
    if not FOLDER.is_dir():
        pytest.skip(
            f"NOT TESTED: the architectures beside torchvision and timm, as {FOLDER} is missing: pip install --no-deps "
            f"--target {FOLDER} --requirement tests/beside.txt"
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(
        1
    )  # on several, small layers wait for each other, all the more where other tests run
    sys.path.append(str(FOLDER))
    sys.modules.update(_modules)
    try:
        try:
            models = importlib.import_module("torchvision.models")
        except (
            RuntimeError
        ):  # its operators are built for CUDA; no network here needs them, but it wants to know two
            _operators.append(torch.library.Library("torchvision", "DEF"))
            for name in ("nms", "qnms"):
                _operators[-1].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            models = importlib.import_module("torchvision.models")
        yield models, importlib.import_module("timm")
    finally:
        torch.set_num_threads(threads)
        sys.path.remove(str(FOLDER))
        for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
            _modules[name] = sys.modules.pop(name)


def with_numbers(network: torch.nn.Module, images: torch.Tensor) -> torch.nn.Module:
    """A network of the device "meta" with weights, so that all its values are of the order of 1; in eval mode.

    images: of which batch normalization takes its mean and variance, as in a training.
    """
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(0))
    network.to_empty(device="cpu")
    offset = 0
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                tensor.zero_()
                continue
            offset = (offset + 7919) % 1000
            count = tensor.numel()
            numbers = pool[offset:].repeat(count // (POOL - offset) + 1)[:count].reshape(tensor.shape)
            if tensor.ndim == 1 or "scale" in name or "gamma" in name:
                tensor.copy_(numbers * 0.1 + float(name.endswith(("weight", "var", "scale", "gamma"))))
            else:
                tensor.copy_(numbers * (2 / tensor[0].numel()) ** 0.5)
        for part in network.modules():
            # What a block adds is small in a trained ResNet; else rounding grows from block to block.
            if type(part).__name__ in ("BasicBlock", "Bottleneck"):
                getattr(part, "bn3", part.bn2).weight.mul_(0.2)
        norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None
        if norms:
            with torch.random.fork_rng():  # some leave out blocks at random while they are trained
                torch.manual_seed(0)
                network.train()(images)
    return network.eval()
