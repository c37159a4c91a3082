"""Train the decoder of models/scenes on, with its encoder as it is: sharper pictures of the same latents.

What latents do not say (where each blade of grass is) an autoencoder learns to leave out: the mean of all that may have
been there is nearest to any of it. Here the decoder is to draw as much fine detail as there was, wherever it is. And the
latents that the U-Net makes say less than those of drawings. The decoder learns from both, so that it draws the detail
that the U-Net leaves out: there each picture is to be as rough as the drawing, and may be another one.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note, progress
from promptflux.script import run
from training.autoencoding import batches, loss_of, noisy, roughness_loss, training_of
from training.curve import loss_curve
from training.hardware import device, half_precision, machine, workers
from training.images import reconstructed, scaled_pixels, sharpness
from training.loop import checkpoint_of, train
from training.models import GUIDANCE, STEPS, signal_and_noise
from training.world.captions import caption
from training.world.sampling import scene_of

REDRAWN = 64  # drawings at a time


class Redrawing:
    """What the U-Net makes of the latents of drawings: noise over them, which it takes away again as it knows the captions.

    So they are latents as it makes them, of a picture that is known.
    """

    def __init__(self, text_model: Path, denoiser: Path, target: torch.device):
        self.tokenizer = CLIPTokenizer.from_pretrained(text_model / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(
            text_model / "text_encoder", dtype=torch.float32
        ).to(target)
        unet = UNet2DConditionModel.from_pretrained(denoiser / "unet", torch_dtype=torch.float32)
        self.unet = unet.to(target, memory_format=torch.channels_last)
        self.scheduler = DPMSolverMultistepScheduler.from_pretrained(denoiser / "scheduler")
        self.signals, self.noises = signal_and_noise(self.scheduler)

    @torch.no_grad()
    def __call__(
        self, latents: torch.Tensor, captions: list[str], first: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Scaled latents [N, C, h, w], drawn anew from step `first` of STEPS on: the later, the nearer they are to what they were."""
        tokens = self.tokenizer(
            captions + [""] * len(captions), padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        states = self.text_encoder(tokens.to(latents.device)).last_hidden_state
        self.scheduler.set_timesteps(STEPS)
        self.scheduler.set_begin_index(first)
        times = self.scheduler.timesteps[first:]
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        latents = self.signals[times[0]] * latents + self.noises[times[0]] * noise
        for time in times:
            with half_precision(latents.device):
                asked, unasked = self.unet(torch.cat([latents] * 2), time, states).sample.float().chunk(2)
            velocity = unasked + GUIDANCE * (asked - unasked)
            latents = self.scheduler.step(velocity, time, latents, generator=generator).prev_sample
        return latents


@torch.no_grad()
def redrawn_latents(
    autoencoder: AutoencoderKL, redraw: Redrawing, drawings: np.ndarray, first_seed: int, settings: Mapping
) -> torch.Tensor:
    """Unscaled latents, float16 [N, C, h, w], of `drawings` (seeds from `first_seed`) as the U-Net draws them anew."""
    scale = autoencoder.config.scaling_factor
    made = []
    for start in progress(range(0, len(drawings), REDRAWN), "redrawing", "batch"):
        part = drawings[start : start + REDRAWN]
        rng = np.random.default_rng((settings["seed"], 1, start))
        captions = [caption(scene_of(first_seed + start + i), rng) for i in range(len(part))]
        first = int(rng.integers(*settings["redrawn_from"], endpoint=True))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        images = scaled_pixels(torch.from_numpy(part.copy()).to(autoencoder.device))
        latents = autoencoder.encode(images).latent_dist.mode() * scale
        made.append((redraw(latents, captions, first, generator) / scale).half().cpu())
    return torch.cat(made)


def main(
    *,
    drawings: str,
    held_out: str,
    first_seed: int,
    autoencoder: str,
    text_model: str,
    denoiser: str,
    settings: Mapping,
    model: str,
    curve: str,
    checkpoints: str,
    scale: float = 1.0,
    code: str = "",
    threads: int = 1,
) -> None:
    """Train the decoder of `autoencoder` on `drawings` (.npy, seeds from `first_seed`); write the folder `model` with
    `metrics.json`, and the loss `curve`.

    held_out: drawings (.npy) to measure it on. text_model, denoiser: folders, of what draws on those latents. settings: the
    `decoder` of config.yaml. checkpoints: a folder for what a killed training goes on from. scale: multiplies the numbers
    of steps and of drawings that are drawn anew. code: a digest of it; what other code learned is no start. threads:
    processes that make batches for a GPU.
    """
    settings = {
        **settings,
        "steps": max(2, round(settings["steps"] * scale)),
        "redrawn": max(settings["batch"], round(settings["redrawn"] * scale)),
    }
    images, unseen = np.load(drawings, mmap_mode="r"), np.load(held_out, mmap_mode="r")
    torch.manual_seed(settings["seed"])
    target = device()
    whole_model = AutoencoderKL.from_pretrained(autoencoder).to(target, memory_format=torch.channels_last)
    whole_model.requires_grad_(False)
    words, trained = Path(text_model), Path(denoiser)
    decoder = torch.nn.ModuleList([whole_model.post_quant_conv, whole_model.decoder]).requires_grad_(True)
    made_of = {
        **settings,
        "autoencoder": sha256_of_file(next(Path(autoencoder).glob("*.safetensors"))),
        "text_model": sha256_of_file(next((words / "text_encoder").glob("*.safetensors"))),
        "denoiser": sha256_of_file(min((trained / "unet").glob("*.safetensors"))),
        "drawings": sha256_of_file(drawings),
        "code": code,
    }
    redrawn = images[: settings["redrawn"]]
    latents_of_redrawn = redrawn_latents(
        whole_model, Redrawing(words, trained, target), redrawn, first_seed, settings
    )
    of_drawings = batches(images, settings["batch"] - settings["batch"] // 2)

    def batch_of(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        chosen = np.sort(rng.integers(len(redrawn), size=settings["batch"] // 2))
        return {
            "encoded": of_drawings(step, rng),
            "redrawn": torch.from_numpy(redrawn[chosen]),
            "latents": latents_of_redrawn[chosen],
        }

    def loss_of_step(step: int, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        encoded, redrawn = scaled_pixels(batch["encoded"]), scaled_pixels(batch["redrawn"])
        with half_precision(target):
            latents = whole_model.encode(encoded).latent_dist.mean.float()
            latents = torch.cat([noisy(latents, settings["latent_noise"]), batch["latents"].float()])
            decoded = whole_model.decode(latents).sample.float()
        count = len(encoded)
        roughness = roughness_loss(decoded[count:], redrawn)
        return loss_of(decoded[:count], encoded, settings) + settings["roughness_weight"] * roughness

    training = training_of("decoder", decoder, settings, checkpoint_of("decoder", checkpoints, made_of))
    training.resume()
    train(training, batch_of, loss_of_step, workers=workers(threads), cycle=1)

    decoder.load_state_dict(training.average.module.state_dict())
    decoded, measured = reconstructed(whole_model.eval(), unseen)
    before = json.loads((Path(autoencoder) / "metrics.json").read_text(encoding="utf-8"))
    metrics = {
        **before,
        "decoder": {
            "psnr_db": measured["psnr_db"],
            "sharpness": sharpness(decoded),
            "steps": training.steps,
            "seconds": round(training.seconds),
            "machine": machine(),
        },
    }
    whole_model.save_pretrained(model)
    loss_curve({"decoder": training.losses}, "Training of the decoder alone", curve)
    with whole(Path(model) / "metrics.json") as partial:
        partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    finest = metrics["decoder"]["sharpness"]["finest"] / before["sharpness_of_drawings"]["finest"]
    note(
        f"decoder: {finest:.0%} of the finest detail of {len(unseen)} unseen drawings, "
        f"after {training.steps} steps in {training.seconds / 60:.0f} min"
    )


if "snakemake" in globals():
    run(main, snakemake)
