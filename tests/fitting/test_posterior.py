"""The uncertainty about parameters: one loop over posterior draws, few patients moved onto many, the 95 % interval."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import (
    Estimate,
    Numbers,
    Posterior,
    Sizes,
    centre_draws,
    interval,
    over_posterior,
    posterior_parameters,
)
from perdure.model.catalogue import read_catalogue
from perdure.parameters.parameter_set import ParameterSet

FREE = (-math.inf, math.inf)
NUMBERS = st.floats(-1e3, 1e3)
DRAWS = st.lists(NUMBERS, min_size=1, max_size=120).map(np.array)
NOT_FINITE = [math.nan, math.inf, -math.inf]


def shuffled(draws: int) -> np.ndarray:
    """0, 1, 2, ... in any order, so that a draw says its own rank."""
    return np.random.default_rng(3).permutation(draws).astype(float)


# -------------------------------------------------------------------------------------------- moved onto many patients
@given(value=NUMBERS, few=NUMBERS, draws=DRAWS)
def test_a_draw_keeps_its_distance_from_the_estimate_on_the_same_patients(
    value: float, few: float, draws: np.ndarray
) -> None:
    np.testing.assert_array_equal(centre_draws(value, draws, few, *FREE), value + (draws - few))


@given(value=NUMBERS, few=NUMBERS, low=NUMBERS, width=st.floats(0.0, 1e3))
def test_draws_at_the_estimate_are_the_estimate_to_the_last_bit(
    value: float, few: float, low: float, width: float
) -> None:
    moved = centre_draws(value, np.full(5, few), few, *FREE)
    np.testing.assert_array_equal(moved, value)
    assert interval(moved) == (value, value)
    inside = centre_draws(value, np.full(5, few), few, low, low + width)
    np.testing.assert_array_equal(inside, min(max(value, low), low + width))


@given(value=NUMBERS, few=NUMBERS, draws=DRAWS, error=NUMBERS)
def test_what_the_few_patients_have_in_common_cancels(
    value: float, few: float, draws: np.ndarray, error: float
) -> None:
    moved = centre_draws(value, draws + error, few + error, 0.0, 100.0)
    # Three sums of numbers up to 3e3, each rounded to a part in 2e16 of that.
    np.testing.assert_allclose(moved, centre_draws(value, draws, few, 0.0, 100.0), rtol=0.0, atol=2e-12)


@given(value=NUMBERS, few=NUMBERS, draws=DRAWS, shift=NUMBERS)
def test_draws_follow_the_estimate_of_many_patients(value: float, few: float, draws: np.ndarray, shift: float) -> None:
    moved = centre_draws(value + shift, draws, few, *FREE)
    np.testing.assert_allclose(moved, centre_draws(value, draws, few, *FREE) + shift, rtol=0.0, atol=2e-12)


def test_a_sample_of_few_patients_that_does_better_by_chance_moves_no_interval() -> None:
    draws, truth, lucky = 0.55 + 0.05 * np.random.default_rng(1).standard_normal(400), 0.6, 0.2
    plain = interval(centre_draws(truth, draws, 0.55, 0.0, 1.0))
    assert interval(centre_draws(truth, draws + lucky, 0.55 + lucky, 0.0, 1.0)) == pytest.approx(plain, abs=1e-12)
    assert plain[0] < truth < plain[1]


def test_a_moved_draw_stays_between_its_bounds() -> None:
    draws = np.array([0.10, 0.45, 0.50, 0.55, 0.90])
    np.testing.assert_allclose(centre_draws(0.8, draws, 0.5, 0.0, 1.0), [0.4, 0.75, 0.8, 0.85, 1.0], rtol=1e-15)
    np.testing.assert_allclose(centre_draws(0.3, draws, 0.5, 0.0, 1.0), [0.0, 0.25, 0.3, 0.35, 0.7], rtol=1e-15)
    np.testing.assert_allclose(centre_draws(0.3, draws, 0.5, 0.0, math.inf)[[0, 4]], [0.0, 0.7], rtol=1e-15)


def test_bounds_hold_after_the_move_and_not_before_it() -> None:
    # A percentage above 100 on the few patients is no percentage, but its distance from the estimate on them counts.
    np.testing.assert_array_equal(centre_draws(50.0, np.array([-30.0, 130.0]), 90.0, 0.0, 100.0), [0.0, 90.0])


def test_whole_numbers_are_moved_by_fractions() -> None:
    np.testing.assert_array_equal(centre_draws(0.5, np.array([1, 2, 3]), 2, *FREE), [-0.5, 0.5, 1.5])
    assert centre_draws(5, np.array([1, 2, 3]), 2, 0, 10).dtype == float  # so that a later draw may be NaN


def test_the_draws_themselves_are_left_as_they_are() -> None:
    draws = np.array([1.0, math.nan, 3.0])
    centre_draws(10.0, draws, 2.0, *FREE)
    np.testing.assert_array_equal(draws, [1.0, math.nan, 3.0])


# ------------------------------------------------------------------------------------------------ what was not reached
@pytest.mark.parametrize("draw", NOT_FINITE)
def test_a_draw_that_was_not_reached_stays_so_whatever_the_bounds(draw: float) -> None:
    moved = centre_draws(20.0, np.array([10.0, draw, 12.0]), 11.0, 0.0, 36.0)
    np.testing.assert_array_equal(moved, [19.0, draw, 21.0])


@pytest.mark.parametrize("missing", NOT_FINITE)
def test_draws_stay_unmoved_and_unbounded_if_an_estimate_was_not_reached(missing: float) -> None:
    draws = np.array([-5.0, 10.0, 50.0, math.inf, math.nan])
    np.testing.assert_array_equal(centre_draws(missing, draws, 11.0, 0.0, 36.0), draws)
    np.testing.assert_array_equal(centre_draws(20.0, draws, missing, 0.0, 36.0), draws)
    np.testing.assert_array_equal(centre_draws(missing, draws, missing, 0.0, 36.0), draws)


# -------------------------------------------------------------------------------------------------------------- curves
def test_a_curve_is_moved_point_by_point() -> None:
    rng = np.random.default_rng(2)
    value, few, draws = np.linspace(1.0, 0.2, 7), np.linspace(1.0, 0.3, 7), rng.uniform(0.0, 1.0, (30, 7))
    band = centre_draws(value, draws, few, 0.0, 1.0)
    assert band.shape == (30, 7)
    for point in range(7):
        alone = centre_draws(value[point], draws[:, point], few[point], 0.0, 1.0)
        np.testing.assert_array_equal(band[:, point], alone)


def test_a_point_of_a_curve_that_does_not_exist_leaves_the_others_alone() -> None:
    value, few = np.array([0.9, math.nan, 0.5, 0.4]), np.array([0.8, 0.7, math.nan, 0.3])
    draws = np.array([[0.7, 0.6, 0.5, math.nan], [0.85, 0.75, 0.45, 0.2]])
    expected = [[0.8, 0.6, 0.5, math.nan], [0.95, 0.75, 0.45, 0.3]]
    np.testing.assert_allclose(centre_draws(value, draws, few, 0.0, 1.0), expected, rtol=1e-15)


# -------------------------------------------------------------------------------------------------------- the interval
def test_the_interval_leaves_a_fortieth_of_the_draws_out_on_either_side() -> None:
    assert interval(shuffled(1001)) == (25.0, 975.0)


def test_the_interval_of_many_normal_draws_reaches_1_96_standard_deviations_to_either_side() -> None:
    draws = np.random.default_rng(4).standard_normal(100_000)
    # SE of such a quantile is sqrt(0.025 x 0.975 / n) over the density there, 0.0584: 0.0085. Four of them.
    assert interval(5.0 + 2.0 * draws) == pytest.approx((5.0 - 2.0 * 1.96, 5.0 + 2.0 * 1.96), abs=2.0 * 4.0 * 0.0085)


@pytest.mark.parametrize(
    ("draws", "low", "high"),
    [(1, 0, 0), (2, 0, 1), (3, 0, 2), (12, 0, 11), (20, 0, 19), (40, 1, 38), (60, 1, 58), (100, 2, 97)],
)
def test_few_draws_have_their_outermost_ones_as_interval(draws: int, low: int, high: int) -> None:
    assert interval(shuffled(draws)) == (low, high)


@pytest.mark.parametrize(
    ("level", "low", "high"), [(0.0, 500, 500), (0.5, 250, 750), (0.8, 100, 900), (0.9, 50, 950), (1.0, 0, 1000)]
)
def test_another_level_is_central_too(level: float, low: int, high: int) -> None:
    assert interval(shuffled(1001), level) == (low, high)
    assert interval(shuffled(1001), level=level) == (low, high)


@given(draws=DRAWS, levels=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)))
def test_a_wider_level_holds_a_narrower_one(draws: np.ndarray, levels: tuple[float, float]) -> None:
    narrow, wide = (interval(draws, level) for level in sorted(levels))
    assert draws.min() <= wide[0] <= narrow[0] <= narrow[1] <= wide[1] <= draws.max()


@given(draws=DRAWS)
def test_the_ends_of_an_interval_are_draws_and_none_is_made_up_between_them(draws: np.ndarray) -> None:
    assert set(interval(draws)) <= set(draws.tolist())


@given(draws=DRAWS)
def test_an_interval_is_the_same_on_every_scale(draws: np.ndarray) -> None:
    # Ranks know nothing of the unit: the interval of the cubes is the cubes of the interval.
    low, high = interval(draws)
    assert interval(draws * draws * draws) == (low * low * low, high * high * high)


@pytest.mark.parametrize("draws", [3, 12, 40, 100, 1001])  # in none of them an end falls halfway between two ranks
def test_what_is_lost_and_what_is_gained_have_the_same_interval(draws: int) -> None:
    gain = np.random.default_rng(draws).standard_normal(draws)
    low, high = interval(gain)
    assert interval(-gain) == (-high, -low)


@given(draws=DRAWS, seed=st.integers(0, 1000))
def test_the_order_of_the_draws_does_not_matter_and_is_not_changed(draws: np.ndarray, seed: int) -> None:
    other = np.random.default_rng(seed).permutation(draws)
    kept = other.copy()
    assert interval(other) == interval(draws)
    np.testing.assert_array_equal(other, kept)


@given(value=NUMBERS, draws=st.integers(1, 120), level=st.floats(0.0, 1.0))
def test_the_interval_of_draws_that_agree_is_a_point(value: float, draws: int, level: float) -> None:
    assert interval(np.full(draws, value), level) == (value, value)


@pytest.mark.parametrize(("never", "low", "high"), [(0, 1.0, 38.0), (1, 1.0, 38.0), (2, 1.0, math.inf)])
def test_a_median_that_is_not_reached_in_some_draws_opens_the_interval_upwards(
    never: int, low: float, high: float
) -> None:
    # Of 40 draws the second from either end bounds the interval: one draw without a median leaves it closed.
    draws = np.arange(40.0)
    draws[40 - never :] = math.inf
    assert interval(draws[::-1]) == (low, high)


def test_a_median_that_is_reached_in_hardly_any_draw_is_not_reached_at_either_end() -> None:
    assert interval(np.array([5.0, *[math.inf] * 39])) == (math.inf, math.inf)
    assert interval(np.full(40, math.inf)) == (math.inf, math.inf)
    assert interval(np.array([-math.inf, 0.0, math.inf])) == (-math.inf, math.inf)


@given(draws=DRAWS, holes=st.integers(1, 60))
def test_a_draw_without_a_number_is_left_out(draws: np.ndarray, holes: int) -> None:
    assert interval(np.concatenate([np.full(holes, math.nan), draws])) == interval(draws)


@pytest.mark.parametrize("holes", [0, 1, 40])
def test_without_any_number_there_is_no_interval(holes: int) -> None:
    low, high = interval(np.full(holes, math.nan))
    assert math.isnan(low)
    assert math.isnan(high)


def test_the_ends_are_plain_numbers() -> None:
    assert all(type(end) is float for end in (*interval(np.arange(40)), *interval(np.full(3, math.nan))))


# ------------------------------------------------------------------------------------------------ sizes and estimates
def test_sizes_are_no_larger_than_those_of_another_and_keep_the_people() -> None:
    sizes = Sizes(1000, 4, 120, seed=7).at_most(Sizes(400, 12, 60, seed=1))
    assert (sizes.patients, sizes.draws, sizes.patients_per_draw, sizes.seed) == (400, 4, 60, 7)


def test_sizes_are_divided_down_to_a_floor_and_keep_the_people_and_who_listens() -> None:
    heard: list[str] = []
    sizes = Sizes(1000, 40, 120, seed=7, progress=lambda label, done, total: heard.append(label))
    smaller = sizes.divided_by(patients=3, draws=2, patients_per_draw=4)
    assert (smaller.patients, smaller.draws, smaller.patients_per_draw, smaller.seed) == (333, 20, 30, 7)
    smaller.progress("still heard", 1, 1)
    assert heard == ["still heard"]
    tiny = sizes.divided_by(100, 100, 100)
    assert (tiny.patients, tiny.draws, tiny.patients_per_draw) == (20, 2, 20)
    lower = sizes.divided_by(100, 100, 100, fewest=5, fewest_per_draw=3)
    assert (lower.patients, lower.draws, lower.patients_per_draw) == (10, 2, 3)
    assert sizes.divided_by() == sizes


def test_sizes_are_equal_whoever_listens() -> None:
    assert Sizes(progress=print) == Sizes()


def test_an_estimate_is_written_with_its_interval_and_not_reached_as_nr() -> None:
    assert Estimate(8.84, 5.9, math.inf).text(".1f") == "8.8 (5.9 to NR)"


# ------------------------------------------------------------------------------------------------------------- numbers
def numbers(value: float, few: float, draws: list[float], low: float = 0.0, high: float = 100.0) -> Numbers:
    return Numbers(np.array(value), np.array(few), np.array(draws), low, high)


def test_a_difference_is_taken_draw_by_draw_before_it_is_centred_and_between_the_differences_of_the_bounds() -> None:
    gain = numbers(60.0, 50.0, [40.0, 70.0]).minus(numbers(20.0, 30.0, [35.0, 10.0], 0.0, 50.0))
    assert (gain.value, gain.few, gain.low, gain.high) == (40.0, 20.0, -50.0, 100.0)
    np.testing.assert_array_equal(gain.draws, [5.0, 60.0])
    np.testing.assert_array_equal(gain.centred, [25.0, 80.0])
    assert gain.estimate == Estimate(40.0, 25.0, 80.0)


@given(value=NUMBERS, few=NUMBERS, draws=DRAWS)
def test_nothing_is_gained_over_itself_in_any_draw(value: float, few: float, draws: np.ndarray) -> None:
    some = Numbers(np.array(value), np.array(few), draws)
    assert some.minus(some).estimate == Estimate(0.0, 0.0, 0.0)


def test_a_median_that_neither_reaches_has_no_difference() -> None:
    never = numbers(math.inf, math.inf, [math.inf, math.inf], high=math.inf)
    gain = never.minus(never)
    assert np.isnan(np.hstack([gain.value, gain.few, gain.draws, interval(gain.centred)])).all()


# ------------------------------------------------------------------------------------ the one loop over posterior draws
GROWTH = (0.010, 0.012, 0.009, 0.015, 0.020)
PRIORS = {name: entry.value for name, entry in read_catalogue().items() if entry.prior}


def calibration(*growth: float) -> Calibration:
    """An estimate and draws that differ in the growth of the tumour only."""
    values = [{**PRIORS, "k_growth_tumour": k} for k in growth]
    return Calibration("by_hand", values[0], values[1:], {}, {}, {})


def simulated(parameters: ParameterSet, patients: int) -> tuple[float, int]:
    return parameters["k_growth_tumour"].value, patients


@pytest.mark.parametrize("threads", [1, 3])
def test_draws_are_measured_in_the_order_of_the_calibration_on_few_patients(threads: int) -> None:
    posterior = over_posterior(simulated, list, calibration(*GROWTH), Sizes(50, 3, 8), threads=threads)
    assert posterior.simulated == (GROWTH[0], 50)
    assert posterior.value == [GROWTH[0], 50]
    assert posterior.few == [GROWTH[0], 8]
    assert posterior.draws == tuple([growth, 8] for growth in GROWTH[1:4])


def test_a_calibration_with_fewer_draws_than_are_asked_for_gives_those_it_has() -> None:
    known = calibration(*GROWTH)
    assert len(over_posterior(simulated, lambda pair: pair, known, Sizes(50, 99, 8)).draws) == 4
    assert [values["k_growth_tumour"].value for values in posterior_parameters(known, 99)] == list(GROWTH[1:])
    assert [values["k_growth_tumour"].value for values in posterior_parameters(known, 2)] == list(GROWTH[1:3])


@pytest.mark.parametrize(("known", "draws"), [(calibration(GROWTH[0]), 5), (calibration(*GROWTH), 0)])
def test_without_draws_nothing_is_simulated_twice_and_there_is_no_interval(known: Calibration, draws: int) -> None:
    calls: list[int] = []

    def counted(parameters: ParameterSet, patients: int) -> int:
        calls.append(patients)
        return patients

    posterior = over_posterior(counted, float, known, Sizes(50, draws, 8))
    assert calls == [50]
    assert (posterior.value, posterior.few, posterior.draws) == (50.0, 50.0, ())
    estimate = posterior.estimate(lambda measured: measured)
    assert estimate.value == 50.0
    assert np.isnan([estimate.low, estimate.high]).all()


def test_something_else_can_take_the_place_of_the_simulation_at_the_draws() -> None:
    posterior = over_posterior(
        simulated, lambda pair: pair[1], calibration(*GROWTH), Sizes(50, 2, 8),
        simulate_few=lambda parameters, patients: (0.0, -patients),
    )  # fmt: skip
    assert (posterior.value, posterior.few, posterior.draws) == (50, -8, (-8, -8))


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_is_told_after_the_estimate_and_after_every_draw_in_order(threads: int) -> None:
    heard: list[tuple[str, int, int]] = []
    sizes = Sizes(50, 3, 8, progress=lambda *said: heard.append(said))
    over_posterior(simulated, lambda pair: pair, calibration(*GROWTH), sizes, label="arms", threads=threads)
    assert heard == [("arms", done, 5) for done in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
@pytest.mark.parametrize("draws", [0, 1, 4])
def test_what_is_read_keeps_its_shape_whatever_the_number_of_draws(shape: tuple[int, ...], draws: int) -> None:
    posterior = Posterior(None, np.ones(shape), np.full(shape, 2.0), tuple(np.full(shape, 3.0) for _ in range(draws)))
    read = posterior.numbers(lambda measured: measured, 0.0, 1.5)
    assert (read.value.shape, read.few.shape, read.draws.shape) == (shape, shape, (draws, *shape))
    np.testing.assert_array_equal(read.centred, np.full((draws, *shape), 1.5))
