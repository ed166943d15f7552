"""The fit finds values it was not told: evidence simulated at known values is fitted, and they come back."""

import math

import numpy as np
import pytest

from perdure.fitting.arms import arms_of, run_arm
from perdure.fitting.fit import SearchSettings, search
from perdure.fitting.likelihood import MEDIAN_FACTOR, MEDIAN_OF_NORMAL, QUARTILE_WIDTH
from perdure.fitting.posterior import Posterior, laplace, metropolis
from perdure.fitting.predictions import predict
from perdure.fitting.problem import Problem
from perdure.fitting.reported import Item, Study
from perdure.fitting.search_space import SearchSpace
from perdure.model.catalogue import read_catalogue
from perdure.model.simulate import Solver

FREE = ("k_growth_tumour", "ide_cel.half_density_kill", "density_bcma", "car_t_capacity")
INFORMED = [0, 1, 2]
"""The capacity of CAR-T cells hardly moves these endpoints, so that its prior may come back as it was."""
TRUTH = np.array([0.7, -0.8, 0.6, -0.5])
"""In prior SDs, on both sides of the medians from which the search starts."""
TREATED, BIOPSIES, QUARTILE_RATIO = 100, 30, 1.8
PATIENTS, SEED = 120, 11
DRAWS, MOVES = 40, 8
SPACE = SearchSpace(FREE, read_catalogue())
QUICK = Solver(rtol=1e-4, workers=1)
Z = 1.959964


def study(*items: Item) -> Study:
    return Study(
        name="simulated", study="SIMULATED", title="Simulated.", time_zero="first infusion", product="ide_cel",
        population="late_line", visit_interval_days=28.0, items=items,
    )  # fmt: skip


def item(endpoint: str, kind: str, unit: str, **more: object) -> Item:
    name = f"simulated_{endpoint}_{more.get('time_months', 0):.0f}"
    return Item.model_validate({"id": name, "endpoint": endpoint, "kind": kind, "unit": unit, "role": "fit", **more})


# What a trial of 100 patients with 30 biopsies reports; the noise is None for a trial without sampling error.
def proportion(endpoint: str, percent: float, noise: np.random.Generator | None) -> Item:
    if noise is not None:
        percent = 100.0 * noise.binomial(TREATED, percent / 100.0) / TREATED
    return item(endpoint, "proportion", "%", value=percent, n=TREATED)


def rate(months: float, percent: float, noise: np.random.Generator | None) -> Item:
    share = min(max(percent / 100.0, 0.01), 0.99)
    error = math.sqrt((1.0 - share) / (share * TREATED)) / -math.log(share)
    found = math.log(-math.log(share)) + (error * noise.standard_normal() if noise else 0.0)
    low, value, high = (100.0 * math.exp(-math.exp(found + side * Z * error)) for side in (1.0, 0.0, -1.0))
    bounds = {"low": low, "high": high, "interval": "95% CI"}
    return item("pfs_rate", "rate", "%", value=value, time_months=months, **bounds)


def median(endpoint: str, value: float, unit: str, noise: np.random.Generator | None) -> Item:
    error = MEDIAN_FACTOR / math.sqrt(TREATED)
    value *= math.exp(error * noise.standard_normal()) if noise else 1.0
    low, high = value * math.exp(-Z * error), value * math.exp(Z * error)
    return item(endpoint, "median", unit, value=value, low=low, high=high, interval="95% CI")


def density(endpoint: str, value: float, noise: np.random.Generator | None) -> Item:
    error = MEDIAN_OF_NORMAL * math.log(QUARTILE_RATIO) / QUARTILE_WIDTH / math.sqrt(BIOPSIES)
    value *= math.exp(error * noise.standard_normal()) if noise else 1.0
    low, high = value / math.sqrt(QUARTILE_RATIO), value * math.sqrt(QUARTILE_RATIO)
    return item(endpoint, "median", "molecules/cell", value=value, low=low, high=high, interval="IQR", n=BIOPSIES)


