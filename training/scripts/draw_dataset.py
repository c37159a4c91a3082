"""Draw the pictures that the autoencoder, the denoiser and the classifiers learn from."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np

from promptflux.files.whole import whole
from promptflux.runtime.job import note, progress
from training.world.scenes import draw


def pixels_of(numbered: tuple[int, int]) -> np.ndarray:
    """Drawing `seed` at `size`: uint8 [size, size, 3]."""
    seed, size = numbered
    return np.asarray(draw(seed, size)[0])


def main(output: Path, count: int, first_seed: int, size: int, cores: int) -> None:
    """Write drawings `first_seed` to `first_seed + count - 1` as one uint8 array [count, size, size, 3] (.npy).

    What a drawing shows need not be stored: `sample_scene(default_rng(seed))` says it again.
    """
    numbered = ((seed, size) for seed in range(first_seed, first_seed + count))
    with whole(output) as partial, get_context("spawn").Pool(cores) as pool:
        drawings = np.lib.format.open_memmap(partial, "w+", np.uint8, (count, size, size, 3))
        for i, pixels in enumerate(
            progress(pool.imap(pixels_of, numbered, chunksize=64), "drawing", "drawing", count)
        ):
            drawings[i] = pixels
        drawings.flush()
    note(f"{count} drawings of {size} × {size}, seeds from {first_seed}: {output}")


if "snakemake" in globals():
    from promptflux.runtime.job import job

    with job(snakemake):
        main(
            output=Path(snakemake.output[0]),
            count=snakemake.params.drawings,
            first_seed=snakemake.params.first_seed,
            size=snakemake.params.size,
            cores=snakemake.threads,
        )
