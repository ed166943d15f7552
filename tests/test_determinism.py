"""The same answer everywhere: bit by bit for any number of workers, any output grid, any order and any subset."""

import numpy as np
import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.endpoints import Visits, outcomes
from perdure.model.regimen import give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.parameters.patients import draw, make_patients

N = 50
TIMES = np.arange(0.0, 731.0, 7.0)
CATALOGUE = read_catalogue()
DRAWS = draw(CATALOGUE, N, seed=3)
# Strong killing, so that some patients have a probability of eradication between 0 and 1.
STRONG = CATALOGUE.with_values({"cilta_cel.half_density_kill": 80.0}, k_kill_max=6.0, effect_lenalidomide=0.5)
PATIENTS = make_patients(STRONG, DRAWS, product="cilta_cel", population="late_line")
REGIMENS = {
    "cells": infuse("cilta_cel"),
    "cells and tablets": infuse("cilta_cel") + give("lenalidomide", start=14.0, months=12.0, cycle=28, days_on=21),
}


def run(
    rows: np.ndarray | slice = slice(None), *, regimen: str = "cells", times: np.ndarray = TIMES, workers: int = 1
) -> Solution:
    chosen = {name: values[rows] for name, values in PATIENTS.items()}
    return simulate(chosen, REGIMENS[regimen], times=times, solver=Solver(workers=workers))


def same(one: Solution, other: Solution, rows: np.ndarray | slice = slice(None)) -> None:
    """Equal to the last bit; NaN stands where NaN stands."""
    np.testing.assert_array_equal(one.courses, other.courses[rows])
    np.testing.assert_array_equal(one.eradication, other.eradication[rows])
    np.testing.assert_array_equal(one.steps, other.steps[rows])
    for therapy, delivered in one.delivered.items():
        np.testing.assert_array_equal(delivered, other.delivered[therapy][rows])


@pytest.fixture(scope="module", params=REGIMENS)
def regimen(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(regimen: str) -> Solution:
    return run(regimen=regimen)


def test_the_batch_has_something_to_compare(whole: Solution) -> None:
    assert whole.failed_share == 0.0
    assert np.sum((whole.eradication > 0.001) & (whole.eradication < 0.999)) >= 2
    assert len(np.unique(whole["tumour"][:, -1])) == N


def test_the_number_of_workers_does_not_matter(regimen: str, whole: Solution) -> None:
    same(run(regimen=regimen, workers=2), whole)
    same(run(regimen=regimen, workers=5), whole)


def test_a_second_run_gives_the_same(regimen: str, whole: Solution) -> None:
    same(run(regimen=regimen), whole)


def test_the_output_grid_does_not_matter_at_common_times(regimen: str, whole: Solution) -> None:
    for step in (1.0, 3.5):
        fine = np.arange(0.0, TIMES[-1] + 0.5 * step, step)
        solution = run(regimen=regimen, times=fine)
        common = np.flatnonzero(np.isin(fine, TIMES))
        assert len(common) == len(TIMES)
        np.testing.assert_array_equal(solution.courses[:, common], whole.courses)
        np.testing.assert_array_equal(solution.eradication, whole.eradication)
        np.testing.assert_array_equal(solution.steps, whole.steps)
    uneven = np.array([0.3, 13.999, 14.0, 100.1234, TIMES[-1]])
    np.testing.assert_array_equal(run(regimen=regimen, times=uneven).courses[:, -1], whole.courses[:, -1])


def test_the_order_of_the_patients_does_not_matter(regimen: str, whole: Solution) -> None:
    order = np.random.default_rng(0).permutation(N)
    same(run(order, regimen=regimen, workers=2), whole, order)


def test_a_patient_alone_is_the_patient_in_the_batch(regimen: str, whole: Solution) -> None:
    for rows in (np.array([0]), np.array([17]), np.array([N - 1]), np.arange(5, N, 7)):
        same(run(rows, regimen=regimen), whole, rows)


def test_patient_i_is_the_same_person_whatever_the_size_of_the_population() -> None:
    few = draw(CATALOGUE, 7, seed=3)
    for name in ("normal", "uniform", "assay", "death"):
        np.testing.assert_array_equal(getattr(few, name), getattr(DRAWS, name)[:7])
    alone = make_patients(STRONG, few, product="cilta_cel", population="late_line")
    for name, values in PATIENTS.items():
        np.testing.assert_array_equal(alone[name], values[:7])
    assert not np.array_equal(draw(CATALOGUE, 7, seed=4).normal, few.normal)


def test_a_regimen_changes_the_treatment_and_not_the_people() -> None:
    plain, treated = run(), run(regimen="cells and tablets")
    first = TIMES <= 14.0
    for name in ("tumour", "car_t", "m_protein", "host"):
        np.testing.assert_allclose(treated[name][:, first], plain[name][:, first], rtol=1e-4, atol=1e-3)
    assert not np.allclose(treated["car_t"][:, -1], plain["car_t"][:, -1], rtol=1e-3)


def test_endpoints_do_not_depend_on_the_company_a_patient_is_in() -> None:
    visits = Visits(months=24.0)
    everyone = outcomes(run(times=visits.grid), PATIENTS, DRAWS, visits)
    first = {name: values[:9] for name, values in PATIENTS.items()}
    few = outcomes(run(slice(9), times=visits.grid), first, draw(CATALOGUE, 9, seed=3), visits)
    np.testing.assert_array_equal(few.best, everyone.best[:, :9])
    np.testing.assert_array_equal(few.progression(), everyone.progression()[:, :9])
    for name in ("weight", "death", "c_max", "t_max", "auc_28", "persistence", "least_tumour", "cause_shares"):
        whole, part = getattr(everyone, name), getattr(few, name)
        np.testing.assert_array_equal(part, whole[:9] if len(whole) == N else whole[:, :9])
