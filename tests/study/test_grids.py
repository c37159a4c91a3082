"""Variants: what a config may ask for, their names, their batches, and what is said of a change."""

import json
from pathlib import Path

import pytest
import yaml
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.study.changes import asked, changes
from promptflux.study.study import load_study
from promptflux.study.variants import name_of, read_grid


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a study from `tmp_path`, the working folder, with the workflow's defaults below it."""
    monkeypatch.chdir(tmp_path)

    def load(**changes):
        return load_study(changes, [Path("."), WORKFLOW])

    return load


def refused(load, **changes) -> tuple[str, ...]:
    with pytest.raises(StudyError) as error:
        load(**changes)
    return error.value.args


def test_named_sets_are_laid_over_the_generator(load):
    study = load(
        generator={"steps": 7},
        variants={"weak": {"guidance_scale": 1}, "as_above": None, "long": {"steps": 9}},
    )
    assert {name: (it.steps, it.guidance_scale) for name, it in study.generators.items()} == {
        "weak": (7, 1.0),
        "as_above": (7, 3.0),
        "long": (9, 3.0),
    }
    assert list(study.image_batches) == ["weak/prompts", "as_above/prompts", "long/prompts"]
    assert study.image_batches["weak/prompts"][:2] == ["weak/forest_1", "weak/forest_2"]
    assert study.images_of(study.prompts[0])[:4] == [
        "weak/forest_1",
        "as_above/forest_1",
        "long/forest_1",
        "weak/forest_2",
    ]
    assert study.chosen[:2] == ["weak/forest_1", "weak/magical_forest_1"]


def test_a_study_without_variants_is_as_it_was(load):
    study = load()
    assert not study.has_variants and list(study.generators) == [""]
    assert study.image_batches["prompts"][0] == "forest_1"


def test_axes_make_a_grid_whose_names_do_not_depend_on_their_order(load):
    study = load(axes={"steps": [2, 4.0], "guidance_scale": [1.5, 3]})
    assert list(study.generators) == [
        "guidance_scale-1.5_steps-2",
        "guidance_scale-3_steps-2",
        "guidance_scale-1.5_steps-4",
        "guidance_scale-3_steps-4",
    ]
    turned = load(axes={"guidance_scale": [3, 1.5], "steps": [4, 2]})
    assert study.generators == {name: turned.generators[name] for name in study.generators}
    assert [axis.numbers for axis in study.grid.axes] == [[2, 4], [1.5, 3]]
    assert study.grid.label(study.grid.variants["guidance_scale-1.5_steps-4"]) == "4 · 1.5"


def test_variants_and_axes_make_the_product_of_both(load):
    study = load(variants={"b": {"micro_batch": 2}, "a": {}}, axes={"guidance_scale": [1, 2]})
    assert list(study.generators) == [
        "b_guidance_scale-1",
        "b_guidance_scale-2",
        "a_guidance_scale-1",
        "a_guidance_scale-2",
    ]


def test_a_revision_goes_with_its_model(load):
    hub = {"model": "some/model", "revision": "abc"}
    study = load(generator=hub, variants={"here": {"model": "models/scenes"}, "there": {}})
    assert [it.revision for it in study.generators.values()] == [None, "abc"]
    study = load(axes={"variant": [None, "fp16"]}, generator=hub)
    assert [axis.title for axis in study.grid.axes] == ["model variant"]
    assert list(study.generators) == ["variant-default", "variant-fp16"]
    sentence = refused(load, generator=hub, variants={"other": {"model": "another/model"}, "there": {}})
    assert "'another/model'" in sentence[0] and sentence[0].endswith("(In the variant other.)")


@pytest.mark.parametrize(
    "key, value, name",
    [
        ("steps", 20, "steps-20"),
        ("guidance_scale", 7.0, "guidance_scale-7"),
        ("scheduler", "dpm++", "scheduler-dpm++"),
        ("width", None, "width-default"),
        ("model", "models/scenes", "model-models_scenes_"),
        ("scheduler", {"name": "ddim", "eta": 0.5}, "scheduler-ddim_eta_0.5_"),
        ("model", "../../etc", "model-etc_"),
        ("model", "森" * 300, "model-_"),
        ("lora", [], "lora-none"),
    ],
)
def test_the_name_of_a_value_is_that_of_a_folder(key, value, name):
    found = name_of(key, value)
    assert found.startswith(name) and len(found) <= len(name) + (6 if name.endswith("_") else 0)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"variants": {"weak": {"guidance": 1}}}, ["'guidance'", "variants.weak", "guidance_scale"]),
        ({"variants": {"weak": {"steps": 0}}}, ["variants.weak.steps is 0", "1 to 1000"]),
        ({"variants": {"../up": {}}}, ["'../up'", "letters, digits"]),
        ({"variants": {"weak": {"seed": 3}}}, ["variants.weak.seed is 3", "same seeds"]),
        ({"variants": {}}, ["variants is {}", "named sets"]),
        ({"variants": ["weak"]}, ["variants is ['weak']", "named sets"]),
        ({"variants": {"weak": {}, "Weak": {"steps": 3}}}, ["'weak' and 'Weak'", "capitals"]),
        ({"axes": {"guidance_scale": 3}}, ["axes.guidance_scale is 3", "list"]),
        ({"axes": {"guidance_scale": []}}, ["axes.guidance_scale is []", "list"]),
        ({"axes": {"guidance_scale": [1, -1]}}, ["axes.guidance_scale[1] is -1"]),
        ({"axes": {"steps": [3, 3.0]}}, ["axes.steps has '3' and '3'", "the same"]),
        ({"axes": {"images_per_prompt": [1, 2]}}, ["axes.images_per_prompt", "same number"]),
        ({"axes": {"colour": [1]}}, ["'colour'", "axes", "guidance_scale"]),
        ({"axes": {"steps": list(range(1, 101)), "micro_batch": list(range(1, 101))}}, ["10,000 variants", "1,000"]),
        ({"variants": {"a": {"steps": 3}}, "axes": {"steps": [1, 2]}}, ["steps", "variants.a", "axis"]),
        ({"axes": {"width": [130, 128]}}, ["width is 130", "(In the variant width-130.)"]),
        ({"prompts": None, "images": str(WORKFLOW / "examples/photos"), "axes": {"steps": [1, 2]}}, ["prompts is null"]),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(load, changes, words):
    sentences = refused(load, **changes)
    assert len(sentences) == 1
    assert all(word in sentences[0] for word in words), sentences[0]


