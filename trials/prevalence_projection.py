"""Project each product under two ways to make virtual patients.

The first way samples patients from the fitted distributions. The second samples them more widely, keeps those who are
plausible, and finds how common each must be for the trial to report what was reported (prevalence weights). It starts
from the fitted population, or from holding every plausible patient for equally common. The typical patient is that of
the calibration in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.calibration.predictions import Arm, arms_of
from ..fitting.posterior import interval
from ..fitting.prevalence.plausible import Cohort, plausible_cohort, treat_widely, weighted
from ..fitting.prevalence.weights import LeftOut, Prevalence, Share, shares_of, weigh_shares
from ..fitting.studies import Study, read_studies
from ..model.endpoints import Outcomes, Visits
from ..model.simulate import Solver
from ..model.therapy import read_therapy
from ..parameters.errors import InputError
from .projection import MONTHS, RESTRICTED_MONTHS, Estimate, Progress, Projection
from .projection import run as project
from .provenance import Scenario, default_scenarios
from .treat import SEED

SAMPLED, FITTED_START, EQUAL_START = "sampled from the fit", "weighted, from the fit", "weighted, from equal shares"
METHODS = (SAMPLED, FITTED_START, EQUAL_START)
RESPONSE, COMPLETE, MEDIAN = "overall response, %", "complete response, %", "median PFS, months"
PFS_12, PFS_24 = "PFS at 12 months, %", "PFS at 24 months, %"
GAIN = "gain of lenalidomide, months"
HEADLINES = (RESPONSE, COMPLETE, MEDIAN, PFS_12, PFS_24, GAIN)
_GAIN_PROJECTED = "gain in restricted mean PFS, months"


@dataclass(frozen=True, eq=False)
class Weighing:
    """Prevalence weights from one start, and the headline numbers under them."""

    prevalence: Prevalence
    numbers: Mapping[str, Estimate]


@dataclass(frozen=True, eq=False)
class TwoPopulations:
    """One product in its population under both ways.

    `sampled` are the headlines of the first way by name, `weighed` those of the second by start. `shares` are the
    reported results that the weights were asked to meet; `left` those that are no share of patients.
    """

    scenario: Scenario
    sampled: Mapping[str, Estimate]
    cohort: Cohort
    shares: tuple[Share, ...]
    left: tuple[LeftOut, ...]
    weighed: Mapping[str, Weighing]

    @property
    def name(self) -> str:
        """Product and population, as tables print it."""
        return f"{read_therapy(self.scenario.product).short}, {self.scenario.population.replace('_', ' ')}"

    def estimate(self, method: str, headline: str) -> Estimate:
        """A headline number under one of `METHODS`."""
        return self.sampled[headline] if method == SAMPLED else self.weighed[method].numbers[headline]


def project_both(
    calibration: Calibration,
    *,
    patients: int = 1000,
    draws: int = 20,
    patients_per_draw: int = 120,
    plausible: int = 3000,
    repeats: int = 100,
    months: float = MONTHS,
    seed: int = SEED,
    studies: Sequence[Study] | None = None,
    solver: Solver | None = None,
    progress: Progress | None = None,
) -> tuple[TwoPopulations, ...]:
    """Each product alone, and with lenalidomide maintenance, under both ways to make virtual patients.

    Parameters
    ----------
    patients, draws, patients_per_draw
        Of the first way; its intervals are over posterior draws.
    plausible
        Patients sampled widely for the second way, before implausible ones are taken out.
    repeats
        Repetitions behind the intervals of the second way: reported results drawn within their sampling errors, one by
        one, and patients by the Bayesian bootstrap (Rubin 1981); the parameters are those of the estimate.
    """
    studies = tuple(read_studies() if studies is None else studies)
    solver = solver or Solver(rtol=1e-5)
    scenarios = default_scenarios()
    found = []
    for product in dict.fromkeys(scenario.product for scenario in scenarios):
        alone, with_drug = [scenario for scenario in scenarios if scenario.product == product][:2]
        first, second = project(
            (alone, with_drug), calibration=calibration, patients=patients, draws=draws,
            patients_per_draw=patients_per_draw, months=months, seed=seed, solver=solver, progress=progress,
        )  # fmt: skip
        arm, results = _evidence(alone, studies, months)
        cohort = plausible_cohort(calibration.parameters(), arm, studies, n=plausible, seed=seed, solver=solver)
        drugged, _ = treat_widely(cohort.patients, replace(arm, regimens=((1.0, with_drug.regimen),)), solver)
        shares, left = shares_of(results, cohort.outcomes)
        weighed = {
            start: _weigh(shares, base * (drugged.usable > 0), (cohort.outcomes, drugged), repeats, seed)
            for start, base in ((FITTED_START, cohort.importance), (EQUAL_START, cohort.uniform))
        }
        found.append(TwoPopulations(alone, _sampled(first, second), cohort, shares, left, weighed))
        if progress is not None:
            progress("two populations", len(found), len({scenario.product for scenario in scenarios}))
    return tuple(found)


def _sampled(alone: Projection, with_drug: Projection) -> dict[str, Estimate]:
    """Headlines of a product alone, and the gain of the drug beside it."""
    year = round(min(12.0, alone.trial.outcomes.visits.months))
    at_a_year = Estimate(100.0 * float(alone.trial.pfs().at(year)), *interval(100.0 * alone.band[:, year]))
    numbers = {**alone.numbers, PFS_12: at_a_year, GAIN: with_drug.numbers[_GAIN_PROJECTED]}
    return {name: numbers[name] for name in HEADLINES}


def _evidence(scenario: Scenario, studies: Sequence[Study], months: float) -> tuple[Arm, list]:
    """The fitted arm in which the product alone was given so, followed for `months`, and the results of its studies."""
    arms = {
        name: arm
        for name, arm in arms_of(studies).items()
        if (arm.product, arm.population, arm.regimens)
        == (scenario.product, scenario.population, ((1.0, scenario.regimen),))
    }
    if not arms:
        given = scenario.regimen.text
        raise InputError(f"{scenario.product} in {scenario.population}: no fitted study gave '{given}'; add one.")
    first = next(iter(arms.values()))
    results = [
        (study, item)
        for study in studies
        if study.name in arms
        for item in study.items
        if item.role == "fit" and not item.scenario
    ]
    return replace(first, visits=Visits(first.visits.every, months)), results


def _weigh(
    shares: Sequence[Share], base: np.ndarray, trials: tuple[Outcomes, Outcomes], repeats: int, seed: int
) -> Weighing:
    best = weigh_shares(shares, base)
    values = _numbers(trials, best.weights)
    rng = np.random.default_rng(seed)
    reported, errors = (np.array([getattr(one, name) for one in shares]) for name in ("reported", "error"))
    again: list[dict[str, float]] = []
    for _ in range(repeats):
        targets = np.clip(reported + errors * rng.standard_normal(len(shares)), 0.0, 1.0)
        drawn = weigh_shares(shares, base * rng.exponential(size=len(base)), targets)
        again.append(_numbers(trials, drawn.weights))
    numbers = {name: Estimate(values[name], *interval(np.array([one[name] for one in again]))) for name in HEADLINES}
    return Weighing(best, numbers)


def _numbers(trials: tuple[Outcomes, Outcomes], weights: np.ndarray) -> dict[str, float]:
    alone, with_drug = (weighted(trial, weights) for trial in trials)
    curve = alone.progression_free()
    months = alone.visits.months
    reach = min(RESTRICTED_MONTHS, months)
    return {
        RESPONSE: 100.0 * alone.overall_response_rate,
        COMPLETE: 100.0 * alone.complete_response_rate,
        MEDIAN: curve.median(),
        PFS_12: 100.0 * float(curve.at(min(12.0, months))),
        PFS_24: 100.0 * float(curve.at(min(24.0, months))),
        GAIN: with_drug.progression_free().restricted_mean(reach) - curve.restricted_mean(reach),
    }
