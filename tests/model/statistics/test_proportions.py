"""Rates of response: published examples, and scipy as the referee."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perdure.model.statistics.logrank import weighted_logrank
from perdure.model.statistics.proportions import (
    clopper_pearson,
    rate_difference,
    rate_test,
    stratified_rate_test,
    wilson,
)

# Admission to six departments of Berkeley in 1973, men and women (Bickel 1975, Science 187:398):
# men admitted and rejected, women admitted and rejected.
BERKELEY = [
    (512, 313, 89, 19), (353, 207, 17, 8), (120, 205, 202, 391), (138, 279, 131, 244), (53, 138, 94, 299),
    (22, 351, 24, 317),
]  # fmt: skip
COUNTS = st.tuples(st.integers(0, 30), st.integers(1, 30)).map(lambda pair: (min(pair), max(pair)))


def patients(yes_1: int, no_1: int, yes_0: int, no_0: int) -> tuple[np.ndarray, np.ndarray]:
    """One row per patient: for whom it holds, and the group."""
    return np.repeat([1, 0, 1, 0], (yes_1, no_1, yes_0, no_0)), np.repeat([1, 1, 0, 0], (yes_1, no_1, yes_0, no_0))


@pytest.mark.parametrize(
    ("events", "n", "score", "exact"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1611), (0.0, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_intervals_of_one_rate_are_those_newcombe_published(
    events: int, n: int, score: tuple[float, float], exact: tuple[float, float]
) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, Table I."""
    ours, tight = wilson(events, n), clopper_pearson(events, n)
    assert (ours.low, ours.high) == pytest.approx(score, abs=5.1e-5)
    assert (tight.low, tight.high) == pytest.approx(exact, abs=5.1e-5)
    assert ours.value == tight.value == events / n


@given(COUNTS, st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_intervals_of_one_rate_are_those_of_scipy(counts: tuple[int, int], level: float) -> None:
    referee = stats.binomtest(*counts)
    for method, ours in (("wilson", wilson(*counts, level)), ("exact", clopper_pearson(*counts, level))):
        theirs = referee.proportion_ci(level, method=method)
        np.testing.assert_allclose((ours.low, ours.high), (theirs.low, theirs.high), rtol=1e-7, atol=1e-9)
        assert 0 <= ours.low <= ours.value <= ours.high <= 1


def test_the_interval_of_a_difference_is_that_newcombe_published() -> None:
    """Newcombe 1998, Statistics in Medicine 17:873, Table II, (a) method 10: 56 of 70 against 48 of 80."""
    found = rate_difference(*patients(56, 14, 48, 32))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@given(COUNTS, COUNTS)
def test_two_rates_are_tested_as_by_scipy_and_the_groups_can_be_swapped(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    holds, group = patients(one[0], one[1] - one[0], other[0], other[1] - other[0])
    found, swapped = rate_test(holds, group), rate_test(holds, 1 - group)
    there, back = rate_difference(holds, group), rate_difference(holds, 1 - group)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), rel=1e-9, abs=1e-12)
    assert -1 <= there.low <= there.value <= there.high <= 1
    if holds.min() == holds.max():
        assert math.isnan(found.z)
        return
    table = [[one[0], one[1] - one[0]], [other[0], other[1] - other[0]]]
    referee = stats.chi2_contingency(table, correction=False)
    assert (found.z**2, found.p) == pytest.approx((referee[0], referee[1]), rel=1e-9, abs=1e-12)
    assert swapped.z == pytest.approx(-found.z, rel=1e-9, abs=1e-12)
    assert np.sign(found.z) == np.sign(one[0] * other[1] - other[0] * one[1])
    single = stratified_rate_test(holds, group, np.zeros(holds.size))
    assert single.z == pytest.approx(found.z * math.sqrt((holds.size - 1) / holds.size), rel=1e-9, abs=1e-12)


def test_admission_to_berkeley_is_tested_as_published() -> None:
    parts = [patients(*row) for row in BERKELEY]
    holds, group = (np.concatenate(column) for column in zip(*parts, strict=True))
    stratum = np.repeat(list("ABCDEF"), [part[0].size for part in parts])
    corrected = stratified_rate_test(holds, group, stratum, correction=True)
    assert (corrected.z**2, corrected.p) == pytest.approx((1.4269, 0.2323), abs=5e-5)
    assert rate_test(holds, group).z > 9, "without the departments men seem far ahead"
    plain = stratified_rate_test(holds, group, stratum)
    score = sum(a - (a + b) * (a + c) / (a + b + c + d) for a, b, c, d in BERKELEY)
    margins = [((a + b) * (c + d) * (a + c) * (b + d), a + b + c + d) for a, b, c, d in BERKELEY]
    assert plain.z == pytest.approx(score / math.sqrt(sum(m / (n**2 * (n - 1)) for m, n in margins)), rel=1e-9)
    assert plain.z < 0


def test_the_stratified_test_of_rates_is_the_log_rank_test_of_one_moment() -> None:
    rng = np.random.default_rng(3)
    holds, group, stratum = rng.random(200) < 0.4, rng.random(200) < 0.5, rng.integers(0, 4, 200)
    found, referee = (
        stratified_rate_test(holds, group, stratum),
        weighted_logrank(np.ones(200), holds, group, stratum=stratum),
    )
    assert (found.z, found.p) == pytest.approx((referee.z, referee.p), rel=1e-9)
    assert math.isnan(stratified_rate_test([1, 1, 0], [0, 1, 1], [0, 0, 1]).z)
