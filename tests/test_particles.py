"""Importance sampling against posteriors that are known in closed form."""

import numpy as np
import pytest

from perdure.fitting.particles import Particles, weigh


def gaussian(centre: np.ndarray, sd: float) -> Particles:
    """Particles under a normal likelihood; with a standard normal prior the posterior is normal too."""
    def likelihoods(points: np.ndarray) -> np.ndarray:
        return -0.5 * np.sum((points - centre) ** 2, axis=1) / sd**2

    return weigh(likelihoods, len(centre), per_round=128, reach=4.0, seed=3)


@pytest.mark.parametrize("sd", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("centre", [np.array([0.5]), np.array([-1.0, 1.5]), np.array([1.0, 0.0, -1.0])])
def test_a_normal_likelihood_gives_the_normal_posterior(centre: np.ndarray, sd: float) -> None:
    found = gaussian(centre, sd)
    shrink = 1.0 / (1.0 + sd**2)
    spread = np.sqrt(sd**2 * shrink)
    error = 4.0 * spread / np.sqrt(found.effective)
    np.testing.assert_allclose(found.mean, shrink * centre, atol=error)
    variance = found.weights @ (found.points - found.mean) ** 2
    np.testing.assert_allclose(np.sqrt(variance), spread, atol=4.0 * spread / np.sqrt(2.0 * found.effective))


def test_the_later_rounds_find_a_narrow_posterior_that_the_prior_hardly_meets() -> None:
    narrow = gaussian(np.array([2.0, -2.0]), 0.2)
    assert narrow.effective > 30.0
    assert found_by_the_prior_alone() < 10.0


def found_by_the_prior_alone() -> float:
    points = np.random.default_rng(1).standard_normal((384, 2))
    logs = -0.5 * np.sum((points - [2.0, -2.0]) ** 2, axis=1) / 0.2**2
    weights = np.exp(logs - logs.max())
    return float(weights.sum() ** 2 / np.sum(weights**2))


def test_draws_have_the_weights_of_the_particles() -> None:
    found = Particles(np.arange(4.0)[:, None], np.array([0.1, 0.2, 0.3, 0.4]))
    counts = np.bincount(found.resampled(1000, seed=2)[:, 0].astype(int), minlength=4)
    assert np.all(np.abs(counts - [100, 200, 300, 400]) <= 1)
    assert np.any(np.diff(found.resampled(50, seed=2)[:, 0]) < 0), "in an order without meaning"


def test_the_same_seed_gives_the_same_particles_and_points_stay_within_reach() -> None:
    one, other = gaussian(np.array([9.0]), 0.5), gaussian(np.array([9.0]), 0.5)
    np.testing.assert_array_equal(one.points, other.points)
    assert np.abs(one.points).max() <= 4.0
    assert one.weights.sum() == pytest.approx(1.0)
