"""Write the model card of a trained models/scenes beside its weights: what it knows, what it cost, what was measured."""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors import safe_open

from promptflux.generation.model_folder import write_sums
from promptflux.script import run
from training.world.labels import LABELS

CARD = """---
license: mit
library_name: diffusers
pipeline_tag: text-to-image
tags: [stable-diffusion, small, cpu, synthetic-data]
language: en
---

# scenes: a text-to-image model of {size_mb:.0f} MB

Draws landscapes of 128 × 128 pixels from a prompt, on two CPU cores in less than a second per image. It is a Stable
Diffusion pipeline in small: CLIP tokenizer and text model ({text_encoder_numbers:.1f} M parameters), U-Net ({unet_numbers:.1f} M) and
AutoencoderKL ({vae_numbers:.1f} M), trained from nothing on scenes that promptflux draws itself. No photograph, no
foreign picture and no foreign weights went into it.

![Images of prompts that training never saw, one row per kind of scene](samples.png)

```python
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("models/scenes")
pipeline("a serene sunset over a futuristic city", num_inference_steps={steps}, guidance_scale={guidance:g}).images[0]
```

## What it knows

{kinds}: scenes by day, at sunrise, at sunset and at night; clouds, fog, rain, thunderstorms, falling snow; the four seasons; vibrant, magical, glowing,
serene, futuristic, dark, dreamy, black-and-white and vintage moods; colors of trees, flowers and skies; and things such as
the sun, the moon, stars, birds, balloons, rainbows, houses, paths, rivers, bridges, boats, lighthouses, palms, cacti,
pyramids, castles, windmills, snowmen. `training/world` has all of its words.

## Limits

- It draws flat, simplified pictures in the manner of its training set, never photographs, people or animals but birds.
- A word that is not in `words.txt` has no meaning to it, and promptflux says so. Use a larger model for anything else.
- Small things are not always there when asked for, and a windmill may miss a sail.
- A thing stands where it stood in the drawings, a castle on mountains, a windmill on a meadow; asked for elsewhere it is left out
  or half made.
- A negative prompt takes things away (pine trees, lava) or makes them rarer (a house, smoke), but leaves what a scene
  always has (the stars of a night sky).

## Training

`snakemake -s training/Snakefile --cores all scenes`, with the settings of `training/config.yaml`:

- the autoencoder in {vae[steps]:,} steps ({vae_time} on {vae[machine]});
- the text model until it tells what a caption says, in {text[steps]:,} steps ({text_time} on {text[machine]});
- the U-Net in {goes};
- the decoder alone, once more, in {decoder[steps]:,} steps ({decoder_time} on {decoder[machine]}): pictures as rough as drawings, also of
  latents that the U-Net drew.

Empty captions one time in ten, {objective} with zero terminal SNR, timesteps by a normal distribution of the log
signal-to-noise ratio, drawings of rare things oftener, Muon, weights averaged. Images are sampled by the stochastic
DPM-Solver++: its fresh noise in each step mends what a small network gets wrong.

## Measured

`snakemake -s training/Snakefile --cores all evaluate`: {images} images of {prompts} prompts that training never saw, {steps} steps, guidance {guidance:g},
judged by a CNN that was trained on drawings alone.

| what | images | the judge on unseen drawings |
| --- | --- | --- |
| the kind of scene that the prompt names | {kind:.1%} | {judge_kind:.1%} |
| the time of day that it names | {time:.1%} | {judge_time:.1%} |
| kind, time and a third attribute, all three | {three:.1%} | |
| the third attribute alone (weather, season, mood, a thing) | {third:.1%} | {judge_third:.1%} |
| Fréchet distance to {frechet_images} unseen drawings, in the judge's features | {frechet:.2f} | {frechet_floor:.2f} |
| difference of two seeds of one prompt (median, RMS of pixels in 0..1) | {difference:.2f} | |
| pairs of seeds that are nearly the same picture | {same} of {pairs} | |
| drawings never seen, through the autoencoder and back | {psnr:.1f} dB PSNR | |
| nine images of three prompts, model load included | {seconds:.1f} s, threads: {threads} | |

Prompts of which fewer than half of the images show all that is asked: {missed}.

How sharp the pictures are: the median share of a picture's energy (luminance, Hann window) between a quarter and a half of
the highest frequency, and above that; and the 99th percentile of its gradient.

| pictures | ¼ to ½ | above ½ | edge |
| --- | --- | --- | --- |
{sharpness}

![Right kinds, the effect of guidance and of negative prompts](evaluation.png)
"""


