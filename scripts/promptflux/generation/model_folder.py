"""A diffusion model's folder: what is in it, the size of its images, and its digest."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from math import lcm
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, printable, shown
from promptflux.files.checksums import read_checksums, write_checksums
from promptflux.files.whole import sha256_of_file

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

# Of a model folder, what decides its images; not its model card or previews.
MODEL_SUFFIXES = {".json", ".txt", ".model", ".safetensors"}
FOLDERS = 1000  # a model has about ten; links that lead to each other make any number of them


def model_files(folder: str | Path) -> list[Path]:
    """The files of a diffusers folder that decide its images, sorted; also those in linked folders.

    Raises StudyError if a folder cannot be listed, or there are far too many.
    """
    return sorted(
        path for path in _files_below(Path(folder)) if path.suffix in MODEL_SUFFIXES and path.is_file()
    )


def _files_below(top: Path) -> Iterator[Path]:
    """Every file below `top`; a link to a folder that it lies in is not followed, as it leads round in circles."""

    def cannot(error: OSError) -> None:
        raise StudyError(
            f"{printable(error.filename)}: this folder of the model cannot be read ({error.strerror})."
        )

    inside = {os.fspath(top): {os.path.realpath(top)}}  # of each folder to come, itself and what it lies in
    for count, (here, folders, files) in enumerate(os.walk(top, followlinks=True, onerror=cannot)):
        if count == FOLDERS:
            raise StudyError(
                f"{printable(top)}: the model holds more than {FOLDERS} folders; it has links that lead to each other."
            )
        above = inside.pop(here)
        for name in list(folders):
            path = os.path.join(here, name)
            real = os.path.realpath(path)
            if real in above:
                folders.remove(name)
            else:
                inside[path] = above | {real}
        yield from (Path(here, name) for name in files)


def digest_of_model(folder: str | Path) -> str:
    """A SHA-256 over the names and contents of a model's files; it does not depend on where they lie."""
    digest = hashlib.sha256()
    for path in model_files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\n{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


def write_sums(folder: Path) -> None:
    """Write the list of SHA-256 sums beside a model's folder that `check_sums` holds it to."""
    sums = {
        f"{folder.name}/{file.relative_to(folder).as_posix()}": sha256_of_file(file)
        for file in model_files(folder)
    }
    write_checksums(folder.with_name(f"{folder.name}.sha256"), sums)


def check_sums(folder: Path) -> None:
    """Hold a model to the list of SHA-256 sums beside its folder, `{folder}.sha256`, if there is one.

    The names in the list start with the folder's: `cd models && sha256sum --check scenes.sha256`.
    Raises StudyError with the files that are not what the list says.
    """
    path = folder.resolve().with_name(f"{folder.resolve().name}.sha256")
    if not path.is_file():
        return
    listed = read_checksums(path)
    there = {
        f"{folder.resolve().name}/{file.relative_to(folder).as_posix()}": file for file in model_files(folder)
    }
    wrong = {name: "is not there" for name in listed if name not in there}
    wrong |= {name: "is not in the list" for name in there if name not in listed}
    wrong |= {
        name: "has other bytes"
        for name, file in there.items()
        if name in listed and sha256_of_file(file) != listed[name]
    }
    if wrong:
        raise StudyError(
            f"{printable(folder)}: the model is not what {printable(path)} says: "
            f"{', '.join(f'{printable(name)} {what}' for name, what in sorted(wrong.items())[:5])}"
            f"{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}. "
            f"Get these files again; if you changed the model on purpose, delete the list. No image was touched."
        )


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises StudyError if there is none: no file, no UTF-8, no JSON, a list, ..."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{printable(path)} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{printable(path)} is not UTF-8 (byte {error.start}); the model folder is damaged."
        ) from None
    except json.JSONDecodeError as error:
        raise StudyError(
            f"{printable(path)} is not valid JSON (line {error.lineno}, column {error.colno}); the model folder is damaged."
        ) from None
    except (ValueError, RecursionError):  # a number of 5,000 digits, brackets in brackets
        raise StudyError(
            f"{printable(path)} holds what no model's settings do; the model folder is damaged."
        ) from None
    if not isinstance(value, dict):
        raise StudyError(
            f"{printable(path)} holds {_kind(value)} where an object {{...}} is wanted; the model folder is damaged."
        )
    return value


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )


