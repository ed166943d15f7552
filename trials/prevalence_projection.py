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
from ..fitting.calibration.predictions import EvidenceArm, arms_of
from ..fitting.posterior import Estimate, Sizes, interval
from ..fitting.prevalence.plausible import Cohort, plausible_cohort, treat_widely, weighted
from ..fitting.prevalence.weights import LeftOut, Prevalence, Share, targets_of, weigh_targets
from ..fitting.studies import Study, read_studies
from ..model.endpoints import Outcomes, Visits
from ..model.simulate import Solver
from ..model.therapy import read_therapy
from ..parameters.errors import InputError
from . import measures
from .arm import Arm
from .compare import Comparison, compare
from .measures import EFFICACY, RESTRICTED_MONTHS
from .standard_regimens import default_arms
from .treat import FIRST_LINE_MONTHS

SAMPLED, FITTED_START, EQUAL_START = "sampled from the fit", "weighted, from the fit", "weighted, from equal shares"
METHODS = (SAMPLED, FITTED_START, EQUAL_START)
RESPONSE, COMPLETE, MEDIAN = "overall response, %", "complete response, %", "median PFS, months"
PFS_12, PFS_24 = "PFS at 12 months, %", "PFS at 24 months, %"
GAIN = "gain of lenalidomide, months"
HEADLINES = (RESPONSE, COMPLETE, MEDIAN, PFS_12, PFS_24, GAIN)
SIZES = Sizes(draws=20)


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

    arm: Arm
    sampled: Mapping[str, Estimate]
    cohort: Cohort
    shares: tuple[Share, ...]
    left: tuple[LeftOut, ...]
    weighed: Mapping[str, Weighing]

    @property
    def name(self) -> str:
        """Product and population, as tables print it."""
        product = read_therapy(self.arm.plan.products[0]).short
        return f"{product}, {self.arm.population.replace('_', ' ')}"

    def estimate(self, method: str, headline: str) -> Estimate:
        """A headline number under one of `METHODS`."""
        return self.sampled[headline] if method == SAMPLED else self.weighed[method].numbers[headline]


def project_both(
    calibration: Calibration,
    *,
    sizes: Sizes = SIZES,
    plausible: int = 3000,
    repeats: int = 100,
    months: float = FIRST_LINE_MONTHS,
    studies: Sequence[Study] | None = None,
    solver: Solver | None = None,
) -> tuple[TwoPopulations, ...]:
    """Each product alone, and with lenalidomide maintenance, under both ways to make virtual patients.

    Parameters
    ----------
    sizes
        Of the first way; its intervals are over posterior draws.
    plausible
        Patients sampled widely for the second way, before implausible ones are taken out.
    repeats
        Repetitions behind the intervals of the second way: reported results drawn within their sampling errors, one by
        one, and patients by the Bayesian bootstrap (Rubin 1981); the parameters are those of the estimate.
    """
    studies = tuple(read_studies() if studies is None else studies)
    solver = solver or Solver(rtol=1e-5)
    populations = []
    products = default_arms()
    for alone, with_drug in (arms[:2] for arms in products.values()):
        comparison = compare(
            (alone, with_drug), calibration, measures=EFFICACY, sizes=sizes, months=months, solver=solver
        )
        arm, results = _evidence(alone, studies, months)
        cohort = plausible_cohort(calibration.parameters(), arm, studies, n=plausible, seed=sizes.seed, solver=solver)
        drugged, _ = treat_widely(cohort.patients, replace(arm, regimens=((1.0, with_drug.plan.first),)), solver)
        shares, left = targets_of(results, cohort.outcomes)
        weighed = {
            start: _weigh(shares, base * (drugged.usable > 0), (cohort.outcomes, drugged), repeats, sizes.seed)
            for start, base in ((FITTED_START, cohort.importance), (EQUAL_START, cohort.uniform))
        }
        populations.append(TwoPopulations(alone, _sampled(comparison), cohort, shares, left, weighed))
        sizes.progress("two populations", len(populations), len(products))
    return tuple(populations)


def _sampled(comparison: Comparison) -> dict[str, Estimate]:
    """Headlines of a product alone, and the gain of the drug beside it."""
    alone, with_drug = (arm.name for arm in comparison.arms)
    result = comparison.result(alone)
    year = round(min(12.0, result.outcomes.visits.months))
    at_a_year = Estimate(100.0 * float(result.pfs().at(year)), *interval(100.0 * comparison.band(alone)[:, year]))
    return {
        RESPONSE: comparison.estimate(alone, measures.RESPONSE),
        COMPLETE: comparison.estimate(alone, measures.COMPLETE),
        MEDIAN: comparison.estimate(alone, measures.MEDIAN_PFS),
        PFS_12: at_a_year,
        PFS_24: comparison.estimate(alone, measures.PFS_24),
        GAIN: comparison.gain(with_drug, measures.RESTRICTED_PFS),
    }


def _evidence(alone: Arm, studies: Sequence[Study], months: float) -> tuple[EvidenceArm, list]:
    """The fitted arm in which the product alone was given so, followed for `months`, and the results of its studies."""
    regimen, product = alone.plan.first, alone.plan.products[0]
    arms = {
        name: arm
        for name, arm in arms_of(studies).items()
        if (arm.product, arm.population, arm.regimens) == (product, alone.population, ((1.0, regimen),))
    }
    if not arms:
        given = regimen.text
        raise InputError(f"{product} in {alone.population}: no fitted study gave '{given}'; add one.")
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
    best = weigh_targets(shares, base)
    values = _numbers(trials, best.weights)
    rng = np.random.default_rng(seed)
    reported, errors = (np.array([getattr(share, name) for share in shares]) for name in ("reported", "error"))
    again: list[dict[str, float]] = []
    for _ in range(repeats):
        targets = np.clip(reported + errors * rng.standard_normal(len(shares)), 0.0, 1.0)
        drawn = weigh_targets(shares, base * rng.exponential(size=len(base)), targets)
        again.append(_numbers(trials, drawn.weights))
    repeated = {name: np.array([numbers[name] for numbers in again]) for name in HEADLINES}
    numbers = {name: Estimate(values[name], *interval(repeated[name])) for name in HEADLINES}
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
