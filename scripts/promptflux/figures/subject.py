"""What the figures of an image are drawn of: read from the HDF5 files that every engine writes alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import Layer
from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions
from promptflux.files.tensors import open_tensors
from promptflux.images.inputs import InputSpec
from promptflux.images.thumbnails import displayed


@dataclass(frozen=True)
class Subject:
    """One image as a classifier got it, and what the classifier made of it.

    tensor: float32 [C, H, W], C = 1 or 3. source_size: (height, width) in pixels. problem: why a
    test pattern stands in, or "". layers: by name. outputs: of the layers that are drawn, by name,
    float32 [C, H, W] or [K]. predicted: the place of the predicted label. probabilities: float32 [K].
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

    @property
    def picture(self) -> np.ndarray:
        """The tensor as a picture, float32 [H, W, 3], values 0..1."""
        return displayed(self.tensor, self.input)

    @property
    def alarm(self) -> str:
        """What every figure of a test pattern says."""
        return f"TEST PATTERN: {self.problem}" if self.problem else ""


def read_subject(
    tensors: str, predictions: str, description: Description, layers: Sequence[str], image: str
) -> Subject:
    """Read what the figures of one image need; `layers` are those whose outputs are drawn.

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
        )


def row_of(image: str, names: Sequence[str], where: str) -> int:
    """The row at which `image` stands in `names`."""
    if image not in names:
        raise StudyError(f"{where}: the image {image!r} is not there; remove the file and run again.")
    return names.index(image)
