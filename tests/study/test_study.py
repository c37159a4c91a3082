"""The config: what it overlays, where its paths lead, and what it refuses before any job."""

from pathlib import Path

import pytest
import yaml
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.study.config import overlay, read_config
from promptflux.study.study import load_study


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


def test_the_default_study_is_sound(load):
    study = load()
    assert list(study.classifiers) == ["cnn28", "cnn32", "cnn224"]
    assert list(study.image_batches) == ["prompts"]
    names = ("forest", "futuristic_city", "magical_forest")  # a batch is sorted by name
    assert study.image_batches["prompts"] == [f"{name}_{k}" for name in names for k in (1, 2, 3)]
    assert study.chosen == ["forest_1", "magical_forest_1", "futuristic_city_1", "forest_2"]


def test_the_default_config_names_every_key_of_the_schema():
    defaults = yaml.safe_load((WORKFLOW / "config.yaml").read_text())
    schema = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text())
    assert set(defaults) == set(schema["properties"])
    for key in ("generator", "inference", "figures"):
        assert set(defaults[key]) == set(schema["properties"][key]["properties"])


@pytest.mark.parametrize("folder", sorted((WORKFLOW / "examples").glob("*/")), ids=lambda path: path.name)
def test_the_examples_are_sound(folder):
    if (folder / "config.yaml").is_file():
        study = load_study(read_config(folder / "config.yaml"), [folder, WORKFLOW])
        assert study.image_batches


def test_an_overlay_changes_single_keys():
    assert overlay({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": []}) == {
        "a": {"b": 3, "c": 2},
        "d": [],
    }


def test_settings_of_the_command_line_have_their_types(load):
    """Snakemake hands on what lies inside `--config 'generator={steps: 7}'` as text."""
    study = load(
        generator={"steps": "7", "guidance_scale": "2.5", "width": "null"}, figures={"images": "[forest_2]"}
    )
    assert (study.generators[""].steps, study.generators[""].guidance_scale, study.generators[""].width) == (
        7,
        2.5,
        None,
    )
    assert study.chosen == ["forest_2"]
    assert "steps is 'many'" in refused(load, generator={"steps": "many"})[0]


def test_paths_lead_to_the_working_folder_first(load, tmp_path):
    (tmp_path / "prompts.tsv").write_text("name\tprompt\nmine\tmy own prompt\n")
    study = load()
    assert [prompt.name for prompt in study.prompts] == ["mine"]
    assert Path(study.generators[""].model) == WORKFLOW / "models/scenes"


def test_a_list_of_chosen_images_and_all(load):
    assert load(figures={"images": ["forest_3", "forest_1"]}).chosen == ["forest_3", "forest_1"]
    every = load(figures={"images": "all"})
    assert sorted(every.chosen) == sorted(every.prompt_of_image)
    assert load(figures={"images": 0}).chosen == []


def test_the_images_that_are_explained_are_some_of_those_with_figures(load, tmp_path):
    (tmp_path / "prompts.tsv").write_text(
        "name\tprompt\tlabel\nforest\ta forest\t\nhill\ta hill in the sun\tmountains\nx\tnothing\t\n"
    )
    study = load(figures={"images": "all"}, explain={"images": ["x_1", "hill_2", "forest_3"]})
    assert study.explained == ["x_1", "hill_2", "forest_3"]  # as the figures stand
    assert study.explained_in("prompts") == ["forest_3", "hill_2", "x_1"]
    labels = study.classifiers["cnn28"].labels
    assert study.asked_labels("cnn28", study.explained_in("prompts")) == [
        labels.index("forest"),
        labels.index("mountains"),
        -1,
    ]
    assert study.windows["cnn224"].places == (13, 13)
    assert [drawing.file for drawing in study.drawings_of("cnn28", "x_1")][-2:] == ["occlusion", "grad_cam"]
    assert len(study.drawings_of("cnn28", "x_2")) == len(study.drawings_of("cnn28", "x_1")) - 2
    assert load(figures={"images": 1}).explained == ["forest_1"]
    none = load(explain={"images": 0, "patch": 5000})
    assert none.explained == [] and none.windows == {}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"colour": 1}, ["'colour'", "unknown", "classifiers"]),
        ({"generator": {"stepps": 5}}, ["'stepps'", "generator", "steps"]),
        ({"generator": {"steps": "many"}}, ["generator.steps is 'many'", "1 to 1000"]),
        ({"generator": {"steps": True}}, ["generator.steps is True"]),
        ({"generator": {"guidance_scale": -1}}, ["generator.guidance_scale is -1"]),
        ({"generator": {"device": "gpu"}}, ["generator.device is 'gpu'", "cuda"]),
        ({"generator": {"model": "nowhere"}}, ["'nowhere'", "no such folder"]),
        ({"generator": {"model": "some/hub-id"}}, ["'some/hub-id'", "generator.revision"]),
        ({"generator": {"width": 130}}, ["generator.width is 130", "multiples of 8"]),
        ({"prompts": "missing.tsv"}, ["'missing.tsv'", "no such file"]),
        ({"prompts": None}, ["prompts and images are both null"]),
        ({"images": "nothing/*.png", "prompts": None}, ["nothing/*.png"]),
        ({"classifiers": ["cnn29"]}, ["'cnn29'", "unknown", "cnn28"]),
        ({"classifiers": ["resnet18"]}, ["'resnet18'", "unknown", "a spec says `architecture: resnet18`"]),
        ({"classifiers": ["cnn28", "cnn28"]}, ["classifiers", "without repetitions"]),
        ({"engines": ["tensorflow"]}, ["engines", "torch and flux"]),
        ({"on_bad_image": "ignore"}, ["on_bad_image is 'ignore'", "test_pattern"]),
        ({"figures": {"images": -1}}, ["figures.images is -1"]),
        ({"figures": {"images": ["forest_9"]}}, ["'forest_9'", "forest_1"]),
        ({"explain": {"images": ["forest_3"]}}, ["'forest_3'", "none of the images that get figures"]),
        ({"explain": {"images": "some"}}, ["explain.images is 'some'"]),
        ({"explain": {"patch": 0}}, ["explain.patch is 0"]),
        ({"explain": {"patch": [4, 4, 4]}}, ["explain.patch is [4, 4, 4]", "a pair [height, width]"]),
        (
            {"explain": {"patch": 200}, "classifiers": ["cnn28"]},
            ["covers 200×200 pixels", "cnn28 have 28×28"],
        ),
        ({"explain": {"patch": 4, "stride": 5}, "classifiers": ["cnn32"]}, ["explain.stride is 5×5"]),
    ],
)
def test_a_mistake_is_a_sentence(load, changes, words):
    sentences = refused(load, **changes)
    assert len(sentences) == 1
    assert all(word in sentences[0] for word in words), sentences[0]


