"""Hazard of death after progression, estimated from reported overall survival.

`python -m perdure.fitting.calibration.overall_survival_fit` prints every reported number beside the model's, and the
values to put into `parameters/sets/outcome.toml`.

The items with the role `outcome` are fitted at the calibration: those of trials from infusion, those of patients who
relapsed after CAR-T cells from that day. The cohort of 1996 (M-protein doubling time at first relapse) is of another
era of therapy, so only the ratio of its two medians counts: a factor on the hazard of both is left free. Items with the
role `check` are compared and never fitted. The posterior is one of weighted points (importance sampling around its
mode); a projection draws the three numbers on their own, which their small correlations allow. Progression comes from
the calibration as it is: what that misses, overall survival misses too, and the widths do not hold it.
`hazard_ratio_line` is not fitted: no report tells survival by line after CAR-T cells.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from ...model.endpoints import Outcomes, Visits
from ...model.overall_survival import hazard_after_progression
from ...model.simulate import Solver
from ...parameters.errors import FitError
from ...parameters.parameter_set import ParameterSet
from ...parameters.patients import draw, make_patients
from ...parameters.units import DAYS_PER_MONTH
from ..observations import Observation, Study
from ..studies import items, read_studies
from .calibration import read_calibration
from .likelihood import LOST, log_error, match
from .predictions import EvidenceArm, arms_of, follow, plan_of, treated

# Virtual cohorts for reported overall survival, and their expected survival at given parameters.
#
# Progression and death without it are simulated once, at a calibration. Given those, survival is a sum of exponentials,
# so that the few numbers of the hazard after progression are fitted without noise and without simulating again.


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
class SurvivalCohort:
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


def value_of(item: Observation, survival: np.ndarray) -> float:
    """What a survival curve on `GRID` says of a reported rate (%) or median (months; infinite if not reached)."""
    fallen = -np.log(np.maximum(survival, 1e-12))  # the cumulative hazard, nearly straight between months
    if item.endpoint == "os_rate":
        return 100.0 * float(np.exp(-np.interp(item.time_months or np.nan, GRID, fallen)))
    return float(np.interp(np.log(2.0), fallen, GRID)) if fallen[-1] >= np.log(2.0) else np.inf


def survivors(
    parameters: ParameterSet, studies: Iterable[Study], chosen: Iterable[str], *, n: int, seed: int
) -> dict[str, SurvivalCohort]:
    """The virtual patients of each of the items with the ids `chosen`, by id; `n` patients in each arm."""
    wanted, people = set(chosen), {}
    done: dict[tuple[EvidenceArm, bool], SurvivalCohort] = {}
    for study in studies:
        kept = study.model_copy(update={"items": tuple(item for item in study.items if item.id in wanted)})
        arms = arms_of([kept], {item.role for item in kept.items})
        for item in kept.items:
            if item.group in (FAST, SLOW):
                people[item.id] = _relapsed(parameters, item.group == FAST, n, seed)
            elif item.scenario:
                people[item.id] = _of(*_followed(parameters, study, item, n, seed))
            else:
                arm = replace(arms[study.name], visits=Visits(arms[study.name].visits.every, MONTHS))
                place = arm, item.group == FROM_PROGRESSION
                if place not in done:
                    done[place] = _of(*_simulated(parameters, arm, n, seed), from_progression=place[1])
                people[item.id] = done[place]
    return people


_SOLVER = Solver(rtol=1e-5)


def _simulated(
    parameters: ParameterSet, arm: EvidenceArm, n: int, seed: int
) -> tuple[Mapping[str, np.ndarray], Outcomes]:
    draws = draw(parameters, n, seed)
    patients = make_patients(parameters, draws, product=arm.product, population=arm.population)
    parts = [outcomes for _, outcomes in treated(patients, draws, arm, _SOLVER)]
    return patients, parts[0] if len(parts) == 1 else Outcomes.concatenate(parts)


def _followed(
    parameters: ParameterSet, study: Study, item: Observation, n: int, seed: int
) -> tuple[Mapping[str, np.ndarray], Outcomes]:
    scenario = study.scenario(item.scenario).model_copy(update={"months": MONTHS / 2.0})
    outcomes = follow(scenario, parameters, n=n, seed=seed, solver=_SOLVER).line.outcomes
    draws, products = draw(parameters, n, seed), plan_of(scenario).products
    return make_patients(parameters, draws, product=products, population=scenario.population), outcomes


def _of(patients: Mapping[str, np.ndarray], outcomes: Outcomes, *, from_progression: bool = False) -> SurvivalCohort:
    """Rows of the branches; from progression on, of those who progress while they live."""
    progression = outcomes.progression().ravel()
    weight, death = outcomes.flat_weight, np.tile(outcomes.death, 2)
    keep = weight > 0
    if from_progression:
        keep &= np.isfinite(progression) & (death > progression)
        death = np.where(keep, death - np.where(keep, progression, 0.0), death)
        progression = np.where(keep, 0.0, progression)
    return SurvivalCohort(
        progression[keep], death[keep], weight[keep] / weight[keep].sum(), outcomes.tumour_at_progression.ravel()[keep],
        {name: np.tile(patients[name], 2)[keep] for name in _READ},
    )  # fmt: skip


_READ = ("k_growth_tumour", "k_growth_progressed", "tumour_progressed", "tumour_capacity", "hazard_ratio_line")


def _relapsed(parameters: ParameterSet, fast: bool, n: int, seed: int) -> SurvivalCohort:
    """The faster or slower part of patients at first relapse, with the burden before treatment; progression on day 0.

    The model's tumours double faster than those of 1996, so that the cohort is split where it was split: the border is
    the growth rate above which the same share of the model's patients lies, 65 of 137.
    """
    patients = make_patients(parameters, draw(parameters, n, seed), population=FIRST_RELAPSE)
    growth = patients["k_growth_tumour"]
    border = np.quantile(growth, 1.0 - FAST_SHARE)
    keep = growth >= border if fast else growth < border
    size = int(keep.sum())
    return SurvivalCohort(
        np.zeros(size), np.full(size, np.inf), np.full(size, 1.0 / size), patients["tumour_baseline"][keep],
        {name: patients[name][keep] for name in _READ},
    )  # fmt: skip


FAST_SHARE = 65.0 / 137.0
"""Share of fast relapses in the cohort (item m_protein_fast_doubling)."""


FREE = ("hazard_death_progressed", "exponent_death_growth", "exponent_death_burden")
"""What is fitted, all of it positive and searched on the log scale."""
PRIOR = {FREE[0]: (math.log(0.5 / 365.25), 1.0), FREE[1]: (math.log(0.5), 0.8), FREE[2]: (math.log(0.3), 0.8)}
"""Mean and SD of the logarithms before the data, assumed: death within years (a median of two months to a decade);
exponents between 0.1 and 2.5 for growth, between 0.06 and 1.5 for burden."""
PATIENTS, DRAWS, SEED = 4000, 600, 1
CHECKS = ("karmma_os_median", "cartitude_1_os_median", "afrough_2023_bridged_os_median")
_QUICK = 2.0 / 365.25
"""A hazard (1/day) at which both medians of 1996 lie inside the months that are computed."""
STEP = 0.1
"""Step of the second differences around the mode, in log units."""


@dataclass(frozen=True)
class Row:
    """A reported number beside the model's, in the unit of the report; the misfit is in standard errors."""

    study: str
    item: Observation
    model: float
    misfit: float


