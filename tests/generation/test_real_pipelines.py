"""Pipelines of diffusers' own classes with random weights: they make what a plain script makes, and their quirks are said."""

import inspect

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from support import pipelines
from support.models import DEFAULTS, latent_consistency, stable_diffusion_xl

from promptflux.errors import StudyError
from promptflux.generation import ahead
from promptflux.generation.context import LENGTHS, context_warnings
from promptflux.generation.loading import check
from promptflux.generation.pipeline import make
from promptflux.generation.prompts import Prompt
from promptflux.generation.recipe import Request
from promptflux.images.provenance import read_provenance

SETTINGS = DEFAULTS | {"steps": 2, "micro_batch": 1, "threads": 1, "device": "cpu", "width": 32, "height": 64}
FOREST = [Prompt("forest", "a forest", "fog")]
KINDS = {
    "sd": lambda model, folder: model,
    "sdxl": stable_diffusion_xl,
    "sd3": pipelines.stable_diffusion_3,
    "flux": pipelines.flux,
    "pixart": pipelines.pixart,
    "sana": pipelines.sana,
    "lcm": latent_consistency,
    "kandinsky": pipelines.kandinsky,
}
# What a plain script has to say of these beside the rest: tiny models are of no size that is known.
MORE = {"pixart": {"use_resolution_binning": False}, "sana": {"use_resolution_binning": False}}


@pytest.fixture(scope="session")
def model_of(made_once, tiny_model):
    """The folder of a tiny pipeline."""

    def model_of(kind):
        return (
            tiny_model
            if kind == "sd"
            else made_once(f"tiny_{kind}", lambda folder: KINDS[kind](tiny_model, folder))
        )

    return model_of


def plain_script(folder, **asked):
    """What diffusers makes without this project."""
    torch.set_num_threads(1)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return np.asarray(pipeline(generator=torch.Generator("cpu").manual_seed(7), **asked).images[0])


@pytest.mark.parametrize("kind", KINDS)
def test_each_makes_what_a_plain_script_makes(model_of, kind, tmp_path):
    folder, negative = model_of(kind), {} if kind == "lcm" else {"negative_prompt": "fog"}
    prompts = [Prompt("forest", "a forest", negative.get("negative_prompt", ""))]
    request = Request(
        tmp_path / "forest_1.png", {"prompt": "a forest", "seed": 7, "steps": 2, "model": "x", **negative}
    )
    make([request], SETTINGS | {"model": str(folder)}, prompts)
    theirs = plain_script(
        folder, prompt="a forest", num_inference_steps=2, guidance_scale=3.0, width=32, height=64, **negative, **MORE.get(kind, {})
    )  # fmt: skip
    ours = np.asarray(Image.open(request.path))
    assert ours.shape == (64, 32, 3) and len(np.unique(ours)) > 10
    assert np.array_equal(ours, theirs)
    made_with = read_provenance(request.path)["made_with"]
    assert made_with["pipeline"].endswith("Pipeline") and (made_with["width"], made_with["height"]) == (
        32,
        64,
    )


def test_a_table_with_and_without_negative_prompts_keeps_each_image_as_it_is_alone(model_of, tmp_path):
    """FLUX.1 with a negative prompt that it follows, and without."""
    settings = SETTINGS | {"model": str(model_of("flux")), "true_cfg_scale": 4.0, "micro_batch": 2}
    recipes = {
        "one": {"prompt": "a forest", "seed": 1, "negative_prompt": "fog"},
        "two": {"prompt": "a city", "seed": 2},
        "three": {"prompt": "the sea", "seed": 3},
    }
    for folder, groups in (("together", [list(recipes)]), ("alone", [[name] for name in recipes])):
        for names in groups:
            make(
                [
                    Request(tmp_path / folder / f"{name}.png", recipes[name] | {"steps": 2, "model": "x"})
                    for name in names
                ],
                settings,
                FOREST,
            )
    for name in recipes:
        pixels = [
            np.asarray(Image.open(tmp_path / folder / f"{name}.png")) for folder in ("together", "alone")
        ]
        assert np.array_equal(*pixels), name


def test_a_pipeline_that_takes_one_prompt_at_a_time_says_so(model_of, tmp_path):
    requests = [
        Request(tmp_path / f"{k}.png", {"prompt": "a", "negative_prompt": "b", "seed": k}) for k in (1, 2)
    ]
    settings = SETTINGS | {"model": str(model_of("kandinsky")), "micro_batch": 2}
    with pytest.raises(StudyError, match="takes one at a time: try generator.micro_batch: 1"):
        make(requests, settings, FOREST)


# What is said ahead


def said(folder, prompts=FOREST, **settings) -> str:
    """What checking says, without a weight loaded."""
    return "\n".join(check(folder, SETTINGS | {"model": str(folder), **settings}, prompts, is_whole=True)[2])


def test_a_negative_prompt_that_is_ignored_is_said(model_of):
    flux = model_of("flux")
    assert (
        "forest is ignored: FluxPipeline takes it with generator.true_cfg_scale above 1, and that is 1"
        in said(flux)
    )
    assert "ignored" not in said(flux, true_cfg_scale=2.0)
    assert "true_cfg_scale has no effect, as no prompt has a negative" in said(
        flux, [Prompt("a", "b")], true_cfg_scale=2.0
    )
    for kind in ("sd", "sdxl", "sd3", "pixart", "sana"):
        words = "takes it with generator.guidance_scale above 1, and that is 1"
        assert words in said(model_of(kind), guidance_scale=1.0)
        assert "ignored" not in said(model_of(kind))


