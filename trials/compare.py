"""Several arms on the same virtual patients, at the estimate and at posterior draws: numbers, gains, chances.

Gains are paired: an arm less another one in the same patients, draw by draw. What is a difference between arms is so
freed of the differences between patients.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import anchored, interval
from ..fitting.studies import Study, read_studies
from ..model.endpoints import Visits, outcomes
from ..model.lines import follow_line
from ..model.regimens.plan import Plan
from ..model.regimens.regimen import Regimen
from ..model.regimens.sentence import read_plan
from ..model.simulate import Solver, simulate
from ..parameters.errors import InputError, unknown
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw, make_patients
from .measures import EFFICACY, Measure, Treated
from .projection import BAND_MONTHS, Estimate, Progress
from .provenance import Footing, footing_of_plan
from .treat import SEED

EVERYBODY = "everybody"
Change = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
Group = Callable[[Treated], np.ndarray]
"""Who belongs to a group, from the patients treated in the first arm: array (n,) or, by branch, (2, n).

NaN is somebody of whom the group says nothing, and who so does not belong to it: a day that never came, for example.
"""


@dataclass(frozen=True)
class Arm:
    """Who is given what.

    Attributes
    ----------
    given
        A sentence, a plan, or a regimen.
    change
        Other parameters of the virtual patients ('what if'): gets them by name and returns those that differ.
    from_infusion
        Count from the first infusion of cells, not from day 0 of the plan (apheresis), if these differ.
    """

    name: str
    given: str | Plan | Regimen
    population: str = "late_line"
    change: Change | None = None
    from_infusion: bool = True

    @property
    def plan(self) -> Plan:
        """What is given, as a plan."""
        if isinstance(self.given, str):
            return read_plan(self.given)
        return Plan.of(self.given) if isinstance(self.given, Regimen) else self.given


def treat_arm(
    arm: Arm, parameters: ParameterSet, *, patients: int, seed: int = SEED, months: float = 60.0, every: float = 28.0,
    solver: Solver | None = None,
) -> Treated:  # fmt: skip
    """Treat virtual patients in an arm; what is reported is the first line of its plan.

    Patients i of two arms are the same person. Cells on day 0 are simulated day by day around the peak; a plan without
    them (bridging, an antibody alone) on a half-weekly grid, from its first infusion or from day 0.
    """
    plan, visits, solver = arm.plan, Visits(every, months), solver or Solver(rtol=1e-5)
    people = draw(parameters, patients, seed)
    values = dict(make_patients(parameters, people, product=plan.products, population=arm.population))
    if arm.change is not None:
        values |= arm.change(values)
    if plan.first.infusions and min(plan.first.infusions) == 0.0 and not plan.lines[0].until:
        solution = simulate(values, plan.first, times=visits.grid, solver=solver)
        return Treated(values, outcomes(solution, values, people, visits), plan.first, people)
    found = follow_line(
        values, people, plan, line=1, visits=visits, until_infusion=arm.from_infusion, solver=solver
    )  # fmt: skip
    return Treated(values, found.outcomes, plan.first, people)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Arms against each other.

    Attributes
    ----------
    treated
        Virtual patients of every arm at the estimate.
    best, few : array (groups, arms, measures)
        At the estimate with many patients, and with as few as a draw has.
    drawn : array (draws, groups, arms, measures)
        At the posterior draws.
    curves : array (1 + draws, arms, months)
        Progression-free survival on `BAND_MONTHS` with few patients: at the estimate, then at the draws.
    """

    arms: tuple[Arm, ...]
    measures: tuple[Measure, ...]
    groups: tuple[str, ...]
    treated: tuple[Treated, ...]
    best: np.ndarray
    few: np.ndarray
    drawn: np.ndarray
    curves: np.ndarray
    footings: tuple[Footing, ...]

    def _at(self, arm: str, measure: Measure, group: str) -> tuple[int, int, int]:
        names = [one.name for one in self.arms]
        for kind, name, known in (
            ("arm", arm, names),
            ("group", group, self.groups),
            ("measure", measure.name, [one.name for one in self.measures]),
        ):
            if name not in known:
                raise unknown(kind, name, known)
        return self.groups.index(group), names.index(arm), [m.name for m in self.measures].index(measure.name)

    def draws_of(self, arm: str, measure: Measure, against: str = "", group: str = EVERYBODY) -> np.ndarray:
        """A measure at every draw, freed of what few patients differ by; the difference from another arm if given."""
        at = self._at(arm, measure, group)
        value, few, drawn = self.best[at], self.few[at], self.drawn[(slice(None), *at)]
        low, high = measure.low, measure.high
        if against:
            other = self._at(against, measure, group)
            with np.errstate(invalid="ignore"):  # not reached less not reached
                value, few = value - self.best[other], few - self.few[other]
                drawn = drawn - self.drawn[(slice(None), *other)]
            low, high = measure.low - measure.high, measure.high - measure.low
        return anchored(value, drawn, few, low, high)

    def estimate(self, arm: str, measure: Measure, group: str = EVERYBODY) -> Estimate:
        """A measure with its 95 % interval over posterior draws."""
        value = float(self.best[self._at(arm, measure, group)])
        return Estimate(value, *interval(self.draws_of(arm, measure, "", group)))

    def gain(self, arm: str, measure: Measure, against: str = "", group: str = EVERYBODY) -> Estimate:
        """The difference from another arm (the first by default) in the same patients, with its 95 % interval."""
        against = against or self.arms[0].name
        with np.errstate(invalid="ignore"):
            value = self.best[self._at(arm, measure, group)] - self.best[self._at(against, measure, group)]
        return Estimate(float(value), *interval(self.draws_of(arm, measure, against, group)))

    def chance(self, arm: str, measure: Measure, against: str = "", group: str = EVERYBODY) -> float:
        """Share of posterior draws in which an arm has more of a measure than another one; ties count half."""
        gains = self.draws_of(arm, measure, against or self.arms[0].name, group)
        known = gains[~np.isnan(gains)]
        return float(np.mean((known > 0) + 0.5 * (known == 0))) if known.size else float("nan")

    def share(self, group: str) -> Estimate:
        """Share of the virtual patients who belong to a group, in percent."""
        return self.estimate(self.arms[0].name, SHARE, group)

    def band(self, arm: str) -> np.ndarray:
        """Progression-free survival of every draw on `BAND_MONTHS`, freed of what few patients differ by."""
        i = [one.name for one in self.arms].index(arm)
        months = BAND_MONTHS[: self.curves.shape[2]]
        value = self.treated[i].outcomes.progression_free().at(months)
        return anchored(value, self.curves[1:, i], self.curves[0, i], 0.0, 1.0)


