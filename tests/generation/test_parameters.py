"""What other tools read of a PNG: AUTOMATIC1111's text, read back by sd-parsers."""

import pytest
from PIL import Image
from sd_parsers import ParserManager
from support.models import DEFAULTS

from promptflux.generation.parameters import parameters_text
from promptflux.generation.pipeline import make
from promptflux.generation.recipe import Request
from promptflux.images.provenance import read_provenance, write_png

MADE_WITH = {
    "scheduler": "EulerDiscreteScheduler",
    "width": 64,
    "height": 32,
    "model": "scenes",
    "promptflux": "0.2.0",
}
RECIPE = {"prompt": "a forest", "seed": 9007199254740991, "model": "sha256:" + "ab" * 32, "steps": 20, "guidance_scale": 7.5}  # fmt: skip


def read(path):
    return ParserManager().parse(path)


def test_the_text_is_that_of_automatic1111():
    recipe = RECIPE | {"negative_prompt": "fog, rain", "clip_skip": 1, "strength": 0.5, "guidance_scale": 7.0}
    assert parameters_text(recipe, MADE_WITH, {"use_karras_sigmas": True}) == (
        "a forest\nNegative prompt: fog, rain\nSteps: 20, Sampler: Euler, Schedule type: Karras, CFG scale: 7, "
        "Seed: 9007199254740991, Size: 64x32, Model hash: ababababab, Model: scenes, Clip skip: 2, Denoising strength: 0.5, "
        "Version: promptflux 0.2.0"
    )
    hub = parameters_text(RECIPE | {"model": "some/model"}, MADE_WITH | {"model": "some/model: x"}, {})
    assert 'Size: 64x32, Model: "some/model: x", Version' in hub


@pytest.mark.parametrize(
    "scheduler, config, name",
    [
        ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}, "DPM++ 2M"),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, "DPM++ 2M SDE"),
        ("EulerAncestralDiscreteScheduler", {}, "Euler a"),
        ("TCDScheduler", {}, "TCD"),
    ],
)
def test_samplers_have_the_names_of_the_web_interface(scheduler, config, name):
    assert f"Sampler: {name}, " in parameters_text(RECIPE, MADE_WITH | {"scheduler": scheduler}, config)


@pytest.mark.parametrize(
    "prompt",
    ["a forest, at night", "ein Wald – 雪 🌲", 'a "quoted" tree: steps, size: 3', "a {b|c} <lora:x:1>"],
)
def test_sd_parsers_reads_it_back(tmp_path, prompt):
    recipe = RECIPE | {"prompt": prompt, "negative_prompt": "fog"}
    text = parameters_text(recipe, MADE_WITH, {})
    write_png(
        tmp_path / "a.png",
        Image.effect_noise((64, 32), 9).convert("RGB"),
        {"recipe": recipe, "made_with": MADE_WITH},
        text,
    )
    found = read(tmp_path / "a.png")
    assert found.generator.value.lower().startswith("automatic1111")
    [sampler] = found.samplers
    assert [part.value for part in sampler.prompts] == [prompt]
    assert [part.value for part in sampler.negative_prompts] == ["fog"]
    assert sampler.name == "Euler" and str(sampler.parameters["seed"]) == "9007199254740991"
    assert sampler.model.name == "scenes" and sampler.model.hash == "ababababab"
    assert read_provenance(tmp_path / "a.png")["recipe"] == recipe


def test_an_image_that_is_made_has_it(tiny_model, tmp_path):
    request = Request(
        tmp_path / "a.png", {"prompt": "a forest", "seed": 3, "steps": 1, "guidance_scale": 3.0, "model": "x"}
    )
    make([request], DEFAULTS | {"model": str(tiny_model), "steps": 1, "micro_batch": 1, "device": "cpu"}, [])
    [sampler] = read(request.path).samplers
    assert sampler.name == "DPM++ 2M SDE" and [part.value for part in sampler.prompts] == ["a forest"]
    with Image.open(request.path) as picture:
        assert "Size: 32x32, Model: tiny, Version: promptflux" in picture.text["parameters"]
