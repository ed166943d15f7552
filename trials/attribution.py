"""Why one arm does better than another: the difference in a measure, split between mechanisms by Shapley values.

Mechanisms (`mechanisms`) are the players of a game. In a coalition, its mechanisms are as in the other arm, the rest as
in the reference: effects of a drug are silenced in the numbers of the patients, numbers of a CAR-T product are taken
from one product or the other, and its antigens and doses with them. What a coalition is worth is the measure under such
a hybrid arm; nobody in it is reference, everybody the other arm. Shapley's value of a mechanism (Shapley 1953) is what
it adds, averaged over all orders in which the mechanisms can be put in place one after the other: values add up to the
whole difference, mechanisms that do the same get the same, and who never adds anything gets nothing.

A drug with different doses in both arms (the same drug sooner, later, longer) cannot be in a patient twice. Its
mechanisms are put in place in both arms at once, each arm being compared with itself without the drug: a mechanism's
share is what it adds under the other schedule, less what it adds under that of the reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import factorial

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import Estimate, Numbers, Sizes, interval, over_posterior
from ..model.simulate import Solver
from ..parameters.errors import InputError
from ..parameters.parameter_set import ParameterSet
from .arm import Arm
from .coalitions import Pair, pair_of
from .measures import RESTRICTED_PFS, Measure
from .treat import treat

MONTHS = 36.0
"""Follow-up, as long as the restricted mean needs."""
SIZES = Sizes(patients=300, draws=12, patients_per_draw=80)
"""Every mechanism doubles the number of simulations."""

Coalition = frozenset[str]


def shapley(players: Sequence[str], worth: Mapping[Coalition, float]) -> dict[str, float]:
    """Shapley's values of a game (Shapley 1953).

    Parameters
    ----------
    worth
        What every coalition of the players is worth, the empty one included.

    Raises
    ------
    InputError
        If a coalition is missing.
    """
    for coalition in coalitions(players):
        if coalition not in worth:
            raise InputError(f"shapley: the worth of {sorted(coalition)} is missing; give all {2 ** len(players)}.")
    k, values = len(players), {}
    for player in players:
        others = [other for other in players if other != player]
        values[player] = sum(
            factorial(len(some)) * factorial(k - len(some) - 1) / factorial(k) * (worth[some | {player}] - worth[some])
            for some in coalitions(others)
        )
    return values


def coalitions(players: Sequence[str]) -> tuple[Coalition, ...]:
    """All subsets of the players, small ones first."""
    return tuple(frozenset(some) for size in range(len(players) + 1) for some in combinations(players, size))


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A difference between two arms by mechanism.

    Attributes
    ----------
    mechanisms
        Those by which the arms differ, in the order of `mechanisms.MECHANISMS`.
    worth
        The measure at the estimate for every coalition of mechanisms that are as in the other arm.
    numbers
        Contributions (k,) at the estimate and at posterior draws.
    """

    reference: Arm
    other: Arm
    measure: Measure
    mechanisms: tuple[str, ...]
    worth: Mapping[Coalition, float]
    numbers: Numbers

    @cached_property
    def values(self) -> dict[str, float]:
        """Shapley's value of every mechanism, in the unit of the measure."""
        return shapley(self.mechanisms, self.worth)

    @property
    def reference_value(self) -> float:
        """The measure in the reference arm."""
        return self.worth[frozenset()]

    @property
    def other_value(self) -> float:
        """The measure in the other arm."""
        return self.worth[frozenset(self.mechanisms)]

    @cached_property
    def _moved(self) -> np.ndarray:
        """Contributions at the draws without the Monte Carlo error of few patients: array (draws, k)."""
        return self.numbers.centred

    def contribution(self, mechanism: str) -> Estimate:
        """Shapley's value of a mechanism with its 95 % interval over posterior draws."""
        at = self.mechanisms.index(mechanism)
        return Estimate(self.values[mechanism], *interval(self._moved[:, at]))

    @property
    def total(self) -> Estimate:
        """The whole difference, which the contributions add up to, at the estimate and in every draw."""
        return Estimate(self.other_value - self.reference_value, *interval(self._moved.sum(axis=1)))

    def alone(self, mechanism: str) -> float:
        """What a mechanism adds to the reference arm alone, at the estimate."""
        return self.worth[frozenset({mechanism})] - self.reference_value

    def last(self, mechanism: str) -> float:
        """What is lost if it alone stays as in the reference, at the estimate; unlike `alone` where they interact."""
        return self.other_value - self.worth[frozenset(self.mechanisms) - {mechanism}]


