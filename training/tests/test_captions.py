"""Captions say what is true of a scene, in the words that people use."""

import hashlib
import re

import numpy as np

from training.models import new_tokenizer
from training.world.captions import MOODS, caption, known_words
from training.world.labels import KINDS
from training.world.sampling import sample_scene
from training.world.scene import Scene

# Of the first 2,000 captions of the generator 7, which draws each scene before its caption.
CAPTIONS = "a4b4f8acdf6f977a"


def test_captions_are_what_they_have_always_been():
    rng = np.random.default_rng(7)
    texts = "\n".join(caption(sample_scene(rng), rng) for _ in range(2000))
    assert hashlib.sha256(texts.encode()).hexdigest()[:16] == CAPTIONS


def test_captions_name_things_first_too():
    rng = np.random.default_rng(2)
    texts = {
        caption(Scene("mountains", things=("castle",)), rng).removeprefix("an old ").removeprefix("a ")
        for _ in range(200)
    }
    assert any(text.startswith("castle") and "," not in text for text in texts)


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
        kind = KINDS[scene.kind]
        nouns = [*kind.nouns.split("|"), "trees"]
        for thing, others in kind.nouns_with.items():
            nouns += others.split("|") if thing in scene.things else []
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
    texts = [caption(sample_scene(rng), rng) for _ in range(8000)]
    known = set(known_words(texts))
    assert {"across", "gently", "forest"} <= known
    strange = [words for text in texts if (words := set(re.findall("[a-z]+", text)) - known)]
    assert 0.2 < len(strange) / len(texts) < 0.35


def test_tokenizer_takes_any_text():
    rng = np.random.default_rng(0)
    tokenizer = new_tokenizer([caption(sample_scene(rng), rng) for _ in range(500)])
    for text in ("A vibrant forest", "zürich 🎉 日本", "<b>$5 & 'quotes'</b>", "\u202eabc", "x" * 5000, ""):
        tokens = tokenizer(text, padding="max_length", truncation=True).input_ids
        assert len(tokens) == 77 and max(tokens) < len(tokenizer)
        assert tokens[0] == tokenizer.bos_token_id and tokenizer.eos_token_id in tokens
    assert tokenizer.tokenize("forest") == ["forest</w>"]


def test_the_same_captions_give_the_same_tokenizer():
    """A training that goes on after a kill makes its tokenizer anew, and the text model knows words by number."""
    rng = np.random.default_rng(2)
    captions = [caption(sample_scene(rng), rng) for _ in range(2000)]
    first, *others = [new_tokenizer(captions).get_vocab() for _ in range(8)]
    assert all(vocabulary == first for vocabulary in others)
