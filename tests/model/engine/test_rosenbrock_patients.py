"""The stiff method in the engine: what decays fast costs no steps, and patients fare as under the explicit method."""

from functools import cache
from typing import Literal

import numpy as np
import pytest
import sympy

from perdure.model import simulate as door
from perdure.model.catalogue import read_catalogue
from perdure.model.engine.compiled import compile_system
from perdure.model.regimens.regimen import Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.system.system import Flow, Input, Quantity, State, System, parameter
from perdure.parameters.patients import draw, make_patients

N = 40
PATIENTS = make_patients(read_catalogue(), draw(read_catalogue(), N, 1), product="ide_cel", population="late_line")
TIMES = np.append(np.arange(0.0, 730.0, 30.4375), 761.0)
REGIMENS = {
    "alone": infuse("ide_cel"),
    "with lenalidomide": infuse("ide_cel") + give("lenalidomide", 10, start=30, months=24, cycle=28, days_on=21),
}


@cache
def run(regimen: str, rtol: float, method: Literal["explicit", "stiff"] = "stiff") -> Solution:
    return simulate(PATIENTS, REGIMENS[regimen], times=TIMES, solver=Solver(rtol=rtol, method=method))


def farthest(one: Solution, other: Solution) -> float:
    """Largest difference of the logarithms of the tumour."""
    assert not one.failures
    assert not other.failures
    return float(np.max(np.abs(np.log(one["tumour"]) - np.log(other["tumour"]))))


@pytest.mark.parametrize("regimen", REGIMENS)
def test_both_methods_agree(regimen: str) -> None:
    assert farthest(run(regimen, 1e-7), run(regimen, 1e-9, "explicit")) < 1e-5
    names = ("car_t", "m_protein", "host")
    for name in names:
        near, right = run(regimen, 1e-7)[name], run(regimen, 1e-9, "explicit")[name]
        np.testing.assert_allclose(near, right, rtol=1e-4, atol=1e-6)


def test_errors_of_hundreds_of_doses_do_not_add_up() -> None:
    regimen = "with lenalidomide"
    assert len(REGIMENS[regimen].doses) > 500
    exact = run(regimen, 1e-9, "explicit")
    assert farthest(run(regimen, 1e-5), exact) < 1e-3
    assert farthest(run(regimen, 1e-6), exact) < 1e-4


def test_it_takes_fewer_steps_than_the_explicit_method() -> None:
    assert run("alone", 1e-6).steps.mean() < 0.7 * run("alone", 1e-6, "explicit").steps.mean()


@cache
def in_lanes(lanes: int, rtol: float, first: int = 0, last: int = 11) -> Solution:
    """Some patients, with a few tablets: together they are with and without a drug in turns."""
    chosen = {name: values[first:last] for name, values in PATIENTS.items()}
    regimen = infuse("ide_cel") + give("lenalidomide", 10, start=14, months=1, cycle=28, days_on=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "make_engine", lambda *wanted: compile_system(*wanted[:3], lanes))
        return simulate(chosen, regimen, times=[0.0, 20.0, 60.0, 100.0], solver=Solver(rtol=rtol, method="stiff"))


@pytest.mark.parametrize("rtol", [1e-5, 1e-12])
@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_the_bits_do_not_depend_on_the_number_of_lanes_nor_on_the_neighbours(lanes: int, rtol: float) -> None:
    found, other = in_lanes(lanes, rtol), in_lanes(4 if lanes == 2 else 2, rtol)
    np.testing.assert_array_equal(found.courses, other.courses)
    np.testing.assert_array_equal(found.steps, other.steps)
    for who in (0, 10):
        alone = in_lanes(lanes, rtol, who, who + 1)
        np.testing.assert_array_equal(found.courses[who], alone.courses[0])
        assert found.steps[who] == alone.steps[0]


# what decays fast


def state(name: str, initial: sympy.Expr) -> State:
    return State(name, "", name, "test", initial, 1e-9, name, signed=True)


def pulled_to_a_cosine() -> System:
    """y' = -k (y - cos t), where the cosine and its derivative are states of their own (Prothero & Robinson 1974)."""
    y, cosine, sine = state("y", sympy.Integer(3)), state("cosine", sympy.Integer(1)), state("sine", sympy.Integer(0))
    flows = (
        Flow("pull", parameter("k") * (cosine.symbol - y.symbol), into=y),
        Flow("turn", sine.symbol, out_of=cosine),
        Flow("turn on", cosine.symbol, into=sine),
    )
    return System("pulled", (y, cosine, sine), (), (), flows, ("y",))


def test_the_fastest_decay_costs_no_steps() -> None:
    rates, times = np.array([1e2, 1e4, 1e6, 1e8, 1e10]), np.linspace(0.5, 20.0, 40)
    solution = simulate(
        {"k": rates}, Regimen(()), times=times, system=pulled_to_a_cosine(), solver=Solver(rtol=1e-7, method="stiff")
    )
    assert not solution.failures
    for found, k in zip(solution["y"], rates, strict=True):
        np.testing.assert_allclose(found, (k * np.cos(times) + np.sin(times)) * k / (k * k + 1.0), atol=2e-6)
    assert solution.steps.max() < 1.5 * solution.steps.min()


def test_a_state_that_follows_a_drug_at_once_has_its_level() -> None:
    level = Input("level", "mg/L", "level of the drug", "lenalidomide", "x")
    y = state("y", sympy.Integer(0))
    seen = Quantity("seen", "mg/L", "level of the drug", level.symbol, "x")
    pull = Flow("pull", parameter("k") * (level.symbol - y.symbol), into=y)
    system = System("follower", (y,), (seen,), (level,), (pull,), ("y", "seen"))
    typical = read_catalogue().typical("ide_cel", "late_line") | {"k": 1e8}
    ends = np.arange(1.0, 6.0)  # the next tablet ends a step; elsewhere the course is read from the extension
    times = np.unique([*np.arange(0.0, 6.0, 0.11), 0.001, 0.01, 0.03, *ends])
    patient = {name: np.array([value]) for name, value in typical.items()}
    tablets = give("lenalidomide", 10, start=0, months=1, cycle=28, days_on=21)
    solution = simulate(patient, tablets, times=times, system=system, solver=Solver(rtol=1e-7, method="stiff"))
    assert not solution.failures
    assert solution["seen"].max() > 0.05
    missed = np.abs(solution["y"] - solution["seen"])[0]
    assert missed.max() < 1e-4 * solution["seen"].max()
    assert missed[np.isin(times, ends)].max() < 1e-8
    assert solution.steps[0] < 1000
