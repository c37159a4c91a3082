"""What a generated PNG says of itself, and the digest of the model that made it."""

import io
import json
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from promptflux.images.containers import png_chunks

TEXT_CHUNK = "promptflux"


def write_png(path: Path, picture: Image.Image, provenance: dict, parameters: str | None = None) -> None:
    """Save `picture` with `provenance` as JSON in the text chunk `promptflux`.

    provenance: `recipe`, all that the image is a function of, and `made_with`, the
    scheduler, size, device and versions of the run that made it. parameters: the same in the words of
    AUTOMATIC1111, in the chunk of its name.
    """
    info = PngInfo()
    info.add_itxt(TEXT_CHUNK, json.dumps(provenance, ensure_ascii=False))
    if parameters is not None:
        info.add_text("parameters", parameters)
    picture.save(path, pnginfo=info)


def read_mark(path: str | Path) -> str:
    """What is said of a PNG's picture: that it is none, or that a safety checker blacked it out; "" of most.

    "" also for what is broken or not there, which others say.
    """
    made_with = read_head(path)["made_with"]
    said = [str(made_with["problem"])] if "problem" in made_with else []
    blacked_out = ["the model's safety checker blacked it out"] if "safety_checker" in made_with else []
    return " ".join([*blacked_out, *said])


def read_head(path: str | Path) -> dict:
    """`recipe`, `made_with` and `parameters` of a PNG, each empty where it has none, or is broken or not there.

    Reads what stands before the pixels alone, so that thousands are read in seconds.
    """
    head: dict = {"recipe": {}, "made_with": {}, "parameters": ""}
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            said = json.loads(picture.info[TEXT_CHUNK], parse_constant=str)
            found = {**said, "parameters": picture.info.get("parameters")}
    except Exception:  # what damage raises depends on the damage
        return head
    return {
        key: found[key] if isinstance(found.get(key), type(empty)) else empty for key, empty in head.items()
    }


def read_provenance(path: str | Path) -> dict:
    """The provenance that a PNG holds; empty if it holds none, is broken or is not there."""
    try:
        content = Path(path).read_bytes()
        for _ in png_chunks(content):
            pass  # which ends in an error where a checksum is wrong; Pillow looks at those of the pixels not at all
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            picture.load()
            made = json.loads(picture.text[TEXT_CHUNK]) if isinstance(picture, PngImageFile) else {}
    except Exception:  # what damage raises depends on the damage
        return {}
    return made if isinstance(made, dict) else {}
