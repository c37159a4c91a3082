"""Users' own images: finding them, naming them, and opening an image of any kind as 8-bit RGB."""

import glob
import hashlib
import io
import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from promptflux.errors import StudyError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
FORMATS = ("PNG", "JPEG", "WEBP")
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
LONGEST_NAME = 80
# A wildcard or pathvar, which Snakemake 9.27 replaces in every path; there is no escaping them.
SNAKEMAKE_VARIABLE = re.compile(r"\{\s*[.\w]+\s*(,.*)?\}|<[a-z][a-z0-9_]*>", re.DOTALL)

# Pillow warns of broken EXIF data, which are ignored here, and of images with more than
# MAX_IMAGE_PIXELS pixels; those with more than twice as many it refuses.
warnings.filterwarnings("ignore", module="PIL")
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


@dataclass(frozen=True)
class OwnImage:
    """A user's own image. `name` is a slug, unique in the study even if case is ignored."""

    name: str
    path: Path


def list_images(setting: str | Sequence[str], folders: Sequence[str | Path]) -> list[OwnImage]:
    """The images that `images:` of the config names: a folder, a glob, a file, or a list of these.

    Each is looked up in `folders` in turn; the first that has it counts, and a path below
    the first of them (the working folder) stays relative. Of a folder or a glob, the PNG,
    JPEG and WebP files are taken, hidden files left out. The result is sorted by path.
    Raises StudyError with a sentence for each entry that gives no image.
    """
    found: list[str] = []
    paths: dict[str, str] = {}  # file -> the path that its name's digest is made of
    for entry in [setting] if isinstance(setting, str) else setting:
        try:
            for path, within in _files_of(entry, [Path(folder) for folder in folders]):
                paths.setdefault(os.path.normpath(path), within)
        except StudyError as error:
            found.extend(error.args)
    for path in paths:
        if any("\ud800" <= character <= "\udfff" for character in path):
            found.append(f"{printable(path)}: the file's name is not UTF-8; rename the file.")
        if variable := SNAKEMAKE_VARIABLE.search(path):
            found.append(
                f"{printable(path)}: Snakemake takes {variable[0]} for a variable of its own; "
                f"rename the file or folder."
            )
    if found:
        raise StudyError(*found)
    ordered = sorted(paths)
    names = _unique_names(ordered, [paths[path] for path in ordered])
    return [OwnImage(name, Path(path)) for name, path in zip(names, ordered, strict=True)]


def _files_of(entry: str, folders: Sequence[Path]) -> list[tuple[str, str]]:
    """The image files of one entry, each with its path relative to the folder it was found in."""
    for index, folder in enumerate(folders):
        place = folder / entry
        if place.is_file():
            if place.suffix.lower() not in SUFFIXES:
                raise StudyError(
                    f"config.yaml: images names {printable(entry)}, which is not a PNG, JPEG or WebP file "
                    f"by its suffix; convert it, or rename it if it is one."
                )
            matches = [entry]
        elif place.is_dir():
            matches = [os.path.join(entry, name) for name in os.listdir(place)]
        elif _is_glob(entry):
            matches = glob.glob(entry, root_dir=folder, recursive=True)
        else:
            continue
        files = [match for match in matches if _is_image(folder / match)]
        if files:
            return [(match if index == 0 else str(folder / match), Path(match).as_posix()) for match in files]
        if matches or place.is_dir():
            raise StudyError(
                f"config.yaml: images names {printable(entry)}, where {len(matches)} files were found "
                f"and no PNG, JPEG or WebP among them."
            )
    what = "nothing matches it" if _is_glob(entry) else "there is no such file or folder"
    places = " or ".join(map(str, folders))
    raise StudyError(f"config.yaml: images names {printable(entry)}, and {what} in {places}.")


