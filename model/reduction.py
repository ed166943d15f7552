"""Reductions of a cohort too large for memory: means, variances and quantiles, accumulated during simulation.

A reduction turns the time courses of some patients into a few small arrays, where they were simulated, and puts these
together in the order of the patients. So its result has the same bits however the cohort was divided and wherever its
parts were simulated. Patients that could not be integrated are left out of means and quantiles; their number is stated
with the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..parameters.errors import InputError, RangeError, SimulationError
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
    """Mean and between-patient variance of chosen observables on chosen days; the result is a `MeanCourses`."""

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
    grid = np.asarray(days, dtype=float)
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or grid[0] < 0 or np.any(np.diff(grid) <= 0):
        raise InputError(f"{where}: days = {days!r:.60}; expected increasing days from day 0 on.")
    return tuple(grid.tolist())


def _check(wanted: Courses | Moments) -> None:
    where = type(wanted).__name__
    if isinstance(wanted.names, str) or not wanted.names:
        raise InputError(f"{where}: names = {wanted.names!r}; expected a list of observables.")
    object.__setattr__(wanted, "names", tuple(wanted.names))
    object.__setattr__(wanted, "days", check_days(wanted.days, where))


# Running quantiles: counts in fixed bins add up exactly in any order.


@dataclass(frozen=True)
class Quantiles:
    """Running quantiles of an observable on chosen days: counts in `bins` bins between `low` and `high`.

    Bins are equally wide on a logarithmic scale (`log`) or a linear one. Counts are whole numbers, so that they add up
    exactly. The result is a `Histogram`.
    """

    name: str
    days: tuple[float, ...]
    low: float
    high: float
    bins: int = 1000
    log: bool = True

    def __post_init__(self) -> None:
        """Check the days and the bins."""
        object.__setattr__(self, "days", check_days(self.days, f"quantiles of {self.name}"))
        least = 0.0 if self.log else -np.inf
        if not least < self.low < self.high < np.inf:
            raise RangeError(
                f"quantiles of {self.name}: from {self.low:g} to {self.high:g}; expected rising numbers"
                + (", the first above 0 (or log=False)." if self.log else ".")
            )
        if not 1 <= self.bins <= 100_000:
            raise RangeError(f"quantiles of {self.name}: bins = {self.bins}; expected between 1 and 100000.")

    def reduce(self, part: Part) -> dict[str, np.ndarray]:
        """Counts by day and bin; the first and the last bin hold what is below `low`, and `high` and above."""
        values = part.course(self.name, self.days)[part.usable]
        size = self.bins + 2
        inner = np.clip(values, self.low, self.high)
        if self.log:
            share = np.log(inner / self.low) / np.log(self.high / self.low)
        else:
            share = (inner - self.low) / (self.high - self.low)
        place = 1 + np.minimum((share * self.bins).astype(np.int64), self.bins - 1)
        place = np.where(values < self.low, 0, np.where(values >= self.high, size - 1, place))
        rows = place + size * np.arange(len(self.days))
        counts = np.bincount(rows.ravel(), minlength=size * len(self.days)).reshape(len(self.days), size)
        return {"counts": counts.astype(np.min_scalar_type(counts.max()))}

    def begin(self, n: int) -> "_RunningCounts":
        """No patients."""
        return _RunningCounts(self)


class _RunningCounts:
    def __init__(self, wanted: Quantiles) -> None:
        self.wanted, self.counts = wanted, np.zeros((len(wanted.days), wanted.bins + 2), dtype=np.int64)

    def add(self, first: int, arrays: Mapping[str, np.ndarray]) -> None:
        self.counts += arrays["counts"]

    def result(self) -> "Histogram":
        return Histogram(self.wanted, self.counts)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts by day and bin: array (days, bins + 2); the outer bins hold what is below `low`, and `high` and above."""

    of: Quantiles
    counts: np.ndarray

    @property
    def days(self) -> np.ndarray:
        """Days of the rows."""
        return np.array(self.of.days)

    @property
    def n(self) -> int:
        """Number of patients."""
        return int(self.counts[0].sum())

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins: array (bins + 1,), from `low` to `high`."""
        space = np.geomspace if self.of.log else np.linspace
        return space(self.of.low, self.of.high, self.of.bins + 1)

    @property
    def resolution(self) -> float:
        """Width of a bin: relative to the value on a logarithmic scale, in the unit of the observable otherwise."""
        if self.of.log:
            return float(np.expm1(np.log(self.of.high / self.of.low) / self.of.bins))
        return (self.of.high - self.of.low) / self.of.bins

    @property
    def outside(self) -> tuple[np.ndarray, np.ndarray]:
        """Shares of patients below `low`, and at `high` or above: arrays (days,)."""
        return self.counts[:, 0] / self.n, self.counts[:, -1] / self.n

    def quantile(self, q: float) -> np.ndarray:
        """Quantile on every day: array (days,), off by less than a bin from the patient who has that rank.

        That patient is the first by whom a share `q` is reached (type 1 of Hyndman & Fan 1996). The quantile is -inf
        where it lies below `low` and infinite where it is not below `high`: it is not known there.
        """
        if not 0 <= q <= 1:
            raise RangeError(f"quantile of {self.of.name}: q = {q:g}; expected between 0 and 1.")
        if self.n == 0:
            raise SimulationError(f"quantile of {self.of.name}: no patient could be integrated.")
        rank = max(int(np.ceil(q * self.n - 1e-9)), 1)
        up_to = np.cumsum(self.counts, axis=1)
        place = (up_to < rank).sum(axis=1)
        rows = np.arange(len(self.counts))
        inside = self.counts[rows, place]
        share = (rank - 0.5 - (up_to[rows, place] - inside)) / inside
        edges = np.concatenate(([-np.inf], self.edges, [np.inf]))
        low, high = edges[place], edges[place + 1]
        with np.errstate(invalid="ignore"):
            between = low * (high / low) ** share if self.of.log else low + share * (high - low)
        return np.where(place == 0, -np.inf, np.where(place > self.of.bins, np.inf, between))