@dataclass(frozen=True, eq=False)
class SurvivalFit:
    """The posterior of `FREE` and what it says of every report.

    Attributes
    ----------
    median, sd
        By name: median (1/day for the hazard) and SD of the logarithm; each is a lognormal prior for projections.
    correlation : array (3, 3)
        Of the logarithms, in the order of `FREE`.
    shrinkage
        By name: 1 - (posterior SD / prior SD)^2; near 0 only the prior speaks.
    effective
        Effective number of the weighted points (Kish 1965).
    era
        Factor on the hazard in the cohort of 1996.
    """

    median: Mapping[str, float]
    sd: Mapping[str, float]
    correlation: np.ndarray
    shrinkage: Mapping[str, float]
    effective: float
    era: float
    rows: Sequence[Row]


@dataclass(frozen=True, eq=False)
class SurvivalEvidence:
    """Reported items with the virtual patients that answer for each; `fitted` are the ids that enter the likelihood."""

    items: tuple[tuple[Study, Observation], ...]
    people: Mapping[str, SurvivalCohort]
    fitted: frozenset[str]

    def models(self, values: Mapping[str, float], only: Iterable[str] = ()) -> dict[str, float]:
        """What the model says of the items, by id; `only` of those with these ids, if there are any."""
        wanted = set(only) or set(self.people)
        curves: dict[int, np.ndarray] = {}  # several items are about the same patients
        models = {}
        for _, item in self.items:
            if item.id in wanted:
                people = self.people[item.id]
                if id(people) not in curves:
                    curves[id(people)] = people.survival(values)
                models[item.id] = value_of(item, curves[id(people)])
        return models

    def log_likelihood(self, values: Mapping[str, float]) -> float:
        """Weighted log-likelihood of the fitted items, the medians of 1996 by their ratio."""
        own = [item for _, item in self.items if item.id in self.fitted and item.group not in (FAST, SLOW)]
        models = self.models(values, [item.id for item in own])
        parts = [item.weight * match(item, models[item.id]).log_likelihood for item in own]
        return self.doubling(values)[0] + sum(parts)

    def doubling(self, values: Mapping[str, float]) -> tuple[float, float]:
        """Log-likelihood of the ratio of the two medians, and the factor on the hazard that fits both best."""
        pair = [item for _, item in self.items if item.group in (FAST, SLOW)]
        # survival from progression depends on hazard and time by their product: a factor divides both medians
        models = self.models({**values, FREE[0]: _QUICK}, [item.id for item in pair])
        if len(pair) != 2 or not all(map(math.isfinite, models.values())):
            return LOST.log_likelihood, math.nan
        apart = np.array([math.log(models[item.id] / (item.value or 1.0)) for item in pair])
        variance = np.array([log_error(item, above=True) ** 2 for item in pair])
        common = float(np.sum(apart / variance) / np.sum(1.0 / variance))
        factor = math.exp(common) * _QUICK / values[FREE[0]]
        return -0.5 * float(apart[0] - apart[1]) ** 2 / float(variance.sum()), factor


