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
from ..fitting.posterior import anchored, interval
from ..model.simulate import Solver
from ..parameters.errors import InputError
from ..parameters.parameter_set import ParameterSet
from .coalitions import Pair, pair_of
from .compare import Arm, treat_arm
from .measures import RESTRICTED_PFS, Measure
from .projection import Estimate, Progress
from .treat import SEED

MONTHS = 36.0
"""Follow-up, as long as the restricted mean needs."""

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
        others = [one for one in players if one != player]
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
    few : array (k,)
        Contributions at the estimate with as few patients as a draw has.
    drawn : array (draws, k)
        Contributions at posterior draws.
    """

    reference: Arm
    other: Arm
    measure: Measure
    mechanisms: tuple[str, ...]
    worth: Mapping[Coalition, float]
    few: np.ndarray
    drawn: np.ndarray

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
        """Contributions at the draws, freed of what few patients differ by: array (draws, k)."""
        value = np.array(list(self.values.values()))
        return anchored(value, self.drawn, self.few, -np.inf, np.inf)

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
    patients: int = 300,
    draws: int = 12,
    patients_per_draw: int = 80,
    months: float = MONTHS,
    every: float = 28.0,
    seed: int = SEED,
    solver: Solver | None = None,
    progress: Progress | None = None,
) -> Decomposition:
    """Split the difference of a measure between two arms, other less reference, by mechanism.

    It takes 2^k simulations of each size, k being the number of mechanisms by which the arms differ (twice as many
    where a drug is in both arms with different doses); of plans, the first line.

    Raises
    ------
    InputError
        If the arms differ in population, in when they are counted from, or in a number that has no mechanism.
    RegimenError
        If one arm has more courses of CAR-T cells than the other.
    """
    draws = min(draws, len(calibration.draws))
    sizes = {"months": months, "every": every, "seed": seed, "solver": solver}

    def worth(parameters: ParameterSet, n: int) -> tuple[Pair, dict[Coalition, float]]:
        pair = pair_of(reference, other, parameters, patients=n, seed=seed)
        found: dict[object, float] = {}

        def read(arm: Arm, key: object) -> float:
            if key not in found:
                found[key] = measure.read(treat_arm(arm, parameters, patients=n, **sizes))
            return found[key]

        whole = coalitions(pair.mechanisms)
        values = {some: read(pair.hybrid(some), ("hybrid", some)) for some in whole}
        if pair.rescheduled:
            itself = read(pair.reference, "reference")
            for some in whole:
                part = some & pair.of_rescheduled
                values[some] = itself + values[some] - read(pair.counterpart(part), ("counterpart", part))
        return pair, values

    pair, best = worth(calibration.parameters(), patients)
    players = pair.mechanisms

    def values(parameters: ParameterSet) -> list[float]:
        other_pair, found = worth(parameters, patients_per_draw)
        # a mechanism can vanish in a draw, or with few patients, if nobody differs by it there
        mine = shapley(other_pair.mechanisms, found)
        return [mine.get(name, 0.0) for name in players]

    few = values(calibration.parameters()) if draws else [np.nan] * len(players)
    drawn = []
    for k in range(draws):
        drawn.append(values(calibration.draw(k)))
        if progress is not None:
            progress("mechanisms, posterior draws", k + 1, draws)
    return Decomposition(
        reference, other, measure, players, best, np.array(few), np.array(drawn).reshape(draws, len(players))
    )
