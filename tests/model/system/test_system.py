"""What holds for every system of flows, and for the shipped one in particular."""

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy
from written import equations

from perdure.model.car_t_course import CarTCourse
from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.processes.host import TIRED
from perdure.model.system.latex import equation_latex, equations_latex
from perdure.model.system.system import Flow, Quantity, State, System, parameter, saturating
from perdure.parameters.errors import InputError, UnknownNameError

ZERO = sympy.Integer(0)
TUMOUR = State("tumour", "cell", "tumour", "tumour", parameter("tumour_baseline"), 0.01, "T")
EFFECTOR = State("effector", "cell/uL", "effector cells", "CAR-T", ZERO, 1e-7, "E")
MEMORY = State("memory", "cell/uL", "memory cells", "CAR-T", ZERO, 1e-7, "M")
GROWTH = Flow("growth", parameter("k_growth") * TUMOUR.symbol, into=TUMOUR)
KILLING = Flow(
    "killing", parameter("k_kill") * saturating(EFFECTOR.symbol, parameter("half_kill")) * TUMOUR.symbol, out_of=TUMOUR
)
FORMATION = Flow("memory formation", parameter("k_memory") * EFFECTOR.symbol, out_of=EFFECTOR, into=MEMORY)


def small(*flows: Flow, quantities: tuple[Quantity, ...] = (), **changes: Any) -> System:
    """A tumour, effector and memory cells, and these flows."""
    parts: dict[str, Any] = {
        "name": "small", "states": (TUMOUR, EFFECTOR, MEMORY), "quantities": quantities, "inputs": (), "flows": flows,
        "observables": ("tumour",),
    }  # fmt: skip
    return System(**{**parts, **changes})


# what a flow is


def test_a_flow_without_an_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="'nowhere' has neither an origin nor a destination"):
        Flow("nowhere", TUMOUR.symbol)


def test_what_leaves_one_state_reaches_the_other() -> None:
    equations = small(FORMATION).equations
    assert equations["effector"] + equations["memory"] == 0
    assert equations["effector"] == -parameter("k_memory") * EFFECTOR.symbol
    assert equations["tumour"] == 0


def test_a_gain_multiplies_what_arrives_and_not_what_leaves() -> None:
    recall = Flow(
        "recall", parameter("k_memory") * MEMORY.symbol, out_of=MEMORY, into=EFFECTOR,
        gain=parameter("effectors_per_recall"),
    )  # fmt: skip
    equations = small(recall).equations
    assert equations["memory"] == -recall.rate
    assert equations["effector"] == parameter("effectors_per_recall") * recall.rate


def test_the_shipped_flows_conserve_what_they_move() -> None:
    for flow in myeloma().flows:
        alone = System("one flow", myeloma().states, myeloma().quantities, myeloma().inputs, (flow,), ())
        total = sympy.expand(sympy.Add(*alone.equations.values()))
        made = sympy.expand((flow.gain if flow.into else 0) * flow.rate - (flow.rate if flow.out_of else 0))
        assert total == made, flow.name
        assert flow.name == "memory recall" or flow.gain == 1


def test_equations_are_the_sum_of_their_flows() -> None:
    system = myeloma()
    for state in system.states:
        arriving = [flow.gain * flow.rate for flow in system.flows if flow.into == state]
        leaving = [flow.rate for flow in system.flows if flow.out_of == state]
        assert sympy.expand(system.equations[state.name] - sum(arriving) + sum(leaving)) == 0


def drift_of(system: System, antigen: str) -> tuple[Flow, ...]:
    ways = (f"{antigen} rises from ", f"{antigen} falls from ")
    return tuple(flow for flow in system.flows if flow.name.startswith(ways))


def test_density_drifts_by_one_class_of_one_antigen_at_a_time() -> None:
    up, down = ({f"BCMA {way} from tumour_{k}" for k in places} for way, places in (
        ("rises", range(1, 7)), ("falls", range(2, 8)),
    ))  # fmt: skip
    assert {flow.name for flow in drift_of(myeloma(()), "BCMA")} == up | down
    assert len(drift_of(myeloma(), "BCMA")) == 12 * 6, "in every class of GPRC5D, and without it"
    assert len(drift_of(myeloma(), "GPRC5D")) == 8 * 8
    for flow in (*drift_of(myeloma(), "BCMA"), *drift_of(myeloma(), "GPRC5D")):
        ends = [end.name.removeprefix("tumour_").split("_") for end in (flow.out_of, flow.into) if end]
        assert [abs(int(a) - int(b)) for a, b in zip(*ends, strict=True) if a != b] == [1]


