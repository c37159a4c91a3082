"""How well a classifier sees what was asked, and how far two of them, or two engines, agree: what `docs/metrics.md` defines."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from promptflux.errors import StudyError, shown
from promptflux.metrics.intervals import LEVEL, mean, paired_difference, share
from promptflux.metrics.seen import Seen
from promptflux.metrics.table import GENERATED, MOST_COMPARED, OWN, TOP, Estimate, Metric
from promptflux.metrics.truth import NO_TRUTH, TEST_PATTERN, Asked

BINS = 10  # of confidence, equally wide
BIN_RIGHT, BIN_CONFIDENCE = "right in a bin", "confidence in a bin"

Groups = Mapping[str, np.ndarray]  # the images of a group, bool [N], by its name


def metrics_of(
    engine: str,
    seen: Seen,
    truth: Mapping[str, Asked],
    labels: Sequence[str],
    variants: Sequence[str],
    others: Mapping[str, Seen],
    engines: Mapping[str, Seen],
) -> Iterator[Metric]:
    """Every metric of a classifier in an engine.

    truth: what is asked of each image. variants: their names in order, none in a study without. others: what other
    classifiers with the same labels say of the images in this engine, by name. engines: what this classifier says in other engines. Raises StudyError if the
    truth is of other images.
    """
    if missing := truth.keys() ^ seen.images:
        raise StudyError(
            f"results/truth and results/predictions: {shown(min(missing))} is in one of them alone; delete both folders "
            f"and start the run again."
        )
    place = {label: number for number, label in enumerate(labels)}
    asked = np.array([place.get(truth[image].label or "", -1) for image in seen.images])
    reasons = np.array([truth[image].source for image in seen.images])
    pictures = reasons != TEST_PATTERN
    groups = groups_of(seen, variants)
    for name, members in groups.items():
        yield from _left_out(engine, name, members, asked, reasons)
        yield from _right(engine, name, seen, asked, members & (asked >= 0), labels)
        members = members & pictures
        if members.any():
            yield _metric("confidence", engine, name, mean(seen.confidence[members], (0, 1)))
        for what, compared in (("classifiers", others), ("engines", engines)):
            for other, said in compared.items():
                yield from _agreement(
                    f"agreement of {what}", engine, name, other, seen, said, members, labels
                )
    yield from _differences(engine, seen, asked, variants)


def groups_of(seen: Seen, variants: Sequence[str]) -> dict[str, np.ndarray]:
    """The images that are counted together: all, under ""; the generated and the user's own, where there are both; each variant's."""
    own = np.array([pair is None for pair in seen.pairs])
    groups = {"": np.ones(len(own), bool)}
    if own.any() and not own.all():
        groups |= {GENERATED: ~own, OWN: own}
    of_variant = np.array(seen.variants)
    return groups | {name: ~own & (of_variant == name) for name in variants}


def _metric(
    what: str,
    engine: str,
    variant: str,
    it: Estimate,
    *,
    label: str = "",
    other: str = "",
    level: float = LEVEL,
) -> Metric:
    has_interval = it.low is not None
    return Metric(
        what, engine, variant, label, other, it.value, it.low, it.high, level if has_interval else None, it.n
    )


def _count(what: str, engine: str, variant: str, count: int, n: int, label: str = "") -> Metric:
    return Metric(what, engine, variant, label, "", count, None, None, None, n)


def _left_out(
    engine: str, name: str, members: np.ndarray, asked: np.ndarray, reasons: np.ndarray
) -> Iterator[Metric]:
    """How many images there are, and how many of them are left out, for each reason."""
    n = int(members.sum())
    yield _count("images", engine, name, n, n)
    found = Counter(reasons[members & (asked < 0)].tolist())
    for reason in NO_TRUTH:
        if found[reason]:
            yield _count("left out", engine, name, found[reason], n, label=reason)


def _right(
    engine: str, name: str, seen: Seen, asked: np.ndarray, members: np.ndarray, labels: Sequence[str]
) -> Iterator[Metric]:
    """What is right among the images with a known truth; nothing if there are none."""
    n = int(members.sum())
    if not n:
        return
    true, said = asked[members], seen.predicted[members]
    yield _metric("right", engine, name, share(int(accuracy_score(true, said, normalize=False)), n))
    if len(labels) > TOP:
        within = top_k_accuracy_score(
            true, seen.logits[members], k=TOP, normalize=False, labels=np.arange(len(labels))
        )
        yield _metric(f"top {TOP}", engine, name, share(int(within), n))
    yield from _calibration(engine, name, true == said, seen.confidence[members])
    every = np.arange(len(labels))
    precision, recall, _, _ = precision_recall_fscore_support(true, said, labels=every, zero_division=np.nan)
    table = confusion_matrix(true, said, labels=every)
    columns = (("recall", recall, table.sum(axis=1)), ("precision", precision, table.sum(axis=0)))
    for number, label in enumerate(labels):
        for what, values, counts in columns:
            if of := int(counts[number]):
                it = share(int(table[number, number]), of)
                value = Estimate(float(values[number]), it.low, it.high, of)
                yield _metric(what, engine, name, value, label=label)


def _calibration(engine: str, name: str, right: np.ndarray, confidence: np.ndarray) -> Iterator[Metric]:
    """The expected calibration error, and of each bin of confidence with images in it what is right and how sure it is.

    C. Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.
    """
    shares, sure = calibration_curve(right, confidence, n_bins=BINS, pos_label=True)
    edges = np.linspace(0, 1, BINS + 1)
    bins = np.searchsorted(edges[1:-1], confidence)  # as calibration_curve sorts them
    counts = np.bincount(bins, minlength=BINS)
    filled = np.flatnonzero(counts)
    error = float(np.average(np.abs(shares - sure), weights=counts[filled]))
    yield _metric("calibration error", engine, name, Estimate(error, None, None, len(right)))
    for number, value in zip(filled, sure, strict=True):
        label = f"{edges[number]:.1f} to {edges[number + 1]:.1f}"
        of = int(counts[number])
        yield _metric(BIN_RIGHT, engine, name, share(int(right[bins == number].sum()), of), label=label)
        yield _metric(BIN_CONFIDENCE, engine, name, Estimate(float(value), None, None, of), label=label)


def _agreement(
    what: str,
    engine: str,
    name: str,
    other: str,
    seen: Seen,
    said: Seen,
    members: np.ndarray,
    labels: Sequence[str],
) -> Iterator[Metric]:
    """How often two say the same label of an image, and Cohen's kappa, which takes off what chance would give."""
    n = int(members.sum())
    if not n:
        return
    one, two = seen.predicted[members], said.predicted[members]
    yield _metric(what, engine, name, share(int(accuracy_score(one, two, normalize=False)), n), other=other)
    if len(np.union1d(one, two)) > 1:  # else nothing is left to chance, and there is no kappa
        kappa = float(cohen_kappa_score(one, two, labels=np.arange(len(labels))))
        yield _metric(f"{what} (kappa)", engine, name, Estimate(kappa, None, None, n), other=other)


