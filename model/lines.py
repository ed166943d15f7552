"""Lines of therapy: the endpoints of each line of a plan, counted from its own start in those patients who come to it.

A later line begins on the visit at which its rule fires. Its baseline is what is measured then, and everything that the
lines before have left (clones, antigen, T cells, immunity) is there. Patients in whom an earlier line has eradicated
the tumour never come to the next one: every patient counts with the probability that the tumour was still alive.

What the model follows is the expected tumour; where eradication was likely, a tumour that survived is larger, and comes
back earlier than the rule sees it. Such patients have little weight in a later line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..parameters.errors import NoPatientsError, RangeError, RegimenError
from ..parameters.patients import Draws
from ..parameters.units import DAYS_PER_MONTH
from .endpoints import Outcomes, Visits, death_without_progression, outcomes
from .regimens.plan import Plan, wait_for_cells
from .regimens.regimen import Regimen
from .regimens.rules import every
from .simulate import Solver, simulate
from .solution import Failure, Solution

STEP = 3.5
"""Days between recorded values; visits are whole multiples of it."""
LATEST_MONTHS = 36.0
"""A later line is begun until this month; who is still without progression then has no further line."""
LARGEST_RISE = 1e3
"""A tumour that survived is at most so many times the expected one."""


@dataclass(frozen=True, eq=False)
class LineOutcomes:
    """What a trial of one line would report.

    Attributes
    ----------
    number
        1 for the line of day 0.
    since : array (n,)
        Day on which the line's clock starts for every patient: its first infusion of cells, else its first day; NaN for
        those who never come to it.
    outcomes
        Endpoints from then on; those who never come to it have weight zero.
    share
        Share of the patients who come to it.
    failures
        Patients who could not be integrated.
    """

    number: int
    regimen: Regimen
    since: np.ndarray
    outcomes: Outcomes
    share: float
    failures: tuple[Failure, ...] = ()


def follow_line(
    patients: Mapping[str, np.ndarray],
    draws: Draws,
    plan: Plan,
    *,
    line: int = 0,
    visits: Visits | None = None,
    until_infusion: bool = True,
    solver: Solver | None = None,
) -> LineOutcomes:
    """Follow a plan, and report one of its lines (by default the last).

    Parameters
    ----------
    patients
        Made with `product=plan.products`.
    line
        1 for the first.
    visits
        Assessments of that line; every 28 days for 24 months by default. A multiple of `STEP`.
    until_infusion
        Count from the first infusion of CAR-T cells of the line, not from the day on which it was decided (apheresis).

    Raises
    ------
    RangeError
        If the plan has no such line, or visits do not fall on recorded days.
    NoPatientsError
        If no virtual patient comes to the line.
    RegimenError
        If something is given before day 0 and the first cells come after it: the simulation begins on day 0.
    """
    line = line or len(plan.lines)
    visits = visits or Visits(28.0, 24.0)
    if not 1 <= line <= len(plan.lines):
        raise RangeError(f"line = {line}; the plan has {len(plan.lines)}.")
    if visits.every % STEP > 1e-9:
        raise RangeError(f"visits every {visits.every:g} days; give a multiple of {STEP:g} days.")
    _check_days(plan)
    offset = wait_for_cells(plan.lines[line - 1].regimen) if until_infusion else 0.0
    latest = LATEST_MONTHS * DAYS_PER_MONTH if line > 1 else 0.0
    until = latest + offset + visits.until + visits.every
    grid = np.arange(0.0, until + STEP, STEP)
    shift = offset % STEP
    times = np.unique(np.round(np.concatenate([grid, grid[:-1] + shift]), 6))
    looks = every(28.0, stop=max(latest, 28.0))
    solver = solver or Solver()
    n = draws.n

    if 0.0 not in plan.first.infusions:  # the trait stands for lymphodepletion before cells of day 0
        patients = {**patients, "fraction_lymphodepletion": np.zeros(n)}

    def run(lines: int, recorded: np.ndarray) -> Solution:
        part = Plan(plan.lines[:lines])
        return simulate(patients, part.first, times=recorded, until=times[-1], rules=part.rules(looks), solver=solver)

    solution = run(line, times)
    if line == 1:
        begun, alive = np.zeros(n), np.ones(n)
    else:
        before = run(line - 1, times[-1:])
        begun = solution.events[f"line {line}"].first
        alive = 1.0 - np.nan_to_num(before.eradication)
        # a patient who has died of another cause never comes to a later line
        begun = np.where(begun < death_without_progression(patients, draws.death), begun, np.nan)
    suffix = _suffix(plan, line)
    moved = rebase_time(solution, begun + offset, visits, alive=alive, suffix=suffix)
    if not np.isfinite(moved.eradication).any():
        raise NoPatientsError(
            f"none of {n} virtual patients comes to line {line} of the plan within {LATEST_MONTHS:g} months."
        )
    later = draws if line == 1 else draws.for_line(line)
    line_outcomes = outcomes(moved, patients, later, visits)
    line_outcomes = replace(line_outcomes, weight=line_outcomes.weight * alive)
    came = np.isfinite(begun)
    return LineOutcomes(
        line, plan.lines[line - 1].regimen, begun + offset, line_outcomes, float(np.sum(alive * came) / n),
        tuple(solution.failures),
    )  # fmt: skip


def _check_days(plan: Plan) -> None:
    """Before day 0 only what prepares for cells of day 0 may stand: patients come to those already prepared."""
    early = [dose for dose in plan.first.doses if dose.day < 0]
    if early and wait_for_cells(plan.first) > 0.0:
        raise RegimenError(
            f"plan: {early[0].therapy} on day {early[0].day:g}, and the first cells on day "
            f"{wait_for_cells(plan.first):g}; nothing before day 0 is simulated, so begin with the first dose on day 0."
        )


def _suffix(plan: Plan, line: int) -> str:
    """Ending of the states of the CAR-T cells that are given in a line, else of those given last before it."""
    courses = sum(len(part.regimen.products) for part in plan.lines[: line - 1])
    number = courses + 1 if plan.lines[line - 1].regimen.products else courses
    return f"_{number}" if number > 1 else ""


def rebase_time(
    solution: Solution, since: np.ndarray, visits: Visits, *, alive: np.ndarray | None = None, suffix: str = ""
) -> Solution:
    """The same simulation with a clock of its own for every patient.

    Parameters
    ----------
    since
        Day by patient that becomes day 0, one of the recorded days; NaN for patients who are left out (their
        `eradication` becomes NaN, which gives them no weight).
    alive
        Probability that the tumour was alive then; courses of the tumour become those of a tumour that was.
    suffix
        Ending of the CAR-T cells that take the plain names (`engaged`, `susceptibility`, ...).

    Raises
    ------
    RangeError
        If a patient was not recorded until the last visit.
    """
    n, out = solution.n, np.isnan(since)
    alive = np.ones(n) if alive is None else np.clip(alive, 1.0 / LARGEST_RISE, 1.0)
    start = np.where(out, 0.0, since)
    relative = np.unique(np.concatenate([np.arange(0.0, visits.until, STEP), visits.days]))
    wanted = start[:, None] + relative[None, :]
    place = np.clip(np.searchsorted(solution.times, wanted - 1e-4), 0, len(solution.times) - 1)
    far = np.abs(solution.times[place] - wanted) > 1e-4
    if far.any():
        i, j = np.argwhere(far)[0]
        raise RangeError(f"patient {i}: day {wanted[i, j]:g} was not recorded (line from day {start[i]:g} on).")
    courses = np.take_along_axis(solution.courses, place[:, :, None], axis=1)
    names = list(solution.names)
    for name in ("tumour", "m_protein"):
        courses[:, :, names.index(name)] /= alive[:, None]
    for name in names:
        if suffix and f"{name}{suffix}" in names:
            courses[:, :, names.index(name)] = courses[:, :, names.index(f"{name}{suffix}")]
    gone = np.nan_to_num(solution.eradication)
    within = np.clip((gone - (1.0 - alive)) / alive, 0.0, 1.0)
    eradication = np.where(out | np.isnan(solution.eradication), np.nan, within)
    return replace(solution, times=relative, courses=courses, eradication=eradication)
