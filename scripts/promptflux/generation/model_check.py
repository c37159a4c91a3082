"""What is wrong with a diffusion model's folder, told from its configs and the headers of its weights alone."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, printable, shown
from promptflux.generation.model_folder import model_files, native_size, read_object, size_multiple
from promptflux.generation.safetensors_header import read_header

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
LIBRARY = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
# Of a pipeline's parts, those that must be there in pairs of a library and a class, whatever else an index holds.
PARTS = re.compile(
    r"(unet|transformer|vae|vqvae|movq|text_encoder|tokenizer|scheduler|image_encoder|feature_extractor|safety_checker)(_\d)?"
)
ASKS_FOR_CODE = ("trust_remote_code", "custom_pipeline", "custom_revision", "auto_map")
NO_CODE = "promptflux runs no code from a model's folder or repository"
# What holds the words of a tokenizer, one of these. Without any, a tokenizer loads and knows no word.
VOCABULARIES = (
    {"tokenizer.json"},
    {"vocab.json", "merges.txt"},
    {"vocab.txt"},
    {"spiece.model"},
    {"tokenizer.model"},
    {"sentencepiece.bpe.model"},
)
LARGEST = 10**8  # no setting of a network is a number above it; as a size it would take gigabytes


def folder_problems(folder: Path, settings: Mapping) -> list[str]:
    """What is wrong with a model, or with what is asked of it, a sentence each; nothing of it is loaded.

    settings: those of config.yaml's `generator`.
    """
    if not (folder / "model_index.json").is_file():
        return [
            f"config.yaml: generator.model is {str(folder)!r}, a folder without model_index.json; "
            f"it must be a pipeline in diffusers' folder format."
        ]
    try:
        index = read_object(folder / "model_index.json")
        files = model_files(folder)
    except StudyError as error:
        return list(error.args)
    found = list(_index_problems(folder, index))
    if found:
        return found
    for path in files:
        if path.suffix == ".json" and path.name.endswith(("config.json", ".index.json")):
            found += _said(read_object, path)
    for part, (_library, class_name) in parts_of(index).items():
        found += _said_all(_part_problems, folder / part, class_name)
    found += _class_problems(folder, index)
    found += _variant_problems(folder, index, settings["variant"])
    if (folder / "words.txt").is_file():
        found += _said(_text, folder / "words.txt")
    found = list(dict.fromkeys(found))
    return found or _said_all(_size_problems, folder, settings)


def index_problems(folder: Path) -> list[str]:
    """What is wrong with model_index.json alone; the folder may be without weights."""
    try:
        index = read_object(folder / "model_index.json")
    except StudyError as error:
        return list(error.args)
    return [*_index_problems(folder, index)] or [*_class_problems(folder, index)]


def parts_of(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The parts that a pipeline is made of, name -> (library, class); those that are null are left out."""
    return {
        key: (value[0], value[1])
        for key, value in index.items()
        if not key.startswith("_") and _is_pair(value) and value[0] is not None
    }


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and (value == [None, None] or all(isinstance(name, str) for name in value))
    )


def _said(read: Callable[..., Any], *arguments: Any) -> list[str]:
    try:
        read(*arguments)
    except StudyError as error:
        return list(error.args)
    return []


def _said_all(problems: Callable[..., Iterator[str]], *arguments: Any) -> list[str]:
    found = []
    try:
        for problem in problems(*arguments):
            found.append(problem)
    except StudyError as error:
        found += error.args
    return found


def _index_problems(folder: Path, index: Mapping[str, Any]) -> Iterator[str]:
    """What in model_index.json is malformed, or asks for code that is not diffusers' or transformers'."""
    where = printable(folder / "model_index.json")
    for key in ASKS_FOR_CODE:
        if index.get(key):
            yield f"{where}: {key} asks for code of the model's own; {NO_CODE}."
    if isinstance(index.get("_class_name"), list):
        yield f"{where}: _class_name is {shown(index['_class_name'])}, a pipeline of the model's own; {NO_CODE}."
    if (folder / "None.py").exists():
        yield f"{printable(folder / 'None.py')}: diffusers would take this file for the pipeline; {NO_CODE}."
    for key, value in index.items():
        if key.startswith("_"):
            continue
        if _is_pair(value):
            if not NAME.fullmatch(key):
                yield f"{where}: {shown(key)} is no name of a part."
            elif value[0] is not None:
                library, class_name = value
                if not LIBRARY.fullmatch(library) or not NAME.fullmatch(class_name):
                    yield f"{where}: {key} is {shown(value)}; it must be a library and a class of it."
                elif (folder / key / f"{library}.py").exists():
                    yield f"{where}: {key} is {shown(value)}, which is code in {printable(folder / key)}; {NO_CODE}."
        elif PARTS.fullmatch(key):
            yield f'{where}: {key} is {shown(value)}; it must be a library and a class, such as ["diffusers", "AutoencoderKL"].'


