"""The drawn world: the same seed draws the same, captions are true, and the classifiers know it."""

import re

import numpy as np
import pytest
from evaluate_scenes import NEAR_IDENTICAL, distances

from training.world import scenes
from training.world.captions import KINDS, KINDS_WITH, MOODS, caption, known_words
from training.world.painting import paint
from training.world.scenes import LABELS, Scene, draw, sample_scene


def test_a_seed_is_a_drawing():
    first, scene = draw(7)
    again, same = draw(7)
    assert first.tobytes() == again.tobytes() and scene == same
    assert draw(8)[0].tobytes() != first.tobytes()


def test_the_scene_of_a_seed_is_known_without_drawing_it():
    assert draw(11)[1] == sample_scene(np.random.default_rng(11))
    assert draw(11, size=64)[1] == draw(11, size=128)[1]


@pytest.mark.parametrize("kind", LABELS)
def test_every_kind_is_drawn_at_every_time_and_weather(kind):
    for time in scenes.TIMES:
        for weather in scenes.WEATHERS:
            picture = paint(Scene(kind, time, weather), np.random.default_rng(1), 64)
            assert picture.size == (64, 64) and picture.mode == "RGB"
            assert np.asarray(picture).std() > 4, (kind, time, weather)


@pytest.mark.parametrize("mood", scenes.MOODS)
def test_moods_show(mood):
    plain = paint(Scene("forest"), np.random.default_rng(3), 64)
    moody = paint(Scene("forest", moods=(mood,)), np.random.default_rng(3), 64)
    assert np.abs(np.asarray(plain, float) - np.asarray(moody, float)).mean() > 3


def test_nights_are_darker_than_days():
    def brightness(time):
        return np.mean(
            [np.asarray(paint(Scene(kind, time), np.random.default_rng(2), 32)).mean() for kind in LABELS]
        )

    assert brightness("night") < 0.6 * brightness("day")


def test_samples_are_plausible_and_varied():
    rng = np.random.default_rng(0)
    found = [sample_scene(rng) for _ in range(3000)]
    for field, values in (
        ("kind", LABELS),
        ("time", scenes.TIMES),
        ("weather", scenes.WEATHERS),
        ("season", scenes.SEASONS),
    ):
        assert {getattr(scene, field) for scene in found} == set(values)
    assert {mood for scene in found for mood in scene.moods} == set(scenes.MOODS)
    for scene in found:
        assert scene.kind != "night sky" or scene.time == "night"
        assert "rainbow" not in scene.things or scene.time == "day"
        assert "sun" not in scene.things or scene.time != "night"
        assert not {"vibrant", "dark"} <= set(scene.moods)


@pytest.mark.parametrize(
    "scene",
    [
        Scene("desert", "sunset"),
        Scene("meadow", "sunrise", "misty"),
        Scene("volcano", "night"),
        Scene("volcano", "sunset", moods=("dark",)),
    ],
)
def test_empty_scenes_of_one_description_look_different(scene):
    drawn = np.stack([paint(scene, np.random.default_rng(i), 64) for i in range(16)])
    assert np.mean(distances(drawn, prompts=1) < NEAR_IDENTICAL) < 0.1


def test_snow_under_a_red_sky_is_bluer_than_sand():
    def blueness(kind):  # of the ground, which has nothing on it
        pictures = [paint(Scene(kind, "sunset"), np.random.default_rng(i), 64) for i in range(8)]
        red, _, blue = np.mean([np.asarray(picture)[52:] for picture in pictures], (0, 1, 2))
        return blue / red

    assert blueness("snow") > 1 > blueness("desert") + 0.2


def test_captions_name_things_first_too():
    rng = np.random.default_rng(2)
    told = {
        caption(Scene("mountains", things=("castle",)), rng).removeprefix("an old ").removeprefix("a ")
        for _ in range(200)
    }
    assert any(text.startswith("castle") and "," not in text for text in told)


def test_a_sunny_day_is_a_clear_one():
    rng = np.random.default_rng(0)
    texts = {
        weather: " ".join(caption(Scene("lake", weather=weather), rng) for _ in range(300))
        for weather in ("clear", "rain", "cloudy")
    }
    assert "sunny day" in texts["clear"]
    assert "sunny" not in texts["rain"] + texts["cloudy"]
    assert "bright day" not in texts["rain"] + texts["cloudy"]


def test_captions_name_the_kind_and_are_short():
    rng = np.random.default_rng(0)
    for _ in range(500):
        scene = sample_scene(rng)
        text = caption(scene, rng)
        nouns = KINDS[scene.kind].split("|") + ["trees"]
        for (kind, thing), others in KINDS_WITH.items():
            nouns += others.split("|") if kind == scene.kind and thing in scene.things else []
        # A made-up word may stand between the words of a noun.
        assert any(all(word in text for word in noun.split()) for noun in nouns), text
        assert len(text.split()) < 50 and "  " not in text and "{" not in text


