"""The stiff method: by itself as plain Python with one lane, and in the engine beside the explicit one."""

import ast
import inspect
import math
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
import sympy
from written import equations

from perdure.model import simulate as door
from perdure.model.catalogue import read_catalogue
from perdure.model.engine import drug_levels, example_equations, rosenbrock
from perdure.model.engine.compiled import compile_system
from perdure.model.engine.drug_levels import COEFFICIENT, INFUSION, N_LEVELS, N_MOVING, RATE, SHARE
from perdure.model.engine.lanes import LaneArray, lane_array
from perdure.model.myeloma import myeloma
from perdure.model.regimens.regimen import Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.system.system import Flow, Input, Quantity, State, System, parameter
from perdure.parameters.patients import draw, make_patients

S = rosenbrock.N_STAGES
Array = LaneArray

# the coefficients, read off the code


class Coefficients:
    """What the code does, in its own form and in the form in which order conditions are written (Hairer & Wanner)."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """Run one step of size 1 in which stage i becomes the i-th unit vector; a further state sees df/dt only."""
        seen = SimpleNamespace(a=[], c=[], slope=[], times=[], g=0.0)

        def rhs(p: Array, c: Array, f: Array, y: Array, dy: Array) -> None:
            seen.a.append([y[j] for j in range(S)])

        def solve(m: Array, b: Array) -> None:
            stage = len(seen.c)
            seen.c.append([b[j] for j in range(S)])
            seen.slope.append(b[S])
            for j in range(S + 1):
                b[j] = float(j == stage)

        def factor(j: Array, g: Array, m: Array) -> None:
            seen.g = g[0]

        def slope(p: Array, c: Array, f: Array, df: Array, y: Array, dt: Array) -> None:
            dt[S] = 1.0

        def nothing(*given: Array) -> None:
            pass

        words = {"rhs": rhs, "solve": solve, "factor": factor, "slope": slope, "N_STATES": S + 1, "N_FORCED": 0}
        words |= dict.fromkeys(("jacobian", "forcing", "forcing_slope", "drug_slopes"), nothing)
        words |= {"drug_inputs": lambda after, drugs, x: seen.times.append(after)}
        for name, word in words.items():
            patch.setattr(rosenbrock, name, word)
        size = S + 1
        k, dense = lane_array(S * size), lane_array(4 * size)
        y, trial, end, none = (lane_array(size) for _ in range(4))
        rosenbrock.attempt(True, 0, 0.0, 1.0, 1.0, [1.0] * size, 1.0, none, none, none, none, none, y, k, trial, end)
        rosenbrock.prepare(1.0, y, end, k, dense)
        self.gamma = 1.0 / seen.g
        self.a, c = np.array(seen.a), np.array(seen.c)
        self.times, self.slope = np.array([*seen.times, 1.0, 1.0]), np.array(seen.slope)
        self.of_stages = np.linalg.inv(np.eye(S) / self.gamma - c)
        self.alpha = self.a @ self.of_stages
        self.beta = self.alpha + self.of_stages
        self.weights = np.array([end[j] for j in range(S)]) @ self.of_stages
        self.embedded = self.weights - self.of_stages[-1]
        self.dense = np.array([[dense[r * size + j] for j in range(S)] for r in range(4)]) @ self.of_stages

    def at(self, theta: float) -> np.ndarray:
        """Weights of the continuous extension."""
        change, first, second, third = self.dense
        return theta * (change + (1.0 - theta) * (first + theta * (second + theta * third)))

    def elementary(self, tree: tuple) -> np.ndarray:
        """Elementary weights of a tree (a tuple of the trees on its root), per stage (section IV.7)."""
        if not tree:
            return np.ones(S)
        matrix = self.beta if len(tree) == 1 else self.alpha
        return np.prod([matrix @ self.elementary(branch) for branch in tree], axis=0)


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> Coefficients:
    return Coefficients(monkeypatch)


def nodes(tree: tuple) -> int:
    return 1 + sum(map(nodes, tree))


def density(tree: tuple) -> int:
    return nodes(tree) * math.prod(map(density, tree))


@cache
def trees(order: int) -> tuple[tuple, ...]:
    """Rooted trees with this many nodes."""
    return tuple(sorted({tuple(sorted(forest)) for forest in forests(order - 1)}))


def forests(size: int) -> list[list[tuple]]:
    if size == 0:
        return [[]]
    return [[tree, *rest] for n in range(1, size + 1) for tree in trees(n) for rest in forests(size - n)]


def test_there_are_as_many_conditions_as_the_book_counts() -> None:
    assert [len(trees(order)) for order in range(1, 6)] == [1, 1, 2, 4, 9]


def test_every_condition_of_order_5_holds(method: Coefficients) -> None:
    for tree in (tree for order in range(1, 6) for tree in trees(order)):
        assert method.weights @ method.elementary(tree) == pytest.approx(1.0 / density(tree), abs=2e-13), tree


def test_the_embedded_method_and_the_extension_are_of_order_4_and_not_of_order_5(method: Coefficients) -> None:
    for tree in (tree for order in range(1, 5) for tree in trees(order)):
        assert method.embedded @ method.elementary(tree) == pytest.approx(1.0 / density(tree), abs=2e-13), tree
        for theta in (0.1, 0.37, 0.5, 0.93):
            wanted = theta ** nodes(tree) / density(tree)
            assert method.at(theta) @ method.elementary(tree) == pytest.approx(wanted, abs=2e-13), (tree, theta)
    of_order_5 = [(method.elementary(tree), 1.0 / density(tree)) for tree in trees(5)]
    assert max(abs(method.embedded @ phi - right) for phi, right in of_order_5) > 1e-3
    assert max(abs(method.at(0.5) @ phi - 0.5**5 * right) for phi, right in of_order_5) > 1e-4


def test_the_levels_and_slopes_of_a_drug_enter_where_the_sums_of_the_coefficients_say(method: Coefficients) -> None:
    np.testing.assert_allclose(method.alpha.sum(axis=1), method.times, atol=2e-14)
    np.testing.assert_allclose(method.of_stages.sum(axis=1), method.slope, atol=2e-14)


def test_it_is_stiffly_accurate_and_its_end_is_the_last_stage(method: Coefficients) -> None:
    np.testing.assert_allclose(method.weights, method.beta[-1], atol=1e-13)
    np.testing.assert_allclose(method.embedded, method.beta[-2], atol=1e-13)
    assert method.times[-3:].tolist() == [1.0, 1.0, 1.0]


def growth(method: Coefficients, weights: np.ndarray, z: complex) -> complex:
    """What a step with these weights makes of 1 under y' = z y."""
    return 1.0 + z * (weights @ np.linalg.solve(np.eye(S) - z * method.beta, np.ones(S)))


