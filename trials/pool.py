"""The virtual patients of a trial, every arm simulated once on all of them: trials are drawn from this pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ..model.endpoints import MRD_LIMITS, Outcomes, Visits, outcomes
from ..model.imwg import CATEGORIES, MR, SD
from ..model.lines import STEP, follow_line, rebase_time
from ..model.overall_survival import death_after_progression
from ..model.regimens.plan import PROGRESSION, Plan, wait_for_cells
from ..model.regimens.regimen import Regimen
from ..model.regimens.rules import every
from ..model.simulate import Solver, simulate
from ..model.solution import Solution
from ..model.therapy import read_therapy
from ..parameters.errors import InputError, NoPatientsError, SimulationError
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import Draws, draw, make_patients
from ..parameters.units import DAYS_PER_MONTH
from .arm import Arm
from .design import Design
from .eligibility import Criterion, asked, strata_of

# What became of virtual patients as a trial would see it: days of progression, response, death and next therapy.


RESPONSES = CATEGORIES[MR:]
REACHED = (*RESPONSES, *(f"mrd_{limit}" for limit in MRD_LIMITS))
"""What a patient may reach: categories of response, and residual disease below a limit."""
FEWEST_VISITS = 3


@dataclass(frozen=True, eq=False)
class Course:
    """Days by branch and patient: arrays (2, n), or (arms, 2, n) of several arms; infinite if it never happens.

    Attributes
    ----------
    progression
        Visit that shows progression of the first line.
    death
        Of whatever cause, later lines included.
    next_therapy
        First dose of the therapy after progression; if the plan has none, the visit that confirms progression.
    first_response
        First visit of a confirmed partial response or better.
    reached
        Visit that confirms a response of each category or better, or shows residual disease below a limit: `REACHED`.
    """

    progression: np.ndarray
    death: np.ndarray
    next_therapy: np.ndarray
    first_response: np.ndarray
    reached: Mapping[str, np.ndarray]


def chosen(first: np.ndarray, course: Course, other: Course) -> Course:
    """One course where `first` (2, n) holds, else the other."""
    reached = {name: np.where(first, course.reached[name], other.reached[name]) for name in REACHED}
    return Course(
        **{name: np.where(first, getattr(course, name), getattr(other, name)) for name in DAYS}, reached=reached
    )


def moved(course: Course, days: float) -> Course:
    """The same on a clock that began so many days earlier."""
    reached = {name: day + days for name, day in course.reached.items()}
    return Course(**{name: getattr(course, name) + days for name in DAYS}, reached=reached)


def stacked(courses: Sequence[Course]) -> Course:
    """Courses of several arms as arrays (arms, 2, n)."""
    reached = {name: np.stack([course.reached[name] for course in courses]) for name in REACHED}
    return Course(**{name: np.stack([getattr(course, name) for course in courses]) for name in DAYS}, reached=reached)


DAYS = tuple(field.name for field in fields(Course) if field.name != "reached")


def course_of(
    solution: Solution,
    patients: Mapping[str, np.ndarray],
    draws: Draws,
    visits: Visits,
    plan: Plan,
    *,
    competing: np.ndarray | None = None,
    spent: np.ndarray | float = 0.0,
    solver: Solver | None = None,
) -> tuple[Course, Outcomes]:
    """What is seen of a simulation of the first line, and what its later lines add.

    Parameters
    ----------
    visits
        Assessments; `solution` was recorded at them.
    competing : array (n,)
        Day of death without progression, if another than that of the outcomes.
    spent : array (2, n)
        Share of the cumulative hazard at which a patient dies after progression that an earlier progression has used.
    """
    seen = outcomes(solution, patients, draws, visits)
    death = seen.death if competing is None else competing
    progression = np.where(seen.progression() <= death, seen.progression(), np.inf)
    first = np.stack([response.first_response for response in seen.responses])
    confirmed = progression + visits.every
    after = death_after_progression(patients, progression, seen.tumour_at_progression, draws)
    begun = np.where(np.isfinite(progression), progression, 0.0)
    dead = np.minimum(death, begun + (after - begun) * (1.0 - spent))
    later = [line for line in plan.lines[1:] if line.when == PROGRESSION]
    starts = later[0].regimen.doses[0].day if later else 0.0
    if later:
        dead = _through_later_lines(patients, draws, plan, confirmed, dead, visits, solver)
    reached = {
        name: np.where(day <= death, day, np.inf)
        for name, day in _first_days(solution, patients, draws, visits, seen).items()
    }
    first = np.where(np.isfinite(reached["PR"]), first, np.inf)
    return Course(progression, dead, confirmed + starts, first, reached), seen


def _first_days(
    solution: Solution, patients: Mapping[str, np.ndarray], draws: Draws, visits: Visits, last: Outcomes
) -> dict[str, np.ndarray]:
    """Visit from which on each of `REACHED` is known: what would be reported if the trial ended with that visit."""
    first_days = {name: np.full(last.weight.shape, np.inf) for name in REACHED}
    for day in visits.days[FEWEST_VISITS:]:
        # a hair beyond the visit, so that it is not lost by rounding
        until = Visits(visits.every, visits.months * (day + 1e-6) / visits.until)
        seen = last if day == visits.days[-1] else outcomes(solution, patients, draws, until)
        holds = {name: seen.best >= CATEGORIES.index(name) for name in RESPONSES}
        holds |= {f"mrd_{limit}": seen.mrd_negative(limit) for limit in MRD_LIMITS}
        for name, now in holds.items():
            first_days[name] = np.where(now, np.minimum(first_days[name], day), first_days[name])
    return first_days


def _through_later_lines(
    patients: Mapping[str, np.ndarray], draws: Draws, plan: Plan, confirmed: np.ndarray, dead: np.ndarray,
    visits: Visits, solver: Solver | None,
) -> np.ndarray:  # fmt: skip
    """Day of death (2, n) of patients who get the later lines of their plan.

    Each line begins when progression is confirmed, and those who come to it alive then die without progression, or
    after that line's own progression; how long the line holds is that of `follow_line`. A tumour that the line has
    eradicated does so by the patient's own luck. Who progresses and does not come to the line keeps the hazard of
    progressed disease, and so do those who wait for their cells.
    """
    number = 1
    for place, line in enumerate(plan.lines[1:], start=2):
        if line.when != PROGRESSION:
            continue
        number += 1
        try:
            followed = follow_line(patients, draws, plan, line=place, visits=visits, solver=solver)
        except NoPatientsError:
            return dead
        seen = followed.outcomes
        begun = confirmed + wait_for_cells(line.regimen)
        came = np.isfinite(followed.since) & (seen.usable > 0) & (dead > begun) & np.isfinite(begun)
        came[1] = False  # an assay error: there is no tumour that could come to the line
        total = np.maximum(seen.weight.sum(axis=0), 1e-12)
        cured = draws.uniform_of(f"eradication, line {number}") < seen.weight[1] / total
        own = np.where(cured, seen.progression()[1], seen.progression()[0])
        tumour = np.where(cured, *seen.tumour_at_progression[::-1])
        again = begun + own
        after = death_after_progression(patients, again, np.broadcast_to(tumour, again.shape), draws, line=number)
        dead = np.where(came, np.minimum(begun + seen.death, after), dead)
        confirmed = np.where(came, again + visits.every, np.inf)
    return dead


# Virtual patients of one arm, treated once: from infusion, or from apheresis with patients who fail in between.


NOT_INFUSED = "not infused"
"""Name of the random numbers that decide who cannot be infused."""


@dataclass(frozen=True, eq=False)
class ArmRun:
    """One arm's virtual patients; arrays (2, n) by branch (relapse, eradicated), (n,) by patient.

    Attributes
    ----------
    course
        Days from day 0 of the plan: infusion, or apheresis.
    eradicated : array (n,)
        Probability of the second branch; NaN if the patient could not be integrated.
    infused : array (2, n)
        Who gets cells.
    wait
        Day of the first cells.
    after_infusion
        Of those infused, days from infusion, judged from the baseline measured then.
    """

    patients: Mapping[str, np.ndarray]
    course: Course
    eradicated: np.ndarray
    infused: np.ndarray
    wait: float
    after_infusion: Course


def run_arm(design: Design, arm: Arm, parameters: ParameterSet, draws: Draws, solver: Solver) -> ArmRun:
    """Treat virtual patients in an arm of the design; `draws` makes them the same people in every arm."""
    patients = make_patients(parameters, draws, product=arm.plan.products, population=arm.population)
    if 0.0 not in arm.plan.first.infusions:  # the trait stands for lymphodepletion before cells of day 0
        patients = {**patients, "fraction_lymphodepletion": np.zeros(draws.n)}
    cells = bool(arm.plan.first.infusions)
    if design.time_zero == "apheresis" and cells:
        return _from_apheresis(design, arm.plan, patients, draws, solver)
    solution = _simulated(arm.plan, patients, design.visits.grid, design.visits, solver)
    course, _ = course_of(solution, patients, draws, design.visits, arm.plan, solver=solver)
    infused = np.full((2, draws.n), cells)
    return ArmRun(patients, course, solution.eradication, infused, 0.0, course)


def _simulated(
    plan: Plan, patients: Mapping[str, np.ndarray], times: np.ndarray, visits: Visits, solver: Solver
) -> Solution:
    """The first line, with what it adds at a response."""
    lines = []
    for line in plan.lines:
        if line.when == PROGRESSION:
            break
        lines.append(replace(line, until=()))  # what ends at progression changes nothing before it
    rules = Plan(tuple(lines)).rules(every(28.0))
    return simulate(patients, plan.first, times=times, until=max(visits.until, times[-1]), rules=rules, solver=solver)


def _from_apheresis(
    design: Design, plan: Plan, patients: Mapping[str, np.ndarray], draws: Draws, solver: Solver
) -> ArmRun:
    """Intention to treat from apheresis, and what is seen from infusion in those who come to it.

    Until infusion patients die without progression, or after progression under the first therapies; from infusion on
    the hazard of progressed disease waits for the next progression. A share of `design.not_infused` is never infused.
    """
    visits, wait = design.visits, wait_for_cells(plan.first)
    since = Visits(visits.every, visits.months - wait / DAYS_PER_MONTH)
    later = np.concatenate([np.arange(0.0, since.until, STEP), since.days]) + wait
    times = np.unique(np.round(np.concatenate([visits.grid, later]), 6))
    solution = _simulated(plan, patients, times, visits, solver)
    whole, seen = course_of(solution, patients, draws, visits, Plan(plan.lines[:1]))
    from_infusion = rebase_time(solution, np.full(draws.n, wait), since)
    after, _ = course_of(
        from_infusion, patients, draws, since, plan, competing=seen.death - wait,
        spent=_spent(patients, draws, whole, seen, wait), solver=solver,
    )  # fmt: skip
    able = np.broadcast_to(_able(draws, design.not_infused), (2, draws.n))
    infused = able & (whole.death >= wait)
    treated = moved(after, wait)
    intended = replace(
        whole,
        death=np.where(infused, treated.death, whole.death),
        next_therapy=np.where(infused, treated.next_therapy, np.inf),
    )
    bare, usable = _never_infused(plan, patients, draws, visits, wait, solver)
    eradicated = np.where(able[0], solution.eradication, np.where(usable, 0.0, np.nan))
    return ArmRun(patients, chosen(able, intended, bare), eradicated, infused, wait, after)


def _spent(
    patients: Mapping[str, np.ndarray], draws: Draws, whole: Course, seen: Outcomes, wait: float
) -> np.ndarray:  # fmt: skip
    """Share of the cumulative hazard of death that who progressed before infusion has lived through by then."""
    progression = whole.progression
    due = death_after_progression(patients, progression, seen.tumour_at_progression, draws)
    waited = (progression < wait) & (due > wait)
    lived = np.where(waited, wait - np.where(waited, progression, 0.0), 0.0)
    return lived / np.where(waited, due - np.where(waited, progression, 0.0), 1.0)


def _able(draws: Draws, not_infused: float) -> np.ndarray:
    """Who can be infused (n,): exactly the share that is asked for, to a patient, chosen by each patient's own luck."""
    rank = np.argsort(np.argsort(draws.uniform_of(NOT_INFUSED), kind="stable"), kind="stable")
    return rank >= round(not_infused * draws.n)


