"""A trial analysed as its design says: test, effects with intervals, and what is reported of each arm.

Every function here knows one kind of uncertainty, from the sample size: the trial has so many patients and no more.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..model.statistics.checks import Interval, Test
from ..model.statistics.cox import hazard_ratio, proportional_hazards
from ..model.statistics.logrank import max_combo, weighted_logrank
from ..model.statistics.proportions import rate_difference, rate_test, stratified_rate_test, wilson
from ..model.statistics.restricted_mean import (
    MeanDifference,
    landmark,
    landmark_difference,
    restricted_mean,
    restricted_mean_difference,
)
from ..model.statistics.survival import SurvivalCurve, kaplan_meier
from ..parameters.errors import InputError, RangeError
from .conduct import Trials
from .design import Design

LANDMARKS = (12.0, 6.0, 3.0)
"""Months at which fractions are compared: the first of them that every patient could be followed for."""
UNTESTED = Test(math.nan, math.nan)


@dataclass(frozen=True)
class Effect:
    """What one arm gains over the reference; `none` is the value of no effect, `p` two-sided (NaN: not tested)."""

    name: str
    value: float
    low: float
    high: float
    p: float
    none: float
    more_is_better: bool

    @property
    def better(self) -> bool:
        """Whether the arm is better than the reference."""
        return self.value > self.none if self.more_is_better else self.value < self.none


@dataclass(frozen=True, eq=False)
class Rows:
    """Subjects of two arms for whom the endpoint is defined; columns of shape (n,).

    `group` is 1 in the arm and 0 in the reference. A rate has its answer in `event`, and no `time`.
    """

    time: np.ndarray | None
    event: np.ndarray
    group: np.ndarray
    stratum: np.ndarray

    @property
    def comparable(self) -> bool:
        """Whether both arms have subjects."""
        return bool(self.group.any() and not self.group.all())


@dataclass(frozen=True, eq=False)
class ArmSummary:
    """What is reported of one arm; NaN where the endpoint has no such number.

    `patients` are randomised, `evaluable` those for whom the endpoint is defined (responders, for their duration);
    `fraction` is without event at the landmark, or the rate. `curve` is None for a rate.
    """

    name: str
    patients: int
    evaluable: int
    events: int
    median: Interval
    fraction: Interval
    mean: Interval
    curve: SurvivalCurve | None


@dataclass(frozen=True, eq=False)
class Analysis:
    """One trial: the test of the design, `z` positive where the arm is better, and everything beside it.

    `effects` are by name, the first one that of the design's endpoint; `proportional` tests whether the hazard ratio is
    constant over time, its `z` positive where it rises.
    """

    arms: tuple[ArmSummary, ArmSummary]
    z: float
    p: float
    success: bool
    effects: tuple[Effect, ...]
    proportional: Test
    landmark_months: float
    restricted_months: float


@dataclass(frozen=True, eq=False)
class Truth:
    """The true effect of the arm in one pool: what a very large trial would find, of the same design.

    `effects` as in `effects_of`, the endpoint's own first; `rates` of reference and arm (NaN for a time). `early`
    and `late` are the hazard ratios before and after month `split`, by which half of the events have come.
    """

    effects: tuple[Effect, ...]
    rates: tuple[float, float]
    split: float
    early: float
    late: float

    def value(self, name: str) -> float:
        """The effect of that name; NaN if the endpoint has none."""
        return next((effect.value for effect in self.effects if effect.name == name), math.nan)


def rows_of(design: Design, trials: Trials, trial: int | None, arm: int = 1) -> Rows:
    """The subjects of one trial, or of all of them together (None), in the reference and in one arm."""
    if not 1 <= arm < len(design.arms):
        raise RangeError(f"arm = {arm}; the design has arms 1 to {len(design.arms) - 1} beside its reference, 0.")
    here = slice(None) if trial is None else trial
    arms, endpoint = np.ravel(trials.arm[here]), design.endpoint
    stratum = np.ravel(trials.stratum[here])
    keep = (arms == 0) | (arms == arm)
    time = None
    if endpoint in trials.time:
        months = np.ravel(trials.time[endpoint][here])
        keep &= ~np.isnan(months)
        time, event = months[keep], np.ravel(trials.event[endpoint][here])[keep]
    else:
        event = np.ravel(trials.holds[endpoint][here])[keep]
    return Rows(time, event.astype(float), (arms[keep] == arm).astype(float), stratum[keep])


def primary_test(design: Design, rows: Rows) -> Test:
    """The test of the design; `z` positive where the arm is better than the reference, NaN where it cannot tell."""
    if not rows.comparable:
        return UNTESTED
    stratum = rows.stratum if np.ptp(rows.stratum) else None
    if rows.time is None:
        if stratum is None:
            return rate_test(rows.event, rows.group)
        return stratified_rate_test(rows.event, rows.group, stratum)
    if design.test == "restricted_mean":
        mean_difference = _mean_difference(design, rows)
        return Test(mean_difference.z, mean_difference.p)
    if not rows.event.any():
        return UNTESTED
    test = max_combo if design.test == "max_combo" else weighted_logrank
    result = test(rows.time, rows.event, rows.group, stratum=stratum)
    return Test(-result.z, result.p)


def z_and_p(design: Design, trials: Trials, arm: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """`z` (positive where the arm is better) and two-sided p of every trial, each of shape (trials,)."""
    tests = [primary_test(design, rows_of(design, trials, k, arm)) for k in range(len(trials.arm))]
    return np.array([test.z for test in tests]), np.array([test.p for test in tests])


def successes(design: Design, trials: Trials, arm: int = 1) -> np.ndarray:
    """Whether every trial succeeds (trials,): two-sided p below alpha, and the arm better than the reference.

    A trial that cannot be tested has not succeeded.
    """
    z, p = z_and_p(design, trials, arm)
    return (p < design.alpha) & (z > 0)


def horizon(design: Design, rows: Rows) -> float:
    """Months of the restricted mean: those of the design (else the follow-up of the last patient in), or less where an
    arm is not followed that long.
    """
    wanted = float(design.restricted_months or design.follow_up_months)
    if rows.time is None:
        return wanted
    parts = [rows.group == own for own in (0, 1)]
    return min([wanted, *(_end(rows.time[part], rows.event[part]) for part in parts if part.any())])


def _end(time: np.ndarray, event: np.ndarray) -> float:
    """Until when a survival curve is defined: for ever if it ends at zero."""
    last = float(time.max())
    return math.inf if event[time == last].all() else last


def _mean_difference(design: Design, rows: Rows) -> MeanDifference:
    until = horizon(design, rows)
    if rows.time is None or until <= 0:
        return MeanDifference(*[math.nan] * 6)
    return restricted_mean_difference(rows.time, rows.event, rows.group, until)


def landmark_months(design: Design) -> float:
    """Month of the landmark: the latest of `LANDMARKS` within the follow-up of the last patient, else that."""
    return next((month for month in LANDMARKS if month <= design.follow_up_months), float(design.follow_up_months))


def effects_of(design: Design, rows: Rows) -> tuple[Effect, ...]:
    """Effects of the arm against the reference, that of the endpoint first; none if an arm has nobody.

    Times: hazard ratio (stratified as the design is), difference in restricted mean (months) and in the fraction
    without event at the landmark. Rates: their difference. Fractions of 1.
    """
    if not rows.comparable:
        return ()
    if rows.time is None:
        rate, p = rate_difference(rows.event, rows.group), primary_test(design, rows).p
        return (Effect("rate difference", rate.value, rate.low, rate.high, p, 0.0, True),)
    columns, at = (rows.time, rows.event, rows.group), landmark_months(design)
    ratio = hazard_ratio(*columns, stratum=rows.stratum)
    mean, point = _mean_difference(design, rows), landmark_difference(*columns, at)
    effects = (
        Effect("hazard ratio", ratio.value, ratio.low, ratio.high, ratio.p, 1.0, False),
        Effect("difference in restricted mean, months", mean.value, mean.low, mean.high, mean.p, 0.0, True),
        Effect(f"difference at {at:g} months", point.value, point.low, point.high, point.p, 0.0, True),
    )
    return (effects[1], effects[0], effects[2]) if design.test == "restricted_mean" else effects


def truth_of(design: Design, trials: Trials, arm: int = 1) -> Truth:
    """The effect in all simulated trials together, which must be many for it to be near the truth.

    Raises
    ------
    InputError
        If the endpoint is defined for nobody in one of the arms.
    """
    rows = rows_of(design, trials, None, arm)
    if not rows.comparable:
        raise InputError(f"endpoint = '{design.endpoint}' is defined for nobody in an arm; choose another endpoint.")
    effects = effects_of(design, rows)
    if rows.time is None:
        own, reference = (float(rows.event[rows.group == k].mean()) for k in (1, 0))
        return Truth(effects, (reference, own), math.nan, math.nan, math.nan)
    unknown = math.nan, math.nan
    if not rows.event.any():
        return Truth(effects, unknown, *[math.nan] * 3)
    split = float(np.median(rows.time[rows.event == 1]))
    past = rows.time > split
    early = hazard_ratio(np.minimum(rows.time, split), rows.event * ~past, rows.group, stratum=rows.stratum).value
    left = rows.group[past]
    both = bool(0 < left.sum() < left.size)
    late = hazard_ratio(rows.time[past], rows.event[past], left, stratum=rows.stratum[past]).value if both else math.nan
    return Truth(effects, unknown, split, early, late)


def analyse(design: Design, trials: Trials, trial: int = 0, arm: int = 1) -> Analysis:
    """Analyse one trial of those simulated, as its report would."""
    rows = rows_of(design, trials, trial, arm)
    test, proportional = primary_test(design, rows), UNTESTED
    if rows.time is not None and rows.comparable:
        proportional = proportional_hazards(rows.time, rows.event, rows.group, stratum=rows.stratum)
    until = horizon(design, rows)
    sizes = [int(np.sum(trials.arm[trial] == k)) for k in (0, arm)]
    arms = [
        _summary(design, rows, own, str(design.arms[k].name), size, until)
        for own, k, size in zip((0, 1), (0, arm), sizes, strict=True)
    ]
    return Analysis(
        arms=(arms[0], arms[1]), z=test.z, p=test.p, success=bool(test.p < design.alpha and test.z > 0),
        effects=effects_of(design, rows), proportional=proportional, landmark_months=landmark_months(design),
        restricted_months=until,
    )  # fmt: skip


def _summary(design: Design, rows: Rows, own: int, name: str, patients: int, until: float) -> ArmSummary:
    in_arm, unknown = rows.group == own, Interval(math.nan, math.nan, math.nan)
    event = rows.event[in_arm]
    n, events = event.size, int(event.sum())
    if n == 0:
        return ArmSummary(name, patients, 0, 0, unknown, unknown, unknown, None)
    if rows.time is None:
        return ArmSummary(name, patients, n, events, unknown, wilson(events, n), unknown, None)
    time = rows.time[in_arm]
    curve = kaplan_meier(time, event)
    mean = restricted_mean(time, event, until) if until > 0 else unknown
    return ArmSummary(
        name, patients, n, events, Interval(curve.median(), *curve.median_interval()),
        landmark(time, event, landmark_months(design)), Interval(mean.value, mean.low, mean.high), curve,
    )  # fmt: skip
