"""Send drawings through the autoencoder, so that the classifiers also learn the look of generated images."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from promptflux.files.whole import whole
from promptflux.runtime.job import progress
from training.loop import device, half_precision, pixels

BATCH, NOISE = 16, 0.25  # the noise, relative to the latents' spread, stands for what a denoiser leaves


@torch.no_grad()
def main(drawings: Path, autoencoder: Path, output: Path, count: int) -> None:
    """Write the first `count` drawings as the autoencoder gives them back: uint8 [count, H, W, 3] (.npy)."""
    images = np.load(drawings, mmap_mode="r")[:count]
    model = AutoencoderKL.from_pretrained(autoencoder).to(device(), memory_format=torch.channels_last).eval()
    rng = torch.Generator().manual_seed(0)
    with whole(output) as partial:
        decoded = np.lib.format.open_memmap(partial, "w+", np.uint8, images.shape)
        for first in progress(range(0, len(images), BATCH), "decoding", "batch"):
            wanted = pixels(images[first : first + BATCH]).to(model.device, memory_format=torch.channels_last)
            with half_precision(model.device):
                latents = model.encode(wanted).latent_dist.mode().float()
                spread = (
                    NOISE / model.config.scaling_factor * torch.rand(len(latents), 1, 1, 1, generator=rng)
                )
                latents += (spread * torch.randn(latents.shape, generator=rng)).to(latents.device)
                images_back = model.decode(latents).sample.float()
            back = images_back.clamp(-1, 1).add(1).mul(127.5).round().byte()
            decoded[first : first + BATCH] = back.permute(0, 2, 3, 1).cpu().numpy()
        decoded.flush()


if "snakemake" in globals():
    from promptflux.runtime.job import job

    with job(snakemake):
        main(
            drawings=Path(snakemake.input.drawings),
            autoencoder=Path(snakemake.input.autoencoder),
            output=Path(snakemake.output[0]),
            count=snakemake.params.drawings,
        )
