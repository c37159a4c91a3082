"""What a generated PNG says of itself, and the digest of the model that made it."""

import hashlib
import json
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from promptflux.files import sha256_of_file

TEXT_CHUNK = "promptflux"
# Of a model folder, what decides its images; not its model card or previews.
MODEL_SUFFIXES = {".json", ".txt", ".model", ".safetensors"}


def write_png(path: Path, picture: Image.Image, provenance: dict) -> None:
    """Save `picture` with `provenance` as JSON in the text chunk `promptflux`.

    provenance: `recipe`, all that the image is a function of, and `made_with`, the
    scheduler, size, device and versions of the run that made it.
    """
    info = PngInfo()
    info.add_itxt(TEXT_CHUNK, json.dumps(provenance, ensure_ascii=False))
    picture.save(path, pnginfo=info)


def read_provenance(path: str | Path) -> dict:
    """The provenance that a PNG holds; empty if it holds none, is broken or is not there."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return json.loads(picture.text[TEXT_CHUNK])
    except (OSError, UnidentifiedImageError, SyntaxError, AttributeError, KeyError, ValueError):
        return {}


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
