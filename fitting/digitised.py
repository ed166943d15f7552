"""Points and numbers at risk as they were read off a picture of a Kaplan-Meier curve: reading, checking, smoothing."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from ..parameters.errors import FileError, RangeError
from ..parameters.files import read_text

READING = 0.03
"""Largest error of a point, as a fraction of the axis, that passes for digitising: assumed. Repeated readings differ
by less than a hundredth (Guyot 2012); a click on the wrong side of a step errs by the step, a few hundredths."""

FEWEST_POINTS = 3


class Digitised(NamedTuple):
    """What was read off a picture: points of the curve, and the table of numbers at risk below it."""

    times: np.ndarray
    survival: np.ndarray
    at_risk_times: np.ndarray
    at_risk: np.ndarray


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
    """Check what was read and make it a curve, as `km_reconstruction.reconstruct` says (with its errors)."""
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


def read_digitised(points_csv: Path | str, at_risk_csv: Path | str) -> Digitised:
    """Read what a digitising tool wrote: a CSV `time,survival` and a CSV `time,at_risk`, further columns left alone.

    `reconstruct(*read_digitised("curve.csv", "at_risk.csv"))` does the rest.

    Raises
    ------
    FileError
        A file that is missing, empty, lacks a column or holds something else than numbers: with its line.
    """
    return Digitised(*_columns(points_csv, "time", "survival"), *_columns(at_risk_csv, "time", "at_risk"))


def _columns(path: Path | str, *names: str) -> tuple[np.ndarray, ...]:
    name = Path(path).name
    lines = list(csv.reader(read_text(path).splitlines()))
    heads = [head.strip().lower() for head in lines[0]] if lines else []
    if missing := [column for column in names if column not in heads]:
        raise FileError(f"{name}: no column '{missing[0]}' in its first line; expected {','.join(names)}.")
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            rows.append([float(cells[heads.index(column)]) for column in names])
        except (ValueError, IndexError):
            raise FileError(f"{name}, line {number}: {','.join(cells)} is wrong; expected {','.join(names)}.") from None
    if not rows:
        raise FileError(f"{name}: holds no line of numbers.")
    return tuple(np.array(rows).T)


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
