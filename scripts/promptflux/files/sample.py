"""The values of a large layer that a predictions file holds in place of all: enough to compare two engines by."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SAMPLE = 16384  # values of a layer and an image; a layer of no more is kept whole
STEP = (
    2654435761  # a prime near 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4)
)


def sample_places(count: int) -> "np.ndarray":
    """The places of the sample in a layer of `count` values in C order, int64 [SAMPLE]; all differ if `count` is larger.

    i · STEP mod count: over all channels, rows and columns, and the same in Julia (julia/src/files/predictions.jl).
    """
    import numpy as np

    return np.arange(SAMPLE, dtype=np.int64) * STEP % count
