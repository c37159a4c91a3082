"""A whole model in one .safetensors file, as Stable Diffusion's own layout has it: which model it is, and its configs.

The file holds weights alone. The configs of Stable Diffusion 1.x, 2.x and SDXL are here, as what differs from the
defaults of diffusers' and transformers' classes; the vocabulary of CLIP, which they share, is in the package openai-clip.
"""

import gzip
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from promptflux.errors import StudyError, printable
from promptflux.generation.safetensors_header import read_header, read_metadata

UNET, VAE = "model.diffusion_model.", "first_stage_model."
V1_OR_V2 = f"{UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
# The text encoders of each kind, by what their tensors begin with.
ENCODERS = {
    "sd1": ("cond_stage_model.transformer.",),
    "sd2": ("cond_stage_model.model.",),
    "sdxl": ("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
}
TITLES = {"sd1": "Stable Diffusion 1.x", "sd2": "Stable Diffusion 2.x", "sdxl": "SDXL"}
SIZES = {"sd1": 512, "sd2": 768, "sdxl": 1024}  # pixels; of SD 2.x's base model 512

# The tensors that tell other models apart, which need their own configs.
OTHERS = {
    "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": "the refiner of SDXL",
    "conditioner.embedders.0.model.token_embedding.weight": "the refiner of SDXL",
    "double_blocks.0.img_attn.norm.key_norm.scale": "FLUX.1",
    "model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale": "FLUX.1",
    "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias": "Stable Diffusion 3",
    "joint_blocks.0.context_block.adaLN_modulation.1.bias": "Stable Diffusion 3",
}


def kind_of(path: Path) -> str | None:
    """`sd1`, `sd2` or `sdxl`; None for a file that is none of them. Raises StudyError if it is damaged."""
    header = read_header(path)
    if f"{UNET}input_blocks.0.0.weight" not in header or any(name in header for name in OTHERS):
        return None
    if header[f"{UNET}input_blocks.0.0.weight"]["shape"][1:2] != [4]:
        return None  # for inpainting, or depth
    if any(name.startswith("conditioner.embedders.1.") for name in header):
        return "sdxl"
    width = header[V1_OR_V2]["shape"][-1] if V1_OR_V2 in header else None
    return {768: "sd1", 1024: "sd2"}.get(width or 0)


def file_problems(path: Path, has_config: bool) -> list[str]:
    """What is wrong with a single file as a model, a sentence each. has_config: its configs are given."""
    try:
        header = read_header(path)
        kind = kind_of(path)
    except StudyError as error:
        return list(error.args)
    where = printable(path)
    if has_config:
        return []
    if kind is None:
        what = next((title for name, title in OTHERS.items() if name in header), None)
        if what is None and f"{UNET}input_blocks.0.0.weight" in header:
            what = "a model for inpainting or of another kind"
        return [
            f"{where}: {f'this is {what}' if what else 'it is not known which model this is'}; the configs that are found by "
            f"themselves are those of {', '.join(TITLES.values())}. Set generator.model_config to a folder in diffusers' format "
            f"with the configs of this one, or take the model as such a folder."
        ]
    lacking = [
        part
        for part, start in [("VAE", VAE), *(("text encoder", start) for start in ENCODERS[kind])]
        if not any(name.startswith(start) for name in header)
    ]
    if lacking:
        return [
            f"{where}: this {TITLES[kind]} model has no {' and no '.join(lacking)}; take a file with the whole model."
        ]
    return []


def class_name_of(kind: str) -> str:
    return "StableDiffusionXLPipeline" if kind == "sdxl" else "StableDiffusionPipeline"


@contextmanager
def config_folder(path: Path) -> Iterator[Path]:
    """A folder in diffusers' format, without weights, with the configs of a single file; it is there for the block.

    Raises StudyError if the vocabulary of CLIP is not to be had.
    """
    kind = kind_of(path)
    assert kind is not None  # which planning has asked
    with TemporaryDirectory(prefix="promptflux_") as name:
        folder = Path(name)
        for part, config in configs(kind, read_header(path), read_metadata(path)).items():
            place = folder / part
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(config, indent=1), encoding="utf-8")
        merges = clip_merges()
        vocabulary = clip_vocabulary(merges)
        for part in ("tokenizer", "tokenizer_2") if kind == "sdxl" else ("tokenizer",):
            # The text encoder of OpenCLIP is trained with another token to fill up with.
            fill = "<|endoftext|>" if part == "tokenizer" and kind != "sd2" else "!"
            _write_tokenizer(folder / part, vocabulary, merges, fill)
        yield folder


