"""Posterior draws with the Monte Carlo error of a small cohort removed (common random numbers).

Every posterior draw is simulated with fewer patients than the estimate. They are the same patients in every draw, so
what they differ by from the large cohort at the estimate is taken off: value + (draw - estimate on the few patients).
`over_posterior` is the one loop over posterior draws: commands, experiments, the fit table and validation use it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..parameters.parameter_set import ParameterSet
from .calibration.calibration import Calibration

SEED = 20261
"""Seed of projections; another one than that of the fit, so that the fit is not judged on its own patients."""

Progress = Callable[[str, int, int], None]
"""Called with a label, the number of parts that are done, and their total."""

S = TypeVar("S")
T = TypeVar("T")


def no_progress(label: str, done: int, total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Sizes:
    """How many virtual patients and posterior draws stand behind a number.

    Attributes
    ----------
    patients
        Virtual patients at the estimate.
    draws
        Posterior draws, or as many as the calibration has.
    patients_per_draw
        Virtual patients at every draw; the first ones of those at the estimate.
    seed
        Root of the patients' random streams; the same seed gives the same people in every arm.
    progress
        Called after every draw, as `progress(label, done, total)`.

    Examples
    --------
    >>> from perdure import Sizes
    >>> Sizes(patients=1000, draws=40).divided_by(patients=10, draws=4).patients
    100
    """

    patients: int = 1000
    draws: int = 40
    patients_per_draw: int = 120
    seed: int = SEED
    progress: Progress = field(default=no_progress, compare=False, repr=False)

    def at_most(self, limit: "Sizes") -> "Sizes":
        """The same, but no more patients and draws than another has: a question that takes long stays short.

        Returns
        -------
        Sizes
            The smaller of both, number by number, with the seed of this one.
        """
        return replace(
            self,
            patients=min(self.patients, limit.patients),
            draws=min(self.draws, limit.draws),
            patients_per_draw=min(self.patients_per_draw, limit.patients_per_draw),
        )

    def divided_by(
        self, patients: int = 1, draws: int = 1, patients_per_draw: int = 1, *, fewest: int = 20,
        fewest_per_draw: int = 20,
    ) -> "Sizes":  # fmt: skip
        """Smaller sizes for a question with many arms: each divided by a number, with at least two draws.

        Returns
        -------
        Sizes
            Whole numbers, not below `fewest` and `fewest_per_draw` patients.
        """
        return replace(
            self,
            patients=max(self.patients // patients, fewest),
            draws=max(self.draws // draws, 2),
            patients_per_draw=max(self.patients_per_draw // patients_per_draw, fewest_per_draw),
        )


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over posterior draws.

    Attributes
    ----------
    value
        At the estimate, in the unit of what is measured; infinite for a time that is not reached.
    low, high
        Bounds of the interval, in the same unit.

    Examples
    --------
    >>> from perdure import Estimate
    >>> Estimate(8.84, 5.9, float("inf")).text(".1f")
    '8.8 (5.9 to NR)'
    """

    value: float
    low: float
    high: float

    def text(self, form: str = ".3g") -> str:
        """Value and interval, each printed in the given form.

        Returns
        -------
        str
            Such as `8.8 (5.9 to 11.9)`, without unit; infinite is NR (not reached).
        """

        def printed(number: float) -> str:
            return "NR" if np.isinf(number) else f"{number:{form}}"

        return f"{printed(self.value)} ({printed(self.low)} to {printed(self.high)})"


