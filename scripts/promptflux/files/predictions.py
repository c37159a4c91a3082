"""The HDF5 files between the engines and the figures."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from promptflux.files.hdf5 import open_hdf5, read_texts, write_texts
from promptflux.files.whole import whole

PREDICTIONS = "promptflux predictions 1"


@dataclass(frozen=True)
class Predictions:
    """An open predictions file of N images and K labels.

    logits, probabilities: float32 [N, K]. layers: by layer name, in the network's order, the
    outputs for the M images `layer_images`: float32 [M, C, H, W] or [M, K], on disk; empty
    if M is 0. attributes: engine, engine_version, language_version, device, classifier,
    description_sha256, weights_sha256, kernels ("fast" or "plain").
    """

    path: str
    attributes: dict[str, str]
    names: list[str]
    labels: list[str]
    logits: np.ndarray
    probabilities: np.ndarray
    layer_names: list[str]
    layer_images: list[str]
    layers: dict[str, h5py.Dataset]


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
    ):
        file.attrs["format"] = PREDICTIONS
        for key, value in attributes.items():
            file.attrs[key] = value
        file.attrs["layer_names"] = json.dumps(list(layer_shapes))
        shape = (len(names), len(labels))
        self.logits = file.create_dataset("logits", shape, dtype="<f4", track_times=False)
        self.probabilities = file.create_dataset("probabilities", shape, dtype="<f4", track_times=False)
        write_texts(file, "names", names)
        write_texts(file, "labels", labels)
        write_texts(file, "layer_images", layer_images)
        group = file.create_group("layers")
        self.layers = {
            layer: group.create_dataset(layer, (len(layer_images), *shape), dtype="<f4", track_times=False)
            for layer, shape in layer_shapes.items()
            if layer_images
        }


@contextmanager
def write_predictions(path: str | Path, **content: Any) -> Iterator[PredictionsWriter]:
    """Create a predictions file; it appears when the block ends well. `content`: see PredictionsWriter."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        yield PredictionsWriter(file, **content)


@contextmanager
def open_predictions(path: str | Path) -> Iterator[Predictions]:
    """Open a predictions file for reading. Raises StudyError if it is not one."""
    with open_hdf5(path, "predictions", PREDICTIONS) as file:
        layer_names = json.loads(file.attrs["layer_names"])
        yield Predictions(
            path=str(path),
            attributes={
                key: value for key, value in file.attrs.items() if key not in ("format", "layer_names")
            },
            names=read_texts(file["names"]),
            labels=read_texts(file["labels"]),
            logits=file["logits"][()],
            probabilities=file["probabilities"][()],
            layer_names=layer_names,
            layer_images=read_texts(file["layer_images"]),
            layers={layer: file["layers"][layer] for layer in layer_names if layer in file["layers"]},
        )