def test_it_damps_whatever_decays_and_kills_what_decays_fast(method: Coefficients) -> None:
    for weights in (method.weights, method.embedded):
        for size in np.geomspace(1e-3, 1e6, 200):  # the imaginary axis bounds the left half-plane
            assert abs(growth(method, weights, 1j * size)) <= 1.0 + 1e-12
        for direction in (1.0, 1.0 + 1.0j, 1.0 - 5.0j):
            assert abs(growth(method, weights, -1e9 * direction)) < 1e-7


# steps of fixed size: y' = (1 + x) sqrt(y) with a drug x = exp(-rate t), where sqrt(y) is known by integrating x

FADING = 1.7
SIZES = 1 / np.array([8, 12, 16, 24, 32])


def exact(t: float) -> float:
    return (1.0 + 0.5 * (t + (1.0 - math.exp(-FADING * t)) / FADING)) ** 2


class Steps:
    """Steps of fixed size with the functions of the engine."""

    def __init__(self, patch: pytest.MonkeyPatch, h: float) -> None:
        def rhs(p: Array, c: Array, f: Array, y: Array, dy: Array) -> None:
            dy[0] = f[0] * math.sqrt(y[0])

        def jacobian(p: Array, c: Array, f: Array, y: Array, j: Array) -> None:
            j[0] = 0.5 * f[0] / math.sqrt(y[0])

        def slope(p: Array, c: Array, f: Array, df: Array, y: Array, dt: Array) -> None:
            dt[0] = df[0] * math.sqrt(y[0])

        for function in (rhs, jacobian, slope):
            patch.setattr(rosenbrock, function.__name__, function)
        self.h, self.t = h, 0.0
        self.y, self.end, self.k = LaneArray([1.0]), lane_array(1), lane_array(S)
        self.drugs = lane_array(2 * N_LEVELS + N_MOVING)
        self.drugs[RATE], self.drugs[SHARE], self.drugs[COEFFICIENT] = FADING, 1.0 / FADING, 1.0

    def take(self) -> float:
        """One step, which leaves its end in `end`; returns its difference to the embedded method."""
        none = LaneArray([1.0, 1.0])
        rosenbrock.attempt(
            True, 0, self.t, self.h, 1e300, [1.0], 1.0, none, none, lane_array(6), lane_array(1), self.drugs, self.y,
            self.k, lane_array(1), self.end,
        )  # fmt: skip
        return abs(self.k[S - 1])

    def at(self, theta: float) -> float:
        dense, found = lane_array(4), lane_array(1)
        rosenbrock.prepare(self.h, self.y, self.end, self.k, dense)
        rosenbrock.interpolate(theta, [0.0], self.y, dense, found)
        return found[0]


