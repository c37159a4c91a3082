"""Draw the pictures that the autoencoder, the denoiser and the classifiers learn from."""

from multiprocessing import get_context

import numpy as np

from promptflux.files.whole import whole
from promptflux.runtime.job import note, progress
from promptflux.script import run
from training.world.drawing import draw


def pixels_of(numbered: tuple[int, int]) -> np.ndarray:
    """Drawing `seed` at `size`: uint8 [size, size, 3]."""
    seed, size = numbered
    return np.asarray(draw(seed, size)[0])


def main(*, drawings: str, number: int, first_seed: int, size: int, threads: int) -> None:
    """Write drawings `first_seed` to `first_seed + number - 1` as one uint8 array [number, size, size, 3] (.npy).

    What a drawing shows need not be stored: `scene_of(seed)` says it again.
    """
    numbered = ((seed, size) for seed in range(first_seed, first_seed + number))
    with whole(drawings) as partial, get_context("spawn").Pool(threads) as pool:
        pictures = np.lib.format.open_memmap(partial, "w+", np.uint8, (number, size, size, 3))
        for i, pixels in enumerate(
            progress(pool.imap(pixels_of, numbered, chunksize=64), "drawing", "drawing", number)
        ):
            pictures[i] = pixels
        pictures.flush()
    note(f"{number} drawings of {size} × {size}, seeds from {first_seed}: {drawings}")


if "snakemake" in globals():
    run(main, snakemake)
