"""Drawings as tensors, how sharp pictures are, and what an autoencoder loses of drawings."""

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL


def pixels(drawings: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in -1..1, channels last in memory."""
    return scaled_pixels(torch.from_numpy(np.array(drawings)))


def scaled_pixels(drawings: torch.Tensor) -> torch.Tensor:
    """`pixels` of a tensor, wherever it is."""
    return drawings.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def edges(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Differences of neighboring pixels, downwards and to the right."""
    return images[:, :, 1:] - images[:, :, :-1], images[:, :, :, 1:] - images[:, :, :, :-1]


def spectra(images: torch.Tensor, side: int) -> torch.Tensor:
    """How strong each frequency is in overlapping windows of `side` pixels (Hann): float [N × C, frequencies, windows, windows].

    Without their phases, which a decoder cannot know of grass and stars: a picture is as rough as another if they agree.
    """
    n = torch.arange(side, device=images.device)
    turns = 2 * torch.pi * (n[:, None, None, None] * n[:, None] + n[: side // 2 + 1, None, None] * n) / side
    window = torch.hann_window(side, periodic=True, device=images.device)
    waves = (
        torch.cat([turns.cos().flatten(0, 1), turns.sin().flatten(0, 1)]) * window[:, None] * window / side
    )
    planes = images.float().flatten(0, 1)[:, None]
    real, imaginary = F.conv2d(planes, waves[:, None], stride=side // 2).chunk(2, dim=1)
    return (real.square() + imaginary.square() + 1e-8).sqrt()  # the root of 0 has no slope


def sharpness(images: np.ndarray) -> dict[str, float]:
    """How sharp pictures are, uint8 [N, H, W, 3]: medians over the pictures.

    fine, finest: the share of a picture's energy (luminance of ITU-R BT.601 in 0..1, Hann window, without its mean)
    between a quarter and a half of the highest frequency, and above that. edge: the 99th percentile of the length of
    its gradient (NumPy's central differences).
    """
    weights = np.array([0.299, 0.587, 0.114])
    height, width = images.shape[1:3]
    window = np.outer(np.hanning(height), np.hanning(width))
    frequency = (
        np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) / 0.5
    )  # 1: the highest along an axis
    fine, finest, edge = [], [], []
    for image in images:
        luminance = (image / 255) @ weights
        energy = np.abs(np.fft.fft2((luminance - luminance.mean()) * window)) ** 2
        total = energy[frequency > 0].sum()
        fine.append(energy[(frequency > 0.25) & (frequency <= 0.5)].sum() / total)
        finest.append(energy[frequency > 0.5].sum() / total)
        edge.append(np.percentile(np.hypot(*np.gradient(luminance)), 99))
    return {
        name: round(float(np.median(values)), 4)
        for name, values in (("fine", fine), ("finest", finest), ("edge", edge))
    }


@torch.no_grad()
def reconstructed(model: AutoencoderKL, drawings: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Decoded drawings, uint8 [N, H, W, 3], with their peak signal-to-noise ratio (dB) and the spread of the latents (for the scaling factor)."""
    squared, latents, shown = [], [], []
    for first in range(0, len(drawings), 16):
        images = pixels(drawings[first : first + 16]).to(model.device)
        z = model.encode(images).latent_dist.mode()
        decoded = model.decode(z).sample.clamp(-1, 1)
        squared.append(((decoded - images) / 2).square().mean((1, 2, 3)))
        latents.append(z)
        shown.append(decoded.add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    psnr = -10 * torch.cat(squared).log10()
    return np.concatenate(shown), {
        "psnr_db": float(psnr.mean()),
        "latent_std": float(torch.cat(latents).std()),
    }
