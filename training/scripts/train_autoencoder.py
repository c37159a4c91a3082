"""Train the autoencoder of models/scenes on drawings: 128 × 128 pixels to latents and back."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note
from promptflux.script import run
from training.curve import loss_curve
from training.hardware import device, half_precision, machine, workers
from training.images import edges, reconstructed, scaled_pixels, sharpness, spectra
from training.loop import Training, checkpoint_of, running_average, train
from training.models import new_autoencoder

WINDOW = 16  # pixels, of the windows whose frequencies are compared


def batches(drawings: np.ndarray, count: int) -> Callable[[int, np.random.Generator], torch.Tensor]:
    """What makes the batch of a step: `count` drawings, mirrored at random, uint8 [count, H, W, 3]."""

    def batch_of(step: int, rng: np.random.Generator) -> torch.Tensor:
        chosen = np.sort(rng.integers(len(drawings), size=count))
        mirrored = rng.random(count) < 0.5
        return torch.from_numpy(
            np.stack(
                [
                    drawings[i][:, ::-1] if flip else drawings[i]
                    for i, flip in zip(chosen, mirrored, strict=True)
                ]
            )
        )

    return batch_of


def noisy(latents: torch.Tensor, amount: float) -> torch.Tensor:
    """Latents [N, C, H, W] with noise of up to `amount` times their spread, another share for each image."""
    share = amount * torch.rand(len(latents), 1, 1, 1, device=latents.device)
    return latents + share * latents.detach().std() * torch.randn_like(latents)


def half_size(latents: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both at half the size: a latent that shrinks like its image is one that a denoiser learns sooner.

    The scale equivariance of Kouzelis et al. 2025 (arXiv:2502.09509).
    """
    return F.avg_pool2d(latents, 2), F.avg_pool2d(images, 2)


def loss_of(decoded: torch.Tensor, images: torch.Tensor, settings: Mapping) -> torch.Tensor:
    """Differences of pixels (absolute and squared), of edges (absolute, at two scales) and of the strength of frequencies.

    The first two alone reward a mean of all that may have been there, which is soft.
    """
    loss = F.l1_loss(decoded, images) + F.mse_loss(decoded, images)
    for scale in (1, 2):
        small, wanted = (F.avg_pool2d(x, scale) for x in (decoded, images))
        differences = (F.l1_loss(a, b) for a, b in zip(edges(small), edges(wanted), strict=True))
        loss = loss + settings["edge_weight"] * sum(differences) / 2
    if settings["spectral_weight"]:
        found, right = (spectra(x, WINDOW) for x in (decoded, images))
        loss = loss + settings["spectral_weight"] * F.l1_loss(found, right)
    return loss


def main(
    *,
    drawings: str,
    held_out: str,
    settings: Mapping,
    model: str,
    curve: str,
    checkpoints: str,
    scale: float = 1.0,
    code: str = "",
    threads: int = 1,
) -> None:
    """Train on `drawings` (.npy) and write the folder `model` with `metrics.json`, and the loss `curve`.

    held_out: drawings (.npy) to measure it on. settings: the `autoencoder` of config.yaml. checkpoints: a folder for
    what a killed training goes on from. scale: multiplies the number of steps. code: a digest of it; what other code
    learned is no start. threads: processes that make batches for a GPU.
    """
    settings = {**settings, "steps": max(2, round(settings["steps"] * scale))}
    images, unseen = np.load(drawings, mmap_mode="r"), np.load(held_out, mmap_mode="r")
    torch.manual_seed(settings["seed"])
    target = device()
    autoencoder = new_autoencoder(settings["widths"], settings["latent_channels"])
    autoencoder = autoencoder.to(target, memory_format=torch.channels_last)

    def loss_of_step(step: int, chosen: torch.Tensor) -> torch.Tensor:
        wanted = scaled_pixels(chosen)
        with half_precision(target):
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
        steps=settings["steps"],
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
    train(
        training,
        batches(images, settings["batch"]),
        loss_of_step,
        workers=workers(threads),
        cycle=settings["half_size_every"],
    )

    autoencoder.load_state_dict(training.average.module.state_dict())
    decoded, measured = reconstructed(autoencoder.eval(), unseen)
    metrics = {
        **measured,
        "sharpness": sharpness(decoded),
        "sharpness_of_drawings": sharpness(unseen),
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
        f"autoencoder: {metrics['psnr_db']:.1f} dB on {len(unseen)} unseen drawings, "
        f"{metrics['sharpness']['finest'] / metrics['sharpness_of_drawings']['finest']:.0%} of their finest detail, "
        f"after {training.steps} steps in {training.seconds / 60:.0f} min"
    )


if "snakemake" in globals():
    run(main, snakemake)
