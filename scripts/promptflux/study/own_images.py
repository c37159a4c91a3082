"""The user's own images: finding and naming them."""

import glob
import hashlib
import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from promptflux.errors import StudyError, printable, shown
from promptflux.images.containers import HEAD, OPENED, true_format

SUFFIXES = set().union(*OPENED.values())
OTHER_SUFFIXES = {".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".gif", ".bmp", ".jxl", ".jp2", ".j2k"}
LONGEST_NAME = 80
CLOCKS_APART = 1.0  # seconds by which a file server's clock may be ahead
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
    JPEG and WebP files are taken, hidden files left out. A file that is found by several paths,
    or links, counts once. The result is sorted by path. Raises StudyError with a sentence for
    each entry that gives no image, or that has images which are not opened or not there, and
    for each file that Snakemake could not take.
    """
    found: list[str] = []
    paths: dict[str, str] = {}  # file -> the path that its name's digest is made of
    for entry in [setting] if isinstance(setting, str) else setting:
        try:
            for path, within in _files_of(entry, [Path(folder) for folder in folders]):
                paths.setdefault(os.path.normpath(path), within)
        except StudyError as error:
            found.extend(error.args)
        except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be entered
            reason = error.strerror if isinstance(error, OSError) else error
            found.append(f"config.yaml: images names {shown(entry)}, which cannot be looked up ({reason}).")
    paths = _each_once(paths, Path(folders[0]))
    now = time.time()
    for path in paths:
        found.extend(_mistakes_of(path, Path(folders[0]), now))
    if found:
        raise StudyError(*dict.fromkeys(found))
    ordered = sorted(paths)
    names = _unique_names(ordered, [paths[path] for path in ordered])
    return [OwnImage(name, Path(path)) for name, path in zip(names, ordered, strict=True)]


def _each_once(paths: dict[str, str], folder: Path) -> dict[str, str]:
    """`paths` with one path to each file: not a link if there is another, and the first of several."""
    files: dict[tuple[int, int], list[str]] = {}
    for path in paths:
        status = (folder / path).stat()
        files.setdefault((status.st_dev, status.st_ino), []).append(path)
    kept = [_least_linked(alike, folder) for alike in files.values()]
    return {path: paths[path] for path in kept}


def _least_linked(paths: Sequence[str], folder: Path) -> str:
    if len(paths) > 1:
        for path in paths:
            if os.path.realpath(folder / path) == os.path.abspath(folder / path):
                return path
    return paths[0]


def _mistakes_of(path: str, folder: Path, now: float) -> Iterator[str]:
    """What is wrong with a file, before it is opened; now: in seconds since 1970."""
    if any("\ud800" <= character <= "\udfff" for character in path):
        yield f"{printable(path)}: the file's name is not UTF-8; rename the file."
    if any(unicodedata.category(character) == "Cc" for character in path):
        yield f"{printable(path)}: there is a control character in the path; rename the file or folder."
    if variable := SNAKEMAKE_VARIABLE.search(path):
        yield (
            f"{printable(path)}: Snakemake takes {variable[0]} for a variable of its own; "
            f"rename the file or folder."
        )
    # Snakemake would take what is made of it for older than the file, and fail after the job.
    place = folder / path
    if (changed := max(place.stat().st_mtime, place.lstat().st_mtime)) > now + CLOCKS_APART:
        yield (
            f"{printable(path)} is dated {_day(changed)}, which is in the future; "
            f"give it the time of now (touch), or set this computer's clock."
        )


def _day(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} seconds after 1970"


def _files_of(entry: str, folders: Sequence[Path]) -> list[tuple[str, str]]:
    """The image files of one entry, each with its path relative to the folder it was found in."""
    for index, folder in enumerate(folders):
        place = folder / entry
        if place.is_file():
            if place.suffix.lower() not in SUFFIXES and _format(place) not in OPENED:
                raise StudyError(
                    f"config.yaml: images names {printable(entry)}, which is not a PNG, JPEG or WebP file"
                    f"{f' but {kind}' if (kind := _format(place)) else ''}; convert it to one."
                )
            files = matches = [entry]
        elif place.is_dir():
            matches = [os.path.join(entry, name) for name in sorted(_listed(place))]
            files = _images_among(matches, folder, entry)
        elif _is_glob(entry):
            matches = sorted(glob.glob(entry, root_dir=folder, recursive=True))
            files = _images_among(matches, folder, entry)
        elif place.is_symlink():
            raise StudyError(_dangling(entry, place))
        else:
            continue
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


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise StudyError(f"{printable(folder)} cannot be read ({error.strerror}).") from None


def _images_among(matches: Sequence[str], folder: Path, entry: str) -> list[str]:
    """Those of the files that are images. Raises StudyError if one would be left out that is no less an image."""
    files, others, gone = [], {}, []
    for match in matches:
        path = folder / match
        if path.name.startswith("."):
            continue
        suffix = path.suffix.lower()
        if path.is_file():
            if suffix in SUFFIXES:
                files.append(match)
            elif suffix in OTHER_SUFFIXES:
                others[match] = _format(path) or suffix
            elif kind := _format(path):
                if kind in OPENED:
                    files.append(match)
                else:
                    others[match] = kind
        elif path.is_symlink() and not path.exists() and suffix in SUFFIXES | OTHER_SUFFIXES:
            gone.append(_dangling(match, path))
    if others:
        first = next(iter(others))
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        gone.append(
            f"config.yaml: images names {printable(entry)}, where {printable(first)} ({others[first]}){more} "
            f"would be left out: only PNG, JPEG and WebP are opened. Convert what is to be studied, "
            f"or name the files wanted by a pattern such as photos/*.jpg."
        )
    if gone:
        raise StudyError(*gone)
    return files


def _dangling(path: str, place: Path) -> str:
    return f"{printable(path)} is a link to {printable(os.readlink(place))}, which is not there."


def _format(path: Path) -> str | None:
    """The image format that a file's content tells."""
    try:
        with open(path, "rb") as file:
            return true_format(file.read(HEAD))
    except OSError:
        return None


def _is_glob(entry: str) -> bool:
    return any(character in entry for character in "*?[")


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
