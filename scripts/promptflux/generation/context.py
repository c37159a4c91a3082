"""The words of a prompt that say nothing to a model: cut off because its context is full, or never learnt."""

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from promptflux.documents import read_text
from promptflux.errors import StudyError, shown

MOST_TOKENS = 100_000  # that a text encoder reads

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


# How many tokens of a prompt the encoders beside CLIP (T5, Gemma, ...) read: the default of `max_sequence_length` of
# diffusers' pipelines, which planning does not import.
LENGTHS = {
    "AuraFlowPipeline": 256,
    "ChromaPipeline": 512,
    "CogView4Pipeline": 1024,
    "FluxPipeline": 512,
    "Lumina2Pipeline": 256,
    "PixArtAlphaPipeline": 120,
    "PixArtSigmaPipeline": 300,
    "SanaPipeline": 300,
    "StableDiffusion3Pipeline": 256,
}


def cut_off(prompt: str, tokenizer: Any, length: int, special: int = 2) -> str:
    """The end of `prompt` that lies beyond `length` tokens, of which `special` are no words: the start and end token.

    tokenizer: a `tokenizers.Tokenizer`. Returns "" for a prompt that fits.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    spans = tokenizer.encode(prompt, add_special_tokens=False).offsets
    kept = length - special
    return prompt[spans[kept][0] :].strip() if len(spans) > kept else ""


def cut_off_warning(prompt: str, rest: str, encoder: str = "the model", negative: bool = False) -> str:
    """A sentence that names the words cut off, at most 200 characters of them. encoder: what does not see them."""
    shown = rest if len(rest) <= 200 else f"{rest[:200]}... ({len(rest)} characters)"
    kind = "negative prompt" if negative else "prompt"
    return f"warning: the {kind} {prompt[:40]!r}... is too long for {encoder}; it does not see: {shown!r}"


def cut_off_warnings(pipeline: Any, recipes: Iterable[Mapping[str, Any]]) -> list[str]:
    """A warning for each prompt, also each negative one, and each text encoder of a loaded pipeline that does not see all of it."""
    longest = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    components = getattr(pipeline, "components", {})
    tokenizers = {
        name: part
        for name, part in components.items()
        if name.startswith("tokenizer") and getattr(part, "backend_tokenizer", None) is not None
    }
    texts = {(recipe["prompt"], False): None for recipe in recipes}
    texts |= {(recipe["negative_prompt"], True): None for recipe in recipes if "negative_prompt" in recipe}
    found = []
    for name, tokenizer in tokenizers.items():
        length = tokenizer.model_max_length
        if longest is not None and not type(tokenizer).__name__.startswith("CLIP"):
            length = longest.default
        if not isinstance(length, int) or length > MOST_TOKENS:
            continue  # transformers writes 1e30 for "no limit"
        encoder = type(components.get(name.replace("tokenizer", "text_encoder"))).__name__
        title = f"{encoder}, which reads {length} tokens" if len(tokenizers) > 1 else "the model"
        special = tokenizer.num_special_tokens_to_add()
        for text, negative in texts:
            try:
                rest = cut_off(text, tokenizer.backend_tokenizer, length, special)
            except Exception as error:  # a tokenizer of the model's own making
                raise StudyError(f"generator.model: its {name} fails: {shown(str(error), 200)}.") from None
            if rest:
                found.append(cut_off_warning(text, rest, title, negative))
    return list(dict.fromkeys(found))


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
    """A warning for each prompt (name -> text) and each text encoder of a diffusers folder that does not see all of it.

    Empty where that cannot be told without loading the model (no tokenizer.json, or no
    tokenizers package in the environment that plans).
    """
    found = []
    folders = sorted(Path(model_folder).glob("tokenizer*"))
    for folder in folders:
        try:
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            length, special, encoder = _reads(Path(model_folder), folder)
            ends = {name: cut_off(prompt, tokenizer, length, special) for name, prompt in prompts.items()}
        except Exception:  # tokenizers raises a bare Exception for a missing or damaged file
            continue
        title = f"{encoder}, which reads {length} tokens" if len(folders) > 1 else "the model"
        found += [cut_off_warning(prompts[name], rest, title) for name, rest in ends.items() if rest]
    return list(dict.fromkeys(found))


def _reads(model_folder: Path, tokenizer: Path) -> tuple[int, int, str]:
    """How many tokens the encoder of a tokenizer reads, how many of them are no words, and its class.

    Raises KeyError or ValueError where it is not known.
    """
    config = json.loads((tokenizer / "tokenizer_config.json").read_text(encoding="utf-8"))
    try:
        index = json.loads((model_folder / "model_index.json").read_text(encoding="utf-8"))
    except OSError:
        index = {}
    encoder = index.get(tokenizer.name.replace("tokenizer", "text_encoder"), [None, "CLIPTextModel"])[1]
    if encoder.startswith("CLIP"):
        return int(config["model_max_length"]), 2, encoder
    return LENGTHS[index["_class_name"]], 1, encoder


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
