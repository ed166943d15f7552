"""Virtual patients of one arm, treated once: from infusion, or from apheresis with patients who fail in between."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from perdure.experiments.trials.courses import DAYS, Course, chosen, course_of, moved
from perdure.experiments.trials.design import Design, TrialArm
from perdure.model.endpoints import Outcomes, Visits
from perdure.model.lines import STEP, seen_from
from perdure.model.overall_survival import death_after_progression
from perdure.model.plan import PROGRESSION, Plan, wait_for_cells
from perdure.model.regimen import Regimen
from perdure.model.rules import every
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.therapy import read_therapy
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import Draws, make_patients
from perdure.parameters.units import DAYS_PER_MONTH

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


def run_arm(design: Design, arm: TrialArm, parameters: ParameterSet, draws: Draws, solver: Solver) -> ArmRun:
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
    from_infusion = seen_from(solution, np.full(draws.n, wait), since)
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
