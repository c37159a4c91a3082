"""Arrays of images that lie in the HDF5 files of a study, read where they are asked for."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from promptflux.errors import StudyError, listed, plain, reason, shown
from promptflux.files.hdf5 import open_hdf5

MOST_OPEN = 16  # files of a study that are open at one time


class OpenFiles:
    """HDF5 files that are opened when they are read first and closed together, or when too many are open."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[h5py.File, ExitStack]] = OrderedDict()
        self.is_closed = False

    def get(self, path: str | Path, what: str, format_: str) -> h5py.File:
        """The open file. StudyError if it is no `what` file, of `format_`, or everything is closed."""
        if self.is_closed:
            raise StudyError("the study is closed; open it again with promptflux.open_study.")
        key = str(path)
        if key not in self._open:
            with ExitStack() as stack:
                file = stack.enter_context(open_hdf5(key, what, format_))
                self._open[key] = file, stack.pop_all()
        self._open.move_to_end(key)
        while len(self._open) > MOST_OPEN:
            _, (_, stack) = self._open.popitem(last=False)
            stack.close()
        return self._open[key][0]

    def close(self) -> None:
        self.is_closed = True
        while self._open:
            _, (_, stack) = self._open.popitem()
            stack.close()


class LazyArray:
    """An array [N, ...] of N images, in one or several HDF5 files: what is asked for is read, and nothing else.

    `array["forest_1"]` and `array[0]` are one image [...]; `array[2:8]`, `array[["forest_1", "sea_2"]]` and
    `array[mask]`, a bool [N], several [n, ...]; `array[:, 0]` has the first channel of each, and `array[:]` and `numpy.asarray(array)` all of them.
    names: of the images, in this order. KeyError for an image that it does not have, IndexError for a number.
    """

    def __init__(
        self,
        datasets: Sequence[Callable[[], h5py.Dataset]],
        names: Sequence[Sequence[str]],
        order: Sequence[str],
        what: str,
    ):
        """datasets: what opens each, [n, ...]. names: the images of each. order: of all images. what: it is, for messages."""
        self._datasets, self._what = datasets, what
        self._places = {name: (part, row) for part, of in enumerate(names) for row, name in enumerate(of)}
        self.names = [name for name in order if name in self._places]
        first = self._dataset(0)
        self.shape: tuple[int, ...] = (len(self.names), *first.shape[1:])
        self.dtype: np.dtype = first.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<{self._what}: {self.dtype} {list(self.shape)}, read where asked>"

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[place] for place in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(f"{self._what}: the values are on disk, and reading them is a copy")
        return np.asarray(self[:], dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, tuple):
            first, *others = key
            read = self[first]
            return read[
                tuple(others) if isinstance(first, (str, int, np.integer)) else (slice(None), *others)
            ]
        if isinstance(key, str):
            return self._read([key])[0]
        if isinstance(key, (int, np.integer)):
            return self._read([self.names[key]])[0]
        if isinstance(key, slice):
            return self._read(self.names[key])
        keys = np.asarray(key)
        if keys.ndim != 1:
            raise IndexError(
                f"{self._what}: {shown(key)} chooses no images; name one or several, or give numbers, a slice or a mask"
            )
        if keys.dtype == bool:
            if len(keys) != len(self):
                raise IndexError(f"{self._what}: the mask has {len(keys)} values for {len(self)} images")
            keys = np.flatnonzero(keys)
        return self._read([item if isinstance(item, str) else self.names[item] for item in keys.tolist()])

    def _read(self, names: Sequence[str]) -> np.ndarray:
        if unknown := [name for name in names if name not in self._places]:
            raise KeyError(f"{self._what}: there is no {listed(unknown)}; it has {listed(self.names, 4)}")
        values = np.empty((len(names), *self.shape[1:]), self.dtype)
        parts: dict[int, dict[int, list[int]]] = {}
        for place, name in enumerate(names):
            part, row = self._places[name]
            parts.setdefault(part, {}).setdefault(row, []).append(place)
        for part, rows in parts.items():
            dataset, wanted = self._dataset(part), sorted(rows)
            # HDF5 reads a block as fast as the disk does, and a list of rows one after the other.
            block = (
                slice(wanted[0], wanted[-1] + 1)
                if wanted == list(range(wanted[0], wanted[-1] + 1))
                else wanted
            )
            try:
                read = dataset[block]
            except (OSError, RuntimeError, ValueError, TypeError) as error:
                raise StudyError(
                    f"{plain(dataset.file.filename)}: it is damaged or cut short ({reason(error)})."
                ) from None
            for values_of_row, row in zip(read, wanted, strict=True):
                values[rows[row]] = values_of_row
        return values

    def _dataset(self, part: int) -> h5py.Dataset:
        return self._datasets[part]()


class Lazily(Mapping):
    """A mapping whose values are made when they are asked for, and kept."""

    def __init__(self, keys: Sequence[str], make: Callable[[str], Any], what: str):
        """what: a key is, for messages."""
        self._keys, self._make, self._what = dict.fromkeys(keys), make, what
        self._made: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(f"there is no {self._what} {shown(key)}; there are {listed(list(self._keys))}")
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{key!r}: ...' for key in self._keys)}}}"

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._keys)
