"""A diffusion model's folder: what is in it, what it can make, and its digest."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from promptflux.files.whole import sha256_of_file


def folder_problems(folder: Path, settings: Mapping) -> list[str]:
    index_path = folder / "model_index.json"
    if not index_path.is_file():
        return [
            f"config.yaml: generator.model is {str(folder)!r}, a folder without model_index.json; "
            f"it must be a pipeline in diffusers' folder format."
        ]
    try:
        index = json.loads(index_path.read_text(encoding="utf-8"))
    except ValueError:
        return [f"{index_path} is not valid JSON; the model folder is damaged."]
    found = []
    for part in ("unet", "transformer", "vae", "text_encoder"):
        if part in index and index[part][0] and not list((folder / part).glob("*.safetensors")):
            found.append(
                f"{folder / part}: there is no .safetensors file; weights in other formats are not loaded."
            )
    factor = size_multiple(folder)
    for side in ("width", "height"):
        if settings[side] is not None and settings[side] % factor:
            found.append(
                f"config.yaml: generator.{side} is {settings[side]}; "
                f"{folder} can only make multiples of {factor} pixels."
            )
    return found


def size_multiple(folder: Path) -> int:
    """What an image's sides must be a multiple of: the pixels of one latent of the model's VAE."""
    try:
        channels = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))[
            "block_out_channels"
        ]
    except (OSError, ValueError, KeyError):
        return 8
    return 2 ** (len(channels) - 1)


# Of a model folder, what decides its images; not its model card or previews.
MODEL_SUFFIXES = {".json", ".txt", ".model", ".safetensors"}


def model_files(folder: str | Path) -> list[Path]:
    """The files of a diffusers folder that decide its images, sorted."""
    return sorted(
        path for path in Path(folder).rglob("*") if path.suffix in MODEL_SUFFIXES and path.is_file()
    )


def digest_of_model(folder: str | Path) -> str:
    """A SHA-256 over the names and contents of a model's files; it does not depend on where they lie."""
    digest = hashlib.sha256()
    for path in model_files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\n{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()
