"""What a survival picture draws: curves with their bands, reported points, panels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...parameters.errors import InputError, RangeError
from .checks import FloatArray, Numbers, check_rising, check_within, numbers


@dataclass(frozen=True)
class ReportedPoint:
    """A reported survival probability with its interval; fractions of 1, months since the same origin as the curve."""

    months: float
    value: float
    low: float
    high: float
    label: str


@dataclass(frozen=True, eq=False)
class CurveToDraw:
    """One survival curve.

    Parameters
    ----------
    times, survival
        The steps: months, rising, and the fraction (0 to 1) still event-free from each of them on.
    at_risk
        Patients still followed just before a time: a function of months, or one count for each of `at_risk_times`.
        Between two of those the count of the later one holds, so give every time at which somebody leaves.
    censor_times
        Months at which patients were censored; a tick each.
    band_times, parameter_low, parameter_high
        What the posterior leaves open about the curve: the filled band.
    sample_low, sample_high
        Sampling error of a trial of `trial_size` patients, also on `band_times`: thin dashed lines.
    median, median_interval
        Months; not a finite number where it is not reached.
    last_patient
        Months at which the last patient left. If not given it follows from `at_risk`, else from the steps and ticks.
    """

    label: str
    times: Numbers
    survival: Numbers
    at_risk: Callable[[FloatArray], Numbers] | Numbers | None = None
    at_risk_times: Numbers | None = None
    censor_times: Numbers = ()
    band_times: Numbers = ()
    parameter_low: Numbers | None = None
    parameter_high: Numbers | None = None
    sample_low: Numbers | None = None
    sample_high: Numbers | None = None
    trial_size: int | None = None
    median: float | None = None
    median_interval: tuple[float, float] | None = None
    reported: Sequence[ReportedPoint] = ()
    last_patient: float | None = None

    def __post_init__(self) -> None:
        where = f"survival curve '{self.label}'"
        times = check_rising(numbers(self.times, "times", where, finite=True), "times", where)
        check_within(times, 0, math.inf, "times", where)
        survival = numbers(self.survival, "survival", where, like=times, finite=True)
        check_within(survival, 0, 1, "survival", where)
        if np.any(np.diff(survival) > 1e-9):
            index = int(np.flatnonzero(np.diff(survival) > 1e-9)[0]) + 1
            raise RangeError(
                f"{where}: survival[{index}] = {survival[index]:g} is above the one before; it cannot rise."
            )
        band_times = check_rising(numbers(self.band_times, "band_times", where, finite=True), "band_times", where)
        for low, high in (("parameter_low", "parameter_high"), ("sample_low", "sample_high")):
            if (getattr(self, low) is None) != (getattr(self, high) is None):
                raise InputError(f"{where}: give {low} and {high} together, or neither.")
            for name in (low, high):
                if getattr(self, name) is not None:
                    check_within(numbers(getattr(self, name), name, where, like=band_times), 0, 1, name, where)
        if self.sample_low is not None and self.trial_size is None:
            raise InputError(f"{where}: sample_low and sample_high need trial_size, the patients of that trial.")
        numbers(self.censor_times, "censor_times", where, finite=True)
        if self.at_risk is not None and not callable(self.at_risk):
            if self.at_risk_times is None:
                raise InputError(f"{where}: at_risk is a row of counts, so at_risk_times must say when.")
            moments = numbers(self.at_risk_times, "at_risk_times", where, finite=True)
            check_rising(moments, "at_risk_times", where)
            numbers(self.at_risk, "at_risk", where, like=moments, finite=True)

    def steps(self, horizon: float) -> tuple[FloatArray, FloatArray]:
        """Months and fractions to draw: from (0, 1) to the last patient or the horizon, whichever comes first."""
        end = min(self.end(), horizon)
        times, survival = np.asarray(self.times, dtype=float), np.asarray(self.survival, dtype=float)
        kept = times <= end
        times, survival = np.append(0.0, times[kept]), np.append(1.0, survival[kept])
        return np.append(times, end), np.append(survival, survival[-1])

    def survival_at(self, months: FloatArray) -> FloatArray:
        """Fraction event-free at each time (the step that holds from that time on)."""
        index = np.searchsorted(np.asarray(self.times, dtype=float), months, side="right")
        return np.append(1.0, np.asarray(self.survival, dtype=float))[index]

    def at_risk_at(self, months: FloatArray) -> FloatArray | None:
        """Patients still followed just before each time; None if the curve came without them."""
        if self.at_risk is None:
            return None
        if callable(self.at_risk):
            return np.asarray(self.at_risk(months), dtype=float)
        index = np.searchsorted(np.asarray(self.at_risk_times, dtype=float), months, side="left")
        return np.append(np.asarray(self.at_risk, dtype=float), 0.0)[index]

    def end(self) -> float:
        """Months at which the last patient left."""
        if self.last_patient is not None:
            return self.last_patient
        moments = np.concatenate([[0.0], np.asarray(self.times, float), np.asarray(self.censor_times, float)])
        if self.at_risk is not None and not callable(self.at_risk):
            moments = np.append(moments, np.asarray(self.at_risk_times, dtype=float))
        counts = self.at_risk_at(moments)
        return float(moments.max() if counts is None else moments[counts > 0].max(initial=0.0))

    def median_text(self) -> str:
        """The median in one line and its interval in the next; empty if none was given."""
        if self.median is None:
            return ""
        words = f"median {_months_text(self.median)}" + (" mo" if math.isfinite(self.median) else "")
        if self.median_interval is not None:
            low, high = self.median_interval
            words += f"\n({_months_text(low)} to {_months_text(high)})"
        return words


@dataclass(frozen=True, eq=False)
class SurvivalPanel:
    """One set of axes of a grid."""

    title: str
    curves: Sequence[CurveToDraw]


def _months_text(months: float) -> str:
    return f"{months:.1f}" if math.isfinite(months) else "NR"
