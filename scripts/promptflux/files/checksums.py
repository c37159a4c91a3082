"""Lists of SHA-256 sums, in the format that `sha256sum --check` reads."""

import re
from collections.abc import Mapping
from pathlib import Path

from promptflux.errors import StudyError
from promptflux.files.whole import whole

LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_checksums(path: str | Path, sums: Mapping[str, str]) -> None:
    """Write `sums`, file name -> SHA-256 (64 hexadecimal digits), a line each, in their order."""
    with whole(path) as partial:
        partial.write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), encoding="utf-8")


def read_checksums(path: str | Path) -> dict[str, str]:
    """The SHA-256 of each file of a list, by the file's name. Raises StudyError if it is not such a list."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: the list of SHA-256 sums cannot be read ({error}).") from None
    sums = {}
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if match is None:
            raise StudyError(
                f"{path}, line {number}: this is not 64 hexadecimal digits, two spaces and a file name, "
                f"as sha256sum writes them."
            )
        sums[match[2]] = match[1]
    return sums
