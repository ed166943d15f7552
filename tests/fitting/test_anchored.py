"""The uncertainty about parameters: draws on few patients moved onto many, and the 95 % interval of what results."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.fitting.posterior import anchored, interval

FREE = (-math.inf, math.inf)
NUMBERS = st.floats(-1e3, 1e3)
DRAWS = st.lists(NUMBERS, min_size=1, max_size=120).map(np.array)
NOT_FINITE = [math.nan, math.inf, -math.inf]


def shuffled(draws: int) -> np.ndarray:
    """0, 1, 2, ... in any order, so that a draw says its own rank."""
    return np.random.default_rng(3).permutation(draws).astype(float)


# -------------------------------------------------------------------------------------------- moved onto many patients
@given(value=NUMBERS, anchor=NUMBERS, draws=DRAWS)
def test_a_draw_keeps_its_distance_from_the_estimate_on_the_same_patients(
    value: float, anchor: float, draws: np.ndarray
) -> None:
    np.testing.assert_array_equal(anchored(value, draws, anchor, *FREE), value + (draws - anchor))


@given(value=NUMBERS, anchor=NUMBERS, low=NUMBERS, width=st.floats(0.0, 1e3))
def test_draws_at_the_estimate_are_the_estimate_to_the_last_bit(
    value: float, anchor: float, low: float, width: float
) -> None:
    moved = anchored(value, np.full(5, anchor), anchor, *FREE)
    np.testing.assert_array_equal(moved, value)
    assert interval(moved) == (value, value)
    inside = anchored(value, np.full(5, anchor), anchor, low, low + width)
    np.testing.assert_array_equal(inside, min(max(value, low), low + width))


@given(value=NUMBERS, anchor=NUMBERS, draws=DRAWS, error=NUMBERS)
def test_what_the_few_patients_have_in_common_cancels(
    value: float, anchor: float, draws: np.ndarray, error: float
) -> None:
    moved = anchored(value, draws + error, anchor + error, 0.0, 100.0)
    # Three sums of numbers up to 3e3, each rounded to a part in 2e16 of that.
    np.testing.assert_allclose(moved, anchored(value, draws, anchor, 0.0, 100.0), rtol=0.0, atol=2e-12)


@given(value=NUMBERS, anchor=NUMBERS, draws=DRAWS, shift=NUMBERS)
def test_draws_follow_the_estimate_of_many_patients(
    value: float, anchor: float, draws: np.ndarray, shift: float
) -> None:
    moved = anchored(value + shift, draws, anchor, *FREE)
    np.testing.assert_allclose(moved, anchored(value, draws, anchor, *FREE) + shift, rtol=0.0, atol=2e-12)


def test_a_sample_of_few_patients_that_does_better_by_chance_moves_no_interval() -> None:
    few, truth, lucky = 0.55 + 0.05 * np.random.default_rng(1).standard_normal(400), 0.6, 0.2
    plain = interval(anchored(truth, few, 0.55, 0.0, 1.0))
    assert interval(anchored(truth, few + lucky, 0.55 + lucky, 0.0, 1.0)) == pytest.approx(plain, abs=1e-12)
    assert plain[0] < truth < plain[1]


def test_a_moved_draw_stays_between_its_bounds() -> None:
    draws = np.array([0.10, 0.45, 0.50, 0.55, 0.90])
    np.testing.assert_allclose(anchored(0.8, draws, 0.5, 0.0, 1.0), [0.4, 0.75, 0.8, 0.85, 1.0], rtol=1e-15)
    np.testing.assert_allclose(anchored(0.3, draws, 0.5, 0.0, 1.0), [0.0, 0.25, 0.3, 0.35, 0.7], rtol=1e-15)
    np.testing.assert_allclose(anchored(0.3, draws, 0.5, 0.0, math.inf)[[0, 4]], [0.0, 0.7], rtol=1e-15)


def test_bounds_hold_after_the_move_and_not_before_it() -> None:
    # A percentage above 100 on the few patients is no percentage, but its distance from the anchor is what counts.
    np.testing.assert_array_equal(anchored(50.0, np.array([-30.0, 130.0]), 90.0, 0.0, 100.0), [0.0, 90.0])


def test_whole_numbers_are_moved_by_fractions() -> None:
    np.testing.assert_array_equal(anchored(0.5, np.array([1, 2, 3]), 2, *FREE), [-0.5, 0.5, 1.5])
    assert anchored(5, np.array([1, 2, 3]), 2, 0, 10).dtype == float  # so that a later draw may be NaN


def test_the_draws_themselves_are_left_as_they_are() -> None:
    draws = np.array([1.0, math.nan, 3.0])
    anchored(10.0, draws, 2.0, *FREE)
    np.testing.assert_array_equal(draws, [1.0, math.nan, 3.0])


# ------------------------------------------------------------------------------------------------ what was not reached
@pytest.mark.parametrize("draw", NOT_FINITE)
def test_a_draw_that_was_not_reached_stays_so_whatever_the_bounds(draw: float) -> None:
    moved = anchored(20.0, np.array([10.0, draw, 12.0]), 11.0, 0.0, 36.0)
    np.testing.assert_array_equal(moved, [19.0, draw, 21.0])


@pytest.mark.parametrize("missing", NOT_FINITE)
def test_draws_stay_unmoved_and_unbounded_if_an_estimate_was_not_reached(missing: float) -> None:
    draws = np.array([-5.0, 10.0, 50.0, math.inf, math.nan])
    np.testing.assert_array_equal(anchored(missing, draws, 11.0, 0.0, 36.0), draws)
    np.testing.assert_array_equal(anchored(20.0, draws, missing, 0.0, 36.0), draws)
    np.testing.assert_array_equal(anchored(missing, draws, missing, 0.0, 36.0), draws)


# -------------------------------------------------------------------------------------------------------------- curves
def test_a_curve_is_moved_point_by_point() -> None:
    rng = np.random.default_rng(2)
    value, anchor, draws = np.linspace(1.0, 0.2, 7), np.linspace(1.0, 0.3, 7), rng.uniform(0.0, 1.0, (30, 7))
    band = anchored(value, draws, anchor, 0.0, 1.0)
    assert band.shape == (30, 7)
    for point in range(7):
        alone = anchored(value[point], draws[:, point], anchor[point], 0.0, 1.0)
        np.testing.assert_array_equal(band[:, point], alone)


def test_a_point_of_a_curve_that_does_not_exist_leaves_the_others_alone() -> None:
    value, anchor = np.array([0.9, math.nan, 0.5, 0.4]), np.array([0.8, 0.7, math.nan, 0.3])
    draws = np.array([[0.7, 0.6, 0.5, math.nan], [0.85, 0.75, 0.45, 0.2]])
    expected = [[0.8, 0.6, 0.5, math.nan], [0.95, 0.75, 0.45, 0.3]]
    np.testing.assert_allclose(anchored(value, draws, anchor, 0.0, 1.0), expected, rtol=1e-15)


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
