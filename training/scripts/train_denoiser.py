"""Train the U-Net of models/scenes: latents of drawings, described by captions.

First the autoencoder turns the drawings and their mirror images into latents, once. Then the U-Net learns to remove
noise from them, one caption in ten left empty for classifier-free guidance.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.files.whole import sha256_of_file, sha256_of_text, whole
from promptflux.runtime.job import note, progress
from promptflux.script import run
from training.curve import loss_curve
from training.hardware import device, half_precision, machine, workers
from training.images import scaled_pixels
from training.loop import Training, checkpoint_of, on_device, running_average, seed_of, train
from training.models import new_scheduler, new_unet, signal_and_noise, target_of
from training.optimizer import MuonAndAdamW
from training.world.captions import caption
from training.world.sampling import scene_of
from training.world.scene import Scene

ENCODED = 128  # drawings at a time


def factor_of(autoencoder: AutoencoderKL) -> int:
    """How many pixels of an image lie along the side of one place of its latents."""
    return 2 ** (len(autoencoder.config.block_out_channels) - 1)


@torch.no_grad()
def latents_of(autoencoder: AutoencoderKL, drawings: np.ndarray, output: Path) -> np.ndarray:
    """Scaled latents, float16 [2, N, C, H, W], of all drawings and of their mirror images, in the .npy file `output`, made once."""
    if not output.exists():
        with whole(output) as partial:
            channels, side = autoencoder.config.latent_channels, drawings.shape[1] // factor_of(autoencoder)
            shape = (2, len(drawings), channels, side, side)
            latents = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
            for first in progress(range(0, len(drawings), ENCODED), "latents", "batch"):
                shown = torch.from_numpy(drawings[first : first + ENCODED].copy())
                images = scaled_pixels(shown.to(autoencoder.device))
                for mirrored, shown in enumerate((images, images.flip(-1))):
                    with half_precision(autoencoder.device):
                        mode = autoencoder.encode(shown).latent_dist.mode()
                    scaled = mode.float() * autoencoder.config.scaling_factor
                    latents[mirrored, first : first + ENCODED] = scaled.cpu().numpy()
            latents.flush()
    return np.load(output, mmap_mode="r")


def chances_of_times(signal: torch.Tensor, noise: torch.Tensor, settings: Mapping) -> torch.Tensor:
    """How often each timestep is learned from, [T], in all 1: most often where half of the picture is noise.

    signal, noise: how much of both there is, [T]. The log of the signal-to-noise ratio is normally distributed, as in
    Karras et al. 2022 (arXiv:2206.00364). Evenly spread timesteps, made for latents of 64 × 64, would spend most of a
    training on latents of 16 × 16 where nothing but noise is to be seen (Hoogeboom et al. 2023, arXiv:2301.11093);
    `any_time` of them stay, for color and light.
    """
    log_snr = 2 * (signal.clamp(min=1e-4).log() - noise.clamp(min=1e-4).log())
    center, spread = settings["log_snr"]
    density = (-0.5 * ((log_snr - center) / spread).square()).exp()
    density = density * -torch.gradient(log_snr)[0]
    return (1 - settings["any_time"]) * density / density.sum() + settings["any_time"] / len(signal)


def chances_of_drawings(scenes: Sequence[Scene], rarity: float) -> np.ndarray:
    """How often each drawing is learned from, [N], in all 1: oftener the rarer the rarest of its things is.

    One drawing in fifty shows a castle or a windmill. Their chance rises with the power `rarity` of how rare
    they are, 0 for none of it.
    """
    shown = Counter(thing for scene in scenes for thing in scene.things)
    rarest = [max((len(scenes) / shown[thing] for thing in scene.things), default=1.0) for scene in scenes]
    chances = np.array(rarest) ** rarity
    return chances / chances.sum()


def latents_file(folder: Path, made_of: dict) -> Path:
    """The file of the latents of these data in `folder`; those of others, which take much room, are deleted."""
    path = folder / f"latents_{sha256_of_text(json.dumps(made_of))}.npy"
    for other in set(folder.glob("latents_*.npy")) - {path}:
        other.unlink()
    return path


def history_of(autoencoder: Path, text_model: Path, start: Path | None) -> dict:
    """What was trained before: all of `start`, or autoencoder and text model alone."""
    if start:
        return json.loads((start / "training.json").read_text(encoding="utf-8"))
    records = {"autoencoder": autoencoder / "metrics.json", "text_model": text_model / "training.json"}
    found = {part: json.loads(path.read_text(encoding="utf-8")) for part, path in records.items()}
    return {**found, "denoiser": []}


def main(
    *,
    drawings: str,
    number: int,
    first_seed: int,
    autoencoder: str,
    text_model: str,
    settings: Mapping,
    model: str,
    curve: str,
    latents: str,
    checkpoints: str,
    scale: float = 1.0,
    start: str | None = None,
    code: str = "",
    threads: int = 1,
) -> None:
    """Train on the first `number` of `drawings` (.npy, seeds from `first_seed`) and write `model` and the loss `curve`.

    text_model: a folder with tokenizer, text_encoder and words.txt. settings: the `denoiser` of config.yaml. model: a folder
    with unet, scheduler and training.json. latents, checkpoints: folders for what a killed training goes on from. scale:
    multiplies the number of steps. start: a models/scenes to go on from, with its objective, instead of from nothing.
    code: a digest of it; what other code learned is no start. threads: processes that make batches for a GPU.
    """
    output, begin = Path(model), Path(start) if start else None
    # Another seed than that of the training that made `start`.
    weights = min((begin / "unet").glob("*.safetensors")) if begin else None
    settings = {
        **settings,
        "seed": seed_of(settings["seed"], weights),
        "steps": max(2, round(settings["steps"] * scale)),
    }
    words = Path(text_model)
    data = {
        "autoencoder": sha256_of_file(next(Path(autoencoder).glob("*.safetensors"))),
        "drawings": f"{number} of {sha256_of_file(drawings)}",
    }
    made_of = {
        **data,
        "settings": settings,
        "text_model": sha256_of_file(next((words / "text_encoder").glob("*.safetensors"))),
        "start": start is not None,
        "code": code,
    }
    target = device()
    images = np.load(drawings, mmap_mode="r")[:number]
    vae = AutoencoderKL.from_pretrained(autoencoder).to(target, memory_format=torch.channels_last).eval()
    pictures = latents_of(vae, images, latents_file(Path(latents), data))
    scenes = [scene_of(first_seed + i) for i in range(len(images))]

    torch.manual_seed(settings["seed"])
    tokenizer = CLIPTokenizer.from_pretrained(words / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(words / "text_encoder", dtype=torch.float32).to(target)
    text_encoder.requires_grad_(False)
    if begin:
        unet = UNet2DConditionModel.from_pretrained(begin / "unet", torch_dtype=torch.float32)
        scheduler = DPMSolverMultistepScheduler.from_pretrained(begin / "scheduler")
    else:
        unet = new_unet(settings["widths"], *pictures.shape[2:4])
        scheduler = new_scheduler(settings["objective"])
    objective = scheduler.config.prediction_type
    unet = unet.to(target, memory_format=torch.channels_last)
    if target.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # with so few states faster there than the fused one

    signals, noises = signal_and_noise(scheduler)
    up_to = chances_of_times(signals, noises, settings).cumsum(0)
    chances = chances_of_drawings(scenes, settings["rarity"])

    def batch_of(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        count = settings["batch"]
        chosen = np.sort(rng.choice(len(images), size=count, p=chances))
        texts = ["" if rng.random() < settings["empty_captions"] else caption(scenes[i], rng) for i in chosen]
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        spread = torch.from_numpy((rng.random(count) + rng.permutation(count)) / count)  # evenly over 0..1
        times = torch.searchsorted(up_to, spread.float()).clamp(max=len(up_to) - 1)
        clean = torch.from_numpy(pictures[rng.integers(2, size=count), chosen])
        return {
            "tokens": tokens,
            "times": times,
            "clean": clean,
            "signal": signals[times],
            "noise": noises[times],
        }

    @torch.no_grad()
    def prepare(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        there = on_device(batch, target)
        with half_precision(target):
            states = text_encoder(there.pop("tokens")).last_hidden_state
        return {**there, "states": states}

    def loss_of_step(step: int, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        clean = batch["clean"].float().to(memory_format=torch.channels_last)
        signal, noisy = (batch[name][:, None, None, None] for name in ("signal", "noise"))
        noise = torch.randn_like(clean)
        with half_precision(target):
            predicted = unet(signal * clean + noisy * noise, batch["times"], batch["states"]).sample.float()
        return F.mse_loss(predicted, target_of(objective, clean, noise, signal, noisy))

    training = Training(
        name="denoiser",
        module=unet,
        optimizer=MuonAndAdamW(
            unet, ("conv_in", "conv_out", "time_embedding"), lr=settings["learning_rate"], weight_decay=0.01
        ),
        steps=settings["steps"],
        warmup=settings["warmup"],
        seeds=(settings["seed"], 2),
        clipped=list(unet.parameters()),
        average=running_average(unet, settings["average"]),
        checkpoint=checkpoint_of("denoiser", checkpoints, made_of),
        checkpoint_every=settings["checkpoint_every"],
    )
    training.resume()
    train(training, batch_of, loss_of_step, prepare, workers(threads), cycle=1)

    unet.load_state_dict(training.average.module.state_dict())
    unet.save_pretrained(output / "unet")
    scheduler.save_pretrained(output / "scheduler")
    loss_curve({"denoiser": training.losses}, "Training of the denoiser", curve)
    history = history_of(Path(autoencoder), words, begin)
    history["denoiser"].append(
        {
            "objective": objective,
            "drawings": len(images),
            "steps": training.steps,
            "batch": settings["batch"],
            "seconds": round(training.seconds),
            "machine": machine(),
            "last_loss": round(float(np.mean(training.losses[-200:])), 4),
        }
    )
    with whole(output / "training.json") as partial:
        partial.write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
    note(f"denoiser: {training.steps} steps in {training.seconds / 60:.0f} min")


if "snakemake" in globals():
    run(main, snakemake)
