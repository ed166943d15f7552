"""Running means and quantiles of made-up courses, however they are divided, against numpy's of all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.model.catalogue import read_catalogue
from perdure.model.reduction import BLOCK, Courses, Histogram, MeanCourses, Moments, Part, Quantiles, Reduction
from perdure.model.regimens.regimen import Regimen
from perdure.model.solution import Solution
from perdure.parameters.errors import InputError, RangeError, SimulationError, UnknownNameError
from perdure.parameters.patients import draw

DAYS = (0.0, 10.0, 40.0)
N = 5 * BLOCK + 17
RNG = np.random.default_rng(4)
VALUES = np.exp(RNG.normal(5.0, [0.5, 1.0, 3.0], size=(N, 3)))
FAILED = RNG.random(N) < 0.1
COURSE = np.where(FAILED[:, None], np.nan, VALUES)
SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def part(first: int, last: int, course: np.ndarray = COURSE) -> Part:
    rows = course[first:last]
    # The day in the middle is recorded for somebody else.
    recorded = np.insert(rows, 1, -1.0, axis=1)[:, :, None]
    solution = Solution(
        Regimen(()), np.array([0.0, 5.0, 10.0, 40.0]), ("level",), {"level": "g/L"}, recorded,
        np.where(np.isnan(rows[:, 0]), np.nan, 0.0), {}, (), np.zeros(len(rows), dtype=np.int64),
    )  # fmt: skip
    return Part(first, {}, draw(read_catalogue(), 1, 1), solution)


def reduced(wanted: Reduction, size: int, course: np.ndarray = COURSE) -> object:
    running = wanted.begin(len(course))
    for first in range(0, len(course), size):
        running.add(first, wanted.reduce(part(first, min(first + size, len(course)), course)))
    return running.result()


def counted(wanted: Quantiles, size: int = N, course: np.ndarray = COURSE) -> Histogram:
    result = reduced(wanted, size, course)
    assert isinstance(result, Histogram)
    return result


def averaged(size: int, course: np.ndarray = COURSE) -> MeanCourses:
    result = reduced(Moments(("level",), DAYS), size, course)
    assert isinstance(result, MeanCourses)
    return result


def test_mean_and_variance_are_those_of_all_patients_that_have_a_result() -> None:
    found = averaged(BLOCK)
    assert found.n == N - FAILED.sum()
    np.testing.assert_allclose(found.mean["level"], VALUES[~FAILED].mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.variance["level"], VALUES[~FAILED].var(axis=0, ddof=1), rtol=1e-12)


def test_a_variance_keeps_its_digits_beside_a_large_mean() -> None:
    course = 1e6 + RNG.normal(0.0, 1e-3, size=(2000, 3))
    found = averaged(4 * BLOCK, course)
    np.testing.assert_allclose(found.variance["level"], course.var(axis=0, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("blocks", [1, 2, 3, 6])
def test_however_patients_are_divided_the_bits_are_the_same(blocks: int) -> None:
    whole, divided = averaged(6 * BLOCK), averaged(blocks * BLOCK)
    np.testing.assert_array_equal(whole.mean["level"], divided.mean["level"])
    np.testing.assert_array_equal(whole.variance["level"], divided.variance["level"])
    wanted = Quantiles("level", DAYS, 0.1, 1e5, bins=300)
    np.testing.assert_array_equal(counted(wanted).counts, counted(wanted, blocks * BLOCK).counts)
    rows = reduced(Courses(("level",), DAYS), blocks * BLOCK)
    assert isinstance(rows, dict)
    np.testing.assert_array_equal(rows["level"], COURSE.astype(np.float32))


@pytest.mark.parametrize(("bins", "log"), [(100, True), (1000, True), (20_000, True), (1000, False), (100_000, False)])
@pytest.mark.parametrize("q", SHARES)
def test_a_running_quantile_is_within_a_bin_of_the_patient_of_that_rank(q: float, bins: int, log: bool) -> None:
    low, high = (1e-6, 1e9) if log else (0.0, 1.01 * VALUES.max())
    found = counted(Quantiles("level", DAYS, low, high, bins=bins, log=log), 2 * BLOCK)
    exact = np.quantile(VALUES[~FAILED], q, axis=0, method="inverted_cdf")
    error = found.quantile(q) / exact - 1.0 if log else found.quantile(q) - exact
    assert np.abs(error).max() <= found.resolution * (1.0 + 1e-9)


@given(
    values=st.lists(st.floats(1e-8, 1e8), min_size=1, max_size=40),
    q=st.floats(0.0, 1.0),
    bins=st.integers(1, 60),
    log=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_bound_on_the_error_holds_for_any_values(values: list[float], q: float, bins: int, log: bool) -> None:
    course = np.repeat(np.array(values)[:, None], 3, axis=1)
    found = counted(Quantiles("level", DAYS, 1e-9, 1e9, bins=bins, log=log), BLOCK, course)
    ranked = np.sort(values)
    rank = max(int(np.ceil(q * len(values) - 1e-9)), 1)
    answer = found.quantile(q)[0]
    error = answer / ranked[rank - 1] - 1.0 if log else answer - ranked[rank - 1]
    assert abs(error) <= found.resolution * (1.0 + 1e-9)


def test_what_lies_outside_of_the_bins_is_counted_and_never_given_a_value() -> None:
    course = np.array([0.0, 0.5, 1.0, 5.0, 10.0, 20.0])[:, None] * np.ones(3)
    found = counted(Quantiles("level", DAYS, 1.0, 10.0, bins=4), BLOCK, course)
    assert found.n == 6
    np.testing.assert_array_equal(found.outside, np.full((2, 3), 2 / 6))
    np.testing.assert_array_equal(found.counts[0], [2, 1, 0, 1, 0, 2])
    np.testing.assert_array_equal(found.quantile(0.3), [-np.inf] * 3)
    np.testing.assert_array_equal(found.quantile(0.8), [np.inf] * 3)
    assert np.all((found.quantile(0.5) >= 1.0) & (found.quantile(0.5) < 10 ** (1 / 4)))
    np.testing.assert_allclose(found.edges, 10.0 ** (np.arange(5) / 4))


def test_nobody_has_no_mean_and_no_quantile() -> None:
    lost = np.full((BLOCK, 3), np.nan)
    with pytest.raises(SimulationError, match="0 could be integrated"):
        averaged(BLOCK, lost)
    found = counted(Quantiles("level", DAYS, 1.0, 10.0), BLOCK, lost)
    with pytest.raises(SimulationError, match="quantile of level: no patient"):
        found.quantile(0.5)


@pytest.mark.parametrize("days", [(), (1.0, 1.0), (3.0, 2.0), (-1.0, 2.0), (0.0, np.inf), ((1.0, 2.0),)])
def test_days_that_cannot_be_recorded_are_refused(days: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"Moments: days = .*; expected increasing days"):
        Moments(("level",), days)
    with pytest.raises(InputError, match=r"quantiles of level: days = .*; expected increasing days"):
        Quantiles("level", days, 1.0, 2.0)


@pytest.mark.parametrize(
    ("low", "high", "log"), [(0.0, 1.0, True), (-1.0, 1.0, True), (2.0, 1.0, False), (1.0, np.inf, True)]
)
def test_bins_that_cannot_be_are_refused(low: float, high: float, log: bool) -> None:
    with pytest.raises(RangeError, match="quantiles of level: from"):
        Quantiles("level", DAYS, low, high, log=log)
    with pytest.raises(RangeError, match="bins = 0"):
        Quantiles("level", DAYS, 1.0, 2.0, bins=0)
    with pytest.raises(RangeError, match=r"q = 1\.5"):
        counted(Quantiles("level", DAYS, 1.0, 2.0)).quantile(1.5)


def test_a_name_is_not_a_list_of_names_and_has_to_exist() -> None:
    with pytest.raises(InputError, match="expected a list of observables"):
        Courses("level", DAYS)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownNameError, match=r"There is no observable 'levle'. Did you mean 'level'"):
        Courses(("levle",), DAYS).reduce(part(0, 5))
