"""A tiny network whose answers have a known reason, and an image with that reason at known places."""

from pathlib import Path

import numpy as np

from promptflux.classifiers.network import untrained_weights
from promptflux.classifiers.spec import Spec, load_spec
from promptflux.classifiers.weights import Weights
from support.specs import write_spec

SIDE = 24
UPRIGHT, LEVEL = (5, 6), (17, 16)  # where the two bars lie: (row, column) of their centers
# A chain, and the same with its last convolution inside of blocks; `conv` finds the bars.
CONV = {"conv": {"out": 2, "kernel": 3, "padding": 1, "activation": "relu"}}
HEAD = ["globalmeanpool", "flatten", {"dense": 2}, "softmax"]
CHAIN = [CONV, *HEAD]
BLOCKS = [
    {"parallel": {"branches": [[], [CONV]], "join": "concat"}},  # the image itself is channel 1
    "globalmeanpool",
    "flatten",
    {"dense": 2},
]


def bars() -> np.ndarray:
    """A dark image with an upright and a level bar, float32 [1, SIDE, SIDE]."""
    image = np.full((1, SIDE, SIDE), 0.1, np.float32)
    (row, column), (below, right) = UPRIGHT, LEVEL
    image[0, row - 2 : row + 3, column] = 1
    image[0, below, right - 2 : right + 3] = 1
    return image


def planted(folder: Path, name: str = "planted", layers: list = CHAIN) -> tuple[Spec, Weights]:
    """A network that says "upright" for an upright bar and "level" for a level one."""
    size = {"name": "gray24", "size": SIDE, "channels": "gray"}
    spec = load_spec(write_spec(folder, name, input=size, layers=layers, labels=["upright", "level"]))
    weights = {key: np.zeros_like(array) for key, array in untrained_weights(spec, 1).items()}
    conv = next(key.rpartition("/")[0] for key in weights if "conv" in key)
    weights[f"{conv}/weight"][0, 0] = [[-1, 2, -1]] * 3
    weights[f"{conv}/weight"][1, 0] = np.transpose([[-1, 2, -1]] * 3)
    weights[f"{conv}/bias"][:] = -3  # the ends of a bar do not count
    dense = weights["dense1/weight"]  # of the last two of its inputs
    dense[:, -2:] = [[100, -100], [-100, 100]]
    return spec, weights


def peak(values: np.ndarray) -> tuple[int, int]:
    """Where a map is largest: the row and column of the middle of what is within 1% of it, of the whole [0, 1)."""
    rows, columns = np.nonzero(values >= values.max() - 0.01 * np.ptp(values))
    height, width = values.shape
    return round((rows.mean() + 0.5) / height * SIDE - 0.5), round(
        (columns.mean() + 0.5) / width * SIDE - 0.5
    )
