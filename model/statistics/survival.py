"""Survival statistics of weighted virtual patients.

A virtual patient may stand in several rows, one for each branch of its future, weighted by the probability of that
branch. Weights multiplied by ten move no curve and no band. The sample size behind a band is Kish's effective size of
the rows or `patients`, the number of patients of the trial whose band is wanted. Kish's size takes every row for a
person of its own, so give `patients` whenever patients are split into branches. With weights of one all of it is the
textbook estimate. Rows of weight zero are left out. Times share one unit, whichever it is. Bad input: `InputError`.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...parameters.errors import RangeError
from .checks import check, columns, half_width

# A step that should end at one half can end at 0.5000000000000001, and the median must not jump to the next event.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """A Kaplan-Meier curve with its pointwise confidence band; times in one unit, months where a trial is reported.

    The curve is not defined after `followed_until`, unless it ended at zero.

    Attributes
    ----------
    times, survival : array (times,)
        Zero and the distinct event times; the fraction without an event from each of them on.
    n
        Sample size of the band.
    n_events
        Events, in the unit of the weights, or as in a cohort of `patients` where that was given.
    censor_times : array (censored,)
        Distinct times at which somebody is censored.
    followed_until
        Last time in the data.
    level
        Pointwise coverage of the band.
    """

    times: np.ndarray
    survival: np.ndarray
    n: float
    n_events: float
    censor_times: np.ndarray
    followed_until: float
    level: float
    _row_times: np.ndarray = field(repr=False)  # every distinct time of the data, with the counts at it
    _died: np.ndarray = field(repr=False)
    _followed: np.ndarray = field(repr=False)
    _rows_size: float = field(repr=False)

    @cached_property
    def low(self) -> np.ndarray:
        """Lower bound at `times`: log-log scale (Kalbfleisch & Prentice 1980), variance of Greenwood (1926)."""
        return self._bound(1.0)

    @cached_property
    def high(self) -> np.ndarray:
        """Upper bound at `times`; where the curve is zero, the last upper bound before."""
        return self._bound(-1.0)

    def _bound(self, sign: float) -> np.ndarray:
        """S^exp(+-z se/|log S|), computed when first asked for: most curves of a calibration never need it."""
        step = self._died > 0
        died, followed = self._died[step], self._followed[step]
        with np.errstate(divide="ignore"):
            greenwood = np.cumsum(died / (followed * (followed - died))) * (self._followed[0] / self.n)
        variance = np.concatenate((np.zeros(self.times.size - greenwood.size), greenwood))
        inner = (self.survival > 0) & (self.survival < 1)
        log_survival = np.log(self.survival[inner])
        width = half_width("kaplan_meier", self.level) * np.sqrt(variance[inner]) / -log_survival
        bound = np.ones(self.times.size)
        bound[inner] = np.exp(log_survival * np.exp(sign * width))
        if self.survival[-1] == 0:  # here the variance is infinite: the last upper bound that exists is carried on
            bound[-1] = 0.0 if sign > 0 else bound[-2:][0]
        return _frozen(bound)

    def at(self, time: ArrayLike) -> Any:
        """Fraction without an event at one time or at several.

        Returns
        -------
        float or array
            From 0 to 1, shaped like `time`; NaN where nobody was followed that long.
        """
        return self._step(self.survival, time)

    def interval_at(self, time: ArrayLike) -> tuple[Any, Any]:
        """Lower and upper bound at one time or at several.

        Returns
        -------
        tuple of float or array
            Fractions from 0 to 1, each shaped like `time`; NaN where nobody was followed that long.
        """
        return self._step(self.low, time), self._step(self.high, time)

    def _step(self, heights: np.ndarray, time: ArrayLike) -> float | np.ndarray:
        moments = _moments(time)
        index = np.searchsorted(self.times, moments, side="right") - 1
        values = np.where(index < 0, 1.0, heights[index])
        if self.survival[-1] > 0:
            values = np.where(moments > self.followed_until, np.nan, values)
        return float(values) if values.ndim == 0 else values

    def quantile(self, q: float) -> float:
        """First time by which a fraction `q` has had the event.

        Returns
        -------
        float
            In the unit of the times; infinite if it is never reached.
        """
        check("quantile", "q", q, 0 <= q <= 1, "between 0 and 1")
        return self._first_at_or_below(self.survival, 1.0 - q)

    def median(self) -> float:
        """First time at which the curve is at or below one half.

        Returns
        -------
        float
            In the unit of the times; infinite if it is never reached.
        """
        return self._first_at_or_below(self.survival, 0.5)

    def median_interval(self) -> tuple[float, float]:
        """Where each bound of the band reaches one half (Brookmeyer & Crowley 1982, log-log).

        Returns
        -------
        tuple of float
            Lower and upper bound, in the unit of the times; infinite if never.
        """
        return self._first_at_or_below(self.low, 0.5), self._first_at_or_below(self.high, 0.5)

    def _first_at_or_below(self, heights: np.ndarray, height: float) -> float:
        reached = np.flatnonzero(heights <= height + ROUNDING)
        return float(self.times[reached[0]]) if reached.size else math.inf

    def smooth_median(self) -> float:
        """Median that is continuous in the event times, for optimisers.

        The steps are interpolated linearly: the result is the mean of the quantiles within half an average row on
        either side of one half. Without censoring and with equal weights that is the sample median, also when event
        times meet. An event that passes a censoring time still moves the curve itself by a jump.

        Returns
        -------
        float
            In the unit of the times; infinite where `median` is.
        """
        half = min(0.5 / self._rows_size, 0.5 - float(self.survival[-1]))
        if half < ROUNDING:
            return self.median()
        before = np.concatenate(([1.0], self.survival[:-1]))
        share = np.maximum(np.minimum(before, 0.5 + half) - np.maximum(self.survival, 0.5 - half), 0.0)
        return float(share @ self.times / share.sum())

    def restricted_mean(self, until: float) -> float:
        """Mean time without event up to `until`: the area under the curve, which must be followed that long.

        `restricted_mean.restricted_mean` says how sure it is, for patients without weights.

        Returns
        -------
        float
            In the unit of the times.

        Raises
        ------
        RangeError
            If nobody was followed until then.
        """
        right = 0 <= until < math.inf and (until <= self.followed_until or self.survival[-1] == 0)
        check("restricted_mean", "until", until, right, f"between 0 and the last follow-up at {self.followed_until:g}")
        return float(self.survival @ np.diff(np.minimum(np.append(self.times, until), until)))

    def at_risk(self, times: ArrayLike) -> np.ndarray:
        """Weighted number still followed just before each time (own time >= t), as R and SAS count it.

        Returns
        -------
        array
            Shaped like `times`, in the unit of the weights, or as in a cohort of `patients`.
        """
        return np.append(self._followed, 0.0)[np.searchsorted(self._row_times, _moments(times), side="left")]


def kaplan_meier(
    time: ArrayLike,
    event: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    patients: float | None = None,
    level: float = 0.95,
) -> SurvivalCurve:
    """Kaplan-Meier curve of weighted rows (Kaplan & Meier 1958).

    Its band is on the log-log scale (Kalbfleisch & Prentice 1980) with the variance of Greenwood (1926).

    Parameters
    ----------
    time
        Time of the event or of censoring by row, in any one unit.
    event
        1 or True for an event, 0 or False for censoring.
    weight
        Weight of every row, such as the probability of a branch; 1 by default.
    patients
        Sample size of the band, such as that of the trial to be compared with; without it the effective size of the
        rows (Kish 1965).
    level
        Pointwise coverage of the band.

    Returns
    -------
    SurvivalCurve
        Fraction without an event, in the unit of `time`.

    Raises
    ------
    InputError
        If the columns are not lists of numbers of one length.
    RangeError
        If a time or weight is negative or not finite, an event is not 0 or 1, no row has a weight, or `patients` or
        `level` is out of its range.

    Examples
    --------
    >>> from perdure import kaplan_meier
    >>> curve = kaplan_meier([2.0, 5.0, 8.0, 12.0], [1, 0, 1, 0])
    >>> curve.at(6.0), curve.median()
    (0.75, 8.0)
    >>> curve.at_risk([0, 6, 12]).tolist()
    [4.0, 2.0, 1.0]
    """
    where = "kaplan_meier"
    check(where, "patients", patients or 0.0, patients is None or 0 < patients < math.inf, "finite and more than 0")
    times, events, weights = columns(where, time=time, event=event, weight=weight)
    rows_size = effective_size(weights)
    size = float(patients or rows_size)
    half_width(where, level)  # says so if the level is none, which the band, drawn later, would not
    counts = weights if patients is None else weights * (size / weights.sum())
    row_times, died, censored, followed = life_table(times, events, counts)
    step = np.flatnonzero(died)
    event_times, survival = row_times[step], np.cumprod(1.0 - died[step] / followed[step])
    if event_times.size == 0 or event_times[0] > 0:
        event_times, survival = np.concatenate(([0.0], event_times)), np.concatenate(([1.0], survival))
    return SurvivalCurve(
        times=_frozen(event_times),
        survival=_frozen(survival),
        n=size,
        n_events=float(died.sum()),
        censor_times=_frozen(row_times[censored > 0]),
        followed_until=float(row_times[-1]),
        level=level,
        _row_times=_frozen(row_times),
        _died=_frozen(died),
        _followed=_frozen(followed),
        _rows_size=rows_size,
    )


def weighted_quantile(values: ArrayLike, q: float, weight: ArrayLike | None = None) -> float:
    """Quantile of the weighted empirical distribution; where that is flat at `q`, the middle of the flat piece.

    With equal weights it is type 2 of Hyndman & Fan 1996, the usual median included. Infinite values are allowed.
    """
    heights, weights = columns("weighted_quantile", values=values, weight=weight)
    check("weighted_quantile", "q", q, 0 <= q <= 1, "between 0 and 1")
    order = np.argsort(heights, kind="stable")
    heights, share = heights[order], np.cumsum(weights[order]) / weights.sum()
    first, last = np.minimum(np.searchsorted(share, (q - ROUNDING, q + ROUNDING)), heights.size - 1)
    return float((heights[first] + heights[last]) / 2)


def effective_size(weight: ArrayLike) -> float:
    """Number of equally weighted rows that carry as much information: (sum w)^2 / sum w^2 (Kish 1965)."""
    (weights,) = columns("effective_size", weight=weight)
    relative = weights / weights.max()
    return float(relative.sum() ** 2 / (relative @ relative))


def life_table(times: np.ndarray, events: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Distinct times in order, and at each the events, the censorings and the number still followed just before."""
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    died = np.add.reduceat((counts * events)[order], starts)
    censored = np.add.reduceat((counts * (1.0 - events))[order], starts)
    # Summed from the end, so that the last risk set is exactly its own events and a curve can end at exactly zero.
    return ordered[starts], died, censored, np.cumsum((died + censored)[::-1])[::-1]


def _frozen(values: np.ndarray) -> np.ndarray:
    values.setflags(write=False)
    return values


def _moments(times: ArrayLike) -> np.ndarray:
    moments = np.asarray(times, dtype=float)
    if np.isnan(moments).any():
        raise RangeError(f"survival curve: it was asked for at {times!r:.60}, and the times should be numbers")
    return moments
