"""A user's own patients with the mechanistic model: structure, importance sampling, progression, command line."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal, multivariate_t

from perdure.fitting.patients.data import Longitudinal, Subject, read_measurements
from perdure.fitting.patients.map_fit import individual_fit
from perdure.fitting.patients.mechanistic import mechanistic, mechanistic_model, with_immunity
from perdure.fitting.patients.progression import (
    FREEDOM,
    FURTHER_FREE,
    Progression,
    adapted,
    branches,
    effective_size,
    log_normal,
    log_student,
    log_weights,
    normalised,
    observed_progression,
    predict_progression,
    student_draws,
    wider,
)
from perdure.fitting.patients.structure import PopulationModel
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver, simulate
from perdure.parameters.errors import InputError, RangeError, RegimenError
from perdure.reports.patients_report import run

FILE = Path(__file__).parent.parent.parent / "data" / "simulated_patients.csv"
TRUTH = {"SIM01": 420, "SIM02": 392, "SIM03": 336, "SIM04": 476, "SIM05": 448, "SIM06": 532, "SIM07": 84, "SIM08": 224}
"""Day of progression of the simulated patients of the file, who were drawn from the whole population of the model."""


@cache
def model() -> PopulationModel:
    return mechanistic_model("ide_cel", "late_line")


@cache
def data() -> Longitudinal:
    return read_measurements(FILE)


def subject(kinds: dict[str, list[float]], doses: tuple[tuple[float, float], ...] = ()) -> Subject:
    rows = sorted((day, kind) for kind, days in kinds.items() for day in days)
    n = len(rows)
    return Subject(
        "one", np.array([day for day, _ in rows]), np.array([kind for _, kind in rows]), np.ones(n),
        np.zeros(n, dtype=bool), doses,
    )  # fmt: skip


# Structure


def test_a_typical_row_is_the_simulation_of_the_typical_patient() -> None:
    one = subject({"car_t": [7.0, 28.0], "m_protein": [0.0, 28.0, 90.0], "flc": [28.0], "transgene": [7.0]})
    structure = mechanistic(model())
    found = structure.predict(model().typical[None], [one])[0]
    values = {name: np.array([value]) for name, value in structure.typical.items()}
    there = simulate(values, infuse("ide_cel"), times=[0.0, 7.0, 28.0, 90.0], solver=Solver(rtol=1e-8))
    expected = {"car_t": "car_t", "m_protein": "m_protein", "flc": "light_chain", "transgene": "car_t"}
    for day, kind, value in zip(one.time, one.kind, found, strict=True):
        factor = structure.typical["transgene_per_cell"] if kind == "transgene" else 1.0
        at = list(there.times).index(day)
        assert value == pytest.approx(factor * there[expected[str(kind)]][0, at], rel=1e-3)


def test_rows_do_not_know_of_each_other_and_doses_of_the_data_replace_the_usual_one() -> None:
    usual = subject({"car_t": [3.0, 10.0]})
    tenth = replace(usual, doses=((0.0, 4.5e7),))
    rows = np.tile(model().typical, (3, 1))
    rows[1] *= 1.1
    found = model().structure.predict(rows, [usual, tenth, usual])
    assert found[0] == pytest.approx(found[2])
    assert found[1] == pytest.approx(model().structure.predict(rows[1:2], [tenth])[0], rel=1e-3)
    alone = model().structure.predict(rows[:1], [tenth])[0]
    assert alone[0] < 0.5 * found[0][0]


def test_values_that_are_no_numbers_give_no_prediction() -> None:
    rows = np.tile(model().typical, (3, 1))
    rows[0, 0], rows[1, 1] = np.nan, np.inf
    found = model().structure.predict(rows, [subject({"car_t": [7.0]})] * 3)
    assert [bool(np.isfinite(one).all()) for one in found] == [False, False, True]


def test_immunity_clears_the_cells_within_weeks() -> None:
    one = subject({"car_t": [7.0, 90.0]})
    free, immune = (
        with_immunity(model(), present).structure.predict(model().typical[None], [one])[0] for present in (False, True)
    )
    assert immune[0] == pytest.approx(free[0], rel=0.2)
    assert immune[1] < 0.1 * free[1]


def test_a_first_infusion_later_than_day_0_or_a_second_course_is_refused() -> None:
    for doses in (((3.0, 1e8),), ((0.0, 1e8), (90.0, 1e8))):
        with pytest.raises(RegimenError, match="day 0 is the first"):
            model().structure.predict(model().typical[None], [subject({"car_t": [7.0]}, doses=doses)])


def test_spread_and_correlations_are_those_of_the_population() -> None:
    ids, omega = list(model().structure.ids), model().omega
    spreads = mechanistic(model()).parameters.spreads("late_line", "ide_cel")
    assert np.sqrt(np.diag(omega)) == pytest.approx([spreads[name] for name in ids])
    i, j = ids.index("tumour_baseline"), ids.index("m_protein_baseline")
    assert omega[i, j] / np.sqrt(omega[i, i] * omega[j, j]) == pytest.approx(0.6)
    assert set(FURTHER_FREE) <= set(wider(model()).structure.ids)
    assert wider(model()).omega[: len(ids), : len(ids)] == pytest.approx(omega)


# Importance sampling


def test_densities_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    points, centre = rng.standard_normal((5, 3)), np.array([1.0, 0.0, -1.0])
    matrix = np.cov(rng.standard_normal((3, 9)))
    normal: Any = multivariate_normal
    student: Any = multivariate_t
    assert log_normal(points, centre, matrix) == pytest.approx(normal(centre, matrix).logpdf(points))
    assert log_student(points, (centre, matrix)) == pytest.approx(student(centre, matrix, FREEDOM).logpdf(points))


def test_rounds_of_draws_find_the_moments_of_a_normal_far_from_the_first_proposal() -> None:
    rng, truth = np.random.default_rng(2), (np.array([4.0, -3.0]), np.array([[0.5, 0.3], [0.3, 0.4]]))
    proposals, points = [(np.zeros(2), np.eye(2))], np.empty((0, 2))
    log_weight = np.empty(0)
    for _ in range(5):
        points = np.concatenate([points, student_draws(rng, proposals[-1], 2000)])
        log_weight = log_weights(points, log_normal(points, *truth), proposals)
        proposals.append(adapted(points, log_weight))
    weight = normalised(log_weight)
    assert effective_size(weight) > 2000
    assert weight @ points == pytest.approx(truth[0], abs=0.06)
    assert np.log(np.mean(np.exp(log_weight))) == pytest.approx(0.0, abs=0.05)  # the density is normalised


# Progression


def test_the_branches_are_the_simulation_on_average() -> None:
    values = {name: np.full(30, value) for name, value in mechanistic(model()).typical.items()}
    values["k_kill_max"] = np.linspace(1.0, 4.0, 30)
    values["half_density_kill"] = values["half_density_kill"] / 10.0
    found = simulate(values, infuse("ide_cel"), times=np.arange(0.0, 400.0, 20.0))
    some = found.eradication < 0.999  # the share that survives is not taken to be smaller than 1e-9
    assert np.any(found.eradication[some] > 0.1)
    back, never = branches(found, values)
    share = found.eradication[:, None]
    for name in ("m_protein", "tumour"):
        mean = (1.0 - share) * back[name] + share * never[name]
        after = found.times > found.times[found["tumour"].argmin(axis=1)][:, None]
        assert mean[some][after[some]] == pytest.approx(found[name][some][after[some]], rel=1e-6)


def test_quantiles_are_those_of_the_weighted_days() -> None:
    days, weight = np.array([300.0, 100.0, np.inf, 200.0]), np.array([0.2, 0.1, 0.4, 0.3])
    one = Progression("one", 50.0, np.inf, days, weight, 24 * 30.4375, 0.0, 4.0)
    assert [one.quantile(share) for share in (0.05, 0.1, 0.3, 0.6, 0.61)] == [100.0, 100.0, 200.0, 300.0, np.inf]
    assert one.free_at(0.0) == pytest.approx(1.0)
    assert one.free_at(7.0) == pytest.approx(0.6)  # 213 days
    assert one.text == "9.9 (3.3 to not within 24)"
    with pytest.raises(RangeError, match="follow-up ends at 24 months"):
        one.free_at(30.0)


def test_progression_in_the_data_is_the_first_of_two_visits_above_the_limit() -> None:
    one = replace(subject({"m_protein": [0.0, 28.0, 56.0, 84.0, 112.0]}), value=np.array([30.0, 2.0, 2.0, 8.0, 20.0]))
    assert observed_progression(one) == 84.0
    assert observed_progression(replace(one, value=np.array([30.0, 2.0, 2.0, 8.0, 3.0]))) == np.inf


def test_the_interval_of_simulated_patients_holds_the_truth_more_often_than_not() -> None:
    held = []
    for name in ("SIM01", "SIM05", "SIM06"):
        found = predict_progression(model(), data().subject(name), draws=300, rounds=2)
        low, high = found.interval
        assert np.sum(found.weight) == pytest.approx(1.0)
        assert found.days[found.weight > 0].min() > found.last
        assert found.immune > 0.5 if name == "SIM01" else found.immune < 0.5  # as they were simulated
        held.append(low <= TRUTH[name] <= high)
    assert sum(held) >= 2


def test_a_patient_whose_measurements_show_progression_has_that_day() -> None:
    found = predict_progression(model(), data().subject("SIM07"), draws=200, rounds=1)
    assert found.seen == TRUTH["SIM07"] == found.median
    assert found.text == "progressed on day 84"


def test_later_measurements_narrow_what_lies_ahead() -> None:
    whole = data().subject("SIM02")
    early = whole.time < 40.0
    short = Subject(whole.id, whole.time[early], whole.kind[early], whole.value[early], whole.below[early])
    before, after = (individual_fit(model(), one).covariance for one in (short, whole))
    assert np.linalg.slogdet(after)[1] < np.linalg.slogdet(before)[1]


def test_progression_is_not_asked_of_the_empirical_structure_or_beyond_follow_up() -> None:
    found = run(data(), structure="kinetics", subject="SIM05")
    assert found.progression == ()
    with pytest.raises(InputError, match="mechanistic structure"):
        predict_progression(found.model, data().subject("SIM05"))
    with pytest.raises(RangeError, match="follow up beyond 6 months"):
        predict_progression(model(), data().subject("SIM05"), months=6.0)
