"""CAR-T cells and a bispecific antibody in both orders: plans, measures, and the exhaustion that an antibody leaves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perdure.experiments.arms.comparison import Arm, Comparison
from perdure.experiments.arms.line_comparison import followed
from perdure.experiments.arms.measures import RESPONSE, Measure, Treated
from perdure.experiments.projection import Estimate
from perdure.experiments.treat import SEED
from perdure.model.imwg import PR
from perdure.model.simulate import Solver, simulate
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import draw, make_patients

MONTHS = 36.0
WAIT = 42.0
"""Days from progression to cells that have to be made, as in the evidence files (assumed there)."""
WAITS = (28.0, 84.0, 168.0)


@dataclass(frozen=True)
class Pair:
    """A product in the population in which it was calibrated, and an antibody, to be given in both orders."""

    cells: str
    antibody: str
    population: str

    @property
    def cells_first(self) -> Arm:
        """Cells on day 0, the antibody when progression is seen."""
        given = f"{self.cells}; at progression: {self.antibody}"
        return Arm(f"{self.cells}, then {self.antibody}", given, self.population)

    @property
    def antibody_first(self) -> Arm:
        """The antibody until progression, then cells that have to be made."""
        return self.after(WAIT)

    def after(self, wait: float) -> Arm:
        """The antibody until progression, and cells so many days later."""
        given = (
            f"{self.antibody}; at progression: lymphodepletion days {wait - 5:g}-{wait - 3:g}; "
            f"{self.cells} on day {wait:g}"
        )
        name = f"{self.antibody}, then {self.cells}" + ("" if wait == WAIT else f" after {wait:g} days")
        return Arm(name, given, self.population)

    @property
    def rested(self) -> Arm:
        """The antibody first, if it exhausted no T cells: a thought experiment."""
        arm = self.antibody_first
        return Arm(f"{arm.name}, no exhaustion", arm.given, self.population, _no_exhaustion)


def _no_exhaustion(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"k_exhaustion_host": np.zeros_like(values["k_exhaustion_host"])}


PAIRS = (
    Pair("ide-cel", "teclistamab", "late_line"), Pair("ide-cel", "talquetamab", "late_line"),
    Pair("cilta-cel", "teclistamab", "mixed_line"), Pair("cilta-cel", "talquetamab", "mixed_line"),
)  # fmt: skip


def _control(one: Treated) -> float:
    return followed(one).time_to_second(waiting=False).restricted_mean(min(MONTHS, one.outcomes.visits.months))


def _second(one: Treated) -> float:
    return followed(one).time_to_second().restricted_mean(min(MONTHS, one.outcomes.visits.months))


def _first_response(one: Treated) -> float:
    first = followed(one).first
    return 100.0 * first.rate(first.best >= PR)


def _first_mean(one: Treated) -> float:
    return followed(one).first.progression_free().restricted_mean(MONTHS)


def _last_mean(one: Treated) -> float:
    return one.outcomes.progression_free().restricted_mean(min(24.0, one.outcomes.visits.months))


def second_at(months: float) -> Measure:
    """PFS2 at so many months: the share without second progression."""

    def read(one: Treated) -> float:
        return 100.0 * float(followed(one).time_to_second().at(months))

    return Measure(f"PFS2 at {months:g} months", "%", read, 0.0, 100.0)


CONTROL = Measure("time in control to month 36", "months", _control, 0.0, MONTHS)
SECOND = Measure("restricted mean PFS2 to month 36", "months", _second, 0.0, MONTHS)
FIRST_RESPONSE = Measure("response, line 1", "%", _first_response, 0.0, 100.0)
FIRST_MEAN = Measure("mean PFS of line 1 to month 36", "months", _first_mean, 0.0, MONTHS)
LAST_RESPONSE = Measure("response, line 2", "%", RESPONSE.read, 0.0, 100.0)
LAST_MEAN = Measure("mean PFS of line 2 to month 24", "months", _last_mean, 0.0, 24.0)
SHOWN = (FIRST_RESPONSE, FIRST_MEAN, LAST_RESPONSE, LAST_MEAN, SECOND, CONTROL)
GRID = tuple(float(month) for month in range(3, 37, 3))


@dataclass(frozen=True, eq=False)
class Orders:
    """Every order of every pair, and how exhausted the T cells are after the antibody (days, 5-50-95 %) by antibody."""

    pairs: tuple[Pair, ...]
    comparison: Comparison
    exhaustion: Mapping[str, tuple[np.ndarray, np.ndarray]]


def exhaustion(
    pair: Pair, parameters: ParameterSet, patients: int, seed: int = SEED, until: float = 182.0
) -> tuple[np.ndarray, np.ndarray]:
    """Exhausted share of the host T cells from progression under the antibody on: days, and 5-50-95 % (3, days)."""
    plan = pair.after(until + 28.0).plan  # nothing more is given in the days that are looked at
    people = draw(parameters, patients, seed)
    values = dict(make_patients(parameters, people, product=plan.products, population=pair.population))
    values["fraction_lymphodepletion"] = np.zeros(patients)  # no lymphodepletion before the antibody
    times = np.arange(0.0, 24.0 * 28.0 + until + 1.0, 7.0)
    solution = simulate(values, plan.first, times=times, rules=plan.rules(), solver=Solver(rtol=1e-5))
    begun = solution.events["line 2"].first
    days = np.arange(0.0, until + 1.0, 7.0)
    came = np.isfinite(begun) & (begun + until <= times[-1])
    at = np.searchsorted(times, begun[came, None] + days[None, :] - 1e-6)
    share = np.take_along_axis(solution["host_exhausted"][came], at, axis=1)
    return days, np.percentile(share, [5, 50, 95], axis=0)


def gain(found: Orders, pair: Pair, measure: Measure = CONTROL) -> Estimate:
    """What cells first gain over the antibody first, in the same patients."""
    return found.comparison.gain(pair.cells_first.name, measure, pair.antibody_first.name)
