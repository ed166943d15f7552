"""Restricted mean survival time (RMST) up to a horizon, and its difference between two groups."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .checks import Interval, check, columns, half_width, risk_table, two_sided
from .survival import kaplan_meier

# Survival at a landmark, and its difference between two groups.


@dataclass(frozen=True)
class LandmarkDifference:
    """Fraction of group 1 minus that of group 0, its interval, and the test on the complementary log-log scale.

    `z` is positive when group 1 has MORE events by then, as in every other test; `value` is negative then.
    """

    value: float
    low: float
    high: float
    z: float
    p: float


def landmark(time: ArrayLike, event: ArrayLike, at: float, level: float = 0.95) -> Interval:
    """Kaplan-Meier fraction at `at` with the log-log interval (Kalbfleisch & Prentice 1980; variance Greenwood 1926).

    `time` and `event` have shape (n,), `at` has their unit. NaN beyond the longest follow-up; where no event has
    happened yet the interval is 1 to 1, as it is on the curve.
    """
    times, events = columns("landmark", time=time, event=event)
    check("landmark", "at", at, 0 <= at < math.inf, "finite and not negative")
    curve = kaplan_meier(times, events, level=level)
    return Interval(curve.at(at), *curve.interval_at(at))


def landmark_difference(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, at: float, level: float = 0.95
) -> LandmarkDifference:
    """Compare the fractions of group 1 and group 0 without event at `at`.

    Columns of shape (n,), `group` 0 or 1. The test is that on log(-log S) of Klein, Logan, Harhoff & Andersen 2007. The
    interval of the difference is made of the two log-log intervals (Zou & Donner 2008). The difference is NaN where a
    group was not followed that long; interval, `z` and `p` also where a curve stands at 1 or 0, where that scale ends.
    """
    where = "landmark_difference"
    times, events, groups = columns(where, time=time, event=event, group=group)
    check(where, "at", at, 0 <= at < math.inf, "finite and not negative")
    own = [(times[groups == arm], events[groups == arm]) for arm in (0, 1)]
    arm_0, arm_1 = (landmark(*rows, at, level) for rows in own)
    difference = arm_1.minus(arm_0)
    if not (0 < arm_0.value < 1 and 0 < arm_1.value < 1):
        return LandmarkDifference(difference.value, *[math.nan] * 4)
    scale_0, scale_1 = math.log(-math.log(arm_0.value)), math.log(-math.log(arm_1.value))
    z = (scale_1 - scale_0) / math.hypot(*(_error(*rows, at) for rows in own))
    return LandmarkDifference(difference.value, difference.low, difference.high, z, two_sided(z))


def _error(times: np.ndarray, events: np.ndarray, at: float) -> float:
    """Standard error of log(-log S) at a time at which S is between 0 and 1."""
    table = risk_table(times, events)
    past = table.time <= at
    died, at_risk = table.died[past], table.at_risk[past]
    greenwood = float(np.sum(died / (at_risk * (at_risk - died))))
    return math.sqrt(greenwood) / -math.log(table.survival[past][-1])


@dataclass(frozen=True)
class MeanTime:
    """Restricted mean with its standard error and interval, in the unit of time."""

    value: float
    se: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanDifference:
    """Restricted mean of group 1 minus that of group 0, in the unit of time; `z` positive when group 1's is longer."""

    value: float
    se: float
    low: float
    high: float
    z: float
    p: float


def restricted_mean(time: ArrayLike, event: ArrayLike, until: float, *, level: float = 0.95) -> MeanTime:
    """Area under the Kaplan-Meier curve from 0 to `until`, with the variance of Klein & Moeschberger 2003 (4.5.2).

    `time` and `event` have shape (n,). The variance is that of Greenwood 1926 carried to the area: the sum over event
    times of (area from there to `until`)^2 d / (n (n - d)), without the factor d / (d - 1); without censoring it is the
    variance of min(time, until) over n. The interval is the normal one. RangeError unless `until` is above 0 and
    patients are followed that long, or the curve has ended at zero. `SurvivalCurve.restricted_mean` is its relative for
    weighted rows, without a variance.
    """
    times, events = columns("restricted_mean", time=time, event=event)
    value, variance = _area("restricted_mean", times, events, until)
    se = math.sqrt(variance)
    width = half_width("restricted_mean", level) * se
    return MeanTime(value, se, value - width, value + width)


def restricted_mean_difference(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, until: float, *, level: float = 0.95
) -> MeanDifference:
    """Restricted mean of group 1 minus that of group 0, normal interval and test (Royston & Parmar 2013).

    Columns of shape (n,), `group` 0 or 1; `until` must be within the follow-up of both groups, as in `restricted_mean`.
    `z` and `p` are NaN when neither group has an event before `until`.
    """
    where = "restricted_mean_difference"
    times, events, groups = columns(where, time=time, event=event, group=group)
    (mean_0, variance_0), (mean_1, variance_1) = (
        _area(f"{where}, group {own}", times[groups == own], events[groups == own], until) for own in (0, 1)
    )
    value, se = mean_1 - mean_0, math.sqrt(variance_0 + variance_1)
    width = half_width(where, level) * se
    z = value / se if se > 0 else math.nan
    return MeanDifference(value, se, value - width, value + width, z, two_sided(z))


def _area(where: str, times: np.ndarray, events: np.ndarray, until: float) -> tuple[float, float]:
    """Area under the curve and its variance.

    The steps are needed one by one for the variance, and are summed in another order than those of a `SurvivalCurve`:
    the two areas agree to the last bits, and each keeps its own.
    """
    table = risk_table(times, events)
    last = float(times.max())
    ended = table.survival.size > 0 and table.survival[-1] == 0
    right = 0 < until < math.inf and (until <= last or ended)
    check(where, "until", until, right, f"above 0 and no later than the last follow-up at {last:g}")
    before = table.time < until
    step, heights = table.time[before], table.survival[before]
    pieces = heights * np.diff(np.append(step, until))
    to_come = np.cumsum(pieces[::-1])[::-1]
    first = float(step[0]) if step.size else until
    died, at_risk = table.died[before], table.at_risk[before]
    # Where everybody left has the event nothing is to come, and the term is zero, not zero by zero.
    terms = to_come**2 * died / (at_risk * np.maximum(at_risk - died, 1.0))
    return first + float(pieces.sum()), float(terms.sum())
