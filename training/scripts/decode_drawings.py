"""Send drawings through the autoencoder, so that the classifiers also learn the look of generated images."""

import numpy as np
import torch
from diffusers import AutoencoderKL

from promptflux.files.whole import whole
from promptflux.runtime.job import progress
from promptflux.script import run
from training.hardware import device, half_precision
from training.images import pixels

BATCH, NOISE = 16, 0.25  # the noise, relative to the latents' spread, stands for what a denoiser leaves


@torch.no_grad()
def main(*, drawings: str, autoencoder: str, decoded: str, number: int) -> None:
    """Write the first `number` drawings as the autoencoder gives them back: uint8 [number, H, W, 3] (.npy)."""
    images = np.load(drawings, mmap_mode="r")[:number]
    model = AutoencoderKL.from_pretrained(autoencoder).to(device(), memory_format=torch.channels_last).eval()
    rng = torch.Generator().manual_seed(0)
    with whole(decoded) as partial:
        back = np.lib.format.open_memmap(partial, "w+", np.uint8, images.shape)
        for first in progress(range(0, len(images), BATCH), "decoding", "batch"):
            wanted = pixels(images[first : first + BATCH]).to(model.device, memory_format=torch.channels_last)
            with half_precision(model.device):
                latents = model.encode(wanted).latent_dist.mode().float()
                spread = (
                    NOISE / model.config.scaling_factor * torch.rand(len(latents), 1, 1, 1, generator=rng)
                )
                latents += (spread * torch.randn(latents.shape, generator=rng)).to(latents.device)
                shown = model.decode(latents).sample.float()
            shown = shown.clamp(-1, 1).add(1).mul(127.5).round().byte()
            back[first : first + BATCH] = shown.permute(0, 2, 3, 1).cpu().numpy()
        back.flush()


if "snakemake" in globals():
    run(main, snakemake)
