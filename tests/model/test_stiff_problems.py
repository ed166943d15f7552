"""The classical stiff problems are written as they were published, and their solutions are what we say they are."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from perdure.model.engine.referee import Equations
from perdure.model.exact_solution import extended
from perdure.model.stiff_problems import (
    CLASSICAL,
    Problem,
    closed_network,
    compartments,
    compartments_exact,
    e5,
    e5_early,
    hires,
    pollution,
    robertson,
    significant_digits,
)
from perdure.model.system.system import parameter

PROBLEMS = {build().key: build() for build in (*CLASSICAL, e5_early, compartments, closed_network)}
KEYS = sorted(PROBLEMS)
CLASSICAL_KEYS = sorted(build().key for build in CLASSICAL)

KEPT = {
    "robertson": {"mass": {"A": 1, "B": 1, "C": 1}},
    "hires": {"enzyme": {"E": 1, "P_fr_X_prime_E": 1}},
    "pollution": {
        "nitrogen": {"NO2": 1, "NO": 1, "PAN": 1, "HNO3": 1, "NO3": 1, "N2O5": 2},
        "sulphur": {"SO2": 1, "SO4": 1},
    },
    "e5": {"B - C - D": {"B": 1, "C": -1, "D": -1}},
    "e5_early": {"B - C - D": {"B": 1, "C": -1, "D": -1}},
    "closed_network": {"substrate": {"S": 1, "ES": 1, "P": 1}, "enzyme": {"E": 1, "ES": 1}},
}
"""What each closed problem keeps: weights of its states."""


def by_radau(problem: Problem, rtol: float) -> dict[str, np.ndarray]:
    """Every step of scipy's Radau on the generated equations, by state."""
    equations = Equations(problem.system, problem.parameters)
    states = problem.system.states
    matrix = sympy.Matrix(
        [[problem.system.jacobian.get((i.name, j.name), sympy.Integer(0)) for j in states] for i in states]
    )
    numbers = {parameter(name): float(values[0]) for name, values in problem.parameters.items()}
    fill = sympy.lambdify([state.symbol for state in states], matrix.subs(numbers).tolist(), modules="math")
    answer = solve_ivp(
        equations.slope(lambda _: []), (0.0, problem.until), equations.initial(), method="Radau", rtol=rtol,
        atol=[state.tolerance for state in states], jac=lambda _, y: np.array(fill(*y.tolist()), dtype=float),
    )  # fmt: skip
    assert answer.success
    return dict(zip(problem.reference, answer.y, strict=True))


@cache
def tight(key: str) -> dict[str, np.ndarray]:
    return by_radau(PROBLEMS[key], 1e-9)


def digits_of(problem: Problem, found: dict[str, float], right: dict[str, float]) -> float:
    """Significant digits of the worst state."""
    tolerance = {state.name: state.tolerance for state in problem.system.states}
    return min(significant_digits(found[name], right[name], tolerance[name]) for name in right)


@pytest.mark.parametrize("key", KEYS)
def test_another_method_on_the_same_system_reaches_the_reference(key: str) -> None:
    problem = PROBLEMS[key]
    found = {name: float(course[-1]) for name, course in tight(key).items()}
    # the steps of a relaxation oscillator add up to about a hundred times the tolerance of one
    assert digits_of(problem, found, dict(problem.reference)) > min(6.5, problem.digits - 0.5)


@pytest.mark.parametrize("key", CLASSICAL_KEYS)
def test_the_published_solution_is_the_reference_in_as_many_digits_as_we_say(key: str) -> None:
    problem = PROBLEMS[key]
    assert problem.published.keys() == problem.reference.keys()
    assert problem.digits <= digits_of(problem, dict(problem.published), dict(problem.reference))


@pytest.mark.parametrize("key", sorted(KEPT))
def test_what_is_kept_is_kept_by_the_equations_exactly(key: str) -> None:
    system = PROBLEMS[key].system
    for weights in KEPT[key].values():
        assert sympy.expand(sum(weight * system.equations[name] for name, weight in weights.items())) == 0


@pytest.mark.parametrize("key", sorted(KEPT))
def test_what_is_kept_is_kept_in_the_course_and_in_the_reference(key: str) -> None:
    course, reference = tight(key), PROBLEMS[key].reference
    for weights in KEPT[key].values():
        total = np.sum([weight * course[name] for name, weight in weights.items()], axis=0)
        size = max(float(np.max(np.abs(course[name]))) for name in weights)
        np.testing.assert_allclose(total, total[0], rtol=0.0, atol=1e-12 * size)
        last = math.fsum(weight * reference[name] for name, weight in weights.items())
        assert last == pytest.approx(float(total[0]), rel=1e-14, abs=1e-14 * max(map(abs, reference.values())))


@pytest.mark.parametrize("key", sorted(set(KEYS) - {"van_der_pol"}))
def test_nothing_falls_below_zero_by_more_than_nobody_cares_about(key: str) -> None:
    for state in PROBLEMS[key].system.states:
        assert not state.signed
        # the relative tolerance allows an error on the scale of what was there
        assert tight(key)[state.name].min() >= -(state.tolerance + 1e-9 * tight(key)[state.name].max())


def test_only_the_oscillator_has_signs() -> None:
    assert all(state.signed for state in PROBLEMS["van_der_pol"].system.states)
    assert tight("van_der_pol")["x"].min() < -1.9


@pytest.mark.parametrize("key", KEYS)
def test_a_problem_brings_every_number_it_needs_and_no_other(key: str) -> None:
    problem = PROBLEMS[key]
    assert set(problem.parameters) == set(problem.system.parameters)
    assert all(values.shape == (1,) and np.isfinite(values).all() for values in problem.parameters.values())
    assert tuple(problem.reference) == problem.system.observables
    assert problem.system.observables == tuple(state.name for state in problem.system.states)
    assert problem.source
    assert problem.title


def test_pollution_has_twenty_species_and_twenty_five_reactions() -> None:
    assert len(pollution().system.states) == 20
    assert len([name for name in pollution().parameters if name.startswith("k_")]) == 25


def test_the_chain_of_compartments_obeys_its_law_at_any_time() -> None:
    for until in (0.01, 0.5, 20.0):
        found = extended(replace(compartments(), until=until), 12)
        np.testing.assert_allclose([float(value) for value in found.values()], compartments_exact(until), rtol=1e-12)


@pytest.mark.parametrize("build", [robertson, closed_network])
def test_decimal_arithmetic_confirms_the_reference(build: Callable[[], Problem]) -> None:
    problem = build()
    found = {name: float(value) for name, value in extended(problem, 14).items()}
    assert digits_of(problem, found, dict(problem.reference)) > 13


@pytest.mark.long
@pytest.mark.parametrize("key", KEYS)
def test_decimal_arithmetic_confirms_fourteen_digits_of_every_reference(key: str) -> None:
    problem = PROBLEMS[key]
    found = {name: float(value) for name, value in extended(problem, 16).items()}
    assert digits_of(problem, found, dict(problem.reference)) > 14


def test_the_published_solution_of_e5_breaks_its_own_law() -> None:
    published, reference = e5().published, e5().reference
    assert reference["B"] - reference["C"] == 0.0
    assert abs(published["B"] - published["C"]) > 1e-3 * published["B"]


def test_the_enzyme_of_hires_and_its_complex_add_up_to_what_was_there() -> None:
    reference, start = hires().reference, hires().parameters["initial_E"][0]
    assert reference["E"] + reference["P_fr_X_prime_E"] == pytest.approx(start, rel=1e-15)
