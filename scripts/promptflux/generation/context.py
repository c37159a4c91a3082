"""The words of a prompt that say nothing to a model: cut off because its context is full, or never learnt."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Small words that carry no picture; nobody needs to hear that a model never learnt them.
SMALL_WORDS = set(
    "am are be been but by do does for from had has have he her here hers him his how i if into is it its just may me more "
    "most much my no nor not one or our out own she should so some such than that their them then there these they this "
    "those through to too two three up us very was we were what when where which while who whose will with would you your".split()
)


def cut_off(prompt: str, tokenizer: Any, length: int) -> str:
    """The end of `prompt` that lies beyond `length` tokens, the start and end token included.

    tokenizer: a `tokenizers.Tokenizer`. Returns "" for a prompt that fits.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    spans = tokenizer.encode(prompt, add_special_tokens=False).offsets
    kept = length - 2
    return prompt[spans[kept][0] :].strip() if len(spans) > kept else ""


def cut_off_warning(prompt: str, rest: str) -> str:
    """A sentence that names the words cut off, at most 200 characters of them."""
    shown = rest if len(rest) <= 200 else f"{rest[:200]}... ({len(rest)} characters)"
    return f"warning: the prompt {prompt[:40]!r}... is too long for the model; it does not see: {shown!r}"


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without digits and punctuation."""
    return re.findall(r"[^\W\d_]+", text.lower())


def unknown_words(model_folder: str | Path, prompts: Iterable[str]) -> list[str]:
    """The words of `prompts`, in order, that are not in the model folder's `words.txt`; none where it has no such file."""
    path = Path(model_folder) / "words.txt"
    if not path.is_file():
        return []
    known = {*path.read_text(encoding="utf-8").split(), *SMALL_WORDS}
    return list(dict.fromkeys(word for prompt in prompts for word in words(prompt) if word not in known))


def unknown_words_warning(model: str, unknown: list[str]) -> str:
    """A sentence that names the first twelve of `unknown`."""
    shown = ", ".join(map(repr, unknown[:12])) + (
        f" and {len(unknown) - 12} more" if len(unknown) > 12 else ""
    )
    verb, pronoun = ("is", "it") if len(unknown) == 1 else ("are", "them")
    return f"warning: {shown} {verb} unknown to {model}; for {pronoun} take a larger model (README, Your own diffusion model)"


def context_warnings(model_folder: str | Path, prompts: dict[str, str]) -> list[str]:
    """A warning for each prompt (name -> text) that is too long for a diffusers folder's model.

    Empty where that cannot be told without loading the model (no tokenizer.json, or no
    tokenizers package in the environment that plans).
    """
    folder = Path(model_folder) / "tokenizer"
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        length = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))[
            "model_max_length"
        ]
    except Exception:  # tokenizers raises a bare Exception for a missing file
        return []
    ends = {name: cut_off(prompt, tokenizer, length) for name, prompt in prompts.items()}
    return [cut_off_warning(prompts[name], rest) for name, rest in ends.items() if rest]
