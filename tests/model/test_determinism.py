"""The same answer everywhere: bit by bit for any order and subset of patients, any neighbours, any number of lanes,
threads or processes, any size of the parts, and any output grid.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import pytest
import sympy

from perdure.model import simulate as door
from perdure.model import simulate as threads
from perdure.model.catalogue import read_catalogue
from perdure.model.endpoints import Visits, outcomes
from perdure.model.engine.compiled import compile_system
from perdure.model.regimens.regimen import Infusion, Regimen, give, infuse
from perdure.model.regimens.rules import Rule, above, start
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.system.system import Flow, Input, State, System, symbol
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
    "everything": infuse("cilta_cel", split=(0.2, 0.3, 0.5), every=2.0)
    + give("lenalidomide", start=-9.5, months=4.0)
    + Regimen((Infusion("crenigacestat", 60.0, 12.5, 20.0),)),
}
SICK = {
    4: {"k_growth_tumour": 1e6},
    17: {"tumour_baseline": 1e307, "engagement_volume": 1e-300},
    18: {"k_growth_tumour": 1e6, "tumour_capacity": 1e300},
    N - 1: {"k_growth_tumour": 1e6},
}
"""Numbers, by patient, with which nobody can be integrated."""


def run(
    rows: np.ndarray | slice = slice(None), *, regimen: str = "cells", times: np.ndarray = TIMES, workers: int = 1
) -> Solution:
    chosen = {name: values[rows] for name, values in PATIENTS.items()}
    return simulate(chosen, REGIMENS[regimen], times=times, solver=Solver(workers=workers))


def run_among_sick(rows: np.ndarray | slice = slice(None), *, regimen: str = "cells", workers: int = 1) -> Solution:
    patients = {name: values.copy() for name, values in PATIENTS.items()}
    for patient, changes in SICK.items():
        for name, value in changes.items():
            patients[name][patient] = value
    chosen = {name: values[rows] for name, values in patients.items()}
    solver = Solver(workers=workers, most_steps=10_000)
    return simulate(chosen, REGIMENS[regimen], times=TIMES, solver=solver)


@contextmanager
def lanes_of(lanes: int) -> Iterator[None]:
    """So many patients in a vector, whatever the processor has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "make_engine", lambda *wanted: compile_system(*wanted[:3], lanes))
        yield


