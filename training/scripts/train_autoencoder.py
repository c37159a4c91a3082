"""Train the autoencoder of models/scenes on drawings: 128 × 128 pixels to latents and back."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from promptflux.files.whole import sha256_of_file, whole
from promptflux.runtime.job import note
from promptflux.script import run
from training.autoencoding import batches, half_size, loss_of, noisy, training_of
from training.curve import loss_curve
from training.hardware import device, half_precision, machine, workers
from training.images import reconstructed, scaled_pixels, sharpness
from training.loop import checkpoint_of, train
from training.models import new_autoencoder


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

    made_of = {**settings, "drawings": sha256_of_file(drawings), "code": code}
    training = training_of(
        "autoencoder", autoencoder, settings, checkpoint_of("autoencoder", checkpoints, made_of)
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
