"""All images on a plane: principal components, or UMAP."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA

from promptflux.map.rows import Rows

MOST_FULL = (
    2**22
)  # values of which the whole singular value decomposition is taken; of more, its first parts by ARPACK
MOST_AT_ONCE = (
    2**27
)  # values that are held at once as float64; of more the components are those of IncrementalPCA
IN_PARTS = 50  # components that it keeps from part to part, so that the first two are nearly those of PCA
FEWEST_FOR_UMAP = 5  # images
NEIGHBORS = 15  # of UMAP, its default


@dataclass(frozen=True)
class Projection:
    """Where N images lie on the plane.

    places: float64 [N, 2], rounded to six digits. method: how they were found, for people. shares: of the variance,
    0..1, that each axis explains; None where that has no meaning.
    """

    places: np.ndarray
    method: str
    shares: tuple[float, float] | None


def project(rows: Rows, method: str) -> Projection:
    """The images of `rows` on a plane. method: "pca" or "umap"; of fewer than FEWEST_FOR_UMAP images it is "pca".

    Principal components (Pearson 1901, doi:10.1080/14786440109462720) are of the features as they are, centered and not
    scaled; the largest part of each component is positive. UMAP (McInnes et al. 2018, arXiv:1802.03426) has the
    defaults of umap-learn but for a fixed seed, so that it gives the same every time.
    """
    if method == "umap" and len(rows) >= FEWEST_FOR_UMAP:
        return Projection(_rounded(_umap(rows)), "UMAP", None)
    count, width = rows.values.shape
    places, shares = np.zeros((count, 2)), [0.0, 0.0]
    how = "PCA"
    if count > 1 and ((rows.values != rows.values[0]).any() or (rows.scale != rows.scale[0]).any()):
        components = min(2, count - 1, width)
        if count * width <= MOST_AT_ONCE:
            found, explained = _pca(rows.matrix(), components)
        else:
            how = "PCA in parts"
            found, explained = _pca_in_parts(rows)
        places[:, : found.shape[1]] = found
        shares[: len(explained)] = explained
    return Projection(_rounded(places), how, (float(shares[0]), float(shares[1])))


def _pca(values: np.ndarray, components: int) -> tuple[np.ndarray, list[float]]:
    solver = "full" if values.size <= MOST_FULL or components == min(values.shape) else "arpack"
    pca = PCA(components, copy=False, svd_solver=solver, random_state=0)
    return pca.fit_transform(values), pca.explained_variance_ratio_.tolist()


def _pca_in_parts(rows: Rows) -> tuple[np.ndarray, list[float]]:
    count, width = rows.values.shape
    components = min(IN_PARTS, count, width)
    pca = IncrementalPCA(components)
    for part in _parts(count, max(2 * components, MOST_AT_ONCE // 4 // width)):
        pca.partial_fit(rows.matrix(part))
    found = [pca.transform(rows.matrix(part))[:, :2] for part in _parts(count, 1024)]
    return np.concatenate(found), pca.explained_variance_ratio_[:2].tolist()


def _parts(count: int, size: int) -> Iterator[slice]:
    """`count` rows in parts of `size`, the last of which is no smaller: IncrementalPCA wants as many as components."""
    starts = list(range(0, max(1, count - size + 1), size))
    yield from (slice(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True))


def _umap(rows: Rows) -> np.ndarray:
    library = importlib.import_module("umap")  # in no environment: the user has installed it who asks for it
    # Among few images the spectral start is of more components than there are.
    start = "spectral" if len(rows) > NEIGHBORS else "random"
    umap = library.UMAP(n_neighbors=min(NEIGHBORS, len(rows) - 1), init=start, random_state=0, n_jobs=1)
    return umap.fit_transform(rows.matrix().astype(np.float32))


def _rounded(places: np.ndarray) -> np.ndarray:
    """To six digits of the largest value: what lies beyond depends on the processor."""
    largest = float(np.abs(places).max(initial=0.0))
    digits = 5 - int(np.floor(np.log10(largest))) if largest else 0
    return np.round(places.astype(np.float64), digits) + 0.0  # no -0
