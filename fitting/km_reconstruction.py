"""Reconstruction of patient-level times from a digitised Kaplan-Meier curve and its numbers at risk.

The method of Guyot, Ades, Ouwens & Welton 2012 (BMC Med Res Methodol 12:9): the Kaplan-Meier equations are solved for
the deaths at each point that was read off, with as many patients censored, evenly over each interval of the table below
the picture, as make the next number at risk come out. Times share one unit, whichever it is; survival is a fraction.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError
from scipy.optimize import isotonic_regression

from ..model.statistics.survival import SurvivalCurve, kaplan_meier
from ..parameters.errors import EvidenceError, RangeError, unknown
from ..parameters.files import complain
from .observations import Curve, Observation, Role, Scenario

# The digitised curve and its numbers at risk: reading, checking, smoothing.


READING = 0.03
"""Largest error of a point, as a fraction of the axis, that passes for digitising: assumed. Repeated readings differ
by less than a hundredth (Guyot 2012); a click on the wrong side of a step errs by the step, a few hundredths."""

FEWEST_POINTS = 3


@dataclass(frozen=True, eq=False)
class Points:
    """A curve that never rises: one point per time from (0, 1) on, and one at every time of the table.

    `first` (m,) are the points at the times of the table, `at_risk` (m,) the numbers there; survival is a fraction.
    """

    times: np.ndarray
    survival: np.ndarray
    first: np.ndarray
    at_risk: np.ndarray
    largest_correction: float

    def left(self, first: int, last: int) -> float:
        """Share of those at risk just before one point whom the curve leaves just before another."""
        return float(self.survival[last - 1] / max(self.survival[max(first - 1, 0)], 1e-9))


def prepare(
    times: ArrayLike,
    survival: ArrayLike,
    at_risk_times: ArrayLike,
    at_risk: ArrayLike,
    percent: bool | None,
    where: str,
) -> Points:
    """Check what was read and make it a curve, as `km_reconstruction.reconstruct_km` says (with its errors)."""
    time, fraction = _checked_points(times, survival, percent, where)
    table, numbers = _checked_table(at_risk_times, at_risk, time[-1], where)
    unique, start = np.unique(time, return_index=True)
    lowest = np.minimum.reduceat(fraction, start)
    unique, lowest = np.append(0.0, unique[unique > 0]), np.append(1.0, lowest[unique > 0])
    level = np.clip(isotonic_regression(lowest, increasing=False).x, 0.0, 1.0)
    moved = np.abs(level - lowest)
    worst = int(np.argmax(moved))
    if moved[worst] > READING:
        raise RangeError(
            f"{where}: the survival of {lowest[worst]:.3g} at time {unique[worst]:g} belongs to a rise; a curve that "
            f"never rises differs from it by {moved[worst]:.3f}, expected at most {READING:g}."
        )
    every = np.union1d(unique, table)
    held = level[np.searchsorted(unique, every, side="right") - 1]  # a curve is flat until the next point
    points = Points(every, held, np.searchsorted(every, table), numbers, float(moved[worst]))
    _check_agreement(points, where)
    return points


def _checked_points(
    times: ArrayLike, survival: ArrayLike, percent: bool | None, where: str
) -> tuple[np.ndarray, np.ndarray]:
    time, height = np.array(times, dtype=float), np.array(survival, dtype=float)
    if time.ndim != 1 or time.shape != height.shape:
        raise RangeError(f"{where}: {time.shape} times and {height.shape} survivals; expected one of each per point.")
    if not (np.isfinite(time).all() and np.isfinite(height).all()):
        raise RangeError(f"{where}: a point has no time or no survival; expected numbers.")
    if np.unique(time[time > 0]).size < FEWEST_POINTS:
        raise RangeError(f"{where}: {time.size} points; expected at least {FEWEST_POINTS} times after 0.")
    if time.min() < 0:
        raise RangeError(f"{where}: time = {time.min():g} is negative; the curve begins at 0.")
    if (step := np.flatnonzero(np.diff(time) < 0)).size:
        a, b = time[step[0] : step[0] + 2]
        raise RangeError(f"{where}: time {b:g} comes after {a:g}; sort the points by time.")
    top = 100.0 if (height.max() > 1.5 if percent is None else percent) else 1.0
    fraction = height / top
    wrong = np.flatnonzero((fraction < -READING) | (fraction > 1.0 + READING))
    if wrong.size:
        at = wrong[0]
        raise RangeError(f"{where}: survival = {height[at]:g} at time {time[at]:g}; expected 0 to {top:g}.")
    return time, np.clip(fraction, 0.0, 1.0)


def _checked_table(
    at_risk_times: ArrayLike, at_risk: ArrayLike, last: float, where: str
) -> tuple[np.ndarray, np.ndarray]:
    table, given = np.array(at_risk_times, dtype=float), np.array(at_risk, dtype=float)
    if table.ndim != 1 or table.shape != given.shape or table.size == 0 or table[0] != 0:
        raise RangeError(f"{where}: the numbers at risk must begin with the number of patients at time 0.")
    if not np.isfinite(table).all() or np.any(np.diff(table) <= 0):
        raise RangeError(f"{where}: the times of the numbers at risk are {table.tolist()}; expected them to increase.")
    if not np.isfinite(given).all() or np.any(given != np.round(given)) or given[0] < 1 or given.min() < 0:
        raise RangeError(f"{where}: the numbers at risk are {given.tolist()}; expected whole numbers, from 1 up.")
    numbers = given.astype(int)
    if (step := np.flatnonzero(np.diff(numbers) > 0)).size:
        a, b = numbers[step[0] : step[0] + 2]
        raise RangeError(f"{where}: {b} at risk at time {table[step[0] + 1]:g} after {a} before; they cannot increase.")
    kept = (numbers > 0) | (table < last)
    table, numbers = table[kept], numbers[kept]
    if table[-1] > last * (1.0 + READING):
        raise RangeError(
            f"{where}: {numbers[-1]} at risk at time {table[-1]:g}, and the last point is at {last:g}; read the curve "
            "to its end."
        )
    return table, numbers


def _check_agreement(points: Points, where: str) -> None:
    """Of those at risk before, no more can be left than the curve leaves: a table of another arm shows here."""
    spans = zip(points.first[:-1], points.first[1:], strict=True)
    for (first, last), before, at in zip(spans, points.at_risk[:-1], points.at_risk[1:], strict=True):
        left = points.left(first, last)
        if at > before * (left + READING) + 1.0:
            raise RangeError(
                f"{where}: {at} at risk at time {points.times[last]:g}, and the curve leaves {100 * left:.0f} % of the "
                f"{before} before; are these the numbers of another arm?"
            )


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


def reconstruct_km(
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

    Returns
    -------
    Reconstruction
        `times` and `events`, arrays (patients,) in the unit of the times that were given, their `curve`, and how far it
        lies from the points (fraction).

    Raises
    ------
    RangeError
        Times not sorted or negative, survival outside 0 to 1, a rise beyond a digitising error, too few points,
        numbers at risk that increase, lie beyond the last point, or exceed what the curve leaves; more events than
        patients.

    Examples
    --------
    >>> from perdure import reconstruct_km
    >>> months, percent = [0, 1, 2, 3, 4, 6, 9, 12], [100, 95, 90, 85, 80, 70, 60, 50]
    >>> patients = reconstruct_km(months, percent, at_risk_times=[0, 6, 12], at_risk=[20, 14, 10])
    >>> patients.n, patients.curve.median()
    (20, 12.0)
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
    # patients who are left at the last point are censored there
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


# A whole Kaplan-Meier curve as evidence: each interval is one binomial result.
#
# A curve is reconstructed from its picture (Guyot 2012) and cut at the times of its numbers at risk. Of the n patients
# without an event at the beginning of an interval, those censored within it counting half, d have one: the likelihood
# of the curve is the product of these binomials, that of the life table (Cutler & Ederer 1958; Kalbfleisch & Prentice
# 2002).


FEWEST_EVENTS = 3
"""Intervals are joined until they hold so many events: assumed, so that no result rests on one click."""

MONTHS_WITHOUT_TABLE = 3.0
"""Length of the intervals where only the number of patients at month 0 is known: assumed, a usual table's step."""

