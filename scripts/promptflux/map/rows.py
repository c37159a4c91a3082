"""The features of a whole study, in one order whatever its batches are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from promptflux.errors import StudyError
from promptflux.files.features import open_features

BLOCK_VALUES = 2**24  # of the features that are held as float32 at once


@dataclass(frozen=True)
class Rows:
    """The features of N images in the order of `names`.

    values: float16 [N, K]; times `scale`, float32 [N], they are what `layer` gives.
    """

    names: list[str]
    values: np.ndarray
    scale: np.ndarray
    layer: str

    def __len__(self) -> int:
        return len(self.names)

    def matrix(self, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """What the layer gives for some of the images, float64 [n, K]."""
        return self.values[rows].astype(np.float64) * self.scale[rows, None]

    def directions(self, rows: slice | np.ndarray) -> np.ndarray:
        """The features of some images at length 1, float64 [n, K + 1]: their dot products are cosines.

        Where all features are 0 there is no direction; such images are alike each other, and unlike every other,
        by the last column.
        """
        values = self.values[rows].astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", values, values))
        nowhere = (lengths == 0).astype(np.float64)
        return np.column_stack([values / (lengths + nowhere)[:, None], nowhere])

    def blocks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """`rows`, whole numbers, in parts whose features fit into memory as they are compared."""
        return parts(rows, self.values.shape[1])


def parts(rows: np.ndarray, width: int, most: int = 2048) -> Iterator[np.ndarray]:
    """`rows` in parts of at most `BLOCK_VALUES` values, with so many in a row, and of at most so many rows."""
    size = max(1, min(most, BLOCK_VALUES // (width + 1)))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def read_rows(paths: Sequence[str], order: Sequence[str]) -> tuple[Rows, Mapping[str, str]]:
    """The features of the images `order` from the files of all batches, and why others have none: by name, the problem.

    An image whose file could not be read has a test pattern's features, which say nothing of it, so it is left out.
    Raises StudyError if an image is in no file, or if the files are of different layers or weights.
    """
    problems: dict[str, str] = {}
    for path in paths:
        with open_features(path) as batch:
            problems |= {
                name: problem for name, problem in zip(batch.names, batch.problems, strict=True) if problem
            }
    names = [name for name in order if name not in problems]
    place = {name: row for row, name in enumerate(names)}
    values, scale, first = np.zeros((len(names), 0), np.float16), np.ones(len(names), np.float32), None
    seen = np.zeros(len(names), bool)
    for path in paths:
        with open_features(path) as batch:
            if first is None:
                first = (path, batch.layer, batch.attributes["weights_sha256"])
                values = np.zeros((len(names), batch.values.shape[1]), np.float16)
            elif first[1:] != (batch.layer, batch.attributes["weights_sha256"]):
                raise StudyError(
                    f"{path}: its features are of another network than those of {first[0]}; make both anew."
                )
            kept = [row for row, name in enumerate(batch.names) if name in place]
            there = [place[batch.names[row]] for row in kept]
            values[there] = batch.values[()][kept]
            scale[there] = batch.scale[kept]
            seen[there] = True
    if not seen.all():
        raise StudyError(
            f"{paths[0] if paths else 'features'}: the features of {names[int(seen.argmin())]!r} are in no file; "
            f"remove results/features and run again."
        )
    return Rows(names, values, scale, first[1] if first else ""), problems
