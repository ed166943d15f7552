"""The fit finds values it was not told: evidence simulated at known values is fitted, and they come back."""

import math
from pathlib import Path

import numpy as np
import pytest

from perdure.fitting.calibration.design import EvaluationLog
from perdure.fitting.calibration.likelihood import MEDIAN_FACTOR, MEDIAN_OF_NORMAL, QUARTILE_WIDTH
from perdure.fitting.calibration.predictions import arms_of, predict, run_arm
from perdure.fitting.calibration.problem import Problem, Sizes
from perdure.fitting.calibration.rounds import FitSettings, joint_fit
from perdure.fitting.calibration.search import climb
from perdure.fitting.calibration.search_space import SearchSpace
from perdure.fitting.calibration.smc import SmcSettings, sample_smc
from perdure.fitting.studies import Observation, Study
from perdure.model.catalogue import read_catalogue
from perdure.model.simulate import Solver

FREE = ("k_growth_tumour", "ide_cel.half_density_kill", "density_bcma", "car_t_capacity")
INFORMED = [0, 1, 2]
"""The capacity of CAR-T cells hardly moves these endpoints, so that its prior may come back as it was."""
TRUTH = np.array([0.7, -0.8, 0.6, -0.5])
"""In prior SDs, on both sides of the medians from which the search starts."""
TREATED, BIOPSIES, QUARTILE_RATIO = 100, 30, 1.8
PATIENTS, SEED = 400, 11
SMALL = FitSettings(
    prior=48, per_round=24, last=32, widths=(1.5, 1.2), repeats=6, starts=4, by_cma=1, cma_evaluations=2000,
    sizes=Sizes(80, 80, 80),
)  # fmt: skip
SPACE = SearchSpace(FREE, read_catalogue())
QUICK = Solver(rtol=1e-4, workers=1)
Z = 1.959964


def study(*items: Observation) -> Study:
    return Study(
        name="simulated", study="SIMULATED", title="Simulated.", time_zero="first infusion", product="ide_cel",
        population="late_line", visit_interval_days=28.0, items=items,
    )  # fmt: skip


def item(endpoint: str, kind: str, unit: str, **more: object) -> Observation:
    name = f"simulated_{endpoint}_{more.get('time_months', 0):.0f}"
    return Observation.model_validate(
        {"id": name, "endpoint": endpoint, "kind": kind, "unit": unit, "role": "fit", **more}
    )


# What a trial of 100 patients with 30 biopsies reports; the noise is None for a trial without sampling error.
def proportion(endpoint: str, percent: float, noise: np.random.Generator | None) -> Observation:
    if noise is not None:
        percent = 100.0 * noise.binomial(TREATED, percent / 100.0) / TREATED
    return item(endpoint, "proportion", "%", value=percent, n=TREATED)


def rate(months: float, percent: float, noise: np.random.Generator | None) -> Observation:
    share = min(max(percent / 100.0, 0.01), 0.99)
    error = math.sqrt((1.0 - share) / (share * TREATED)) / -math.log(share)
    found = math.log(-math.log(share)) + (error * noise.standard_normal() if noise else 0.0)
    low, value, high = (100.0 * math.exp(-math.exp(found + side * Z * error)) for side in (1.0, 0.0, -1.0))
    bounds = {"low": low, "high": high, "interval": "95% CI"}
    return item("pfs_rate", "rate", "%", value=value, time_months=months, **bounds)


def median(endpoint: str, value: float, unit: str, noise: np.random.Generator | None) -> Observation:
    error = MEDIAN_FACTOR / math.sqrt(TREATED)
    value *= math.exp(error * noise.standard_normal()) if noise else 1.0
    low, high = value * math.exp(-Z * error), value * math.exp(Z * error)
    return item(endpoint, "median", unit, value=value, low=low, high=high, interval="95% CI")


