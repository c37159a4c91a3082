"""Put the trained parts together as a pipeline that `DiffusionPipeline.from_pretrained` loads, measure it, write its card."""

import json
import os
import platform
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from train_classifier import logits_of
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.job import note, progress
from promptflux.network import Network, load_weights
from promptflux.scenes import LABELS
from promptflux.scenes_model import new_scheduler
from promptflux.spec import load_spec
from promptflux.training import device

LARGEST_FILE = 15_000_000  # bytes
STEPS, GUIDANCE, IMAGES = 20, 5.0, 3  # IMAGES of each prompt

# Prompts as people write them; none of them can come out of promptflux.captions.
PROMPTS = {
    "forest": ("A vibrant forest landscape with colorful trees and a bright sky", "a magical forest with glowing trees", "walking through the misty woods"),
    "city": ("a serene sunset over a futuristic city", "tall buildings of a big city at night, lights everywhere", "rainy city streets"),
    "mountains": ("snow capped mountains under a clear blue sky", "the alps at dawn", "mountains, dramatic storm"),
    "ocean": ("a sailboat on the calm ocean", "the sun sinking into the sea", "dark stormy sea with huge waves"),
    "desert": ("hot desert with cactus plants under the sun", "pyramids in the desert at night", "endless sand dunes in evening light"),
    "meadow": ("a meadow full of red and yellow flowers in spring", "green hills with a windmill", "peaceful countryside in the morning"),
    "lake": ("a quiet lake with reflections of trees", "a lake and a wooden dock in autumn", "moon over a still lake at night"),
    "volcano": ("an erupting volcano with rivers of lava", "volcano at night", "smoke rising from a volcano on a clear day"),
    "snow": ("a snowy landscape with a snowman", "an igloo in the arctic snow", "winter wonderland with fir trees"),
    "night sky": ("the milky way in the night sky", "a starry sky with northern lights", "starry night with a shooting star"),
}  # fmt: skip

CARD = """---
license: mit
library_name: diffusers
pipeline_tag: text-to-image
tags: [stable-diffusion, small, cpu, synthetic-data]
language: en
---

# scenes: a text-to-image model of {size_mb:.0f} MB

Draws landscapes of 128 × 128 pixels from a prompt, on two CPU cores in about a second an image. It is a Stable
Diffusion pipeline in small: CLIP tokenizer and text model ({text:.1f} M parameters), U-Net ({unet:.1f} M) and
AutoencoderKL ({vae:.1f} M), trained from nothing on scenes that promptflux draws itself. No photograph, no
foreign picture and no foreign weights went into it.

```python
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("models/scenes")
pipeline("a serene sunset over a futuristic city", num_inference_steps=20, guidance_scale=5.0).images[0]
```

## What it knows

Ten kinds of scene (forest, city, mountains, ocean, desert, meadow, lake, volcano, snow, night sky) by day, at sunrise,
at sunset and at night; clouds, fog, rain, thunderstorms, falling snow; the four seasons; vibrant, magical, glowing,
serene, futuristic, dark, dreamy, black-and-white and vintage moods; colours of trees, flowers and skies; and things such as
the sun, the moon, stars, birds, balloons, rainbows, houses, paths, rivers, bridges, boats, lighthouses, palms, cacti,
pyramids, castles, windmills, snowmen. `scripts/promptflux/captions.py` has all of its words.

## Limits

- It draws flat, simplified pictures in the manner of its training set, never photographs, people or animals but birds.
- A word that is not in `words.txt` has no meaning to it, and promptflux says so. Use a larger model for anything else.
- Small things (a snowman, a lighthouse, a colour of one thing among others) are not always there when asked for.

## Training

{drawings} drawings, `snakemake --cores all train_scenes`: the autoencoder in {vae_steps} steps ({vae_minutes:.0f} min), text model and
U-Net in {unet_steps} steps ({unet_minutes:.0f} min) of 32 latents with empty captions one time in ten, v-prediction with zero
terminal SNR, weights averaged. Machine: {machine}.

## Measured

| what | value |
| --- | --- |
| autoencoder, drawings never seen | {psnr:.1f} dB PSNR |
| the kind of scene that the prompt names ({judge} judges {images} images of {prompts} prompts, {steps} steps, guidance {guidance:g}) | {right:.0%} |
| nine images of three prompts, model load included | {seconds:.0f} s on {threads} threads |

{kinds}
"""


def write_pipeline(
    tokenizer: CLIPTokenizer,
    text_model: CLIPTextModel,
    autoencoder: AutoencoderKL,
    unet: UNet2DConditionModel,
    folder: Path,
) -> None:
    """Save the parts into `folder` in diffusers' format, weights as fp16 safetensors."""
    pipeline = StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=text_model,
        vae=autoencoder,
        unet=unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    # transformers would load the text model in the dtype that its config names and diffusers the
    # rest as float32: say float32 here, so that a plain from_pretrained gives one dtype.
    # And where the parts lay before is nobody's business.
    for config in folder.rglob("*.json"):
        fields = json.loads(config.read_text(encoding="utf-8"))
        fields.pop("_name_or_path", None)
        if config.parent.name == "text_encoder":
            fields["dtype"] = "float32"
        config.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for part in folder.rglob("*"):
        if part.is_file():
            part.chmod(0o644)  # safetensors makes private files
            if part.stat().st_size > LARGEST_FILE:
                raise ValueError(f"{part} has {part.stat().st_size} bytes, more than {LARGEST_FILE}")


