"""The words of a prompt that a model does not see because its context is full."""

import json
from pathlib import Path


def cut_off(prompt: str, tokenizer, length: int) -> str:
    """The end of `prompt` that lies beyond `length` tokens, the start and end token included.

    tokenizer: a `tokenizers.Tokenizer`. Returns "" for a prompt that fits.
    """
    tokenizer.no_truncation()
    spans = tokenizer.encode(prompt, add_special_tokens=False).offsets
    kept = length - 2
    return prompt[spans[kept][0] :].strip() if len(spans) > kept else ""


def cut_off_warning(prompt: str, rest: str) -> str:
    """A sentence that names the words cut off, at most 200 characters of them."""
    shown = rest if len(rest) <= 200 else f"{rest[:200]}... ({len(rest)} characters)"
    return f"warning: the prompt {prompt[:40]!r}... is too long for the model; it does not see: {shown!r}"


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
