"""The prompts table: its rows, their images and seeds, and the batches they are made in."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from promptflux.errors import StudyError
from promptflux.schema import Schema

SCHEMA = Schema("prompts")
COLUMNS = ("name", "prompt", "negative_prompt", "images", "seed")


@dataclass(frozen=True)
class Prompt:
    """A row of the prompts table. `images` and `seed` are None where the study's default holds."""

    name: str
    prompt: str
    negative_prompt: str = ""
    images: int | None = None
    seed: int | None = None


def read_prompts(path: str | Path) -> list[Prompt]:
    """Read a tab-separated prompts table, UTF-8, one prompt a line.

    A cell is text as it stands: quotes, braces and `$` mean nothing. Empty lines are
    skipped. Raises StudyError with every problem of the table, a line each.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: byte {error.start} is not UTF-8; save the table as UTF-8 text.") from None
    except OSError as error:
        raise StudyError(f"{path}: the prompts table cannot be read ({error.strerror}).") from None
    rows = [
        (number, [cell.strip() for cell in line.split("\t")])
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not rows:
        raise StudyError(f"{path}: the table is empty; it needs a line with the columns name and prompt.")
    header = rows[0][1]
    _check_header(path, header)
    if len(rows) == 1:
        raise StudyError(f"{path}: the table has no prompts; add a line under the header.")

    found: list[str] = []
    prompts: list[Prompt] = []
    lines_of: dict[str, int] = {}
    for number, cells in rows[1:]:
        where = f"{path}, line {number}"
        if len(cells) > len(header):
            found.append(
                f"{where}: {len(cells)} cells were found where the header has {len(header)} columns."
            )
            continue
        row: dict = {column: cell for column, cell in zip(header, cells, strict=False) if cell}
        for column in ("images", "seed"):
            if row.get(column, "").isdecimal():
                row[column] = int(row[column])
        wrong = SCHEMA.problems(row, where)
        found += wrong
        if wrong:
            continue
        twin = lines_of.setdefault(row["name"].casefold(), number)
        if twin != number:
            found.append(
                f"{where}: the name {row['name']!r} is taken by line {twin} (capitals do not tell names apart)."
            )
        prompts.append(Prompt(**row))
    if found:
        raise StudyError(*found)
    return prompts


def _check_header(path: str | Path, header: list[str]) -> None:
    known = ", ".join(COLUMNS)
    for column in ("name", "prompt"):
        if column not in header:
            hint = " (the columns must be separated by tabs)" if len(header) == 1 else ""
            raise StudyError(f"{path}: the column {column} is missing{hint}; the known columns are {known}.")
    for column in header:
        if column not in COLUMNS:
            raise StudyError(f"{path}: the column {column!r} is unknown; the known columns are {known}.")
        if header.count(column) > 1:
            raise StudyError(f"{path}: the column {column} stands there twice.")


def image_names(prompt: Prompt, images_per_prompt: int) -> list[str]:
    """The names of a prompt's images: `{name}_1`, `{name}_2`, ...; as many as it asks for itself, or the default."""
    count = prompt.images or images_per_prompt
    return [f"{prompt.name}_{k}" for k in range(1, count + 1)]


def image_seed(seed: int, name: str, k: int) -> int:
    """The seed of image `k` of the prompt `name`: 0 to 2^53 - 1, which JSON keeps exactly.

    The first 53 bits of a SHA-256 over the three, so that it does not depend on the
    prompt's place in the table or on the other prompts.
    """
    digest = hashlib.sha256(f"{seed}\n{name}\n{k}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 11
