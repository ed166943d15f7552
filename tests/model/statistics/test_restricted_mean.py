"""Restricted means and landmarks: closed forms, lifelines, and Greenwood's covariance summed by hand as referees."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.statistics import survival_difference_at_fixed_point_in_time_test
from lifelines.utils import restricted_mean_survival_time

from perdure.model.statistics.restricted_mean import (
    landmark,
    landmark_difference,
    restricted_mean,
    restricted_mean_difference,
)
from perdure.model.statistics.survival import kaplan_meier

SEEDS = pytest.mark.parametrize("seed", range(4))
ROWS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=30)


def trial(seed: int, patients: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = np.arange(patients) % 2 == 0
    own, censoring = rng.exponential(np.where(group, 8.0, 14.0)), rng.uniform(4.0, 40.0, patients)
    return np.ceil(np.minimum(own, censoring)), own <= censoring, group


def variance_by_hand(time: np.ndarray, event: np.ndarray, until: float) -> float:
    """Double integral of Greenwood's covariance S(u) S(v) G(min(u, v)), piece by piece."""
    steps = np.unique(time[event & (time < until)])
    edges = np.append(steps, until)
    survival, greenwood, pieces = 1.0, 0.0, []
    for start, end in pairwise(edges):
        n, d = np.sum(time >= start), np.sum((time == start) & event)
        survival *= 1 - d / n
        greenwood += d / (n * (n - d)) if d < n else 0.0
        pieces.append((survival * (end - start), greenwood))
    return sum(a * b * min(g, h) for a, g in pieces for b, h in pieces)


@SEEDS
@pytest.mark.parametrize("until", [0.5, 6.0, 12.0, 30.0])
def test_the_restricted_mean_is_that_of_lifelines_and_its_variance_that_of_greenwood(seed: int, until: float) -> None:
    time, event, _ = trial(seed)
    found = restricted_mean(time, event, until)
    expected = restricted_mean_survival_time(KaplanMeierFitter().fit(time, event), t=until)
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.value == pytest.approx(kaplan_meier(time, event).restricted_mean(until), rel=1e-12)
    assert found.se**2 == pytest.approx(variance_by_hand(time, event, until), rel=1e-9, abs=1e-15)


@given(st.lists(st.integers(0, 12), min_size=2, max_size=30), st.floats(0.5, 12.5))
def test_without_censoring_it_is_the_mean_and_its_error_that_of_a_mean(times: list[int], until: float) -> None:
    time = np.array(times, dtype=float)
    cut = np.minimum(time, until)
    found = restricted_mean(time, np.ones(time.size), until, level=0.9)
    assert found.value == pytest.approx(cut.mean(), rel=1e-9, abs=1e-12)
    assert found.se == pytest.approx(math.sqrt(cut.var() / time.size), rel=1e-6, abs=1e-9)
    assert found.high - found.value == pytest.approx(1.6448536 * found.se, rel=1e-6, abs=1e-12)
    assert found.value - found.low == pytest.approx(found.high - found.value, rel=1e-6, abs=1e-9)


@given(ROWS)
def test_doubling_the_unit_doubles_a_restricted_mean(rows: list[tuple[int, bool]]) -> None:
    time, event = (np.array(column) for column in zip(*rows, strict=True))
    until = time.max() * 0.8 if time.max() > 0 else None
    if until is not None:
        once, twice = restricted_mean(time, event, until), restricted_mean(2 * time, event, 2 * until)
        assert (twice.value, twice.se) == pytest.approx((2 * once.value, 2 * once.se), rel=1e-9, abs=1e-12)


@SEEDS
def test_the_difference_of_restricted_means_is_that_of_the_two_groups(seed: int) -> None:
    time, event, group = trial(seed)
    arms = [restricted_mean(time[rows], event[rows], 20.0) for rows in (~group, group)]
    found, swapped = (restricted_mean_difference(time, event, arm, 20.0) for arm in (group, ~group))
    assert found.value == pytest.approx(arms[1].value - arms[0].value, rel=1e-12)
    assert found.se == pytest.approx(math.hypot(arms[0].se, arms[1].se), rel=1e-12)
    assert found.z == pytest.approx(found.value / found.se, rel=1e-12)
    assert (swapped.z, swapped.low, swapped.high) == pytest.approx((-found.z, -found.high, -found.low), rel=1e-9)
    assert found.z < 0, "group 1 has the higher hazard: its mean is shorter"


