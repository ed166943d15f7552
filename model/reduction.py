"""What is kept of a cohort that is too large to be held: reductions that are made while it is simulated.

A reduction turns the time courses of some patients into a few small arrays, where they were simulated, and puts these
together in the order of the patients. So its result has the same bits however the cohort was divided and whoever
simulated the parts. Patients that could not be integrated are left out of means and quantiles; their number is stated
with the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..parameters.errors import InputError, SimulationError
from ..parameters.patients import Draws
from .solution import Solution

BLOCK = 64
"""Patients that are summed at a time; parts of a cohort begin at multiples of it."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some consecutive patients of a cohort with their time courses; `first` is the number of the first one."""

    first: int
    patients: Mapping[str, np.ndarray]
    draws: Draws
    solution: Solution

    @property
    def usable(self) -> np.ndarray:
        """Who could be integrated: array (n,)."""
        return np.isfinite(self.solution.eradication)

    def course(self, name: str, days: Sequence[float]) -> np.ndarray:
        """An observable on some of the recorded days: array (n, days)."""
        return self.solution[name][:, np.searchsorted(self.solution.times, days)]

    def recorded(self, days: np.ndarray) -> Solution:
        """The solution as if it had been recorded on these days only."""
        if len(days) == len(self.solution.times):
            return self.solution
        rows = np.searchsorted(self.solution.times, days)
        return replace(self.solution, times=days, courses=self.solution.courses[:, rows])


class Running(Protocol):
    """The result of a reduction while parts are added to it."""

    def add(self, first: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Add what `reduce` returned for the patients from number `first` on; parts come in their order."""
        ...

    def result(self) -> Any:
        """The result, when all parts have been added."""
        ...


class Reduction(Protocol):
    """What is kept of a cohort. A frozen value, because it is sent to where patients are simulated."""

    @property
    def days(self) -> Sequence[float] | np.ndarray:
        """Days that have to be recorded."""
        ...

    def reduce(self, part: Part) -> dict[str, np.ndarray]:
        """What is kept of a part."""
        ...

    def begin(self, n: int) -> Running:
        """A result without patients, for a cohort of `n`."""
        ...


@dataclass(frozen=True)
class Courses:
    """Chosen observables on chosen days, of every patient: arrays (n, days) by name, with seven digits.

    They need 4 bytes per patient, observable and day, and are NaN for patients that could not be integrated.
    """

    names: tuple[str, ...]
    days: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the names and the days."""
        _check(self)

    def reduce(self, part: Part) -> dict[str, np.ndarray]:
        """The observables as they are."""
        return {name: part.course(name, self.days).astype(np.float32) for name in self.names}

    def begin(self, n: int) -> "_Rows":
        """Rows to be filled."""
        return _Rows({name: np.empty((n, len(self.days)), dtype=np.float32) for name in self.names})


class _Rows:
    def __init__(self, rows: dict[str, np.ndarray]) -> None:
        self.rows = rows

    def add(self, first: int, arrays: Mapping[str, np.ndarray]) -> None:
        for name, values in arrays.items():
            self.rows[name][first : first + len(values)] = values

    def result(self) -> dict[str, np.ndarray]:
        return self.rows


@dataclass(frozen=True)
class Moments:
    """Mean and variance between patients of chosen observables on chosen days; the result is a `MeanCourses`."""

    names: tuple[str, ...]
    days: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the names and the days."""
        _check(self)

    def reduce(self, part: Part) -> dict[str, np.ndarray]:
        """Number, mean and sum of squares about it, of every block of patients."""
        usable = part.usable
        starts = range(0, part.solution.n, BLOCK)
        people = [np.count_nonzero(usable[start : start + BLOCK]) for start in starts]
        arrays: dict[str, np.ndarray] = {"n": np.array(people)}
        for name in self.names:
            course = part.course(name, self.days)
            blocks = [course[start : start + BLOCK][usable[start : start + BLOCK]] for start in starts]
            means = [block.mean(axis=0) if len(block) else np.zeros(len(self.days)) for block in blocks]
            arrays[f"{name} mean"] = np.stack(means)
            arrays[f"{name} squares"] = np.stack(
                [np.square(block - mean).sum(axis=0) for block, mean in zip(blocks, means, strict=True)]
            )
        return arrays

    def begin(self, n: int) -> "_RunningMoments":
        """No patients."""
        return _RunningMoments(self)


@dataclass(frozen=True, eq=False)
class MeanCourses:
    """Mean and variance between `n` patients, arrays (days,) by observable, in its unit and its square."""

    days: np.ndarray
    n: int
    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]


class _RunningMoments:
    """Blocks are joined two by two (Chan, Golub & LeVeque 1983), which keeps the digits that a plain sum loses."""

    def __init__(self, wanted: Moments) -> None:
        self.wanted, self.n = wanted, 0
        self.mean = {name: np.zeros(len(wanted.days)) for name in wanted.names}
        self.squares = {name: np.zeros(len(wanted.days)) for name in wanted.names}

    def add(self, first: int, arrays: Mapping[str, np.ndarray]) -> None:
        for block, more in enumerate(arrays["n"].tolist()):
            both = self.n + more
            if more == 0:
                continue
            for name in self.wanted.names:
                step = arrays[f"{name} mean"][block] - self.mean[name]
                self.mean[name] += step * (more / both)
                self.squares[name] += arrays[f"{name} squares"][block] + step**2 * (self.n * more / both)
            self.n = both

    def result(self) -> MeanCourses:
        if self.n < 2:
            raise SimulationError(f"a variance needs two patients, and {self.n} could be integrated.")
        variance = {name: squares / (self.n - 1) for name, squares in self.squares.items()}
        return MeanCourses(np.array(self.wanted.days), self.n, self.mean, variance)


def check_days(days: Sequence[float], where: str) -> tuple[float, ...]:
    """Days of a reduction, increasing from day 0 on."""
    found = np.asarray(days, dtype=float)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all() or found[0] < 0 or np.any(np.diff(found) <= 0):
        raise InputError(f"{where}: days = {days!r:.60}; expected increasing days from day 0 on.")
    return tuple(found.tolist())


def _check(wanted: Courses | Moments) -> None:
    where = type(wanted).__name__
    if isinstance(wanted.names, str) or not wanted.names:
        raise InputError(f"{where}: names = {wanted.names!r}; expected a list of observables.")
    object.__setattr__(wanted, "names", tuple(wanted.names))
    object.__setattr__(wanted, "days", check_days(wanted.days, where))
