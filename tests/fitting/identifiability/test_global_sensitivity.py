"""Sobol and Morris indices against functions whose indices are known exactly."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import sobol_indices, truncnorm, uniform

from perdure.fitting.identifiability.sensitivity import TAIL, Spread, morris, sobol
from perdure.parameters.errors import RangeError, UnknownNameError
from perdure.reports.figures.contributions import morris_picture, sobol_picture
from perdure.reports.figures.picture import save_picture

IDS = ("x_1", "x_2", "x_3")
SLOPES = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]])


def ishigami(unit: np.ndarray) -> np.ndarray:
    x = np.pi * (2.0 * unit - 1.0)
    return (np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0]))[:, None]


def two_slopes(points: np.ndarray) -> np.ndarray:
    return points @ SLOPES.T


def test_the_indices_of_the_ishigami_function_are_the_published_ones() -> None:
    """Ishigami & Homma 1990 with a = 7 and b = 0.1."""
    found = sobol(ishigami, IDS, ("y",), n=4096, seed=2)
    v1, v2, v13 = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 49.0 / 8.0, 0.01 * np.pi**8 * 8.0 / 225.0
    total = v1 + v2 + v13
    np.testing.assert_allclose(found.first[0], [v1 / total, v2 / total, 0.0], atol=0.02)
    np.testing.assert_allclose(found.total[0], [(v1 + v13) / total, v2 / total, v13 / total], atol=0.02)
    assert found.variance[0] == pytest.approx(total, rel=0.02)
    assert np.all(found.total_interval[0, :, 0] <= found.total[0])
    assert np.all(found.total[0] <= found.total_interval[0, :, 1])
    assert found.evaluations == 4096 * 5


def test_the_indices_of_the_g_function_are_those_of_sobol() -> None:
    """Sobol 1993: V_i = 1 / (3 (1 + a_i)^2), and the total variance is the product of 1 + V_i less 1."""
    a = np.array([0.0, 1.0, 4.5, 9.0])

    def g(unit: np.ndarray) -> np.ndarray:
        return np.prod((np.abs(4.0 * unit - 2.0) + a) / (1.0 + a), axis=1)[:, None]

    found = sobol(g, ("a", "b", "c", "d"), ("g",), n=8192)
    parts = 1.0 / (3.0 * (1.0 + a) ** 2)
    variance = np.prod(1.0 + parts) - 1.0
    np.testing.assert_allclose(found.first[0], parts / variance, atol=0.02)
    np.testing.assert_allclose(found.total[0], parts * np.prod(1.0 + parts) / (1.0 + parts) / variance, atol=0.02)


def test_a_linear_model_over_normal_inputs_has_the_squares_of_its_slopes() -> None:
    sd = np.array([1.0, 0.5, 0.2])
    found = sobol(Spread(np.array([0.5, 0.0, -1.0]), sd).over(two_slopes), IDS, ("one", "two"), n=2048)
    parts = (SLOPES * sd) ** 2
    np.testing.assert_allclose(found.first, parts / parts.sum(axis=1, keepdims=True), atol=0.03)
    np.testing.assert_allclose(found.total, parts / parts.sum(axis=1, keepdims=True), atol=0.03)
    np.testing.assert_allclose(found.mean, SLOPES @ [0.5, 0.0, -1.0], atol=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = [
        found.total_interval[0, 1, 0] <= 49.0 / 8.0 / 13.844588 <= found.total_interval[0, 1, 1]
        for found in (sobol(ishigami, IDS, ("y",), n=256, seed=seed) for seed in range(40))
    ]
    assert np.mean(held) >= 0.85


def test_scipy_with_its_own_sample_finds_the_same() -> None:
    oracle = sobol_indices(func=lambda x: ishigami(x.T).T, n=4096, dists=[uniform()] * 3)
    found = sobol(ishigami, IDS, ("y",), n=4096)
    np.testing.assert_allclose(found.total[0], np.ravel(oracle.total_order), atol=0.03)


def test_an_output_that_does_not_vary_has_no_indices() -> None:
    found = sobol(lambda u: np.column_stack([np.ones(len(u)), u[:, 0]]), ("x_1",), ("still", "moves"), n=64)
    assert found.total[0, 0] == 0.0
    assert found.total[1, 0] == pytest.approx(1.0, abs=0.1)
    assert not found.total_interval[0].any()


def test_elementary_effects_of_a_linear_function_are_its_slopes() -> None:
    found = morris(two_slopes, IDS, ("one", "two"), trajectories=10)
    np.testing.assert_allclose(found.mu, SLOPES, atol=1e-12)
    np.testing.assert_allclose(found.mu_star, np.abs(SLOPES), atol=1e-12)
    np.testing.assert_allclose(found.sigma, 0.0, atol=1e-12)
    assert found.evaluations == 40


def test_interaction_shows_in_the_spread_and_opposite_effects_do_not_cancel_in_mu_star() -> None:
    """y = (u_1 - 1/2) u_2: the effects of u_2 are u_1 - 1/2 at the four levels, each equally often."""
    found = morris(lambda u: ((u[:, 0] - 0.5) * u[:, 1])[:, None], ("a", "b"), ("y",), trajectories=4000, seed=4)
    levels = np.array([0.0, 1.0, 2.0, 3.0]) / 3.0 - 0.5
    assert found.mu[0, 1] == pytest.approx(0.0, abs=0.02)
    assert found.mu_star[0, 1] == pytest.approx(np.abs(levels).mean(), abs=0.02)
    assert found.sigma[0, 1] == pytest.approx(levels.std(), abs=0.02)
    assert found.mu_star_interval[0, 1, 0] < found.mu_star[0, 1] < found.mu_star_interval[0, 1, 1]


def test_points_of_a_spread_are_those_of_the_normal_distribution_within_reach() -> None:
    draws = np.random.default_rng(1).normal([1.0, -3.5], [0.2, 1.0], (4000, 2))
    spread = Spread.posterior(draws)
    np.testing.assert_allclose(spread.sd, [0.2, 1.0], rtol=0.05)
    unit = np.random.default_rng(2).random((50, 2))
    for k in range(2):
        low, high = (np.array([-4.0, 4.0]) - spread.centre[k]) / spread.sd[k]
        expected = truncnorm.ppf(unit[:, k], low, high, spread.centre[k], spread.sd[k])
        np.testing.assert_allclose(spread.points(unit)[:, k], expected, atol=1e-6)
    np.testing.assert_array_equal(np.abs(Spread.prior(1).points(np.array([[0.0], [1.0]]))), 4.0)


def test_the_same_seed_gives_the_same_indices_and_wrong_sizes_are_refused() -> None:
    one, other = (sobol(ishigami, IDS, ("y",), n=64, seed=3) for _ in range(2))
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    with pytest.raises(RangeError, match="power of 2"):
        sobol(ishigami, IDS, ("y",), n=100)
    with pytest.raises(RangeError, match="at least 2"):
        morris(ishigami, IDS, ("y",), trajectories=1)
    with pytest.raises(RangeError, match="1 outputs, and 2 are named"):
        sobol(ishigami, IDS, ("y", "z"), n=4)


def test_bars_show_the_largest_indices_first(tmp_path: Path) -> None:
    effects = morris(Spread.prior(3).over(two_slopes), IDS, ("one", "two"), tail=TAIL)
    shares = sobol(Spread.prior(3).over(two_slopes), IDS, ("one", "two"), n=256)
    for picture in (sobol_picture(shares, note="Over the prior."), morris_picture(effects, ("two",), most=2)):
        labels = [label.get_text() for label in picture.figure.axes[-1].get_yticklabels()]
        assert labels[:2] == ["x_3", "x_2"]
    assert all(path.stat().st_size > 0 for path in save_picture(picture, tmp_path))
    with pytest.raises(UnknownNameError, match="output 'three'"):
        sobol_picture(shares, ("three",))
