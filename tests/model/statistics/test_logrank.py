"""Weighted log-rank tests and MaxCombo: published examples, lifelines and scipy as referees, laws, and the null."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lifelines.statistics import logrank_test
from scipy import integrate, stats

from perdure.model.statistics.logrank import max_combo, weighted_logrank

# Remission in weeks of children with acute leukaemia (Freireich 1963, Blood 21:699): mercaptopurine, then placebo.
TREATED = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
FREIREICH = np.array(TREATED + PLACEBO, dtype=float), np.array([1] * 9 + [0] * 12 + [1] * 21), np.arange(42) >= 21
# Remission in weeks of adults with acute myeloid leukaemia (Miller 1981, Survival Analysis, p. 49): maintained, or not.
MILLER = (
    np.array([9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161, 5, 5, 8, 8, 12, 16, 23, 27, 30, 33, 43, 45], dtype=float),
    np.array([1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1]),
    np.arange(23) >= 11,
)
EXPONENTS = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 2.0)]
SEEDS = pytest.mark.parametrize("seed", range(4))
ROWS = st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.booleans(), st.integers(0, 2)), min_size=2, max_size=40)

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def trial(seed: int, patients: int = 120, hazards: tuple[float, float] = (1 / 14, 1 / 8)) -> Columns:
    """Whole months with ties, events, groups and three strata."""
    rng = np.random.default_rng(seed)
    group = rng.random(patients) < 0.5
    own, censoring = rng.exponential(1 / np.where(group, hazards[1], hazards[0])), rng.uniform(2.0, 40.0, patients)
    return np.ceil(np.minimum(own, censoring)), own <= censoring, group, rng.integers(0, 3, patients)


def columns(rows: list[tuple[int, bool, bool, int]]) -> Columns:
    time, event, group, stratum = (np.array(column) for column in zip(*rows, strict=True))
    assume(group.any() and not group.all())
    return time.astype(float), event, group, stratum


def by_hand(
    time: np.ndarray, event: np.ndarray, group: np.ndarray, weights: list[tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and covariances, one event time after the other."""
    score, covariance, survival = np.zeros(len(weights)), np.zeros((len(weights), len(weights))), 1.0
    for moment in np.unique(time[event == 1]):
        n, n_1 = np.sum(time >= moment), np.sum((time >= moment) & (group == 1))
        now = (time == moment) & (event == 1)
        d, d_1 = now.sum(), np.sum(now & (group == 1))
        w = np.array([survival**rho * (1 - survival) ** gamma for rho, gamma in weights])
        score += w * (d_1 - d * n_1 / n)
        if n > 1:
            covariance += np.outer(w, w) * d * n_1 * (n - n_1) * (n - d) / (n**2 * (n - 1))
        survival *= 1 - d / n
    return score, covariance


def test_the_leukaemia_trials_differ_as_published() -> None:
    remission = weighted_logrank(*FREIREICH)
    assert remission.z > 0
    assert remission.z**2 == pytest.approx(16.79, abs=0.005)
    maintenance = weighted_logrank(*MILLER)
    assert (maintenance.z**2, maintenance.p) == pytest.approx((3.396, 0.0653), abs=5e-4)
    early = weighted_logrank(*MILLER, rho=1.0)
    assert (early.z**2, early.p) == pytest.approx((2.779, 0.0955), abs=5e-4)


@SEEDS
@pytest.mark.parametrize(("rho", "gamma"), EXPONENTS)
def test_weighted_tests_are_those_of_lifelines(seed: int, rho: float, gamma: float) -> None:
    time, event, group, _ = trial(seed)
    referee = logrank_test(
        time[group], time[~group], event[group], event[~group], weightings="fleming-harrington", p=rho, q=gamma
    )
    found = weighted_logrank(time, event, group, rho=rho, gamma=gamma)
    assert (found.z**2, found.p) == pytest.approx((referee.test_statistic, referee.p_value), rel=1e-9)


@SEEDS
def test_without_weights_it_is_the_log_rank_test_of_scipy(seed: int) -> None:
    time, event, group, _ = trial(seed)
    found = weighted_logrank(time, event, group)
    arms = [stats.CensoredData.right_censored(time[rows], ~event[rows]) for rows in (group, ~group)]
    referee: Any = getattr(stats, "logrank")(*arms)  # noqa: B009
    assert (abs(found.z), found.p) == pytest.approx((abs(referee.statistic), referee.pvalue), rel=1e-9)


