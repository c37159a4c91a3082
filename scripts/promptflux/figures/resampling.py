"""Arrays on another number of pixels."""

import numpy as np


def averaged(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """`values` [..., H, W] on at most height × width pixels: the means of blocks along an axis that is longer."""
    for axis, size in ((-2, height), (-1, width)):
        have = values.shape[axis]
        if have > size:
            edges = np.arange(size + 1) * have // size
            sums = np.add.reduceat(values, edges[:-1], axis=axis)
            values = sums / np.diff(edges).reshape((-1, 1) if axis == -2 else (1, -1))
    return values


def repeated(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """`values` [H, W, ...] on height × width pixels, each repeated as often as it takes."""
    rows, columns = (
        np.arange(size) * have // size for size, have in zip((height, width), values.shape[:2], strict=True)
    )
    return values[rows[:, None], columns]