@pytest.mark.parametrize("antigen", ["BCMA", "GPRC5D"])
def test_drift_of_the_density_makes_and_kills_no_cells(antigen: str) -> None:
    drift = drift_of(myeloma(), antigen)
    alone = System("drift", myeloma().states, myeloma().quantities, myeloma().inputs, drift, ())
    left = sympy.Add(*alone.equations.values()).as_coefficients_dict()
    assert max(map(abs, left.values()), default=0) < 1e-15


# what a system refuses


def test_a_name_stands_once() -> None:
    with pytest.raises(InputError, match="'tumour' is used 2 times"):
        small(quantities=(Quantity("tumour", "cell", "again", TUMOUR.symbol, "T"),))


def test_a_quantity_builds_only_on_what_stands_before_it() -> None:
    first = Quantity("first", "cell", "", parameter("second"), "a")
    second = Quantity("second", "cell", "", TUMOUR.symbol, "b")
    assert small(quantities=(second, first)).quantities == (second, first)
    with pytest.raises(InputError, match="'first' builds on 'second', which stands after it"):
        small(quantities=(first, second))
    itself = Quantity("itself", "cell", "", 2 * parameter("itself"), "c")
    with pytest.raises(InputError, match="'itself' builds on 'itself'"):
        small(quantities=(itself,))


def test_a_flow_to_a_state_that_is_not_there_is_an_error() -> None:
    stranger = State("memry", "cell/uL", "", "CAR-T", ZERO, 1e-7, "M")
    flow = Flow("lost", parameter("k_memory") * EFFECTOR.symbol, out_of=EFFECTOR, into=stranger)
    with pytest.raises(UnknownNameError, match=r"flow 'lost'.*'memry'.*'memory'"):
        small(flow)


def test_an_observable_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match=r"'tumor'.*'tumour'"):
        small(GROWTH, observables=("tumor",))


def test_a_quantity_is_found_by_name_or_named_near() -> None:
    assert myeloma().quantity("kill_pressure").unit == "1/day"
    with pytest.raises(UnknownNameError, match=r"'kil_pressure'.*'kill_pressure'"):
        myeloma().quantity("kil_pressure")


# derivatives


@cache
def code() -> dict[str, Any]:
    """The generated functions of the shipped model, as plain Python."""
    space: dict[str, Any] = {"math": math}
    exec(equations(myeloma(), stiff=False).source, space)
    return space


@cache
def slopes(seed: int) -> tuple[np.ndarray, np.ndarray, list[float], list[float]]:
    """A random state of a typical patient, finite-difference derivatives there, and parameters and inputs."""
    rng = np.random.default_rng((7, seed))
    system, run = myeloma(), code()
    typical = read_catalogue().typical("ide_cel", "late_line")
    p = [typical[name] * rng.uniform(0.7, 1.4) for name in system.parameters]
    decades = {"tumour": (6, 11), "tumour composition": (-3, 0), "CAR-T": (-2, 2), "host": (-1, 2), "biomarker": (0, 1)}
    ranges = [(-3, 0) if state is TIRED else decades[state.group] for state in system.states]
    y = np.array([10 ** rng.uniform(low, high) for low, high in ranges])
    x = [10 ** rng.uniform(-2, 0.5) for _ in system.inputs]
    c, f = np.zeros(run["SIZES"][1]), np.zeros(run["SIZES"][2])
    run["constants"](p, c)
    run["forcing"](p, c, x, f)

    def slope(at: np.ndarray) -> np.ndarray:
        dy = np.zeros(len(at))
        run["rhs"](p, c, f, at, dy)
        return dy

    differences = np.zeros((len(y), len(y)))
    for j in range(len(y)):
        step = np.zeros(len(y))
        step[j] = y[j] * 1e-5
        differences[:, j] = (slope(y + step) - slope(y - step)) / (2 * step[j])
    return y, differences, p, x


@pytest.mark.parametrize("seed", range(6))
def test_the_jacobian_is_that_of_finite_differences(seed: int, exact_jacobian: Callable[..., np.ndarray]) -> None:
    y, differences, p, x = slopes(seed)
    exact = exact_jacobian(myeloma(), p, x, y)
    scale = (np.abs(exact) @ y)[:, None] / y[None, :]
    assert np.all(np.abs(exact - differences) <= 1e-8 * scale)


@pytest.mark.parametrize("seed", range(6))
def test_the_jacobian_names_every_derivative_that_is_not_zero(
    seed: int, exact_jacobian: Callable[..., np.ndarray]
) -> None:
    y, differences, p, x = slopes(seed)
    scale = (np.abs(exact_jacobian(myeloma(), p, x, y)) @ y)[:, None] / y[None, :]
    seen = np.abs(differences) > 1e-8 * scale
    assert seen.sum() > 100
    states = [state.name for state in myeloma().states]
    named = np.array([[(row, column) in myeloma().jacobian for column in states] for row in states])
    assert not np.any(seen & ~named)
    assert not named.all()