def gather(
    parameters: ParameterSet, studies: Iterable[Study], *, n: int = PATIENTS, seed: int = SEED,
    checks: Sequence[str] = CHECKS,
) -> SurvivalEvidence:  # fmt: skip
    """Simulate the patients of every report of overall survival with the role `outcome`, and of the `checks`.

    Raises
    ------
    FitError
        If there is no report to fit.
    """
    studies = tuple(studies)
    fitted = [(study, item) for study, item in items(studies, "outcome") if item.endpoint.startswith("os_")]
    if not fitted:
        raise FitError("no item of overall survival has the role 'outcome'; nothing decides death after progression.")
    compared = [(study, item) for study, item in items(studies, "check") if item.id in set(checks)]
    both = (*fitted, *compared)
    people = survivors(parameters, studies, [item.id for _, item in both], n=n, seed=seed)
    return SurvivalEvidence(both, people, frozenset(item.id for _, item in fitted))


def fit(evidence: SurvivalEvidence, *, draws: int = DRAWS) -> SurvivalFit:
    """The posterior of `FREE` given the evidence, from `draws` weighted points.

    Raises
    ------
    FitError
        If the search does not end.
    """
    mean, sd = (np.array([PRIOR[name][k] for name in FREE]) for k in (0, 1))

    def cost(point: np.ndarray) -> float:
        return float(0.5 * np.sum(((point - mean) / sd) ** 2)) - evidence.log_likelihood(_values(point))

    optimum = minimize(cost, mean, method="Nelder-Mead", options={"xatol": 0.01, "fatol": 0.001, "maxiter": 600})
    if not optimum.success:
        raise FitError(f"the search for death after progression did not end: {optimum.message}")
    points, weight = _weighted_points(cost, np.asarray(optimum.x), sd, draws)
    centre = weight @ points
    covariance = (points - centre).T @ ((points - centre) * weight[:, None])
    width = np.sqrt(np.diag(covariance))
    values = _values(centre)
    _, factor = evidence.doubling(values)
    return SurvivalFit(
        median=values,
        sd=dict(zip(FREE, map(float, width), strict=True)),
        correlation=covariance / np.outer(width, width),
        shrinkage=dict(zip(FREE, map(float, 1.0 - (width / sd) ** 2), strict=True)),
        effective=float(1.0 / np.sum(weight**2)),
        era=factor,
        rows=_rows(evidence, values, factor),
    )


