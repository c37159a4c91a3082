"""Train the autoencoder of models/scenes on drawings: 128 × 128 pixels to 8 × 16 × 16 latents and back."""

import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note, progress
from training.loop import (
    Average,
    device,
    edges,
    half_precision,
    learning_rate,
    load_checkpoint,
    loss_curve,
    machine,
    measure,
    pixels,
    save_checkpoint,
)
from training.models import new_autoencoder

SETTINGS = {
    "seed": 1,
    "crop_steps": 4000,  # on crops, which cost a quarter: first see many textures ...
    "crop": 64,
    "crop_batch": 32,
    "full_steps": 1600,  # ... then whole drawings, on which the group norms see what they will see
    "full_batch": 8,
    "learning_rate": 1e-3,
    "warmup": 50,
    "shrink_weight": 1e-4,  # small: it only keeps the latents from growing
    "edge_weight": 0.5,
    "latent_noise": 0.1,  # at most, relative to the latents' spread: what a denoiser leaves, the decoder forgives
    "half_size_every": 3,  # steps between those on latents of half the size, see `half_size`
    "average": 0.995,
    "checkpoint_every": 200,
}


def batch(drawings: np.ndarray, step: int, settings: dict) -> torch.Tensor:
    """Batch number `step`: mirrored at random, crops first and whole drawings later."""
    rng = np.random.default_rng((settings["seed"], step))
    full = step >= settings["crop_steps"]
    chosen = rng.integers(len(drawings), size=settings["full_batch" if full else "crop_batch"])
    side = drawings.shape[1] if full else settings["crop"]
    crops = []
    for i in np.sort(chosen):
        y, x = rng.integers(0, drawings.shape[1] - side + 1, 2)
        crop = drawings[i, y : y + side, x : x + side]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return pixels(np.stack(crops))


def noisy(latents: torch.Tensor, amount: float) -> torch.Tensor:
    """Latents [N, C, H, W] with noise of up to `amount` times their spread, another share for each image."""
    share = amount * torch.rand(len(latents), 1, 1, 1, device=latents.device)
    return latents + share * latents.detach().std() * torch.randn_like(latents)


def half_size(latents: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both at half the size: a latent that shrinks like its image is one that a denoiser learns sooner.

    The scale equivariance of Kouzelis et al. 2025 (arXiv:2502.09509).
    """
    return F.avg_pool2d(latents, 2), F.avg_pool2d(images, 2)


def loss_of(decoded: torch.Tensor, images: torch.Tensor, settings: dict) -> torch.Tensor:
    """Differences of pixels (absolute and squared) and of edges (absolute, at two scales)."""
    loss = F.l1_loss(decoded, images) + F.mse_loss(decoded, images)
    for scale in (1, 2):
        small, wanted = (F.avg_pool2d(x, scale) for x in (decoded, images))
        differences = (F.l1_loss(a, b) for a, b in zip(edges(small), edges(wanted), strict=True))
        loss = loss + settings["edge_weight"] * sum(differences) / 2
    return loss


def main(
    drawings: Path,
    held_out: Path,
    output: Path,
    curve: Path,
    checkpoint: Path,
    scale: float = 1.0,
) -> None:
    """Train on `drawings` (.npy) and write the model folder `output` with `metrics.json`, and the loss `curve`.

    `scale` multiplies the number of steps. After a kill, training goes on from `checkpoint`.
    """
    settings = {
        **SETTINGS,
        "crop_steps": max(2, round(SETTINGS["crop_steps"] * scale)),
        "full_steps": max(2, round(SETTINGS["full_steps"] * scale)),
        "drawings": sha256_of_file(drawings),
    }
    steps = settings["crop_steps"] + settings["full_steps"]
    images, unseen = np.load(drawings, mmap_mode="r"), np.load(held_out, mmap_mode="r")
    torch.manual_seed(settings["seed"])
    model = new_autoencoder().to(device(), memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=1e-4)
    average, losses, start, seconds = Average(model, settings["average"]), [], 0, 0.0
    state = load_checkpoint(checkpoint, settings)
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, losses, start, seconds = (
            state["average"],
            state["losses"],
            state["step"],
            state["seconds"],
        )

    begun = time.monotonic()
    for step in progress(range(start, steps), "autoencoder", "step"):
        torch.manual_seed(settings["seed"] * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, settings["learning_rate"], settings["warmup"])
        wanted = batch(images, step, settings).to(model.device, memory_format=torch.channels_last)
        with half_precision(model.device):
            latents = model.encode(wanted).latent_dist.mean.float()
            if step % settings["half_size_every"] == 0:
                shown, wanted = half_size(latents, wanted)
            else:
                shown = latents
            decoded = model.decode(noisy(shown, settings["latent_noise"])).sample.float()
        loss = loss_of(decoded, wanted, settings) + settings["shrink_weight"] * latents.square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model, step)
        losses.append(float(loss.detach()))
        if (step + 1) % settings["checkpoint_every"] == 0 or step + 1 == steps:
            save_checkpoint(
                checkpoint, settings=settings, step=step + 1, model=model.state_dict(), optimizer=optimizer.state_dict(),
                average=average.values, losses=losses, seconds=seconds + time.monotonic() - begun,
            )  # fmt: skip

    seconds += time.monotonic() - begun
    model.load_state_dict(average.values)
    figures = {
        **measure(model.eval(), unseen),
        "steps": steps,
        "seconds": round(seconds),
        "machine": machine(),
    }
    model.register_to_config(scaling_factor=round(1 / figures["latent_std"], 5))
    model.save_pretrained(output)
    loss_curve({"autoencoder": losses}, "Training of the autoencoder", curve)
    with whole(Path(output) / "metrics.json") as partial:
        partial.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    note(
        f"autoencoder: {figures['psnr_db']:.1f} dB on {len(unseen)} unseen drawings after {steps} steps in {seconds / 60:.0f} min"
    )


if "snakemake" in globals():
    from promptflux.runtime.job import job

    with job(snakemake):
        main(
            drawings=Path(snakemake.input.drawings),
            held_out=Path(snakemake.input.held_out),
            output=Path(snakemake.output.model),
            curve=Path(snakemake.output.curve),
            checkpoint=Path(snakemake.params.checkpoint),
            scale=snakemake.params.scale,
        )
