"""Train the autoencoder of models/scenes on drawings: 128 × 128 pixels to 8 × 16 × 16 latents and back."""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note
from promptflux.script import run
from training.curve import loss_curve
from training.hardware import device, half_precision, machine
from training.images import edges, pixels, reconstruction
from training.loop import Training, checkpoint_of, running_average, train
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


def batch(drawings: np.ndarray, step: int, rng: np.random.Generator, settings: dict) -> torch.Tensor:
    """Batch number `step`: mirrored at random, crops first and whole drawings later."""
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
    *,
    drawings: str,
    held_out: str,
    model: str,
    curve: str,
    checkpoints: str,
    scale: float = 1.0,
    code: str = "",
) -> None:
    """Train on `drawings` (.npy) and write the folder `model` with `metrics.json`, and the loss `curve`.

    held_out: drawings (.npy) to measure it on. checkpoints: a folder for what a killed training goes on from.
    scale: multiplies the number of steps. code: a digest of it; what other code learned is no start.
    """
    settings = {
        **SETTINGS,
        "crop_steps": max(2, round(SETTINGS["crop_steps"] * scale)),
        "full_steps": max(2, round(SETTINGS["full_steps"] * scale)),
    }
    images, unseen = np.load(drawings, mmap_mode="r"), np.load(held_out, mmap_mode="r")
    torch.manual_seed(settings["seed"])
    autoencoder = new_autoencoder().to(device(), memory_format=torch.channels_last)

    def loss_of_step(step: int, rng: np.random.Generator) -> torch.Tensor:
        wanted = batch(images, step, rng, settings).to(device(), memory_format=torch.channels_last)
        with half_precision(wanted.device):
            latents = autoencoder.encode(wanted).latent_dist.mean.float()
            shown = latents
            if step % settings["half_size_every"] == 0:
                shown, wanted = half_size(latents, wanted)
            decoded = autoencoder.decode(noisy(shown, settings["latent_noise"])).sample.float()
        return loss_of(decoded, wanted, settings) + settings["shrink_weight"] * latents.square().mean()

    training = Training(
        name="autoencoder",
        module=autoencoder,
        optimizer=torch.optim.AdamW(
            autoencoder.parameters(), lr=settings["learning_rate"], betas=(0.9, 0.99), weight_decay=1e-4
        ),
        steps=settings["crop_steps"] + settings["full_steps"],
        warmup=settings["warmup"],
        seeds=(settings["seed"],),
        clipped=list(autoencoder.parameters()),
        average=running_average(autoencoder, settings["average"]),
        checkpoint=checkpoint_of(
            "autoencoder", checkpoints, {**settings, "drawings": sha256_of_file(drawings), "code": code}
        ),
        checkpoint_every=settings["checkpoint_every"],
    )
    training.resume()
    train(training, loss_of_step)

    autoencoder.load_state_dict(training.average.module.state_dict())
    metrics = {
        **reconstruction(autoencoder.eval(), unseen),
        "steps": training.steps,
        "seconds": round(training.seconds),
        "machine": machine(),
    }
    autoencoder.register_to_config(scaling_factor=round(1 / metrics["latent_std"], 5))
    autoencoder.save_pretrained(model)
    loss_curve({"autoencoder": training.losses}, "Training of the autoencoder", curve)
    with whole(Path(model) / "metrics.json") as partial:
        partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    note(
        f"autoencoder: {metrics['psnr_db']:.1f} dB on {len(unseen)} unseen drawings "
        f"after {training.steps} steps in {training.seconds / 60:.0f} min"
    )


if "snakemake" in globals():
    run(main, snakemake)
