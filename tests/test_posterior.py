"""What the evidence leaves open, on targets whose mean and covariance are known."""

import numpy as np
import pytest

from perdure.fitting.posterior import Posterior, laplace, metropolis

MEAN = np.array([0.4, -0.8, 0.2])
SPREAD = np.array([[0.25, 0.12, 0.0], [0.12, 0.16, -0.05], [0.0, -0.05, 0.64]])
SD = np.sqrt(np.diag(SPREAD))
DRAWS = 800
WRONG_START, WRONG_SPREAD = MEAN + 0.8 * SD, 0.5 * np.diag(np.diag(SPREAD))


def log_gaussian(point: np.ndarray) -> float:
    away = point - MEAN
    return 123.0 - 0.5 * float(away @ np.linalg.solve(SPREAD, away))  # the constant must not matter


def sampled(seed: int) -> Posterior:
    return metropolis(log_gaussian, WRONG_START, WRONG_SPREAD, draws=DRAWS, moves=40, seed=seed)


# --------------------------------------------------------------------------------------------- Gaussian approximation
def test_the_covariance_of_a_linear_problem_is_exact() -> None:
    rng = np.random.default_rng(3)
    design, reported = rng.standard_normal((7, 4)), rng.standard_normal(7)

    def residuals(point: np.ndarray) -> np.ndarray:
        return np.array([*(design @ point - reported), *point])

    covariance = laplace(residuals, np.array([0.1, -0.4, 0.8, 0.0]))
    np.testing.assert_allclose(covariance, np.linalg.inv(design.T @ design + np.eye(4)), rtol=1e-9)
    assert np.all(np.diag(covariance) < 1.0)  # every report can only add to the prior


def test_without_evidence_the_covariance_is_that_of_the_prior() -> None:
    np.testing.assert_allclose(laplace(lambda point: point, np.zeros(3)), np.eye(3), atol=1e-12)


def test_a_coarse_step_sees_the_slope_of_a_staircase() -> None:
    # A response rate of 100 virtual patients: steps of 1/100, with a slope of 2 residuals per prior SD. Any difference
    # over 0.6 prior SDs is wrong by less than a step of 0.02 in 1.2; a difference over 0.002 would see 0 or 10.
    def residuals(point: np.ndarray) -> np.ndarray:
        return np.array([0.02 * np.floor(100.0 * point[0]), point[0]])

    for start in (0.0, 0.003, 0.117):
        assert laplace(residuals, np.array([start]))[0, 0] == pytest.approx(1.0 / (1.0 + 2.0**2), rel=0.03)


def test_progress_counts_the_parameters() -> None:
    seen: list[tuple[int, int]] = []
    laplace(lambda point: point, np.zeros(3), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


# -------------------------------------------------------------------------------------------------- Metropolis steps
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_steps_from_a_wrong_start_lead_to_mean_and_spread(seed: int) -> None:
    found = sampled(seed)
    # Every draw is a chain of its own, so the draws are independent. The Monte-Carlo error of a mean is SD/sqrt(draws),
    # that of an SD is SD/sqrt(2 draws), that of a correlation at most 1/sqrt(draws): four of them. After 40 moves in
    # three dimensions some 2 % of the start is left.
    error = 1.0 / np.sqrt(DRAWS)
    np.testing.assert_array_less(np.abs(found.points.mean(axis=0) - MEAN), (4.0 * error + 0.02) * SD)
    np.testing.assert_allclose(found.points.std(axis=0), SD, rtol=4.0 * error / np.sqrt(2.0) + 0.02)
    correlation = SPREAD / np.outer(SD, SD)
    np.testing.assert_allclose(np.corrcoef(found.points.T), correlation, atol=4.0 * error)
    np.testing.assert_allclose(found.shrinkage, 1.0 - np.square(found.points.std(axis=0)), rtol=1e-9)
    assert found.acceptance == pytest.approx(0.35, abs=0.15)


def test_an_exact_start_stays_exact_and_its_fall_is_one_half() -> None:
    found = metropolis(log_gaussian, MEAN, SPREAD, draws=DRAWS, moves=3, seed=1)
    # The fall is a chi-square with three degrees of freedom over six: mean 0.5, SD sqrt(6)/6 = 0.41; four errors.
    assert found.fall_before == pytest.approx(0.5, abs=4.0 * 0.41 / np.sqrt(DRAWS))
    assert found.fall == pytest.approx(0.5, abs=4.0 * 0.41 / np.sqrt(DRAWS))
    np.testing.assert_allclose(found.points.std(axis=0), SD, rtol=4.0 / np.sqrt(2.0 * DRAWS))
    assert 0.2 < found.acceptance < 0.5


def test_the_fall_says_that_an_approximation_is_too_wide_or_too_narrow() -> None:
    for scale in (0.5, 2.0):
        found = metropolis(log_gaussian, MEAN, scale * SPREAD, draws=DRAWS, moves=20, seed=1)
        assert found.fall_before == pytest.approx(0.5 * scale, rel=4.0 * 0.82 / np.sqrt(DRAWS))  # SD/mean sqrt(6)/3
        assert abs(found.fall - 0.5) < 0.25 * abs(found.fall_before - 0.5)


def test_every_point_is_evaluated_when_it_is_asked_for_and_draws_are_among_them() -> None:
    asked: list[np.ndarray] = []
    seen: list[tuple[int, int]] = []

    def counted(point: np.ndarray) -> float:
        asked.append(point.copy())
        return log_gaussian(point)

    found = metropolis(
        counted, MEAN, SPREAD, draws=7, moves=4, seed=4, progress=lambda done, total: seen.append((done, total))
    )
    assert found.points.shape == (7, 3)
    assert found.evaluations == 7 * (1 + 4)
    assert seen == [(k, 35) for k in range(1, 36)]
    assert len(asked) == 36  # the best point as well, which the search knows already
    assert {point.tobytes() for point in found.points} <= {point.tobytes() for point in asked}


def test_no_draw_goes_where_the_posterior_is_nil() -> None:
    def cut(point: np.ndarray) -> float:
        return log_gaussian(point) - (0.0 if point[0] > MEAN[0] else 1e6)

    found = metropolis(cut, MEAN + 0.1, SPREAD, draws=100, moves=60, seed=5)  # those that start beyond need some moves
    assert found.points[:, 0].min() > MEAN[0]


def test_the_draws_are_the_same_for_a_seed_and_others_for_another() -> None:
    one, same, other = (
        metropolis(log_gaussian, WRONG_START, WRONG_SPREAD, draws=20, moves=5, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.points, same.points)
    assert not np.array_equal(one.points, other.points)


def test_the_draws_do_not_depend_on_a_constant_of_the_log_posterior() -> None:
    one, other = (
        metropolis(lambda point, c=c: log_gaussian(point) + c, MEAN, SPREAD, draws=20, moves=5, seed=1)
        for c in (0.0, 64.0)
    )
    np.testing.assert_array_equal(one.points, other.points)
    assert one.fall == pytest.approx(other.fall, rel=1e-9)
