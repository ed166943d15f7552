"""Patients reconstructed from digitised curves, against the patients themselves and against published results."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.datasets import load_gbsg2, load_leukemia, load_lung, load_waltons

from perdure.fitting.km_reconstruction import READING, Reconstruction, reconstruct_km
from perdure.parameters.errors import RangeError

Patients = tuple[np.ndarray, np.ndarray]


def arms(table: pd.DataFrame, time: str, event: str, group: str) -> list[Patients]:
    parts = [part for _, part in table.groupby(group, sort=True)]
    return [(part[time].to_numpy(float), part[event].to_numpy(bool)) for part in parts]


DATA = {  # public, with every patient known
    "leukaemia, Freireich 1963": arms(load_leukemia(), "t", "status", "Rx"),
    "lung cancer, Loprinzi 1994": arms(load_lung(), "time", "status", "sex"),
    "breast cancer, Schumacher 1994": arms(load_gbsg2(), "time", "cens", "horTh"),
    "flies, Waltons": arms(load_waltons(), "T", "E", "group"),
}


def digitise(patients: Patients, seed: int | None, rows: int = 5) -> tuple[np.ndarray, ...]:
    """200 evenly spaced clicks and one after each step, read to 0.1 % with an SD of 0.3 %; `rows` numbers at risk."""
    times, events = patients
    at = np.unique(np.concatenate([np.linspace(0.0, times.max(), 200), times[events]]))
    height = KaplanMeierFitter().fit(times, events).predict(at).to_numpy()
    if seed is not None:
        height = np.clip(np.round(height + np.random.default_rng(seed).normal(0.0, 0.003, at.size), 3), 0.0, 1.0)
    table = np.linspace(0.0, times.max(), rows + 1)[:-1]
    return at, height, table, np.array([(times >= row).sum() for row in table])


def hazard_ratio(one: Patients, other: Patients) -> float:
    parts = [pd.DataFrame({"t": t, "e": e, "g": g}) for g, (t, e) in enumerate((one, other))]
    return float(CoxPHFitter().fit(pd.concat(parts), "t", "e").hazard_ratios_["g"])


def patients_of(found: Reconstruction) -> Patients:
    return found.times, found.events


# --------------------------------------------------------------------------------------- patients that are known
@pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
@pytest.mark.parametrize("seed", [1, 2])
def test_reconstructed_patients_say_what_the_real_ones_say(data: list[Patients], seed: int) -> None:
    """Guyot 2012: survival within some per mille, medians about a percent, hazard ratios a few percent, if read well.

    Where few are left one patient is more than that: at most half a step is allowed on top. Medians of curves that are
    almost flat there move by up to 2.5 % with a reading error of 0.3 %.
    """
    found = [reconstruct_km(*digitise(patients, seed)) for patients in data]
    for truth, one in zip(data, found, strict=True):
        curve = KaplanMeierFitter().fit(*truth)
        at = np.linspace(0.0, 0.9 * truth[0].max(), 50)
        difference = np.abs(curve.predict(at).to_numpy() - one.curve.at(at))
        half_step = 0.5 * curve.predict(at).to_numpy() / [max((truth[0] > time).sum(), 1) for time in at]
        assert np.all(difference < 0.005 + half_step)
        assert difference.mean() < 0.01
        assert one.n == truth[0].size
        assert one.n_events == pytest.approx(truth[1].sum(), rel=0.04, abs=1)
        assert one.curve.median() == pytest.approx(curve.median_survival_time_, rel=0.025)
    ratio = hazard_ratio(*map(patients_of, found))
    assert ratio == pytest.approx(hazard_ratio(*data), rel=0.03)


def test_the_leukaemia_trial_gives_its_published_survival() -> None:
    """6-mercaptopurine, 21 patients, 9 relapses: Kaplan-Meier estimates as in every textbook (Gehan 1965)."""
    treated, control = (reconstruct_km(*digitise(patients, 3)) for patients in DATA["leukaemia, Freireich 1963"])
    published = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    assert treated.n_events == 9
    for week, survival in published.items():
        assert treated.curve.at(week) == pytest.approx(survival, abs=0.02)
    assert treated.curve.median() == 23.0
    assert control.curve.median() == 8.0
    assert control.n_events == 21
    assert np.log(hazard_ratio(patients_of(treated), patients_of(control))) == pytest.approx(1.57, rel=0.03)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=4, max_size=60).filter(lambda days: len(set(days)) > 3))
def test_without_censoring_and_reading_error_every_patient_comes_back(days: list[int]) -> None:
    times = np.sort(np.array(days, dtype=float))
    found = reconstruct_km(*digitise((times, np.ones(times.size, dtype=bool)), None, rows=1))
    np.testing.assert_array_equal(found.times, times)
    assert found.events.all()
    assert found.largest_difference < 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 300), st.floats(0.02, 0.2))
def test_numbers_at_risk_and_curve_are_met_whatever_the_censoring(seed: int, n: int, dropout: float) -> None:
    rng = np.random.default_rng(seed)
    event, lost = rng.exponential(12.0, n), np.minimum(rng.exponential(1.0 / dropout, n), 30.0)
    patients = (np.minimum(event, lost), event <= lost)
    assume(patients[1].sum() >= 4)
    at, height, table, numbers = digitise(patients, None)
    found = reconstruct_km(at, height, table, numbers)
    kept = table <= at[-1]
    assert found.n == n
    np.testing.assert_allclose(found.at_risk, numbers[kept], atol=1)
    assert found.rms_difference < 0.5 / found.at_risk[-1] + 1e-9  # rounding to whole patients, the last of them few


# --------------------------------------------------------------- the worked example of the paper: published results
# Locoregional control in head and neck cancer (Bonner 2006, N Engl J Med 354:567), the example of Guyot 2012: months
# and percent as read by Wei and Royston 2017 (Stata J 17:786, data of `ipdfc`). Their files exchange the tables of the
# arms; the trial had 213 patients with radiotherapy alone.
TABLE = [0, 10, 20, 30, 40, 50]
RADIOTHERAPY = ([213, 122, 80, 51, 30, 10], """
.332 99.0 .832 99.0 .998 98.6 1.33 97.6 1.33 98.3 1.83 97.6 2.33 96.9 2.66 96.5 2.99 96.2 3.49 95.8 3.82 92.7 3.82 94.5
4.14 85.4 4.14 86.8 4.15 89.6 4.15 91.3 4.64 84.4 4.81 83.4 5.14 81.3 5.63 79.5 5.63 80.6 5.80 77.8 5.96 76.1 6.46 74.3
7.12 71.9 7.28 70.9 7.78 70.2 8.11 67.4 8.11 68.8 8.44 65.0 8.94 63.2 9.44 62.2 9.94 61.5 10.3 60.5 11.3 59.8 11.6 58.4
11.8 57.7 11.9 57.0 12.1 54.9 12.1 56.0 12.8 53.9 12.9 52.5 13.4 52.5 13.8 51.8 14.6 50.8 14.9 50.4 16.1 48.7 16.9 47.7
17.9 45.9 18.4 44.5 18.7 44.2 19.6 44.2 20.4 41.8 20.4 43.2 21.1 41.8 21.9 41.8 23.4 41.1 23.4 41.8 24.2 40.4 25.4 39.7
25.9 39.0 26.1 38.0 27.1 38.3 28.1 38.3 28.4 38.0 28.6 36.9 29.1 37.3 29.9 37.6 30.7 36.6 30.7 37.3 30.9 35.6 31.6 36.3
32.4 36.3 32.6 33.8 32.6 35.2 33.7 33.8 35.6 33.9 36.6 34.6 36.7 32.8 37.6 33.5 38.9 32.8 40.4 33.2 40.6 31.8 41.4 31.8
42.1 31.8 42.9 31.8 43.1 30.1 43.2 29.0 44.4 29.4 45.9 29.7 47.0 28.4 47.0 29.4 47.2 28.0 48.2 28.4 49.7 28.0 50.5 28.0
51.9 25.3 53.7 25.3 55.0 25.3 56.7 24.9 58.4 25.3""")  # fmt: skip
WITH_CETUXIMAB = ([211, 143, 101, 66, 35, 9], """
0.0 100 .504 99.3 .839 98.3 1.68 97.2 2.85 95.5 3.02 94.8 3.53 94.1 3.69 93.1 4.36 92.4 4.70 92.4 4.87 91.7 5.04 90.3
5.20 90.0 6.04 88.9 6.38 87.5 6.55 86.1 6.71 85.5 6.88 84.1 7.39 82.7 7.89 78.2 7.89 79.6 7.89 80.6 8.39 76.8 8.73 76.4
9.06 72.3 9.06 74.7 9.23 71.9 10.1 71.2 10.6 70.5 10.7 69.5 11.1 68.5 11.4 67.4 11.8 65.7 11.9 62.6 11.9 63.9 12.6 60.8
13.3 60.5 13.6 60.1 13.9 60.1 14.3 59.4 14.6 57.7 14.6 58.4 15.6 57.7 15.8 56.0 16.1 54.6 16.3 53.6 18.1 52.5 18.6 52.2
19.5 51.8 21.2 51.5 21.2 52.5 21.5 50.1 22.8 51.2 23.2 50.8 23.7 50.1 24.5 49.8 25.2 49.4 25.7 49.1 27.4 48.7 29.0 49.1
29.7 48.1 30.6 47.4 31.7 47.7 33.6 47.7 35.8 48.1 36.1 46.4 36.6 46.4 37.4 47.1 39.1 45.7 39.1 46.7 40.5 45.3 42.1 45.3
43.3 45.4 43.8 43.6 45.2 43.6 45.3 41.9 45.5 40.2 45.7 41.5 46.8 40.2 48.2 40.2 49.2 37.1 49.4 40.2 50.0 37.1 50.9 37.1
51.7 37.1 53.0 37.1 55.2 37.1""")  # fmt: skip


def read(arm: tuple[list[int], str]) -> tuple[np.ndarray, np.ndarray]:
    months, percent = np.array(arm[1].split(), dtype=float).reshape(-1, 2).T
    return months, percent


def test_the_worked_example_of_the_paper_gives_the_published_medians_and_hazard_ratio() -> None:
    alone, both = (reconstruct_km(*read(arm), TABLE, arm[0]) for arm in (RADIOTHERAPY, WITH_CETUXIMAB))
    assert alone.curve.at(14.9) == pytest.approx(0.5, abs=0.01)  # median of 14.9 months
    assert both.curve.median() == pytest.approx(24.4, rel=0.01)
    ratio = hazard_ratio(patients_of(alone), patients_of(both))
    assert np.log(ratio) == pytest.approx(np.log(0.68), abs=0.065)  # half of its standard error, 0.13
    for found, (numbers, _) in ((alone, RADIOTHERAPY), (both, WITH_CETUXIMAB)):
        np.testing.assert_array_equal(found.at_risk, numbers)
        assert found.largest_difference < 0.02
        assert 0.0 < found.largest_correction < READING


def test_the_table_of_another_arm_is_recognised() -> None:
    with pytest.raises(RangeError, match="143 at risk at time 10, and the curve leaves 62 % of the 211 before"):
        reconstruct_km(*read(RADIOTHERAPY), TABLE, WITH_CETUXIMAB[0])


# ------------------------------------------------------------------------------------------------ how it is read
TIMES, HEIGHTS = [2.0, 4.0, 6.0, 8.0], [0.9, 0.7, 0.6, 0.5]


def test_percent_and_fraction_and_the_beginning_are_the_same_curve() -> None:
    plain = reconstruct_km(TIMES, HEIGHTS, [0], [10])
    percent = reconstruct_km([0.0, *TIMES], [100.0, 90.0, 70.0, 60.0, 50.0], [0], [10])
    np.testing.assert_array_equal(plain.times, percent.times)
    assert plain.times.tolist() == [2.0, 4.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    assert plain.n_events == 5
    low = reconstruct_km(TIMES, [1.2, 1.0, 0.9, 0.8], [0], [1000], percent=True)  # a curve that falls at once
    assert low.curve.at(2.0) == pytest.approx(0.012, abs=5e-4)


def test_points_that_rise_are_levelled_and_the_largest_correction_is_told() -> None:
    found = reconstruct_km(TIMES, [0.9, 0.69, 0.71, 0.5], [0], [10])
    assert found.largest_correction == pytest.approx(0.01)
    assert found.curve.at(5.0) == pytest.approx(0.7)


def test_of_several_points_at_one_time_the_lowest_counts() -> None:
    both_ends = reconstruct_km([2.0, 2.0, 4.0, 4.0, 6.0, 8.0], [1.0, 0.9, 0.7, 0.9, 0.6, 0.5], [0], [10])
    np.testing.assert_array_equal(both_ends.times, reconstruct_km(TIMES, HEIGHTS, [0], [10]).times)


def test_the_number_of_events_decides_how_many_are_censored_after_the_table() -> None:
    """Half of 100 censored evenly on the way: a curve and the number at month 0 alone cannot tell."""
    rng = np.random.default_rng(4)
    event, lost = rng.exponential(10.0, 100), rng.uniform(0.0, 12.0, 100)
    patients = (np.minimum(event, lost), event <= lost)
    at, height, _, _ = digitise(patients, None)
    blind = reconstruct_km(at, height, [0], [100])
    told = reconstruct_km(at, height, [0], [100], events=int(patients[1].sum()))
    assert blind.n_events > 1.3 * patients[1].sum()
    assert told.n_events == pytest.approx(patients[1].sum(), abs=1)
    months = np.linspace(1.0, 8.0, 8)
    real = [(patients[0] >= month).sum() for month in months]
    assert np.abs(told.curve.at_risk(months) - real).max() < 0.5 * np.abs(blind.curve.at_risk(months) - real).max()


def test_zeros_at_the_end_of_the_table_add_nothing() -> None:
    plain = reconstruct_km(TIMES, HEIGHTS, [0, 5], [10, 6])
    zeros = reconstruct_km(TIMES, HEIGHTS, [0, 5, 8, 12], [10, 6, 0, 0])
    np.testing.assert_array_equal(plain.times, zeros.times)


def test_a_reconstruction_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        reconstruct_km(TIMES, HEIGHTS, [0], [10]).times[0] = 1.0


@pytest.mark.parametrize(
    ("times", "heights", "table", "numbers", "said"),
    [
        ([2, 6, 4, 8], HEIGHTS, [0], [10], "time 4 comes after 6; sort"),
        ([-2, 4, 6, 8], HEIGHTS, [0], [10], "time = -2 is negative"),
        (TIMES, [0.9, 1.2, 0.6, 0.5], [0], [10], "survival = 1.2 at time 4; expected 0 to 1"),
        (TIMES, [90, 120, 60, 50], [0], [10], "survival = 120 at time 4; expected 0 to 100"),
        (TIMES, [0.9, -0.2, 0.6, 0.5], [0], [10], "survival = -0.2"),
        (TIMES, [0.9, 0.5, 0.6, 0.5], [0], [10], "belongs to a rise"),
        ([2, 4], [0.9, 0.8], [0], [10], "2 points; expected at least 3"),
        ([], [], [0], [10], "0 points"),
        ([2, 4, 6], HEIGHTS, [0], [10], "expected one of each per point"),
        ([2, 4, 6, np.nan], HEIGHTS, [0], [10], "a point has no time"),
        (TIMES, HEIGHTS, [0, 3, 5], [10, 6, 8], "8 at risk at time 5 after 6 before; they cannot increase"),
        (TIMES, HEIGHTS, [0, 9], [10, 2], "2 at risk at time 9, and the last point is at 8"),
        (TIMES, HEIGHTS, [0, 5, 5], [10, 6, 6], "expected them to increase"),
        (TIMES, HEIGHTS, [1, 5], [10, 6], "must begin with the number of patients at time 0"),
        (TIMES, HEIGHTS, [0, 5], [10], "must begin"),
        (TIMES, HEIGHTS, [0, 5], [10, 6.5], "expected whole numbers"),
        (TIMES, HEIGHTS, [0, 7], [10, 10], "are these the numbers of another arm"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_curve_is_refused(
    times: list[float], heights: list[float], table: list[float], numbers: list[float], said: str
) -> None:
    with pytest.raises(RangeError) as caught:
        reconstruct_km(times, heights, table, numbers, where="Figure 2")
    assert str(caught.value).startswith("Figure 2: ")
    assert said in str(caught.value)


def test_there_are_no_more_events_than_patients() -> None:
    with pytest.raises(RangeError, match="events = 11 of 10 patients"):
        reconstruct_km(TIMES, HEIGHTS, [0], [10], events=11)
