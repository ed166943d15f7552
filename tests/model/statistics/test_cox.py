"""Hazard ratio and the test of its constancy: published examples, lifelines, and the likelihood itself as referees."""

import math
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lifelines import CoxPHFitter
from lifelines.statistics import proportional_hazard_test

from perdure.model.statistics.cox import TIES, TRANSFORMS, hazard_ratio, proportional_hazards

# Freireich 1963, Blood 21:699 (mercaptopurine, then placebo); Miller 1981, Survival Analysis, p. 49 (maintained, not).
TREATED = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
FREIREICH = np.array(TREATED + PLACEBO, dtype=float), np.array([1] * 9 + [0] * 12 + [1] * 21), np.arange(42) >= 21
MILLER = (
    np.array([9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161, 5, 5, 8, 8, 12, 16, 23, 27, 30, 33, 43, 45], dtype=float),
    np.array([1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1]),
    np.arange(23) >= 11,
)
SEEDS = pytest.mark.parametrize("seed", range(4))
ROWS = st.lists(st.tuples(st.integers(1, 12), st.booleans(), st.booleans(), st.integers(0, 2)), min_size=2, max_size=40)

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def trial(seed: int, *, ties: bool = True, patients: int = 150, late: float = 1.0) -> Columns:
    """Times, events, groups and three strata; past month 6 the hazard of group 1 is `late` times what it was."""
    rng = np.random.default_rng(seed)
    group, stratum = rng.random(patients) < 0.4, rng.integers(0, 3, patients)
    own, censoring = rng.exponential(np.where(group, 8.0, 14.0) / (1 + stratum)), rng.uniform(2.0, 40.0, patients)
    own = np.where(group & (own > 6.0), 6.0 + (own - 6.0) / late, own)
    time = np.minimum(own, censoring)
    return np.ceil(time) if ties else time, own <= censoring, group, stratum


def frame(time: np.ndarray, event: np.ndarray, group: np.ndarray, stratum: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"time": time, "event": event, "group": group.astype(float), "stratum": stratum})


@pytest.mark.parametrize(
    ("data", "log_ratio", "log_se", "z", "p"),
    [(FREIREICH, 1.572, 0.4124, 3.81, 0.00014), (MILLER, 0.9155, 0.5119, 1.79, 0.0737)],
)
def test_the_leukaemia_trials_have_their_published_ratio(
    data: tuple[np.ndarray, ...], log_ratio: float, log_se: float, z: float, p: float
) -> None:
    found = hazard_ratio(*data)
    assert math.log(found.value) == pytest.approx(log_ratio, abs=5e-4)
    assert (found.log_se, found.z, found.p) == (
        pytest.approx(log_se, abs=1e-4), pytest.approx(z, abs=0.005), pytest.approx(p, rel=0.02)
    )  # fmt: skip


@SEEDS
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("stratified", [False, True])
def test_the_ratio_is_that_of_lifelines(seed: int, ties: bool, stratified: bool) -> None:
    data = trial(seed, ties=ties)
    found = hazard_ratio(*data[:3], stratum=data[3] if stratified else None, level=0.9)
    rows, strata = (frame(*data), ["stratum"]) if stratified else (frame(*data).drop(columns="stratum"), None)
    referee = CoxPHFitter(alpha=0.1).fit(rows, "time", "event", strata=strata, fit_options={"precision": 1e-12})
    line = referee.summary.loc["group"]
    expected = (line["exp(coef)"], line["exp(coef) lower 90%"], line["exp(coef) upper 90%"], line["se(coef)"])
    assert (found.value, found.low, found.high, found.log_se) == pytest.approx(expected, rel=1e-6)
    assert (found.z, found.p) == pytest.approx((line["z"], line["p"]), rel=1e-5)


@SEEDS
def test_without_ties_efron_and_breslow_are_one(seed: int) -> None:
    time, event, group, stratum = trial(seed, ties=False)
    efron, breslow = (hazard_ratio(time, event, group, stratum=stratum, ties=ties) for ties in TIES)
    assert efron.value != 1
    assert astuple(breslow) == pytest.approx(astuple(efron), rel=1e-9)


@SEEDS
def test_the_interval_with_ties_after_breslow_is_that_of_the_curvature_of_its_likelihood(seed: int) -> None:
    time, event, group, stratum = trial(seed)

    def minus_log_likelihood(log_ratio: float) -> float:
        risk = np.exp(log_ratio * group)
        followed = (time >= time[:, None]) & (stratum == stratum[:, None])
        return float(np.sum((np.log(followed @ risk) - np.log(risk))[event]))

    ratio = hazard_ratio(time, event, group, stratum=stratum, ties="breslow", level=0.9)
    best, h = math.log(ratio.value), 1e-3
    below, here, above = (minus_log_likelihood(best + step) for step in (-h, 0.0, h))
    assert (above - below) / (2 * h) == pytest.approx(0.0, abs=1e-4)
    assert ratio.log_se == pytest.approx(h / math.sqrt(above - 2 * here + below), rel=1e-4)
    assert math.log(ratio.high / ratio.low) == pytest.approx(2 * 1.6448536 * ratio.log_se, rel=1e-6)
    assert (ratio.z, ratio.p) == pytest.approx((best / ratio.log_se, math.erfc(abs(ratio.z) / math.sqrt(2))), rel=1e-9)


