"""The recipe of an image: what it names, and that an image of another version keeps being what it is."""

import dataclasses

import pytest
from PIL import Image
from support.workflow import GOLDEN, WORKFLOW

from promptflux.generation.generator import Generator
from promptflux.generation.prompts import Prompt
from promptflux.generation.recipe import ANYWAY, Request, named, requests
from promptflux.images.provenance import read_provenance, write_png
from promptflux.paths import Results
from promptflux.study.study import load_study


@pytest.fixture
def request_of(tmp_path, tiny_model):
    """The request of the first image of a prompt, with some columns and settings of its own."""

    def request_of(row: dict | None = None, prompt: str = "a forest", **settings) -> Request:
        row = {"name": "forest", "prompt": prompt, **(row or {})}
        table = tmp_path / "prompts.tsv"
        table.write_text("\t".join(row) + "\n" + "\t".join(map(str, row.values())) + "\n", encoding="utf-8")
        changes = {
            "prompts": str(table),
            "classifiers": ["cnn28"],
            "generator": {"model": str(tiny_model), "steps": 2},
        }
        generator = load_study(changes, [tmp_path, WORKFLOW]).generators[""]
        return requests(str(table), generator.settings() | settings, ["forest_1"], Results(f"{tmp_path}/"))[0]

    return request_of


def made(request: Request, recipe: dict) -> Request:
    """The request, with an image that says that it was made by `recipe`."""
    request.path.parent.mkdir(parents=True, exist_ok=True)
    write_png(request.path, Image.new("RGB", (4, 4)), {"recipe": recipe, "made_with": {}})
    return request


def test_a_recipe_names_what_is_not_done_anyway(request_of, tmp_path):
    request = request_of()
    assert request.path == tmp_path / "results/images/forest_1.png"
    recipe = dict(request.recipe)
    assert recipe.pop("model").startswith("sha256:")
    assert recipe == {
        "prompt": "a forest",
        "seed": 8010346298304531,  # see test_prompts.py
        "steps": 2,
        "guidance_scale": 3.0,
        "micro_batch": 4,
        "threads": 4,
    }
    fog = request_of({"negative_prompt": "fog"}, dtype="float32", device="cpu", width=64).recipe
    assert {key: fog[key] for key in fog.keys() - recipe.keys()} == {
        "model": request.recipe["model"],
        "negative_prompt": "fog",
        "dtype": "float32",
        "device": "cpu",
        "width": 64,
    }


def test_an_image_of_version_0_1_0_is_made(request_of):
    """That version wrote all settings, with their nulls and defaults."""
    request = request_of()
    before = {
        "prompt": "a forest",
        "negative_prompt": "",
        "seed": request.recipe["seed"],
        "model": request.recipe["model"],
        "revision": None,
        "steps": 2,
        "guidance_scale": 3.0,
        "width": None,
        "height": None,
        "micro_batch": 4,
        "threads": 4,
        "device": "auto",
        "dtype": "auto",
    }
    assert made(request, before).is_made()
    for changes in ({"steps": 3}, {"width": 32}, {"dtype": "float16"}, {"negative_prompt": "fog"}):
        assert not made(request, before | changes).is_made()


def test_a_real_image_of_version_0_1_0_says_what_the_test_thinks():
    recipe = read_provenance(GOLDEN / "forest_1.png")["recipe"]
    assert {key: recipe[key] for key in ("negative_prompt", "width", "height", "device", "dtype")} == {
        "negative_prompt": "",
        "width": None,
        "height": None,
        "device": "auto",
        "dtype": "auto",
    }


def test_a_setting_that_is_new_and_not_used_leaves_images_as_they_are(request_of):
    today = request_of()
    tomorrow = request_of(eta=None, scheduler=None)
    assert tomorrow.recipe == today.recipe
    assert made(tomorrow, dict(today.recipe)).is_made()
    used = request_of(scheduler="ddim")
    assert used.recipe == {**today.recipe, "scheduler": "ddim"}
    assert not made(used, dict(today.recipe)).is_made()


def test_a_setting_that_is_not_used_any_more_makes_an_image_anew(request_of):
    request = request_of()
    assert not made(request, {**request.recipe, "scheduler": "ddim"}).is_made()
    assert made(request, {**request.recipe, "scheduler": None}).is_made()


@pytest.mark.parametrize("text", ["auto", "null", "None", "0", "false"])
def test_a_prompt_that_looks_like_a_default_is_a_prompt(request_of, text):
    request = request_of(prompt=text)
    assert request.recipe["prompt"] == text
    assert request_of({"negative_prompt": text}).recipe["negative_prompt"] == text
    assert not made(request, dict(request_of(prompt="a forest").recipe)).is_made()
    assert made(request, dict(request.recipe)).is_made()


def test_only_what_is_done_anyway_is_left_out():
    """The value counts together with its name: 0, "" and "auto" mean something elsewhere."""
    settings = {
        "prompt": "",
        "seed": 0,
        "guidance_scale": 0.0,
        "threads": 0,
        "scheduler": "auto",
        "flag": False,
    }
    assert named(settings) == settings
    assert (
        named({**settings, "device": "auto", "dtype": "auto", "negative_prompt": "", "width": None})
        == settings
    )
    assert named({"device": "cpu", "negative_prompt": "auto"}) == {"device": "cpu", "negative_prompt": "auto"}


def test_what_is_done_anyway_is_a_setting_or_a_column():
    known = {field.name for kind in (Generator, Prompt) for field in dataclasses.fields(kind)}
    assert ANYWAY.keys() <= known


@pytest.mark.parametrize("recipe", [None, "a text", [], 3, {}])
def test_what_has_no_recipe_is_not_made(request_of, recipe):
    request = request_of()
    assert not request.is_made()
    assert not made(request, recipe).is_made()