def _differences(engine: str, seen: Seen, asked: np.ndarray, variants: Sequence[str]) -> Iterator[Metric]:
    """What differs between two variants, on the images that both have of a prompt and its number.

    The intervals hold together: each of m comparisons has the level 1 - 0.05 / m (Bonferroni).
    """
    if not variants:
        return
    right = seen.predicted == asked
    places: dict[str, dict[tuple[str, int], int]] = {name: {} for name in variants}
    for number, (variant, pair) in enumerate(zip(seen.variants, seen.pairs, strict=True)):
        if pair is not None and asked[number] >= 0:
            places[variant][pair] = number
    if len(variants) <= MOST_COMPARED:
        compared = [(later, earlier) for earlier, later in combinations(variants, 2)]
    else:
        compared = [(later, variants[0]) for later in variants[1:]]
    level = 1 - (1 - LEVEL) / max(len(compared), 1)
    for one, two in compared:
        pairs = sorted(places[one].keys() & places[two].keys())
        if not pairs:
            continue
        first, second = ([places[name][pair] for pair in pairs] for name in (one, two))
        it = paired_difference(right[first], right[second], level)
        yield _metric("difference of right", engine, one, it, other=two, level=level)
        it = mean(seen.confidence[first] - seen.confidence[second], (-1, 1), level)
        yield _metric("difference of confidence", engine, one, it, other=two, level=level)