EVENTS_OFF = 0.1
"""Share by which reconstructed and reported numbers of events may differ, beyond two patients: assumed."""

_SAME_PATIENTS = {
    "pfs_interval": {"pfs_median", "pfs_rate", "pfs_interval", "progression_or_death_rate"},
    "dor_interval": {"dor_median", "dor_interval", "response_duration"},
}


def read_curve(entry: dict[str, Any], number: int, file: str) -> Curve:
    """Check one [[curve]] table of an evidence file; errors as in `reported.read_study`."""
    where = f"{file}, curve '{entry['id']}'" if "id" in entry else f"{file}, curve number {number}"
    for key, choices in (("role", get_args(Role)), ("endpoint", ("pfs", "dor"))):
        if key in entry and str(entry[key]) not in choices:
            raise unknown(key, str(entry[key]), choices, where)
    try:
        curve = Curve(**entry)
    except ValidationError as error:
        raise complain(error, where, Curve.model_fields) from None
    highest = max((height for _, height in curve.points), default=0.0)
    if highest <= 1.0:
        raise EvidenceError(f"{where}: the highest point is {highest:g}; expected pairs of months and percent.")
    return curve


def reconstruct_curve(curve: Curve, where: str) -> Reconstruction:
    """Patients behind a curve, times in months.

    Raises
    ------
    EvidenceError
        As `reconstruct_km`, or if the curve implies another number of events than was reported.
    """
    (times, heights), (table, numbers) = (np.reshape(pairs, (-1, 2)).T for pairs in (curve.points, curve.at_risk))
    try:
        reconstruction = reconstruct_km(times, heights, table, numbers, events=curve.events, percent=True, where=where)
    except RangeError as problem:
        raise EvidenceError(str(problem)) from problem
    if curve.events is not None and abs(reconstruction.n_events - curve.events) > max(2.0, EVENTS_OFF * curve.events):
        raise EvidenceError(
            f"{where}: events = {curve.events}, and points and numbers at risk imply {reconstruction.n_events}; "
            "one is misread."
        )
    return reconstruction