def seen_order(errors: list[float]) -> float:
    return float(np.polyfit(np.log(SIZES), np.log(errors), 1)[0])


def test_the_observed_order_is_5(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = []
    for h in SIZES:
        steps = Steps(monkeypatch, h)
        for _ in range(round(1 / h)):
            steps.take()
            steps.t, steps.y[0] = steps.t + h, steps.end[0]
        errors.append(abs(steps.y[0] - exact(1.0)))
    assert 4.7 < seen_order(errors) < 5.4


def test_one_step_of_the_extension_and_of_the_embedded_method_errs_by_the_fifth_power(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inside, estimates = [], []
    for h in SIZES / 8:
        steps = Steps(monkeypatch, h)
        estimates.append(steps.take())
        inside.append(max(abs(steps.at(theta) - exact(theta * h)) for theta in np.linspace(0.05, 0.95, 19)))
        assert estimates[-1] > abs(steps.end[0] - exact(h))
        assert steps.at(0.0) == steps.y[0]
        assert steps.at(1.0) == pytest.approx(steps.end[0], rel=1e-15)
    assert 4.6 < seen_order(inside) < 5.5
    assert 4.6 < seen_order(estimates) < 5.5


def test_a_smooth_effect_is_resolved_and_a_sudden_one_is_seen() -> None:
    places = [0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0]

    def missed(effect: Callable[[float], float]) -> float:
        return rosenbrock.missed_effect(0.5, 2.0, LaneArray([effect(place) for place in places])) * 4.0

    assert missed(lambda t: 3.0) == 0.0  # exactly: a neighbour without drugs must not feel it
    for power in range(1, 5):
        assert missed(lambda t, power=power: 1.0 - t**power) < 3e-14
    assert missed(lambda t: float(t > 0.0)) == pytest.approx(0.02707193804433805)


# what it needs from the equations


def test_drug_slopes_are_the_derivatives_of_drug_levels() -> None:
    drugs = lane_array(2 * N_LEVELS + N_MOVING)
    for j, (rate, level) in enumerate([(0.7, 3.0), (9.0, -3.0)]):
        drugs[RATE + j], drugs[SHARE + j], drugs[COEFFICIENT + j] = rate, 0.5 / rate, level
    drugs[INFUSION] = 2.0
    found, before, behind = lane_array(1), lane_array(1), lane_array(1)
    for after in (0.01, 0.3, 2.0):
        drug_levels.drug_slopes(after, drugs, found)
        drug_levels.drug_inputs(after - 1e-6, drugs, before)
        drug_levels.drug_inputs(after + 1e-6, drugs, behind)
        assert found[0] == pytest.approx((behind[0] - before[0]) / 2e-6, rel=1e-7)


def functions(source: str) -> dict[str, str]:
    return {n.name: ast.unparse(n.args) for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)}


def test_the_example_has_the_functions_of_a_generated_system() -> None:
    written = functions(inspect.getsource(example_equations).replace(": Any", ""))
    assert written == functions(equations(myeloma(), stiff=True).source)


def test_the_derivatives_of_the_example_are_right() -> None:
    eq, e, p, x, y = example_equations, 1e-6, LaneArray([0.3, 5.0]), LaneArray([0.7]), LaneArray([4.0])
    c = lane_array(1)
    eq.constants(p, c)

    def dy(level: float, state: float) -> float:
        f, found = lane_array(1), lane_array(1)
        eq.forcing(p, c, LaneArray([level]), f)
        eq.rhs(p, c, f, LaneArray([state]), found)
        return found[0]

    f, df, j, dt, m, b = (lane_array(1) for _ in range(6))
    eq.forcing(p, c, x, f)
    eq.jacobian(p, c, f, y, j)
    eq.forcing_slope(p, c, x, LaneArray([2.0]), df)
    eq.slope(p, c, f, df, y, dt)
    assert j[0] == pytest.approx((dy(0.7, 4.0 + e) - dy(0.7, 4.0 - e)) / (2 * e), rel=1e-8)
    assert dt[0] == pytest.approx(2.0 * (dy(0.7 + e, 4.0) - dy(0.7 - e, 4.0)) / (2 * e), rel=1e-8)
    b[0] = 3.0
    eq.factor(j, LaneArray([10.0]), m)
    eq.solve(m, b)
    assert b[0] == pytest.approx(3.0 / (10.0 - j[0]))


# in the engine: what decays fast costs no steps, and patients fare as under the explicit method


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
