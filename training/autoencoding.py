"""What autoencoder and decoder learn from, and how far a decoded picture is from a drawing."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from training.images import edges, spectra
from training.loop import Training, running_average

WINDOW = 16  # pixels, of the windows whose frequencies are compared


def training_of(name: str, module: nn.Module, settings: Mapping, checkpoint: Path) -> Training:
    """The training of a module with the `settings` of config.yaml: AdamW, gradients held to the length 1, weights averaged."""
    return Training(
        name=name,
        module=module,
        optimizer=torch.optim.AdamW(
            module.parameters(), lr=settings["learning_rate"], betas=(0.9, 0.99), weight_decay=1e-4
        ),
        steps=settings["steps"],
        warmup=settings["warmup"],
        seeds=(settings["seed"],),
        clipped=list(module.parameters()),
        average=running_average(module, settings["average"]),
        checkpoint=checkpoint,
        checkpoint_every=settings["checkpoint_every"],
    )


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


def roughness_loss(decoded: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """How far the mean strengths of the frequencies of each picture are from those of its image, wherever they are in it."""
    found, right = (spectra(x, WINDOW).mean((-1, -2)) for x in (decoded, images))
    return F.l1_loss(found, right)