def _is_glob(entry: str) -> bool:
    return any(character in entry for character in "*?[")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def slug(stem: str) -> str:
    """A file's stem as a name: letters, digits, `_`, `.` and `-`, beginning with a letter or digit.

    Accents are dropped; every other run of foreign characters becomes one `_`.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", stem) if not unicodedata.combining(c))
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).lstrip("_.-")[:LONGEST_NAME].rstrip("_.-")
    return name or "image"


def _unique_names(paths: Sequence[str], within: Sequence[str]) -> list[str]:
    """A slug for each path; those that would collide get `_` and six digits of a SHA-256 of `within`."""
    names = [slug(Path(path).stem) for path in paths]
    for digits in (6, 64):
        count = Counter(name.casefold() for name in names)
        names = [
            f"{name}_{hashlib.sha256(os.fsencode(place)).hexdigest()[:digits]}"
            if count[name.casefold()] > 1
            else name
            for name, place in zip(names, within, strict=True)
        ]
    return names


def printable(path: object) -> str:
    """A path for a message: quoted, with line breaks, direction marks and the like escaped."""
    text = str(path)
    return repr(text) if text.isprintable() else ascii(text)


def open_rgb(source: str | Path, content: bytes | None = None) -> tuple[Image.Image, str]:
    """Open a PNG, JPEG or WebP file: (an upright 8-bit RGB image, the mode it was stored in).

    The EXIF orientation is applied and transparency is laid over white. `content`: the
    file's bytes, if they are at hand. Raises StudyError with the file and the reason if it
    cannot be read, is not an image of these formats, is damaged or is too large.
    """
    name = printable(source)
    try:
        content = Path(source).read_bytes() if content is None else content
    except OSError as error:
        raise StudyError(f"{name} cannot be read ({error.strerror}).") from None
    if not content:
        raise StudyError(f"{name} is empty (0 bytes).")
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.UnidentifiedImageError:
        if content.startswith(SIGNATURES):
            raise StudyError(f"{name} is damaged (its header cannot be read).") from None
        raise StudyError(
            f"{name} is not a PNG, JPEG or WebP image; it begins with {content[:8]!r}."
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise StudyError(f"{name} has more than {limit} million pixels, the most that is opened.") from None
    except Exception as error:  # what a damaged header raises depends on the format and the damage
        raise StudyError(f"{name} is damaged ({_reason(error)}).") from None
    try:
        picture.load()
        mode = picture.mode
        return to_rgb(_upright(picture)), mode
    except StudyError as error:
        raise StudyError(f"{name} {error}") from None
    except Exception as error:  # as above, for the pixels
        raise StudyError(f"{name} is damaged ({_reason(error)}).") from None


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__


def _upright(picture: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; as it is if its EXIF data cannot be read."""
    try:
        orientation = picture.getexif().get(0x0112, 1)
    except Exception:  # viewers show such an image unturned, too
        return picture
    return ImageOps.exif_transpose(picture) if orientation in range(2, 9) else picture


def to_rgb(picture: Image.Image) -> Image.Image:
    """An image of any of Pillow's modes as 8-bit RGB.

    16-bit gray (modes I;16 and I) is divided by 257 and rounded, so that 65535 becomes 255;
    transparency is laid over white; CMYK is converted without a colour profile. Raises
    StudyError for floats, as it is not known which value is white.
    """
    if picture.mode == "F":
        raise StudyError("has floating-point pixels, whose range is not known; save it with 8 or 16 bits.")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        values = np.asarray(picture).astype(np.int64)
        gray = Image.fromarray(((np.clip(values, 0, 65535) + 128) // 257).astype(np.uint8))
        clear = picture.info.get("transparency")
        if clear is not None:
            gray.paste(255, mask=Image.fromarray(values == clear))
        return gray.convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def test_pattern(height: int, width: int) -> Image.Image:
    """What stands in for an image that cannot be read: colour bars, crossed out, with "TEST" on them.

    An RGB image of the given size in pixels, at any size.
    """
    colors = ("white", "yellow", "cyan", "lime", "magenta", "red", "blue")
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for index, color in enumerate(colors):
        left, right = width * index // len(colors), width * (index + 1) // len(colors)
        if right > left:
            draw.rectangle((left, 0, right - 1, height - 1), fill=color)
    line = max(1, min(height, width) // 32)
    draw.line((0, 0, width - 1, height - 1), fill="black", width=line)
    draw.line((0, height - 1, width - 1, 0), fill="black", width=line)
    draw.rectangle((0, 0, width - 1, height - 1), outline="black", width=line)
    label = _label("TEST PATTERN" if width >= 84 else "TEST", width * 7 // 8)
    if label.width <= width and label.height <= height:
        picture.paste(label, ((width - label.width) // 2, (height - label.height) // 2))
    return picture


def _label(text: str, width: int) -> Image.Image:
    """White text on black in Pillow's bitmap font, enlarged by a whole factor to at most `width`."""
    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = font.getbbox(text)
    label = Image.new("L", (right - left + 2, bottom - top))
    ImageDraw.Draw(label).text((1 - left, -top), text, fill=255, font=font)
    return ImageOps.scale(label, max(1, width // label.width), Image.Resampling.NEAREST).convert("RGB")
