"""Hazard ratio of two groups after Cox, and whether it stays the same over time."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...parameters.errors import RangeError, unknown
from .checks import RiskTable, Test, columns, half_width, risk_table, strata, tested, two_sided

TRANSFORMS = ("km", "rank", "identity", "log")


@dataclass(frozen=True)
class HazardRatio:
    """Hazard of group 1 over that of group 0, its interval, the standard error of its logarithm, and Wald's test.

    `z` is positive when the hazard of group 1 is higher. Where the ratio is 0 or infinite the error is infinite, the
    interval is everything, and `z` and `p` are NaN: Wald's test says nothing there, the log-rank test does.
    """

    value: float
    low: float
    high: float
    log_se: float
    z: float
    p: float


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """The partial likelihood where both groups are followed: one row for each event.

    `ratio` (events,) is the number at risk in group 1 over that in group 0 after Efron's correction, `first` (times,)
    the first row of each time, `died_1` and `time` (times,) what the times are.
    """

    ratio: np.ndarray
    first: np.ndarray
    died_1: np.ndarray
    time: np.ndarray

    def share(self, log_ratio: float) -> np.ndarray:
        """Probability (events,) that each event falls in group 1."""
        odds = self.ratio * math.exp(log_ratio)
        return odds / (1.0 + odds)


def cox_ratio(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, *, stratum: ArrayLike | None = None, level: float = 0.95
) -> HazardRatio:
    """Hazard ratio of group 1 to group 0 by partial likelihood (Cox 1972), ties after Efron 1977, interval after Wald.

    `time`, `event` and `group` (0 or 1) have shape (n,), `stratum` any labels of that shape; strata have baseline
    hazards of their own. The ratio is 0 or infinite if all events with both groups still followed fall in one group,
    and NaN if there are none. `perdure.model.statistics.survival.hazard_ratio` is its relative for weighted rows, with
    ties after Breslow. InputError and RangeError for columns or a level that are not right.
    """
    times, events, groups = columns("cox_ratio", time=time, event=event, group=group)
    width = half_width("cox_ratio", level)
    rows = _efron(risk_table(times, events, groups, strata("cox_ratio", stratum, times.size)))
    log_ratio, log_se = _most_likely(rows)
    if math.isnan(log_ratio):
        return HazardRatio(*[math.nan] * 6)
    if math.isinf(log_ratio):
        return HazardRatio(math.inf if log_ratio > 0 else 0.0, 0.0, math.inf, math.inf, math.nan, math.nan)
    z = log_ratio / log_se
    ends = math.exp(log_ratio - width * log_se), math.exp(log_ratio + width * log_se)
    return HazardRatio(math.exp(log_ratio), *ends, log_se, z, two_sided(z))


def proportional_hazards(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, *, stratum: ArrayLike | None = None, transform: str = "km"
) -> Test:
    """Score test that the hazard ratio changes with a function of time (Grambsch & Therneau 1994).

    Columns as in `cox_ratio`. `transform` is that function: 'km' one minus the left-continuous Kaplan-Meier curve of
    all patients, 'rank' the rank among the event times (ties: the mean rank), 'identity' the time, 'log' its logarithm.
    `z` is positive when the hazard of group 1 over that of group 0 rises with time. The variance is that of the score
    itself, event by event, not the shortcut of the same paper that takes it for constant over time. NaN where the
    hazard ratio is not finite or there is only one event time. RangeError for 'log' with an event at time zero,
    UnknownNameError for another transform.
    """
    if transform not in TRANSFORMS:
        raise unknown("transform of time", transform, TRANSFORMS, "proportional_hazards")
    times, events, groups = columns("proportional_hazards", time=time, event=event, group=group)
    rows = _efron(risk_table(times, events, groups, strata("proportional_hazards", stratum, times.size)))
    log_ratio, _ = _most_likely(rows)
    if not math.isfinite(log_ratio):
        return Test(math.nan, math.nan)
    share = rows.share(log_ratio)
    expected = np.add.reduceat(share, rows.first)
    information = np.add.reduceat(share * (1.0 - share), rows.first)
    clock = _clock(transform, risk_table(times, events), rows.time)
    if clock.min() == clock.max():
        return Test(math.nan, math.nan)
    clock = clock - float(clock @ information) / float(information.sum())
    return tested(float(clock @ (rows.died_1 - expected)) / math.sqrt(float(clock**2 @ information)))


def _efron(table: RiskTable) -> _Likelihood:
    """One row per event: of d tied ones the l-th sees l/d of them gone (Efron 1977)."""
    at_risk_0 = table.at_risk - table.at_risk_1
    both = (at_risk_0 > 0) & (table.at_risk_1 > 0)
    died, died_1 = table.died[both], table.died_1[both]
    tied = died.astype(int)
    first = np.cumsum(tied) - tied
    gone = (np.arange(int(tied.sum())) - np.repeat(first, tied)) / np.repeat(died, tied)
    left_1 = np.repeat(table.at_risk_1[both], tied) - gone * np.repeat(died_1, tied)
    left_0 = np.repeat(at_risk_0[both], tied) - gone * np.repeat(died - died_1, tied)
    return _Likelihood(left_1 / left_0, first, died_1, table.time[both])


def _most_likely(rows: _Likelihood) -> tuple[float, float]:
    """Logarithm of the most likely ratio and its standard error, by Newton's method with steps of at most one."""
    total_1, total = float(rows.died_1.sum()), rows.ratio.size
    if total_1 in (0, total):
        return (math.nan, math.nan) if total == 0 else (-math.inf if total_1 == 0 else math.inf, math.inf)
    log_ratio = 0.0
    for _ in range(200):
        share = rows.share(log_ratio)
        newton = (total_1 - float(share.sum())) / float(share @ (1.0 - share))
        # The information changes at most e-fold over a step of one, so that every step of at most one goes uphill.
        log_ratio += min(max(newton, -1.0), 1.0)
        if abs(newton) < 1e-12:
            break
    share = rows.share(log_ratio)
    return log_ratio, 1.0 / math.sqrt(float(share @ (1.0 - share)))


def _clock(transform: str, everybody: RiskTable, at: np.ndarray) -> np.ndarray:
    """The function of time at the event times `at`, which are all among those of everybody."""
    here = np.searchsorted(everybody.time, at)
    if transform == "km":
        return 1.0 - everybody.survival_before[here]
    if transform == "rank":
        return (np.cumsum(everybody.died) - (everybody.died - 1.0) / 2.0)[here]
    if transform == "identity":
        return at
    if at.min() <= 0:
        raise RangeError("proportional_hazards: an event has time 0, and transform 'log' wants all of them above it")
    return np.log(at)
