"""Train the U-Net and the text model of models/scenes: latents of drawings, described by captions.

First the autoencoder turns the drawings and their mirror images into latents, once. Then the text model alone
learns to tell from a caption what the scene holds, which takes minutes and spares the U-Net an hour of waiting
for useful words. Then the U-Net learns to remove noise, one caption in ten left empty for classifier-free guidance.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.files.whole import sha256_of_file, sha256_of_text, whole
from promptflux.runtime.job import note, progress
from promptflux.script import run
from training.curve import loss_curve
from training.hardware import device, half_precision, machine
from training.images import pixels
from training.loop import Training, checkpoint_of, running_average, seed_of, train
from training.models import new_scheduler, new_text_model, new_tokenizer, new_unet
from training.optimizer import MuonAndAdamW
from training.words import SETTINGS as WORDS
from training.words import teach_words
from training.world.captions import caption, known_words
from training.world.sampling import sample_scene, scene_of
from training.world.scene import Scene

SETTINGS = {
    "seed": 2,
    "vocabulary_captions": 40_000,  # that the tokenizer and words.txt are made of
    "steps": 4000,
    "batch": 96,
    "learning_rate": 2e-3,
    "warmup": 100,
    "empty_captions": 0.1,
    "log_snr": (0.5, 2.0),  # center and spread, see `chances_of_times`
    "any_time": 0.25,
    "rarity": 0.5,  # see `chances_of_drawings`
    "average": 0.998,
    "checkpoint_every": 100,
}


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


def chances_of_times(alphas: torch.Tensor, settings: dict) -> torch.Tensor:
    """How often each timestep is learned from, [T], in all 1: most often where half of the picture is noise.

    The log of the signal-to-noise ratio is normally distributed, as in Karras et al. 2022 (arXiv:2206.00364). Evenly
    spread timesteps, made for latents of 64 × 64, would spend most of a training on latents of 16 × 16 where nothing
    but noise is to be seen (Hoogeboom et al. 2023, arXiv:2301.11093); `any_time` of them stay, for color and light.
    """
    log_snr = (alphas / (1 - alphas)).clamp(min=1e-8).log()
    center, spread = settings["log_snr"]
    density = (-0.5 * ((log_snr - center) / spread).square()).exp()
    density = density * -torch.gradient(log_snr)[0]
    return (1 - settings["any_time"]) * density / density.sum() + settings["any_time"] / len(alphas)


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


def history_of(autoencoder: Path, start: Path | None) -> dict:
    """What was trained before: all of `start`, or the autoencoder alone."""
    if start:
        return json.loads((start / "training.json").read_text(encoding="utf-8"))
    metrics = json.loads((autoencoder / "metrics.json").read_text(encoding="utf-8"))
    return {"autoencoder": metrics, "denoiser": []}


def main(
    *,
    drawings: str,
    number: int,
    first_seed: int,
    autoencoder: str,
    model: str,
    curve: str,
    latents: str,
    checkpoints: str,
    scale: float = 1.0,
    start: str | None = None,
    code: str = "",
) -> None:
    """Train on the first `number` of `drawings` (.npy, seeds from `first_seed`) and write `model` and the loss `curve`.

    model: a folder with tokenizer, text_encoder, unet, words.txt and training.json. latents, checkpoints:
    folders for what a killed training goes on from. scale: multiplies the number of steps. start: a models/scenes
    to go on from, instead of from nothing; its tokenizer stays as it is. code: a digest of it; what other
    code learned is no start.
    """
    output, begin = Path(model), Path(start) if start else None
    # Another seed than that of the training that made `start`.
    weights = next((begin / "unet").glob("*.safetensors")) if begin else None
    settings, word_settings = (
        own
        | {"seed": seed_of(own["seed"], weights)}
        | {key: max(2, round(own[key] * scale)) for key in own.keys() & {"steps", "vocabulary_captions"}}
        for own in (SETTINGS, WORDS)
    )
    data = {
        "autoencoder": sha256_of_file(next(Path(autoencoder).glob("*.safetensors"))),
        "drawings": f"{number} of {sha256_of_file(drawings)}",
    }
    made_of = {**data, "settings": settings, "words": word_settings, "start": start is not None, "code": code}
    target = device()
    images = np.load(drawings, mmap_mode="r")[:number]
    vae = AutoencoderKL.from_pretrained(autoencoder).to(target, memory_format=torch.channels_last).eval()
    pictures = latents_of(vae, images, latents_file(Path(latents), data))
    scenes = [scene_of(first_seed + i) for i in range(len(images))]

    rng = np.random.default_rng(SETTINGS["seed"])
    captions = [caption(sample_scene(rng), rng) for _ in range(settings["vocabulary_captions"])]
    torch.manual_seed(settings["seed"])
    if begin:
        tokenizer = CLIPTokenizer.from_pretrained(begin / "tokenizer")
        text_model = CLIPTextModel.from_pretrained(begin / "text_encoder", dtype=torch.float32)
        unet = UNet2DConditionModel.from_pretrained(begin / "unet", torch_dtype=torch.float32)
        known = set((begin / "words.txt").read_text(encoding="utf-8").split())
    else:
        tokenizer = new_tokenizer(captions)
        text_model, unet, known = new_text_model(tokenizer), new_unet(), set()
    text_model, unet = text_model.to(target), unet.to(target, memory_format=torch.channels_last)
    if target.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # with so few states faster there than the fused one

    taught = teach_words(
        text_model, tokenizer, known, word_settings, checkpoint_of("text_model", checkpoints, made_of)
    )
    text_model.requires_grad_(False)

    alphas = new_scheduler().alphas_cumprod
    up_to = chances_of_times(alphas, settings).cumsum(0)
    alphas = alphas.to(target)
    chances = chances_of_drawings(scenes, settings["rarity"])

    def loss_of_step(step: int, rng: np.random.Generator) -> torch.Tensor:
        chosen = np.sort(rng.choice(len(images), size=settings["batch"], p=chances))
        texts = ["" if rng.random() < settings["empty_captions"] else caption(scenes[i], rng) for i in chosen]
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        clean = pictures[rng.integers(2, size=settings["batch"]), chosen].astype(np.float32)
        clean = torch.from_numpy(clean).to(target, memory_format=torch.channels_last)
        noise = torch.randn_like(clean)
        spread = (torch.rand(len(clean)) + torch.randperm(len(clean))) / len(clean)  # evenly over 0..1
        times = torch.searchsorted(up_to, spread).clamp(max=len(alphas) - 1).to(target)
        alpha = alphas[times][:, None, None, None]
        signal, noisy = alpha.sqrt(), (1 - alpha).sqrt()
        velocity = signal * noise - noisy * clean  # Salimans and Ho 2022, arXiv:2202.00512
        with half_precision(target):
            states = text_model(tokens.to(target)).last_hidden_state
            predicted = unet(signal * clean + noisy * noise, times, states).sample.float()
        return F.mse_loss(predicted, velocity)

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
    train(training, loss_of_step)

    unet.load_state_dict(training.average.module.state_dict())
    tokenizer.save_pretrained(output / "tokenizer")
    text_model.save_pretrained(output / "text_encoder")
    unet.save_pretrained(output / "unet")
    (output / "words.txt").write_text("\n".join(known_words(captions)) + "\n", encoding="utf-8")
    losses = {"text model": taught.losses, "denoiser": training.losses}
    loss_curve(losses, "Training of the text model and the denoiser", curve)
    seconds = taught.seconds + training.seconds
    history = history_of(Path(autoencoder), begin)
    history["denoiser"].append(
        {
            "drawings": len(images),
            "steps": training.steps,
            "batch": settings["batch"],
            "seconds": round(seconds),
            "machine": machine(),
            "last_loss": round(float(np.mean(training.losses[-200:])), 4),
        }
    )
    with whole(output / "training.json") as partial:
        partial.write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
    note(f"denoiser: {training.steps} steps in {seconds / 60:.0f} min, the words included")


if "snakemake" in globals():
    run(main, snakemake)
