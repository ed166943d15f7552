"""From a picture to numbers: patient-level times from a digitised Kaplan-Meier curve and its numbers at risk.

The method of Guyot, Ades, Ouwens & Welton 2012 (BMC Med Res Methodol 12:9): the Kaplan-Meier equations are solved for
the deaths at each point that was read off, with as many patients censored, evenly over each interval of the table below
the picture, as make the next number at risk come out. Times share one unit, whichever it is; survival is a fraction.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..model.survival import SurvivalCurve, kaplan_meier
from ..parameters.errors import RangeError
from .digitised import Points, prepare

MOST_STEPS = 100
"""Corrections of the number censored in one interval: a few are enough, unless two numbers alternate."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Patients as a digitised Kaplan-Meier curve implies them, one element each, sorted by time.

    Attributes
    ----------
    times, events
        Arrays (n,): time of the event or of censoring, and whether it was an event.
    at_risk_times, at_risk
        The table below the picture as the reconstruction has it: patients with at least that time.
    largest_correction
        By how much a point was moved at most so that the curve never rises (fraction).
    largest_difference, rms_difference
        Between these patients' Kaplan-Meier curve and the points, after that correction (fraction).
    """

    times: np.ndarray
    events: np.ndarray
    at_risk_times: np.ndarray
    at_risk: np.ndarray
    largest_correction: float
    largest_difference: float
    rms_difference: float

    @property
    def n(self) -> int:
        """Number of patients."""
        return self.times.size

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self.events.sum())

    @cached_property
    def curve(self) -> SurvivalCurve:
        """Kaplan-Meier curve of the reconstructed patients."""
        return kaplan_meier(self.times, self.events)


@dataclass(frozen=True, eq=False)
class _Walk:
    """An interval solved for its deaths: patients and survival left at its end, deaths by point, censoring times."""

    n: int
    survival: float
    died: np.ndarray
    censored: np.ndarray


def reconstruct(
    times: ArrayLike,
    survival: ArrayLike,
    at_risk_times: ArrayLike,
    at_risk: ArrayLike,
    *,
    events: int | None = None,
    percent: bool | None = None,
    where: str = "digitised curve",
) -> Reconstruction:
    """Patient-level times and events behind a digitised Kaplan-Meier curve (Guyot 2012).

    Of several points at one time the lowest counts, (0, 1) is added, and points that rise are replaced by their means
    (isotonic regression, Barlow 1972). A number at risk that the curve does not allow, by a patient or two, is lowered.

    Parameters
    ----------
    times, survival
        Points (k,) in order of time, read at every step, best at both ends; fractions or percentages.
    at_risk_times, at_risk
        The table below the picture (m,), from the number of patients at time 0 on. Zeros at its end add nothing.
    events
        Total number of events, if it was reported. It decides how many are censored after the last number at risk;
        without it they are as many per time as before. If the table already uses up the total, none is added (Guyot).
    percent
        Whether `survival` is in percent; by itself: if a value is above 1.5.
    where
        What an error message calls the curve.

    Raises
    ------
    RangeError
        Times not sorted or negative, survival outside 0 to 1, a rise beyond a digitising error, too few points,
        numbers at risk that increase, lie beyond the last point, or exceed what the curve leaves; more events than
        patients.
    """
    points = prepare(times, survival, at_risk_times, at_risk, percent, where)
    numbers = points.at_risk
    if events is not None and not 0 <= events <= numbers[0]:
        raise RangeError(f"{where}: events = {events} of {numbers[0]} patients; expected 0 to {numbers[0]}.")
    walks: list[_Walk] = []
    n, height = int(numbers[0]), 1.0
    for start, end, target in zip(points.first[:-1], points.first[1:], numbers[1:], strict=True):
        walks.append(_to_target(points, (int(start), int(end)), n, height, int(target)))
        n, height = walks[-1].n, walks[-1].survival
    walks.append(_to_the_end(points, walks, n, height, events))
    return _collected(points, walks)


def _to_target(points: Points, span: tuple[int, int], n: int, height: float, target: int) -> _Walk:
    """Number censored within an interval such that `target` are at risk at its end (steps 1 to 5 of Guyot 2012)."""
    censored = max(_whole(n * points.left(*span) - target), 0)
    best = None
    for _ in range(MOST_STEPS):
        walk = _walk(points, span, n, height, censored)
        excess = walk.n - target
        if best is None or abs(excess) < abs(best.n - target):
            best = walk
        if excess == 0 or (excess < 0 and censored == 0):
            break
        censored = max(censored + excess, 0)
    return best or _walk(points, span, n, height, 0)


def _to_the_end(points: Points, walks: list[_Walk], n: int, height: float, events: int | None) -> _Walk:
    """The part after the last number at risk (steps 6 and 7): censoring as before, or as the event total asks.

    Without a total somebody is left to the end, since the curve was drawn so far.
    """
    span = (int(points.first[-1]), points.times.size)
    before, ahead = points.times[span[0]], points.times[-1] - points.times[span[0]]
    rate = sum(walk.censored.size for walk in walks) / before if before > 0 else 0.0
    censored = min(_whole(rate * ahead), n)
    if events is None:
        while (walk := _walk(points, span, n, height, censored)).n == 0 and not walk.died[-1] and censored:
            censored -= 1
        return walk
    wanted = events - sum(int(walk.died.sum()) for walk in walks)
    if wanted <= 0:
        return _Walk(n, height, np.zeros(span[1] - span[0], dtype=int), np.zeros(0))
    best = _walk(points, span, n, height, censored)
    walk = best
    for _ in range(MOST_STEPS):
        excess = int(walk.died.sum()) - wanted
        if excess == 0 or (excess < 0 and censored == 0):
            break
        censored = min(max(censored + excess, 0), n)
        walk = _walk(points, span, n, height, censored)
        if abs(int(walk.died.sum()) - wanted) < abs(int(best.died.sum()) - wanted):
            best = walk
    return best


def _walk(points: Points, span: tuple[int, int], n: int, height: float, censored: int) -> _Walk:
    """Solve the Kaplan-Meier equations for the deaths at each point, so many being censored evenly in between."""
    first, last = span
    start, end = points.times[first], points.times[min(last, points.times.size - 1)]
    lost = start + (end - start) * np.arange(1, censored + 1) / (censored + 1)
    after = np.bincount(np.searchsorted(points.times[first:last], lost, side="right") - 1, minlength=last - first)
    died = np.zeros(last - first, dtype=int)
    gone = 0
    for k in range(last - first):
        if n and height > 0.0:
            died[k] = min(max(_whole(n * (1.0 - points.survival[first + k] / height)), 0), n)
            height *= 1.0 - died[k] / n
        leave = min(int(after[k]), n - int(died[k]))
        n, gone = n - int(died[k]) - leave, gone + leave
    return _Walk(n, height, died, lost[:gone])


def _collected(points: Points, walks: list[_Walk]) -> Reconstruction:
    died = np.concatenate([walk.died for walk in walks])
    deaths = np.repeat(points.times, died)
    # whoever is left at the last point is censored there
    censored = np.concatenate([*(walk.censored for walk in walks), np.full(walks[-1].n, points.times[-1])])
    times = np.concatenate([deaths, censored])
    events = np.concatenate([np.ones(deaths.size, dtype=bool), np.zeros(censored.size, dtype=bool)])
    order = np.lexsort((~events, times))  # an event comes before a censoring of the same time
    curve = kaplan_meier(times, events)
    step = np.searchsorted(curve.times, points.times, side="right") - 1
    difference = np.abs(curve.survival[step] - points.survival)
    table = points.times[points.first]
    arrays = times[order], events[order], table, np.array([(times >= time).sum() for time in table])
    for array in arrays:
        array.setflags(write=False)
    rms = float(np.sqrt(np.mean(difference**2)))
    return Reconstruction(*arrays, points.largest_correction, float(difference.max()), rms)


def _whole(number: float) -> int:
    """Nearest whole number, halves up."""
    return math.floor(number + 0.5)
