"""Cox proportional hazards for two groups, and a test of proportionality."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...parameters.errors import InputError, RangeError, unknown
from .checks import RiskTable, Test, columns, half_width, risk_table, strata, tested, two_sided
from .survival import life_table

TIES = ("efron", "breslow")
TRANSFORMS = ("km", "rank", "identity", "log")


@dataclass(frozen=True)
class HazardRatio:
    """Hazard of group 1 over that of group 0, its interval, the standard error of its logarithm, and Wald's test.

    `z` is positive when the hazard of group 1 is higher. Where the ratio is 0 or infinite the error is infinite, the
    interval is everything, and `z` and `p` are NaN: Wald's test says nothing there, the log-rank test does. Of weighted
    rows everything but the ratio is NaN: weights do not tell how many patients there are.
    """

    value: float
    low: float
    high: float
    log_se: float
    z: float
    p: float


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """The partial likelihood where both groups are followed.

    `ratio` (rows,) is the number at risk in group 1 over that in group 0, `first` (times,) the first row of each time,
    `died_0`, `died_1` and `time` (times,) what the times are. After Efron there is one row for each event, and `events`
    is None; after Breslow one for each time, with `events` (rows,) of them.
    """

    ratio: np.ndarray
    first: np.ndarray
    died_0: np.ndarray
    died_1: np.ndarray
    time: np.ndarray
    events: np.ndarray | None = None

    def share(self, log_ratio: float) -> np.ndarray:
        """Probability (rows,) that an event falls in group 1."""
        odds = self.ratio * math.exp(log_ratio)
        return odds / (1.0 + odds)

    # Rows of one event are summed as they are: a product with ones would be rounded in another order.
    def expected(self, share: np.ndarray) -> float:
        """Events expected in group 1."""
        return float(share.sum() if self.events is None else self.events @ share)

    def information(self, share: np.ndarray) -> float:
        """Minus the second derivative of the logarithm of the likelihood by that of the ratio."""
        return float(share @ (1.0 - share) if self.events is None else self.events @ (share * (1.0 - share)))


def hazard_ratio(
    time: ArrayLike,
    event: ArrayLike,
    group: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    stratum: ArrayLike | None = None,
    ties: str = "efron",
    level: float = 0.95,
) -> HazardRatio:
    """Hazard ratio of group 1 to group 0 by partial likelihood (Cox 1972), with its interval after Wald.

    Parameters
    ----------
    time, event, group
        Columns (n,): times in one unit, 1 for an event and 0 for censoring, 0 and 1 for the groups.
    weight
        Weights of the rows (n,), such as probabilities of the futures of a virtual patient; they want `ties` 'breslow'.
    stratum
        Labels (n,); strata have baseline hazards of their own.
    ties
        'efron' (Efron 1977): of d events at one time the l-th sees l/d of them gone, near the exact likelihood also
        where ties are many. 'breslow' (Breslow 1974): each of them sees all the others, which is defined for events
        that weigh less than one, and draws the ratio towards 1. Without ties they are one likelihood.
    level
        Coverage of the interval.

    Returns
    -------
    HazardRatio
        The ratio is 0 or infinite if all events with both groups still followed fall in one group, and NaN if there are
        none.

    Raises
    ------
    InputError, RangeError
        For columns or a level that are not right, and for weights with ties after Efron.
    UnknownNameError
        For another way with ties.
    """
    where = "hazard_ratio"
    if ties not in TIES:
        raise unknown("way with ties", ties, TIES, where)
    if weight is not None and ties == "efron":
        raise InputError(f"{where}: ties = 'efron' counts whole patients, and rows with weights need ties = 'breslow'.")
    times, events, groups, weights = columns(where, time=time, event=event, group=group, weight=weight)
    codes = strata(where, stratum, np.size(time))
    width = half_width(where, level)
    if weight is not None:
        codes = codes[np.asarray(weight) > 0]
    if ties == "efron":
        likelihood = _efron(risk_table(times, events, groups, codes))
    else:
        likelihood = _breslow(times, events, groups, weights, codes)
    log_ratio, log_se = _most_likely(likelihood)
    if math.isnan(log_ratio):
        return HazardRatio(*[math.nan] * 6)
    value = math.exp(log_ratio)
    if weight is not None:
        return HazardRatio(value, *[math.nan] * 5)
    if math.isinf(log_ratio):
        return HazardRatio(value, 0.0, math.inf, math.inf, math.nan, math.nan)
    z = log_ratio / log_se
    ends = math.exp(log_ratio - width * log_se), math.exp(log_ratio + width * log_se)
    return HazardRatio(value, *ends, log_se, z, two_sided(z))


def proportional_hazards(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, *, stratum: ArrayLike | None = None, transform: str = "km"
) -> Test:
    """Score test that the hazard ratio changes with a function of time (Grambsch & Therneau 1994).

    Columns as in `hazard_ratio`, ties after Efron. `transform` is that function: 'km' one minus the left-continuous
    Kaplan-Meier curve of all patients, 'rank' the rank among the event times (ties: the mean rank), 'identity' the
    time, 'log' its logarithm.
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
    return _Likelihood(left_1 / left_0, first, died - died_1, died_1, table.time[both])


def _breslow(
    times: np.ndarray, events: np.ndarray, groups: np.ndarray, weights: np.ndarray, codes: np.ndarray
) -> _Likelihood:
    """One row per time: all that are tied see the same numbers at risk (Breslow 1974)."""
    columns_of_strata: list[tuple[np.ndarray, ...]] = []
    for code in range(int(codes.max()) + 1):
        own = codes == code
        time, died_0, _, at_risk_0 = life_table(times[own], events[own], (weights * (1.0 - groups))[own])
        _, died_1, _, at_risk_1 = life_table(times[own], events[own], (weights * groups)[own])
        both = (at_risk_0 > 0) & (at_risk_1 > 0)
        ratio = at_risk_1[both] / at_risk_0[both]
        columns_of_strata.append((ratio, died_0[both], died_1[both], (died_0 + died_1)[both], time[both]))
    ratio, died_0, died_1, died, time = (np.concatenate(parts) for parts in zip(*columns_of_strata, strict=True))
    return _Likelihood(ratio, np.arange(time.size), died_0, died_1, time, died)


def _most_likely(likelihood: _Likelihood) -> tuple[float, float]:
    """Logarithm of the most likely ratio and its standard error, by Newton's method with steps of at most one."""
    total_0, total_1 = float(likelihood.died_0.sum()), float(likelihood.died_1.sum())
    if total_0 == 0 or total_1 == 0:
        return (math.nan, math.nan) if total_0 == total_1 else (-math.inf if total_1 == 0 else math.inf, math.inf)
    log_ratio = 0.0
    for _ in range(200):
        share = likelihood.share(log_ratio)
        newton = (total_1 - likelihood.expected(share)) / likelihood.information(share)
        # The information changes at most e-fold over a step of one, so that every step of at most one goes uphill.
        log_ratio += min(max(newton, -1.0), 1.0)
        if abs(newton) < 1e-12:
            break
    return log_ratio, 1.0 / math.sqrt(likelihood.information(likelihood.share(log_ratio)))


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
