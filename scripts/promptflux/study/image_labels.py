"""The labels of the user's own images: the names of the folders that they lie in, or a table."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from promptflux.documents import read_text
from promptflux.errors import StudyError, plain, printable, shown
from promptflux.files.tables import rows_of
from promptflux.generation.prompts import label_problem
from promptflux.study.config import find
from promptflux.study.own_images import OwnImage

FOLDERS = "folders"  # `image_labels: folders`, where anything else is the path of a table
COLUMNS = ["image", "label"]
MOST_BYTES = 100_000_000


def read_image_labels(
    setting: str | None,
    images: Mapping[str, OwnImage],
    labels: Collection[str],
    folders: Sequence[Path],
) -> dict[str, str]:
    """The label of each of the user's own images that has one, by the image's name.

    setting: `image_labels` of the config. images: by name. labels: those of the study's classifiers; none if these could
    not be read, and then any will do. folders: where a table is looked up. Raises StudyError with a sentence for each
    folder or row that says no label of these, and each row that names no image, or one again.
    """
    if setting is None:
        return {}
    if not images:
        raise StudyError(
            f"config.yaml: image_labels is {shown(setting)}, and the study has no images of your own; name them in "
            f"images, or leave image_labels out (a prompt's label is in the column label of the prompts table)."
        )
    if setting == FOLDERS:
        return _of_folders(images, labels)
    path = find(setting, folders)
    if path is None or not path.is_file():
        raise StudyError(
            f"config.yaml: image_labels is {shown(setting)}, and there is no such file in "
            f"{' or '.join(map(str, folders))}; it must be the path of a table with the columns image and label, or {FOLDERS}."
        )
    return _of_table(path, images, labels)


def _of_folders(images: Mapping[str, OwnImage], labels: Collection[str]) -> dict[str, str]:
    found: dict[Path, str] = {}
    for image in images.values():
        folder = image.path.parent
        label = os.path.basename(os.path.abspath(folder))
        if folder not in found and (problem := label_problem(label, labels)):
            found[folder] = (
                f"{printable(image.path)} lies in the folder {shown(label)}, with `image_labels: {FOLDERS}` its label; "
                f"the folder's name {problem}"
            )
    if found:
        raise StudyError(*found.values())
    return {name: os.path.basename(os.path.abspath(image.path.parent)) for name, image in images.items()}


def _of_table(path: Path, images: Mapping[str, OwnImage], labels: Collection[str]) -> dict[str, str]:
    where = plain(path)
    rows = rows_of(read_text(path, "table of labels", MOST_BYTES))
    _, header = next(rows, (0, []))
    if isinstance(header, str) or sorted(header) != COLUMNS:
        columns = header if isinstance(header, str) else shown(", ".join(header))
        hint = " (the columns must be separated by tabs)" if len(header) == 1 else ""
        raise StudyError(
            f"{where}: the first line is {columns}{hint}; it must have the columns image and label."
        )
    at_path = {os.path.realpath(image.path): name for name, image in images.items()}
    found: list[str] = []
    labeled: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, cells in rows:
        line = f"{where}, line {number}"
        if isinstance(cells, str) or len(cells) != 2 or not all(cells):
            said = cells if isinstance(cells, str) else f"there are {len([c for c in cells if c])} cells."
            found.append(
                f"{line}: {said} A row has an image and its label; an image without one is left out."
            )
            continue
        row = dict(zip(header, cells, strict=True))
        name = _named(row["image"], images, at_path, path.parent)
        if name is None:
            found.append(
                f"{line}: the image {shown(row['image'])} is none of the study's own; it must be the path of a file of "
                f"`images`, from the table's folder or the working folder, or the image's name in the results."
            )
        elif name in lines:
            found.append(f"{line}: the image {shown(row['image'])} has a label in line {lines[name]}.")
        elif problem := label_problem(row["label"], labels):
            found.append(f"{line}: label is {shown(row['label'])}; it {problem}")
        else:
            labeled[name], lines[name] = row["label"], number
    if found:
        raise StudyError(*found)
    if not labeled:
        raise StudyError(
            f"{where}: the table has no rows; add a line for each image, or set image_labels to null."
        )
    return labeled


def _named(cell: str, images: Mapping[str, OwnImage], at_path: Mapping[str, str], folder: Path) -> str | None:
    """The name of the image that a cell of the table stands for; None if it is none of the study."""
    for place in (folder / cell, cell):
        if (name := at_path.get(os.path.realpath(place))) is not None:
            return name
    return cell if cell in images else None
