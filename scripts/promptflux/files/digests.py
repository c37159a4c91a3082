"""Digests of many files, each read once for as long as it stays as it is."""

import json
import os
import time
from pathlib import Path

from promptflux.files.whole import sha256_of_file, whole

SETTLED = 2.0  # seconds: a file that was written later may change again within its time's resolution


class Digests:
    """The SHA-256 of files by path, remembered in `cache` (JSON) with the size and time that each had.

    The cache is no result: without it, or with a damaged one, all files are read again.
    """

    def __init__(self, cache: str | Path):
        self.cache = Path(cache)
        self.known: dict[str, list] = {}
        self.changed = False
        try:
            known = json.loads(self.cache.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            known = {}
        if isinstance(known, dict):
            self.known = {
                key: value for key, value in known.items() if isinstance(value, list) and len(value) == 3
            }

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
            with whole(self.cache) as partial:
                partial.write_text(json.dumps(self.known), encoding="utf-8")
