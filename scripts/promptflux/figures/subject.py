"""What the figures of an image are drawn of: read from the HDF5 files that every engine writes alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import Layer
from promptflux.errors import StudyError
from promptflux.files.explanations import TARGETS, UNKNOWN, open_explanations
from promptflux.files.predictions import open_predictions
from promptflux.files.tensors import open_tensors
from promptflux.images.inputs import InputSpec
from promptflux.images.thumbnails import displayed


@dataclass(frozen=True)
class Why:
    """Why a classifier says a label of an image.

    target: how the label was chosen, one of TARGETS. label: its place. probability: of it. patch, stride: (height, width) in pixels. occlusion: by how much the
    probability drops while a patch is covered, float32 [H', W']. layer: the convolution of `gradcam`, float32
    [h, w]; "" without one.
    """

    target: str
    label: int
    probability: float
    patch: tuple[int, int]
    stride: tuple[int, int]
    occlusion: np.ndarray
    layer: str
    gradcam: np.ndarray


@dataclass(frozen=True)
class Subject:
    """One image as a classifier got it, and what the classifier made of it.

    tensor: float32 [C, H, W], C = 1 or 3. source_size: (height, width) in pixels. problem: why a
    test pattern stands in, or "". layers: by name. outputs: of the layers that are drawn, by name,
    float32 [C, H, W] or [K]. predicted: the place of the predicted label. probabilities: float32 [K].
    why: for the predicted label, and then for the one that was asked for, if that is known and another; none if the
    image is not explained.
    """

    name: str
    classifier: str
    tensor: np.ndarray
    input: InputSpec
    source_size: tuple[int, int]
    source_mode: str
    problem: str
    layers: dict[str, Layer]
    outputs: dict[str, np.ndarray]
    labels: list[str]
    predicted: int
    probabilities: np.ndarray
    why: Sequence[Why] = ()

    @property
    def picture(self) -> np.ndarray:
        """The tensor as a picture, float32 [H, W, 3], values 0..1."""
        return displayed(self.tensor, self.input)

    @property
    def alarm(self) -> str:
        """What every figure of a test pattern says."""
        return f"TEST PATTERN: {self.problem}" if self.problem else ""


def read_subject(
    tensors: str,
    predictions: str,
    description: Description,
    layers: Sequence[str],
    image: str,
    explanations: str | None = None,
) -> Subject:
    """Read what the figures of one image need; `layers` are those whose outputs are drawn. explanations: a file that has the image, if it is explained.

    Raises StudyError if the image, or its layers, are not in the files.
    """
    with open_tensors(tensors) as file:
        row = row_of(image, file.names, tensors)
        tensor, input_spec, problem = file.images[row], file.input, file.problems[row]
        height, width = map(int, file.source_size[row])
        source_mode = file.source_mode[row]
    with open_predictions(predictions) as file:
        place = row_of(image, file.names, predictions)
        row = row_of(image, file.layer_images, f"{predictions}, layer_images")
        return Subject(
            name=image,
            classifier=file.attributes["classifier"],
            tensor=tensor,
            input=input_spec,
            source_size=(height, width),
            source_mode=source_mode,
            problem=problem,
            layers={layer.name: layer for layer in description.walk()},
            outputs={layer: file.layers[layer][row] for layer in layers},
            labels=file.labels,
            predicted=int(file.logits[place].argmax()),
            probabilities=file.probabilities[place],
            why=read_why(explanations, image) if explanations else (),
        )


def read_why(explanations: str, image: str) -> list[Why]:
    """Why a classifier says what it says of an image, for each of TARGETS that is known and not the one before."""
    with open_explanations(explanations) as file:
        row = row_of(image, file.names, explanations)
        labels = file.targets[row].tolist()
        return [
            Why(
                target=target,
                label=labels[slot],
                probability=float(file.probabilities[row, slot]),
                patch=file.patch,
                stride=file.stride,
                occlusion=file.occlusion[row, slot],
                layer=file.attributes["layer"],
                gradcam=file.gradcam[row, slot],
            )
            for slot, target in enumerate(TARGETS)
            if labels[slot] != UNKNOWN and labels[slot] not in labels[:slot]
        ]


def row_of(image: str, names: Sequence[str], where: str) -> int:
    """The row at which `image` stands in `names`."""
    if image not in names:
        raise StudyError(f"{where}: the image {image!r} is not there; remove the file and run again.")
    return names.index(image)