def _never_infused(
    plan: Plan, patients: Mapping[str, np.ndarray], draws: Draws, visits: Visits, wait: float, solver: Solver
) -> tuple[Course, np.ndarray]:
    """Patients for whom there are no cells: what the plan gives before them, without conditioning.

    Both branches are that of a tumour that is there. Second value: who could be integrated (n,).
    """
    doses = [
        dose for dose in plan.first.doses if dose.day < wait and read_therapy(dose.therapy).group != "conditioning"
    ]
    alone = Plan.of(Regimen(tuple(doses), "not infused"))
    solution = _simulated(alone, patients, visits.grid, visits, solver)
    course, _ = course_of(solution, patients, draws, visits, alone)
    there = {name: np.broadcast_to(getattr(course, name)[0], (2, draws.n)) for name in DAYS}
    reached = {name: np.broadcast_to(day[0], (2, draws.n)) for name, day in course.reached.items()}
    return Course(**there, reached=reached), np.isfinite(solution.eradication)


@dataclass(frozen=True, eq=False)
class Pool:
    """Virtual patients under every arm; branches are relapse and eradicated.

    Attributes
    ----------
    arms
        Names of the arms.
    course
        Days from day 0 of the plans: arrays (arms, 2, n).
    eradicated : array (arms, n)
        Probability of the second branch.
    weight : array (2, n)
        Probability that the patient of the first arm is in this branch and eligible; zero who is not.
    stratum : array (2, n)
        Number of the stratum; their names are `strata`.
    infused : array (arms, 2, n)
        Who gets cells.
    wait : array (arms,)
        Day of the first cells.
    after_infusion
        Of those infused, days from infusion.
    origin, months, visit_days
        Day of time zero, months simulated from then on, days between visits.
    """

    arms: tuple[str, ...]
    course: Course
    eradicated: np.ndarray
    weight: np.ndarray
    stratum: np.ndarray
    strata: tuple[str, ...]
    infused: np.ndarray
    wait: np.ndarray
    after_infusion: Course
    origin: float
    months: float
    visit_days: float

    @property
    def n(self) -> int:
        """Number of virtual patients, eligible or not."""
        return self.weight.shape[1]

    @property
    def eligible_share(self) -> float:
        """Share of the virtual patients who could enter."""
        return float(self.weight.sum() / self.n)


