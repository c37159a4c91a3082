"""Put the trained parts together as a pipeline that `DiffusionPipeline.from_pretrained` loads."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.script import run

LARGEST_FILE = 15_000_000  # bytes; larger weights are in several


def write_pipeline(
    tokenizer: CLIPTokenizer,
    text_model: CLIPTextModel,
    autoencoder: AutoencoderKL,
    unet: UNet2DConditionModel,
    scheduler: DPMSolverMultistepScheduler,
    folder: Path,
) -> None:
    """Save the parts into `folder` in diffusers' format, weights as fp16 safetensors."""
    pipeline = StableDiffusionPipeline(
        tokenizer=tokenizer,
        text_encoder=text_model,
        vae=autoencoder,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(
        folder, safe_serialization=True, max_shard_size=LARGEST_FILE - 200_000
    )
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


def main(*, autoencoder: str, text_model: str, denoiser: str, pipeline: str) -> None:
    """Write the folder `pipeline`, with the `words.txt` that the model knows and how it was trained."""
    trained, words, output = Path(denoiser), Path(text_model), Path(pipeline)
    write_pipeline(
        CLIPTokenizer.from_pretrained(words / "tokenizer"),
        CLIPTextModel.from_pretrained(words / "text_encoder"),
        AutoencoderKL.from_pretrained(autoencoder),
        UNet2DConditionModel.from_pretrained(trained / "unet"),
        DPMSolverMultistepScheduler.from_pretrained(trained / "scheduler"),
        output,
    )
    shutil.copy(words / "words.txt", output)
    history = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    records = Path(autoencoder) / "metrics.json"
    if records.exists():  # which a models/scenes to go on from has not: its record is in the history
        history["autoencoder"] = json.loads(records.read_text(encoding="utf-8"))
    (output / "training.json").write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")


if "snakemake" in globals():
    run(main, snakemake)