def test_all_mistakes_are_named_at_once(load, tmp_path):
    (tmp_path / "prompts.tsv").write_text("name\tprompt\na b\tx\n")
    sentences = refused(load, classifiers=["cnn29"], images="nothing.png", generator={"model": "nowhere"})
    for words in ("'cnn29' is unknown", "nothing.png", "'nowhere'", "line 2: name is 'a b'"):
        assert sum(words in sentence for sentence in sentences) == 1, sentences
    assert len(sentences) == 4


def test_a_model_folder_without_safetensors_is_refused(load, tmp_path):
    (tmp_path / "model/unet").mkdir(parents=True)
    (tmp_path / "model/model_index.json").write_text('{"unet": ["diffusers", "UNet2DConditionModel"]}')
    (tmp_path / "model/unet/diffusion_pytorch_model.bin").write_bytes(b"")
    assert ".safetensors" in refused(load, generator={"model": "model"})[0]


def test_the_digest_of_a_batch_follows_its_images_alone(load, tmp_path):
    table = tmp_path / "prompts.tsv"

    def digest(text: str, **changes) -> str:
        table.write_text("name\tprompt\timages\n" + text)
        return load(**changes).request_digest("prompts")

    once = digest("a\tone\t1\nb\ttwo\t1\n")
    assert digest("a\tone\t1\nb\ttwo\t1\n\n", figures={"images": 1}) == once
    assert digest("a\tone\t1\nb\tother\t1\n") != once
    assert digest("a\tone\t1\nb\ttwo\t1\n", generator={"steps": 3}) != once
