"""Sharpen the decoder of the trained autoencoder against a critic; the encoder, and so the latents, stay as they are.

Differences of pixels alone reward blur wherever the place of an edge, a star or a flower is in doubt. A critic that
learns to tell decoded patches from drawn ones (hinge loss, as in Esser et al. 2021, arXiv:2012.09841) takes that reward away.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from promptflux.files import whole
from promptflux.job import note, progress
from promptflux.training import (
    Average,
    device,
    edges,
    half_precision,
    learning_rate,
    load_checkpoint,
    loss_curve,
    measure,
    pixels,
    save_checkpoint,
)

SETTINGS = {
    "seed": 3,
    "steps": 1500,
    "crop": 96,
    "batch": 8,
    "learning_rate": 8e-4,
    "critic_learning_rate": 5e-4,
    "warmup": 50,
    "edge_weight": 1.0,
    "critic_weight": 0.04,
    "critic_from": 0.3,  # of the steps: first the decoder alone
    "latent_noise": 0.05,  # relative to their spread: what the denoiser leaves
    "average": 0.99,
    "checkpoint_every": 100,
}


def new_critic() -> nn.Sequential:
    """Judges patches of about 40 pixels: images [N, 3, H, W] to scores [N, 1, H/8, W/8], high for drawings."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, 2, 1), nn.GroupNorm(1, 64), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 96, 4, 2, 1), nn.GroupNorm(1, 96), nn.LeakyReLU(0.2),
        nn.Conv2d(96, 1, 3, 1, 1),
    )  # fmt: skip


def batch(drawings: np.ndarray, step: int, settings: dict) -> torch.Tensor:
    """Batch number `step`: mirrored crops, float [N, 3, crop, crop] in -1..1."""
    rng = np.random.default_rng((settings["seed"], step))
    side, crops = settings["crop"], []
    for i in np.sort(rng.integers(len(drawings), size=settings["batch"])):
        y, x = rng.integers(0, drawings.shape[1] - side + 1, 2)
        crop = drawings[i, y : y + side, x : x + side]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return pixels(np.stack(crops))


def main(
    drawings: Path,
    held_out: Path,
    autoencoder: Path,
    output: Path,
    curve: Path,
    checkpoint: Path,
    scale: float = 1.0,
) -> None:
    """Train the decoder of `autoencoder` on `drawings` (.npy); write the model folder `output` and the loss `curve`.

    `scale` multiplies the number of steps. After a kill, training goes on from `checkpoint`.
    """
    settings = {**SETTINGS, "steps": max(2, round(SETTINGS["steps"] * scale))}
    steps, critic_from = settings["steps"], round(settings["critic_from"] * settings["steps"])
    images, unseen = np.load(drawings, mmap_mode="r"), np.load(held_out, mmap_mode="r")
    model = AutoencoderKL.from_pretrained(autoencoder).to(device(), memory_format=torch.channels_last)
    torch.manual_seed(settings["seed"])
    critic = new_critic().to(device(), memory_format=torch.channels_last)
    decoder = nn.ModuleDict({"decoder": model.decoder, "post_quant_conv": model.post_quant_conv})
    optimizer = torch.optim.AdamW(decoder.parameters(), betas=(0.8, 0.99), weight_decay=1e-4)
    critic_optimizer = torch.optim.AdamW(critic.parameters(), betas=(0.5, 0.99), weight_decay=1e-4)
    average, start, seconds = Average(decoder, settings["average"]), 0, 0.0
    losses = {"decoder": [], "critic": []}
    state = load_checkpoint(checkpoint, settings)
    if state:
        decoder.load_state_dict(state["decoder"])
        critic.load_state_dict(state["critic"])
        optimizer.load_state_dict(state["optimizer"])
        critic_optimizer.load_state_dict(state["critic_optimizer"])
        average.values, losses, start, seconds = (
            state["average"],
            state["losses"],
            state["step"],
            state["seconds"],
        )

    spread = settings["latent_noise"] / model.config.scaling_factor
    begun = time.monotonic()
    for step in progress(range(start, steps), "decoder", "step"):
        torch.manual_seed(settings["seed"] * 1_000_003 + step)
        for chosen, peak in (
            (optimizer, settings["learning_rate"]),
            (critic_optimizer, settings["critic_learning_rate"]),
        ):
            chosen.param_groups[0]["lr"] = learning_rate(step, steps, peak, settings["warmup"])
        wanted = batch(images, step, settings).to(model.device, memory_format=torch.channels_last)
        with half_precision(model.device):
            with torch.no_grad():
                latents = model.encode(wanted).latent_dist.mode()
                latents = latents + spread * torch.rand(
                    len(latents), 1, 1, 1, device=latents.device
                ) * torch.randn_like(latents)
            decoded = model.decode(latents).sample.float()
        loss = F.l1_loss(decoded, wanted) + F.mse_loss(decoded, wanted)
        loss = (
            loss
            + settings["edge_weight"]
            * sum(F.l1_loss(a, b) for a, b in zip(edges(decoded), edges(wanted), strict=True))
            / 2
        )
        losses["decoder"].append(float(loss.detach()))
        if step >= critic_from:
            critic.requires_grad_(False)
            with half_precision(model.device):
                loss = loss - settings["critic_weight"] * critic(decoded).float().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        average.update(decoder, step)
        if step >= critic_from // 2:  # the critic starts earlier, so that it knows something when it is asked
            critic.requires_grad_(True)
            with half_precision(model.device):
                real, made = critic(wanted).float(), critic(decoded.detach()).float()
            critic_loss = F.relu(1 - real).mean() + F.relu(1 + made).mean()
            critic_optimizer.zero_grad(set_to_none=True)
            critic_loss.backward()
            critic_optimizer.step()
            losses["critic"].append(float(critic_loss.detach()))
        if (step + 1) % settings["checkpoint_every"] == 0 or step + 1 == steps:
            save_checkpoint(
                checkpoint, settings=settings, step=step + 1, decoder=decoder.state_dict(), critic=critic.state_dict(),
                optimizer=optimizer.state_dict(), critic_optimizer=critic_optimizer.state_dict(), average=average.values,
                losses=losses, seconds=seconds + time.monotonic() - begun,
            )  # fmt: skip

    seconds += time.monotonic() - begun
    decoder.load_state_dict(average.values)
    before = json.loads((autoencoder / "metrics.json").read_text(encoding="utf-8"))
    figures = {
        **measure(model.eval(), unseen),
        "steps": before["steps"] + steps,
        "seconds": before["seconds"] + round(seconds),
    }
    model.save_pretrained(output)
    loss_curve(losses, "Training of the decoder against a critic", curve)
    with whole(Path(output) / "metrics.json") as partial:
        partial.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    note(
        f"decoder: {figures['psnr_db']:.1f} dB on {len(unseen)} unseen drawings after {steps} steps in {seconds / 60:.0f} min"
    )


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        main(
            drawings=Path(snakemake.input.drawings),  # noqa: F821
            held_out=Path(snakemake.input.held_out),  # noqa: F821
            autoencoder=Path(snakemake.input.autoencoder),  # noqa: F821
            output=Path(snakemake.output.model),  # noqa: F821
            curve=Path(snakemake.output.curve),  # noqa: F821
            checkpoint=Path(snakemake.params.checkpoint),  # noqa: F821
            scale=snakemake.params.scale,  # noqa: F821
        )
