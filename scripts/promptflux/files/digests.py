"""Digests of many files, each read once for as long as it stays as it is."""

import json
import os
import time
from pathlib import Path

from promptflux.files.whole import sha256_of_file, whole

SETTLED = 2.0  # seconds: a file that was written later may change again within its time's resolution


def remembered(cache: str | Path) -> dict[str, list]:
    """The rows of three by key that `remember` wrote; none if the cache is not there or damaged, as it is no result."""
    try:
        known = json.loads(Path(cache).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    rows = known.items() if isinstance(known, dict) else ()
    return {key: row for key, row in rows if isinstance(row, list) and len(row) == 3}


def remember(cache: str | Path, known: dict[str, list]) -> None:
    """Write rows of three by key to a cache (JSON)."""
    with whole(cache) as partial:
        partial.write_text(json.dumps(known), encoding="utf-8")


class Digests:
    """The SHA-256 of files by path, remembered in `cache` (JSON) with the size and time that each had.

    The cache is no result: without it, or with a damaged one, all files are read again.
    """

    def __init__(self, cache: str | Path):
        self.cache = Path(cache)
        self.known = remembered(cache)
        self.changed = False

    def of(self, path: str | Path) -> str:
        """The SHA-256 of a file as it is now, "" if it is not there."""
        name = os.path.abspath(path)
        try:
            status = os.stat(name)
            known = self.known.get(name)
            if known and known[:2] == [status.st_size, status.st_mtime_ns]:
                return str(known[2])
            digest = sha256_of_file(name)
        except OSError:
            return ""
        if time.time() - status.st_mtime > SETTLED:
            self.known[name] = [status.st_size, status.st_mtime_ns, digest]
            self.changed = True
        return digest

    def save(self) -> None:
        """Write what is known to the cache."""
        if self.changed:
            remember(self.cache, self.known)
