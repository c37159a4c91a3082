"""The prompts table: its rows, their images and seeds, and the batches they are made in."""

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from promptflux.documents import read_text
from promptflux.errors import StudyError, listed, plain, shown
from promptflux.files.tables import rows_of
from promptflux.generation.templates import Alternatives, combinations, name_of, wildcards_beside
from promptflux.schema import Schema

SCHEMA = Schema("prompts")
COLUMNS = ("name", "prompt", "negative_prompt", "images", "seed", "label")
MOST_BYTES, MOST_LINES = 20_000_000, 100_000
# Also `3.0`, as pandas writes the whole numbers of a column with empty cells.
WHOLE_NUMBER = re.compile(r"([0-9]{1,20})(?:\.0*)?")


@dataclass(frozen=True)
class Prompt:
    """A prompt: a row of the prompts table, or one combination of the alternatives in a row.

    `images` and `seed` are None where the study's default holds. `template`: what stands in the table, where
    `prompt` is a combination of it. `label`: what its images show, None where the prompt itself is to name it.
    """

    name: str
    prompt: str
    negative_prompt: str = ""
    images: int | None = None
    seed: int | None = None
    template: str | None = None
    label: str | None = None


# What of a prompt no image depends on.
BESIDE_IMAGES: dict[str, Any] = {"template": None, "label": None}


def read_prompts(path: str | Path, labels: Collection[str] = ()) -> list[Prompt]:
    """Read a tab-separated prompts table, one prompt a line. labels: those that its column `label` may name; none: any.

    A cell is text as it stands: `$` and quotes inside it mean nothing. A cell in quotes, as
    spreadsheets write one, loses them (see `rows_of`). A prompt with alternatives,
    `a {red|blue} forest with __animals__`, becomes one for each combination (see `templates`); `{{` is a
    brace. Empty lines are skipped. Raises StudyError with every problem of the table, a line each.
    """
    where, text = plain(path), read_text(path, "prompts table", MOST_BYTES)
    if (lines := max(map(text.count, "\n\r"))) > MOST_LINES:
        raise StudyError(f"{where}: the table has {lines:,} lines; at most {MOST_LINES:,} are read.")
    rows = rows_of(text)
    _, header = next(rows, (0, []))
    if isinstance(header, str):
        raise StudyError(f"{where}, line 1: {header}")
    if not header:
        raise StudyError(f"{where}: the table is empty; it needs a line with the columns name and prompt.")
    _check_header(where, header)

    found: list[str] = []
    prompts: list[Prompt] = []
    lines_of: dict[str, tuple[int, str]] = {}
    alternatives = wildcards_beside(path)
    for number, cells in rows:
        line = f"{where}, line {number}"
        if len(found) >= StudyError.MOST_SHOWN - 1:
            found.append(f"{line}: from here on the table was not looked at, as so much before it is wrong.")
            break
        if isinstance(cells, str):
            found.append(f"{line}: {cells}")
            continue
        if len(cells) > len(header):
            found.append(f"{line}: {len(cells)} cells were found where the header has {len(header)} columns.")
            continue
        row: dict = {column: cell for column, cell in zip(header, cells, strict=False) if cell}
        for column in ("images", "seed"):
            if match := WHOLE_NUMBER.fullmatch(row.get(column, "")):
                row[column] = int(match[1])
        wrong = SCHEMA.problems(row, line)
        if not wrong and (problem := label_problem(row.get("label"), labels)):
            wrong = [f"{line}: label is {shown(row['label'])}; it {problem}"]
        found += wrong
        if wrong:
            continue
        try:
            rows_made = _rows_made(row, alternatives)
        except StudyError as error:
            found += [f"{line}: {sentence}" for sentence in error.args]
            continue
        for made in rows_made:
            if made != row:
                found += SCHEMA.problems({key: made[key] for key in COLUMNS if key in made}, line)
            name, text = made["name"], made["prompt"]
            taken, by = lines_of.setdefault(name.casefold(), (number, text))
            if (taken, by) != (number, text):
                found.append(
                    f"{line}: the name {name!r} is taken by line {taken} (capitals do not tell names apart)."
                )
            prompts.append(Prompt(**made))
        if len(prompts) > MOST_LINES:
            raise StudyError(
                *found, f"{where}: the table has more than {MOST_LINES:,} prompts; at most so many are read."
            )
    if found:
        raise StudyError(*found)
    if not prompts:
        raise StudyError(f"{where}: the table has no prompts; add a line under the header.")
    return prompts


