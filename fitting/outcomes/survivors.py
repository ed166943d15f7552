"""Virtual patients whose overall survival was reported, and their expected survival at any numbers of its model.

Progression and death without it are simulated once, at a calibration. Given those, survival is a sum of exponentials,
so that the few numbers of the hazard after progression are fitted without noise and without simulating again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...model.endpoints import Outcomes, Visits
from ...model.overall_survival import hazard_after_progression
from ...model.simulate import Solver
from ...parameters.parameter_set import ParameterSet
from ...parameters.patients import draw, make_patients
from ...parameters.units import DAYS_PER_MONTH
from ..arms import Arm, arms_of, join, treated
from ..items import Item, Study
from ..sequences import follow, plan_of

MONTHS = 120.0
"""Progression is followed for so long, so that every reported median lies inside."""
GRID = np.arange(0.0, MONTHS + 1.0, 2.0)
"""Months at which survival is computed; between them its logarithm is interpolated."""
FROM_PROGRESSION = "from progression"
"""The group of items whose clock starts with progression."""
FAST, SLOW = "doubling time of 6 months or less", "doubling time above 6 months"
FIRST_RELAPSE = "earlier_line"
"""The population whose growth rates stand for those at first relapse from a plateau: one line before, the slowest."""


@dataclass(frozen=True, eq=False)
class Survivors:
    """Rows are branches of patients: days from the start of their clock, weights that sum to one.

    `numbers` are what the hazard after progression reads of each, with the burden at progression as `tumour`.
    """

    progression: np.ndarray
    death: np.ndarray
    weight: np.ndarray
    tumour: np.ndarray
    numbers: Mapping[str, np.ndarray]

    def survival(self, values: Mapping[str, float]) -> np.ndarray:
        """Share alive at each month of `GRID`, with these values of the hazard's numbers in all patients."""
        hazard = hazard_after_progression({**self.numbers, **values}, self.tumour)  # type: ignore[dict-item]
        days = (GRID * DAYS_PER_MONTH)[:, None]
        ill = np.maximum(days - self.progression[None, :], 0.0)
        with np.errstate(invalid="ignore"):
            left = np.where(ill > 0, np.exp(-np.where(ill > 0, hazard[None, :], 0.0) * ill), 1.0)
        return (left * (self.death[None, :] > days)) @ self.weight


def value_of(item: Item, survival: np.ndarray) -> float:
    """What a survival curve on `GRID` says of a reported rate (%) or median (months; infinite if not reached)."""
    fallen = -np.log(np.maximum(survival, 1e-12))  # the cumulative hazard, nearly straight between months
    if item.endpoint == "os_rate":
        return 100.0 * float(np.exp(-np.interp(item.time_months or np.nan, GRID, fallen)))
    return float(np.interp(np.log(2.0), fallen, GRID)) if fallen[-1] >= np.log(2.0) else np.inf


def survivors(
    parameters: ParameterSet, studies: Iterable[Study], chosen: Iterable[str], *, n: int, seed: int
) -> dict[str, Survivors]:
    """The virtual patients of each of the items with the ids `chosen`, by id; `n` patients in each arm."""
    wanted, found = set(chosen), {}
    done: dict[tuple[Arm, bool], Survivors] = {}
    for study in studies:
        kept = study.model_copy(update={"items": tuple(item for item in study.items if item.id in wanted)})
        arms = arms_of([kept], {item.role for item in kept.items})
        for item in kept.items:
            if item.group in (FAST, SLOW):
                found[item.id] = _relapsed(parameters, item.group == FAST, n, seed)
            elif item.scenario:
                found[item.id] = _of(*_followed(parameters, study, item, n, seed))
            else:
                arm = replace(arms[study.name], visits=Visits(arms[study.name].visits.every, MONTHS))
                place = arm, item.group == FROM_PROGRESSION
                if place not in done:
                    done[place] = _of(*_simulated(parameters, arm, n, seed), from_progression=place[1])
                found[item.id] = done[place]
    return found


_SOLVER = Solver(rtol=1e-5)


def _simulated(parameters: ParameterSet, arm: Arm, n: int, seed: int) -> tuple[Mapping[str, np.ndarray], Outcomes]:
    draws = draw(parameters, n, seed)
    patients = make_patients(parameters, draws, product=arm.product, population=arm.population)
    parts = [outcomes for _, outcomes in treated(patients, draws, arm, _SOLVER)]
    return patients, parts[0] if len(parts) == 1 else join(parts)


def _followed(
    parameters: ParameterSet, study: Study, item: Item, n: int, seed: int
) -> tuple[Mapping[str, np.ndarray], Outcomes]:
    scenario = study.scenario(item.scenario).model_copy(update={"months": MONTHS / 2.0})
    outcomes = follow(scenario, parameters, n=n, seed=seed, solver=_SOLVER).line.outcomes
    draws, products = draw(parameters, n, seed), plan_of(scenario).products
    return make_patients(parameters, draws, product=products, population=scenario.population), outcomes


def _of(patients: Mapping[str, np.ndarray], outcomes: Outcomes, *, from_progression: bool = False) -> Survivors:
    """Rows of the branches; from progression on, of those who progress while they live."""
    progression = outcomes.progression().ravel()
    weight, death = outcomes.flat_weight, np.tile(outcomes.death, 2)
    keep = weight > 0
    if from_progression:
        keep &= np.isfinite(progression) & (death > progression)
        death = np.where(keep, death - np.where(keep, progression, 0.0), death)
        progression = np.where(keep, 0.0, progression)
    return Survivors(
        progression[keep], death[keep], weight[keep] / weight[keep].sum(), outcomes.tumour_at_progression.ravel()[keep],
        {name: np.tile(patients[name], 2)[keep] for name in _READ},
    )  # fmt: skip


_READ = ("k_growth_tumour", "k_growth_progressed", "tumour_progressed", "tumour_capacity", "hazard_ratio_line")


def _relapsed(parameters: ParameterSet, fast: bool, n: int, seed: int) -> Survivors:
    """The faster or slower part of patients at first relapse, with the burden before treatment; progression on day 0.

    The model's tumours double faster than those of 1996, so that the cohort is split where it was split: the border is
    the growth rate above which the same share of the model's patients lies, 65 of 137.
    """
    patients = make_patients(parameters, draw(parameters, n, seed), population=FIRST_RELAPSE)
    growth = patients["k_growth_tumour"]
    border = np.quantile(growth, 1.0 - FAST_SHARE)
    keep = growth >= border if fast else growth < border
    size = int(keep.sum())
    return Survivors(
        np.zeros(size), np.full(size, np.inf), np.full(size, 1.0 / size), patients["tumour_baseline"][keep],
        {name: patients[name][keep] for name in _READ},
    )  # fmt: skip


FAST_SHARE = 65.0 / 137.0
"""Share of fast relapses in the cohort (item m_protein_fast_doubling)."""