def _values(point: np.ndarray) -> dict[str, float]:
    return {name: math.exp(x) for name, x in zip(FREE, point, strict=True)}


def _weighted_points(
    cost: Callable[[np.ndarray], float], mode: np.ndarray, sd: np.ndarray, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points around the mode with importance weights that sum to one.

    They are drawn from a normal distribution as wide as the curvature of the cost along each axis says, and a quarter
    wider, but never wider than the prior.
    """
    here = cost(mode)
    steps = np.eye(len(mode)) * STEP
    bend = np.array([cost(mode + step) - 2.0 * here + cost(mode - step) for step in steps]) / STEP**2
    width = np.minimum(1.25 / np.sqrt(np.maximum(bend, 1e-9)), sd)
    normal = np.random.default_rng(SEED).standard_normal((draws, len(mode)))
    points = mode + width * normal
    log_weight = 0.5 * np.sum(normal**2, axis=1) - np.array([cost(point) for point in points])
    weight = np.exp(log_weight - log_weight.max())
    return points, weight / weight.sum()


def _rows(evidence: SurvivalEvidence, values: Mapping[str, float], factor: float) -> list[Row]:
    models = evidence.models(values)
    old = evidence.models({**values, FREE[0]: values[FREE[0]] * factor})
    rows = []
    for study, item in evidence.items:
        model = old[item.id] if item.group in (FAST, SLOW) else models[item.id]
        rows.append(Row(study.study, item, model, match(item, model).misfit))
    return rows


def report(survival_fit: SurvivalFit) -> str:
    """The table and the values as text."""
    lines = [f"{'result':34} {'reported':28} {'model':>7} {'misfit':>7}  role"]
    for row in survival_fit.rows:
        lines.append(f"{row.item.id:34} {row.item.text:28} {row.model:7.1f} {row.misfit:+7.1f}  {row.item.role}")
    lines.append(f"the hazard of 1996 is {survival_fit.era:.2f} times that after CAR-T cells")
    for name in FREE:
        unit = 365.25 if name.startswith("hazard") else 1.0
        lines.append(
            f"{name}: median {survival_fit.median[name] * unit:.3g}, SD of the logarithm {survival_fit.sd[name]:.2f}, "
            f"shrinkage {survival_fit.shrinkage[name]:.2f}"
        )
    lines.append(f"correlations {np.round(survival_fit.correlation[np.triu_indices(3, 1)], 2).tolist()}")
    lines.append(f"effective number of points {survival_fit.effective:.0f}")
    return "\n".join(lines)


def main() -> None:
    """Fit at the shipped calibration, and print."""
    print(report(fit(gather(read_calibration().parameters(), read_studies()))))


if __name__ == "__main__":
    main()