def test_the_jacobian_runs_through_quantities() -> None:
    square = Quantity("square", "", "", EFFECTOR.symbol**2, "q")
    twice = Quantity("twice", "", "", 3 * parameter("square") + MEMORY.symbol, "r")
    flow = Flow("growth", parameter("twice") * TUMOUR.symbol, into=TUMOUR)
    entries = small(flow, quantities=(square, twice)).jacobian
    assert entries["tumour", "effector"] == 6 * EFFECTOR.symbol * TUMOUR.symbol
    assert entries["tumour", "memory"] == TUMOUR.symbol
    assert set(entries) == {("tumour", "tumour"), ("tumour", "effector"), ("tumour", "memory")}


# names and print


def test_flows_with_finds_what_a_name_reaches_directly_or_through_quantities() -> None:
    def found(name: str) -> set[str]:
        return {flow.name for flow in myeloma().flows_with(name)}

    assert found("k_death_memory") == {"death of memory"}
    killing = {flow.name for flow in myeloma().flows if flow.name.startswith("killing of")}
    lines = {line.name for line in myeloma().branching.states}  # type: ignore[union-attr]
    assert killing == {f"killing of {name}" for name in lines}
    assert len(lines) == 8 * 6
    assert found("k_kill_max") == {name for name in killing if "_null_" not in name}, "cells against BCMA"
    assert found("hill_competition_host") == {"expansion", "loss of fitness"}
    assert {"exhaustion", "expansion", "memory formation", "killing of tumour_4_2"} <= found("density_bcma")
    assert found("effectors_per_recall") == {"memory recall"}
    assert found("flc_baseline") == set()


def test_the_printed_equations_name_every_state_and_close_every_brace() -> None:
    system = myeloma()
    symbols = {name: read_catalogue()[name].symbol for name in system.parameters}
    text = equations_latex(system, symbols)
    for state in system.states:
        assert f"\\frac{{d {state.latex}}}{{dt}} &= " in text
    for quantity in system.quantities:
        assert f"{quantity.latex} &= " in text
    for line in text.splitlines():
        assert re.sub(r"[^{}]", "", line).count("{") == line.count("}")
        assert line.count("\\left(") == line.count("\\right)")
    assert text == equations_latex(system, symbols)
    assert not re.search(r"\d\.\d{6}", text)
    assert "mathrm{k\\_" not in text


def test_one_equation_reads_like_the_paper() -> None:
    symbols = {"k_growth": "k_g", "k_kill": "k_k", "half_kill": "K_E"}
    system = small(GROWTH, KILLING, FORMATION)
    assert equation_latex(system, "tumour", symbols) == "\\frac{d T}{dt} = k_g T - \\frac{E k_k T}{E + K_E}"
    assert equation_latex(system, "memory") == "\\frac{d M}{dt} = E \\mathrm{k\\_memory}"
    assert equation_latex(myeloma(), "antigen_stimulus", {"half_antigen": "K_A"}) == "A = \\frac{\\Phi}{\\Phi + K_A}"
    with pytest.raises(UnknownNameError, match="'tumor'"):
        equation_latex(system, "tumor")


# who is attacked


def killed(*antigens: str) -> dict[str, sympy.Expr]:
    """Killing of every cell line, by name, by cells that see these antigens; of lines that nobody kills, none."""
    flows = myeloma((), (CarTCourse(antigens),)).flows
    return {flow.out_of.name: flow.rate for flow in flows if flow.out_of and flow.name.startswith("killing of")}


def test_an_attack_on_bcma_spares_bcma_null_cells_alone() -> None:
    assert set(killed("BCMA")) == {f"tumour_{k}" for k in range(1, 8)}, "null_bcma is not among them"


def test_an_attack_on_gprc5d_spares_gprc5d_null_cells_and_reaches_bcma_null_cells() -> None:
    reached = killed("GPRC5D")
    assert set(reached) == {f"tumour_{b}_{g}" for b in [*range(1, 8), "null"] for g in range(1, 6)}
    for g in range(1, 6):
        rates = {reached[f"tumour_{b}_{g}"] / parameter(f"tumour_{b}_{g}") for b in [*range(1, 8), "null"]}
        assert len(rates) == 1, "how much BCMA they carry does not matter"


def test_cells_that_see_two_antigens_spare_only_those_without_both() -> None:
    both = killed("BCMA", "GPRC5D")
    assert len(both) == 8 * 6 - 1
    assert "tumour_null_null" not in both
    assert {"tumour_1_null", "tumour_null_1"} <= set(both)


def test_an_antigen_that_is_never_lost_leaves_no_cell_alone() -> None:
    assert set(killed("BCMA", "CD19")) == {*(f"tumour_{k}" for k in range(1, 8)), "null_bcma"}
