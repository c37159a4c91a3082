"""Tiny diffusion models of other classes, and broken ones, made of the tiny Stable Diffusion model."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from promptflux.study.config import read_config
from support.workflow import WORKFLOW

DEFAULTS = read_config(WORKFLOW / "config.yaml")["generator"]


def unet(**settings):
    """A U-Net like that of the tiny model."""
    from diffusers import UNet2DConditionModel

    sizes = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 16,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    torch.manual_seed(0)
    return UNet2DConditionModel(**(sizes | settings))


def parts(model: Path):
    from diffusers import DiffusionPipeline

    return DiffusionPipeline.from_pretrained(model).components


def latent_consistency(model: Path, folder: Path) -> Path:
    """A model that takes no negative prompt."""
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    made = parts(model) | {"unet": unet(time_cond_proj_dim=8), "scheduler": LCMScheduler()}
    made.pop("image_encoder")
    LatentConsistencyModelPipeline(**made, requires_safety_checker=False).save_pretrained(folder)
    return folder


def stable_diffusion_xl(model: Path, folder: Path) -> Path:
    """A model with two text encoders."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextModelWithProjection

    made = parts(model)
    encoder = CLIPTextModelWithProjection(made["text_encoder"].config)
    StableDiffusionXLPipeline(
        vae=made["vae"],
        text_encoder=made["text_encoder"],
        text_encoder_2=encoder,
        tokenizer=made["tokenizer"],
        tokenizer_2=made["tokenizer"],
        unet=unet(
            cross_attention_dim=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + encoder.config.projection_dim,
        ),
        scheduler=EulerDiscreteScheduler(),
    ).save_pretrained(folder)
    return folder


def change_weights(model: Path, part: str, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the tensors of a part's weights where they lie."""
    path = next((model / part).glob("*.safetensors"))
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def copy_of(model: Path, folder: Path) -> Path:
    return Path(shutil.copytree(model, folder))