def _rows_made(row: dict, alternatives: Alternatives) -> list[dict]:
    """A row of the table with its braces read: itself, or a row for each combination of its alternatives."""
    made = combinations(row["prompt"], alternatives)
    if negative := row.get("negative_prompt"):
        [(text, choices), *others] = combinations(negative, alternatives)
        if others or choices:
            raise StudyError("negative_prompt has alternatives; only prompt may have some ({{ is a brace).")
        row = {**row, "negative_prompt": text}
    if not made[0][1]:
        return [{**row, "prompt": made[0][0]}]
    return [
        {**row, "name": name_of(row["name"], choices), "prompt": text, "template": row["prompt"]}
        for text, choices in made
    ]


def label_problem(label: str | None, labels: Collection[str]) -> str | None:
    """How a sentence goes on about a label that no classifier has; None if one has it.

    labels: those of all classifiers; none if these are not known.
    """
    if label is None or not labels or label in labels:
        return None
    alike = {known.casefold(): known for known in labels}
    near = get_close_matches(label.casefold(), alike, n=1, cutoff=0.7)
    hint = f" (did you mean {plain(alike[near[0]])}?)" if near else ""
    return f"must be a label of a classifier of the study{hint}: {listed(list(labels))}."


def _check_header(where: str, header: list[str]) -> None:
    known = ", ".join(COLUMNS)
    if header[0] == "":
        raise StudyError(
            f"{where}: the first column has no name; if it numbers the rows, leave it out (index=False in pandas)."
        )
    for column in ("name", "prompt"):
        if column not in header:
            hint = " (the columns must be separated by tabs)" if len(header) == 1 else ""
            raise StudyError(f"{where}: the column {column} is missing{hint}; the known columns are {known}.")
    for column in header:
        if column not in COLUMNS:
            raise StudyError(
                f"{where}: the column {shown(column)} is unknown; the known columns are {known}."
            )
        if header.count(column) > 1:
            raise StudyError(f"{where}: the column {column} stands there twice.")


def image_names(prompt: Prompt, images_per_prompt: int, variant: str = "") -> list[str]:
    """The names of a prompt's images: `{name}_1`, `{name}_2`, ...; as many as it asks for itself, or the default.

    variant: in a study with variants the name of one, which is the folder of its images: `{variant}/{name}_1`.
    """
    count = prompt.images or images_per_prompt
    return [f"{variant}/{prompt.name}_{k}".lstrip("/") for k in range(1, count + 1)]


def images_of_variants(prompt: Prompt, images_per_prompt: int, variants: Iterable[str]) -> list[str]:
    """The names of a prompt's images of several variants: the first of each, the second of each, ..."""
    names = [image_names(prompt, images_per_prompt, variant) for variant in variants]
    return [image for together in zip(*names, strict=True) for image in together]


def parts_of_image(image: str) -> tuple[str, str, int]:
    """The variant ("" without one), the prompt's name and the number of a generated image, by its name."""
    variant, _, name = image.rpartition("/")
    prompt, _, k = name.rpartition("_")
    return variant, prompt, int(k)


def image_seed(seed: int, name: str, k: int) -> int:
    """The seed of image `k` of the prompt `name`: 0 to 2^53 - 1, which JSON keeps exactly.

    The first 53 bits of a SHA-256 over the three, so that it does not depend on the
    prompt's place in the table or on the other prompts.
    """
    digest = hashlib.sha256(f"{seed}\n{name}\n{k}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 11
