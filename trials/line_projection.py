"""Project one line of several plans, at the estimate and at posterior draws, on the same virtual patients."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import anchored, interval
from ..fitting.studies import read_studies
from ..model.imwg import PR
from ..model.regimens.plan import Plan
from ..model.simulate import Solver
from ..parameters.parameter_set import ParameterSet
from .projection import Estimate, Progress
from .provenance import Footing, footing_of_plan
from .treat import SEED, LineTrial, follow

MONTHS = 24.0
"""Follow-up of the line that is reported."""
RESTRICTED_MONTHS = 12.0
"""Restricted mean progression-free survival is taken over so many months of that line, or over its follow-up."""
THREADS = 2
SHARE = "come to this line, %"
RESPONSE = "overall response, %"
COMPLETE = "complete response, %"
MEDIAN = "median PFS, months"
RESTRICTED = "restricted mean PFS, months"
GAIN = "gain in restricted mean PFS, months"


@dataclass(frozen=True, eq=False)
class LineProjection:
    """One line of a plan: the virtual trial at the estimate, the curves of the draws (draws, months), and the numbers.

    `numbers` are by name (`SHARE`, `RESPONSE`, ...); the gain is against the first plan.
    """

    name: str
    plan: Plan
    line: int
    footing: Footing
    trial: LineTrial
    band: np.ndarray
    numbers: Mapping[str, Estimate]


def project_lines(
    plans: Mapping[str, Plan],
    population: str,
    calibration: Calibration,
    *,
    line: int = 0,
    patients: int = 400,
    draws: int = 12,
    patients_per_draw: int = 120,
    months: float = MONTHS,
    seed: int = SEED,
    progress: Progress | None = None,
) -> tuple[LineProjection, ...]:
    """Follow the line of every plan (by default its last), in the order of the plans."""
    draws = min(draws, len(calibration.draws))
    sets = [(calibration.parameters(), patients), (calibration.parameters(), patients_per_draw)]
    sets += [(calibration.draw(k), patients_per_draw) for k in range(draws)]
    trials: list[list[LineTrial]] = []
    for k, (parameters, n) in enumerate(sets):
        trials.append(_all(plans, population, parameters, n, line, months, seed))
        if progress is not None:
            progress("following", k + 1, len(sets))
    values = [_numbers(one) for one in trials]
    grid = months_of(months)
    studies = read_studies()
    found = []
    for i, (name, plan) in enumerate(plans.items()):
        best, few, drawn = values[0][i], values[1][i], [row[i] for row in values[2:]]
        numbers = {
            key: Estimate(
                best[key], *interval(anchored(best[key], np.array([d[key] for d in drawn]), few[key], low, high))
            )
            for key, (low, high) in _BOUNDS.items()
        }
        curves = np.array([np.asarray(row[i].pfs().at(grid)) for row in trials[2:]])
        band = anchored(trials[0][i].pfs().at(grid), curves, trials[1][i].pfs().at(grid), 0.0, 1.0)
        number = trials[0][i].line.number
        standing = footing_of_plan(Plan(plan.lines[:number]), population, studies, calibration.missed)
        found.append(LineProjection(name, plan, number, standing, trials[0][i], band, numbers))
    return tuple(found)


def follow_plan(
    plan: Plan, population: str, calibration: Calibration, *, line: int = 0, **sizes: Any
) -> tuple[LineProjection, ...]:
    """Every line of a plan, or one of them, as `project_lines` gives it; a gain has no meaning here."""
    wanted = (line,) if line else tuple(range(1, len(plan.lines) + 1))
    found = []
    for number in wanted:
        one = project_lines({f"line {number}": plan}, population, calibration, line=number, **sizes)[0]
        found.append(replace(one, numbers={name: n for name, n in one.numbers.items() if name != GAIN}))
    return tuple(found)


def table_of(found: Sequence[LineProjection]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and cells: value (95 % of draws) of every number."""
    head = ("given", *found[0].numbers, "standing")
    return head, [(p.name, *(n.text(".1f") for n in p.numbers.values()), p.footing.flag) for p in found]


def months_of(months: float) -> np.ndarray:
    """Months at which curves are kept."""
    return np.arange(0.0, months + 0.25, 0.5)


_BOUNDS = {
    SHARE: (0.0, 100.0), RESPONSE: (0.0, 100.0), COMPLETE: (0.0, 100.0), MEDIAN: (0.0, np.inf),
    RESTRICTED: (0.0, RESTRICTED_MONTHS), GAIN: (-RESTRICTED_MONTHS, RESTRICTED_MONTHS),
}  # fmt: skip


def _all(
    plans: Mapping[str, Plan], population: str, parameters: ParameterSet, n: int, line: int, months: float, seed: int
) -> list[LineTrial]:
    solver = Solver(rtol=1e-4, workers=1)

    def one(plan: Plan) -> LineTrial:
        return follow(
            plan, population, line=line, patients=n, months=months, seed=seed, parameters=parameters, solver=solver
        )

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, plans.values()))


def _numbers(trials: Sequence[LineTrial]) -> list[dict[str, float]]:
    rows = []
    for trial in trials:
        curve, outcomes = trial.pfs(), trial.outcomes
        mean = curve.restricted_mean(min(RESTRICTED_MONTHS, outcomes.visits.months))
        rows.append(
            {
                SHARE: 100.0 * trial.line.share,
                RESPONSE: 100.0 * outcomes.rate(outcomes.best >= PR),
                COMPLETE: 100.0 * outcomes.complete_response_rate,
                MEDIAN: curve.median(),
                RESTRICTED: mean,
                GAIN: mean - (rows[0][RESTRICTED] if rows else mean),
            }
        )
    return rows