@pytest.mark.parametrize("kind", ["flux", "sd", "sd3", "pixart"])
def test_what_is_said_to_be_ignored_is_ignored(model_of, kind):
    """With and without the negative prompt the pixels are the same; with guidance they are not."""
    asked = {"prompt": "a forest", "num_inference_steps": 2, "width": 32, "height": 32, **MORE.get(kind, {})}
    off, on = ({"guidance_scale": scale} for scale in (1.0, 4.0))
    if kind == "flux":
        off, on = ({"true_cfg_scale": scale} for scale in (1.0, 4.0))
    folder = model_of(kind)
    without, ignored = (
        plain_script(folder, **asked, **off, **more) for more in ({}, {"negative_prompt": "fog"})
    )
    assert np.array_equal(without, ignored)
    assert not np.array_equal(ignored, plain_script(folder, **asked, **on, negative_prompt="fog"))


def test_guidance_that_a_model_is_not_made_for_is_said(model_of, made_once, tiny_model):
    schnell = made_once(
        "tiny_schnell", lambda folder: pipelines.flux(tiny_model, folder, guidance_embeds=False)
    )
    assert "guidance_scale has no effect" in said(schnell, [])
    assert "guidance_scale" not in said(model_of("flux"), [])
    asked = {"prompt": "a", "num_inference_steps": 1, "width": 32, "height": 32}
    assert np.array_equal(
        plain_script(schnell, guidance_scale=1.0, **asked), plain_script(schnell, guidance_scale=9.0, **asked)
    )


def test_a_size_that_would_be_rounded_is_said(model_of):
    with pytest.raises(StudyError, match="generator.width is 36; .* can only make multiples of 8"):
        check(model_of("flux"), SETTINGS | {"width": 36}, [], is_whole=True)
    with pytest.raises(StudyError, match="generator.width is 40; .* can only make multiples of 32"):
        check(model_of("sana"), SETTINGS | {"width": 40}, [], is_whole=True)
    with pytest.raises(StudyError, match="generator.width is 36; .* can only make multiples of 8"):
        check(model_of("sd"), SETTINGS | {"width": 36}, [], is_whole=True)


def test_sizes_that_are_made_of_others_are_said(model_of, monkeypatch):
    """PixArt of 1024 pixels makes what is nearest of a table, and scales it."""
    monkeypatch.setattr(ahead, "native_size", lambda folder: (1024, 1024))
    words = "PixArtSigmaPipeline makes 1216 × 832 pixels of generator.width and height, and scales and crops the image to 1200 × 800"
    assert words in said(model_of("pixart"), [], width=1200, height=800)
    assert "scales" not in said(model_of("pixart"), [], width=1216, height=832)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"clip_skip": 1}, "the text_encoder of the model has 1 layers"),
        ({"true_cfg_scale": 2.0}, "StableDiffusionPipeline takes no true_cfg_scale"),
    ],
)
def test_what_cannot_be_done_is_refused_before_a_weight_is_loaded(model_of, settings, words):
    with pytest.raises(StudyError, match=words):
        check(model_of("sd"), SETTINGS | settings, [], is_whole=True)


@pytest.mark.parametrize("kind", ["flux", "pixart"])
def test_a_pipeline_without_clip_skips_none_of_it(model_of, kind):
    with pytest.raises(StudyError, match="takes no clip_skip"):
        check(model_of(kind), SETTINGS | {"clip_skip": 1}, [], is_whole=True)
    with pytest.raises(StudyError, match="Pipeline"):
        check(model_of("pixart"), SETTINGS | {"init_images": ["a.png"]}, [], is_whole=True)


# The words that a text encoder does not see

LONG = "trees hills" * 27 + " lighthouse"  # 308 letters


@pytest.mark.parametrize(
    "kind, lengths",
    [
        ("sd", {"the model": 77}),
        ("sdxl", {"CLIPTextModel": 77, "CLIPTextModelWithProjection": 77}),
        ("sd3", {"CLIPTextModelWithProjection": 77, "T5EncoderModel": 256}),
        ("flux", {"CLIPTextModel": 77}),  # T5 reads 512
        ("pixart", {"the model": 300}),
    ],
)
def test_each_text_encoder_says_what_it_does_not_see(model_of, kind, lengths, tmp_path, capsys):
    recipe = {"prompt": "a forest", "negative_prompt": LONG, "seed": 7, "steps": 1, "model": "x"}
    make([Request(tmp_path / "a.png", recipe)], SETTINGS | {"model": str(model_of(kind)), "steps": 1}, [])
    printed = [line for line in capsys.readouterr().err.splitlines() if "too long" in line]
    assert len(printed) == len(lengths)
    for encoder, length in lengths.items():
        [line] = [
            line
            for line in printed
            if f"too long for {encoder}{',' if len(lengths) > 1 or kind == 'flux' else ';'}" in line
        ]
        assert line.startswith("warning: the negative prompt 'trees hills") and (
            "lighthouse'" in line or "characters)" in line
        )
        if encoder != "the model":
            assert f"reads {length} tokens" in line


def test_planning_says_the_same_where_the_folder_tells_it(model_of):
    for kind, count in {"sd": 1, "sd3": 2, "flux": 1, "pixart": 1}.items():
        assert len(context_warnings(model_of(kind), {"long": LONG, "short": "a tree"})) == count, kind


def test_the_lengths_are_those_of_diffusers():
    for name, length in LENGTHS.items():
        parameters = inspect.signature(getattr(diffusers, name).__call__).parameters
        assert parameters["max_sequence_length"].default == length, name
