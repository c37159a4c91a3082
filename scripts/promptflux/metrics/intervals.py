"""Intervals: how far a number that is counted on some images may be from that of all images that could have been made."""

from math import sqrt

import numpy as np
from scipy import stats

from promptflux.metrics.table import Estimate

LEVEL = 0.95  # of an interval that stands for itself


def share(count: int, n: int, level: float = LEVEL) -> Estimate:
    """The share `count` of n, n at least 1, with Wilson's interval.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    interval = stats.binomtest(count, n).proportion_ci(level, method="wilson")
    return Estimate(count / n, float(interval.low), float(interval.high), n)


def mean(values: np.ndarray, limits: tuple[float, float], level: float = LEVEL) -> Estimate:
    """The mean of at least one value with Student's interval, cut at `limits`, between which every value lies.

    No interval of one value, nor of equal ones, whose spread tells nothing.
    """
    n, value = len(values), float(np.mean(values))
    spread = float(stats.sem(values)) if n > 1 else 0.0
    if spread == 0:
        return Estimate(value, None, None, n)
    low, high = np.clip(stats.t.interval(level, n - 1, loc=value, scale=spread), *limits)
    return Estimate(value, float(low), float(high), n)


def paired_difference(first: np.ndarray, second: np.ndarray, level: float = LEVEL) -> Estimate:
    """The share of `first` less that of `second`, both bool [N] of the same N pairs, with Newcombe's interval.

    R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired data,
    Statistics in Medicine 17 (1998) 2635-2650, method 10: Wilson's interval of each share, and how far both go together
    (phi, with his correction). It has a width also where all pairs agree, which a bootstrap has not.
    """
    n = len(first)
    both, only_first = int(np.sum(first & second)), int(np.sum(first & ~second))
    only_second, neither = int(np.sum(~first & second)), int(np.sum(~first & ~second))
    one, two = share(both + only_first, n, level), share(both + only_second, n, level)
    assert one.low is not None and one.high is not None and two.low is not None and two.high is not None
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    excess: float = both * neither - only_first * only_second
    if excess > 0:
        excess = max(excess - n / 2, 0)
    phi = excess / sqrt(margins) if margins else 0.0

    def reach(a: float, b: float) -> float:
        return sqrt(max(a**2 - 2 * phi * a * b + b**2, 0.0))

    value = one.value - two.value
    return Estimate(
        value,
        value - reach(one.value - one.low, two.high - two.value),
        value + reach(one.high - one.value, two.value - two.low),
        n,
    )
