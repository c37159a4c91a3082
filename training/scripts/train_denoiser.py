"""Train the U-Net and the text model of models/scenes: latents of drawings, told by their captions.

First the autoencoder turns the drawings and their mirror images into latents, once. Then the text model alone
learns to tell from a caption what the scene holds, which takes minutes and spares the U-Net an hour of waiting
for useful words. Then the U-Net learns to remove noise, one caption in ten left empty for classifier-free guidance.
"""

import copy
import json
import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.files.whole import sha256_of_file, whole
from promptflux.generation.context import words
from promptflux.runtime.job import note, progress
from training.loop import (
    Average,
    MuonAndAdamW,
    device,
    half_precision,
    learning_rate,
    load_checkpoint,
    loss_curve,
    machine,
    pixels,
    save_checkpoint,
    seed_of,
)
from training.models import new_scheduler, new_text_model, new_tokenizer, new_unet
from training.world.captions import caption, known_words
from training.world.facts import FACTS, facts_of
from training.world.scenes import Scene, sample_scene

SETTINGS = {
    "seed": 2,
    "vocabulary_captions": 40_000,
    "text_steps": 1500,
    "text_batch": 64,
    "text_learning_rate": 1e-3,
    "hold": 100.0,
    "steps": 4000,
    "batch": 96,
    "learning_rate": 2e-3,
    "warmup": 100,
    "empty_captions": 0.1,
    "log_snr": (0.5, 2.0),
    "any_time": 0.25,
    "rarity": 0.5,
    "average": 0.998,
    "checkpoint_every": 100,
}


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
    """Scaled latents, float16 [2, N, C, H, W], of all drawings and of their mirror images, in the .npy file `output`, made once."""
    if not output.exists():
        with whole(output) as partial:
            channels, side = autoencoder.config.latent_channels, drawings.shape[1] // 8
            shape = (2, len(drawings), channels, side, side)
            latents = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
            for first in progress(range(0, len(drawings), 32), "latents", "batch"):
                images = pixels(drawings[first : first + 32]).to(
                    autoencoder.device, memory_format=torch.channels_last
                )
                for mirrored, shown in enumerate((images, images.flip(-1))):
                    with half_precision(autoencoder.device):
                        mode = autoencoder.encode(shown).latent_dist.mode()
                    scaled = mode.float() * autoencoder.config.scaling_factor
                    latents[mirrored, first : first + 32] = scaled.cpu().numpy()
            latents.flush()
    return np.load(output, mmap_mode="r")


