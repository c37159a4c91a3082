"""The HDF5 files of features: what a classifier's layer before the last gives, an image a row."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from promptflux.files.hdf5 import open_hdf5, read_texts, write_texts, write_values
from promptflux.files.whole import whole

FEATURES = "promptflux features 1"
CHUNK_BYTES = 2**19
LARGEST = 65504.0  # of float16
SMALLEST = 2.0**-8  # of which float16 has all 11 bits in values down to a 64th of it


@dataclass(frozen=True)
class Features:
    """An open features file of N images and K features.

    values: float16 [N, K], on disk; times `scale`, float32 [N], they are what the layer gives. A scale is 1, or a
    power of two where the largest value of an image is beyond float16's range, or so small that bits were lost. layer:
    whose output it is, `input` for the image itself. problems: "" or the reason why a test pattern stands in. attributes: engine,
    engine_version, device, classifier, description_sha256, weights_sha256.
    """

    path: str
    attributes: dict[str, str]
    layer: str
    names: list[str]
    problems: list[str]
    values: h5py.Dataset
    scale: np.ndarray


class FeaturesWriter:
    """Writes a features file in micro-batches."""

    def __init__(
        self,
        file: h5py.File,
        names: Sequence[str],
        problems: Sequence[str],
        layer: str,
        shape: Sequence[int],
        attributes: Mapping[str, str],
    ):
        """shape: of the layer's output for one image, (C, H, W) or (K,); it is written flat, the width running fastest."""
        count, width = len(names), int(np.prod(shape))
        file.attrs["format"] = FEATURES
        write_values(file, {**attributes, "layer": layer, "shape": list(shape)})
        rows = max(1, min(count, CHUNK_BYTES // (2 * width)))
        self.values = file.create_dataset(
            "features", (count, width), dtype="<f2", chunks=(rows, width), track_times=False
        )
        self.scale = file.create_dataset("scale", (count,), dtype="<f4", track_times=False)
        write_texts(file, "names", names)
        write_texts(file, "problems", problems)

    def keep(self, start: int, values: np.ndarray) -> None:
        """Write what the layer gives for the images from `start` on, float32 [n, ...], finite."""
        flat = values.reshape(len(values), -1)
        scale = scales(flat)
        there = slice(start, start + len(flat))
        self.values[there] = (flat / scale[:, None]).astype(np.float16)
        self.scale[there] = scale


def scales(values: np.ndarray) -> np.ndarray:
    """For each row of `values`, float32 [N, K], what it is divided by to become float16: float32 [N], powers of two."""
    largest = np.abs(values).max(axis=1, initial=0.0)
    _, exponents = np.frexp(largest)
    fits = (largest <= LARGEST) & ((largest >= SMALLEST) | (largest == 0))
    return np.where(fits, 1.0, np.ldexp(1.0, exponents)).astype(np.float32)


@contextmanager
def write_features(
    path: str | Path,
    *,
    names: Sequence[str],
    problems: Sequence[str],
    layer: str,
    shape: Sequence[int],
    attributes: Mapping[str, str],
) -> Iterator[FeaturesWriter]:
    """Create a features file; it appears when the block ends well. For the arguments see `Features`."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        yield FeaturesWriter(file, names, problems, layer, shape, attributes)


@contextmanager
def open_features(path: str | Path) -> Iterator[Features]:
    """Open a features file for reading. Raises StudyError if it is not one."""
    with open_hdf5(path, "features", FEATURES) as file:
        said = {key: value for key, value in file.attrs.items() if key not in ("format", "layer", "shape")}
        yield Features(
            path=str(path),
            attributes=said,
            layer=file.attrs["layer"],
            names=read_texts(file["names"]),
            problems=read_texts(file["problems"]),
            values=file["features"],
            scale=file["scale"][()],
        )
