"""Words that a model never learnt are named before the first image."""

from support.workflow import WORKFLOW

from promptflux.generation.context import context_warnings, unknown_words, unknown_words_warning, words

SCENES = WORKFLOW / "models/scenes"


def test_words_are_lower_case_and_without_punctuation():
    assert words("A Serene, glowing-forest; 4k café's 雪!") == [
        "a",
        "serene",
        "glowing",
        "forest",
        "k",
        "café",
        "s",
        "雪",
    ]


def test_unknown_words_are_named_once_in_their_order():
    prompts = ["A cheesecake in the forest", "the DRAGON and the cheesecake at sunset"]
    assert unknown_words(SCENES, prompts) == ["cheesecake", "dragon"]
    assert unknown_words(SCENES, ["a vibrant forest landscape with colorful trees and a bright sky"]) == []


def test_a_model_that_does_not_tell_its_words_gets_no_warning(tmp_path):
    assert unknown_words(tmp_path, ["a cheesecake"]) == []
    assert unknown_words("stable-diffusion-v1-5/stable-diffusion-v1-5", ["a cheesecake"]) == []


def test_the_warning_is_a_sentence():
    assert unknown_words_warning("models/scenes", ["cheesecake"]).startswith(
        "warning: 'cheesecake' is unknown to models/scenes; for it take a larger model"
    )
    many = unknown_words_warning("models/scenes", [f"w{i}" for i in range(15)])
    assert "'w11' and 3 more are unknown" in many and "w12" not in many


def test_only_prompts_beyond_the_context_are_named_with_what_is_cut_off():
    prompts = {"short": "a vibrant forest", "long": "a forest " * 50 + "and a lighthouse"}
    (warning,) = context_warnings(SCENES, prompts)
    assert "the prompt 'a forest a forest" in warning and warning.endswith("and a lighthouse'")


def test_the_default_study_gets_no_warning():
    rows = (WORKFLOW / "prompts.tsv").read_text(encoding="utf-8").splitlines()[1:]
    prompts = dict(row.split("\t")[:2] for row in rows)
    assert context_warnings(SCENES, prompts) == [] and unknown_words(SCENES, prompts.values()) == []
