"""Prevalence weights against closed forms and brute force; what cannot be met is said."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtri

from perdure.fitting.prevalence.weights import AT_LEAST, AT_MOST, Prevalence, prevalence_weights
from perdure.model.statistics.survival import effective_size
from perdure.parameters.errors import InputError, RangeError

NORMAL = ndtri((np.arange(20_000) + 0.5) / 20_000)
"""Standard normal patients, one for each of many equally likely pieces."""


def divergence(weighting: Prevalence) -> float:
    """KL(w || b) in nats: what the weighting adds to the base weights."""
    return float(np.sum(weighting.weights * np.log(weighting.weights / weighting.base)))


def test_a_normal_population_is_moved_to_a_new_mean_by_exponential_tilting() -> None:
    found = prevalence_weights(NORMAL[:, None], [0.5], [1e-6])
    expected = np.exp(0.5 * NORMAL)
    np.testing.assert_allclose(found.weights, expected / expected.sum(), rtol=5e-3)
    assert found.effective / NORMAL.size == pytest.approx(math.exp(-(0.5**2)), rel=2e-3)
    assert divergence(found) == pytest.approx(0.5**2 / 2, rel=2e-3)
    assert found.multipliers[0] == pytest.approx(0.5, rel=2e-3)
    assert found.unmet == ()


@pytest.mark.parametrize("error", [0.2, 1.0, 3.0])
def test_a_mean_stops_where_divergence_and_misfit_balance(error: float) -> None:
    found = prevalence_weights(NORMAL[:, None], [0.8], [error])
    assert found.met[0] == pytest.approx(0.8 / (1.0 + error**2), rel=2e-3)  # from m^2/2 + ((m - t)/e)^2/2
    assert found.misfits[0] == pytest.approx((found.met[0] - 0.8) / error)


def some_features(patients: int = 400, targets: int = 5) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.random((patients, targets)) < np.linspace(0.2, 0.8, targets)).astype(float)


def test_base_weights_of_twice_the_sum_change_nothing() -> None:
    features, base = some_features(), np.random.default_rng(4).random(400)
    aims, errors = features.mean(axis=0) + 0.05, np.full(5, 0.03)
    once, twice = (prevalence_weights(features, aims, errors, k * base) for k in (1.0, 2.0))
    np.testing.assert_allclose(twice.weights, once.weights, rtol=1e-12)


def test_a_patient_who_stands_twice_with_half_the_weight_counts_once() -> None:
    features = some_features()
    aims, errors = features.mean(axis=0) + 0.05, np.full(5, 0.03)
    once = prevalence_weights(features, aims, errors)
    halves = prevalence_weights(np.repeat(features, 2, axis=0), aims, errors, np.full(800, 0.5))
    np.testing.assert_allclose(halves.weights.reshape(400, 2).sum(axis=1), once.weights, rtol=1e-9)


def test_targets_that_the_base_meets_leave_it_as_it_is() -> None:
    features, base = some_features(), np.random.default_rng(4).random(400)
    found = prevalence_weights(features, base @ features / base.sum(), np.full(5, 0.01), base)
    np.testing.assert_allclose(found.weights, base / base.sum(), rtol=1e-9)
    assert divergence(found) == pytest.approx(0.0, abs=1e-12)


def test_moments_are_matched_where_errors_are_tiny() -> None:
    features = some_features()
    aims = np.array([0.3, 0.3, 0.5, 0.6, 0.7])
    found = prevalence_weights(features, aims, np.full(5, 1e-9))
    np.testing.assert_allclose(found.weights @ features, aims, atol=1e-7)
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.weights.min() > 0


@pytest.mark.parametrize("error", [0.1, 1e-3, 1e-12])
def test_a_target_that_no_patient_reaches_is_said_and_not_hidden(error: float) -> None:
    features = some_features()[:, :2]
    found = prevalence_weights(features, [1.5, 0.3], [error, error])
    assert found.reachable.tolist() == [False, True]
    assert 0 in found.unmet
    assert found.misfits[0] < -2.0
    assert found.met[1] == pytest.approx(0.3, abs=0.05)


def test_contradictory_targets_meet_in_the_middle_and_both_are_unmet() -> None:
    feature = some_features()[:, :1]
    found = prevalence_weights(np.hstack([feature, feature]), [0.2, 0.4], [0.01, 0.01])
    assert found.met == pytest.approx([0.3, 0.3], abs=0.002)
    assert found.unmet == (0, 1)
    assert found.reachable.all()


def test_the_effective_number_is_that_of_kish() -> None:
    found = prevalence_weights(some_features(), [0.4, 0.3, 0.5, 0.6, 0.7], np.full(5, 0.02))
    assert found.effective == pytest.approx(1.0 / np.sum(found.weights**2))
    assert found.effective == pytest.approx(effective_size(found.weights))
    assert found.largest == found.weights.max()


@pytest.mark.parametrize("sides", [[0, 0], [AT_LEAST, AT_MOST], [AT_MOST, 0]])
def test_brute_force_over_all_weights_finds_the_same(sides: list[int]) -> None:
    rng = np.random.default_rng(5)
    features, base, aims, errors = rng.random((7, 2)), rng.random(7) + 0.1, np.array([0.7, 0.35]), np.array([0.05, 0.1])
    base /= base.sum()

    def loss(weights: np.ndarray) -> float:
        off = (weights @ features - aims) / errors
        for j, side in enumerate(sides):
            off[j] = min(off[j], 0.0) if side == AT_LEAST else max(off[j], 0.0) if side == AT_MOST else off[j]
        return float(np.sum(weights * np.log(np.maximum(weights, 1e-300) / base)) + 0.5 * off @ off)

    brute = minimize(
        loss, base, method="SLSQP", bounds=[(1e-12, 1.0)] * 7, options={"ftol": 1e-15, "maxiter": 1000},
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1.0},
    )  # fmt: skip
    found = prevalence_weights(features, aims, errors, base, sides=sides)
    assert loss(found.weights) <= brute.fun + 1e-9
    np.testing.assert_allclose(found.weights, brute.x, atol=1e-4)


def test_a_bound_that_is_kept_costs_nothing_and_one_that_is_broken_pulls() -> None:
    features = some_features()[:, :1]
    share = float(features.mean())
    kept = prevalence_weights(features, [share - 0.1], [0.01], sides=[AT_LEAST])
    np.testing.assert_allclose(kept.weights, 1.0 / 400)
    assert kept.misfits[0] == 0.0
    broken = prevalence_weights(features, [share - 0.1], [0.01], sides=[AT_MOST])
    assert broken.met[0] == pytest.approx(share - 0.1, abs=0.001)


def test_who_has_no_base_weight_gets_none() -> None:
    base = np.ones(400)
    base[:100] = 0.0
    found = prevalence_weights(some_features(), [0.4, 0.3, 0.5, 0.6, 0.7], np.full(5, 0.02), base)
    assert (found.weights[:100] == 0.0).all()
    assert (found.weights[100:] > 0.0).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"features": [0.0, 1.0]}, InputError, "features have shape"),
        ({"targets": [0.5, 0.5]}, InputError, r"targets has shape \(2,\); expected \(1,\)"),
        ({"base": [1.0]}, InputError, "base has shape"),
        ({"features": [[0.0], [math.nan]]}, RangeError, "features holds nan"),
        ({"errors": [0.0]}, RangeError, "errors holds 0; expected positive"),
        ({"base": [-1.0, 2.0]}, RangeError, "base goes from -1"),
        ({"base": [0.0, 0.0]}, RangeError, "base goes from 0 to 0"),
        ({"sides": [2]}, RangeError, "sides = "),
    ],
)
def test_what_cannot_be_weighed_is_refused(change: dict, error: type[Exception], words: str) -> None:
    right = {"features": [[0.0], [1.0]], "targets": [0.5], "errors": [0.1], "base": None, "sides": None}
    with pytest.raises(error, match=words):
        prevalence_weights(**(right | change))