def centre_draws(
    value: ArrayLike, draws: ArrayLike, few: ArrayLike, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """Draws moved by what the few patients differ from the many at the estimate, kept inside [low, high].

    Parameters
    ----------
    value
        At the estimate with many patients: a number, or an array (points,) of a curve.
    draws
        Array (draws,) or (draws, points).
    few
        At the estimate with the few patients of the draws, shaped like `value`.

    Returns
    -------
    array
        Shaped like `draws`. A draw stays as it is where it, the value or `few` is not finite (not reached).
    """
    drawn = np.asarray(draws, dtype=float)
    finite = np.isfinite(drawn) & np.isfinite(value) & np.isfinite(few)
    with np.errstate(invalid="ignore"):
        moved = np.asarray(value) + (drawn - np.asarray(few))
    return np.where(finite, np.clip(moved, low, high), drawn)


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Central interval of draws, by order statistics, so that an infinite draw (not reached) can stand in it.

    Returns
    -------
    tuple of float
        Lower and upper limit, in the unit of the draws; NaN if no draw is a number.
    """
    known = np.sort(draws[~np.isnan(draws)])
    if known.size == 0:
        return float("nan"), float("nan")
    tail = 0.5 * (1.0 - level)
    low, high = (known[round((known.size - 1) * q)] for q in (tail, 1.0 - tail))
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Numbers:
    """A number, or an array of numbers, at the estimate and at posterior draws.

    Attributes
    ----------
    value, few : array (...)
        At the estimate with all patients, and with as few as a draw has.
    draws : array (draws, ...)
        At the posterior draws.
    low, high
        Between what the numbers can lie.
    """

    value: np.ndarray
    few: np.ndarray
    draws: np.ndarray
    low: float = -np.inf
    high: float = np.inf

    @property
    def centred(self) -> np.ndarray:
        """The draws without the Monte Carlo error of their few patients: array (draws, ...)."""
        return centre_draws(self.value, self.draws, self.few, self.low, self.high)

    @property
    def estimate(self) -> Estimate:
        """A single number with its 95 % interval over posterior draws."""
        return Estimate(float(self.value), *interval(self.centred))

    def minus(self, other: "Numbers") -> "Numbers":
        """The difference from other numbers of the same patients, draw by draw."""
        with np.errstate(invalid="ignore"):  # not reached less not reached
            return Numbers(
                self.value - other.value, self.few - other.few, self.draws - other.draws,
                self.low - other.high, self.high - other.low,
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Posterior(Generic[S, T]):
    """What was simulated at the estimate, and what was measured there and at posterior draws.

    Attributes
    ----------
    simulated
        The simulation at the estimate with all patients.
    value, few
        What was measured at the estimate with all patients, and with as few as a draw has.
    draws
        What was measured at each posterior draw.
    """

    simulated: S
    value: T
    few: T
    draws: tuple[T, ...]

    def numbers(self, read: Callable[[T], ArrayLike], low: float = -np.inf, high: float = np.inf) -> Numbers:
        """Read a number, or an array, off everything that was measured; it can lie between `low` and `high`."""
        value = np.asarray(read(self.value), dtype=float)
        drawn = np.array([read(measured) for measured in self.draws], dtype=float)
        shaped = drawn.reshape(len(self.draws), *value.shape)  # also without draws, and without numbers
        return Numbers(value, np.asarray(read(self.few), dtype=float), shaped, low, high)

    def estimate(self, read: Callable[[T], float], low: float = -np.inf, high: float = np.inf) -> Estimate:
        """Read a number off everything that was measured: its estimate with the 95 % interval over the draws."""
        return self.numbers(read, low, high).estimate


def posterior_parameters(calibration: Calibration, draws: int) -> tuple[ParameterSet, ...]:
    """Parameters at the first posterior draws, or at all of them where the calibration has no more."""
    return tuple(calibration.draw(k) for k in range(min(draws, len(calibration.draws))))


def over_posterior(
    simulate: Callable[[ParameterSet, int], S],
    measure: Callable[[S], T],
    calibration: Calibration,
    sizes: Sizes,
    *,
    simulate_few: Callable[[ParameterSet, int], S] | None = None,
    label: str = "posterior draws",
    threads: int = 1,
) -> Posterior[S, T]:
    """Simulate at the estimate and at posterior draws, and keep what is measured.

    Parameters
    ----------
    simulate
        Gets parameters and a number of virtual patients. Only the simulation at the estimate is kept whole.
    measure
        Takes what is needed from a simulation.
    simulate_few
        What takes the place of `simulate` at the draws, where more differs there than the number of patients.
    label
        What the progress is called.
    threads
        Draws simulated side by side; the result is the same for any number.

    Returns
    -------
    Posterior
        Without draws `few` is the value itself.
    """
    parameters = posterior_parameters(calibration, sizes.draws)
    total = len(parameters) + 2
    simulated = simulate(calibration.parameters(), sizes.patients)
    value = measure(simulated)
    sizes.progress(label, 1, total)

    def at(values: ParameterSet) -> T:
        return measure((simulate_few or simulate)(values, sizes.patients_per_draw))

    few = at(calibration.parameters()) if parameters else value
    sizes.progress(label, 2, total)
    draws: list[T] = []
    for measured in _in_order(at, parameters, threads):
        draws.append(measured)
        sizes.progress(label, len(draws) + 2, total)
    return Posterior(simulated, value, few, tuple(draws))


def _in_order(function: Callable[[ParameterSet], T], values: Sequence[ParameterSet], threads: int) -> Iterator[T]:
    if threads == 1:
        yield from map(function, values)
    else:
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(function, values)
