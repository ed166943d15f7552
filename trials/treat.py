"""One virtual trial arm in one call: who is given what in, and what a trial would report of one of its lines out."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..fitting.calibration.calibration import read_calibration
from ..fitting.posterior import SEED
from ..model.endpoints import Outcomes, Visits, outcomes
from ..model.lines import LATEST_MONTHS, follow_line
from ..model.regimens.plan import Plan, wait_for_cells
from ..model.regimens.regimen import Regimen
from ..model.simulate import Solver, simulate
from ..model.solution import Failure, Solution
from ..model.statistics.survival import SurvivalCurve, kaplan_meier, weighted_quantile
from ..parameters.errors import InputError, RegimenError
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import Draws, draw, make_patients
from ..parameters.units import DAYS_PER_MONTH
from .arm import Arm, Given, as_plan

FIRST_LINE_MONTHS, LATER_LINE_MONTHS = 60.0, 24.0
"""Follow-up of a line in months, unless another one is asked for."""


@dataclass(frozen=True, eq=False)
class ArmResult:
    """Virtual patients of one arm, and what a trial of one of its lines would report of them.

    Attributes
    ----------
    arm
        What was given, and to whom.
    line
        The line that is reported, 1 being that of day 0.
    patients
        Parameters of the virtual patients by name, arrays (n,) in the units of the catalogue.
    people
        The randomness of the patients in that line.
    regimen
        What the line prescribes.
    outcomes
        Endpoints of the line, counted from its start; arrays (2, n) by branch.
    since : array (n,)
        Day on which the clock of the line starts; NaN for those who never come to it.
    share
        Share of the patients who come to the line, 0 to 1.
    failures
        Patients who could not be integrated; they are in no number.
    solution
        Courses in time of the first line, where they are kept.
    first
        Endpoints of the first line from day 0, where a later line is reported and they were asked for.

    Examples
    --------
    >>> from perdure import treat
    >>> result = treat("ide-cel", patients=20, months=6.0)
    >>> 0.0 < result.pfs().at(6.0) < 1.0
    True
    >>> fast = result.patients["k_growth_tumour"] > 0.03
    >>> result.among(fast).counted < result.counted
    True
    """

    arm: Arm
    line: int
    patients: Mapping[str, np.ndarray]
    people: Draws
    regimen: Regimen
    outcomes: Outcomes
    since: np.ndarray
    share: float = 1.0
    failures: tuple[Failure, ...] = ()
    solution: Solution | None = None
    first: Outcomes | None = None

    @property
    def failed_share(self) -> float:
        """Share of the patients who could not be integrated."""
        return len(self.failures) / self.outcomes.n

    @property
    def text(self) -> str:
        """What was given, in words."""
        return self.arm.plan.text

    @property
    def course(self) -> Solution:
        """Courses in time of the first line.

        Raises
        ------
        InputError
            If they were not kept, or a later line is reported.
        """
        if self.solution is None:
            raise InputError(f"arm '{self.arm.name}', line {self.line}: its courses in time were not kept.")
        return self.solution

    @property
    def first_line(self) -> Outcomes:
        """Endpoints of the first line.

        Raises
        ------
        InputError
            If only a later line was reported.
        """
        if self.line == 1:
            return self.outcomes
        if self.first is None:
            raise InputError(f"arm '{self.arm.name}': line {self.line} was reported without the first one.")
        return self.first

    def pfs(self, dated: str = "visit") -> SurvivalCurve:
        """Progression-free survival from the start of the line; its band is the sampling error.

        Returns
        -------
        SurvivalCurve
            In months.
        """
        return self.outcomes.progression_free(dated)

    def among(self, keep: np.ndarray) -> "ArmResult":
        """The same with only some patients counted: `keep` (n,) or, by branch, (2, n); others get no weight.

        Returns
        -------
        ArmResult
            With as many patients as before, of whom some do not count.
        """
        first = None if self.first is None else self.first.among(keep)
        return replace(self, outcomes=self.outcomes.among(keep), first=first)

    @property
    def counted(self) -> float:
        """Patients that count, each branch by its probability."""
        return float(self.outcomes.flat_weight.sum())

    def mean(self, values: np.ndarray) -> float:
        """Weighted mean of a number per patient, (n,) or (2, n); NaN values are left out.

        Returns
        -------
        float
            In the unit of the values; NaN if nobody counts.
        """
        weight = self.outcomes.flat_weight * np.isfinite(np.broadcast_to(values, (2, self.outcomes.n))).ravel()
        filled = np.nan_to_num(np.broadcast_to(values, (2, self.outcomes.n)), posinf=0.0, neginf=0.0).ravel()
        return float(np.sum(weight * filled) / np.sum(weight)) if np.sum(weight) > 0 else float("nan")

    def median(self, values: np.ndarray) -> float:
        """Weighted median of a number per patient, (n,) or (2, n); NaN values are left out.

        Returns
        -------
        float
            In the unit of the values; NaN if nobody counts.
        """
        spread = np.broadcast_to(values, (2, self.outcomes.n)).ravel()
        known = ~np.isnan(spread) & (self.outcomes.flat_weight > 0)
        return weighted_quantile(spread[known], 0.5, self.outcomes.flat_weight[known]) if known.any() else float("nan")

    @property
    def second_progression(self) -> tuple[np.ndarray, np.ndarray]:
        """Days of the second progression or death, and weights: arrays (3, n) by future, infinite where neither comes.

        PFS2 is put together from the two lines, and not assumed to be their sum. Every patient has three futures: the
        tumour comes back in both lines (second progression is counted on the clock of the second line, which starts
        with its cells or its first dose); it is eradicated in the second; it is eradicated in the first, or has not
        come back by month 36, so that only death of something else ends PFS2. A patient who dies in the first line has
        PFS2 until then. Between progression and cells nobody dies, and growth in between is no second progression.
        """
        first, came = self.first_line, np.isfinite(self.since)
        weight = np.where(came, self.outcomes.weight, 0.0)
        day = np.minimum(self.outcomes.progression(), self.outcomes.death) + np.where(came, self.since, np.inf)
        known = (first.usable > 0) & (~came | (self.outcomes.usable > 0))
        rest = np.maximum(first.weight.sum(axis=0) - weight.sum(axis=0), 0.0)
        return np.vstack([day, first.death]), np.vstack([weight, rest]) * known

    def time_to_second(self, *, waiting: bool = True, patients: float | None = None) -> SurvivalCurve:
        """PFS2 from day 0, followed for as long as the last line was, and at most until month 36.

        Without `waiting` the days between progression and cells, when nothing holds the tumour, are left out: what
        remains is the time in control. PFS2 itself grows by a longer wait, in which it counts no second progression.

        Returns
        -------
        SurvivalCurve
            In months. Its band is that of as many patients as were simulated, or of `patients`.

        Raises
        ------
        InputError
            If only a later line was reported: `treat(..., with_first_line=True)`.
        """
        day, weight = self.second_progression
        if not waiting:
            day = day - np.array([[1.0], [1.0], [0.0]]) * wait_for_cells(self.regimen)
        until = min(LATEST_MONTHS, self.outcomes.visits.months) * DAYS_PER_MONTH
        time, event = np.minimum(day, until) / DAYS_PER_MONTH, day <= until
        keep = (weight > 0).ravel()
        people = float(weight.sum()) if patients is None else patients
        return kaplan_meier(time.ravel()[keep], event.ravel()[keep], weight.ravel()[keep], patients=people)


def treat(
    given: Arm | Given,
    population: str = "late_line",
    regimen: Given | None = None,
    *,
    line: int = 0,
    patients: int = 500,
    seed: int = SEED,
    months: float | None = None,
    every: float = 28.0,
    parameters: ParameterSet | None = None,
    solver: Solver | None = None,
    keep_courses: bool = True,
    with_first_line: bool = False,
    half_weekly: bool = False,
) -> ArmResult:
    """Treat virtual patients under the shipped calibration, and report one line of what they are given.

    Parameters
    ----------
    given
        A sentence, a plan, a regimen, the path of an event table, or an arm.
    population
        Key of a population; an arm brings its own.
    regimen
        Deprecated: what is given, where the first argument names the product only.
    line
        The line that is reported: 1 for the first, by default the last.
    patients, seed
        Number of virtual patients and root of their random streams; the same seed gives the same people in every arm.
    months, every
        Follow-up of that line in months (60, of a later line 24), and days between response assessments (of a later
        line a multiple of 3.5).
    parameters
        Other numbers than the calibrated ones, for example `read_calibration().draw(3)`.
    solver
        How to integrate; `Solver()` by default.
    keep_courses
        Whether the result holds the courses in time of a first line.
    with_first_line
        Whether the report of a later line holds the endpoints of the first one too, which PFS2 needs.
    half_weekly
        Record the first line half-weekly, as later lines are, instead of on its visits and daily around the peak.

    Returns
    -------
    ArmResult
        Endpoints are counted from the start of the line, by visits, in months or days as each says.

    Raises
    ------
    InputError
        If what is given cannot be read, has no such line, or cannot be given (`RegimenError`).
    NoPatientsError
        If no virtual patient comes to the line.
    SimulationError
        If no patient could be integrated.

    Examples
    --------
    >>> from perdure import treat
    >>> first = treat("ide-cel", patients=20, months=6.0)
    >>> first.outcomes.overall_response_rate > 0.5
    True
    >>> second = treat("ide-cel; at progression: teclistamab", patients=20, months=6.0)
    >>> second.line, 0.0 < second.share <= 1.0
    (2, True)
    """
    if regimen is not None:
        given = _deprecated(given, regimen)
    arm = given if isinstance(given, Arm) else Arm("", as_plan(given), population)
    plan = arm.plan
    number = line or len(plan.lines)
    if months is None:
        months = FIRST_LINE_MONTHS if number == 1 else LATER_LINE_MONTHS
    visits = Visits(every, months)
    numbers = parameters or read_calibration().parameters()
    people = draw(numbers, patients, seed)
    values = dict(make_patients(numbers, people, product=plan.products, population=arm.population))
    if arm.change is not None:
        values |= arm.change(values)
    cells_on_day_0 = bool(plan.first.infusions) and min(plan.first.infusions) == 0.0
    if number == 1 and cells_on_day_0 and not plan.lines[0].until and not half_weekly:
        solution = simulate(values, plan.first, times=visits.grid, solver=solver)
        return ArmResult(
            arm, 1, values, people, plan.first, outcomes(solution, values, people, visits), np.zeros(patients),
            failures=tuple(solution.failures), solution=solution if keep_courses else None,
        )  # fmt: skip
    first = None
    if number > 1 and with_first_line:
        first = follow_line(values, people, plan, line=1, visits=Visits(every, LATEST_MONTHS), solver=solver).outcomes
    followed = follow_line(
        values, people, plan, line=number, visits=visits, until_infusion=arm.from_infusion, solver=solver
    )
    return ArmResult(
        arm, number, values, people if number == 1 else people.for_line(number), followed.regimen, followed.outcomes,
        followed.since, followed.share, followed.failures, first=first,
    )  # fmt: skip


def _deprecated(product: object, regimen: Given) -> Plan:
    """`treat(product, population, regimen)` of earlier versions."""
    warnings.warn(
        "treat(product, population, regimen) says the product twice; write treat(regimen, population).",
        DeprecationWarning,
        stacklevel=3,
    )
    plan = as_plan(regimen)
    if not any(dose.therapy == product and dose.day == 0.0 for dose in plan.first.doses):
        raise RegimenError(f"{product}: no infusion on day 0 in '{plan.text}'; day 0 is the first infusion.")
    return plan


def follow(
    plan: Given, population: str = "late_line", *, line: int = 0, patients: int = 500, seed: int = SEED,
    months: float = LATER_LINE_MONTHS, every: float = 28.0, parameters: ParameterSet | None = None,
    solver: Solver | None = None,
) -> ArmResult:  # fmt: skip
    """Deprecated: `treat(plan, population, line=...)` reports any line of a plan."""
    warnings.warn(
        "follow(plan, population, line=...) is treat(plan, population, line=...)", DeprecationWarning, stacklevel=2
    )
    return treat(
        plan, population, line=line, patients=patients, seed=seed, months=months, every=every, parameters=parameters,
        solver=solver, half_weekly=True,
    )  # fmt: skip
