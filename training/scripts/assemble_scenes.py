"""Put the trained parts together as a pipeline that `DiffusionPipeline.from_pretrained` loads."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.script import run
from training.models import new_scheduler

LARGEST_FILE = 15_000_000  # bytes


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


def main(*, autoencoder: str, denoiser: str, pipeline: str) -> None:
    """Write the folder `pipeline`, with the `words.txt` that the model knows and how it was trained."""
    trained, output = Path(denoiser), Path(pipeline)
    write_pipeline(
        CLIPTokenizer.from_pretrained(trained / "tokenizer"),
        CLIPTextModel.from_pretrained(trained / "text_encoder"),
        AutoencoderKL.from_pretrained(autoencoder),
        UNet2DConditionModel.from_pretrained(trained / "unet"),
        output,
    )
    for name in ("words.txt", "training.json"):
        shutil.copy(trained / name, output)


if "snakemake" in globals():
    run(main, snakemake)