def test_what_is_wrong_with_all_variants_is_said_once(load):
    sentences = refused(load, generator={"model": "nowhere"}, axes={"steps": [1, 2]})
    assert len(sentences) == 1 and "variant" not in sentences[0]


def test_settings_of_the_command_line_have_their_types(load):
    study = load(axes={"steps": "[1, 2]"}, variants={"weak": {"guidance_scale": "2"}, "plain": "{}"})
    assert [it.steps for it in study.generators.values()] == [1, 2, 1, 2]
    assert study.generators["weak_steps-1"].guidance_scale == 2.0


def test_the_options_of_a_scheduler_keep_their_types(load):
    options = {"name": "dpm++", "use_karras_sigmas": True, "solver_order": 2}
    study = load(generator={"scheduler": options}, axes={"scheduler": [options, "ddim"]})
    for found in (study.config["generator"]["scheduler"], study.config["axes"]["scheduler"][0]):
        assert found == options and list(map(type, found.values())) == [str, bool, int]
    assert list(study.generators)[1] == "scheduler-ddim"


def test_a_batch_depends_on_its_own_variant_alone(load):
    before = load(variants={"a": {"steps": 2}, "b": {"steps": 3}})
    after = load(variants={"c": {"steps": 9}, "b": {"steps": 4}, "a": {"steps": 2}})
    digests = [
        {batch: study.request_digest(batch) for batch in study.prompts_of} for study in (before, after)
    ]
    assert digests[0]["a/prompts"] == digests[1]["a/prompts"]
    assert digests[0]["b/prompts"] != digests[1]["b/prompts"]


def test_a_batch_depends_on_what_its_prompts_say_and_not_on_their_template(load, tmp_path):
    def digest(prompt: str) -> str:
        (tmp_path / "prompts.tsv").write_text(f"name\tprompt\nf\t{prompt}\n")
        return load(variants={"a": {}}).request_digest("a/prompts")

    assert digest("a {red|blue} sea") == digest("a {blue|red} sea") != digest("a {blue|red} lake")


def test_a_classifier_has_not_the_folder_of_the_sheets(load, tmp_path):
    spec = (WORKFLOW / "models/classifiers/cnn28.yaml").read_text(encoding="utf-8")
    (tmp_path / "sheets.yaml").write_text(spec.split("weights:")[0] + "weights: {seed: 1}\n")
    assert load(classifiers=["sheets.yaml"]).chosen
    assert "'sheets'" in refused(load, classifiers=["sheets.yaml"], axes={"steps": [1, 2]})[0]


def test_a_change_of_the_variants_in_words(tmp_path):
    defaults = yaml.safe_load((WORKFLOW / "config.yaml").read_text(encoding="utf-8"))

    def said(before: dict, after: dict) -> list[str]:
        record = tmp_path / "study.json"
        record.write_text(json.dumps(asked({**defaults, **before}, [])), encoding="utf-8")
        return changes({**defaults, **after}, [], record)

    assert said({}, {"variants": None, "axes": None}) == []
    assert said({"variants": {"a": {}}}, {"variants": {"a": None}}) == []
    assert said({}, {"variants": {"a": {}}}) == [
        "variants: there were none: the images that lie in no folder of a variant stay, and nothing shows them any more.",
        "variants: a is new: its images are made, and those of the others are kept.",
    ]
    assert "none any more" in said({"variants": {"a": {}}}, {})[0]
    before = {"variants": {"a": {"steps": 3}, "b": {"steps": 4}, "c": {}}}
    after = {"variants": {"a": {"steps": 3}, "b": {"steps": 5, "guidance_scale": 2}, "d": {}}}
    assert said(before, after) == [
        "variants: b is changed in steps, guidance_scale: its images are made again, and those of the others are kept.",
        "variants: d is new: its images are made, and those of the others are kept.",
        "variants: c is gone: its images stay, and nothing shows them any more.",
    ]
    assert said({"axes": {"steps": [1, 2]}}, {"axes": {"steps": [2, 1]}}) == [
        "variants: they stand in another order: no image is made again, but sheets, gallery, explorer and report are."
    ]
    [sentence] = said(before, {**before, "generator": {**defaults["generator"], "steps": 21}})
    assert "of the variants that do not set it themselves" in sentence
    assert "damaged" in said({"variants": {"a": 3}}, {})[0]


def test_a_grid_is_read_from_any_config():
    assert list(read_grid({}).variants) == [""]