@contextmanager
def parts_of(patients: int) -> Iterator[None]:
    """So many patients in a part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "CHUNK", patients)
        yield


def same(one: Solution, other: Solution, rows: np.ndarray | slice = slice(None)) -> None:
    """Equal to the last bit; NaN stands where NaN stands."""
    np.testing.assert_array_equal(one.courses, other.courses[rows])
    np.testing.assert_array_equal(one.eradication, other.eradication[rows])
    np.testing.assert_array_equal(one.steps, other.steps[rows])
    assert list(one.delivered) == list(other.delivered)
    for therapy, delivered in one.delivered.items():
        np.testing.assert_array_equal(delivered, other.delivered[therapy][rows])
    assert fates(one) == [fates(other)[i] for i in np.arange(len(other.steps))[rows]]
    for name, event in one.events.items():
        np.testing.assert_array_equal(event.first, other.events[name].first[rows])


def fates(solution: Solution) -> list[tuple[str, float] | None]:
    """Reason and day of every patient that failed, None for the others."""
    found: list[tuple[str, float] | None] = [None] * len(solution.steps)
    for failure in solution.failures:
        found[failure.patient] = (failure.reason, failure.day)
    return found


@pytest.fixture(scope="module", params=["cells", "everything"])
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
    for workers in (2, 3, 5):
        same(run(regimen=regimen, workers=workers), whole)


@pytest.mark.parametrize("patients", [1, 3, 13, 32])
def test_the_size_of_the_parts_does_not_matter(patients: int, regimen: str, whole: Solution) -> None:
    with parts_of(patients):
        same(run(regimen=regimen), whole)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_the_number_of_lanes_does_not_matter(lanes: int, regimen: str, whole: Solution) -> None:
    order = np.random.default_rng(lanes).permutation(N)[:37]
    with lanes_of(lanes):
        same(run(order, regimen=regimen), whole, order)


@pytest.fixture(scope="module")
def among_sick(regimen: str) -> Solution:
    return run_among_sick(regimen=regimen)


def test_patients_that_fail_do_not_disturb_their_neighbours(whole: Solution, among_sick: Solution) -> None:
    assert [failure.patient for failure in among_sick.failures] == list(SICK)
    assert len({failure.reason for failure in among_sick.failures}) > 1
    others = np.setdiff1d(np.arange(N), list(SICK))
    for name in ("courses", "eradication", "steps"):
        np.testing.assert_array_equal(getattr(among_sick, name)[others], getattr(whole, name)[others])
    for therapy, delivered in whole.delivered.items():
        np.testing.assert_array_equal(among_sick.delivered[therapy][others], delivered[others])


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_failures_too_are_the_same_in_any_lane_and_order(lanes: int, regimen: str, among_sick: Solution) -> None:
    order = np.random.default_rng(10 + lanes).permutation(N)
    with lanes_of(lanes), parts_of(21):
        same(run_among_sick(order, regimen=regimen), among_sick, order)
        same(run_among_sick(regimen=regimen, workers=3), among_sick)


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
    np.testing.assert_array_equal(few.assay, DRAWS.assay[:7])
    np.testing.assert_array_equal(few.death, DRAWS.death[:7])
    alone = make_patients(STRONG, few, product="cilta_cel", population="late_line")
    for name, values in PATIENTS.items():
        np.testing.assert_array_equal(alone[name], values[:7])
    assert not np.array_equal(draw(CATALOGUE, 7, seed=4).assay, few.assay)


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


# Both methods, on a small system whose patients are treated at moments of their own, and fail at days of their own


def small_system() -> System:
    """A burden that grows, a marker that follows it fast, and what explodes, or turns, on its own."""
    burden, blast = (
        State(name, "", name, "test", symbol(f"{name}_start"), 1e-9, name[0]) for name in ("burden", "ice")
    )
    marker = State("marker", "", "marker", "test", sympy.Integer(0), 1e-9, "m")
    level = Input("level", "mg/L", "level of the drug", "lenalidomide", "x")
    flows = (
        Flow("growth", symbol("k_growth") * burden.symbol, into=burden),
        Flow("killing", 20 * level.symbol * burden.symbol, out_of=burden),
        Flow("following", symbol("k_follow") * (burden.symbol - marker.symbol), into=marker),
        Flow("explosion", symbol("k_explosion") * blast.symbol ** symbol("power"), into=blast),
    )
    return System("small", (burden, marker, blast), (), (level,), flows, ("burden", "marker", "ice"))


SMALL = small_system()
MANY = 13
SINGULAR, BOUNDLESS = 3, 8
EXPLODING = {
    **{name: values[:MANY] for name, values in PATIENTS.items() if name.endswith("lenalidomide")},
    "burden_start": np.linspace(1.0, 3.0, MANY),
    "k_growth": np.geomspace(0.01, 0.3, MANY),
    "k_follow": np.geomspace(100.0, 0.1, MANY),
    "ice_start": np.ones(MANY),
    # x' = k x^2 has a pole at 1 / k; x' = k x leaves the range of numbers at 709.8 / k
    "k_explosion": np.where(np.arange(MANY) == SINGULAR, 0.05, np.where(np.arange(MANY) == BOUNDLESS, 25.0, 0.0)),
    "power": np.where(np.arange(MANY) == SINGULAR, 2.0, 1.0),
}
Method = Literal["explicit", "stiff"]


TREAT = Rule("treat", when=above("burden", 3.5), then=start(give("lenalidomide", 10.0, start=0.0, stop=5.0)))


def run_small(
    method: Method,
    rows: np.ndarray | slice = slice(None),
    *,
    lanes: int = 4,
    rules: Sequence[Rule] = (TREAT,),
    most_steps: int = 200_000,
) -> Solution:
    chosen = {name: values[rows] for name, values in EXPLODING.items()}
    before = give("lenalidomide", 10.0, start=-3.0, stop=2.0)
    solver = Solver(method=method, workers=1, most_steps=most_steps)
    with lanes_of(lanes):
        return simulate(chosen, before, times=[0.0, 7.5, 30.0, 60.0], rules=rules, system=SMALL, solver=solver)


@pytest.mark.parametrize("method", ["explicit", "stiff"])
def test_a_failure_says_why_and_when_and_nobody_else_is_touched(method: Method) -> None:
    found = run_small(method, rules=())
    assert [failure.patient for failure in found.failures] == [SINGULAR, BOUNDLESS]
    singular, boundless = found.failures
    assert singular.reason == "the step size collapsed"
    assert singular.day == pytest.approx(20.0, rel=1e-4)
    assert boundless.reason == "a value became infinite or not a number"
    assert boundless.day == pytest.approx(709.8 / 25.0, rel=0.02)
    few = int(np.median(found.steps))
    hurried = run_small(method, rules=(), most_steps=few)
    late = np.flatnonzero(found.steps > few)
    assert {failure.patient for failure in hurried.failures} == set(late.tolist())
    assert {failure.reason for failure in hurried.failures} == {"more steps than allowed"}
    assert np.all(hurried.steps[late] == few + 1)
    fine = np.setdiff1d(np.arange(MANY), late)
    np.testing.assert_array_equal(hurried.courses[fine], found.courses[fine])


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("method", ["explicit", "stiff"])
def test_under_either_method_neither_lanes_nor_order_nor_company_matter(method: Method, lanes: int) -> None:
    whole = run_small(method)
    treated = np.isfinite(whole.events["treat"].first)
    assert 3 < treated.sum() < MANY - len(whole.failures)
    shuffled = np.random.default_rng(lanes).permutation(MANY)
    for rows in (shuffled, shuffled[:5], np.array([SINGULAR]), np.array([MANY - 1])):
        same(run_small(method, rows, lanes=lanes), whole, rows)