# What pipelines want of a size beside whole latents, by how their classes begin; they refuse others, or round them.
MULTIPLES = {
    "StableDiffusion": 8, "LatentConsistency": 8, "PixArt": 8, "Kolors": 8, "Sana": 32, "HunyuanDiT": 16, "Lumina": 16,
    "AuraFlow": 16,
}  # fmt: skip


def size_multiple(folder: Path) -> int:
    """What an image's sides must be a multiple of, in pixels: one latent of the VAE, or a patch of latents.

    8, as of most models, where the configs do not say. Raises StudyError for a config that is malformed.
    """
    path = folder / "model_index.json"
    name = str(read_object(path).get("_class_name")) if path.is_file() else ""
    own = next((multiple for start, multiple in MULTIPLES.items() if name.startswith(start)), 1)
    pixels = _pixels_of_a_latent(folder)
    if (folder / "movq" / "config.json").is_file():  # Kandinsky rounds up to so many whole latents
        return pixels * pixels
    return lcm(pixels * _latents_of_a_patch(folder), own)


def native_size(folder: Path) -> tuple[int, int] | None:
    """The height and width in pixels of the images that a model makes unasked; None where its configs do not say.

    Raises StudyError for a config that is malformed.
    """
    for part in ("unet", "transformer"):
        path = folder / part / "config.json"
        if path.is_file():
            size = read_object(path).get("sample_size")
            if size is None:
                continue
            sides = size if isinstance(size, list) else [size, size]
            if len(sides) != 2 or not all(_whole(side, 1, 4096) for side in sides):
                raise StudyError(
                    f"{printable(path)}: sample_size is {shown(size)}; it must be a whole number of latents, or two of them."
                )
            factor = _pixels_of_a_latent(folder)
            return sides[0] * factor, sides[1] * factor
    return None


# diffusers names the blocks of its VAEs in one of these ways; the last of them is not halved.
BLOCKS = {"block_out_channels": -1, "encoder_block_out_channels": -1, "temperal_downsample": 0}


def _pixels_of_a_latent(folder: Path) -> int:
    path = next(
        (
            folder / part / "config.json"
            for part in ("vae", "movq")
            if (folder / part / "config.json").is_file()
        ),
        None,
    )
    if path is None:
        return 8
    config = read_object(path)
    spatial = config.get("scale_factor_spatial")
    if spatial is not None:
        if not _whole(spatial, 1, 256):
            raise StudyError(
                f"{printable(path)}: scale_factor_spatial is {shown(spatial)}; it must be a number of pixels."
            )
        return int(spatial)
    for key, more in BLOCKS.items():
        blocks = config.get(key)
        if blocks is None:
            continue
        if (
            not isinstance(blocks, list)
            or not 1 <= len(blocks) <= 16
            or not all(isinstance(block, bool) or _whole(block, 1) for block in blocks)
        ):
            raise StudyError(
                f"{printable(path)}: {key} is {shown(blocks)}; it must be a list of a whole number for each block."
            )
        return int(2 ** (len(blocks) + more))
    return 8


def _latents_of_a_patch(folder: Path) -> int:
    """How many latents of a side go into the transformer as one."""
    path = folder / "transformer" / "config.json"
    config = read_object(path) if path.is_file() else {}
    name, patch = config.get("_class_name"), config.get("patch_size", 1)
    if isinstance(name, str) and name.startswith(("Flux", "Chroma", "QwenImage", "ZImage")):
        return 2  # which the pipeline packs itself
    if isinstance(name, str) and name.startswith("SD3"):
        patch = config.get("patch_size", 2)
    return patch if _whole(patch, 1, 64) else 1


def _whole(value: object, least: int, most: int = 10**6) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