def make_pool(
    design: Design, parameters: ParameterSet, *, patients: int, seed: int, solver: Solver | None = None
) -> Pool:
    """Treat the same virtual patients in every arm of a design.

    Parameters
    ----------
    design
        The trial: arms, eligibility, visits, time zero and follow-up.
    parameters
        The catalogue, at the estimate or at a posterior draw.
    patients
        Virtual patients; trials draw from the eligible ones with replacement, so have a few hundred of them.
    seed
        Root of their random streams.
    solver
        `Solver(rtol=1e-5)` by default.

    Returns
    -------
    Pool
        What becomes of every patient in every arm, arrays (arms, 2, n) by branch, in days from day 0 of the plans.

    Raises
    ------
    InputError
        If nobody is eligible, or what is asked of patients depends on the arm.
    SimulationError
        If no patient could be integrated in all arms.

    Examples
    --------
    >>> from perdure import Arm, make_pool, read_calibration
    >>> from perdure.trials.design import Design
    >>> arms = (Arm("alone", "ide-cel"), Arm("with", "ide-cel; lenalidomide 10 mg daily from day 30 for 5 months"))
    >>> months = {"accrual_months": 3.0, "follow_up_months": 6.0}
    >>> design = Design("Maintenance", arms, "infusion", patients=20, endpoint="pfs", **months)
    >>> pool = make_pool(design, read_calibration().parameters(), patients=20, seed=1)
    >>> pool.course.progression.shape
    (2, 2, 20)
    """
    people = draw(parameters, patients, seed)
    solver = solver or Solver(rtol=1e-5)
    runs = [run_arm(design, arm, parameters, people, solver) for arm in design.arms]
    usable = np.all([np.isfinite(run.eradicated) for run in runs], axis=0)
    if not usable.any():
        raise SimulationError(f"none of {patients} patients could be integrated in all {len(runs)} arms.")
    gone = np.nan_to_num(runs[0].eradicated)
    weight = np.stack([1.0 - gone, gone]) * usable
    course, origin = runs[0].course, design.origin
    # Arms do the same until time zero, so the first tells of all who is there then, and with which response.
    if origin > 0:
        weight = weight * (np.minimum(course.progression, course.death) > origin)
        _anybody(weight, f"alive and without progression on day {origin:g} (randomised_on_day)")
    response = _response_by(course, origin)
    patients_of = tuple(run.patients for run in runs)
    for criterion in design.eligible:
        values = asked(criterion, patients_of, response)
        fulfilled = weight * criterion.fulfilled(values)
        _anybody(fulfilled, f"eligible with {criterion.text}", _range(criterion, values, weight))
        weight = fulfilled
    stratum, names = strata_of(design.strata, patients_of, response)
    return Pool(
        arms=tuple(arm.name for arm in design.arms),
        course=stacked([run.course for run in runs]),
        eradicated=np.stack([np.nan_to_num(run.eradicated) for run in runs]),
        weight=weight,
        stratum=stratum,
        strata=names,
        infused=_infused(runs),
        wait=np.array([run.wait for run in runs]),
        after_infusion=stacked([run.after_infusion for run in runs]),
        origin=origin,
        months=design.months,
        visit_days=design.visit_days,
    )


def _infused(runs: list[ArmRun]) -> np.ndarray:
    return np.stack([run.infused for run in runs])


def _response_by(course: Course, day: float) -> np.ndarray:
    """Best response that is confirmed by a day, as its place in `imwg.CATEGORIES`: array (2, n)."""
    best = np.full(course.progression.shape, SD)
    for name in RESPONSES:
        best = np.where(course.reached[name] <= day, CATEGORIES.index(name), best)
    return best


def _anybody(weight: np.ndarray, what: str, known_range: str = "") -> None:
    if not weight.sum() > 0:
        raise InputError(f"none of {weight.shape[1]} virtual patients is {what}{known_range}; ask for less.")


def _range(criterion: Criterion, values: np.ndarray, weight: np.ndarray) -> str:
    known = values[weight > 0]
    low, high = known.min(), known.max()
    if criterion.what == "response":
        return f" (they have {CATEGORIES[low]} to {CATEGORIES[high]})"
    return f" (it lies between {low:.3g} and {high:.3g})"
