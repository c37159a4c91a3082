"""Train the U-Net and the text model of models/scenes: latents of drawings, told by their captions.

First the autoencoder turns the drawings into latents, once. Then the text model alone learns to tell from a
caption what the scene holds, which takes two minutes and spares the U-Net an hour of waiting for useful words.
Then both learn to remove noise, one caption in ten left empty for classifier-free guidance.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux import scenes
from promptflux.captions import caption, known_words
from promptflux.files import whole
from promptflux.job import note, progress
from promptflux.scenes import Scene, sample_scene
from promptflux.scenes_model import new_scheduler, new_text_model, new_tokenizer, new_unet
from promptflux.training import (
    Average,
    device,
    half_precision,
    learning_rate,
    load_checkpoint,
    loss_curve,
    pixels,
    save_checkpoint,
)

SETTINGS = {
    "seed": 2,
    "vocabulary_captions": 40_000,
    "text_steps": 500,
    "text_batch": 64,
    "text_learning_rate": 1e-3,
    "steps": 4000,
    "batch": 32,
    "learning_rate": 8e-4,
    "warmup": 100,
    "empty_captions": 0.1,
    "snr_limit": 5.0,
    "average": 0.998,
    "checkpoint_every": 200,
}

# Everything that a caption can say, as yes-or-no questions for the text model.
FACTS = [
    *((field, value) for field, values in (("kind", scenes.LABELS), ("time", scenes.TIMES), ("weather", scenes.WEATHERS)) for value in values),
    *(("season", value) for value in scenes.SEASONS[1:]),
    *(("moods", value) for value in scenes.MOODS),
    *(("things", value) for value in sorted({thing for things in scenes.THINGS.values() for thing in things})),
    *(("things", value) for value in ("sun", "moon", "stars", "clouds", "birds", "balloons", "rainbow", "flying cars")),
    *(("tree_color", value) for value in scenes.TREE_COLORS),
    *(("sky_color", value) for value in scenes.SKY_COLORS),
    *(("flower_color", value) for value in scenes.FLOWER_COLORS),
]  # fmt: skip


def facts_of(scene: Scene) -> list[float]:
    """1.0 for each of FACTS that holds for `scene`, else 0.0."""
    return [
        float(value in field if isinstance(field := getattr(scene, name), tuple) else value == field)
        for name, value in FACTS
    ]


class Questions(nn.Module):
    """Answers FACTS from token states [N, T, C]: each question attends to the words by itself, as the U-Net will."""

    def __init__(self, channels: int):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(FACTS), channels) / channels**0.5)
        self.answers = nn.Parameter(torch.randn(len(FACTS), channels) / channels**0.5)
        self.biases = nn.Parameter(torch.full((len(FACTS),), -2.0))

    def forward(self, states: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        scores = torch.einsum("qc,ntc->nqt", self.queries, states).masked_fill(~valid[:, None], -1e9)
        return torch.einsum("nqt,ntc,qc->nq", scores.softmax(-1), states, self.answers) + self.biases


@torch.no_grad()
def latents_of(autoencoder: AutoencoderKL, drawings: np.ndarray, output: Path) -> np.ndarray:
    """Scaled latents of all drawings, float16 [N, C, H, W], in the .npy file `output`, made once."""
    if not output.exists():
        with whole(output) as partial:
            shape = (
                len(drawings),
                autoencoder.config.latent_channels,
                drawings.shape[1] // 8,
                drawings.shape[2] // 8,
            )
            latents = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
            for first in progress(range(0, len(drawings), 32), "latents", "batch"):
                images = pixels(drawings[first : first + 32]).to(
                    autoencoder.device, memory_format=torch.channels_last
                )
                with half_precision(autoencoder.device):
                    mode = autoencoder.encode(images).latent_dist.mode()
                latents[first : first + 32] = (mode.float() * autoencoder.config.scaling_factor).cpu().numpy()
            latents.flush()
    return np.load(output, mmap_mode="r")


def teach_words(text_model: CLIPTextModel, tokenizer: CLIPTokenizer, settings: dict) -> list[float]:
    """Train the text model to answer FACTS from captions; returns the losses."""
    torch.manual_seed(settings["seed"])
    questions = Questions(text_model.config.hidden_size).to(text_model.device)
    optimizer = torch.optim.AdamW(
        [*text_model.parameters(), *questions.parameters()], betas=(0.9, 0.99), weight_decay=0.01
    )
    losses = []
    for step in progress(range(settings["text_steps"]), "text model", "step"):
        rng = np.random.default_rng((settings["seed"], 1, step))
        told = [sample_scene(rng) for _ in range(settings["text_batch"])]
        tokens = tokenizer(
            [caption(scene, rng) for scene in told], padding=True, truncation=True, return_tensors="pt"
        ).to(text_model.device)
        facts = torch.tensor([facts_of(scene) for scene in told], device=text_model.device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings["text_steps"], settings["text_learning_rate"], 50)
        states = text_model(tokens.input_ids).last_hidden_state
        loss = F.binary_cross_entropy_with_logits(
            questions(states, tokens.attention_mask.bool()), facts
        ) * len(FACTS)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(text_model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def main(
    drawings: Path,
    first_seed: int,
    autoencoder: Path,
    output: Path,
    curve: Path,
    latents: Path,
    checkpoint: Path,
    scale: float = 1.0,
) -> None:
    """Train on `drawings` (.npy, seeds from `first_seed`); write `output`/{tokenizer,text_encoder,unet,words.txt} and the loss `curve`.

    `latents` and `checkpoint` are files to go on from after a kill; `scale` multiplies the number of steps.
    """
    settings = {
        **SETTINGS,
        **{
            key: max(2, round(SETTINGS[key] * scale))
            for key in ("steps", "text_steps", "vocabulary_captions")
        },
    }
    target = device()
    images = np.load(drawings, mmap_mode="r")
    vae = AutoencoderKL.from_pretrained(autoencoder).to(target, memory_format=torch.channels_last).eval()
    pictures = latents_of(vae, images, latents)
    told = [sample_scene(np.random.default_rng(first_seed + i)) for i in range(len(images))]

    rng = np.random.default_rng(settings["seed"])
    captions = [caption(sample_scene(rng), rng) for _ in range(settings["vocabulary_captions"])]
    tokenizer = new_tokenizer(captions)
    torch.manual_seed(settings["seed"])
    text_model, unet = (
        new_text_model(tokenizer).to(target),
        new_unet().to(target, memory_format=torch.channels_last),
    )
    both = nn.ModuleDict({"text_model": text_model, "unet": unet})
    optimizer = torch.optim.AdamW(
        [{"params": unet.parameters(), "share": 1.0}, {"params": text_model.parameters(), "share": 0.3}],
        betas=(0.9, 0.99),
        weight_decay=0.01,
    )
    average, losses, text_losses, start, seconds = Average(both, settings["average"]), [], [], 0, 0.0
    begun = time.monotonic()

    def remember(step: int) -> None:
        save_checkpoint(
            checkpoint,
            settings=settings,
            step=step,
            both=both.state_dict(),
            optimizer=optimizer.state_dict(),
            average=average.values,
            losses=losses,
            text_losses=text_losses,
            seconds=seconds + time.monotonic() - begun,
        )

    state = load_checkpoint(checkpoint, settings)
    if state:
        both.load_state_dict(state["both"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, losses, text_losses = state["average"], state["losses"], state["text_losses"]
        start, seconds = state["step"], state["seconds"]
    else:
        text_losses = teach_words(text_model, tokenizer, settings)
        average = Average(both, settings["average"])
        remember(0)

    alphas = new_scheduler().alphas_cumprod.to(target)
    for step in progress(range(start, settings["steps"]), "denoiser", "step"):
        rng = np.random.default_rng((settings["seed"], 2, step))
        torch.manual_seed(settings["seed"] * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * learning_rate(
                step, settings["steps"], settings["learning_rate"], settings["warmup"]
            )
        chosen = np.sort(rng.integers(len(images), size=settings["batch"]))
        texts = ["" if rng.random() < settings["empty_captions"] else caption(told[i], rng) for i in chosen]
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(
            target
        )

        clean = torch.from_numpy(pictures[chosen].astype(np.float32)).to(
            target, memory_format=torch.channels_last
        )
        noise = torch.randn_like(clean)
        spread = (torch.rand(len(clean)) + torch.randperm(len(clean))) / len(clean)  # evenly over 0..1
        times = (spread * len(alphas)).long().to(target)
        alpha = alphas[times][:, None, None, None]
        signal, noisy = alpha.sqrt(), (1 - alpha).sqrt()
        velocity = signal * noise - noisy * clean  # Salimans and Ho 2022, arXiv:2202.00512
        with half_precision(target):
            states = text_model(tokens).last_hidden_state
            predicted = unet(signal * clean + noisy * noise, times, states).sample.float()
        snr = alpha / (1 - alpha)
        weights = (snr.clamp(max=settings["snr_limit"]) + 1) / (
            snr + 1
        )  # min-SNR, arXiv:2303.09556, but 1 at pure noise
        loss = (weights * (predicted - velocity).square()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        average.update(both, step)
        losses.append(float(loss.detach()))
        if (step + 1) % settings["checkpoint_every"] == 0 or step + 1 == settings["steps"]:
            remember(step + 1)

    seconds += time.monotonic() - begun
    both.load_state_dict(average.values)
    output = Path(output)
    tokenizer.save_pretrained(output / "tokenizer")
    text_model.save_pretrained(output / "text_encoder")
    unet.save_pretrained(output / "unet")
    (output / "words.txt").write_text("\n".join(known_words(captions)) + "\n", encoding="utf-8")
    loss_curve(
        {"text model": text_losses, "denoiser": losses}, "Training of the text model and the denoiser", curve
    )
    figures = {
        "steps": settings["steps"],
        "seconds": round(seconds),
        "last_loss": round(float(np.mean(losses[-200:])), 4),
    }
    with whole(output / "metrics.json") as partial:
        partial.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    note(f"denoiser: loss {figures['last_loss']} after {settings['steps']} steps in {seconds / 60:.0f} min")


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        main(
            drawings=Path(snakemake.input.drawings),  # noqa: F821
            first_seed=snakemake.params.first_seed,  # noqa: F821
            autoencoder=Path(snakemake.input.autoencoder),  # noqa: F821
            output=Path(snakemake.output.model),  # noqa: F821
            curve=Path(snakemake.output.curve),  # noqa: F821
            latents=Path(snakemake.params.latents),  # noqa: F821
            checkpoint=Path(snakemake.params.checkpoint),  # noqa: F821
            scale=snakemake.params.scale,  # noqa: F821
        )
