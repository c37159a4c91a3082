"""The words of a prompt that say nothing to a model: cut off because its context is full, or never learnt."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from promptflux.documents import read_text
from promptflux.errors import StudyError, shown

# Small words that carry no picture; nobody needs to hear that a model never learnt them.
SMALL_WORDS = set(
    "am are be been but by do does for from had has have he her here hers him his how i if into is it its just may me more "
    "most much my no nor not one or our out own she should so some such than that their them then there these they this "
    "those through to too two three up us very was we were what when where which while who whose will with would you your".split()
)

# `(gold:1.3)`, `((gold))`, `[fog]`, `[fog:mist:0.5]`, `<lora:detail:0.8>`, BREAK, AND: what Stable Diffusion's web
# interfaces read and diffusers does not.
WEIGHTING = re.compile(
    r"\([^()]{1,200}:\s*\d+(?:\.\d+)?\s*\)|\({2,9}[^()]{1,200}\){2,9}|\[[^\[\]]{1,200}\]"
    r"|<(?:lora|lyco|hypernet)\b[^<>]{0,200}>|\bBREAK\b|\bAND\b"
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
    try:
        text = read_text(Path(model_folder) / "words.txt", "list of words", 10_000_000)
    except StudyError:
        return []
    known = {*text.split(), *SMALL_WORDS}
    return list(dict.fromkeys(word for prompt in prompts for word in words(prompt) if word not in known))


def unknown_words_warning(model: str, unknown: list[str]) -> str:
    """A sentence that names the first twelve of `unknown`."""
    shown = ", ".join(map(repr, unknown[:12])) + (
        f" and {len(unknown) - 12} more" if len(unknown) > 12 else ""
    )
    verb, pronoun = ("is", "it") if len(unknown) == 1 else ("are", "them")
    return f"warning: {shown} {verb} unknown to {model}; for {pronoun} take a larger model (README, Your own diffusion model)"


def context_warnings(model_folder: str | Path, prompts: Mapping[str, str]) -> list[str]:
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
        ends = {name: cut_off(prompt, tokenizer, int(length)) for name, prompt in prompts.items()}
    except Exception:  # tokenizers raises a bare Exception for a missing or damaged file
        return []
    return [cut_off_warning(prompts[name], rest) for name, rest in ends.items() if rest]


def weighting(prompt: str) -> list[str]:
    """The parts of a prompt that other tools read as weights, schedules or files: `(gold:1.3)`, `<lora:x:1>`, `BREAK`."""
    found = [match[0] for match in WEIGHTING.finditer(prompt)]
    # In a prompt of capitals, AND and BREAK are words.
    return [part for part in found if not part.isalpha()] if prompt.isupper() else found


def weighting_warnings(prompts: Mapping[str, str]) -> list[str]:
    """One sentence on all prompts (name -> text) with such parts; none if there are none."""
    found = {name: parts for name, text in prompts.items() if (parts := weighting(text))}
    if not found:
        return []
    parts = list(dict.fromkeys(part for parts in found.values() for part in parts))
    examples = ", ".join(shown(part) for part in parts[:3])
    name, *others = found
    where = f"the prompt {name}" + (f" and {len(others)} more" if others else "")
    return [
        f"warning: {examples} in {where} would be weights, schedules or files in other tools; "
        f"here the model reads them as words"
    ]


def prompt_warnings(prompts: Mapping[str, str], model: str, folder: str | Path | None) -> list[str]:
    """All that the model will not see in prompts (name -> text): weights, words that it never learnt, ends of long ones.

    model: as the config names it. folder: its files, None if they are not here to be asked.
    """
    found = weighting_warnings(prompts)
    if folder is None:
        return found
    if unknown := unknown_words(folder, prompts.values()):
        found.append(unknown_words_warning(model, unknown))
    return found + context_warnings(folder, prompts)
