"""A diffusion model that is broken, or does what was not asked, is a sentence before an image is written."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from support.malformed import malformed
from support.models import DEFAULTS, change_weights, latent_consistency, stable_diffusion_xl

from promptflux.errors import StudyError
from promptflux.generation import loading
from promptflux.generation.ahead import check_asked
from promptflux.generation.generator import read_generator
from promptflux.generation.loading import classes_of, load
from promptflux.generation.model_folder import model_files
from promptflux.generation.pipeline import check_size, likely_reason, make, one_value, sample
from promptflux.generation.prompts import Prompt
from promptflux.generation.recipe import Request

SETTINGS = DEFAULTS | {"steps": 1, "micro_batch": 1, "threads": 1, "device": "cpu"}


@pytest.fixture
def model(tiny_model, tmp_path):
    """A copy of the tiny model, to be broken."""
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.fixture
def request_of(tmp_path):
    def request_of(prompt="a forest", **more) -> Request:
        return Request(tmp_path / "images/forest_1.png", {"prompt": prompt, "seed": 1, **more})

    return request_of


@pytest.fixture
def draw(request_of, tmp_path):
    """Make an image with a model; the sentence with which that ends, or "" and the image is there."""

    def draw(model, negative=False, request=None, **settings) -> str:
        request = request or request_of()
        request.path.parent.mkdir(exist_ok=True)
        request.path.write_bytes(b"good")
        try:
            prompts = [Prompt("forest", "a forest", "fog" if negative else "")]
            make([request], {**SETTINGS, "model": str(model), **settings}, prompts)
        except StudyError as error:
            assert [path.name for path in request.path.parent.iterdir()] == [request.path.name]
            assert request.path.read_bytes() == b"good"
            assert str(error).isprintable() and len(str(error)) < 900
            return str(error)
        with Image.open(request.path) as picture:
            assert len(set(picture.getdata())) > 1
        return ""

    return draw


def fill(value, name=None):
    """Fill the tensors of the weights, or the one of that name, with a value."""

    def change(tensors):
        for key in tensors if name is None else [name]:
            tensors[key] = torch.full_like(tensors[key], value)

    return change


def write(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_sound_models_draw(draw, model, tmp_path):
    assert draw(model) == ""
    assert draw(latent_consistency(model, tmp_path / "lcm")) == ""
    assert draw(stable_diffusion_xl(model, tmp_path / "sdxl"), negative=True) == ""


def test_loading_part_by_part_gives_what_diffusers_loads(model):
    import diffusers

    ours, _ = load({**SETTINGS, "model": str(model)}, [])
    theirs = diffusers.DiffusionPipeline.from_pretrained(model)
    assert type(ours) is type(theirs) and dict(ours.config).keys() == dict(theirs.config).keys()
    for name in ("unet", "vae", "text_encoder"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert type(one) is type(other) and one.training == other.training is False
        assert one.state_dict().keys() == other.state_dict().keys()
        assert all(
            torch.equal(a, b)
            for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        )


# Weights


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(draw, model, part, value):
    change_weights(model, part, lambda tensors: next(iter(tensors.values())).view(-1)[:1].fill_(value))
    assert f"{model / part}': the weights" in draw(model) and "not all finite" in draw(model)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_lack_are_not_drawn_by_chance(draw, model, part):
    def rename(tensors):
        name = max(tensors)
        tensors[f"{name}x"] = tensors.pop(name)

    change_weights(model, part, rename)
    assert "1 weights are not in its .safetensors files" in draw(model)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_of_another_shape_are_a_sentence(draw, model, part):
    def cut(tensors):
        name = next(name for name, tensor in tensors.items() if tensor.ndim == 1)
        tensors[name] = tensors[name][:-1].clone()

    change_weights(model, part, cut)
    assert f"{model / part}' cannot be loaded" in draw(model)


def test_latents_that_overflow_are_a_sentence(draw, model):
    change_weights(model, "unet", fill(3e38, "conv_out.bias"))
    assert "latents of step 1 are not all finite" in draw(model) and "no image was written" in draw(model)


def test_a_vae_that_overflows_is_a_sentence(draw, model):
    """Its NaN would be black pixels."""
    change_weights(model, "vae", fill(3e38, "decoder.conv_in.weight"))
    assert "the pixels that the VAE decodes are not all finite" in draw(model)


@pytest.mark.parametrize("bias, words", [(-9.0, "all black"), (9.0, "all of one color, [255, 255, 255]")])
def test_an_image_of_one_value_is_a_sentence(draw, model, bias, words):
    change_weights(model, "vae", fill(0, "decoder.conv_out.weight"))
    change_weights(model, "vae", fill(bias, "decoder.conv_out.bias"))
    assert f"forest_1.png: the image came out {words}, and was not written" in draw(model)


def test_the_likely_reason_in_half_precision_is_the_vae():
    half, full = (SimpleNamespace(dtype=dtype) for dtype in (torch.float16, torch.float32))
    assert "set generator.dtype to float32" in likely_reason(half)
    assert "broken weights" in likely_reason(full)


def test_what_a_safety_checker_blacked_out_is_black(request_of, capsys):
    black = Image.new("RGB", (8, 8))
    assert one_value(black, flagged=True) is None
    assert one_value(black, flagged=False) == "came out all black"


# What is asked


def test_a_negative_prompt_is_refused_where_none_is_taken(draw, model, tmp_path, monkeypatch):
    folder = latent_consistency(model, tmp_path / "lcm")
    monkeypatch.setattr(loading, "load_part", None)  # before the weights are loaded
    assert draw(folder, negative=True).startswith(
        "generator.model: LatentConsistencyModelPipeline takes no negative_prompt; leave it out"
    )


def test_a_pipeline_of_other_tasks_is_refused():
    import diffusers

    settings = SETTINGS | {"width": 64}
    check_asked(diffusers.StableDiffusionPipeline, settings, True)
    with pytest.raises(StudyError, match="DDPMPipeline takes no guidance_scale, prompt, width"):
        check_asked(diffusers.DDPMPipeline, settings, False)

    class NeedsAPicture:
        def __call__(
            self, image, prompt, generator=None, num_inference_steps=1, guidance_scale=1, output_type="pil"
        ): ...

    with pytest.raises(StudyError, match="NeedsAPicture needs image beside a prompt"):
        check_asked(NeedsAPicture, SETTINGS, False)


def test_a_size_that_was_rounded_is_a_sentence(request_of):
    picture = Image.new("RGB", (32, 40))
    check_size(picture, SETTINGS | {"height": 40}, None)
    with pytest.raises(
        StudyError, match="generator.height is 44, and NoneType made an image of 32 × 40 pixels"
    ):
        check_size(picture, SETTINGS | {"height": 44}, None)


@pytest.mark.parametrize(
    "raised",
    [
        TypeError("__call__() missing 1 required positional argument: 'image'"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (154x768 and 1024x320)"),
        OverflowError("int too big to convert"),
        IndexError("index out of range in self"),
        AttributeError("'NoneType' object has no attribute 'to'"),
        ValueError("`height` has to be divisible by 8 \x1b[31m\nbut is 44"),
        AssertionError(),
    ],
)
def test_whatever_a_pipeline_raises_is_a_sentence(request_of, raised):
    class Pipeline:
        def __call__(self, **asked):
            raise raised

    with pytest.raises(StudyError, match="generator.model: Pipeline failed: ") as refused:
        sample(Pipeline(), [request_of()], SETTINGS, None)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "output", [None, SimpleNamespace(frames=[]), SimpleNamespace(images=None), SimpleNamespace(images=[3])]
)
def test_a_pipeline_that_makes_no_images_is_a_sentence(request_of, output):
    with pytest.raises(StudyError, match="returns no list of images"):
        sample(lambda **_: output, [request_of()], SETTINGS, None)


# Code of the model's own


@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": "NoSuchPipeline"},
        {"_class_name": "UNet2DConditionModel"},
        {"_class_name": "logging"},
        {"unet": ["os", "system"]},
        {"unet": ["my_library", "UNet"]},
        {"unet": ["diffusers", "NoSuchModel"]},
        {"unet": ["pipeline_utils", "os"]},
        {"vae": ["diffusers.utils", "logging"]},
    ],
)
def test_classes_of_other_libraries_are_refused(draw, model, changes, monkeypatch):
    write(model / "model_index.json", **changes)
    with pytest.raises(StudyError, match="code of a model's own is not run"):
        classes_of(model)
    monkeypatch.setattr(loading, "load_part", None)
    assert "code of a model's own is not run" in draw(model)


def test_what_planning_refuses_is_refused_before_loading(draw, model, tmp_path, monkeypatch):
    """A model may change while the study runs, and one of the hub is not there before."""
    (model / "mine.py").write_text(f"open({str(tmp_path / 'PWNED')!r}, 'w')")
    write(model / "model_index.json", _class_name=["mine", "Pipeline"])
    assert "runs no code" in draw(model)
    assert not (tmp_path / "PWNED").exists()
    monkeypatch.setattr(loading, "cached_folder", lambda *_: model)
    assert "runs no code" in draw("some/model", revision="main")
    assert not (tmp_path / "PWNED").exists()


# Configs


@pytest.mark.parametrize(
    "path, key, value, words",
    [
        ("unet/config.json", "flip_sin_to_cos", [[[]]], "UNet2DConditionModel takes"),
        ("unet/config.json", "norm_eps", "x", "takes a number"),
        ("unet/config.json", "_class_name", None, "_class_name is None"),
        ("vae/config.json", "act_fn", 3, "takes a word"),
        ("vae/config.json", "scaling_factor", float("nan"), "takes a number"),
        ("scheduler/scheduler_config.json", "use_karras_sigmas", "x", "takes true or false"),
        ("scheduler/scheduler_config.json", "beta_start", True, "takes a number"),
    ],
)
def test_a_setting_of_another_type_is_a_sentence(draw, model, path, key, value, words):
    write(model / path, **{key: value})
    assert words in draw(model)


def test_a_setting_that_diffusers_passes_over_is_noted(draw, model, capsys):
    write(model / "unet/config.json", new_setting=3)
    assert draw(model) == ""
    assert "UNet2DConditionModel of diffusers" in capsys.readouterr().err


def test_malformed_configs_are_sentences_or_draw(draw, model):
    """What planning lets through is loaded and drawn, or there is a sentence; never anything else."""
    files = [path for path in model_files(model) if path.suffix == ".json"]
    tried = 0
    for path, content, what in malformed(files, count=70, seed=17):
        sound = path.read_bytes()
        path.write_bytes(content)
        try:
            read_generator({**SETTINGS, "model": str(model)}, Path)
        except StudyError:
            path.write_bytes(sound)
            continue
        tried += 1
        try:
            draw(model)
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        path.write_bytes(sound)
    assert tried > 20
    assert draw(model) == ""