def teach_words(
    text_model: CLIPTextModel, tokenizer: CLIPTokenizer, known: set[str], settings: dict
) -> list[float]:
    """Train the text model to answer FACTS from captions; returns the losses. `known`: the words that it knows already.

    A text model that knows words already first waits, for a fifth of the steps, until the answers are read from its
    states as they are, and is held to its states of captions of which it knows all words: what the U-Net learnt of them
    is to stay true.
    """
    torch.manual_seed(settings["seed"])
    questions = Questions(text_model.config.hidden_size).to(text_model.device)
    optimizer = torch.optim.AdamW(
        [*text_model.parameters(), *questions.parameters()], betas=(0.9, 0.99), weight_decay=0.01
    )
    waiting = settings["text_steps"] // 5 if known else 0
    before = copy.deepcopy(text_model).requires_grad_(False)
    losses = []
    for step in progress(range(settings["text_steps"]), "text model", "step"):
        text_model.requires_grad_(step >= waiting)
        rng = np.random.default_rng((settings["seed"], 1, step))
        told = [sample_scene(rng) for _ in range(settings["text_batch"])]
        texts = [caption(scene, rng) for scene in told]
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(text_model.device)
        facts = torch.tensor([facts_of(scene) for scene in told], device=text_model.device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings["text_steps"], settings["text_learning_rate"], 50)
        states = text_model(tokens.input_ids).last_hidden_state
        loss = F.binary_cross_entropy_with_logits(
            questions(states, tokens.attention_mask.bool()), facts
        ) * len(FACTS)
        if old := [i for i, text in enumerate(texts) if known.issuperset(words(text))]:
            held = before(tokens.input_ids[old]).last_hidden_state
            loss = loss + settings["hold"] * F.mse_loss(states[old], held)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(text_model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def chances_of_times(alphas: torch.Tensor, settings: dict) -> torch.Tensor:
    """How often each timestep is learnt from, [T], in all 1: most often where half of the picture is noise.

    The log of the signal-to-noise ratio is normally distributed, as in Karras et al. 2022 (arXiv:2206.00364). Evenly
    spread timesteps, made for latents of 64 × 64, would spend most of a training on latents of 16 × 16 where nothing
    but noise is to be seen (Hoogeboom et al. 2023, arXiv:2301.11093); `any_time` of them stay, for colour and light.
    """
    log_snr = (alphas / (1 - alphas)).clamp(min=1e-8).log()
    centre, spread = settings["log_snr"]
    density = (-0.5 * ((log_snr - centre) / spread).square()).exp()
    density = density * -torch.gradient(log_snr)[0]
    return (1 - settings["any_time"]) * density / density.sum() + settings["any_time"] / len(alphas)


def chances_of_drawings(told: Sequence[Scene], settings: dict) -> np.ndarray:
    """How often each drawing is learnt from, [N], in all 1: oftener the rarer the rarest of its things is.

    One drawing in fifty shows a castle or a windmill. Their chance rises with the power `rarity` of how rare
    they are, 0 for none of it.
    """
    shown = Counter(thing for scene in told for thing in scene.things)
    rarest = [max((len(told) / shown[thing] for thing in scene.things), default=1.0) for scene in told]
    chances = np.array(rarest) ** settings["rarity"]
    return chances / chances.sum()


def main(
    drawings: Path,
    count: int,
    first_seed: int,
    autoencoder: Path,
    output: Path,
    curve: Path,
    latents: Path,
    checkpoint: Path,
    scale: float = 1.0,
    start: Path | None = None,
) -> None:
    """Train on the first `count` of `drawings` (.npy, seeds from `first_seed`); write `output`/{tokenizer,text_encoder,unet,words.txt,training.json} and the loss `curve`.

    `latents` (with a digest of what it is made of in its name) and `checkpoint` are files to go on from after a kill; `scale` multiplies the number of steps.
    `start`: a models/scenes to go on from, instead of from nothing; its tokenizer stays as it is.
    """
    settings = {
        **SETTINGS,
        **{
            key: max(2, round(SETTINGS[key] * scale))
            for key in ("steps", "text_steps", "vocabulary_captions")
        },
        # Latents and checkpoints of other drawings, of another autoencoder or of another start are no use.
        "seed": seed_of(SETTINGS["seed"], next((start / "unet").glob("*.safetensors")) if start else None),
        "autoencoder": sha256_of_file(next(autoencoder.glob("*.safetensors"))),
        "drawings": f"{count} of {sha256_of_file(drawings)}",
        "from_embedded": start is not None,
    }
    target = device()
    images = np.load(drawings, mmap_mode="r")[:count]
    vae = AutoencoderKL.from_pretrained(autoencoder).to(target, memory_format=torch.channels_last).eval()
    made_of = sha256(f"{settings['autoencoder']} {settings['drawings']}".encode()).hexdigest()
    for old in latents.parent.glob(f"{latents.stem}_*.npy"):
        if made_of not in old.name:
            old.unlink()
    pictures = latents_of(vae, images, latents.with_stem(f"{latents.stem}_{made_of}"))
    told = [sample_scene(np.random.default_rng(first_seed + i)) for i in range(len(images))]

    rng = np.random.default_rng(SETTINGS["seed"])
    captions = [caption(sample_scene(rng), rng) for _ in range(settings["vocabulary_captions"])]
    torch.manual_seed(settings["seed"])
    if start:
        tokenizer = CLIPTokenizer.from_pretrained(start / "tokenizer")
        text_model = CLIPTextModel.from_pretrained(start / "text_encoder", dtype=torch.float32)
        unet = UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32)
    else:
        tokenizer = new_tokenizer(captions)
        text_model, unet = new_text_model(tokenizer), new_unet()
    text_model, unet = text_model.to(target), unet.to(target, memory_format=torch.channels_last)
    if target.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # with so few states faster there than the fused one
    optimizer = MuonAndAdamW(unet, ("conv_in", "conv_out", "time_embedding"), weight_decay=0.01)
    average, losses, text_losses, first, seconds = Average(unet, settings["average"]), [], [], 0, 0.0
    begun = time.monotonic()

    def remember(step: int) -> None:
        save_checkpoint(
            checkpoint,
            settings=settings,
            step=step,
            text_model=text_model.state_dict(),
            unet=unet.state_dict(),
            optimizer=optimizer.state_dict(),
            average=average.values,
            losses=losses,
            text_losses=text_losses,
            seconds=seconds + time.monotonic() - begun,
        )

    state = load_checkpoint(checkpoint, settings)
    if state:
        text_model.load_state_dict(state["text_model"])
        unet.load_state_dict(state["unet"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, losses, text_losses = state["average"], state["losses"], state["text_losses"]
        first, seconds = state["step"], state["seconds"]
    else:
        known = set((start / "words.txt").read_text(encoding="utf-8").split()) if start else set()
        text_losses = teach_words(text_model, tokenizer, known, settings)
        remember(0)
    text_model.requires_grad_(False)

    alphas = new_scheduler().alphas_cumprod
    up_to = chances_of_times(alphas, settings).cumsum(0)
    alphas = alphas.to(target)
    chances = chances_of_drawings(told, settings)
    for step in progress(range(first, settings["steps"]), "denoiser", "step"):
        rng = np.random.default_rng((settings["seed"], 2, step))
        torch.manual_seed(settings["seed"] * 1_000_003 + step)
        chosen = np.sort(rng.choice(len(images), size=settings["batch"], p=chances))
        texts = ["" if rng.random() < settings["empty_captions"] else caption(told[i], rng) for i in chosen]
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(
            target
        )

        clean = pictures[rng.integers(2, size=settings["batch"]), chosen].astype(np.float32)
        clean = torch.from_numpy(clean).to(target, memory_format=torch.channels_last)
        noise = torch.randn_like(clean)
        spread = (torch.rand(len(clean)) + torch.randperm(len(clean))) / len(clean)  # evenly over 0..1
        times = torch.searchsorted(up_to, spread).clamp(max=len(alphas) - 1).to(target)
        alpha = alphas[times][:, None, None, None]
        signal, noisy = alpha.sqrt(), (1 - alpha).sqrt()
        velocity = signal * noise - noisy * clean  # Salimans and Ho 2022, arXiv:2202.00512
        with half_precision(target):
            states = text_model(tokens).last_hidden_state
            predicted = unet(signal * clean + noisy * noise, times, states).sample.float()
        loss = F.mse_loss(predicted, velocity)
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step(learning_rate(step, settings["steps"], settings["learning_rate"], settings["warmup"]))
        average.update(unet, step)
        losses.append(float(loss.detach()))
        if (step + 1) % settings["checkpoint_every"] == 0 or step + 1 == settings["steps"]:
            remember(step + 1)

    seconds += time.monotonic() - begun
    unet.load_state_dict(average.values)
    output = Path(output)
    tokenizer.save_pretrained(output / "tokenizer")
    text_model.save_pretrained(output / "text_encoder")
    unet.save_pretrained(output / "unet")
    (output / "words.txt").write_text("\n".join(known_words(captions)) + "\n", encoding="utf-8")
    loss_curve(
        {"text model": text_losses, "denoiser": losses}, "Training of the text model and the denoiser", curve
    )
    history = (
        json.loads((start / "training.json").read_text(encoding="utf-8"))
        if start
        else {
            "autoencoder": json.loads((autoencoder / "metrics.json").read_text(encoding="utf-8")),
            "denoiser": [],
        }
    )
    history["denoiser"].append(
        {
            "drawings": len(images),
            "steps": settings["steps"],
            "batch": settings["batch"],
            "seconds": round(seconds),
            "machine": machine(),
            "last_loss": round(float(np.mean(losses[-200:])), 4),
        }
    )
    with whole(output / "training.json") as partial:
        partial.write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
    note(f"denoiser: {settings['steps']} steps in {seconds / 60:.0f} min")


if "snakemake" in globals():
    from promptflux.runtime.job import job

    with job(snakemake):
        main(
            drawings=Path(snakemake.input.drawings),
            count=snakemake.params.drawings,
            first_seed=snakemake.params.first_seed,
            autoencoder=Path(snakemake.input.autoencoder),
            output=Path(snakemake.output.model),
            curve=Path(snakemake.output.curve),
            latents=Path(snakemake.params.latents),
            checkpoint=Path(snakemake.params.checkpoint),
            scale=snakemake.params.scale,
            start=Path(snakemake.input.start) if snakemake.input.start else None,
        )
