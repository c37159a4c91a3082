"""Words that a model never learnt are named before the first image."""

from support.workflow import WORKFLOW

from promptflux.generation.context import (
    context_warnings,
    prompt_warnings,
    unknown_words,
    unknown_words_warning,
    weighting_warnings,
    words,
)
from promptflux.generation.prompts import read_prompts

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


def test_weights_that_no_model_reads_are_said_once_for_all_prompts():
    case = read_prompts(WORKFLOW / "tests/cases/prompts/weights.tsv")[0].prompt
    [warning] = weighting_warnings({"w": case, "x": "a ((red)) fox", "plain": "a fox (red) at 7:30, AN OWL"})
    assert warning.startswith(
        "warning: '(masterpiece:1.3)', '[fog]', 'BREAK' in the prompt w and 1 more would be weights"
    )
    assert weighting_warnings({"loud": "FIRE AND ICE", "none": "a forest & a lake"}) == []
    assert prompt_warnings({"w": case}, "some/model", None) == [warning.replace(" and 1 more", "")]


def test_a_model_folder_that_is_damaged_gives_no_warning(tmp_path):
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "tokenizer").mkdir()
    tokenizer = (SCENES / "tokenizer/tokenizer.json").read_bytes()
    (tmp_path / "tokenizer/tokenizer.json").write_bytes(tokenizer)
    for length in ("null", '"many"', "[]"):
        (tmp_path / "tokenizer/tokenizer_config.json").write_text(f'{{"model_max_length": {length}}}')
        assert prompt_warnings({"a": "a forest"}, "mine", tmp_path) == []
