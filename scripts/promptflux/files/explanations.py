"""The HDF5 files of why a classifier says what it says: maps over an image, from either engine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from promptflux.files.hdf5 import open_hdf5, read_texts, write_texts
from promptflux.files.whole import whole

EXPLANATIONS = "promptflux explanations 1"
TARGETS = ("predicted", "asked")  # the two labels that each image is explained for
UNKNOWN = -1  # in place of the label that was asked for, where it is not known


@dataclass(frozen=True)
class Explanations:
    """The maps of M images, each for the label that is predicted and the one that was asked for.

    attributes: as in a predictions file, and `layer`, the convolution of Grad-CAM, "" if the network has none.
    patch, stride: of the occlusion, (height, width) in pixels. targets: the places of both labels, int32 [M, 2],
    UNKNOWN if it was not asked for any. probabilities: of both while nothing is covered, float32 [M, 2]. occlusion: by how much each drops
    while a patch is covered, float32 [M, 2, H', W'], from -1 to 1; negative where it rises. gradcam: float32 [M, 2, h, w],
    from 0 on, and `scales`, float32 [M, 2], the largest sum of the sizes of what is added up in it. Where a label is not known
    its maps are zeros.
    """

    path: str
    attributes: dict[str, str]
    patch: tuple[int, int]
    stride: tuple[int, int]
    names: list[str]
    labels: list[str]
    targets: np.ndarray
    probabilities: np.ndarray
    occlusion: np.ndarray
    gradcam: np.ndarray
    scales: np.ndarray


def write_explanations(
    path: str | Path,
    *,
    attributes: Mapping[str, str],
    patch: Sequence[int],
    stride: Sequence[int],
    names: Sequence[str],
    labels: Sequence[str],
    **arrays: np.ndarray,
) -> None:
    """Create an explanations file; what is in it: see `Explanations`."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["format"] = EXPLANATIONS
        for key, value in attributes.items():
            file.attrs[key] = value
        write_texts(file, "names", names)
        write_texts(file, "labels", labels)
        numbers = {"patch": np.array(patch), "stride": np.array(stride), **arrays}
        for name, values in numbers.items():
            kind = "<f4" if values.dtype.kind == "f" else "<i4"
            file.create_dataset(name, data=values.astype(kind), track_times=False)


@contextmanager
def open_explanations(path: str | Path) -> Iterator[Explanations]:
    """Open an explanations file for reading. Raises StudyError if it is not one."""
    with open_hdf5(path, "explanations", EXPLANATIONS) as file:
        patch, stride = (tuple(file[name][()].tolist()) for name in ("patch", "stride"))
        yield Explanations(
            path=str(path),
            attributes={key: value for key, value in file.attrs.items() if key != "format"},
            patch=patch,
            stride=stride,
            names=read_texts(file["names"]),
            labels=read_texts(file["labels"]),
            **{
                name: file[name][()]
                for name in ("targets", "probabilities", "occlusion", "gradcam", "scales")
            },
        )