def compare(
    arms: Sequence[Arm],
    calibration: Calibration,
    *,
    measures: Sequence[Measure] = EFFICACY,
    groups: Mapping[str, Group] | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 60.0,
    every: float = 28.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Comparison:
    """Treat the same virtual patients in every arm, at the estimate and at posterior draws.

    Parameters
    ----------
    groups
        Who belongs to it, by name, as seen in the first arm (`Group`); everybody is always there. The same people
        count in every arm.

    Raises
    ------
    InputError
        If there is no arm, or two have the same name.
    """
    arms = tuple(arms)
    names = [arm.name for arm in arms]
    if not arms or len(set(names)) != len(names):
        raise InputError(f"arms {names}: give at least one, each with a name of its own.")
    wanted: dict[str, Group] = {EVERYBODY: lambda one: np.ones(one.outcomes.n), **(groups or {})}
    measures = tuple(measures)
    draws = min(draws, len(calibration.draws))
    grid = BAND_MONTHS[months >= BAND_MONTHS]
    sizes: dict[str, Any] = {"seed": seed, "months": months, "every": every}

    def treated(parameters: ParameterSet, n: int) -> list[Treated]:
        return [treat_arm(arm, parameters, patients=n, **sizes) for arm in arms]

    best = treated(calibration.parameters(), patients)
    few = treated(calibration.parameters(), patients_per_draw)
    curves, drawn = [_curves(few, grid)], []
    for k in range(draws):
        one = treated(calibration.draw(k), patients_per_draw)
        drawn.append(_table(one, wanted, measures))
        curves.append(_curves(one, grid))
        if progress is not None:
            progress("posterior draws", k + 1, draws)
    studies = read_studies()
    return Comparison(
        arms, (*measures, SHARE), tuple(wanted), tuple(best), _table(best, wanted, measures),
        _table(few, wanted, measures), np.array(drawn), np.array(curves),
        tuple(footing_of_arm(arm, Plan(arm.plan.lines[:1]), studies, calibration) for arm in arms),
    )  # fmt: skip


SHARE = Measure("share of patients", "%", lambda one: 100.0 * one.counted / one.outcomes.n, 0.0, 100.0)
"""How many belong to a group."""


def footing_of_arm(arm: Arm, plan: Plan, studies: Iterable[Study], calibration: Calibration) -> Footing:
    """What an arm rests on, `plan` being the lines of it that count: never calibrated if the patients were changed."""
    unchanged = footing_of_plan(plan, arm.population, studies, calibration.missed)
    if arm.change is None:
        return unchanged
    why = "" if unchanged.calibrated else f"; {unchanged.reason}"
    return Footing(False, f"a thought experiment: the virtual patients themselves were changed{why}")


def _curves(treated: Sequence[Treated], grid: np.ndarray) -> np.ndarray:
    return np.array([np.asarray(one.outcomes.progression_free().at(grid)) for one in treated])


def _table(treated: Sequence[Treated], groups: Mapping[str, Group], measures: Sequence[Measure]) -> np.ndarray:
    """Array (groups, arms, measures and the share): NaN where nobody belongs to the group."""
    table = np.full((len(groups), len(treated), len(measures) + 1), np.nan)
    for g, belongs in enumerate(groups.values()):
        keep = np.nan_to_num(np.asarray(belongs(treated[0]), dtype=float))
        for a, one in enumerate(treated):
            some = one.among(keep)
            if some.counted > 0:
                table[g, a] = [*(measure.read(some) for measure in measures), SHARE.read(some)]
    return table