def intervals(curve: Curve, where: str, scenario: Scenario | None = None) -> tuple[Observation, ...]:
    """The results that a curve stands for: one per interval with at least `FEWEST_EVENTS` events, `<id>_<number>`.

    `n` is the effective number at risk, to the nearest patient, `events` those of them who stay without an event.

    Raises
    ------
    EvidenceError
        As `reconstruct_curve`, or if the scenario is not followed until the end of the curve.
    """
    reconstruction = reconstruct_curve(curve, where)
    note = (
        f"{curve.note} Curve of {len(curve.points)} points, met within {100.0 * reconstruction.largest_difference:.1f} "
        f"percentage points by {reconstruction.n_events} events of {reconstruction.n} patients (Guyot 2012)."
    ).strip()
    items = []
    for start, end, n, died in _life_table(reconstruction):
        items.append(
            Observation(
                id=f"{curve.id}_{len(items) + 1}",
                rows=() if items else curve.rows,
                endpoint=f"{curve.endpoint}_interval",
                kind="proportion",
                value=100.0 * (n - died) / n,
                unit="%",
                n=n,
                events=n - died,
                from_months=start,
                time_months=end,
                note=note,
                **curve.model_dump(include={"group", "scenario", "role", "weight", "citation", "origin", "quote"}),
            )
        )
    needed = items[-1].reach_months
    if scenario is not None and (scenario.months or 0.0) < needed:
        raise EvidenceError(
            f"{where}: scenario '{scenario.name}' has months = {scenario.months}; the curve needs at least {needed:g}."
        )
    return tuple(items)


def _life_table(reconstruction: Reconstruction) -> Iterator[tuple[float, float, int, int]]:
    """Beginning, end, effective number at risk and events of each interval; an end belongs to the interval before."""
    last = float(reconstruction.times[-1])
    months = MONTHS_WITHOUT_TABLE
    at_risk_times = reconstruction.at_risk_times
    cuts = at_risk_times[1:] if at_risk_times.size > 1 else np.arange(months, last, months)
    ends = [float(cut) for cut in cuts if cut < last] + [last]
    start = -1.0
    for end in ends:
        within = (reconstruction.times > start) & (reconstruction.times <= end)
        died = int((within & reconstruction.events).sum())
        later = int((reconstruction.events & (reconstruction.times > end)).sum())
        if end < last and (died < FEWEST_EVENTS or later < FEWEST_EVENTS):
            continue
        censored = int((within & ~reconstruction.events & (reconstruction.times < end)).sum())
        # a half is rounded to the even number: no bias over intervals
        n = round((reconstruction.times > start).sum() - 0.5 * censored)
        yield max(start, 0.0), end, max(n, died, 1), died
        start = end


def check_counted_once(curves: Mapping[str, tuple[Observation, ...]], items: Iterable[Observation], file: str) -> None:
    """Refuse a fitted curve (its intervals, by its id) beside a fitted item or curve of the same patients."""
    every = [(item.id, item) for item in items] + [(name, own[0]) for name, own in curves.items()]
    for name, (first, *_) in curves.items():
        for other, item in every:
            same = item.scenario == first.scenario and _group(item) == _group(first)
            about = item.endpoint in _SAME_PATIENTS[first.endpoint]
            if other != name and same and about and item.role == first.role == "fit":
                raise EvidenceError(
                    f"{file}, curve '{name}': role = 'fit', and so is '{other}' of the same patients, who would count "
                    "twice; give one of them role = 'check'."
                )


def _group(item: Observation) -> str:
    """Whom a result is about; the duration of response is always about responders."""
    return "" if item.endpoint in _SAME_PATIENTS["dor_interval"] and item.group == "responders" else item.group
