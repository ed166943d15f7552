"""Fraction without event at one fixed time, and its difference between two groups."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..survival import kaplan_meier
from .checks import check, columns, risk_table, two_sided


@dataclass(frozen=True)
class Landmark:
    """Fraction without event (0 to 1) at a time, and its interval."""

    value: float
    low: float
    high: float


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


def landmark(time: ArrayLike, event: ArrayLike, at: float, level: float = 0.95) -> Landmark:
    """Kaplan-Meier fraction at `at` with the log-log interval (Kalbfleisch & Prentice 1980; variance Greenwood 1926).

    `time` and `event` have shape (n,), `at` has their unit. NaN where nobody was followed that long; where no event has
    happened yet the interval is 1 to 1, as it is on the curve.
    """
    times, events = columns("landmark", time=time, event=event)
    check("landmark", "at", at, 0 <= at < math.inf, "finite and not negative")
    curve = kaplan_meier(times, events, level=level)
    return Landmark(curve.at(at), *curve.interval_at(at))


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
    value = arm_1.value - arm_0.value
    if not (0 < arm_0.value < 1 and 0 < arm_1.value < 1):
        return LandmarkDifference(value, *[math.nan] * 4)
    low = value - math.hypot(arm_1.value - arm_1.low, arm_0.high - arm_0.value)
    high = value + math.hypot(arm_1.high - arm_1.value, arm_0.value - arm_0.low)
    scale_0, scale_1 = math.log(-math.log(arm_0.value)), math.log(-math.log(arm_1.value))
    z = (scale_1 - scale_0) / math.hypot(*(_error(*rows, at) for rows in own))
    return LandmarkDifference(value, low, high, z, two_sided(z))


def _error(times: np.ndarray, events: np.ndarray, at: float) -> float:
    """Standard error of log(-log S) at a time at which S is between 0 and 1."""
    table = risk_table(times, events)
    past = table.time <= at
    died, at_risk = table.died[past], table.at_risk[past]
    greenwood = float(np.sum(died / (at_risk * (at_risk - died))))
    return math.sqrt(greenwood) / -math.log(table.survival[past][-1])
