"""The HDF5 files between the engines and the figures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from promptflux.files.hdf5 import open_hdf5, read_texts, write_texts
from promptflux.files.sample import SAMPLE, sample_places
from promptflux.files.whole import whole

PREDICTIONS = "promptflux predictions 2"


@dataclass(frozen=True)
class Predictions:
    """An open predictions file of N images and K labels.

    logits, probabilities: float32 [N, K]. layer_shapes: of every layer, in the network's order, the
    shape of its output for one image. layers: by layer name, the outputs for the M images
    `layer_images` of the layers that are kept: float32 [M, C, H, W] or [M, K], on disk; empty if M
    is 0. samples: of the others some values (`promptflux.files.sample`): float32 [M, SAMPLE]. attributes: engine, engine_version, language_version, device, classifier,
    description_sha256, weights_sha256, kernels ("fast" or "plain").
    """

    path: str
    attributes: dict[str, str]
    names: list[str]
    labels: list[str]
    logits: np.ndarray
    probabilities: np.ndarray
    layer_shapes: dict[str, tuple[int, ...]]
    layer_images: list[str]
    layers: dict[str, h5py.Dataset]
    samples: dict[str, h5py.Dataset]


class PredictionsWriter:
    """Writes a predictions file in micro-batches."""

    def __init__(
        self,
        file: h5py.File,
        attributes: dict[str, str],
        names: Sequence[str],
        labels: Sequence[str],
        layer_shapes: dict[str, tuple[int, ...]],
        layer_images: Sequence[str],
        kept: Mapping[str, bool],
    ):
        """layer_shapes: of every layer, for one image. kept: whether a layer is kept whole, instead of a sample."""
        file.attrs["format"] = PREDICTIONS
        for key, value in attributes.items():
            file.attrs[key] = value
        write_texts(file, "layer_names", list(layer_shapes))
        write_texts(file, "layer_shapes", ["×".join(map(str, shape)) for shape in layer_shapes.values()])
        outputs = (len(names), len(labels))
        self.logits = file.create_dataset("logits", outputs, dtype="<f4", track_times=False)
        self.probabilities = file.create_dataset("probabilities", outputs, dtype="<f4", track_times=False)
        write_texts(file, "names", names)
        write_texts(file, "labels", labels)
        write_texts(file, "layer_images", layer_images)
        layers, samples = file.create_group("layers"), file.create_group("samples")
        self._layers: dict[str, h5py.Dataset] = {}
        self._places: dict[str, np.ndarray] = {}
        for layer, shape in layer_shapes.items() if layer_images else ():
            if not kept[layer]:
                self._places[layer] = sample_places(prod(shape))
            group, dims = (layers, shape) if kept[layer] else (samples, (SAMPLE,))
            self._layers[layer] = group.create_dataset(
                layer, (len(layer_images), *dims), dtype="<f4", track_times=False
            )

    def keep(self, layer: str, place: int, values: np.ndarray) -> None:
        """Write a layer's output, float32 [C, H, W] or [K], for the image at `place` of `layer_images`."""
        places = self._places.get(layer)
        self._layers[layer][place] = values if places is None else values.reshape(-1)[places]


@contextmanager
def write_predictions(path: str | Path, **content: Any) -> Iterator[PredictionsWriter]:
    """Create a predictions file; it appears when the block ends well. `content`: see PredictionsWriter."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        yield PredictionsWriter(file, **content)


def image_names(path: str | Path) -> list[str]:
    """The images of a predictions file, without its numbers. Raises StudyError if it is not one."""
    with open_hdf5(path, "predictions", PREDICTIONS) as file:
        return read_texts(file["names"])


@contextmanager
def open_predictions(path: str | Path) -> Iterator[Predictions]:
    """Open a predictions file for reading. Raises StudyError if it is not one."""
    with open_hdf5(path, "predictions", PREDICTIONS) as file:
        layer_names = read_texts(file["layer_names"])
        shapes = [tuple(map(int, shape.split("×"))) for shape in read_texts(file["layer_shapes"])]
        yield Predictions(
            path=str(path),
            attributes={key: value for key, value in file.attrs.items() if key != "format"},
            names=read_texts(file["names"]),
            labels=read_texts(file["labels"]),
            logits=file["logits"][()],
            probabilities=file["probabilities"][()],
            layer_shapes=dict(zip(layer_names, shapes, strict=True)),
            layer_images=read_texts(file["layer_images"]),
            layers={layer: file["layers"][layer] for layer in layer_names if layer in file["layers"]},
            samples={layer: file["samples"][layer] for layer in layer_names if layer in file["samples"]},
        )
