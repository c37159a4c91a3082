"""Drawings as tensors, and what an autoencoder loses of them."""

import numpy as np
import torch
from diffusers import AutoencoderKL


def pixels(drawings: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in -1..1, channels last in memory."""
    return torch.from_numpy(np.array(drawings)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def edges(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of neighboring pixels, downwards and to the right."""
    return images[:, :, 1:] - images[:, :, :-1], images[:, :, :, 1:] - images[:, :, :, :-1]


@torch.no_grad()
def reconstruction(model: AutoencoderKL, drawings: np.ndarray) -> dict[str, float]:
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