def simulated(truth: np.ndarray, noise: np.random.Generator | None) -> Study:
    """Report of a trial in a world with these values; its people are those of the fit, so that the model is right."""
    months = (6.0, 12.0, 30.0)
    blank = study(*(rate(time, 50.0, None) for time in months))
    arm, parameters = arms_of([blank])["simulated"], SPACE.at(truth)
    outcome = run_arm(parameters, arm, n=PATIENTS, seed=SEED, solver=QUICK)

    def true(endpoint: str, kind: str = "median", unit: str = "months", **more: object) -> float:
        return predict(item(endpoint, kind, unit, value=1.0, n=1, **more), outcome, parameters, arm)

    shares = ("orr", "cr_rate", "mrd_negative_rate")
    return study(
        *(proportion(endpoint, true(endpoint, "proportion", "%"), noise) for endpoint in shares),
        *(rate(time, true("pfs_rate", "rate", "%", time_months=time), noise) for time in months),
        median("pfs_median", true("pfs_median"), "months", noise),
        median("t_max", true("t_max", unit="day"), "day", noise),
        *(density(e, true(e, unit="molecules/cell"), noise) for e in ("density_before", "density_at_progression")),
    )


def posed(truth: np.ndarray, noise: np.random.Generator | None) -> Problem:
    return Problem(SPACE, (simulated(truth, noise),), n=PATIENTS, seed=SEED, solver=QUICK, threads=1)


def found_in(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Best point of a small search, and the covariance of the Gaussian approximation there."""
    best = search(lambda point: problem.evaluate(point).log_posterior, np.zeros(SPACE.size), SearchSettings(240)).point
    return best, laplace(problem.residuals, best)


def drawn_from(problem: Problem) -> Posterior:
    """Posterior draws after a small search.

    Intervals are taken from the draws and not from the Gaussian approximation: the posterior of 120 virtual patients
    has small steps, the search ends on a lucky one, and the curvature just there can be far from that of the whole.
    """
    best, covariance = found_in(problem)
    return metropolis(
        lambda point: problem.evaluate(point).log_posterior, best, covariance, draws=DRAWS, moves=MOVES, seed=1
    )


def distances(posterior: Posterior, truth: np.ndarray) -> np.ndarray:
    """Distances of the true values from the posterior means, in posterior SDs; 95 of 100 lie within 1.96."""
    return (truth - posterior.points.mean(axis=0)) / posterior.points.std(axis=0, ddof=1)


def test_evidence_without_noise_leads_back_to_the_values_behind_it() -> None:
    problem = posed(TRUTH, None)
    at_truth = problem.evaluate(TRUTH)
    assert at_truth.log_likelihood == pytest.approx(0.0, abs=1e-6)  # what was simulated there is predicted there
    best, covariance = found_in(problem)
    assert problem.evaluate(best).log_posterior > at_truth.log_posterior - 0.05
    # All misfits are zero at the truth, so that only the prior pulls, by (posterior variance) x (distance from the
    # prior median) = 0.4 x 0.8 SD at most. As much again is left for the steps of 120 patients, which hide a shift.
    np.testing.assert_allclose(best, TRUTH, atol=0.7)
    assert np.all(np.sign(best) == np.sign(TRUTH))
    sd = np.sqrt(np.diag(covariance))
    assert np.all(sd <= 1.0)
    assert np.all(sd[INFORMED] < 0.85)


def test_evidence_with_noise_leads_to_intervals_that_hold_the_values_behind_it() -> None:
    # One trial, chosen among those whose noise is ordinary: each of four intervals misses in 5 % of trials. How often
    # they really miss is counted below, over many trials.
    posterior = drawn_from(posed(TRUTH, np.random.default_rng((77, 2))))
    away = distances(posterior, TRUTH)
    assert np.all(np.abs(away) < Z), away
    assert np.all(posterior.points.std(axis=0)[INFORMED] < 0.85)  # the prior has SD 1
    assert np.all(posterior.shrinkage[INFORMED] > 0.25)
    assert 0.1 < posterior.acceptance < 0.6


@pytest.mark.long
def test_95_of_100_intervals_hold_the_values_behind_the_evidence() -> None:
    rows = []
    for trial in range(25):
        rng = np.random.default_rng((78, trial))
        truth = np.clip(rng.standard_normal(SPACE.size), -1.5, 1.5)  # beyond, medians would lie after follow-up
        rows.append(distances(drawn_from(posed(truth, rng)), truth))
    away = np.array(rows)
    held = np.abs(away) < Z
    # Of 100 intervals 95 hold on average, with a binomial SD of 2.2; four of one trial share their noise, which can
    # double that at most. So fewer than 87 are a defect; and so are fewer than 19 of 25 (four SDs) of one parameter.
    # The squared distances have mean 1, with an SD of 1.4/sqrt(100), doubled likewise.
    assert np.sum(held) >= 87, held.mean(axis=0)
    assert np.min(held.sum(axis=0)) >= 19, held.mean(axis=0)
    assert 0.5 < np.mean(np.square(away)) < 1.56
