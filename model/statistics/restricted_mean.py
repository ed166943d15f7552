"""Mean time without event up to a horizon, and its difference between two groups."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .checks import check, columns, half_width, risk_table, two_sided


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
    patients are followed that long, or the curve has ended at zero.
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
    """Area under the curve and its variance."""
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
