"""Validation, judged by a model with closed forms for posterior and predictions, and by samplers known to be wrong."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import kstest, norm

from perdure.fitting.calibration.likelihood import MEDIAN_FACTOR, log_likelihoods, match
from perdure.fitting.calibration.smc import SmcSettings
from perdure.fitting.observations import Observation
from perdure.fitting.validation.leave_out import leave_one_out, predicted
from perdure.fitting.validation.recovery import simulate_and_recover
from perdure.fitting.validation.simulation_based import (
    Calibrated,
    ecdf_band,
    simulation_based_calibration,
    smc_sampler,
)
from perdure.fitting.validation.synthetic import probability
from perdure.parameters.errors import FitError, RangeError


def item(kind: str, name: str = "trial_item", **more: object) -> Observation:
    usual = {
        "median": ("pfs_median", "months"), "median_not_reached": ("pfs_median", "months"), "rate": ("pfs_rate", "%"),
        "proportion": ("orr", "%"), "value": ("orr", "%"), "direction": ("c_max", "-"),
        "split": ("expansion_split", "cells/mm3"), "ceiling": ("function_threshold", "molecules/cell"),
    }  # fmt: skip
    endpoint, unit = usual[kind]
    entry = {"id": name, "kind": kind, "endpoint": endpoint, "unit": unit, "role": "fit", **more}
    return Observation.model_validate(entry)


NOT_REACHED = item("median_not_reached", low=12.0, interval="followed so long", n=30)


# --------------------------------------------------------------------------------------------- a model in closed form
class Linear:
    """Medians whose logs are linear in the numbers: posteriors and predictions are Gaussian."""

    def __init__(self, numbers: int, trials: int, each: int, seed: int, n: int = 20, decisive: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        count = trials * each
        self.slopes = 0.4 * rng.standard_normal((count, numbers))
        self.slopes[:each] *= decisive  # the first trial
        self.studies = [f"trial_{k // each}" for k in range(count)]
        self.error = MEDIAN_FACTOR / math.sqrt(n)
        truth = rng.standard_normal(numbers)
        logs = math.log(10.0) + self.slopes @ truth + self.error * rng.standard_normal(count)
        self.items = [item("median", f"item_{k}", value=float(np.exp(log)), n=n) for k, log in enumerate(logs)]
        self.names = [f"number_{j}" for j in range(numbers)]

    def models(self, points: np.ndarray) -> np.ndarray:
        return np.exp(math.log(10.0) + points @ self.slopes.T)

    def likelihood_of(self, items: Sequence[Observation]) -> Callable[[np.ndarray], np.ndarray]:
        def of(points: np.ndarray) -> np.ndarray:
            values = self.models(points)
            return np.stack([one.weight * log_likelihoods(one, values[:, k]) for k, one in enumerate(items)], axis=1)

        return of

    def posterior(self, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slopes = self.slopes[used] / self.error
        away = np.log([one.value or 0.0 for one in self.items]) - math.log(10.0)
        covariance = np.linalg.inv(np.eye(slopes.shape[1]) + slopes.T @ slopes)
        return covariance @ slopes.T @ (away[used] / self.error), covariance


def exact_sampler(width: float = 1.0) -> Callable[[Callable[[np.ndarray], np.ndarray], int], np.ndarray]:
    """Draws of a Gaussian posterior from its quadratic log likelihood; `width` makes it wrong."""

    def sample(log_likelihood: Callable[[np.ndarray], np.ndarray], seed: int, size: int = 3) -> np.ndarray:
        unit = np.eye(size)
        zero = log_likelihood(np.zeros((1, size)))[0]
        up, down = log_likelihood(unit), log_likelihood(-unit)
        both = np.stack([log_likelihood(unit + one) for one in unit])
        hessian = both - up[:, None] - up[None, :] + zero
        covariance = np.linalg.inv(np.eye(size) - hessian)
        mean = covariance @ (0.5 * (up - down))
        draws = np.random.default_rng(seed).standard_normal((400, size)) @ np.linalg.cholesky(covariance).T
        return mean + width * draws

    return sample


# ------------------------------------------------------------------------------------------------------- leave one out
@pytest.mark.parametrize("anew", [False, True], ids=["reweighted", "sampled anew"])
def test_a_trial_that_was_left_out_is_predicted_as_by_the_closed_form(anew: bool) -> None:
    # what a decisive trial leaves of the prior is too little to be weighted back
    model = Linear(3, trials=6, each=2, seed=1, n=10, decisive=8.0 if anew else 1.0)
    draws = np.random.default_rng(2).multivariate_normal(*model.posterior(np.ones(12, dtype=bool)), size=6000)
    found = leave_one_out(model.studies, model.items, model.likelihood_of(model.items), model.models, draws)
    assert len(found.predictions) == 12
    assert [trial.resampled for trial in found.trials] == [anew, *5 * [False]]
    for prediction, k in zip(found.predictions, range(12), strict=True):
        own = np.array([study == prediction.study for study in model.studies])
        without, spread = model.posterior(~own)
        centre = math.log(10.0) + model.slopes[k] @ without
        sd = math.sqrt(model.slopes[k] @ spread @ model.slopes[k] + model.error**2)
        assert math.log(prediction.median or 0.0) == pytest.approx(centre, abs=0.12 * sd)
        assert math.log(prediction.highs[-1] / prediction.lows[-1]) == pytest.approx(2.0 * 1.96 * sd, rel=0.12)
        reported = norm.cdf((math.log(model.items[k].value or 0.0) - centre) / sd)
        assert prediction.place == pytest.approx(reported, abs=0.06)


def test_predictions_of_a_true_model_are_calibrated_and_of_an_overconfident_one_are_not() -> None:
    model = Linear(3, trials=60, each=2, seed=3, n=15)
    mean, covariance = model.posterior(np.ones(120, dtype=bool))
    draws = np.random.default_rng(4).multivariate_normal(mean, covariance, size=4000)
    terms = model.likelihood_of(model.items)
    found = leave_one_out(model.studies, model.items, terms, model.models, draws)
    for counted in found.coverage():
        assert counted.interval[0] <= counted.level <= counted.interval[1]
    assert kstest([one.place for one in found.predictions], "uniform").pvalue > 0.01
    assert all(abs(point.share - point.level) < 0.15 for point in found.curve())
    assert "in 95 % intervals" in found.coverage()[-1].text
    assert len(found.by_trial()) == 60
    # a model without its own sampling error would be caught: reports of many more patients than there were
    sure = [one.model_copy(update={"n": 2000}) for one in model.items]
    wrong = leave_one_out(model.studies, sure, terms, model.models, draws)
    assert wrong.coverage()[-1].interval[1] < 0.95


def test_the_error_of_the_emulator_widens_a_prediction() -> None:
    model = Linear(3, trials=4, each=1, seed=5)
    draws = np.random.default_rng(6).multivariate_normal(*model.posterior(np.ones(4, dtype=bool)), size=3000)
    terms = model.likelihood_of(model.items)

    def noise(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return values * np.exp(0.8 * rng.standard_normal(values.shape))

    plain = leave_one_out(model.studies, model.items, terms, model.models, draws)
    noisy = leave_one_out(model.studies, model.items, terms, model.models, draws, noise=noise)
    for one, other in zip(plain.predictions, noisy.predictions, strict=True):
        width, wider = (math.log(p.highs[-1] / p.lows[-1]) / (2 * 1.96) for p in (one, other))
        assert wider == pytest.approx(math.hypot(width, 0.8), rel=0.1)


def test_a_yes_or_no_result_has_a_chance_and_counts_for_no_coverage() -> None:
    rng = np.random.default_rng(7)
    split = predicted("s", item("split", threshold=180.0, n=30), np.full(500, 0.2), rng)
    assert not split.numeric
    assert split.chance == pytest.approx(math.exp(match(item("split", threshold=180.0, n=30), 0.2).log_likelihood))
    beyond = predicted("s", NOT_REACHED, np.full(4000, 13.0), rng)
    assert beyond.numeric
    assert beyond.chance == pytest.approx(float(probability(NOT_REACHED, np.array([13.0]))[0]), abs=0.03)
    assert all(beyond.inside)


# -------------------------------------------------------------------------------------- simulation-based calibration
def calibrated(width: float, repeats: int = 200) -> Calibrated:
    model = Linear(3, trials=5, each=1, seed=8)
    weighted = [one.model_copy(update={"weight": 0.5 if k % 2 else 1.0}) for k, one in enumerate(model.items)]
    return simulation_based_calibration(
        model.names, weighted, model.models, model.likelihood_of, repeats=repeats, sampler=exact_sampler(width), seed=2
    )


def test_ranks_are_uniform_for_a_right_sampler_and_its_synthetic_reports() -> None:
    found = calibrated(1.0)
    assert found.names == ("number_0", "number_1", "number_2", "log likelihood")
    assert found.histogram("number_0").sum() == 200
    assert found.smallest_p()[1] > 0.02
    assert found.outside(0.99) == ()
    with pytest.raises(RangeError, match="bins = 7 for 100 possible ranks"):
        found.histogram("number_0", 7)


@pytest.mark.parametrize("width", [0.6, 1.6])
def test_ranks_give_a_sampler_away_that_is_too_narrow_or_too_wide(width: float) -> None:
    found = calibrated(width)
    assert found.smallest_p()[1] < 0.001
    assert set(found.outside()) >= {"number_0", "number_1", "number_2"}
    ends = sum(found.histogram("number_0")[[0, -1]])
    assert (ends > 55) if width < 1.0 else (ends < 28)  # 40 of 200 are expected


def test_ranks_stay_uniform_when_a_split_must_hold() -> None:
    model = Linear(3, trials=4, each=1, seed=9)
    items = [*model.items, item("split", "a_split", threshold=180.0, n=40)]

    def models(points: np.ndarray) -> np.ndarray:
        return np.column_stack([model.models(points), np.exp(-0.6 + points[:, 0])])

    def likelihood_of(reports: Sequence[Observation]) -> Callable[[np.ndarray], np.ndarray]:
        return lambda at: np.stack([log_likelihoods(one, models(at)[:, k]) for k, one in enumerate(reports)], axis=1)

    found = simulation_based_calibration(
        model.names,
        items,
        models,
        likelihood_of,
        repeats=30,
        draws=39,
        sampler=smc_sampler(3, SmcSettings(particles=100)),
    )
    assert found.tries > 45
    assert found.smallest_p(bins=5)[1] > 0.02
    assert found.outside(0.99) == ()
    impossible = [item("split", "never", threshold=180.0, n=40)]
    with pytest.raises(FitError, match=r"agrees with every result that is held \(never\)"):
        simulation_based_calibration(
            model.names, impossible, lambda at: np.full((len(at), 1), 50.0), likelihood_of, repeats=1
        )


def test_the_band_holds_the_whole_curve_of_uniform_ranks_as_often_as_it_says() -> None:
    low, high = ecdf_band(100, 19)
    ranks = np.random.default_rng(10).integers(20, size=(2000, 100))
    curves = np.stack([(ranks <= r).mean(axis=1) for r in range(19)], axis=1)
    stays = np.all((curves >= low - 1e-12) & (curves <= high + 1e-12), axis=1)
    assert stays.mean() == pytest.approx(0.95, abs=0.025)


# ----------------------------------------------------------------------------------------------- simulate and recover
def test_truths_are_recovered_as_often_as_the_intervals_promise() -> None:
    model = Linear(3, trials=6, each=1, seed=11)
    truths = np.random.default_rng(12).standard_normal((200, 3))
    found = simulate_and_recover(
        model.names, model.items, model.models, model.likelihood_of, truths, repeats=200, sampler=exact_sampler()
    )
    for counted in found.total():
        assert counted.share == pytest.approx(counted.level, abs=0.06)
    _, covariance = model.posterior(np.ones(6, dtype=bool))
    for j, one in enumerate(found.numbers):
        assert one.shrinkage == pytest.approx(1.0 - covariance[j, j], abs=0.03)
        assert abs(one.bias) < 0.3
        assert one.spread == pytest.approx(1.0, abs=0.2)
    assert found.coverage(found.worst.name)[-1].inside == min(one.inside[-1] for one in found.numbers)
    narrow = simulate_and_recover(
        model.names, model.items, model.models, model.likelihood_of, truths, repeats=60, sampler=exact_sampler(0.5)
    )
    assert narrow.total()[-1].share < 0.85
    with pytest.raises(RangeError, match=r"expected \(draws, 3\)"):
        simulate_and_recover(model.names, model.items, model.models, model.likelihood_of, truths[:, :2])
