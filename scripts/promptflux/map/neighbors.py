"""Images that lie near each other: near-duplicates, and a user's own images near generated ones.

Distances are of the cosine, 1 − cos of the angle between two images' features: 0 if one's features are a multiple of
the other's. Candidates are found block by block in single precision, each with a margin for its rounding; what counts is then
computed for each pair by itself in double precision, so that no result depends on the blocks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from promptflux.map.pictures import Pictures
from promptflux.map.rows import Rows, parts

MARGIN = (
    1e-4  # of a cosine, and of a mean square of pixels 0..1, in single precision; its rounding is some 1e-6
)
FEW = 256  # images whose candidates are held at once: if all are alike, they have as many as there are images
MOST_PAIRS = 100_000  # that are named: of n images that are all alike there are n (n − 1) / 2
MOST_CANDIDATES = 256  # of an image, beyond those asked for, that are equally near within MARGIN


@dataclass(frozen=True)
class Pair:
    """Two images: the distance of their features, 0..2, and of their pixels, 0..255; None if the pixels were not compared."""

    one: str
    other: str
    distance: float
    pixels: float | None


def distances(rows: Rows, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The cosine distance of each of `one` to that of `other`, numbers of rows; float64, rounded to six decimals."""
    found = np.empty(len(one))
    for part in parts(np.arange(len(one)), rows.values.shape[1]):
        cosines = np.einsum("ij,ij->i", rows.directions(one[part]), rows.directions(other[part]))
        found[part] = 1 - cosines
    return np.round(np.clip(found, 0, 2), 6) + 0.0  # no -0


def near_duplicates(
    rows: Rows, images: Sequence[int], pictures: Pictures, distance: float, pixels: float
) -> tuple[list[Pair], bool]:
    """The pairs among `images`, numbers of rows, that are near in features and in pixels; whether there are more.

    distance: the largest cosine distance. pixels: the largest difference, see `Pictures`. A pair names its images in the
    order of the rows; the pairs are sorted by distance, pixels and that order. Of more than MOST_PAIRS those are kept that
    come first in the order of the rows.
    """
    chosen = _with_company(rows, np.asarray(images, dtype=np.intp), distance)
    if not len(chosen):
        return [], False
    small = np.stack([pictures[rows.names[row]] for row in chosen])
    pairs: list[Pair] = []
    for one, other in _alike(rows, chosen, small, distance, pixels):
        exact = distances(rows, chosen[one], chosen[other])
        for a, b, apart in zip(one, other, exact, strict=True):
            first, second = rows.names[chosen[a]], rows.names[chosen[b]]
            difference = round(pictures.difference(first, second), 2)
            if apart <= distance and difference <= pixels:
                if len(pairs) == MOST_PAIRS:
                    return _sorted(pairs, rows), True
                pairs.append(Pair(first, second, float(apart), difference))
    return _sorted(pairs, rows), False


def _sorted(pairs: list[Pair], rows: Rows) -> list[Pair]:
    place = {name: row for row, name in enumerate(rows.names)}
    return sorted(pairs, key=lambda pair: (pair.distance, pair.pixels, place[pair.one], place[pair.other]))


def _with_company(rows: Rows, images: np.ndarray, distance: float) -> np.ndarray:
    """Those of `images` whose features are near those of another: only these are opened."""
    near = np.zeros(len(images), bool)
    places = np.arange(len(images))
    blocks = list(rows.blocks(places))
    for number, block in enumerate(blocks):
        directions = rows.directions(images[block]).astype(np.float32)
        for other in blocks[number:]:
            theirs = directions if other is block else rows.directions(images[other]).astype(np.float32)
            cosines = directions @ theirs.T
            alike = cosines >= 1 - distance - MARGIN
            if other is block:
                np.fill_diagonal(alike, False)
            near[block] |= alike.any(axis=1)
            near[other] |= alike.any(axis=0)
    return images[near]


def _alike(
    rows: Rows, images: np.ndarray, small: np.ndarray, distance: float, pixels: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Candidates, as numbers of `images`: for one after the other those after it that may be its near-duplicates."""
    width = max(rows.values.shape[1], small.shape[1])
    blocks = list(parts(np.arange(len(images)), width))
    for block in parts(np.arange(len(images)), width, FEW):
        candidates: list[tuple[np.ndarray, np.ndarray]] = []
        directions = rows.directions(images[block]).astype(np.float32)
        scaled = small[block].astype(np.float32) / 255
        for other in blocks:
            if other[-1] < block[0]:
                continue
            cosines = directions @ rows.directions(images[other]).astype(np.float32).T
            alike = cosines >= 1 - distance - MARGIN
            if alike.any():
                theirs = small[other].astype(np.float32) / 255
                squares = (scaled**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2 * scaled @ theirs.T
                alike &= squares / small.shape[1] <= ((pixels + 0.01) / 255) ** 2 + MARGIN
            one, another = np.nonzero(alike)
            candidates.append((block[one], other[another]))
        one, another = (np.concatenate(part) for part in zip(*candidates, strict=True))
        later = one < another
        order = np.lexsort((another[later], one[later]))
        one, another = one[later][order], another[later][order]
        for part in parts(np.arange(len(one)), rows.values.shape[1]):
            yield one[part], another[part]


def nearest(
    rows: Rows, images: Sequence[int], own: Sequence[int], count: int
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Of each of `images` the `count` of `own` whose features are nearest, the nearest first: names and distances.

    images, own: numbers of rows. Of equally near ones those come first that stand first.
    """
    generated, theirs = np.asarray(images, dtype=np.intp), np.asarray(own, dtype=np.intp)
    count = min(count, len(theirs))
    most = count + MOST_CANDIDATES
    for block in rows.blocks(generated):
        directions = rows.directions(block).astype(np.float32)
        best, at = np.empty((len(block), 0), np.float32), np.empty((len(block), 0), np.intp)
        for part in rows.blocks(np.arange(len(theirs))):
            cosines = directions @ rows.directions(theirs[part]).astype(np.float32).T
            best = np.hstack([best, cosines])
            at = np.hstack([at, np.broadcast_to(part, cosines.shape)])
            order = np.argsort(-best, axis=1, kind="stable")[:, :most]
            best, at = np.take_along_axis(best, order, axis=1), np.take_along_axis(at, order, axis=1)
        for row, cosines, places in zip(block, best, at, strict=True):
            candidates = np.sort(places[cosines >= cosines[count - 1] - MARGIN])
            exact = distances(rows, np.full(len(candidates), row), theirs[candidates])
            order = np.lexsort((candidates, exact))[:count]
            yield (
                rows.names[row],
                [(rows.names[theirs[candidates[it]]], float(exact[it])) for it in order],
            )
