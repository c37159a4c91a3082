"""A whole model in one file: which model it is, its configs without a hub, and that its weights are those of the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.models import DEFAULTS
from support.single_files import single_file

from promptflux.errors import StudyError
from promptflux.files.whole import sha256_of_file
from promptflux.generation import single_file as single_file_module
from promptflux.generation.generator import read_generator
from promptflux.generation.loading import load
from promptflux.generation.pipeline import make
from promptflux.generation.recipe import Request, by_content
from promptflux.generation.single_file import (
    ENCODERS,
    UNET,
    VAE,
    clip_merges,
    clip_vocabulary,
    config_folder,
    configs,
    kind_of,
)

SETTINGS = DEFAULTS | {"steps": 2, "micro_batch": 1, "threads": 1, "device": "cpu"}
FIRST = f"{UNET}input_blocks.0.0.weight"
WIDTH = f"{UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"


def find(path):
    return Path(path) if Path(path).exists() else None


def refused(path, **settings) -> str:
    with pytest.raises(StudyError) as error:
        read_generator({**SETTINGS, "model": str(path), **settings}, find)
    return str(error.value)


@pytest.fixture
def outline(tmp_path):
    """A file with the tensors that tell a kind of model, and no more."""

    def outline(kind, width=None, channels=4, metadata=None, **more):
        tensors = {FIRST: torch.zeros(8, channels, 3, 3), f"{VAE}x": torch.zeros(1)}
        tensors |= {f"{start}x": torch.zeros(1) for start in ENCODERS[kind]}
        width = width or {"sd1": 768, "sd2": 1024}.get(kind)
        if width:
            tensors[WIDTH] = torch.zeros(4, width)
        tensors |= {name: torch.zeros(1) for name in more}
        save_file(tensors, tmp_path / f"{kind}.safetensors", metadata)
        return tmp_path / f"{kind}.safetensors"

    return outline


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_the_kind_of_a_model_is_told_by_its_tensors(outline, kind):
    path = outline(kind)
    assert kind_of(path) == kind
    generator = read_generator({**SETTINGS, "model": str(path)}, find)
    assert generator.files() == [str(path)] and not generator.is_folder
    assert by_content(generator.settings())["model"] == f"sha256:{sha256_of_file(path)}"


# The parameters of the models' networks, as their repositories have them.
COUNTS = {
    "sd1": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "sd2": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "sdxl": {"unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840},
}  # fmt: skip


@pytest.mark.parametrize("kind", COUNTS)
def test_the_configs_are_those_of_the_published_models(kind):
    import diffusers
    import transformers

    made = configs(kind, {}, {})
    for part, count in COUNTS[kind].items():
        config = dict(made[f"{part}/config.json"])
        library, name = made["model_index.json"][part]
        with torch.device("meta"):
            if library == "diffusers":
                network = getattr(diffusers, name)(
                    **{key: value for key, value in config.items() if key[0] != "_"}
                )
            else:
                network = getattr(transformers, name)(getattr(transformers, name).config_class(**config))
        assert sum(weights.numel() for weights in network.parameters()) == count, part


@pytest.mark.parametrize("kind", COUNTS)
def test_the_folder_of_configs_loads(outline, kind):
    import diffusers
    from transformers import CLIPTokenizer

    with config_folder(outline(kind)) as folder:
        index = diffusers.DiffusionPipeline.load_config(folder)
        assert index["_class_name"] == (
            "StableDiffusionXLPipeline" if kind == "sdxl" else "StableDiffusionPipeline"
        )
        diffusers.EulerDiscreteScheduler.from_pretrained(folder / "scheduler")
        for part, fill in {"sd1": [("tokenizer", 49407)], "sd2": [("tokenizer", 0)]}.get(
            kind, [("tokenizer", 49407), ("tokenizer_2", 0)]
        ):
            tokenizer = CLIPTokenizer.from_pretrained(folder / part)
            # As CLIP's own tokenizer has it (https://github.com/openai/CLIP)
            tokens = [49406, 320, 1125, 539, 320, 2368, 49407]
            assert tokenizer("a photo of a CAT").input_ids == tokens
            padded = tokenizer("a photo of a cat", padding="max_length", max_length=77).input_ids
            assert padded == tokens + [fill] * 70
    assert not folder.exists()


def test_the_vocabulary_is_clips_own(monkeypatch, tmp_path):
    vocabulary = clip_vocabulary(clip_merges())
    assert len(vocabulary) == 49408 and vocabulary["cat</w>"] == 2368
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip/bpe_simple_vocab_16e6.txt.gz").write_bytes(b"another")
    monkeypatch.setattr(
        single_file_module.importlib.util,
        "find_spec",
        lambda name: type("Spec", (), {"submodule_search_locations": [str(tmp_path / "clip")]}),
    )
    with pytest.raises(StudyError, match="this is not the vocabulary of CLIP"):
        clip_merges()
    monkeypatch.setattr(single_file_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudyError, match="pip install openai-clip, or set generator.model_config"):
        clip_merges()


@pytest.mark.parametrize(
    "kind, metadata, more, prediction, size",
    [
        ("sd1", {}, {}, "epsilon", 64),
        ("sd2", {}, {}, "v_prediction", 96),
        ("sd2", {"modelspec.architecture": "stable-diffusion-v2-512"}, {}, "epsilon", 64),
        ("sd1", {"modelspec.prediction_type": "v"}, {}, "v_prediction", 64),
        ("sdxl", {}, {"v_pred": 0, "ztsnr": 0}, "v_prediction", 128),
    ],
)
def test_what_a_file_says_of_its_prediction_counts(kind, metadata, more, prediction, size):
    made = configs(kind, more, metadata)
    assert made["scheduler/scheduler_config.json"]["prediction_type"] == prediction
    assert made["unet/config.json"]["sample_size"] == size
    assert made["scheduler/scheduler_config.json"].get("rescale_betas_zero_snr", False) == ("ztsnr" in more)


def test_what_cannot_be_a_model_is_a_sentence(outline, tmp_path, tiny_model):
    assert "a model for inpainting" in refused(outline("sd1", channels=9))
    refiner = "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias"
    assert "this is the refiner of SDXL; the configs that are found" in refused(
        outline("sdxl", **{refiner: 0})
    )
    save_file({"double_blocks.0.img_attn.norm.key_norm.scale": torch.zeros(1)}, tmp_path / "f.safetensors")
    assert "this is FLUX.1; the configs" in refused(tmp_path / "f.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    assert "it is not known which model this is" in refused(tmp_path / "x.safetensors")
    whole = load_file(outline("sd1"))
    save_file(
        {key: value for key, value in whole.items() if not key.startswith(VAE)},
        tmp_path / "no_vae.safetensors",
    )
    assert "this Stable Diffusion 1.x model has no VAE" in refused(tmp_path / "no_vae.safetensors")
    (tmp_path / "model.ckpt").write_bytes(b"x")
    assert "is a Python pickle, which can run code when it is loaded; convert it to .safetensors" in refused(
        tmp_path / "model.ckpt"
    )
    assert "there is no such file" in refused(tmp_path / "nowhere.safetensors")
    assert "set revision to null" in refused(outline("sd1"), revision="main")
    assert "a single file, which has one; set variant to null" in refused(outline("sd1"), variant="fp16")
    assert "multiples of 8 pixels" in refused(outline("sd1"), width=100)
    assert "generator.model_config is 'nowhere'" in refused(outline("sd1"), model_config="nowhere")
    (tmp_path / "cut.safetensors").write_bytes(outline("sd1").read_bytes()[:-3])
    assert "the file is damaged" in refused(tmp_path / "cut.safetensors")


def test_its_images_are_those_of_the_folder(tiny_model, tmp_path):
    """The tiny model in Stable Diffusion's own layout, with the configs of its folder."""
    path = single_file(tiny_model, tmp_path / "tiny.safetensors")
    settings = {**SETTINGS, "model": str(path), "model_config": str(tiny_model)}
    generator = read_generator(settings, find)
    recipe = by_content(generator.settings())
    assert recipe["model"] == f"sha256:{sha256_of_file(path)}" and recipe["model_config"].startswith(
        "sha256:"
    )
    pixels = []
    for name, chosen in {
        "file": generator.settings(),
        "folder": SETTINGS | {"model": str(tiny_model)},
    }.items():
        request = Request(
            tmp_path / f"{name}.png", {"prompt": "a forest", "seed": 3, "steps": 2, "model": "x"}
        )
        make([request], chosen, [])
        pixels.append(np.asarray(Image.open(request.path)))
    assert np.array_equal(*pixels)