def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says() -> None:
    trials, truth = 600, 20.0 * (1 - math.exp(-0.6)) - 10.0 * (1 - math.exp(-1.2))
    held = 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        group = rng.random(200) < 0.5
        own, censoring = rng.exponential(np.where(group, 20.0, 10.0)), rng.uniform(6.0, 40.0, 200)
        found = restricted_mean_difference(np.minimum(own, censoring), own <= censoring, group, 12.0)
        held += found.low <= truth <= found.high
    assert held / trials == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / trials))


def test_groups_without_an_event_have_no_test_of_their_means() -> None:
    found = restricted_mean_difference([5, 6, 7, 8], [0, 0, 0, 0], [0, 0, 1, 1], 4.0)
    assert (found.value, found.se) == (0.0, 0.0)
    assert np.isnan([found.z, found.p]).all()


@SEEDS
@pytest.mark.parametrize("at", [3.0, 7.5, 12.0])
def test_a_landmark_is_on_the_curve_of_lifelines_with_its_band(seed: int, at: float) -> None:
    time, event, _ = trial(seed)
    referee = KaplanMeierFitter(alpha=0.1).fit(time, event)
    band = referee.confidence_interval_[referee.confidence_interval_.index <= at].iloc[-1]
    found = landmark(time, event, at, 0.9)
    assert found.value == pytest.approx(float(np.squeeze(referee.predict(at))), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(band), abs=1e-6)


@SEEDS
def test_the_difference_at_a_landmark_is_tested_as_lifelines_does(seed: int) -> None:
    time, event, group = trial(seed)
    both = sorted(set(time[group & event]) & set(time[~group & event]))
    for at in both[2:6]:
        arms = [KaplanMeierFitter().fit(time[rows], event[rows]) for rows in (~group, group)]
        referee = survival_difference_at_fixed_point_in_time_test(at, *arms)
        found = landmark_difference(time, event, group, at)
        assert (found.z**2, found.p) == pytest.approx((referee.test_statistic, referee.p_value), rel=1e-9)
        assert (found.z > 0) == (found.value < 0), "more events in group 1, fewer of it without"
        assert found.low < found.value < found.high


@SEEDS
def test_the_interval_at_a_landmark_turns_with_the_groups(seed: int) -> None:
    time, event, group = trial(seed)
    once, swapped = (landmark_difference(time, event, arm, 10.0, 0.8) for arm in (group, ~group))
    assert (once.value, once.low, once.high, once.z) == pytest.approx(
        (-swapped.value, -swapped.high, -swapped.low, -swapped.z), rel=1e-9
    )
    assert landmark_difference(3 * time, event, group, 30.0, 0.8) == once


def test_the_interval_at_a_landmark_holds_the_truth_as_often_as_it_says() -> None:
    trials, truth, held = 800, math.exp(-0.5) - math.exp(-1.0), 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        group = rng.random(160) < 0.5
        own, censoring = rng.exponential(np.where(group, 20.0, 10.0)), rng.uniform(6.0, 40.0, 160)
        found = landmark_difference(np.minimum(own, censoring), own <= censoring, group, 10.0)
        held += found.low <= truth <= found.high
    assert held / trials == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / trials))


def test_a_landmark_says_nothing_where_nobody_was_followed_or_the_scale_ends() -> None:
    assert np.isnan([landmark([1, 2, 3], [1, 0, 0], 4.0).value, landmark([1, 2, 3], [1, 0, 0], 4.0).low]).all()
    early = landmark_difference([1, 2, 3, 4], [0, 1, 1, 0], [0, 0, 1, 1], 1.0)
    assert early.value == 0
    assert np.isnan([early.low, early.high, early.z, early.p]).all()
