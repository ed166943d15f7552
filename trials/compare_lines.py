"""Plans of two lines against each other on the same virtual patients: the second line, and time to its progression.

As `comparison.compare` does for one line, at the estimate and at posterior draws; what is reported is the last line of
every plan. Gains are differences between the patients who come to that line in each arm: the same people where the
first line is the same.

PFS2, the time from day 0 to the second progression or to death, is put together from the two lines, and not assumed to
be their sum. Every patient has three futures: the tumour comes back in both lines (second progression is counted on the
clock of the second line, which starts with its cells or its first dose); it is eradicated in the second; it is
eradicated in the first, or has not come back by month 36, so that only death of something else ends PFS2. A patient who
dies in the first line has PFS2 until then. Between progression and cells nobody dies, and growth in between is no
second progression.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.studies import read_studies
from ..model.endpoints import Outcomes, Visits
from ..model.lines import LATEST_MONTHS, follow_line
from ..model.regimens.plan import wait_for_cells
from ..model.simulate import Solver
from ..model.statistics.survival import SurvivalCurve, kaplan_meier
from ..parameters.errors import InputError
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw, make_patients
from ..parameters.units import DAYS_PER_MONTH
from .compare import EVERYBODY, SHARE, Arm, Comparison, Group, footing_of_arm
from .measures import Measure, Treated
from .projection import BAND_MONTHS, Progress
from .treat import SEED


@dataclass(frozen=True, eq=False)
class Followed(Treated):
    """Virtual patients of a plan: `outcomes` are those of its last line.

    Attributes
    ----------
    first
        Outcomes of the first line, from day 0.
    since : array (n,)
        Day on which the clock of the last line starts; NaN for those who never come to it.
    """

    first: Outcomes
    since: np.ndarray

    def among(self, keep: np.ndarray) -> "Followed":
        """The same with only some patients counted, in the first line too."""
        outcomes = replace(self.outcomes, weight=self.outcomes.weight * keep)
        return replace(self, outcomes=outcomes, first=replace(self.first, weight=self.first.weight * keep))

    @property
    def second_progression(self) -> tuple[np.ndarray, np.ndarray]:
        """Days of the second progression or death, and weights: arrays (3, n) by future, infinite where neither comes.

        Rows: comes back in both lines, eradicated in the last one, never comes to the last one.
        """
        came = np.isfinite(self.since)
        weight = np.where(came, self.outcomes.weight, 0.0)
        day = np.minimum(self.outcomes.progression(), self.outcomes.death) + np.where(came, self.since, np.inf)
        known = (self.first.usable > 0) & (~came | (self.outcomes.usable > 0))
        rest = np.maximum(self.first.weight.sum(axis=0) - weight.sum(axis=0), 0.0)
        return np.vstack([day, self.first.death]), np.vstack([weight, rest]) * known

    def time_to_second(self, *, waiting: bool = True, patients: float | None = None) -> SurvivalCurve:
        """PFS2 in months from day 0, followed for as long as the last line was, and at most until month 36.

        Without `waiting` the days between progression and cells, when nothing holds the tumour, are left out: what
        remains is the time in control. PFS2 itself grows by a longer wait, in which it counts no second progression.
        """
        day, weight = self.second_progression
        if not waiting:
            day = day - np.array([[1.0], [1.0], [0.0]]) * wait_for_cells(self.regimen)
        until = min(LATEST_MONTHS, self.outcomes.visits.months) * DAYS_PER_MONTH
        time, event = np.minimum(day, until) / DAYS_PER_MONTH, day <= until
        keep = (weight > 0).ravel()
        people = float(weight.sum()) if patients is None else patients
        return kaplan_meier(time.ravel()[keep], event.ravel()[keep], weight.ravel()[keep], patients=people)


def followed(one: Treated) -> Followed:
    """The same patients, who must have been followed through a plan.

    Raises
    ------
    InputError
        If they come from an arm of one line.
    """
    if not isinstance(one, Followed):
        raise InputError("these patients were followed through one line only; use line_comparison.compare_lines.")
    return one


def follow_arm(
    arm: Arm, parameters: ParameterSet, *, patients: int, seed: int = SEED, months: float = 24.0, every: float = 28.0,
    solver: Solver | None = None,
) -> Followed:  # fmt: skip
    """Follow virtual patients through the lines of an arm; patients i of two arms are the same person.

    Raises
    ------
    InputError
        If the plan has one line only, or nobody comes to the last one.
    """
    plan, solver = arm.plan, solver or Solver(rtol=1e-4)
    if len(plan.lines) < 2:
        raise InputError(f"arm '{arm.name}': its plan has one line; write 'at progression' and what is given then.")
    people = draw(parameters, patients, seed)
    values = dict(make_patients(parameters, people, product=plan.products, population=arm.population))
    if arm.change is not None:
        values |= arm.change(values)
    first = follow_line(values, people, plan, line=1, visits=Visits(every, LATEST_MONTHS), solver=solver)
    last = follow_line(values, people, plan, visits=Visits(every, months), solver=solver)
    return Followed(
        patients=values, outcomes=last.outcomes, regimen=last.regimen, people=people.for_line(last.number),
        first=first.outcomes, since=last.since,
    )  # fmt: skip


def compare_lines(
    arms: Sequence[Arm],
    calibration: Calibration,
    *,
    measures: Sequence[Measure],
    groups: Mapping[str, Group] | None = None,
    patients: int = 300,
    draws: int = 12,
    patients_per_draw: int = 60,
    months: float = 24.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Comparison:
    """Follow the same virtual patients through every plan, at the estimate and at posterior draws.

    `treated` of the comparison are `Followed`; `groups` are seen in the first arm (among those who come to its last
    line), and the same people count in every arm.

    Raises
    ------
    InputError
        If there is no arm, two have the same name, or a plan has one line only.
    """
    arms, measures = tuple(arms), tuple(measures)
    names = [arm.name for arm in arms]
    if not arms or len(set(names)) != len(names):
        raise InputError(f"arms {names}: give at least one, each with a name of its own.")
    wanted: dict[str, Group] = {EVERYBODY: lambda one: np.ones(one.outcomes.n), **(groups or {})}
    grid = BAND_MONTHS[months >= BAND_MONTHS]
    sets = [(calibration.parameters(), patients), (calibration.parameters(), patients_per_draw)]
    sets += [(calibration.draw(k), patients_per_draw) for k in range(min(draws, len(calibration.draws)))]
    best: tuple[Followed, ...] = ()
    tables, curves = [], []
    for k, (parameters, n) in enumerate(sets):
        made = tuple(follow_arm(arm, parameters, patients=n, months=months, seed=seed) for arm in arms)
        best = best or made
        tables.append(_table(made, wanted, measures))
        curves.append([np.asarray(one.outcomes.progression_free().at(grid)) for one in made])
        if progress is not None:
            progress("following lines", k + 1, len(sets))
    studies = read_studies()
    return Comparison(
        arms, (*measures, SHARE), tuple(wanted), best, tables[0], tables[1], np.array(tables[2:]),
        np.array(curves[1:]), tuple(footing_of_arm(arm, arm.plan, studies, calibration) for arm in arms),
    )  # fmt: skip


def _table(made: Sequence[Followed], groups: Mapping[str, Group], measures: Sequence[Measure]) -> np.ndarray:
    """Array (groups, arms, measures and the share): NaN where nobody belongs to the group."""
    table = np.full((len(groups), len(made), len(measures) + 1), np.nan)
    for g, belongs in enumerate(groups.values()):
        keep = np.nan_to_num(np.asarray(belongs(made[0]), dtype=float))
        for a, one in enumerate(made):
            some = one.among(keep)
            if some.counted > 0:
                table[g, a] = [*(measure.read(some) for measure in measures), SHARE.read(some)]
    return table
