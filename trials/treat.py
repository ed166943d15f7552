"""One virtual trial arm in one call: a product, a population, a regimen; outcomes out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..fitting.calibration.calibration import read_calibration
from ..model.endpoints import Outcomes, Visits, outcomes
from ..model.lines import LineOutcomes, follow_line
from ..model.regimens.plan import Plan
from ..model.regimens.regimen import Regimen, infuse
from ..model.regimens.sentence import read_plan
from ..model.simulate import Solver, simulate
from ..model.solution import Solution
from ..model.statistics.survival import SurvivalCurve
from ..parameters.errors import RegimenError
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw, make_patients

SEED = 20261
"""Seed of projections; another one than that of the fit, so that the fit is not judged on its own patients."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A virtual trial arm: who was treated and how, what happened, and what would be reported."""

    regimen: Regimen
    patients: Mapping[str, np.ndarray]
    solution: Solution
    outcomes: Outcomes

    def pfs(self, dated: str = "visit") -> SurvivalCurve:
        """Progression-free survival from infusion, in months; the band is the sampling error of this many patients."""
        return self.outcomes.progression_free(dated)


def treat(
    product: str,
    population: str = "late_line",
    regimen: Regimen | str | None = None,
    *,
    patients: int = 500,
    seed: int = SEED,
    months: float = 60.0,
    every: float = 28.0,
    parameters: ParameterSet | None = None,
    solver: Solver | None = None,
) -> Trial:
    """Treat virtual patients with a product (at its usual dose, or by `regimen`) under the shipped calibration.

    Parameters
    ----------
    regimen
        Doses, or a sentence (`model.regimens.sentence`) of one line; a plan of several is for `follow`.
    patients, seed
        Number of virtual patients and root of their random streams; the same seed gives the same people in every arm.
    months, every
        Follow-up in months, days between response assessments.
    parameters
        Other numbers than the calibrated ones, for example `read_calibration().draw(3)`.

    Raises
    ------
    RegimenError
        If the regimen has no infusion of the product on day 0, which is the origin of every endpoint.
    """
    numbers = parameters or read_calibration().parameters()
    people = draw(numbers, patients, seed)
    visits = Visits(every, months)
    given = infuse(product) if regimen is None else regimen
    if isinstance(given, str):
        given = _one_line(read_plan(given))
    if not any(dose.therapy == product and dose.day == 0.0 for dose in given.doses):
        raise RegimenError(f"{product}: no infusion on day 0 in '{given.text}'; day 0 is the first infusion.")
    values = make_patients(numbers, people, product=given.products, population=population)
    solution = simulate(values, given, times=visits.grid, solver=solver)
    return Trial(solution.regimen, values, solution, outcomes(solution, values, people, visits))


def _one_line(plan: Plan) -> Regimen:
    first, *later = plan.lines
    if later or first.until:
        raise RegimenError(f"'{plan.text}' goes on after progression; use follow(plan, population, line=...).")
    return first.regimen


@dataclass(frozen=True, eq=False)
class LineTrial:
    """One line of a plan: what a trial of it would report of the virtual patients who come to it."""

    plan: Plan
    population: str
    line: LineOutcomes

    @property
    def outcomes(self) -> Outcomes:
        """Endpoints, counted from the start of the line."""
        return self.line.outcomes

    def pfs(self, dated: str = "visit") -> SurvivalCurve:
        """Progression-free survival from the start of the line, in months."""
        return self.outcomes.progression_free(dated)

    @property
    def text(self) -> str:
        """What was given, in words."""
        return self.plan.text


def follow(
    plan: Plan | Regimen | str,
    population: str = "late_line",
    *,
    line: int = 0,
    patients: int = 500,
    seed: int = SEED,
    months: float = 24.0,
    every: float = 28.0,
    parameters: ParameterSet | None = None,
    solver: Solver | None = None,
) -> LineTrial:
    """Give virtual patients a plan, one line after the other, and report one line of it (by default the last).

    ``follow("ide-cel; at progression talquetamab").outcomes.overall_response_rate``

    Parameters
    ----------
    plan
        A sentence, a plan or a regimen.
    months, every
        Follow-up of that line in months, days between assessments (a multiple of 3.5).
    """
    numbers = parameters or read_calibration().parameters()
    whole = read_plan(plan) if isinstance(plan, str) else Plan.of(plan) if isinstance(plan, Regimen) else plan
    people = draw(numbers, patients, seed)
    values = make_patients(numbers, people, product=whole.products, population=population)
    found = follow_line(values, people, whole, line=line, visits=Visits(every, months), solver=solver)
    return LineTrial(whole, population, found)