def configs(kind: str, header: Mapping[str, Any], metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The configs of a kind of model, by their paths in a folder of diffusers' format.

    Their values are those of the models' own repositories (stable-diffusion-v1-5, stable-diffusion-2-1,
    stable-diffusion-xl-base-1.0). What the file says of itself comes before: its prediction type in modelspec's words
    (https://github.com/Stability-AI/ModelSpec), or as a tensor v_pred.
    """
    said = f"{metadata.get('modelspec.prediction_type', '')} {metadata.get('modelspec.architecture', '')}".lower()
    base = kind == "sd2" and ("epsilon" in said or "v2-512" in said)
    of_v = "v_pred" in header or said.startswith("v") or (kind == "sd2" and not base)
    scheduler: dict[str, Any] = {
        "_class_name": "PNDMScheduler"
        if kind == "sd1"
        else "DDIMScheduler"
        if kind == "sd2"
        else "EulerDiscreteScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction" if of_v else "epsilon",
        "steps_offset": 1,
    }
    scheduler |= (
        {"timestep_spacing": "leading", "use_karras_sigmas": False}
        if kind == "sdxl"
        else {"set_alpha_to_one": False, "clip_sample": False, "skip_prk_steps": True}
    )
    if "ztsnr" in header:
        scheduler["rescale_betas_zero_snr"] = True
    size = 512 if base else SIZES[kind]
    unet: dict[str, Any] = {"_class_name": "UNet2DConditionModel", "sample_size": size // 8}
    unets: dict[str, dict[str, Any]] = {
        "sd1": {"cross_attention_dim": 768},
        "sd2": {
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],
            "use_linear_projection": True,
        },
        "sdxl": {
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "block_out_channels": [320, 640, 1280],
            "transformer_layers_per_block": [1, 2, 10],
            "attention_head_dim": [5, 10, 20],
            "cross_attention_dim": 2048,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
    }
    unet |= unets[kind]
    vae = {
        "_class_name": "AutoencoderKL",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 1024 if kind == "sdxl" else size,
        "scaling_factor": 0.13025 if kind == "sdxl" else 0.18215,
        "force_upcast": kind == "sdxl",
    }
    encoders = [_text_encoder(768, 12, 3072, 12, "quick_gelu", 768)]
    if kind == "sd2":
        encoders = [_text_encoder(1024, 23, 4096, 16, "gelu", 512)]
    elif kind == "sdxl":
        encoders.append(_text_encoder(1280, 32, 5120, 20, "gelu", 1280, "CLIPTextModelWithProjection"))
    index: dict[str, Any] = {
        "_class_name": class_name_of(kind),
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if kind == "sdxl":
        index |= {
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "force_zeros_for_empty_prompt": True,
        }
    else:
        index |= {
            "safety_checker": [None, None],
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
        }
    numbers = range(1, len(encoders) + 1)
    return {
        "model_index.json": index,
        "scheduler/scheduler_config.json": scheduler,
        "unet/config.json": unet,
        "vae/config.json": vae,
        **{
            f"text_encoder{'' if number == 1 else f'_{number}'}/config.json": encoder
            for number, encoder in zip(numbers, encoders, strict=True)
        },
    }


def _text_encoder(
    width: int,
    layers: int,
    inner: int,
    heads: int,
    activation: str,
    projection: int,
    name: str = "CLIPTextModel",
) -> dict[str, Any]:
    return {
        "architectures": [name],
        "model_type": "clip_text_model",
        "hidden_size": width,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "hidden_act": activation,
        "projection_dim": projection,
        "max_position_embeddings": 77,
        "vocab_size": 49408,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
        "layer_norm_eps": 1e-05,
    }


# The vocabulary of CLIP, as OpenAI published it (https://github.com/openai/CLIP, clip/bpe_simple_vocab_16e6.txt.gz).
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
VOCABULARY_DIGEST = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
MERGES = 49152 - 256 - 2  # of the file's 262,145 lines, the first that CLIP was trained with


def clip_merges() -> list[str]:
    """CLIP's merges of byte pairs, in their order: "i n", "t h", ..., from the data of the package openai-clip, whose code
    is not run. Raises StudyError if it is not installed, or is another."""
    found = importlib.util.find_spec("clip")
    places = list(found.submodule_search_locations or []) if found else []
    path = next((Path(place, VOCABULARY) for place in places if Path(place, VOCABULARY).is_file()), None)
    if path is None:
        raise StudyError(
            "generator.model: a single file has no vocabulary; the one of CLIP is in the package openai-clip, which is not "
            "installed here: pip install openai-clip, or set generator.model_config to a folder that has one."
        )
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != VOCABULARY_DIGEST:
        raise StudyError(f"{printable(path)}: this is not the vocabulary of CLIP; install openai-clip anew.")
    return gzip.decompress(content).decode("utf-8").split("\n")[1 : MERGES + 1]


def clip_vocabulary(merges: list[str]) -> dict[str, int]:
    """Each token of CLIP and its number: bytes, bytes at the end of a word, what the merges make, start and end."""
    printable_bytes = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = (chr(256 + number) for number in range(256 - len(printable_bytes)))
    letters = [*map(chr, printable_bytes), *others]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += [merge.replace(" ", "") for merge in merges]
    return {token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


def _write_tokenizer(folder: Path, vocabulary: Mapping[str, int], merges: list[str], fill: str) -> None:
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": fill,
        "do_lower_case": True,
        "add_prefix_space": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
