"""Train the decoder of models/scenes on, with its encoder as it is: sharper pictures of the same latents.

What latents do not say (where each blade of grass is) an autoencoder learns to leave out: the mean of all that may have
been there is nearest to any of it. Here the decoder is to draw as much fine detail as there was, wherever it is.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note
from promptflux.script import run
from training.autoencoding import batches, loss_of, noisy, training_of
from training.curve import loss_curve
from training.hardware import device, half_precision, machine, workers
from training.images import reconstructed, scaled_pixels, sharpness
from training.loop import checkpoint_of, train


def main(
    *,
    drawings: str,
    held_out: str,
    autoencoder: str,
    settings: Mapping,
    model: str,
    curve: str,
    checkpoints: str,
    scale: float = 1.0,
    code: str = "",
    threads: int = 1,
) -> None:
    """Train the decoder of `autoencoder` on `drawings` (.npy); write the folder `model` with `metrics.json`, and the loss `curve`.

    held_out: drawings (.npy) to measure it on. settings: the `decoder` of config.yaml. checkpoints: a folder for what a
    killed training goes on from. scale: multiplies the number of steps. code: a digest of it; what other code learned
    is no start. threads: processes that make batches for a GPU.
    """
    settings = {**settings, "steps": max(2, round(settings["steps"] * scale))}
    images, unseen = np.load(drawings, mmap_mode="r"), np.load(held_out, mmap_mode="r")
    torch.manual_seed(settings["seed"])
    target = device()
    whole_model = AutoencoderKL.from_pretrained(autoencoder).to(target, memory_format=torch.channels_last)
    whole_model.requires_grad_(False)
    decoder = torch.nn.ModuleList([whole_model.post_quant_conv, whole_model.decoder]).requires_grad_(True)
    made_of = {
        **settings,
        "autoencoder": sha256_of_file(next(Path(autoencoder).glob("*.safetensors"))),
        "drawings": sha256_of_file(drawings),
        "code": code,
    }

    def loss_of_step(step: int, chosen: torch.Tensor) -> torch.Tensor:
        wanted = scaled_pixels(chosen)
        with half_precision(target):
            latents = whole_model.encode(wanted).latent_dist.mean.float()
            decoded = whole_model.decode(noisy(latents, settings["latent_noise"])).sample.float()
        return loss_of(decoded, wanted, settings)

    training = training_of("decoder", decoder, settings, checkpoint_of("decoder", checkpoints, made_of))
    training.resume()
    train(training, batches(images, settings["batch"]), loss_of_step, workers=workers(threads), cycle=1)

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
