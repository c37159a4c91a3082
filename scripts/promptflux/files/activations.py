"""The HDF5 files with what each channel of each layer gave for the images of a batch, which add up to those of the study."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from promptflux.errors import StudyError
from promptflux.files.hdf5 import open_hdf5, read_texts, write_texts
from promptflux.files.whole import whole

ACTIVATIONS = "promptflux activations 1"
COLUMNS = ("mean", "squares", "zeros", "least", "most")


@dataclass
class Tally:
    """What the C channels of a layer gave, each so many `values`.

    mean: of them. squares: the sum of their squared distances from it. zeros: how many are 0. least, most: all float64 [C].
    """

    values: int
    mean: np.ndarray
    squares: np.ndarray
    zeros: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def add(self, other: "Tally") -> None:
        """Take in what the same channels gave for other images.

        Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
        """
        both = self.values + other.values
        apart = other.mean - self.mean
        self.squares = self.squares + other.squares + apart**2 * self.values * other.values / both
        self.mean = self.mean + apart * other.values / both
        self.zeros = self.zeros + other.zeros
        self.least, self.most = np.minimum(self.least, other.least), np.maximum(self.most, other.most)
        self.values = both

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self.squares / self.values)

    @property
    def share_of_zeros(self) -> np.ndarray:
        return self.zeros / self.values

    @property
    def dead(self) -> np.ndarray:
        """Which channels carry nothing: zero, or one value everywhere and for every image, bool [C]."""
        return (self.least == self.most) & ((self.values > 1) | (self.most == 0))


def write_activations(path: str | Path, images: int, tallies: Mapping[str, Tally]) -> None:
    """Create an activations file of so many images; tallies: by layer, in the network's order."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["format"] = ACTIVATIONS
        file.attrs["images"] = np.int64(images)
        write_texts(file, "layer_names", list(tallies))
        values = np.array([tally.values for tally in tallies.values()], dtype="<i8")
        file.create_dataset("values", data=values, track_times=False)
        layers = file.create_group("layers")
        for name, tally in tallies.items():
            columns = np.stack([getattr(tally, column) for column in COLUMNS], axis=1)
            layers.create_dataset(name, data=columns.astype("<f8"), track_times=False)


@contextmanager
def open_activations(path: str | Path) -> Iterator[tuple[int, dict[str, Tally]]]:
    """Open an activations file: how many images it is of, and the tally of each layer. Raises StudyError if it is not one."""
    with open_hdf5(path, "activations", ACTIVATIONS) as file:
        names, values = read_texts(file["layer_names"]), file["values"][()].tolist()
        yield (
            int(file.attrs["images"]),
            {
                name: Tally(count, *file["layers"][name][()].T)
                for name, count in zip(names, values, strict=True)
            },
        )


def add_up(paths: list[str]) -> tuple[int, dict[str, Tally]]:
    """The images of all files, and the tally of each layer over them. Raises StudyError if the files are not of one network."""
    total = 0
    tallies: dict[str, Tally] = {}
    for path in paths:
        with open_activations(path) as (images, found):
            if not images:
                continue
            if total and [*found] != [*tallies]:
                raise StudyError(
                    f"{path}: its layers differ from those of {paths[0]}; remove both and run again."
                )
            total += images
            for name, tally in found.items():
                if name in tallies:
                    tallies[name].add(tally)
                else:
                    tallies[name] = tally
    return total, tallies
