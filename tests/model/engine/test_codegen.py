"""The generated equations against sympy, for the shipped model and for small systems; elimination against a library."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy
from written import equations

from perdure.model.car_t_course import CarTCourse
from perdure.model.catalogue import read_catalogue
from perdure.model.engine.codegen import Elimination, eliminate, factor_lines, generate, solve_lines
from perdure.model.myeloma import myeloma
from perdure.model.processes.host import TIRED
from perdure.model.system.system import Branching, Flow, Input, Quantity, State, System, parameter, saturating
from perdure.parameters.errors import InputError

AGREE = 1e-12
DECADES = {"tumour": (0, 12), "tumour composition": (-4, 0), "CAR-T": (-6, 4), "host": (-2, 3), "biomarker": (-2, 2)}
TWO = (CarTCourse(("GPRC5D",)), CarTCourse(("BCMA", "CD19"), "_2", "_2"))
"""Cells of two products, which see different antigens and evoke different immunity."""
ONE = sympy.Integer(1)
DRUG = Input("drug", "mg/L", "a drug", "drug", "D")
TUMOUR = State("tumour", "cell", "tumour", "tumour", parameter("tumour_baseline"), 0.01, "T")
RESISTANT = State("resistant", "cell", "resistant tumour", "tumour", sympy.Integer(0), 0.01, "R")
BALANCE = State("balance", "", "above or below normal", "host", parameter("start"), 1e-9, "B", signed=True)
DIVISION = Quantity("k_division", "1/day", "division", parameter("k_growth") + parameter("k_turnover"), "b")


class Moment:
    """A system with numbers: what sympy and what the generated functions make of them."""

    def __init__(
        self, system: System, p: Mapping[str, float], y: Sequence[float], x: Sequence[float] = (), *, stiff: bool = True
    ) -> None:
        self.system, self.p, self.y, self.x = system, p, np.array(y, dtype=float), list(x)
        code = equations(system, stiff=stiff)
        self.run: dict[str, Any] = {"math": math}
        exec(code.source, self.run)
        self.sizes = self.run["SIZES"]
        self.numbers = [p[name] for name in code.parameters]
        self.c = self.filled(1, "constants", self.numbers)
        self.f = self.forced(self.x)

    def filled(self, size: int, function: str, *arguments: Any) -> list[float]:
        """The array of this entry of `SIZES`, filled by a function."""
        values = [math.nan] * self.sizes[size]
        self.run[function](*arguments, values)
        return values

    def forced(self, x: Sequence[float]) -> list[float]:
        return self.filled(2, "forcing", self.numbers, self.c, x)

    def rhs(self, y: np.ndarray | None = None, f: list[float] | None = None) -> np.ndarray:
        now = (self.y if y is None else y).tolist()
        return np.array(self.filled(0, "rhs", self.numbers, self.c, f or self.f, now))

    @property
    def values(self) -> dict[str, float]:
        """Every name of the system with its value, by sympy."""
        found = dict(self.p) | dict(zip([put.name for put in self.system.inputs], self.x, strict=True))
        for state, value in zip(self.system.states, self.y.tolist(), strict=True):
            found[state.name] = value if state.signed else max(value, 0.0)
        for quantity in self.system.quantities:
            found[quantity.name] = evaluated(quantity.expression, found)
        return found

    def scale(self) -> np.ndarray:
        """Sum of the absolute flows of every state."""
        values, total = self.values, {state.name: 0.0 for state in self.system.states}
        for flow in self.system.flows:
            rate = abs(evaluated(flow.rate, values))
            if flow.out_of:
                total[flow.out_of.name] += rate
            if flow.into:
                total[flow.into.name] += abs(evaluated(flow.gain, values)) * rate
        return np.array(list(total.values()))

    def jacobian(self) -> dict[tuple[str, str], float]:
        names = [state.name for state in self.system.states]
        entries = self.filled(6, "jacobian", self.numbers, self.c, self.f, self.y.tolist())
        pattern = [(names.index(row), names.index(column)) for row, column in self.system.jacobian]
        return {(names[i], names[j]): value for (i, j), value in zip(sorted(pattern), entries, strict=True)}


@cache
def compiled(expression: sympy.Expr) -> tuple[list[str], Any]:
    names = sorted(map(str, expression.free_symbols))
    return names, sympy.lambdify([parameter(name) for name in names], expression, "math")


def evaluated(expression: sympy.Expr, values: Mapping[str, float]) -> float:
    names, function = compiled(expression)
    return float(function(*(values[name] for name in names)))


@cache
def patient(seed: int) -> Moment:
    """A random patient at a random moment, under one product or two, with drugs in every second."""
    rng = np.random.default_rng((31, seed))
    system, typical = myeloma(None, TWO) if seed % 2 else myeloma(), read_catalogue().typical("ide_cel", "late_line")
    p = {name: typical[name.removesuffix("_2")] * rng.uniform(0.7, 1.4) for name in system.parameters}
    decades = [(-4, 0) if state is TIRED else DECADES[state.group] for state in system.states]
    y = [10 ** rng.uniform(low, high) for low, high in decades]
    x = [10 ** rng.uniform(-2, 0.5) * (seed % 4 < 2) for _ in system.inputs]
    return Moment(system, p, y, x)


SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_derivative_is_that_of_sympy(seed: int) -> None:
    moment, values = patient(seed), patient(seed).values
    right = np.array([evaluated(side, values) for side in moment.system.equations.values()])
    assert np.all(np.abs(moment.rhs() - right) <= AGREE * moment.scale())


@pytest.mark.parametrize("seed", SEEDS)
def test_observables_and_initial_values_are_those_of_sympy(seed: int) -> None:
    moment, values = patient(seed), patient(seed).values
    seen = moment.filled(3, "observe", moment.numbers, moment.c, moment.f, moment.y.tolist())
    np.testing.assert_allclose(seen, [values[name] for name in moment.system.observables], rtol=AGREE)
    start = moment.filled(0, "initial", moment.numbers, moment.c)
    np.testing.assert_allclose(start, [evaluated(state.initial, values) for state in moment.system.states], rtol=AGREE)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_jacobian_is_that_of_sympy(seed: int, exact_jacobian: Callable[..., np.ndarray]) -> None:
    moment, values = patient(seed), patient(seed).values
    place = {state.name: i for i, state in enumerate(moment.system.states)}
    scale, generated = moment.scale(), moment.jacobian()
    exact = exact_jacobian(moment.system, list(moment.p.values()), moment.x, moment.y)
    assert set(generated) == set(moment.system.jacobian)
    for (row, column), derivative in generated.items():
        error = abs(derivative - exact[place[row], place[column]])
        assert error <= AGREE * scale[place[row]] / values[column]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_jacobian_is_that_of_central_differences(seed: int) -> None:
    moment = patient(seed)
    names, found = [state.name for state in moment.system.states], moment.jacobian()
    for j, column in enumerate(names):
        step = 1e-5 * moment.y[j] * np.eye(len(names))[j]
        difference = (moment.rhs(moment.y + step) - moment.rhs(moment.y - step)) / (2 * step[j])
        exact = np.array([found.get((row, column), 0.0) for row in names])
        assert np.all(np.abs(difference - exact) <= 1e-8 * moment.scale() / moment.y[j])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_slope_is_what_moving_drug_levels_do(seed: int) -> None:
    moment = patient(seed)
    rate = np.random.default_rng((32, seed)).normal(size=len(moment.x))
    dx = [a * b for a, b in zip(rate, moment.x, strict=True)]

    def after(h: float) -> list[float]:
        return moment.forced([a + h * b for a, b in zip(moment.x, dx, strict=True)])

    df = moment.filled(2, "forcing_slope", moment.numbers, moment.c, moment.x, dx)
    forward, back = np.array(after(1e-5)), np.array(after(-1e-5))
    np.testing.assert_allclose(df, (forward - back) / 2e-5, rtol=1e-7, atol=1e-8 * np.abs(moment.f).max())
    slope = moment.filled(0, "slope", moment.numbers, moment.c, moment.f, df, moment.y.tolist())
    difference = (moment.rhs(f=after(1e-5)) - moment.rhs(f=after(-1e-5))) / 2e-5
    assert np.all(np.abs(slope - difference) <= 1e-8 * moment.scale())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("step", [1e-3, 0.1, 2.0])
def test_the_factors_solve_what_a_stiff_step_asks_for(seed: int, step: float) -> None:
    moment = patient(seed)
    names = [state.name for state in moment.system.states]
    matrix = np.eye(len(names)) / step
    for (row, column), value in moment.jacobian().items():
        matrix[names.index(row), names.index(column)] -= value
    slopes = moment.filled(6, "jacobian", moment.numbers, moment.c, moment.f, moment.y.tolist())
    right = np.random.default_rng(seed).normal(size=len(names)) * moment.y
    found = right.tolist()
    moment.run["solve"](moment.filled(7, "factor", slopes, [1 / step]), found)
    scaled = matrix * moment.y  # in units of the states, or twelve decades of cells hide everything else
    exact = np.zeros(len(names))
    for _ in range(3):  # numpy alone is off by up to 3e-9; residuals in longer numbers mend it
        exact += np.linalg.solve(scaled, np.asarray(right - scaled.astype(np.longdouble) @ exact, float))
    np.testing.assert_allclose(found / moment.y, exact, rtol=1e-9, atol=1e-11)


# small systems


def small(*flows: Flow, **changes: Any) -> System:
    """Two kinds of tumour cell and a balance that may be negative, under a drug."""
    parts: dict[str, Any] = {
        "name": "small", "states": (TUMOUR, RESISTANT, BALANCE), "quantities": (DIVISION,), "inputs": (DRUG,),
        "flows": flows, "observables": ("tumour", "balance"),
    }  # fmt: skip
    return System(**{**parts, **changes})


def at(system: System, y: Sequence[float] = (3.0, 5.0, -0.7), drug: float = 0.4, *, stiff: bool = True) -> Moment:
    draw = np.random.default_rng(5).uniform
    return Moment(system, {name: draw(0.2, 2.0) for name in system.parameters}, y, [drug], stiff=stiff)


T, R, B, D = TUMOUR.symbol, RESISTANT.symbol, BALANCE.symbol, DRUG.symbol
K, A = parameter("k_growth"), parameter("half_growth")
RATES = (
    K * T,
    K * saturating(T, A),
    K * sympy.sqrt(T) / (A + D),
    (T / A) ** parameter("hill_growth") * sympy.exp(-K * D),
    T * sympy.log(1 + T + R / A) * sympy.exp(-T / A) - K * R,
    T**3 / (A**2 + T**2) ** sympy.Rational(3, 2) - B**2 / (A + T) + 1 / sympy.sqrt(A + T),
    sympy.Max(T, R) * sympy.Min(K, A + D, 1),
    -K * T - A * T - sympy.pi * T / R + 2.5 * (T + R) / (A * (T + R) + D),
    parameter("k_production") * (1 + D),
    A ** (-T / K) * (K + D) ** (B * A),
)


@pytest.mark.parametrize("rate", RATES)
def test_any_smooth_rate_is_generated_as_it_is_written(rate: sympy.Expr) -> None:
    has_kinks = rate.has(sympy.Max, sympy.Min)
    moment = at(small(Flow("any", rate, TUMOUR, RESISTANT), observables=()), stiff=not has_kinks)
    right = evaluated(rate, moment.values)
    np.testing.assert_allclose(moment.rhs(), [-right, right, 0.0], rtol=AGREE)
    if not has_kinks:
        found, values = moment.jacobian(), moment.values
        for entry, derivative in moment.system.jacobian.items():
            assert found[entry] == pytest.approx(evaluated(derivative, values), rel=AGREE)


def test_a_kink_has_no_derivative_for_a_stiff_method() -> None:
    system = small(Flow("growth", sympy.Max(T, R), into=TUMOUR))
    assert at(system, stiff=False).rhs()[0] == pytest.approx(5.0)
    with pytest.raises(InputError, match="max has no derivative"):
        generate(system, stiff=True)


def test_a_function_that_the_engine_does_not_know_is_an_error() -> None:
    with pytest.raises(InputError, match=r"tanh\(tumour\).*not tanh"):
        generate(small(Flow("growth", sympy.tanh(T), into=TUMOUR)))


@pytest.mark.parametrize("gain", [parameter("gain"), 1 + D, T / (R + A), parameter("k_division") * sympy.exp(B)])
def test_a_gain_may_hold_anything_and_multiplies_only_what_arrives(gain: sympy.Expr) -> None:
    for rate in (K * T, K * T * R / (A + T)):
        moment = at(small(Flow("birth", rate, TUMOUR, RESISTANT, gain), observables=()))
        rate_now, gain_now = evaluated(rate, moment.values), evaluated(gain, moment.values)
        np.testing.assert_allclose(moment.rhs(), [-rate_now, gain_now * rate_now, 0.0], rtol=AGREE)


def test_a_quantity_used_once_and_one_used_often_mean_the_same() -> None:
    crowd = Quantity("crowd", "", "", 1 + T / parameter("capacity"), "c")
    once = small(Flow("growth", K * T / parameter("crowd"), into=TUMOUR), quantities=(DIVISION, crowd))
    often = small(*once.flows, Flow("more", R / parameter("crowd") ** 2, RESISTANT), quantities=(DIVISION, crowd))
    assert "v_crowd" not in generate(once).source
    assert "v_crowd" in generate(often).source
    assert at(once).rhs()[0] == pytest.approx(evaluated(once.flows[0].rate, at(once).values), rel=AGREE)


def test_a_signed_state_may_be_negative_and_others_count_as_zero_below_it() -> None:
    flows = (Flow("push", K * B, into=TUMOUR), Flow("pull", K * R, into=BALANCE))
    moment = at(small(*flows), (1.0, -2.0, -0.7))
    np.testing.assert_allclose(moment.rhs(), [moment.p["k_growth"] * -0.7, 0.0, 0.0], rtol=AGREE)
    assert moment.filled(3, "observe", moment.numbers, moment.c, moment.f, moment.y.tolist()) == [1.0, -0.7]


def branching(*flows: Flow) -> System:
    return small(*flows, branching=Branching((TUMOUR, RESISTANT), DIVISION))


GROWTH = (Flow("growth", (K - D * A) * T, into=TUMOUR), Flow("growth of resistant", 2 * K * R, into=RESISTANT))


def test_branching_rates_are_growth_less_loss_and_the_division_rate_comes_last() -> None:
    loss, turn = Flow("loss", A * T * R, TUMOUR), Flow("turn", parameter("k_turn") * T, TUMOUR, RESISTANT)
    shed = Flow("shedding", parameter("k_shedding") * R, RESISTANT, BALANCE)
    moment = at(branching(*GROWTH, loss, turn, shed))
    values = moment.values
    assert moment.sizes[4:6] == (2, 1)
    r, q = [math.nan] * 3, [math.nan]
    assert moment.run["branching_rates"](moment.numbers, moment.c, moment.f, moment.y.tolist(), r, q) is None
    net = (K - D * A - A * R, 2 * K - parameter("k_shedding"), DIVISION.expression)
    np.testing.assert_allclose(r, [evaluated(rate, values) for rate in net], rtol=AGREE)
    assert q == [values["k_turn"]]


def test_a_cell_that_becomes_several_as_it_moves_is_refused() -> None:
    for gain in (sympy.Integer(2), parameter("gain"), sympy.Float(0.5)):
        with pytest.raises(InputError, match=r"flow 'turn' from 'tumour' to 'resistant' has a gain of"):
            generate(branching(*GROWTH, Flow("turn", K * T, TUMOUR, RESISTANT, gain)))
    assert generate(branching(*GROWTH, Flow("turn", K * T, TUMOUR, RESISTANT, sympy.Float(1.0)))).source


def test_cells_that_arrive_from_what_is_not_followed_are_refused() -> None:
    with pytest.raises(InputError, match="flow 'waking' brings cells from 'balance' to 'tumour'"):
        generate(branching(*GROWTH, Flow("waking", K * B, BALANCE, TUMOUR)))


# sparse elimination written out: the right solution, and no more places than the pattern needs


Pattern = list[tuple[int, int]]

DENSE = list(product(range(6), repeat=2))
ARROW = sorted({(i, i) for i in range(8)} | {(0, i) for i in range(8)} | {(i, 0) for i in range(8)})
CHAIN = sorted({(i, j) for i in range(9) for j in range(9) if abs(i - j) <= 1})
CYCLE = sorted({*CHAIN, (0, 8), (8, 0)})
TRIANGLE = [(i, j) for i, j in product(range(7), repeat=2) if i >= j]


def run(lines: list[str], **arrays: list[float] | np.ndarray) -> None:
    exec("\n".join(lines), dict(arrays))


def solved(size: int, pattern: Pattern, values: np.ndarray, diagonal: float, right: np.ndarray) -> np.ndarray:
    """Solution of (diagonal I - J) b = right by the generated statements."""
    elimination = eliminate(size, pattern)
    factors, answer = np.full(len(elimination.places), np.nan), right.copy()
    run(factor_lines(elimination, pattern), j=values, g=[diagonal], m=factors)
    run(solve_lines(elimination), m=factors, b=answer)
    assert np.isfinite(factors).all(), "every place of the factors is filled"
    return answer


@pytest.mark.parametrize("pattern", [DENSE, ARROW, CHAIN, CYCLE, TRIANGLE, [(0, 1), (2, 0)]])
@pytest.mark.parametrize("seed", range(4))
def test_the_generated_solution_is_that_of_a_library(pattern: Pattern, seed: int) -> None:
    rng = np.random.default_rng((3, seed))
    size = 1 + max(map(max, pattern))
    values, right = rng.normal(size=len(pattern)), rng.normal(size=size)
    diagonal = 2.0 * size
    matrix = diagonal * np.eye(size)
    for (i, j), value in zip(pattern, values, strict=True):
        matrix[i, j] -= value
    found = solved(size, pattern, values, diagonal, right)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-12, atol=1e-14)


def test_an_arrow_is_eliminated_from_its_tip_without_fill_in() -> None:
    elimination = eliminate(8, ARROW)
    assert elimination.fill == 0
    assert len(elimination.places) == len(ARROW)
    assert 0 in elimination.order[-2:], "the hub comes when it has one neighbour left"


def test_chains_and_triangles_have_no_fill_in_and_a_cycle_has_little() -> None:
    assert eliminate(9, CHAIN).fill == 0
    assert eliminate(7, TRIANGLE).fill == 0
    assert eliminate(9, CYCLE).fill == 2 * (9 - 3)


def test_the_factors_hold_the_matrix_the_diagonal_and_what_fills_in() -> None:
    rng = np.random.default_rng(11)
    for _ in range(20):
        size = int(rng.integers(2, 12))
        pattern = [(i, j) for i, j in product(range(size), repeat=2) if rng.random() < 0.25]
        elimination = eliminate(size, pattern)
        assert sorted(elimination.order) == list(range(size))
        assert set(elimination.places) == filled_in(size, pattern, elimination)


def filled_in(size: int, pattern: Pattern, elimination: Elimination) -> set[tuple[int, int]]:
    """Places that elimination touches, found by playing it through on a boolean matrix."""
    seen = np.eye(size, dtype=bool)
    for place in pattern:
        seen[place] = True
    for k, pivot in enumerate(elimination.order):
        left = list(elimination.order[k + 1 :])
        for i in left:
            if seen[i, pivot]:
                seen[i, left] |= seen[pivot, left]
    assert elimination.fill == seen.sum() - len({*pattern, *((i, i) for i in range(size))})
    return {(int(i), int(j)) for i, j in np.argwhere(seen)}


def test_a_pivot_costs_one_division_and_nothing_else_divides() -> None:
    elimination = eliminate(8, ARROW)
    assert "\n".join(factor_lines(elimination, ARROW)).count("/") == 8
    assert "/" not in "\n".join(solve_lines(elimination))


def places_of(system: System) -> tuple[int, int]:
    """Places of the Jacobian, and of its factors, in the generated code."""
    space: dict[str, Any] = {"math": math}
    exec(equations(system, stiff=True).source, space)
    entries, factors = space["SIZES"][6:8]
    assert entries == len(system.jacobian)
    return entries, factors


def test_elimination_of_the_shipped_model_fills_in_next_to_nothing() -> None:
    for system in (myeloma(()), myeloma((), (CarTCourse(("GPRC5D",)),))):
        entries, factors = places_of(system)
        assert factors - entries <= 8
    entries, factors = places_of(myeloma())  # with every drug
    assert factors - entries < 0.02 * entries
