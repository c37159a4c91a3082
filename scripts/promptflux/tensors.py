"""The HDF5 files between preprocessing, the engines and the figures.

Equal content makes equal bytes: nothing in these files is a date.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from promptflux.errors import StudyError
from promptflux.files import whole
from promptflux.inputs import InputSpec

TENSORS = "promptflux tensors 1"
PREDICTIONS = "promptflux predictions 1"
TEXT = h5py.string_dtype("utf-8")


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
        file.attrs["input"] = json.dumps(input_spec.to_dict())
        shape = (count, *input_spec.shape)
        self.file = file
        # One block, not chunks: reading a batch is then one read, whatever the size of an image.
        self.images = file.create_dataset("images", shape, dtype="<f4", track_times=False)
        _write_texts(file, "names", names)
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
        _write_texts(self.file, "source_sha256", digests)
        sizes = np.array(sizes, dtype="<i4").reshape(-1, 2)
        self.file.create_dataset("source_size", data=sizes, track_times=False)
        _write_texts(self.file, "source_mode", modes)
        _write_texts(self.file, "problems", problems)


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
    with _open(path, TENSORS, "tensors") as file:
        yield Tensors(
            input=InputSpec.from_dict(json.loads(file.attrs["input"])),
            images=file["images"],
            names=_texts(file["names"]),
            source_sha256=_texts(file["source_sha256"]),
            source_size=file["source_size"][()],
            source_mode=_texts(file["source_mode"]),
            problems=_texts(file["problems"]),
        )


@dataclass(frozen=True)
class Predictions:
    """An open predictions file of N images and K labels.

    logits, probabilities: float32 [N, K]. layers: by layer name, in the network's order, the
    outputs for the M images `layer_images`: float32 [M, C, H, W] or [M, K], on disk; empty
    if M is 0. attributes: engine, engine_version, language_version, device, classifier,
    spec_sha256, weights_sha256.
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
        _write_texts(file, "names", names)
        _write_texts(file, "labels", labels)
        _write_texts(file, "layer_images", layer_images)
        group = file.create_group("layers")
        self.layers = {
            layer: group.create_dataset(layer, (len(layer_images), *shape), dtype="<f4", track_times=False)
            for layer, shape in layer_shapes.items()
            if layer_images
        }


@contextmanager
def write_predictions(path: str | Path, **content) -> Iterator[PredictionsWriter]:
    """Create a predictions file; it appears when the block ends well. `content`: see PredictionsWriter."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        yield PredictionsWriter(file, **content)


@contextmanager
def open_predictions(path: str | Path) -> Iterator[Predictions]:
    """Open a predictions file for reading. Raises StudyError if it is not one."""
    with _open(path, PREDICTIONS, "predictions") as file:
        layer_names = json.loads(file.attrs["layer_names"])
        yield Predictions(
            path=str(path),
            attributes={
                key: value for key, value in file.attrs.items() if key not in ("format", "layer_names")
            },
            names=_texts(file["names"]),
            labels=_texts(file["labels"]),
            logits=file["logits"][()],
            probabilities=file["probabilities"][()],
            layer_names=layer_names,
            layer_images=_texts(file["layer_images"]),
            layers={layer: file["layers"][layer] for layer in layer_names if layer in file["layers"]},
        )


@contextmanager
def _open(path: str | Path, file_format: str, what: str) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise StudyError(f"{path}: the {what} file cannot be read ({error}).") from None
    with file:
        if file.attrs.get("format") != file_format:
            raise StudyError(f"{path}: this is not a {what} file (its format is not {file_format!r}).")
        yield file


def _write_texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    file.create_dataset(
        name, data=np.array(texts, dtype=object), shape=(len(texts),), dtype=TEXT, track_times=False
    )


def _texts(dataset: h5py.Dataset) -> list[str]:
    return list(dataset.asstr()[()])
