"""Log-rank tests of two groups: weighted for early or late differences, stratified, and the best of several weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, chdtrc

from ...parameters.errors import InputError
from .checks import RiskTable, Test, check, columns, risk_table, strata, tested

WEIGHTS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))

# A lattice of rank one, made component by component so that the worst error of smooth periodic functions (the criterion
# P2, with weight 1/j for the j-th coordinate) is least; one number for each coordinate (Sloan & Joe 1994).
LATTICE = np.array([1, 1210, 1542, 1785, 424, 2011, 1718, 1807, 387])
LATTICE_POINTS = 4093
# An eigenvalue below this is none: the weights of (0, 0) are the sum of those of (1, 0) and (0, 1), so that the usual
# four statistics have three degrees of freedom.
DECIDED = 1e-10


@dataclass(frozen=True)
class MaxCombo:
    """The largest of several weighted log-rank statistics, with a p that accounts for the choice.

    `z` is the statistic furthest from zero, positive when group 1 has more events than expected, `p` two-sided,
    `weight` the (rho, gamma) that gave it, `each` the statistic of every weight in the order given. NaN: cannot tell.
    """

    z: float
    p: float
    weight: tuple[float, float]
    each: tuple[float, ...]


def weighted_logrank(
    time: ArrayLike,
    event: ArrayLike,
    group: ArrayLike,
    *,
    stratum: ArrayLike | None = None,
    rho: float = 0.0,
    gamma: float = 0.0,
) -> Test:
    """Log-rank test with weights S^rho (1 - S)^gamma, S the left-continuous pooled Kaplan-Meier curve.

    `time`, `event` and `group` (0 or 1) have shape (n,), `stratum` any labels of that shape. Class G(rho, gamma) of
    Fleming & Harrington 1991; 0, 0 is the log-rank test (Mantel 1966), 1, 0 weighs early and 0, 1 late differences.
    The variance is hypergeometric; strata have curves of their own and are summed. NaN if no event tells the groups
    apart. InputError and RangeError for columns that are not right, or exponents below zero.
    """
    table = _table("weighted_logrank", time, event, group, stratum)
    weight = _weights("weighted_logrank", table, ((rho, gamma),))
    score, covariance = _statistics(table, weight)
    return tested(float(score[0] / math.sqrt(covariance[0, 0])) if covariance[0, 0] > 0 else math.nan)


def max_combo(
    time: ArrayLike,
    event: ArrayLike,
    group: ArrayLike,
    *,
    stratum: ArrayLike | None = None,
    weights: Sequence[tuple[float, float]] = WEIGHTS,
) -> MaxCombo:
    """MaxCombo test: the largest of several weighted log-rank statistics (Lin 2020; Karrison 2016; Lee 2007).

    Columns as in `weighted_logrank`; `weights` are 1 to 10 pairs (rho, gamma). Under the null hypothesis the statistics
    are jointly normal, with the covariances of their weighted sums; p is the probability that any of them is as far
    from zero as the furthest is (two-sided). Weights whose statistic does not exist, such as late weights of a single
    event time, take no part.
    """
    if not 1 <= len(weights) <= LATTICE.size + 1:
        raise InputError(f"max_combo: there are {len(weights)} weights, and should be 1 to {LATTICE.size + 1}")
    table = _table("max_combo", time, event, group, stratum)
    score, covariance = _statistics(table, _weights("max_combo", table, weights))
    spread = np.sqrt(np.diagonal(covariance))
    exists = spread > 0
    z = np.full(spread.size, np.nan)
    z[exists] = score[exists] / spread[exists]
    each = tuple(float(value) for value in z)
    if not exists.any():
        return MaxCombo(math.nan, math.nan, (math.nan, math.nan), each)
    best = int(np.nanargmax(np.abs(z)))
    correlation = covariance[np.ix_(exists, exists)] / np.outer(spread[exists], spread[exists])
    rho, gamma = weights[best]
    return MaxCombo(each[best], _any_beyond(abs(each[best]), correlation), (float(rho), float(gamma)), each)


def _table(where: str, time: ArrayLike, event: ArrayLike, group: ArrayLike, stratum: ArrayLike | None) -> RiskTable:
    times, events, groups = columns(where, time=time, event=event, group=group)
    return risk_table(times, events, groups, strata(where, stratum, times.size))


def _weights(where: str, table: RiskTable, exponents: Sequence[tuple[float, float]]) -> np.ndarray:
    """Weights (k, times) of k pairs of exponents."""
    survival = table.survival_before
    rows = []
    for rho, gamma in exponents:
        check(where, "rho", rho, 0 <= rho < math.inf, "finite and not negative")
        check(where, "gamma", gamma, 0 <= gamma < math.inf, "finite and not negative")
        rows.append(survival**rho * (1.0 - survival) ** gamma)
    return np.array(rows)


def _statistics(table: RiskTable, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observed minus expected events of group 1 for k weights (k,), and their covariances (k, k)."""
    share = table.at_risk_1 / table.at_risk
    ties = (table.at_risk - table.died) / np.maximum(table.at_risk - 1.0, 1.0)
    variance = table.died * share * (1.0 - share) * ties
    return weights @ (table.died_1 - table.died * share), (weights * variance) @ weights.T


def _any_beyond(limit: float, correlation: np.ndarray) -> float:
    """Probability that any of k jointly standard normal values is further from zero than `limit`.

    Such values are F s r: F F' is the correlation, s a direction on the sphere, r^2 chi-squared. So p is the mean over
    directions of P(r > limit / max |F s|) (Deak 1980). It has 3 digits for the usual four weights and 2 for six, also
    where p is tiny, and values that others decide need no care. The directions are fixed: same data, same p.
    """
    size, basis = np.linalg.eigh(correlation)
    free = size > DECIDED
    directions = _directions(int(free.sum()))
    furthest = np.max((directions @ (basis[:, free] * np.sqrt(size[free])).T) ** 2, axis=1)
    return float(chdtrc(directions.shape[1], limit**2 / furthest).mean())


@cache
def _directions(dimension: int) -> np.ndarray:
    """Unit vectors (points, dimension) spread evenly over the sphere: a lattice of its spherical coordinates.

    The square of one coordinate of a point of a sphere in d dimensions has the distribution Beta(1/2, (d - 1)/2).
    """
    if dimension == 1:
        return np.ones((1, 1))
    even = (np.arange(LATTICE_POINTS)[:, None] * LATTICE[: dimension - 1] + 0.5) / LATTICE_POINTS % 1.0
    directions, radius = np.empty((LATTICE_POINTS, dimension)), np.ones(LATTICE_POINTS)
    for j in range(dimension - 2):
        signed = 2.0 * even[:, j + 1] - 1.0
        square = betaincinv(0.5, (dimension - j - 1) / 2.0, np.abs(signed))
        directions[:, j] = np.copysign(np.sqrt(square), signed) * radius
        radius = radius * np.sqrt(1.0 - square)
    angle = 2.0 * np.pi * even[:, 0]
    directions[:, -2], directions[:, -1] = radius * np.cos(angle), radius * np.sin(angle)
    directions.setflags(write=False)
    return directions
