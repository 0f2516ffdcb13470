"""Means with confidence intervals, paired differences with a test, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95  # of the confidence intervals


class Interval(NamedTuple):
    """A mean over ``n`` values; ``half`` is half the width of its confidence interval, or NaN."""

    mean: float
    half: float
    n: int


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of ``values`` with its 95 % confidence interval by Student's t.

    A single value, or one that is infinite, leaves the interval undefined (NaN); no value, the mean
    too.
    """
    from scipy.stats import t

    array = np.asarray(values, np.float64)
    n = len(array)
    if n == 0:
        return Interval(np.nan, np.nan, 0)
    with np.errstate(invalid="ignore"):  # of infinities of both signs
        mean = float(array.mean())
    if n == 1 or not np.isfinite(mean):
        return Interval(mean, np.nan, n)
    half = t.ppf((1 + LEVEL) / 2, n - 1) * array.std(ddof=1) / np.sqrt(n)
    return Interval(mean, float(half), n)


def signed_rank(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test that the median is zero.

    Differences of zero are dropped, as Wilcoxon did; where none is left, nothing speaks against
    the median being zero, and p is 1. Without any difference it is NaN.

    Source: Wilcoxon, "Individual comparisons by ranking methods", 1945; ``scipy.stats.wilcoxon``.
    """
    from scipy.stats import wilcoxon

    array = np.asarray(differences, np.float64)
    if len(array) == 0:
        return np.nan
    array = array[array != 0]
    return float(wilcoxon(array).pvalue) if len(array) else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values, each corrected for there being so many; NaN stays, and doesn't count.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    corrected = np.full_like(p, np.nan)
    order = [i for i in np.argsort(p) if not np.isnan(p[i])]
    least = 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, p[i] * (len(order) - rank)))
        corrected[i] = least
    return corrected.tolist()