def decompose(
    reference: Arm,
    other: Arm,
    calibration: Calibration,
    *,
    measure: Measure = RESTRICTED_PFS,
    sizes: Sizes = SIZES,
    months: float = MONTHS,
    every: float = 28.0,
    solver: Solver | None = None,
) -> Decomposition:
    """Split the difference of a measure between two arms, other less reference, by mechanism (Shapley 1953).

    It takes 2^k simulations of each size, k being the number of mechanisms by which the arms differ (twice as many
    where a drug is in both arms with different doses); of plans, the first line.

    Parameters
    ----------
    reference, other
        The arms; both treat the same population.
    calibration
        At whose estimate and posterior draws they are compared.
    measure
        What is split; restricted mean PFS by default.
    sizes
        Virtual patients and posterior draws.
    months, every
        Follow-up in months, days between assessments.
    solver
        How to integrate; `Solver(rtol=1e-5)` by default.

    Returns
    -------
    Decomposition
        Shapley's value of every mechanism, with its 95 % interval, in the unit of the measure; they add up to the whole
        difference.

    Raises
    ------
    InputError
        If the arms differ in population, in when they are counted from, or in a number that has no mechanism.
    RegimenError
        If one arm has more courses of CAR-T cells than the other.

    Examples
    --------
    >>> from perdure import Arm, Sizes, decompose, read_calibration
    >>> alone = Arm("alone", "ide-cel")
    >>> maintained = Arm("maintained", "ide-cel; crenigacestat from day 30 for 2 months")
    >>> sizes = Sizes(patients=20, draws=2, patients_per_draw=10)
    >>> result = decompose(alone, maintained, read_calibration(), sizes=sizes, months=6.0)
    >>> bool(abs(sum(result.values.values()) - result.total.value) < 1e-9)
    True
    """
    solver = solver or Solver(rtol=1e-5)

    def worth(parameters: ParameterSet, patients: int) -> tuple[Pair, dict[Coalition, float]]:
        pair = pair_of(reference, other, parameters, patients=patients, seed=sizes.seed)
        measured: dict[object, float] = {}

        def read(arm: Arm, key: object) -> float:
            if key not in measured:
                result = treat(
                    arm, line=1, patients=patients, seed=sizes.seed, months=months, every=every, parameters=parameters,
                    solver=solver, keep_courses=False,
                )  # fmt: skip
                measured[key] = measure.read(result)
            return measured[key]

        whole = coalitions(pair.mechanisms)
        values = {some: read(pair.hybrid(some), ("hybrid", some)) for some in whole}
        if pair.rescheduled:
            itself = read(pair.reference, "reference")
            for some in whole:
                part = some & pair.of_rescheduled
                values[some] = itself + values[some] - read(pair.counterpart(part), ("counterpart", part))
        return pair, values

    def contributions(simulated: tuple[Pair, dict[Coalition, float]]) -> dict[str, float]:
        pair, values = simulated
        return shapley(pair.mechanisms, values)

    posterior = over_posterior(worth, contributions, calibration, sizes, label="mechanisms")
    pair, at_estimate = posterior.simulated
    # a mechanism can vanish in a draw, or with few patients, if nobody differs by it there
    numbers = posterior.numbers(lambda values: [values.get(name, 0.0) for name in pair.mechanisms])
    return Decomposition(reference, other, measure, pair.mechanisms, at_estimate, numbers)
