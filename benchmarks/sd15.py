"""A diffusers folder of Stable Diffusion 1.5's exact size, with random weights: nothing is fetched.

    python benchmarks/sd15.py FOLDER            # 4.3 GB, in float32 as the real one is
    python benchmarks/sd15.py --small FOLDER    # a small one of the same parts, to try what takes it on a CPU

What it draws is noise; how long that takes and how much memory is what the real one takes, too.
"""

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from gpu_unet import SD15, SD15_PARAMETERS, SMALL
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

# vae/config.json and text_encoder/config.json of stable-diffusion-v1-5/stable-diffusion-v1-5; the other keys are the defaults.
VAE = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512}
SMALL_VAE = {"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1, "sample_size": 128}
TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
SMALL_TEXT = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
WORDS = 49408
BLOCKS = 4  # of the autoencoder, down and up again


def main(folder: Path, small: bool) -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**(SMALL if small else SD15))
    assert small or sum(parameter.numel() for parameter in unet.parameters()) == SD15_PARAMETERS
    vae = AutoencoderKL(
        **(SMALL_VAE if small else VAE),
        down_block_types=("DownEncoderBlock2D",) * BLOCKS,
        up_block_types=("UpDecoderBlock2D",) * BLOCKS,
        latent_channels=4,
    )
    tokenizer = letters()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            **(SMALL_TEXT if small else TEXT),
            vocab_size=WORDS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            hidden_act="quick_gelu",
        )
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def letters() -> CLIPTokenizer:
    """A tokenizer that knows letters alone; the rest of its words mean nothing."""
    alphabet = sorted(ByteLevel.alphabet())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    words += [f"<{number}>" for number in range(WORDS - 2 - len(words))] + [
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=77
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    main(**vars(parser.parse_args()))
