"""What the HDF5 files of a study have in common: a format, texts, and settings as attributes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from promptflux.errors import StudyError

TEXT = h5py.string_dtype("utf-8")


@contextmanager
def open_hdf5(path: str | Path, what: str, *formats: str) -> Iterator[h5py.File]:
    """Open a file of one of `formats` for reading; StudyError, which calls it a `what` file, if it is not one."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise StudyError(f"{path}: the {what} file cannot be read ({error}).") from None
    with file:
        if file.attrs.get("format") not in formats:
            raise StudyError(f"{path}: this is not a {what} file (its format is not {formats[0]!r}).")
        yield file


def write_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    """Write a list of texts as a dataset: an attribute is too small for a thousand of them."""
    group.create_dataset(
        name, data=np.array(texts, dtype=object), shape=(len(texts),), dtype=TEXT, track_times=False
    )


def read_texts(dataset: h5py.Dataset) -> list[str]:
    return list(dataset.asstr()[()])


def write_values(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """Write texts, numbers, truths (as 8 bits) and lists of numbers as attributes of `group`."""
    for key, value in values.items():
        if isinstance(value, str):
            group.attrs.create(key, value, dtype=TEXT)
        elif isinstance(value, bool):
            group.attrs[key] = np.uint8(value)
        elif isinstance(value, (list, tuple)):
            whole_numbers = all(isinstance(part, int) for part in value)
            group.attrs[key] = np.array(value, dtype="<i8" if whole_numbers else "<f8")
        else:
            group.attrs[key] = np.int64(value) if isinstance(value, int) else np.float64(value)


def read_values(group: h5py.Group) -> dict[str, Any]:
    """The inverse of `write_values`."""
    return {key: _plain(value) for key, value in group.attrs.items()}


def _plain(value: Any) -> Any:
    """An attribute as Python's own type: text, whole number, number, truth or a list of numbers."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.uint8):
        return bool(value)
    return value.item() if isinstance(value, np.generic) else value
