"""Survival statistics of weighted virtual patients: laws, a published example, and two other programs as referees."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import logrank_test
from lifelines.utils import median_survival_times, restricted_mean_survival_time
from numpy.typing import ArrayLike
from scipy import optimize

from perdure.model.statistics.cox import hazard_ratio
from perdure.model.statistics.logrank import weighted_logrank
from perdure.model.statistics.survival import effective_size, kaplan_meier, weighted_quantile
from perdure.parameters.errors import InputError

# Remission in weeks of children with acute leukaemia (Freireich 1963, Blood 21:699), as in every textbook of survival.
MERCAPTOPURINE = np.array([6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35], dtype=float)
RELAPSED = np.arange(21) < 9
PLACEBO = np.array([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23], dtype=float)
BOTH = np.concatenate((MERCAPTOPURINE, PLACEBO))
EITHER_RELAPSED = np.concatenate((RELAPSED, np.ones(21, dtype=bool)))
ON_PLACEBO = np.arange(42) >= 21

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Rows = list[tuple[int, bool, float, bool]]
SEEDS = pytest.mark.parametrize("seed", range(6))
TIES = pytest.mark.parametrize("ties", [False, True])
ROW = st.tuples(st.integers(0, 12), st.booleans(), st.floats(0.01, 5.0), st.booleans())
ROWS = st.lists(ROW, min_size=1, max_size=40)


def virtual_trial(seed: int, *, ties: bool = False, rows: int = 120) -> Data:
    """Times with about a third censored, events, groups with different hazards, and weights; the last row censored."""
    rng = np.random.default_rng(seed)
    group = rng.random(rows) < 0.5
    own, censoring = rng.exponential(np.where(group, 8.0, 14.0)), rng.uniform(2.0, 40.0, rows)
    time, event = np.minimum(own, censoring), own <= censoring
    if ties:
        time = np.ceil(time)
    event[time == time.max()] = False
    return time, event, group, rng.uniform(0.05, 1.0, rows)


def columns(rows: Rows) -> Data:
    time, event, weight, group = zip(*rows, strict=True)
    return np.array(time, dtype=float), np.array(event), np.array(group), np.array(weight)


def breslow_ratio(time: ArrayLike, event: ArrayLike, group: ArrayLike, weight: ArrayLike | None = None) -> float:
    return hazard_ratio(time, event, group, weight, ties="breslow").value


def test_the_remissions_under_mercaptopurine_are_those_of_the_textbooks() -> None:
    curve = kaplan_meier(MERCAPTOPURINE, RELAPSED)
    np.testing.assert_allclose(curve.times, [0, 6, 7, 10, 13, 16, 22, 23])
    np.testing.assert_allclose(curve.survival, [1, 0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4)
    np.testing.assert_allclose(curve.interval_at(6.0), (0.620, 0.952), atol=5e-4)
    np.testing.assert_allclose(curve.at_risk([6, 7, 10, 13, 16, 22, 23]), [21, 17, 15, 12, 11, 7, 6])
    np.testing.assert_allclose(curve.censor_times, [6, 9, 10, 11, 17, 19, 20, 25, 32, 34, 35])
    assert (curve.n, curve.n_events) == pytest.approx((21, 9), rel=1e-12)
    assert (curve.median(), *curve.median_interval()) == (23.0, 13.0, math.inf)


def test_the_remissions_under_placebo_last_eight_weeks_at_the_median() -> None:
    curve = kaplan_meier(PLACEBO, np.ones(21))
    assert (curve.median(), *curve.median_interval()) == (8.0, 4.0, 11.0)
    assert curve.restricted_mean(23.0) == pytest.approx(PLACEBO.mean(), rel=1e-12)


def test_the_arms_of_the_leukaemia_trial_differ_as_published() -> None:
    test = weighted_logrank(BOTH, EITHER_RELAPSED, ON_PLACEBO)
    assert test.z > 0
    assert test.z**2 == pytest.approx(16.79, abs=0.005)
    assert test.p == pytest.approx(4.17e-5, rel=0.01)
    assert math.log(breslow_ratio(BOTH, EITHER_RELAPSED, ON_PLACEBO)) == pytest.approx(1.509, abs=5e-4)


@SEEDS
@TIES
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_equal_weights_give_the_curve_and_the_band_of_lifelines(seed: int, ties: bool, level: float) -> None:
    time, event, _, _ = virtual_trial(seed, ties=ties)
    curve = kaplan_meier(time, event, np.full(time.size, 0.3), level=level)
    referee = KaplanMeierFitter(alpha=1 - level).fit(time, event)
    theirs = referee.survival_function_at_times(curve.times).to_numpy()
    np.testing.assert_allclose(curve.survival, theirs, rtol=0, atol=1e-12)
    band = referee.confidence_interval_.loc[curve.times].to_numpy()
    np.testing.assert_allclose(np.column_stack((curve.low, curve.high)), band, rtol=0, atol=1e-6)
    assert curve.median() == pytest.approx(referee.median_survival_time_, rel=1e-12)
    limits = np.asarray(median_survival_times(referee.confidence_interval_)).ravel()
    np.testing.assert_allclose(curve.median_interval(), limits, rtol=1e-12)
    for until in (0.0, 0.5, 7.0, 15.0):
        expected = restricted_mean_survival_time(referee, t=until)
        assert curve.restricted_mean(until) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@SEEDS
@TIES
def test_the_log_rank_test_is_that_of_lifelines(seed: int, ties: bool) -> None:
    time, event, group, _ = virtual_trial(seed, ties=ties)
    test = weighted_logrank(time, event, group)
    referee = logrank_test(time[group], time[~group], event[group], event[~group])
    assert (test.z**2, test.p) == pytest.approx((referee.test_statistic, referee.p_value), rel=1e-9)


@SEEDS
def test_the_hazard_ratio_is_that_of_the_cox_model_of_lifelines(seed: int) -> None:
    time, event, group, _ = virtual_trial(seed)
    frame = pd.DataFrame({"time": time, "event": event, "group": group.astype(float)})
    referee = CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-12})
    assert breslow_ratio(time, event, group) == pytest.approx(float(referee.hazard_ratios_.iloc[0]), rel=1e-6)


@SEEDS
def test_the_hazard_ratio_with_ties_and_weights_is_where_the_likelihood_of_breslow_is_highest(seed: int) -> None:
    time, event, group, weight = virtual_trial(seed, ties=True, rows=40)

    def minus_log_likelihood(log_ratio: float) -> float:
        total = 0.0
        for own, happened, arm, w in zip(time, event, group, weight, strict=True):
            if happened:
                at_risk = np.sum(weight * np.exp(log_ratio * group) * (time >= own))
                total -= w * (log_ratio * arm - math.log(at_risk))
        return total

    best = optimize.minimize_scalar(minus_log_likelihood, bounds=(-5.0, 5.0), method="bounded", options={"xatol": 1e-9})
    assert math.log(breslow_ratio(time, event, group, weight)) == pytest.approx(getattr(best, "x"), abs=1e-6)  # noqa: B009


@given(ROWS, st.sampled_from([10.0, 1e-6, 1e6]))
def test_weights_times_a_constant_move_nothing(rows: Rows, factor: float) -> None:
    time, event, group, weight = columns(rows)
    once, more = kaplan_meier(time, event, weight), kaplan_meier(time, event, weight * factor)
    for name in ("times", "survival", "low", "high", "n", "censor_times"):
        np.testing.assert_allclose(getattr(more, name), getattr(once, name), rtol=1e-9, atol=1e-12)
    assert more.median() == once.median()
    assert more.smooth_median() == pytest.approx(once.smooth_median(), rel=1e-9)
    assert effective_size(weight * factor) == pytest.approx(effective_size(weight), rel=1e-9)
    if group.any() and not group.all():
        more_ratio, once_ratio = (breslow_ratio(time, event, group, w) for w in (weight * factor, weight))
        np.testing.assert_allclose(more_ratio, once_ratio, rtol=1e-6)


@SEEDS
def test_a_patient_split_into_two_rows_is_still_one_patient(seed: int) -> None:
    time, event, group, weight = virtual_trial(seed, ties=True)
    part = np.random.default_rng(seed).uniform(0.1, 0.9, time.size)
    times, events, groups = np.tile((time, event, group), 2)
    split = np.concatenate((weight * part, weight * (1 - part)))
    whole = kaplan_meier(time, event, weight, patients=80)
    halves = kaplan_meier(times, events, split, patients=80)
    for name in ("times", "survival", "low", "high", "n", "n_events"):
        np.testing.assert_allclose(getattr(halves, name), getattr(whole, name), rtol=1e-9)
    assert breslow_ratio(times, events, groups, split) == pytest.approx(
        breslow_ratio(time, event, group, weight), rel=1e-9
    )
    assert weighted_quantile(times, 0.3, split) == pytest.approx(weighted_quantile(time, 0.3, weight), rel=1e-12)


@SEEDS
def test_a_weight_of_three_stands_for_three_patients_in_a_trial_that_counts_them(seed: int) -> None:
    time, event, _, _ = virtual_trial(seed, ties=True, rows=50)
    weight = np.random.default_rng(seed).integers(1, 4, time.size)
    counted = kaplan_meier(time, event, weight, patients=weight.sum())
    repeated = kaplan_meier(np.repeat(time, weight), np.repeat(event, weight))
    for name in ("survival", "low", "high", "n", "n_events"):
        np.testing.assert_allclose(getattr(counted, name), getattr(repeated, name), rtol=1e-9)
    np.testing.assert_allclose(counted.at_risk(range(40)), repeated.at_risk(range(40)), rtol=1e-9)


@pytest.mark.parametrize(("weight", "size"), [([1, 1, 1, 1], 4), ([2, 2, 0], 2), ([3, 1], 1.6), ([1e300, 1e300], 2)])
def test_the_effective_size_is_that_of_kish(weight: list[float], size: float) -> None:
    assert effective_size(weight) == pytest.approx(size, rel=1e-12)


@given(ROWS)
def test_a_curve_never_rises_and_lies_in_its_band(rows: Rows) -> None:
    time, event, _, weight = columns(rows)
    curve = kaplan_meier(time, event, weight)
    assert curve.times[0] == 0
    assert np.all(np.diff(curve.survival) < 0)
    assert np.all((curve.low <= curve.survival) & (curve.survival <= curve.high))
    assert np.all((curve.low >= 0) & (curve.high <= 1))
    assert curve.at_risk([0.0])[0] == pytest.approx(weight.sum(), rel=1e-9)


@given(ROWS)
def test_without_censoring_the_curve_is_the_empirical_distribution(rows: Rows) -> None:
    time, _, _, weight = columns(rows)
    curve, asked = kaplan_meier(time, np.ones(time.size), weight), np.linspace(-1.0, 13.0, 57)
    expected = [weight[time > moment].sum() / weight.sum() for moment in asked]
    np.testing.assert_allclose(curve.at(asked), expected, rtol=0, atol=1e-12)
    assert curve.survival[-1] == 0
    assert curve.restricted_mean(13.0) == pytest.approx(np.average(time, weights=weight), rel=1e-9, abs=1e-12)
    assert kaplan_meier(time, np.ones(time.size)).smooth_median() == pytest.approx(np.median(time), rel=1e-9, abs=1e-12)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: Rows, random: Any) -> None:
    time, event, _, weight = columns(rows)
    order = np.array(random.sample(range(time.size), time.size))
    once, again = kaplan_meier(time, event, weight), kaplan_meier(time[order], event[order], weight[order])
    for name in ("times", "survival", "low", "high", "n", "n_events", "censor_times"):
        np.testing.assert_allclose(getattr(again, name), getattr(once, name), rtol=1e-9, atol=1e-12)


@given(ROWS, st.lists(st.floats(0, 1e-6), min_size=40, max_size=40))
def test_the_smooth_median_moves_no_further_than_the_event_times(rows: Rows, shifts: list[float]) -> None:
    time, _, _, weight = columns(rows)
    moved = time + np.array(shifts[: time.size])
    before, after = (kaplan_meier(t, np.ones(t.size), weight).smooth_median() for t in (time, moved))
    assert abs(after - before) <= 1.01e-6


def test_a_curve_that_stops_above_one_half_has_no_median() -> None:
    curve = kaplan_meier([1, 2, 3, 4], [1, 0, 0, 0])
    assert (curve.median(), curve.smooth_median(), curve.quantile(0.25)) == (math.inf, math.inf, 1.0)
    assert kaplan_meier([5.0, 6.0], [0, 0]).median_interval() == (math.inf, math.inf)


@pytest.mark.parametrize("patients", [10, 30, 70, 250])
def test_a_curve_that_reaches_one_half_exactly_has_its_median_there(patients: int) -> None:
    curve = kaplan_meier(np.arange(1, patients + 1), np.ones(patients))
    assert curve.median() == patients / 2
    assert curve.smooth_median() == pytest.approx(patients / 2 + 0.5, rel=1e-9)


def test_a_patient_is_at_risk_up_to_and_including_its_own_time() -> None:
    curve = kaplan_meier([2.0, 2.0, 5.0], [1, 0, 1], [1.0, 0.5, 2.0])
    np.testing.assert_allclose(curve.at_risk([0, 2, 2.001, 5, 5.001]), [3.5, 3.5, 2.0, 2.0, 0.0])


def test_nothing_is_said_about_times_after_the_last_patient() -> None:
    curve = kaplan_meier([1.0, 2.0, 3.0], [1, 0, 0])
    assert curve.at(3.0) == pytest.approx(2 / 3)
    assert np.isnan([curve.at(3.1), *curve.interval_at(3.1)]).all()
    with pytest.raises(InputError, match=r"until is 4, and should be between 0 and the last follow-up at 3"):
        curve.restricted_mean(4.0)
    assert kaplan_meier([1.0, 2.0], [1, 1]).at(9.0) == 0


def test_rows_of_weight_zero_say_nothing() -> None:
    curve = kaplan_meier([1.0, 2.0, 9.0], [1, 1, 0], [1.0, 1.0, 0.0])
    assert (curve.n, curve.at(2.0), curve.followed_until, curve.censor_times.size) == (2.0, 0.0, 2.0, 0)


def test_a_curve_is_read_only_and_can_be_sent_to_another_process() -> None:
    curve = kaplan_meier(MERCAPTOPURINE, RELAPSED)
    for values in (curve.times, curve.survival, curve.low, curve.high, curve.censor_times):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 2.0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(curve)).high, curve.high)


def test_arms_that_cannot_be_compared_give_no_number() -> None:
    silent = weighted_logrank([1, 2, 3], [0, 0, 0], [0, 1, 1])
    assert np.isnan([silent.z, silent.p]).all()
    assert math.isnan(breslow_ratio([1, 2, 3], [0, 0, 0], [0, 1, 1]))
    assert breslow_ratio([1, 2, 3, 4], [1, 1, 0, 0], [0, 0, 1, 1]) == 0
    assert breslow_ratio([1, 2, 3, 4], [1, 1, 0, 0], [1, 1, 0, 0]) == math.inf


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=50), st.integers(0, 16))
def test_an_unweighted_quantile_is_that_of_numpy(values: list[int], sixteenths: int) -> None:
    expected = np.quantile(values, sixteenths / 16, method="averaged_inverted_cdf")
    assert weighted_quantile(values, sixteenths / 16) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert weighted_quantile([*values, math.inf], 1.0) == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kaplan_meier([1, math.nan], [1, 0]), r"kaplan_meier: time\[1\] is nan, and should be finite"),
        (lambda: kaplan_meier([1, -2], [1, 0]), r"time\[1\] is -2, and should be finite and not negative"),
        (lambda: kaplan_meier([1, 2], [1, 2]), r"event\[1\] is 2, and should be 0 or 1"),
        (lambda: kaplan_meier([1, 2], [1]), r"event has 1 rows, and should have 2"),
        (lambda: kaplan_meier([1, 2], [1, 0], [1, 1, 1]), r"weight has 3 rows, and should have 2"),
        (lambda: kaplan_meier([1, 2], [1, 0], [1, -1]), r"weight\[1\] is -1"),
        (lambda: kaplan_meier([1, 2], [1, 0], [0, 0]), r"the sum of the weights is 0, and should be .* more than 0"),
        (lambda: kaplan_meier([], []), r"time has shape \(0,\), and should be a list, one value per patient"),
        (lambda: kaplan_meier(["soon"], [1]), r"time is \['soon'\], and should be a list of numbers"),
        (lambda: kaplan_meier([1, 2], [1, 0], patients=0), r"patients is 0, and should be finite and more than 0"),
        (lambda: kaplan_meier([1, 2], [1, 0], level=95), r"level is 95, and should be between 0 and 1"),
        (lambda: kaplan_meier([1, 2], [1, 0]).at(math.nan), r"asked for at nan"),
        (lambda: kaplan_meier([1, 2], [1, 0]).quantile(50), r"q is 50, and should be between 0 and 1"),
        (lambda: breslow_ratio([1, 2], [1, 0], [1, 2], [1, 1]), r"hazard_ratio: group\[1\] is 2, and should be 0"),
        (lambda: breslow_ratio([1, 2, 3], [1, 0, 1], [1, 1, 0], [1, 1, 0]), r"group is 1 in every row that has a"),
        (lambda: weighted_quantile([1, math.nan], 0.5), r"values\[1\] is nan, and should be a number"),
        (lambda: effective_size([0, 0]), r"effective_size: the sum of the weights is 0"),
    ],
)
def test_bad_input_is_answered_with_what_and_where_and_what_is_right(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
