"""Power, sample size, assurance: against Schoenfeld on proportional hazards, under the null, and their own errors."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from perdure.model.statistics.sizes import events_needed
from perdure.parameters.errors import InputError, RangeError
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.trials.analysis import Truth, successes, z_and_p
from perdure.trials.arm import Arm
from perdure.trials.conduct import conduct
from perdure.trials.design import Design
from perdure.trials.pool import REACHED, Course, Pool
from perdure.trials.power import assurance, pool_error, power_curve, sample_size, smoothed, stream, true_effect

ARMS = tuple(Arm(name, "ide-cel", "late_line") for name in ("reference", "new"))
DESIGN = Design("A known truth", ARMS, "infusion", 120, 12.0, 12.0, "pfs", visit_days=7.0)
HAZARD = 0.10  # 1/month, in the reference
MANY = 250


@cache
def synthetic(ratio: float, n: int = 4000, seed: int = 0, together: bool = True) -> Pool:
    """Exponential progression with that hazard ratio; the response rates are 40 and 70 %.

    Without a seed the quantiles of the exponential, so that the pool has its hazard ratio exactly.
    """
    rng = np.random.default_rng(seed)
    luck = np.stack([-np.log1p(-(np.arange(n) + 0.5) / n)] * 2)
    if seed:
        luck = rng.exponential(size=(2, n))
    if together:
        luck[1] = luck[0]
    days = luck / (HAZARD * np.array([[1.0], [ratio]])) * DAYS_PER_MONTH
    progression = np.repeat(np.ceil(days / 7.0)[:, None] * 7.0, 2, axis=1)
    never = np.full((2, 2, n), np.inf)
    u = np.random.default_rng(9).random(n)
    responds = np.where(u < np.array([0.4, 0.7])[:, None, None], 28.0, np.inf) * np.ones((2, 2, n))
    responds = np.where(responds < progression, responds, np.inf)
    reached = {name: responds if name in ("MR", "PR") else never for name in REACHED}
    course = Course(progression, never, progression + 14.0, responds - 7.0, reached)
    weight = np.stack([np.ones(n), np.zeros(n)])
    stratum = np.broadcast_to(np.arange(n) % 2, (2, n))
    return Pool(
        ("reference", "new"), course, np.zeros((2, n)), weight, stratum, ("even", "odd"), np.ones((2, 2, n), bool),
        np.zeros(2), course, 0.0, 24.0, 7.0,
    )  # fmt: skip


# Power


def schoenfeld_power(events: float, ratio: float, share: float = 0.5) -> float:
    """Power of the two-sided log-rank test at 5 % in its own direction (Schoenfeld 1983)."""
    effect = abs(math.log(ratio)) * math.sqrt(events * share * (1.0 - share))
    return float(norm.cdf(effect - norm.isf(0.025)))


@pytest.mark.parametrize("ratio", [0.6, 0.75])
def test_power_under_proportional_hazards_is_that_of_schoenfeld(ratio: float) -> None:
    curve = power_curve(DESIGN, synthetic(ratio), sizes=(80, 160, 240), trials=MANY, seed=1)
    for power, events in zip(curve.power, curve.events, strict=True):
        expected = schoenfeld_power(events, ratio)
        assert power == pytest.approx(expected, abs=3.0 * math.sqrt(expected * (1 - expected) / MANY) + 0.015)


def test_power_of_unequal_shares_is_that_of_schoenfeld() -> None:
    design = replace(DESIGN, arms=(ARMS[0], replace(ARMS[1], share=3.0)))
    curve = power_curve(design, synthetic(0.6), sizes=(160,), trials=MANY, seed=2)
    expected = schoenfeld_power(float(curve.events[0]), 0.6, share=0.75)
    assert curve.power[0] == pytest.approx(expected, abs=3.0 * math.sqrt(expected * (1 - expected) / MANY) + 0.02)


@pytest.mark.parametrize("test", ["logrank", "max_combo", "restricted_mean"])
def test_without_an_effect_alpha_of_the_trials_reject_and_half_of_these_succeed(test: str) -> None:
    design, trials = replace(DESIGN, test=test), {"logrank": 900, "max_combo": 200, "restricted_mean": 400}[test]
    found = conduct(design, synthetic(1.0), trials=trials, patients=200, seed=4)
    _, p = z_and_p(design, found)
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=3.2 * math.sqrt(0.05 * 0.95 / trials))
    share = np.mean(successes(design, found))
    assert share == pytest.approx(0.025, abs=3.2 * math.sqrt(0.025 * 0.975 / trials))


def test_ten_sizes_of_two_hundred_trials_take_less_than_a_minute() -> None:
    sizes = tuple(range(100, 1001, 100))
    curve = power_curve(DESIGN, synthetic(0.8), sizes=sizes, trials=200, seed=1)
    assert curve.power[-1] > 0.8 > curve.power[0]
    assert np.all(np.diff(curve.smooth.at(curve.sizes)) > 0)


def test_the_monte_carlo_interval_covers_the_power() -> None:
    truth = power_curve(DESIGN, synthetic(0.6), sizes=(120,), trials=1000, seed=99).power[0]
    curves = [power_curve(DESIGN, synthetic(0.6), sizes=(120,), trials=25, seed=k) for k in range(40)]
    covered = np.mean([curve.low[0] <= truth <= curve.high[0] for curve in curves])
    assert 0.87 <= covered <= 1.0
    assert all(curve.low[0] < curve.power[0] < curve.high[0] or curve.power[0] == 1.0 for curve in curves)


def test_one_seed_gives_one_curve_and_a_size_does_not_depend_on_the_others() -> None:
    both = power_curve(DESIGN, synthetic(0.7), sizes=(60, 120), trials=40, seed=5)
    alone = power_curve(DESIGN, synthetic(0.7), sizes=(120,), trials=40, seed=5)
    assert both.power[1] == alone.power[0]
    assert stream(1, 2) != stream(2, 1)


@pytest.mark.parametrize(
    ("sizes", "trials", "said"),
    [((), 10, "sizes: there is none"), ((100, 50), 10, "50 after 100"), ((4,), 10, "at least 10"),
     ((100,), 1, "trials = 1")],
)  # fmt: skip
def test_sizes_and_trials_that_cannot_be_are_one_clear_error(sizes: tuple[int, ...], trials: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        power_curve(DESIGN, synthetic(0.6), sizes=sizes, trials=trials, seed=1)


# Sample size

SIZES = np.arange(50, 501, 50)


def expected_power(slope: float) -> np.ndarray:
    return ndtr(ndtri(0.025) + slope * np.sqrt(SIZES))


def test_the_smooth_curve_is_recovered_and_read_off_where_it_says() -> None:
    found = smoothed(SIZES, 200 * expected_power(0.15), 200, 0.05)
    assert (found.level, found.slope) == pytest.approx((ndtri(0.025), 0.15), rel=0.01)
    size, low, high = found.size(0.8)
    assert size == pytest.approx(((ndtri(0.8) - ndtri(0.025)) / 0.15) ** 2, rel=0.01)
    assert low < size < high
    assert found.at(np.array([low, size, high]))[1] == pytest.approx(0.8)


def test_the_interval_of_the_size_covers_it() -> None:
    rng = np.random.default_rng(6)
    truth = ((ndtri(0.8) - ndtri(0.025)) / 0.12) ** 2
    found = [smoothed(SIZES, rng.binomial(100, expected_power(0.12)), 100, 0.05).size(0.8) for _ in range(300)]
    assert np.mean([low <= truth <= high for _, low, high in found]) == pytest.approx(0.955, abs=0.035)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_curves_without_a_slope_to_see_stay_finite(share: float) -> None:
    found = smoothed(SIZES, np.full(10, 200 * share), 200, 0.05)
    size, low, high = found.size(0.8)
    assert np.isfinite([found.level, found.slope]).all()
    assert low <= high
    assert size < SIZES[0] if share else size > SIZES[-1]


def test_no_size_has_the_power_if_the_arm_harms() -> None:
    found = smoothed(SIZES, 200 * expected_power(-0.1), 200, 0.05)
    assert found.size(0.8)[0] == math.inf
    assert found.size(0.8)[2] == math.inf


def test_simulated_size_and_closed_form_agree_under_proportional_hazards() -> None:
    curve = power_curve(DESIGN, synthetic(0.6), sizes=(60, 100, 140, 180, 220), trials=MANY, seed=7)
    truth = true_effect(DESIGN, synthetic(0.6), seed=1)
    found = sample_size(DESIGN, curve, truth)
    assert truth.value("hazard ratio") == pytest.approx(0.6, abs=0.02)
    assert truth.early == pytest.approx(truth.late, abs=0.05)
    assert found.events == events_needed(truth.value("hazard ratio"))
    assert found.low < found.patients < found.high
    assert found.patients == pytest.approx(found.closed_form, rel=0.1)
    assert found.within


def test_the_size_for_two_rates_agrees_with_its_closed_form() -> None:
    design = replace(DESIGN, endpoint="orr", test="rate")
    pool = synthetic(0.6)
    curve = power_curve(design, pool, sizes=(40, 80, 120, 160), trials=MANY, seed=8)
    truth = true_effect(design, pool, seed=1)
    found = sample_size(design, curve, truth)
    assert truth.rates == pytest.approx((0.37, 0.66), abs=0.03)  # some progress before they respond
    assert found.patients == pytest.approx(found.closed_form, rel=0.12)
    assert math.isnan(truth.value("hazard ratio"))


def test_the_error_of_a_small_pool_is_that_of_its_patients() -> None:
    small = synthetic(0.7, 300, seed=11, together=False)
    seen = [np.mean(small.course.progression[arm, 0] / DAYS_PER_MONTH < 18.0) * 300 for arm in (0, 1)]
    closed = math.sqrt(sum(1 / events for events in seen))
    assert pool_error(DESIGN, small, seed=1, copies=8) == pytest.approx(closed, rel=0.6)
    assert pool_error(DESIGN, synthetic(0.7), seed=1, copies=2) < 0.5 * closed


# Assurance


def test_assurance_without_uncertainty_is_power() -> None:
    pool, n = synthetic(0.65), 120
    power = power_curve(DESIGN, pool, sizes=(n,), trials=800, seed=3).power[0]
    truths = [true_effect(DESIGN, pool, seed=1)] * 20
    found = assurance(DESIGN, [pool] * 20, patients=n, trials_per_pool=60, seed=12, truths=truths)
    assert found.value == pytest.approx(power, abs=4.0 * math.sqrt(power * (1 - power) / 480))
    assert found.low < power < found.high
    assert found.within == pytest.approx(math.sqrt(power * (1 - power) / 60), rel=0.1)
    assert found.between < 0.04
    assert found.exists[0] == 1.0
    assert found.power_if_better == found.value


def test_a_wide_prior_takes_from_a_large_effect_and_gives_to_a_small_one() -> None:
    ratios = (0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2)
    pools = [synthetic(ratio, 1000) for ratio in ratios]
    truths = [true_effect(DESIGN, pool, seed=1) for pool in pools]
    for middle, taken in ((0.5, True), (0.9, False)):
        power = power_curve(DESIGN, synthetic(middle, 1000), sizes=(150,), trials=200, seed=1).power[0]
        found = assurance(DESIGN, pools, patients=150, trials_per_pool=40, seed=2, truths=truths)
        assert (found.value < power - 0.1) == taken
    assert found.exists[0] == 6 / 8
    assert found.better.tolist() == [ratio < 1 for ratio in ratios]
    assert found.power_if_better > found.value + 0.05
    assert found.effect("hazard ratio") == pytest.approx(ratios, abs=0.05)
    assert found.between > 3 * found.within


def test_no_number_of_patients_lifts_assurance_above_the_probability_of_an_effect() -> None:
    pools = [synthetic(ratio, 1000) for ratio in (0.4, 1.5)]
    found = assurance(DESIGN, pools, patients=1000, trials_per_pool=10, seed=2)
    assert found.value == found.exists[0] == 0.5


@pytest.mark.long
def test_the_interval_of_assurance_covers_it() -> None:
    pools = [synthetic(0.5, 1000), synthetic(0.75, 1000), synthetic(1.0, 1000)]
    truth = np.mean([power_curve(DESIGN, pool, sizes=(100,), trials=400, seed=9).power[0] for pool in pools])
    truths = [true_effect(DESIGN, pool, seed=1) for pool in pools]
    rng = np.random.default_rng(3)
    covered = []
    for seed in range(30):
        drawn = rng.integers(3, size=12)
        found = assurance(
            DESIGN, [pools[k] for k in drawn], patients=100, trials_per_pool=8, seed=seed,
            truths=[truths[k] for k in drawn],
        )  # fmt: skip
        covered.append(found.low <= truth <= found.high)
    assert 0.87 <= np.mean(covered) <= 1.0


def test_where_all_trials_agree_the_draws_still_leave_a_doubt() -> None:
    pool = synthetic(0.3, 500)
    truths = [true_effect(DESIGN, pool, seed=1)] * 5
    found = assurance(DESIGN, [pool] * 5, patients=400, trials_per_pool=4, seed=1, truths=truths)
    assert found.value == 1.0
    assert found.low == pytest.approx(5 / (5 + 1.96**2), abs=0.001)  # Wilson 1927, five of five
    assert math.isnan(replace(found, better=np.zeros(5, bool)).power_if_better)


def test_assurance_of_one_draw_is_refused() -> None:
    with pytest.raises(RangeError, match="1 pools"):
        assurance(DESIGN, [synthetic(0.5)], patients=100, seed=1)


def test_an_endpoint_nobody_has_is_a_clear_error() -> None:
    design = replace(DESIGN, endpoint="dor")
    pool = synthetic(0.5)
    none = {name: np.full_like(day, np.inf) for name, day in pool.course.reached.items()}
    empty = replace(pool, course=replace(pool.course, reached=none))
    with pytest.raises(InputError, match="endpoint = 'dor'"):
        true_effect(design, empty, seed=1)
    assert isinstance(true_effect(design, pool, seed=1), Truth)
