"""The engine on classical stiff problems: right to the tolerance asked for, of the promised order, never negative."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import pytest

from perdure.model.regimens.regimen import Regimen
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.stiff_problems import (
    JUDGED,
    Problem,
    closed_network,
    compartments,
    compartments_exact,
    e5,
    hires,
    robertson,
    significant_digits,
    van_der_pol,
)

PROBLEMS = {build().key: build() for build in (*JUDGED, compartments, closed_network)}
STIFF = [build().key for build in JUDGED]
Method = Literal["explicit", "stiff"]
METHODS: tuple[Method, ...] = ("explicit", "stiff")
TOLERANCES = (1e-4, 1e-6, 1e-8)
KEPT = {
    "robertson": (1, 1, 1),
    "hires": (0, 0, 0, 0, 0, 0, 1, 1),
    "pollution": (1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 2),
    "e5_early": (0, 1, -1, -1),
    "closed_network": (1, 0, 1, 1),
}
"""Weights of the states whose weighted sum stays as it is (in `pollution` it is nitrogen)."""


def solve(
    problem: Problem, method: Method, rtol: float, times: Sequence[float] = (), max_step: float = math.inf
) -> Solution:
    solver = Solver(rtol=rtol, method=method, max_step=max_step)
    return simulate(
        problem.parameters, Regimen(()), times=[*times, problem.until], system=problem.system, solver=solver
    )


@cache
def solved(key: str, method: Method, rtol: float) -> Solution:
    return solve(PROBLEMS[key], method, rtol)


def error(problem: Problem, solution: Solution) -> float:
    """Relative error of the worst state at the end."""
    assert not solution.failures
    digits = [
        significant_digits(float(solution[state.name][0, -1]), problem.reference[state.name], state.tolerance)
        for state in problem.system.states
    ]
    return 10.0 ** -min(digits)


def course(problem: Problem, method: Method, rtol: float) -> np.ndarray:
    """States over time: array (states, times), at times from a millionth of a second to the end."""
    times = [0.0, *np.geomspace(1e-6, problem.until, 60)[:-1]]
    solution = solve(problem, method, rtol, times)
    assert not solution.failures
    return np.array([solution[name][0] for name in problem.reference])


# the published solutions


@pytest.mark.parametrize("rtol", TOLERANCES)
@pytest.mark.parametrize("key", STIFF)
def test_the_stiff_method_reaches_the_published_solution(key: str, rtol: float) -> None:
    assert error(PROBLEMS[key], solved(key, "stiff", rtol)) < 100.0 * rtol


@pytest.mark.parametrize("key", STIFF)
def test_the_error_falls_with_the_tolerance(key: str) -> None:
    loose, middle, tight = (error(PROBLEMS[key], solved(key, "stiff", rtol)) for rtol in TOLERANCES)
    assert tight < middle < loose
    assert tight < loose / 300.0


@pytest.mark.parametrize("key", STIFF)
def test_a_tighter_tolerance_takes_more_steps_but_not_many(key: str) -> None:
    few, some, many = (int(solved(key, "stiff", rtol).steps[0]) for rtol in TOLERANCES)
    assert few < some < many
    # a method of order five needs 10^(4/5) times as many steps for four digits more, and some slack at the kinks
    assert many < 15 * few


@pytest.mark.parametrize("rtol", TOLERANCES)
def test_e5_is_right_in_the_end_to_the_rounding_of_what_was_there_at_the_start(rtol: float) -> None:
    solution, start = solve(e5(), "stiff", rtol), e5().parameters["initial_A"][0]
    assert not solution.failures
    for name, right in e5().reference.items():
        assert abs(solution[name][0, -1] - right) < 2e-16 * start


def test_the_explicit_method_is_right_on_a_mildly_stiff_problem_and_needs_many_more_steps() -> None:
    explicit, stiff = solved("hires", "explicit", 1e-6), solved("hires", "stiff", 1e-6)
    assert error(hires(), explicit) < 1e-4
    assert explicit.steps[0] > 10 * stiff.steps[0]


# laws


@pytest.mark.parametrize("key", sorted(set(PROBLEMS) - {"van_der_pol"}))
def test_no_species_is_ever_negative(key: str) -> None:
    assert course(PROBLEMS[key], "stiff", 1e-4).min() >= 0.0


def test_a_state_with_a_sign_may_be_negative() -> None:
    x, v = course(van_der_pol(), "stiff", 1e-6)
    assert x.min() < -1.0
    assert v.min() < 0.0 < v.max()


@pytest.mark.parametrize("rtol", [1e-4, 1e-8])
@pytest.mark.parametrize("key", sorted(KEPT))
def test_what_a_closed_system_holds_stays_constant(key: str, rtol: float) -> None:
    problem, weights = PROBLEMS[key], np.array(KEPT[key], dtype=float)
    states = course(problem, "stiff", rtol)
    total = weights @ states
    size = float(np.max(np.abs(weights) @ states))
    # B - C - D of E5 is the difference of flows that are ten thousand times as large
    np.testing.assert_allclose(total, total[0], rtol=0.0, atol=(1e-8 if key == "e5_early" else 1e-12) * size)


def test_a_trillion_molecules_stay_a_trillion_under_the_explicit_method() -> None:
    total = np.array(KEPT["closed_network"]) @ course(closed_network(), "explicit", 1e-4)
    np.testing.assert_allclose(total, total[0], rtol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_chain_follows_its_exponential_at_every_time(method: Method) -> None:
    times = np.linspace(0.0, 4.0, 41)
    solution = solve(compartments(), method, 1e-10, times[:-1].tolist())
    found = np.array([solution[name][0] for name in compartments().reference])
    np.testing.assert_allclose(found, np.transpose([compartments_exact(t) for t in times]), rtol=1e-8, atol=1e-10)


# order


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("key", ["compartments", "closed_network"])
def test_half_the_step_leaves_a_thirty_second_of_the_error(key: str, method: Method) -> None:
    """A tolerance that is always met leaves the step at its maximum; halving that shows the order, which is five."""
    problem = PROBLEMS[key]
    # as few steps as show the order, before rounding does
    fewest = {("compartments", "stiff"): 8, ("closed_network", "stiff"): 64}.get((key, method), 32)
    steps = problem.until / (fewest * np.array([1, 2, 4]))
    errors = [error(problem, solve(problem, method, 1e-2, max_step=float(step))) for step in steps]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    # from above: where the terms of order five nearly cancel, those of order six are seen first
    assert np.all((orders > 4.7) & (orders < 6.5)), f"errors {errors}, orders {orders}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("key", ["compartments", "closed_network"])
def test_a_problem_that_is_not_stiff_is_solved_to_the_tolerance(key: str, method: Method) -> None:
    for rtol in (*TOLERANCES, 1e-10):
        assert error(PROBLEMS[key], solved(key, method, rtol)) < 30.0 * rtol


# many at once


def test_a_stiff_patient_is_the_same_alone_and_among_others() -> None:
    problem = robertson()
    among = {name: np.repeat(values, 11) for name, values in problem.parameters.items()}
    among["k_1"] = among["k_1"] * np.geomspace(0.1, 10.0, 11)
    solver = Solver(rtol=1e-6, method="stiff", max_step=math.inf)
    times = [40.0, 4e5, problem.until]
    together = simulate(among, Regimen(()), times=times, system=problem.system, solver=solver)
    for i in (0, 5, 10):
        one = {name: values[i : i + 1] for name, values in among.items()}
        alone = simulate(one, Regimen(()), times=times, system=problem.system, solver=solver)
        np.testing.assert_array_equal(together.courses[i], alone.courses[0])
        assert together.steps[i] == alone.steps[0]
