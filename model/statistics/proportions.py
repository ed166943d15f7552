"""Rates of response: their intervals, the difference of two, and tests with and without strata.

Everything is without a continuity correction unless it is asked for: corrected tests and intervals are conservative,
and a power computed from them would be too low.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from .checks import Interval, Test, check, columns, half_width, strata, tested


def wilson(events: float, n: float, level: float = 0.95) -> Interval:
    """Rate of `events` in `n` patients with the score interval of Wilson 1927.

    RangeError unless both are whole numbers with 0 <= events <= n and n >= 1.
    """
    _check_counts("wilson", events, n)
    z = half_width("wilson", level)
    rate = events / n
    centre = (rate + z * z / (2.0 * n)) / (1.0 + z * z / n)
    width = z / (1.0 + z * z / n) * math.sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n))
    # At the ends the bound is exactly 0 or 1, which rounding would miss.
    return Interval(rate, 0.0 if events == 0 else centre - width, 1.0 if events == n else centre + width)


def clopper_pearson(events: float, n: float, level: float = 0.95) -> Interval:
    """Rate of `events` in `n` patients with the exact interval of Clopper & Pearson 1934.

    RangeError unless both are whole numbers with 0 <= events <= n and n >= 1.
    """
    _check_counts("clopper_pearson", events, n)
    half_width("clopper_pearson", level)
    tail = (1.0 - level) / 2.0
    low = 0.0 if events == 0 else float(betaincinv(events, n - events + 1, tail))
    high = 1.0 if events == n else float(betaincinv(events + 1, n - events, 1.0 - tail))
    return Interval(events / n, low, high)


def rate_difference(holds: ArrayLike, group: ArrayLike, level: float = 0.95) -> Interval:
    """Rate of group 1 minus that of group 0, with the interval made of two Wilson intervals (Newcombe 1998, method 10).

    `holds` (a response, say) and `group` have shape (n,) and are 0 or 1.
    """
    events, sizes = _counts("rate_difference", holds, group)
    arm_0, arm_1 = (wilson(events[arm], sizes[arm], level) for arm in (0, 1))
    return arm_1.minus(arm_0)


def rate_test(holds: ArrayLike, group: ArrayLike) -> Test:
    """Score test of two rates with the pooled variance: z^2 is Pearson's chi-squared, without continuity correction.

    `holds` and `group` have shape (n,) and are 0 or 1. `z` is positive when it holds more often in group 1, and NaN
    when it holds for all patients or for none.
    """
    events, sizes = _counts("rate_test", holds, group)
    pooled = sum(events) / sum(sizes)
    if pooled in (0.0, 1.0):
        return Test(math.nan, math.nan)
    error = math.sqrt(pooled * (1.0 - pooled) * (1.0 / sizes[0] + 1.0 / sizes[1]))
    return tested((events[1] / sizes[1] - events[0] / sizes[0]) / error)


def stratified_rate_test(holds: ArrayLike, group: ArrayLike, stratum: ArrayLike, *, correction: bool = False) -> Test:
    """Test of two rates over strata (Cochran 1954; Mantel & Haenszel 1959), hypergeometric variance.

    `holds` and `group` (0 or 1) and `stratum` (any labels) have shape (n,). Without continuity correction unless
    `correction` takes one half from the difference, as the original did. `z` is positive when it holds more often in
    group 1 than expected, and NaN when no stratum can tell. In one stratum z^2 is (n - 1) / n of that of `rate_test`.
    """
    holding, groups = columns("stratified_rate_test", holds=holds, group=group)
    codes = strata("stratified_rate_test", stratum, holding.size)
    size = np.bincount(codes)
    size_1, held = np.bincount(codes, groups), np.bincount(codes, holding)
    difference = float(np.sum(np.bincount(codes, groups * holding) - size_1 * held / size))
    products = size_1 * (size - size_1) * held * (size - held)
    variance = float(np.sum(products / (size.astype(float) ** 2 * np.maximum(size - 1.0, 1.0))))
    if variance <= 0:
        return Test(math.nan, math.nan)
    if correction:
        difference = math.copysign(max(abs(difference) - 0.5, 0.0), difference)
    return tested(difference / math.sqrt(variance))


def _counts(where: str, holds: ArrayLike, group: ArrayLike) -> tuple[tuple[float, float], tuple[float, float]]:
    """For how many it holds in groups 0 and 1, and how many there are."""
    holding, groups = columns(where, holds=holds, group=group)
    in_1, size_1 = float(holding @ groups), float(groups.sum())
    return (float(holding.sum()) - in_1, in_1), (groups.size - size_1, size_1)


def _check_counts(where: str, events: float, n: float) -> None:
    check(where, "n", n, n >= 1 and float(n).is_integer(), "a whole number of at least 1")
    check(where, "events", events, 0 <= events <= n and float(events).is_integer(), f"a whole number from 0 to {n:g}")