def density(endpoint: str, value: float, noise: np.random.Generator | None) -> Observation:
    error = MEDIAN_OF_NORMAL * math.log(QUARTILE_RATIO) / QUARTILE_WIDTH / math.sqrt(BIOPSIES)
    value *= math.exp(error * noise.standard_normal()) if noise else 1.0
    low, high = value / math.sqrt(QUARTILE_RATIO), value * math.sqrt(QUARTILE_RATIO)
    return item(endpoint, "median", "molecules/cell", value=value, low=low, high=high, interval="IQR", n=BIOPSIES)


def simulated(truth: np.ndarray, noise: np.random.Generator | None) -> Study:
    """Report of a trial in a world with these values and with many people, so that the model is right."""
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


def drawn_from(trial: Study, folder: Path) -> np.ndarray:
    """Posterior draws (particles, numbers), in prior SDs, of a small fit among other people than the trial's."""
    problem = Problem(SPACE, (trial,), SMALL.sizes, solver=QUICK)
    found = joint_fit(problem, SMALL, EvaluationLog(folder / "fit.ledger", {}))
    likelihood = found.emulator.log_likelihoods
    assert climb(found.emulator.with_gradient, np.zeros(SPACE.size)).log_posterior > -40.0
    return sample_smc(lambda points: likelihood(points).sum(axis=1), SPACE.size, SmcSettings(particles=400)).points


def distances(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances of the true values from the posterior means, in posterior SDs; 95 of 100 lie within 1.96."""
    return (truth - draws.mean(axis=0)) / draws.std(axis=0, ddof=1)


def test_evidence_without_noise_leads_back_to_the_values_behind_it(tmp_path: Path) -> None:
    draws = drawn_from(simulated(TRUTH, None), tmp_path)
    sd = draws.std(axis=0)
    # All misfits are zero at the truth, so that only the prior pulls, by (posterior variance) x (distance from the
    # prior median), and the sampling of 400 and of 80 patients.
    np.testing.assert_allclose(draws.mean(axis=0)[INFORMED], TRUTH[INFORMED], atol=0.7)
    assert np.all(np.sign(draws.mean(axis=0)[INFORMED]) == np.sign(TRUTH[INFORMED]))
    assert np.all(sd <= 1.1)
    assert np.all(sd[INFORMED] < 0.85)  # the prior has SD 1


def test_evidence_with_noise_leads_to_intervals_that_hold_the_values_behind_it(tmp_path: Path) -> None:
    # One trial, chosen among those whose noise is ordinary: each of four intervals misses in 5 % of trials. How often
    # they really miss is counted below, over many trials.
    draws = drawn_from(simulated(TRUTH, np.random.default_rng((77, 2))), tmp_path)
    away = distances(draws, TRUTH)
    assert np.all(np.abs(away) < Z), away
    assert np.all(draws.std(axis=0)[INFORMED] < 0.85)


@pytest.mark.long
def test_95_of_100_intervals_hold_the_values_behind_the_evidence(tmp_path: Path) -> None:
    rows = []
    for trial in range(25):
        rng = np.random.default_rng((78, trial))
        truth = np.clip(rng.standard_normal(SPACE.size), -1.5, 1.5)  # beyond, medians would lie after follow-up
        folder = tmp_path / str(trial)
        folder.mkdir()
        rows.append(distances(drawn_from(simulated(truth, rng), folder), truth))
    away = np.array(rows)
    held = np.abs(away) < Z
    # Of 100 intervals 95 hold on average, with a binomial SD of 2.2; four of one trial share their noise, which can
    # double that at most. So fewer than 87 are a defect; and so are fewer than 19 of 25 (four SDs) of one parameter.
    # The squared distances have mean 1, with an SD of 1.4/sqrt(100), doubled likewise.
    assert np.sum(held) >= 87, held.mean(axis=0)
    assert np.min(held.sum(axis=0)) >= 19, held.mean(axis=0)
    assert 0.5 < np.mean(np.square(away)) < 1.56
