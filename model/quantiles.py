"""Running quantiles: counts in fixed bins, which add up exactly in any order."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..parameters.errors import RangeError, SimulationError
from .reduction import Part, check_days


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
