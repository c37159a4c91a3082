"""Laying LoRA weights and textual inversions over a pipeline."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, printable
from promptflux.generation.adapters import check_file, only_file
from promptflux.generation.hub_cache import cached_folder
from promptflux.generation.safetensors_header import read_header


def file_of(key: str, entry: Mapping[str, Any]) -> Path:
    """The .safetensors file of an adapter. Raises StudyError if it is of the hub and not in the cache."""
    if "revision" not in entry:
        return Path(entry["model"])
    folder = cached_folder(entry["model"], entry["revision"])
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")]
    file = entry.get("file") or only_file(f"config.yaml: generator.{key}", entry["model"], names)
    path = folder / file
    check_file(key, path)
    return path


def check_adapters(pipeline_class: type, settings: Mapping[str, Any]) -> None:
    """Raise StudyError if a pipeline takes no LoRA weights, or no textual inversions, and some are to be laid over it."""
    loaders = {"lora": "load_lora_weights", "textual_inversion": "load_textual_inversion"}
    for key, loader in loaders.items():
        if settings[key] and not hasattr(pipeline_class, loader):
            raise StudyError(
                f"config.yaml: generator.{key} is set, and {pipeline_class.__name__} takes none; leave it out, or choose another model."
            )


def load_adapters(pipeline: Any, settings: Mapping[str, Any], note: Callable[[str], None]) -> None:
    """Lay the LoRA weights, at their scales, and the textual inversions of the settings over a pipeline.

    note: what is told of weights that find no place. Raises StudyError if none of a file's do.
    """
    loras = settings["lora"] or []
    for number, entry in enumerate(loras):
        path = file_of("lora", entry)
        with _diffusers_warnings() as warnings:
            try:
                pipeline.load_lora_weights(
                    str(path.parent),
                    weight_name=path.name,
                    adapter_name=f"lora_{number}",
                    local_files_only=True,
                )
            except Exception as error:  # what is wrong depends on who trained it
                text = " ".join(str(error).split())[:300].rstrip(".")
                raise StudyError(
                    f"{printable(path)}: these LoRA weights do not fit {type(pipeline).__name__}: {type(error).__name__}: {text}."
                ) from None
        lists = pipeline.get_list_adapters()
        if not any(f"lora_{number}" in names for names in lists.values()):
            raise StudyError(
                f"{printable(path)}: none of these LoRA weights has a place in {type(pipeline).__name__}; they are of another model."
            )
        for warning in warnings:
            if "key" in warning and "No LoRA keys associated" not in warning:
                note(f"warning: {printable(path)}: {warning}")
    if loras:
        pipeline.set_adapters(
            [f"lora_{number}" for number in range(len(loras))], [entry["scale"] for entry in loras]
        )
    for entry in settings["textual_inversion"] or []:
        _load_inversion(pipeline, file_of("textual_inversion", entry), entry.get("token"))


# Embeddings for two encoders name their tensors so, and those for one by the token or A1111's word for it.
ENCODERS = {"clip_l": ("tokenizer", "text_encoder"), "clip_g": ("tokenizer_2", "text_encoder_2")}


def token_of(path: Path, token: str | None) -> str:
    """The token of a textual inversion: the one given, the one in the file, or the file's name, as AUTOMATIC1111 takes it."""
    names = list(read_header(path))
    named = len(names) == 1 and names[0] != "emb_params" and names[0] not in ENCODERS
    return token or (names[0] if named else path.stem)


def _load_inversion(pipeline: Any, path: Path, token: str | None) -> None:
    from safetensors.torch import load_file

    tensors = load_file(path)
    word = token_of(path, token)
    parts = [key for key in tensors if key in ENCODERS] or list(tensors)
    try:
        for key in parts:
            tokenizer, encoder = ENCODERS.get(key, ENCODERS["clip_l"])
            pipeline.load_textual_inversion(
                {word: tensors[key]},
                token=word,
                tokenizer=getattr(pipeline, tokenizer, None),
                text_encoder=getattr(pipeline, encoder, None),
            )
    except Exception as error:
        text = " ".join(str(error).split())[:300].rstrip(".")
        raise StudyError(
            f"{printable(path)}: this textual inversion does not fit {type(pipeline).__name__}: {type(error).__name__}: {text}."
        ) from None


@contextmanager
def _diffusers_warnings() -> Iterator[list[str]]:
    """What diffusers warns of meanwhile, which is not shown otherwise."""
    texts: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(" ".join(record.getMessage().split())[:300])

    logger, handler = logging.getLogger("diffusers"), Collect()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
