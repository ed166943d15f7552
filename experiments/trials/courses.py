"""What became of virtual patients as a trial would see it: days of progression, response, death and next therapy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from perdure.model.endpoints import MRD_LIMITS, Outcomes, Visits, outcomes
from perdure.model.imwg import CATEGORIES, MR
from perdure.model.lines import follow_line
from perdure.model.overall_survival import death_after_progression
from perdure.model.plan import PROGRESSION, Plan, wait_for_cells
from perdure.model.simulate import Solver
from perdure.model.solution import Solution
from perdure.parameters.errors import NobodyError
from perdure.parameters.patients import Draws

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


def chosen(first: np.ndarray, one: Course, other: Course) -> Course:
    """One course where `first` (2, n) holds, else the other."""
    reached = {name: np.where(first, one.reached[name], other.reached[name]) for name in REACHED}
    return Course(**{name: np.where(first, getattr(one, name), getattr(other, name)) for name in DAYS}, reached=reached)


def moved(course: Course, days: float) -> Course:
    """The same on a clock that began so many days earlier."""
    reached = {name: day + days for name, day in course.reached.items()}
    return Course(**{name: getattr(course, name) + days for name in DAYS}, reached=reached)


def stacked(courses: Sequence[Course]) -> Course:
    """Courses of several arms as arrays (arms, 2, n)."""
    reached = {name: np.stack([one.reached[name] for one in courses]) for name in REACHED}
    return Course(**{name: np.stack([getattr(one, name) for one in courses]) for name in DAYS}, reached=reached)


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
    found = {name: np.full(last.weight.shape, np.inf) for name in REACHED}
    for day in visits.days[FEWEST_VISITS:]:
        # a hair beyond the visit, so that it is not lost by rounding
        until = Visits(visits.every, visits.months * (day + 1e-6) / visits.until)
        seen = last if day == visits.days[-1] else outcomes(solution, patients, draws, until)
        holds = {name: seen.best >= CATEGORIES.index(name) for name in RESPONSES}
        holds |= {f"mrd_{limit}": seen.mrd_negative(limit) for limit in MRD_LIMITS}
        for name, now in holds.items():
            found[name] = np.where(now, np.minimum(found[name], day), found[name])
    return found


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
            found = follow_line(patients, draws, plan, line=place, visits=visits, solver=solver)
        except NobodyError:
            return dead
        seen = found.outcomes
        begun = confirmed + wait_for_cells(line.regimen)
        came = np.isfinite(found.since) & (seen.usable > 0) & (dead > begun) & np.isfinite(begun)
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