@SEEDS
def test_weighted_rows_have_a_ratio_in_every_stratum_and_nothing_that_needs_a_number_of_patients(seed: int) -> None:
    time, event, group, stratum = trial(seed)
    weight = np.random.default_rng(seed).integers(0, 4, time.size)
    weighted = hazard_ratio(time, event, group, weight, stratum=stratum, ties="breslow")
    repeated = hazard_ratio(*(np.repeat(column, weight) for column in (time, event, group)), ties="breslow",
                            stratum=np.repeat(stratum, weight))  # fmt: skip
    assert weighted.value == pytest.approx(repeated.value, rel=1e-12)
    assert np.isnan(astuple(weighted)[1:]).all()


def log_likelihood(beta: float, theta: float, data: Columns, clock: dict[float, float]) -> float:
    """Efron's partial likelihood, stratified, with a log hazard ratio of beta + theta clock(time)."""
    total = 0.0
    for own in np.unique(data[3]):
        time, event, group = (column[data[3] == own] for column in data[:3])
        for moment in np.unique(time[event]):
            risk = np.exp((beta + theta * clock[moment]) * group)
            now, d = (time == moment) & event, int(np.sum((time == moment) & event))
            total += np.log(risk[now]).sum()
            total -= sum(math.log(risk[time >= moment].sum() - k / d * risk[now].sum()) for k in range(d))
    return total


