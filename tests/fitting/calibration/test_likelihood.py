"""How probable a report is: each form against its own definition, or against a simulation of what it approximates."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from lifelines import CoxPHFitter

from perdure.fitting.calibration.likelihood import LOST, MEDIAN_FACTOR, match
from perdure.fitting.studies import Observation

Z = 1.959964
SAMPLES = 20_000
# The SD of a sample SD from so many samples is 1/sqrt(2 samples) of it: 0.5 %. Three of them.
SIMULATION_ERROR = 3.0 / math.sqrt(2.0 * SAMPLES)


def item(endpoint: str, kind: str, unit: str, **more: object) -> Observation:
    entry = {"id": "trial_item", "endpoint": endpoint, "kind": kind, "unit": unit, "role": "fit"}
    return Observation.model_validate({**entry, **more})


def proportion(events: int, n: int) -> Observation:
    return item("orr", "proportion", "%", value=100.0 * events / n, events=events, n=n)


def rate(value: float, **more: object) -> Observation:
    return item("pfs_rate", "rate", "%", value=value, time_months=12.0, **more)


def median(value: float = 10.0, **more: object) -> Observation:
    return item("pfs_median", "median", "months", value=value, **more)


def interval(low: float | None, high: float | None) -> dict[str, Any]:
    return {"low": low, "high": high, "interval": "95% CI"}


def not_reached(low: float = 14.0, n: int = 100) -> Observation:
    return item("pfs_median", "median_not_reached", "months", low=low, interval="followed so long", n=n)


def split(n: int) -> Observation:
    return item("expansion_split", "split", "cells/mm3", threshold=180.0, n=n)


SPLIT = split(60)
CEILING = item("function_threshold", "ceiling", "molecules/cell", threshold=50.0)
EVERY_KIND = [
    proportion(30, 40),
    proportion(0, 40),
    proportion(40, 40),
    item("orr", "proportion", "%", value=33.3, n=20),
    rate(60.0, n=50),
    rate(60.0, **interval(48.5, 70.4)),
    median(n=50),
    median(**interval(7.0, 15.0)),
    median(**interval(7.0, None)),
    median(**interval(None, 15.0)),
    item("density_before", "median", "molecules/cell", value=670.0, low=380.0, high=850.0, interval="IQR", n=27),
    item("sbcma_relative", "ratio", "ratio", value=0.2, time_months=1.0, n=30),
    not_reached(),
    SPLIT,
    CEILING,
]


def complementary_log_log(share: float) -> float:
    return math.log(-math.log(share))


# ------------------------------------------------------------------------------------------------------ proportions
@pytest.mark.parametrize(("events", "n"), [(30, 40), (1, 20), (19, 20), (500, 1000)])
def test_a_proportion_has_no_misfit_at_the_observed_share(events: int, n: int) -> None:
    found = match(proportion(events, n), 100.0 * events / n)
    assert found.log_likelihood == pytest.approx(0.0, abs=1e-12)
    assert found.misfit == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("events", "same"), [(0, 0.0), (40, 100.0)])
def test_nobody_and_everybody_are_met_by_a_model_that_says_so(events: int, same: float) -> None:
    # The share is kept 1e-4 away from 0 and 1, which costs n x 1e-4 and so a misfit of sqrt(2 n 1e-4) = 0.09.
    assert abs(match(proportion(events, 40), same).misfit) <= 0.09


def test_the_misfit_of_a_proportion_has_the_sign_of_model_minus_report() -> None:
    assert match(proportion(30, 40), 85.0).misfit > 0.5
    assert match(proportion(30, 40), 60.0).misfit < -0.5


@pytest.mark.parametrize("model", [5.0, 60.0, 74.0, 99.0])
def test_a_proportion_is_binomial(model: float) -> None:
    exact = scipy.stats.binom.logpmf(30, 40, model / 100.0) - scipy.stats.binom.logpmf(30, 40, 0.75)
    assert match(proportion(30, 40), model).log_likelihood == pytest.approx(exact, abs=1e-9)


def test_a_proportion_without_its_events_uses_the_percentage() -> None:
    bare = item("orr", "proportion", "%", value=75.0, n=40)
    assert match(bare, 60.0) == match(proportion(30, 40), 60.0)


def test_in_a_large_trial_the_misfit_is_the_distance_in_standard_errors() -> None:
    n, share = 100_000, 0.4
    error = math.sqrt(share * (1.0 - share) / n)
    for z in (-2.0, 1.0, 3.0):
        found = match(proportion(int(n * share), n), 100.0 * (share + z * error))
        assert found.misfit == pytest.approx(z, rel=0.01)  # the next term is of order z/sqrt(n) = 1 %


# ------------------------------------------------------------------------------------------------------------ rates
def test_a_rate_at_its_confidence_limit_has_a_misfit_of_1_96() -> None:
    # An interval that is symmetric on the complementary log-log scale, as the usual software computes it.
    middle, width = complementary_log_log(0.60), 0.35
    low, high = (100.0 * math.exp(-math.exp(middle + side * width)) for side in (1.0, -1.0))
    reported = rate(60.0, **interval(low, high))
    assert match(reported, 60.0).misfit == pytest.approx(0.0, abs=1e-9)
    assert match(reported, high).misfit == pytest.approx(Z, rel=1e-6)
    assert match(reported, low).misfit == pytest.approx(-Z, rel=1e-6)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_error_of_a_rate_from_n_is_that_of_simulated_trials(share: float) -> None:
    n = 400
    rng = np.random.default_rng(5)
    observed = rng.binomial(n, share, SAMPLES) / n  # without censoring Kaplan-Meier is the share of survivors
    error = np.std(np.log(-np.log(observed)))
    model = 100.0 * math.exp(-math.exp(complementary_log_log(share) - error))
    # Beyond the delta method the SD has relative terms of order 1/n times a few, here below 1 %.
    assert match(rate(100.0 * share, n=n), model).misfit == pytest.approx(1.0, rel=SIMULATION_ERROR + 0.01)


def test_rates_of_nobody_and_of_everybody_are_finite() -> None:
    for model in (0.0, 100.0):
        for reported in (rate(60.0, n=50), rate(100.0, n=50), rate(93.8, **interval(63.2, 100.0))):
            assert math.isfinite(match(reported, model).misfit)


# ---------------------------------------------------------------------------------------------------------- medians
def test_a_median_at_either_confidence_limit_has_a_misfit_of_1_96() -> None:
    reported = median(8.8, **interval(5.9, 11.9))
    assert match(reported, 8.8).misfit == pytest.approx(0.0, abs=1e-12)
    assert match(reported, 11.9).misfit == pytest.approx(Z, rel=1e-6)
    assert match(reported, 5.9).misfit == pytest.approx(-Z, rel=1e-6)


def test_an_interval_with_one_side_uses_the_side_it_has() -> None:
    upper_open, lower_open = median(9.0, **interval(6.0, None)), median(9.0, **interval(None, 13.5))
    assert match(upper_open, 6.0).misfit == pytest.approx(-Z, rel=1e-6)
    assert match(upper_open, 13.5).misfit == pytest.approx(Z, rel=1e-6)  # 13.5 / 9 = 9 / 6
    assert match(lower_open, 6.0).misfit == pytest.approx(-Z, rel=1e-6)
    assert match(lower_open, 13.5).misfit == pytest.approx(Z, rel=1e-6)


def test_the_error_of_a_median_from_n_is_that_of_exponential_event_times() -> None:
    n = 401
    times = np.random.default_rng(7).exponential(size=(4_000, n))
    error = np.std(np.log(np.median(times, axis=1)))
    # Three SDs of a sample SD, and terms of order 1/n that the delta method leaves out.
    tolerance = 3.0 / math.sqrt(2.0 * 4_000) + 2.0 / n
    assert MEDIAN_FACTOR / math.sqrt(n) == pytest.approx(error, rel=tolerance)
    assert match(median(10.0, n=n), 10.0 * math.exp(error)).misfit == pytest.approx(1.0, rel=tolerance)


def test_the_error_of_a_median_from_its_quartiles_is_that_of_a_log_normal_sample() -> None:
    n, spread = 401, 0.6
    logs = spread * np.random.default_rng(8).standard_normal((4_000, n))
    error = np.std(np.median(logs, axis=1))
    quartile = spread * scipy.stats.norm.ppf(0.75)
    low, high = 670.0 * math.exp(-quartile), 670.0 * math.exp(quartile)
    reported = item("density_before", "median", "molecules/cell", value=670.0, low=low, high=high, interval="IQR", n=n)
    found = match(reported, 670.0 * math.exp(error))
    assert found.misfit == pytest.approx(1.0, rel=3.0 / math.sqrt(2.0 * 4_000) + 2.0 / n)


def test_a_range_of_single_patients_is_not_taken_for_an_interval() -> None:
    wide = item("t_max", "median", "day", value=12.7, low=8.7, high=330.0, interval="range", n=97)
    bare = item("t_max", "median", "day", value=12.7, n=97)
    assert match(wide, 15.0) == match(bare, 15.0)


def test_more_patients_make_the_same_distance_less_probable() -> None:
    for few, many in (
        (median(n=20), median(n=200)),
        (rate(60.0, n=20), rate(60.0, n=200)),
        (not_reached(n=20), not_reached(n=200)),
    ):
        assert match(many, 5.0).log_likelihood < match(few, 5.0).log_likelihood < 0.0


def test_a_median_that_the_model_does_not_reach_counts_as_five_times_the_report() -> None:
    report = median(n=60)
    assert match(report, math.inf) == match(report, 5.0 * (report.value or 0.0))
    assert match(report, math.inf).misfit > 5.0


# ----------------------------------------------------------------------------------------------- one-sided findings
def test_a_median_that_was_not_reached_is_met_by_any_model_far_above() -> None:
    for model in (40.0, 1e4, math.inf):
        assert match(not_reached(), model).log_likelihood == pytest.approx(0.0, abs=1e-6)
    below = [match(not_reached(), model) for model in (14.0, 10.0, 6.0)]
    assert below[0].log_likelihood == pytest.approx(math.log(0.5))  # at the bound either side is as probable
    assert below[0].log_likelihood > below[1].log_likelihood > below[2].log_likelihood
    assert below[2].misfit < -4.0


def test_a_split_asks_for_a_hazard_ratio_that_such_a_cohort_would_find() -> None:
    by_ratio = {ratio: match(SPLIT, ratio) for ratio in (0.2, 0.4, 1.0, 2.0)}
    assert by_ratio[0.2].log_likelihood > -0.01
    assert by_ratio[0.4].log_likelihood > -0.1
    # Without any difference it is reported in the right direction in 2.5 of 100 cohorts.
    assert by_ratio[1.0].log_likelihood == pytest.approx(math.log(0.025), rel=1e-4)
    assert by_ratio[2.0].log_likelihood < by_ratio[1.0].log_likelihood
    assert by_ratio[1.0].misfit > 2.0


def error_of_split(n: int, ratio: float = 0.7) -> float:
    """SE of the log hazard ratio, read back from the probability that an interval of 95 % ends below a ratio of one."""
    beyond = float(scipy.stats.norm.ppf(math.exp(match(split(n), ratio).log_likelihood))) + Z
    return -math.log(ratio) / beyond


@pytest.mark.parametrize("n", [20, 60, 400])
def test_the_error_of_a_split_is_that_of_cox_regression_in_two_equal_halves(n: int) -> None:
    # Everybody has an event, in turns in either half: no difference, and as little chance as there can be.
    cohort = pd.DataFrame({"month": np.arange(1.0, n + 1.0), "event": 1, "better": np.arange(n) % 2})
    fitted = CoxPHFitter().fit(cohort, "month", "event")
    # By Fisher's information: an event tells p (1 - p), p being the share of one half among those still followed. This
    # is 1/4 while the halves are equal, and 1/4 - 1/(4 m^2) while an odd number m is followed: over all odd m this is
    # pi^2/32 less than n/4, or pi^2/(16 n) of the SE. As much again is left to the estimate, which is not exactly zero.
    assert error_of_split(n) == pytest.approx(fitted.standard_errors_["better"], rel=math.pi**2 / (8.0 * n))


@pytest.mark.parametrize("ratio", [0.5, 0.7])
@pytest.mark.parametrize("n", [60, 200])
def test_a_split_is_reported_by_as_many_simulated_cohorts_as_the_likelihood_says(n: int, ratio: float) -> None:
    cohorts, better = 4_000, np.arange(n) % 2
    months = np.random.default_rng(9).exponential(np.where(better == 1, 1.0 / ratio, 1.0), (cohorts, n))
    in_turn = better[np.argsort(months, axis=1)]
    share = np.cumsum(in_turn[:, ::-1], axis=1)[:, ::-1] / np.arange(n, 0, -1)  # of the better half, at every event
    logrank = (in_turn - share).sum(axis=1) / np.sqrt((share * (1.0 - share)).sum(axis=1))
    significant = float(np.mean(logrank < -Z))
    beyond = float(scipy.stats.norm.ppf(significant))
    # Three binomial SEs; and of equal halves with odds of `ratio` an event tells 1/4 - tanh(ln(ratio)/2)^2/4, where
    # without a difference it tells 1/4: the SE, and so the distance from a ratio of one, is off by ln(ratio)^2/8.
    off = 3.0 * math.sqrt(significant * (1.0 - significant) / cohorts)
    off += float(scipy.stats.norm.pdf(beyond)) * (beyond + Z) * math.log(ratio) ** 2 / 8.0
    assert math.exp(match(split(n), ratio).log_likelihood) == pytest.approx(significant, abs=off)


def test_a_group_without_any_event_is_a_perfect_split() -> None:
    assert match(SPLIT, 0.0).log_likelihood == pytest.approx(0.0, abs=1e-9)


def test_a_ceiling_asks_for_less_killing_than_growth() -> None:
    by_ratio = {ratio: match(CEILING, ratio) for ratio in (0.0, 0.2, 1.0, 3.0)}
    assert by_ratio[0.0].log_likelihood == pytest.approx(0.0, abs=1e-9)
    assert by_ratio[0.2].log_likelihood > -1e-6
    assert by_ratio[1.0].log_likelihood == pytest.approx(math.log(0.5))
    assert by_ratio[3.0].misfit > 2.0


# ------------------------------------------------------------------------------------------------- whatever the kind
@pytest.mark.parametrize("reported", EVERY_KIND, ids=lambda reported: f"{reported.kind} {reported.interval}".strip())
def test_a_model_value_that_does_not_exist_is_lost(reported: Observation) -> None:
    assert match(reported, math.nan) is LOST
    assert math.isnan(LOST.misfit)
    assert LOST.log_likelihood == -0.5 * 10.0**2  # as bad as a misfit of ten


@given(
    reported=st.sampled_from(EVERY_KIND),
    model=st.one_of(st.floats(0.0, 100.0), st.floats(0.0, math.inf), st.sampled_from([0.0, 100.0, math.inf])),
)
def test_the_log_likelihood_is_never_above_zero_and_the_misfit_is_its_root(reported: Observation, model: float) -> None:
    if reported.unit == "%":
        model = min(model, 100.0)
    found = match(reported, model)
    assert -math.inf < found.log_likelihood <= 0.0
    assert 0.5 * found.misfit**2 == pytest.approx(-found.log_likelihood, rel=1e-9, abs=1e-12)


@given(reported=st.sampled_from(EVERY_KIND), one=st.floats(0.0, 100.0), other=st.floats(0.0, 100.0))
def test_a_larger_model_value_never_has_a_smaller_misfit(reported: Observation, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert match(reported, low).misfit <= match(reported, high).misfit + 1e-9
