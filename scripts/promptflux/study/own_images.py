"""The user's own images: finding and naming them."""

import glob
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from promptflux.errors import StudyError, printable

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
LONGEST_NAME = 80
# A wildcard or pathvar, which Snakemake 9.27 replaces in every path; there is no escaping them.
SNAKEMAKE_VARIABLE = re.compile(r"\{\s*[.\w]+\s*(,.*)?\}|<[a-z][a-z0-9_]*>", re.DOTALL)


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