def clock_of(transform: str, time: np.ndarray, event: np.ndarray) -> dict[float, float]:
    """The function of time at every event time, by counting."""
    clock, survival = {}, 1.0
    for moment in np.unique(time[event]):
        before, now = np.sum(time[event] < moment), np.sum(time[event] == moment)
        clock[moment] = {
            "km": 1 - survival, "rank": before + (now + 1) / 2, "identity": moment, "log": math.log(moment)
        }[transform]  # fmt: skip
        survival *= 1 - now / np.sum(time >= moment)
    return clock


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("stratified", [False, True])
def test_the_test_of_proportional_hazards_is_the_score_test_of_the_likelihood(transform: str, stratified: bool) -> None:
    time, event, group, stratum = trial(11, patients=60)
    data = time, event, group, stratum if stratified else np.zeros(60)
    clock = clock_of(transform, time, event)
    spread = float(np.std(list(clock.values())))
    beta = math.log(hazard_ratio(time, event, group, stratum=data[3]).value)
    h, k = 1e-3, 1e-3 / spread

    def at(i: int, j: int) -> float:
        return log_likelihood(beta + i * h, j * k, data, clock)

    score = (at(0, 1) - at(0, -1)) / (2 * k)
    bb = -(at(1, 0) - 2 * at(0, 0) + at(-1, 0)) / h**2
    tt = -(at(0, 1) - 2 * at(0, 0) + at(0, -1)) / k**2
    bt = -(at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / (4 * h * k)
    found = proportional_hazards(time, event, group, stratum=data[3], transform=transform)
    assert found.z == pytest.approx(score / math.sqrt(tt - bt**2 / bb), rel=1e-4, abs=1e-5)


@SEEDS
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_test_of_proportional_hazards_follows_from_the_residuals_of_lifelines(seed: int, transform: str) -> None:
    time, event, group, stratum = trial(seed, ties=False, late=2.5)
    rows = frame(time, event, group, stratum).drop(columns="stratum").sort_values("time").reset_index(drop=True)
    fitted = CoxPHFitter().fit(rows, "time", "event", fit_options={"precision": 1e-12})
    residual = fitted.compute_residuals(rows, "schoenfeld")["group"].to_numpy()
    arm, clock = group[np.argsort(time)][event[np.argsort(time)]], clock_of(transform, time, event)
    information = (arm - residual) * (1 - arm + residual)
    moments = np.array(list(clock.values()))
    moments -= np.average(moments, weights=information)
    found = proportional_hazards(time, event, group, transform=transform)
    assert found.z == pytest.approx(moments @ residual / math.sqrt(moments**2 @ information), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("transform", ["km", "rank"])
def test_where_the_variance_stays_the_same_the_test_is_near_the_shortcut_of_lifelines(transform: str) -> None:
    rng = np.random.default_rng(1)
    group, own = np.arange(1000) % 2 == 1, rng.exponential(10.0, 1000)
    own = np.where(group & (own > 3.0), 3.0 + (own - 3.0) / 1.5, own)
    time, event = np.minimum(own, 6.0 + rng.random(1000)), own <= 6.0
    rows = frame(time, event, group, group).drop(columns="stratum").sort_values("time").reset_index(drop=True)
    referee = proportional_hazard_test(CoxPHFitter().fit(rows, "time", "event"), rows, time_transform=transform)
    found = proportional_hazards(time, event, group, transform=transform)
    assert found.z**2 == pytest.approx(float(np.squeeze(referee.test_statistic)), rel=0.03)


@pytest.mark.parametrize(("late", "sign"), [(3.0, 1), (0.2, -1)])
def test_a_ratio_that_rises_is_found_with_a_positive_z_and_one_that_falls_with_a_negative(
    late: float, sign: int
) -> None:
    assert sign * proportional_hazards(*trial(3, patients=2000, late=late)[:3]).z > 2.5


def test_under_proportional_hazards_the_test_rejects_as_often_as_it_should() -> None:
    trials, alpha = 1000, 0.05
    rejected = 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        group = rng.random(150) < 0.5
        time, censoring = rng.exponential(np.where(group, 20.0, 10.0)), rng.uniform(5.0, 30.0, 150)
        rejected += proportional_hazards(np.minimum(time, censoring), time <= censoring, group).p < alpha
    assert rejected / trials == pytest.approx(alpha, abs=3 * math.sqrt(alpha * (1 - alpha) / trials))


@given(ROWS)
def test_laws_of_the_ratio(rows: list[tuple[int, bool, bool, int]]) -> None:
    time, event, group, stratum = (np.array(column) for column in zip(*rows, strict=True))
    assume(group.any() and not group.all())
    once, swapped = (hazard_ratio(time, event, arm, stratum=stratum) for arm in (group, ~group))
    if 0 < once.value < math.inf:
        inverse = (1 / swapped.value, 1 / swapped.high, 1 / swapped.low, -swapped.z, swapped.p)
        np.testing.assert_allclose((once.value, once.low, once.high, once.z, once.p), inverse, rtol=1e-6, atol=1e-9)
        assert once.low < once.value < once.high
    else:
        assert swapped.value == (math.inf if once.value == 0 else 0) or math.isnan(once.value) is math.isnan(
            swapped.value
        )
    assert hazard_ratio(2 * time, event, group).value == pytest.approx(
        hazard_ratio(time, event, group).value, nan_ok=True
    )
    whole, one = hazard_ratio(time, event, group), hazard_ratio(time, event, group, stratum=np.ones(time.size))
    np.testing.assert_array_equal((whole.value, whole.log_se), (one.value, one.log_se))


@given(ROWS, st.sampled_from(TRANSFORMS))
def test_laws_of_the_test_of_proportional_hazards(rows: list[tuple[int, bool, bool, int]], transform: str) -> None:
    time, event, group, stratum = (np.array(column) for column in zip(*rows, strict=True))
    assume(group.any() and not group.all())
    once = proportional_hazards(time, event, group, stratum=stratum, transform=transform)
    swapped = proportional_hazards(time, event, ~group, stratum=stratum, transform=transform)
    doubled = proportional_hazards(2 * time, event, group, stratum=stratum, transform=transform)
    np.testing.assert_allclose((-swapped.z, swapped.p), (once.z, once.p), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose((doubled.z, doubled.p), (once.z, once.p), rtol=1e-5, atol=1e-6)


def test_groups_that_are_separated_have_a_ratio_of_zero_or_infinity_and_no_test() -> None:
    none = hazard_ratio([1, 2, 3, 4], [1, 1, 0, 0], [0, 0, 1, 1])
    assert (none.value, none.low, none.high, none.log_se) == (0.0, 0.0, math.inf, math.inf)
    assert np.isnan([none.z, none.p]).all()
    assert hazard_ratio([1, 2, 3, 4], [1, 1, 0, 0], [1, 1, 0, 0]).value == math.inf
    silent = hazard_ratio([1, 2, 3], [0, 0, 0], [0, 1, 1])
    assert np.isnan([silent.value, silent.low, silent.high, silent.log_se, silent.z, silent.p]).all()
    assert math.isnan(proportional_hazards([1, 2, 3, 4], [1, 1, 0, 0], [0, 0, 1, 1]).z)
    assert math.isnan(proportional_hazards([1, 1, 2, 2], [1, 1, 0, 0], [0, 1, 0, 1]).z)


def test_one_of_thousands_is_no_reason_to_diverge() -> None:
    time, event, group = np.arange(1, 5001), np.ones(5000), np.zeros(5000)
    group[::2], event[2::2] = 1, 0
    found = hazard_ratio(time, event, group)
    assert math.isfinite(found.log_se)
    assert found.value == pytest.approx(hazard_ratio(time, event, group, ties="breslow").value, rel=1e-9)
