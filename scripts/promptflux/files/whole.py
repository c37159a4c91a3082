"""Files that appear whole or not at all, and their digests."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"  # part of the name of a file that is not whole yet


@contextmanager
def whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` when the block ends well.

    The temporary name keeps the suffix of `path`, because Pillow, NumPy and matplotlib
    choose a format by it, and is this process's own, so that two that write one file do not
    meet. If the block raises, `path` is left as it was. What a killed process leaves is cleared
    away by `clear_partial_files`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem[:100]}{PARTIAL}{os.getpid()}_{secrets.token_hex(3)}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def clear_partial_files(folder: str | os.PathLike) -> None:
    """Remove what killed processes left below `folder`; to be called when none of ours runs there."""
    for parent, _, names in os.walk(str(folder)):
        for name in names:
            if name.startswith(".") and PARTIAL in name:
                Path(parent, name).unlink(missing_ok=True)


def sha256_of_file(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(text: str) -> str:
    """The SHA-256 of a text's UTF-8 bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