def _class_problems(folder: Path, index: Mapping[str, Any]) -> Iterator[str]:
    where, name = printable(folder / "model_index.json"), index.get("_class_name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield f"{where}: _class_name is {shown(name)}; it must be a pipeline of diffusers, such as StableDiffusionPipeline."
    if not parts_of(index):
        yield f"{where} names no parts (unet, vae, ...); the model folder is damaged."


def _part_problems(part: Path, class_name: str) -> Iterator[str]:
    """What is wrong with the folder of a pipeline's part."""
    has_weights = PARTS.fullmatch(part.name) and not part.name.startswith(
        ("scheduler", "tokenizer", "feature_extractor")
    )
    if not part.is_dir():
        needs = "the .safetensors file of its weights" if has_weights else "its config"
        yield f"{printable(part)} is not there: model_index.json names this part, a folder with {needs}."
        return
    weights = sorted(part.glob("*.safetensors"))
    path = part / "config.json"
    if (
        (has_weights or path.is_file())
        and not weights
        and not class_name.endswith(("Processor", "Extractor"))
    ):
        yield f"{printable(part)}: there is no .safetensors file; weights in other formats are not loaded."
    for config in part.glob("*config.json"):
        settings = read_object(config)
        for key in ASKS_FOR_CODE:
            # An auto_map that is left over beside a class of transformers' own is not looked at.
            if settings.get(key) and (key != "auto_map" or class_name.startswith("Auto")):
                yield f"{printable(config)}: {key} asks for code of the model's own; {NO_CODE}."
    if has_weights and weights and not path.is_file():
        yield f"{printable(path)} is not there; the model folder is damaged."
    for index in part.glob("*.safetensors.index.json"):
        yield from _shard_problems(index)
    tensors = 0
    for file in weights:
        tensors += len(read_header(file))
    if weights and path.is_file():
        yield from _number_problems(path, read_object(path), tensors)
    if part.name.startswith("scheduler") and (part / "scheduler_config.json").is_file():
        yield from _number_problems(
            part / "scheduler_config.json", read_object(part / "scheduler_config.json"), 0
        )
    if class_name.endswith(("Tokenizer", "TokenizerFast")) and not class_name.startswith("ByT5"):
        yield from _tokenizer_problems(part)


def _variant_problems(folder: Path, index: Mapping[str, Any], variant: str | None) -> Iterator[str]:
    """Whether there are weights of the variant that is asked for, or, if none is, of no variant."""
    variants: set[str] = set()
    for part in parts_of(index):
        # model.fp16.safetensors, model.fp16-00001-of-00002.safetensors, model-00001-of-00002.safetensors
        names = [path.name for path in (folder / part).glob("*.safetensors")]
        there = {re.sub(r"-\d{5}-of-\d{5}$", "", name.split(".")[1]) for name in names if name.count(".") > 1}
        variants |= there
        if variant is None and names and all(name.count(".") > 1 for name in names):
            yield (
                f"{printable(folder / part)} has weights of the variant {' and '.join(sorted(there))} alone; "
                f"set generator.variant to {min(there)}."
            )
    if variant is not None and variant not in variants:
        yield (
            f"config.yaml: generator.variant is {shown(variant)}, and {printable(folder)} has no weights of it; "
            f"{'it has ' + ', '.join(sorted(variants)) if variants else 'set it to null'}."
        )


def _shard_problems(path: Path) -> Iterator[str]:
    files = read_object(path).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        yield f"{printable(path)}: weight_map is {shown(files)}; it must name the file of each tensor."
        return
    for name in sorted(set(files.values())):
        if not re.fullmatch(r"[\w.-]+\.safetensors", name, re.ASCII):
            yield f"{printable(path)} names the file {shown(name)}; it must be a .safetensors file in its folder."
        elif not (path.parent / name).is_file():
            yield f"{printable(path)} names the file {name}, which is not there."


def _number_problems(path: Path, config: Mapping[str, Any], tensors: int) -> Iterator[str]:
    """Numbers that a network of so many tensors cannot have: it would be built for hours, or fill the memory."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _number_problems(path, value, tensors)
            continue
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, bool) or not isinstance(number, int):
                continue
            if tensors and number > tensors and re.search(r"layers|blocks$", key):
                yield f"{printable(path)}: {key} is {shown(value)}, but the weights beside it are {tensors} tensors."
            elif abs(number) > (LARGEST if tensors else 10**6):
                yield f"{printable(path)}: {key} is {shown(value)}, a number that no model has."


def _tokenizer_problems(part: Path) -> Iterator[str]:
    there = {path.name for path in part.iterdir() if path.is_file()}
    if not any(vocabulary <= there for vocabulary in VOCABULARIES):
        yield (
            f"{printable(part)}: the tokenizer has no vocabulary; it needs tokenizer.json, or vocab.json and merges.txt, "
            f"or spiece.model."
        )
    path = part / "tokenizer_config.json"
    length = read_object(path).get("model_max_length") if path.is_file() else None
    if length is None:
        return
    is_number = isinstance(length, (int, float)) and not isinstance(length, bool)
    # transformers writes 1e30 for "no limit"
    if not is_number or not length >= 3 or (isinstance(length, float) and length < 1e9):
        yield f"{printable(path)}: model_max_length is {shown(length)}; it must be a whole number of tokens."


def _text(path: Path) -> None:
    try:
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{printable(path)} cannot be read as UTF-8 text ({error}).") from None


def _size_problems(folder: Path, settings: Mapping) -> Iterator[str]:
    factor = size_multiple(folder)
    native_size(folder)  # which planning asks for later
    for side in ("width", "height"):
        if settings[side] is not None and settings[side] % factor:
            yield (
                f"config.yaml: generator.{side} is {settings[side]}; "
                f"{folder} can only make multiples of {factor} pixels."
            )