@SEEDS
@pytest.mark.parametrize(("rho", "gamma"), EXPONENTS)
def test_strata_are_summed_with_weights_of_their_own(seed: int, rho: float, gamma: float) -> None:
    time, event, group, stratum = trial(seed)
    score, variance = 0.0, 0.0
    for own in range(3):
        rows = stratum == own
        parts = by_hand(time[rows], event[rows], group[rows], [(rho, gamma)])
        score, variance = score + parts[0][0], variance + parts[1][0, 0]
    names = np.array(["low", "middle", "high"])[stratum]
    found = weighted_logrank(time, event, group, stratum=names, rho=rho, gamma=gamma)
    assert found.z == pytest.approx(score / math.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize("seed", [0, 3])
def test_max_combo_takes_the_largest_and_its_p_is_that_of_the_joint_distribution(seed: int) -> None:
    time, event, group, _ = trial(seed, hazards=(1 / 11, 1 / 8))
    weights = EXPONENTS[:4]
    found = max_combo(time, event, group)
    score, covariance = by_hand(time, event, group, weights)
    spread = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(found.each, score / spread, rtol=1e-9)
    assert found.z == found.each[int(np.argmax(np.abs(found.each)))]
    assert found.weight == weights[int(np.argmax(np.abs(found.each)))]
    limit, correlation = np.full(4, abs(found.z)), covariance / np.outer(spread, spread)
    joint: Any = stats.multivariate_normal
    inside = joint(np.zeros(4), correlation, allow_singular=True, maxpts=100_000).cdf(limit, lower_limit=-limit)
    assert found.p == pytest.approx(1 - inside, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("factor", [1.0, 1.7, 3.0])
def test_the_p_of_two_weights_is_right_also_where_it_is_tiny(factor: float) -> None:
    weights = [(0.0, 0.0), (0.0, 1.0)]
    time, event, group, _ = trial(5, hazards=(1 / 14, factor / 14))
    found = max_combo(time, event, group, weights=weights)
    _, covariance = by_hand(time, event, group, weights)
    rho = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    limit, rest = abs(found.z), math.sqrt(1 - rho**2)

    def second_beyond(x: float) -> float:
        return float(
            stats.norm.pdf(x) * (stats.norm.sf((limit - rho * x) / rest) + stats.norm.cdf((-limit - rho * x) / rest))
        )

    expected = (
        stats.norm.sf(limit) * 2 + integrate.quad(second_beyond, -limit, limit, epsabs=0, epsrel=1e-9, limit=200)[0]
    )
    assert found.p == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("weights", [[(0, 0)], [(0, 0), (0, 0), (0, 0)]])
def test_one_weight_alone_is_its_own_test(weights: list[tuple[float, float]]) -> None:
    found, alone = max_combo(*FREIREICH, weights=weights), weighted_logrank(*FREIREICH)
    assert (found.z, found.p) == pytest.approx((alone.z, alone.p), rel=1e-9)


@given(ROWS)
def test_laws_of_the_tests(rows: list[tuple[int, bool, bool, int]]) -> None:
    time, event, group, stratum = columns(rows)
    for rho, gamma in ((0.0, 0.0), (1.0, 1.0)):
        once = weighted_logrank(time, event, group, stratum=stratum, rho=rho, gamma=gamma)
        swapped = weighted_logrank(time, event, ~group, stratum=stratum, rho=rho, gamma=gamma)
        doubled = weighted_logrank(2 * time, event, group, stratum=stratum, rho=rho, gamma=gamma)
        np.testing.assert_allclose((-swapped.z, swapped.p), (once.z, once.p), rtol=1e-9, atol=1e-12)
        assert (doubled == once) or math.isnan(once.z)
    whole, one = weighted_logrank(time, event, group), weighted_logrank(time, event, group, stratum=["a"] * time.size)
    assert (whole == one) or (math.isnan(whole.z) and math.isnan(one.z))


@given(ROWS)
def test_laws_of_max_combo(rows: list[tuple[int, bool, bool, int]]) -> None:
    time, event, group, stratum = columns(rows)
    once, swapped = (max_combo(time, event, arm, stratum=stratum) for arm in (group, ~group))
    np.testing.assert_allclose(np.negative(swapped.each), once.each, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose((abs(swapped.z), swapped.p), (abs(once.z), once.p), rtol=1e-9)
    if not math.isnan(once.z):
        alone = 2 * stats.norm.sf(abs(once.z))
        assert alone * (1 - 1e-3) <= once.p <= min(1.0, 4 * alone) * (1 + 1e-3)


def test_data_that_cannot_tell_give_no_number() -> None:
    assert math.isnan(weighted_logrank([1, 2, 3], [0, 0, 0], [0, 1, 1]).z)
    nothing = max_combo([1, 2, 3], [0, 0, 0], [0, 1, 1])
    assert np.isnan([nothing.z, nothing.p, *nothing.weight, *nothing.each]).all()
    apart = weighted_logrank([1, 2, 3, 4], [1, 1, 1, 1], [0, 0, 1, 1], stratum=[0, 0, 1, 1])
    assert math.isnan(apart.p)


def test_weights_without_a_statistic_take_no_part_in_max_combo() -> None:
    time, event, group = [5, 5, 5, 9, 9, 9, 9], [1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0]
    found, alone = max_combo(time, event, group), weighted_logrank(time, event, group)
    assert np.isnan(found.each).tolist() == [False, True, False, True]
    assert (found.z, found.p) == pytest.approx((alone.z, alone.p), rel=1e-9)


def test_under_the_null_max_combo_rejects_as_often_as_it_should() -> None:
    trials, alpha = 1000, 0.05
    rejected = 0
    for seed in range(trials):
        time, event, group, stratum = trial(1000 + seed, hazards=(0.08, 0.08))
        rejected += max_combo(time, event, group, stratum=stratum).p < alpha
    assert rejected / trials == pytest.approx(alpha, abs=3 * math.sqrt(alpha * (1 - alpha) / trials))


def test_an_effect_that_comes_late_is_found_by_late_weights() -> None:
    rng = np.random.default_rng(7)
    group = np.arange(600) % 2 == 1
    own = rng.exponential(10.0, 600)
    late = own > 8.0
    own[late & ~group] = 8.0 + (own[late & ~group] - 8.0) / 4.0
    time, event = np.minimum(own, 40.0), own <= 40.0
    found, plain = max_combo(time, event, group), weighted_logrank(time, event, group)
    assert found.weight == (0.0, 1.0)
    assert found.z < plain.z < 0
    assert found.p < plain.p
