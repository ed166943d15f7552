"""Sizes of trials: published numbers, exact probabilities and simulation as referees."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perdure.model.statistics.logrank import weighted_logrank
from perdure.model.statistics.sizes import (
    events_needed,
    patients_needed_for_rates,
)


def test_events_needed_are_those_of_schoenfeld() -> None:
    assert events_needed(0.5) == 66
    assert events_needed(0.7, 0.9) == 331
    assert events_needed(2.0) == events_needed(0.5)
    assert events_needed(0.5, 0.8, 0.025, 1) == 66


def schoenfeld_power(events: float, ratio: float, alpha: float, sided: int, share: float) -> float:
    """Power of the log-rank test in its own direction (Schoenfeld 1983)."""
    effect = abs(math.log(ratio)) * math.sqrt(events * share * (1.0 - share))
    return float(stats.norm.cdf(effect - stats.norm.isf(alpha / sided)))


@given(st.floats(0.3, 0.9), st.floats(0.5, 0.95), st.floats(0.01, 0.2), st.sampled_from([1, 2]), st.floats(0.2, 0.8))
def test_events_needed_have_the_power_and_one_less_has_not(
    ratio: float, power: float, alpha: float, sided: int, share: float
) -> None:
    events = events_needed(ratio, power, alpha, sided, share)
    assert schoenfeld_power(events, ratio, alpha, sided, share) >= power - 1e-6
    assert schoenfeld_power(events - 1, ratio, alpha, sided, share) < power + 1e-6


def test_the_log_rank_test_has_the_power_that_the_events_promise() -> None:
    trials, events, ratio = 1000, events_needed(0.5), 0.5
    found = 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        group = np.arange(100) % 2 == 1
        own = rng.exponential(np.where(group, 1 / ratio, 1.0))
        cut = np.sort(own)[events - 1]
        found += weighted_logrank(np.minimum(own, cut), own <= cut, group).p < 0.05
    assert found / trials == pytest.approx(0.8, abs=0.04)


def test_the_patients_needed_for_rates_have_the_power_exactly() -> None:
    assert patients_needed_for_rates(0.5, 0.7) == 186
    for rate_0, rate_1, n_0, n_1 in ((0.5, 0.7, 93, 93), (0.3, 0.5, 0, 0)):
        if n_0 == 0:
            n = patients_needed_for_rates(rate_0, rate_1, share=2 / 3)
            n_1 = round(n * 2 / 3)
            n_0 = n - n_1
        x_0, x_1 = np.arange(n_0 + 1), np.arange(n_1 + 1)[:, None]
        pooled = (x_0 + x_1) / (n_0 + n_1)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n_0 + 1 / n_1))
        z = np.divide(x_1 / n_1 - x_0 / n_0, error, out=np.zeros(error.shape), where=error > 0)
        chance = stats.binom.pmf(x_0, n_0, rate_0) * stats.binom.pmf(x_1, n_1, rate_1)
        assert float(chance[z > 1.959964].sum()) == pytest.approx(0.8, abs=0.02)
    assert patients_needed_for_rates(0.7, 0.5) == 186
