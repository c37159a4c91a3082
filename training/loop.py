"""What the training scripts share: device, precision, learning rate, weight averages, checkpoints and loss curves."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note
from promptflux.runtime.memory import keep_memory


def device() -> torch.device:
    """A GPU if there is one, else the CPU, with the memory of the process kept for what comes next."""
    if torch.cuda.is_available():
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


def seed_of(seed: int, start: Path | None) -> int:
    """The seed of a training: `seed` if it begins from nothing, else one that follows from the weights file `start`.

    Otherwise a training that goes on would meet the batches again that made `start`.
    """
    return seed if start is None else seed ^ int(sha256_of_file(start)[:8], 16)


def half_precision(target: torch.device) -> torch.autocast:
    """Automatic bfloat16 on GPUs and on processors that compute in it; elsewhere it would be emulated, ten times slower."""
    quick = (
        target.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
    return torch.autocast(target.type, torch.bfloat16, enabled=quick)


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear warm-up to `peak`, which then holds until the last 30 % of the steps, a straight line down to 0.

    Until that line begins, nothing depends on `steps`: a training can go on for longer than it was planned
    (Hu et al. 2024, arXiv:2404.06395).
    """
    return peak * min(1.0, (step + 1) / warmup, (steps - step) / (0.3 * steps))


def pixels(drawings: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in -1..1, channels last in memory."""
    return torch.from_numpy(np.array(drawings)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def edges(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of neighbouring pixels, downwards and to the right."""
    return images[:, :, 1:] - images[:, :, :-1], images[:, :, :, 1:] - images[:, :, :, :-1]


@torch.no_grad()
def measure(model: AutoencoderKL, drawings: np.ndarray) -> dict[str, float]:
    """Peak signal-to-noise ratio (dB) of decoded drawings, and the spread of the latents (for the scaling factor)."""
    squared, latents = [], []
    for first in range(0, len(drawings), 16):
        images = pixels(drawings[first : first + 16]).to(model.device)
        z = model.encode(images).latent_dist.mode()
        decoded = model.decode(z).sample.clamp(-1, 1)
        squared.append(((decoded - images) / 2).square().mean((1, 2, 3)))
        latents.append(z)
    psnr = -10 * torch.cat(squared).log10()
    return {"psnr_db": float(psnr.mean()), "latent_std": float(torch.cat(latents).std())}


class MuonAndAdamW:
    """Muon for the matrices inside a network, AdamW for its first and last layers, its biases and norms.

    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) gives every direction of a weight a step of the same
    length; a convolution counts as the matrix [out, in × k × k]. Its steps are scaled to the size of AdamW's
    (Liu et al. 2025, arXiv:2502.16982), so that one learning rate serves both.
    """

    def __init__(self, module: torch.nn.Module, outer: Sequence[str], weight_decay: float):
        named = dict(module.named_parameters())
        inner = [name for name, p in named.items() if p.ndim > 1 and not name.startswith(tuple(outer))]
        self.weights = [named[name] for name in inner]
        self.matrices = [
            torch.nn.Parameter(_matrix(weight.data, weight)) for weight in self.weights
        ]  # the same memory
        self.muon = torch.optim.Muon(self.matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        rest = [p for name, p in named.items() if name not in set(inner)]
        self.adamw = torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=weight_decay)

    def step(self, rate: float) -> None:
        """One step of learning rate `rate` along the gradients of the module, which it then forgets."""
        for matrix, weight in zip(self.matrices, self.weights, strict=True):
            matrix.grad = None if weight.grad is None else _matrix(weight.grad, weight)
        for optimizer in (self.muon, self.adamw):
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for weight in self.weights:
            weight.grad = None

    def state_dict(self) -> dict:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


def _matrix(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The `values` of a weight [out, in] or [out, in, k, k], or its gradient, as a matrix in the weight's order in memory."""
    if weight.ndim == 4 and not weight.is_contiguous():
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)


class Average:
    """An exponential moving average of a module's floating-point parameters and buffers.

    The decay rises as (1 + step) / (10 + step) up to `decay`, so that early steps are forgotten.
    """

    def __init__(self, module: torch.nn.Module, decay: float):
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)


def save_checkpoint(path: Path, **state) -> None:
    """Write all that is needed to go on after a kill; the file appears whole."""
    with whole(path) as partial:
        torch.save(state, partial)


def load_checkpoint(path: Path, settings: dict) -> dict | None:
    """The checkpoint at `path`, or None if there is none or it was made with other settings or drawings; more steps are welcome."""
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    planned = {key: value for key, value in settings.items() if key == "steps"}
    if state["settings"] | planned != settings or state["step"] > settings.get("steps", state["step"]):
        note(f"{path} was made with other settings or drawings: starting again")
        return None
    note(f"going on after step {state['step']} of {path}")
    return state


def loss_curve(losses: dict[str, list[float]], title: str, path: Path) -> None:
    """Draw the losses (one value a step) as smoothed curves on a logarithmic scale (PNG)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in losses.items():
        if not values:  # a part that was not trained
            continue
        width = max(1, len(values) // 100)
        smooth = np.convolve(values, np.ones(width) / width, "valid")
        axes.plot(np.arange(len(smooth)) + width, smooth, label=name)
    axes.set(title=title, xlabel="step", ylabel="loss (running mean)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    with whole(path) as partial:
        figure.savefig(partial, dpi=120, metadata={"Software": None})