def test_captions_do_not_name_other_moods():
    rng = np.random.default_rng(1)
    for _ in range(300):
        text = caption(Scene("lake", moods=("magical",)), rng)
        for mood in set(MOODS) - {"magical"}:
            said = [
                word
                for word in MOODS[mood].split("|")
                if word in ("gloomy", "futuristic", "serene", "colourful", "sepia")
            ]
            assert not any(word in text for word in said), text


def test_captions_hold_words_that_say_nothing_and_words_that_nobody_knows():
    rng = np.random.default_rng(7)
    told = [caption(sample_scene(rng), rng) for _ in range(8000)]
    known = set(known_words(told))
    assert {"across", "gently", "forest"} <= known
    strange = [words for text in told if (words := set(re.findall("[a-z]+", text)) - known)]
    assert 0.2 < len(strange) / len(told) < 0.35


def test_tokenizer_takes_any_text():
    from training.models import new_tokenizer

    rng = np.random.default_rng(0)
    tokenizer = new_tokenizer([caption(sample_scene(rng), rng) for _ in range(500)])
    for text in ("A vibrant forest", "zürich 🎉 日本", "<b>$5 & 'quotes'</b>", "\u202eabc", "x" * 5000, ""):
        tokens = tokenizer(text, padding="max_length", truncation=True).input_ids
        assert len(tokens) == 77 and max(tokens) < len(tokenizer)
        assert tokens[0] == tokenizer.bos_token_id and tokenizer.eos_token_id in tokens
    assert tokenizer.tokenize("forest") == ["forest</w>"]


def scenes_spec(name):
    from support.workflow import WORKFLOW

    return WORKFLOW / "models" / "classifiers" / f"{name}.yaml"


@pytest.fixture(scope="module")
def new_drawings():
    """A hundred drawings that no training saw, and the seed of the first."""
    first, count = 2_000_000, 100
    return first, np.stack([np.asarray(draw(first + i)[0]) for i in range(count)])


@pytest.mark.parametrize("name", ["cnn28", "cnn32", "cnn224"])
def test_embedded_classifiers_know_drawings(name, new_drawings):
    """The weights in the repository, on new drawings."""
    from train_classifier import kinds, logits_of

    from promptflux.classifiers.network import Network
    from promptflux.classifiers.spec import load_spec
    from promptflux.classifiers.weights import load_weights

    spec = load_spec(scenes_spec(name))
    assert spec.labels == LABELS
    assert spec.weights_path.stat().st_size < 15_000_000
    network = Network(spec).load(load_weights(spec.weights_path, spec))
    first, drawings = new_drawings
    right = (logits_of(network, drawings).argmax(1) == kinds(first, len(drawings))).float().mean()
    assert right >= 0.85  # 100 drawings measure ± 3 %; the model card has the figure on 2,000


def test_embedded_generator_is_small_and_loads():
    from diffusers import DiffusionPipeline
    from support.workflow import WORKFLOW

    folder = WORKFLOW / "models" / "scenes"
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert max(sizes) <= 15_000_000 and sum(sizes) <= 45_000_000
    pipeline = DiffusionPipeline.from_pretrained(folder)
    image = pipeline("a serene sunset over a futuristic city", num_inference_steps=3).images[0]
    assert image.size == (128, 128)


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("northern lights dancing across a dark starry sky", "night sky"),
        ("a whispering forest with glowing trees", "forest"),
        ("an ancient volcano at night, lava, velvet", "volcano"),
    ],
)
def test_the_embedded_generator_minds_no_words_that_it_does_not_know(prompt, kind):
    """Held against cnn32: the pieces of "across" once were those of a desert with cacti."""
    import torch
    from diffusers import DiffusionPipeline
    from support.workflow import WORKFLOW
    from train_classifier import logits_of

    from promptflux.classifiers.network import Network
    from promptflux.classifiers.spec import load_spec
    from promptflux.classifiers.weights import load_weights

    pipeline = DiffusionPipeline.from_pretrained(WORKFLOW / "models" / "scenes")
    images = pipeline(
        [prompt] * 3,
        num_inference_steps=20,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(seed) for seed in range(3)],
    ).images
    spec = load_spec(scenes_spec("cnn32"))
    network = Network(spec).load(load_weights(spec.weights_path, spec))
    logits = logits_of(network, np.stack([np.asarray(image) for image in images]))
    assert [LABELS[k] for k in logits.argmax(1)] == [kind] * 3
