"""The HDF5 files between preprocessing, the engines and the figures.

Equal content makes equal bytes: nothing in these files is a date.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from promptflux.files.hdf5 import open_hdf5, read_texts, read_values, write_texts, write_values
from promptflux.files.whole import whole
from promptflux.images.inputs import InputSpec

TENSORS = "promptflux tensors 2"


@dataclass(frozen=True)
class Tensors:
    """An open tensors file of N images.

    images: float32 [N, C, H, W], on disk. source_sha256, source_mode: of the files they were
    made from; source_size: (height, width) of these, upright. problems: "" or the reason why
    a test pattern stands in.
    """

    input: InputSpec
    images: h5py.Dataset
    names: list[str]
    source_sha256: list[str]
    source_size: np.ndarray
    source_mode: list[str]
    problems: list[str]


class TensorsWriter:
    """Writes the images of a tensors file one after the other."""

    def __init__(self, file: h5py.File, input_spec: InputSpec, names: Sequence[str]):
        count = len(names)
        file.attrs["format"] = TENSORS
        write_values(file.create_group("input"), input_spec.to_dict())
        shape = (count, *input_spec.shape)
        self.file = file
        # One block, not chunks: reading a batch is then one read, whatever the size of an image.
        self.images = file.create_dataset("images", shape, dtype="<f4", track_times=False)
        write_texts(file, "names", names)
        self.sources: list[tuple[str, tuple[int, int], str, str]] = []

    def add(self, image: np.ndarray, sha256: str, size: tuple[int, int], mode: str, problem: str) -> None:
        """Write the next image: float32 [C, H, W]; `size` is the source's (height, width)."""
        self.images[len(self.sources)] = image
        self.sources.append((sha256, size, mode, problem))

    def finish(self) -> None:
        """Write what was noted of the sources."""
        if len(self.sources) != len(self.images):
            raise ValueError(f"{len(self.sources)} of {len(self.images)} images were written")
        digests, sizes, modes, problems = (
            zip(*self.sources, strict=True) if self.sources else ((), (), (), ())
        )
        write_texts(self.file, "source_sha256", digests)
        pairs = np.array(sizes, dtype="<i4").reshape(-1, 2)
        self.file.create_dataset("source_size", data=pairs, track_times=False)
        write_texts(self.file, "source_mode", modes)
        write_texts(self.file, "problems", problems)


@contextmanager
def write_tensors(path: str | Path, input_spec: InputSpec, names: Sequence[str]) -> Iterator[TensorsWriter]:
    """Create a tensors file for the images `names`; it appears when the block ends well."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        writer = TensorsWriter(file, input_spec, names)
        yield writer
        writer.finish()


@contextmanager
def open_tensors(path: str | Path) -> Iterator[Tensors]:
    """Open a tensors file for reading. Raises StudyError if it is not one."""
    with open_hdf5(path, "tensors", TENSORS) as file:
        yield Tensors(
            input=InputSpec.from_dict(read_values(file["input"])),
            images=file["images"],
            names=read_texts(file["names"]),
            source_sha256=read_texts(file["source_sha256"]),
            source_size=file["source_size"][()],
            source_mode=read_texts(file["source_mode"]),
            problems=read_texts(file["problems"]),
        )


def unreadable_images(paths: Iterable[str | Path]) -> set[str]:
    """The names of the images of tensors files for which a test pattern stands in."""
    found: set[str] = set()
    for path in paths:
        with open_tensors(path) as file:
            found |= {name for name, problem in zip(file.names, file.problems, strict=True) if problem}
    return found