def drawn(pipeline: DiffusionPipeline, prompt: str, first_seed: int, count: int) -> list[Image.Image]:
    """`count` images of `prompt`."""
    seeds = [torch.Generator().manual_seed(first_seed + k) for k in range(count)]
    return pipeline(
        [prompt] * count, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=seeds
    ).images


def load(folder: Path) -> DiffusionPipeline:
    pipeline = DiffusionPipeline.from_pretrained(folder).to(device())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def shares_of_right_kinds(pipeline: DiffusionPipeline, network: Network, count: int) -> dict[str, float]:
    """For each kind of scene, the share of `count` images of each of its PROMPTS that `network` takes for that kind."""
    shares = {}
    for label, kind in enumerate(progress(LABELS, "judging", "kind")):
        images = [
            image
            for i, prompt in enumerate(PROMPTS[kind])
            for image in drawn(pipeline, prompt, 100 * label + 10 * i, count)
        ]
        logits = logits_of(network, np.stack([np.asarray(image) for image in images]))
        shares[kind] = float((logits.argmax(1) == label).float().mean())
    return shares


def machine() -> str:
    """The processor and what of it there is, as the model card names it."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    names = [line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.processor() or platform.machine()}"


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def main(
    autoencoder: Path,
    denoiser: Path,
    drawings: Path,
    spec: Path,
    weights: Path,
    output: Path,
    scale: float = 1.0,
) -> None:
    """Write the pipeline folder `output` with its model card; the classifier of `spec` and `weights` judges its images.

    `scale` multiplies the number of images that are judged, down to one a prompt.
    """
    output = Path(output)
    count = max(1, round(IMAGES * min(scale, 1.0)))
    write_pipeline(
        CLIPTokenizer.from_pretrained(denoiser / "tokenizer"),
        CLIPTextModel.from_pretrained(denoiser / "text_encoder"),
        AutoencoderKL.from_pretrained(autoencoder),
        UNet2DConditionModel.from_pretrained(denoiser / "unet"),
        output,
    )
    shutil.copy(denoiser / "words.txt", output)
    begun = time.monotonic()
    pipeline = load(output)
    for kind in ("forest", "city", "ocean"):
        drawn(pipeline, PROMPTS[kind][0], 0, IMAGES)
    seconds = time.monotonic() - begun
    classifier = load_spec(spec, weights_exist=False)
    network = Network(classifier).load(load_weights(weights, classifier))
    shares = shares_of_right_kinds(pipeline, network, count)
    right = float(np.mean(list(shares.values())))

    trained = {
        part: json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        for part, folder in (("vae", autoencoder), ("unet", denoiser))
    }
    millions = {
        name: sum(p.numel() for p in getattr(pipeline, name).parameters()) / 1e6
        for name in ("text_encoder", "unet", "vae")
    }
    card = CARD.format(
        size_mb=sum(part.stat().st_size for part in output.rglob("*") if part.is_file()) / 1e6,
        text=millions["text_encoder"],
        unet=millions["unet"],
        vae=millions["vae"],
        drawings=f"{len(np.load(drawings, mmap_mode='r')):,}",
        vae_steps=f"{trained['vae']['steps']:,}",
        vae_minutes=trained["vae"]["seconds"] / 60,
        unet_steps=f"{trained['unet']['steps']:,}",
        unet_minutes=trained["unet"]["seconds"] / 60,
        machine=machine(),
        psnr=trained["vae"]["psnr_db"],
        judge=classifier.name,
        images=count * sum(len(prompts) for prompts in PROMPTS.values()),
        prompts=sum(len(prompts) for prompts in PROMPTS.values()),
        steps=STEPS,
        guidance=GUIDANCE,
        right=right,
        seconds=seconds,
        threads=torch.get_num_threads(),
        kinds="Right kind, by kind: "
        + ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
        + ".",
    )
    (output / "README.md").write_text(card, encoding="utf-8")
    note(f"scenes: {right:.0%} of the judged images show the kind of scene that was asked for")


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        main(
            autoencoder=Path(snakemake.input.autoencoder),  # noqa: F821
            denoiser=Path(snakemake.input.denoiser),  # noqa: F821
            drawings=Path(snakemake.input.drawings),  # noqa: F821
            spec=Path(snakemake.input.spec),  # noqa: F821
            weights=Path(snakemake.input.weights),  # noqa: F821
            output=Path(snakemake.output[0]),  # noqa: F821
            scale=snakemake.params.scale,  # noqa: F821
        )