@pytest.mark.parametrize("part", ["model.diffusion_model.middle_block.0", "first_stage_model.decoder.mid"])
def test_weights_that_lack_are_a_sentence(tiny_model, tmp_path, part):
    path = single_file(tiny_model, tmp_path / "tiny.safetensors", leave_out=part)
    with pytest.raises(StudyError, match="not in the file|cannot be loaded"):
        load(SETTINGS | {"model": str(path), "model_config": str(tiny_model)}, [])


def test_a_file_loads_with_the_configs_that_are_found(tiny_model, tmp_path, monkeypatch):
    """As a file of Stable Diffusion 1.x does, with the sizes of its networks made tiny."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    made = single_file_module.configs

    def tiny(kind, header, metadata):
        found = made(kind, header, metadata)
        for part in ("unet", "vae", "text_encoder"):
            own = json.loads((tmp_path / f"whole/{part}/config.json").read_text())
            found[f"{part}/config.json"] |= {key: own[key] for key in own if key[0] != "_"}
        return found

    monkeypatch.setattr(single_file_module, "kind_of", lambda path: "sd1")
    (tmp_path / "outline.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    with config_folder(tmp_path / "outline.safetensors") as folder:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        scheduler = diffusers.PNDMScheduler.from_pretrained(folder / "scheduler")
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(tiny_model, tokenizer=tokenizer)
    torch.manual_seed(1)
    config = pipeline.text_encoder.config.to_dict() | {"vocab_size": len(tokenizer), "eos_token_id": 2}
    pipeline.text_encoder = CLIPTextModel(CLIPTextConfig(**config)).eval()
    pipeline.scheduler = scheduler
    pipeline.save_pretrained(tmp_path / "whole")
    path = single_file(tmp_path / "whole", tmp_path / "whole.safetensors")

    monkeypatch.setattr(single_file_module, "configs", tiny)
    generator = read_generator({**SETTINGS, "model": str(path)}, find)
    request = Request(tmp_path / "a.png", {"prompt": "a photo of a cat", "seed": 3, "steps": 2, "model": "x"})
    make([request], generator.settings() | {"width": 32, "height": 32}, [])
    torch.set_num_threads(1)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        "a photo of a cat",
        generator=torch.Generator("cpu").manual_seed(3),
        num_inference_steps=2,
        guidance_scale=3.0,
    ).images[0]
    assert np.array_equal(np.asarray(Image.open(request.path)), np.asarray(theirs))
