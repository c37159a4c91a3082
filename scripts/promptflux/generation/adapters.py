"""What is laid over a model: LoRA weights and textual inversions, each a .safetensors file, in a folder or on the hub.

How they are laid over it is in adapter_loading.py.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, printable, shown
from promptflux.files.whole import sha256_of_file
from promptflux.generation.model_folder import HUB_ID
from promptflux.generation.safetensors_header import read_header

# How the tensors of a LoRA and its relatives are named, by the tools that train them.
OF_A_LORA = re.compile(r"lora|hada_|lokr_|oft_|\.diff(_b)?$|dora_scale", re.IGNORECASE)
PICKLES = {".ckpt", ".pt", ".pth", ".bin", ".pkl"}
NO_PICKLE = "is a Python pickle, which can run code when it is loaded; convert it to .safetensors"


def read_adapters(key: str, value: Any, find: Callable[[str], Path | None]) -> list[dict[str, Any]] | None:
    """The entries of `generator.lora` or `generator.textual_inversion`, a mapping each.

    key: which of the two. A local one has the path of its .safetensors file as `model`; one of the hub its id, with
    `revision` and perhaps `file`. LoRA weights have a `scale`, a textual inversion may have a `token`. find: where a path
    lies. None is None. Raises StudyError with a sentence for each that is not there or is something else.
    """
    if value is None:
        return None
    entries = value if isinstance(value, list) else [value]
    found: list[str] = []
    read: list[dict[str, Any]] = []
    for entry in entries:
        given = {"model": entry} if isinstance(entry, str) else dict(entry)
        try:
            place = _place(f"config.yaml: generator.{key}", given, find)
            if "revision" not in place:
                check_file(key, Path(place["model"]))
        except StudyError as error:
            found += error.args
            continue
        more = {"scale": float(given.get("scale", 1.0))} if key == "lora" else {"token": given.get("token")}
        read.append({name: item for name, item in {**place, **more}.items() if item is not None})
    if key == "textual_inversion":
        tokens = [entry["token"] for entry in read if "token" in entry]
        if twice := sorted({token for token in tokens if tokens.count(token) > 1}):
            found.append(f"config.yaml: generator.textual_inversion has the token {shown(twice[0])} twice.")
    if found:
        raise StudyError(*found)
    return read


def _place(what: str, given: Mapping[str, Any], find: Callable[[str], Path | None]) -> dict[str, Any]:
    """Where an entry lies: the path of its file as `model`, or its hub id with `revision` and `file`."""
    model, revision, file = given["model"], given.get("revision"), given.get("file")
    path = find(model)
    if path is None:
        if not HUB_ID.fullmatch(model):
            raise StudyError(
                f"{what} names {shown(model)}; there is no such file or folder, nor is it a hub id."
            )
        if revision is None:
            raise StudyError(
                f"{what} names {shown(model)}, which is not here; if it is a hub id, write "
                f"{{model: {model}, revision: ...}} with the commit of it that you want."
            )
        if file is not None and not file.endswith(".safetensors"):
            raise StudyError(f"{what} names the file {shown(file)}; only .safetensors files are loaded.")
        return {"model": model, "revision": revision, "file": file}
    if revision is not None:
        raise StudyError(
            f"{what} names {shown(model)}, which is here and counts by its content; leave out its revision."
        )
    if path.is_dir():
        if file is not None and not (path / file).is_file():
            raise StudyError(f"{what} names the file {shown(file)}, which is not in {printable(path)}.")
        path = path / (file or only_file(what, model, [item.name for item in path.iterdir()]))
    elif file is not None and file != path.name:
        raise StudyError(
            f"{what} names {shown(model)}, a file, and the file {shown(file)} in it; leave out one of them."
        )
    if path.suffix != ".safetensors":
        reason = NO_PICKLE if path.suffix in PICKLES else "is no .safetensors file"
        raise StudyError(f"{what} names {shown(str(path))}, which {reason}.")
    return {"model": str(path)}


def only_file(what: str, model: str, names: Iterable[str]) -> str:
    """The one .safetensors file among `names`. Raises StudyError if there is none, or several."""
    weights = sorted(name for name in names if name.endswith(".safetensors"))
    if len(weights) == 1:
        return weights[0]
    if not weights:
        raise StudyError(
            f"{what} names {shown(model)}, where no .safetensors file is; others are not loaded."
        )
    more = f" and {len(weights) - 5} more" if len(weights) > 5 else ""
    raise StudyError(
        f"{what} names {shown(model)}, which has {', '.join(map(printable, weights[:5]))}{more}; write which, as "
        f"{{model: {model}, file: {weights[0]}}}."
    )


def check_file(key: str, path: Path) -> None:
    """Raise StudyError if a file is damaged, or is plainly of another kind than `key`."""
    names = list(read_header(path))
    if key == "lora" and not any(map(OF_A_LORA.search, names)):
        raise StudyError(
            f"{printable(path)}: this is no LoRA: none of its {len(names)} tensors is named like one "
            f"(the first is {shown(names[0]) if names else 'not there'})."
        )
    if key == "textual_inversion" and (len(names) > 4 or not names):
        raise StudyError(
            f"{printable(path)}: this is no textual inversion, which holds one tensor or one for each text encoder; "
            f"it holds {len(names)}."
        )


def local_files(adapters: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """The files of those adapters that lie here."""
    return [entry["model"] for entry in adapters or [] if "revision" not in entry]


def by_content(adapters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The adapters as a recipe names them: a file by its digest, a hub id by its revision."""
    return [
        {
            **entry,
            "model": entry["model"] if "revision" in entry else f"sha256:{sha256_of_file(entry['model'])}",
        }
        for entry in adapters
    ]
