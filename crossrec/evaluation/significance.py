"""How sure a number is: t intervals, paired tests, Holm's correction.

A metric that is no mean over users (RMSE over events, say) is turned into one: linearized gives
per-user values whose mean is the metric and whose t interval is that of the delta method, so that
one interval and one paired test serve them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Estimate(NamedTuple):
    """A value with its interval; low and high are NaN where one observation says nothing."""

    value: float
    low: float
    high: float


class Comparison(NamedTuple):
    """The gain a - b over users who have both: mean, share of mean b, interval of the gain, p."""

    gain: float
    relative_gain: float
    low: float
    high: float
    p: float


def t_quantile(n: int, confidence: float = 0.95) -> float:
    """Two-sided Student quantile with n - 1 degrees of freedom."""
    return float(special.stdtrit(n - 1, (1 + confidence) / 2))


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Mean +- t * s / sqrt(n) of the values that are not NaN (Student, 1908)."""
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, math.nan, math.nan)
    half = t_quantile(len(values), confidence) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def linearized(sums: np.ndarray, counts: np.ndarray, root: bool = False) -> np.ndarray:
    """Per-user values whose mean is R = sum of sums / sum of counts, or sqrt(R); (U,) float64.

    R + (sums_u - R * counts_u) / mean count, the influence of user u (delta method for a ratio of
    means, Deng, Knoblich and Lu, KDD 2018); the square root divides the influence by 2 sqrt(R).
    Users are the unit of resampling because one user's errors resemble each other. Users without
    events have counts_u = 0 and belong to the sample.
    """
    if counts.sum() == 0:
        return np.full(len(counts), math.nan)
    ratio = sums.sum() / counts.sum()
    influence = (sums - ratio * counts) / counts.mean()
    if not root:
        return ratio + influence
    value = math.sqrt(ratio)
    return value + (influence / (2 * value) if value > 0 else 0 * influence)


def paired_test(a: np.ndarray, b: np.ndarray, confidence: float = 0.95) -> Comparison:
    """Paired two-sided t test of mean a = mean b over users (Student, 1908); a, b (U,) by user.

    Users for whom either is NaN are left out. Differences that are all zero give p = 1; fewer
    than two users give p = NaN. relative_gain divides by the mean of b and is NaN where that is 0.
    """
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    difference = a - b
    gain, low, high = mean_interval(difference, confidence)
    base = float(b.mean()) if len(b) else math.nan
    relative = gain / base if base != 0 else math.nan
    if len(difference) < 2:
        p = math.nan
    elif not difference.any():
        p = 1.0
    elif low == high:  # every user differs by the same amount
        p = 0.0
    else:
        t = gain / (difference.std(ddof=1) / math.sqrt(len(difference)))
        p = 2 * float(special.stdtr(len(difference) - 1, -abs(t)))
    return Comparison(gain, relative, low, high, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values (Scandinavian Journal of Statistics, 1979).

    The j-th smallest of m is multiplied by m - j + 1, made monotone and cut at 1. They hold the
    chance of any false claim in the family below the level. NaN stays NaN and counts for nothing.
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    running = 0.0
    for j, (p, place) in enumerate(tested):
        running = max(running, min(1.0, p * (len(tested) - j)))
        adjusted[place] = running
    return adjusted