def parameters(part: Path) -> float:
    """Millions of numbers in the .safetensors files of a part of the pipeline."""
    numbers = 0
    for weights in part.glob("*.safetensors"):
        with safe_open(weights, "np") as file:
            numbers += sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    return numbers / 1e6


def duration(seconds: float) -> str:
    """In words: 45 s, 12 min, 6.7 hours."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def main(*, pipeline: str, evaluation: str, plot: str, samples: str, scenes: str, sums: str) -> None:
    """Copy the `pipeline` folder to `scenes` and put the card (README.md) and its two pictures into it.

    sums: the list of SHA-256 sums beside it, `{scenes}.sha256`, which a copy of the model is held to.
    """
    output = Path(scenes)
    shutil.copytree(pipeline, output, dirs_exist_ok=True)
    shutil.copy(plot, output / "evaluation.png")
    shutil.copy(samples, output / "samples.png")
    trained = json.loads((output / "training.json").read_text(encoding="utf-8"))
    goes = [
        "{steps:,} steps ({time} on {machine}) of {batch} latents of {drawings:,} drawings".format(
            time=duration(go["seconds"]), **go
        )
        for go in trained["denoiser"]
    ]
    vae, text = trained["autoencoder"], trained["text_model"]
    measured = json.loads(Path(evaluation).read_text(encoding="utf-8"))
    judge = measured["judge_on_drawings"]
    rows = {
        "drawings": "drawings",
        "decoded": "drawings through the autoencoder and back",
        "images": "images",
    }
    card = CARD.format(
        size_mb=sum(part.stat().st_size for part in output.glob("*/*.safetensors")) / 1e6,
        **{f"{part}_numbers": parameters(output / part) for part in ("text_encoder", "unet", "vae")},
        kinds=", ".join(LABELS).capitalize(),
        vae=vae,
        decoder=vae["decoder"],
        text=text,
        vae_time=duration(vae["seconds"]),
        decoder_time=duration(vae["decoder"]["seconds"]),
        text_time=duration(text["seconds"]),
        goes=",\n  then ".join(goes),
        objective=trained["denoiser"][-1]["objective"].replace("_", "-"),
        sharpness="\n".join(
            "| {name} | {fine:.3f} | {finest:.3f} | {edge:.3f} |".format(name=name, **measured["sharpness"][key])
            for key, name in rows.items()
        ),
        missed="; ".join(prompt for prompt, share in measured["of_prompt"].items() if share < 0.5) or "none",
        psnr=measured["psnr_db"],
        guidance=measured["guidance_scale"],
        judge_kind=judge["kind"],
        judge_time=judge["time"],
        judge_third=judge["third"],
        frechet=measured["frechet_distance"],
        frechet_floor=measured["frechet_distance_of_drawings"],
        difference=measured["difference_between_seeds"],
        same=measured["near_identical_pairs"],
        seconds=measured["seconds_of_nine_images"],
        **{key: measured[key] for key in ("images", "prompts", "steps", "kind", "time", "three", "third", "frechet_images", "pairs", "threads")},
    )  # fmt: skip
    (output / "README.md").write_text(card, encoding="utf-8")
    write_sums(output)
    assert Path(sums).is_file()  # beside the folder, under its name


if "snakemake" in globals():
    run(main, snakemake)
