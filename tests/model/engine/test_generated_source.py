"""What the generated source is made of: nothing twice, nothing late, nothing the engine cannot read."""

import ast
import re
from functools import cache

import pytest
import sympy
from written import equations

from perdure.model.engine.codegen import generate
from perdure.model.myeloma import myeloma
from perdure.model.system.system import Flow, State, System, parameter
from perdure.model.therapy import read_therapies


@cache
def source_of(*, drugs: bool = True, stiff: bool = False) -> str:
    """Generated source of the shipped model, with every drug or with none."""
    return equations(myeloma() if drugs else myeloma(()), stiff=stiff).source


@cache
def functions(source: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def operations(function: ast.FunctionDef, *kinds: type[ast.operator]) -> list[str]:
    return [ast.unparse(n) for n in ast.walk(function) if isinstance(n, ast.BinOp) and isinstance(n.op, kinds)]


def touches(node: ast.AST, *arrays: str) -> bool:
    """Does an expression hold an element of one of these arrays, or a local?"""
    inside = [n.value for n in ast.walk(node) if isinstance(n, ast.Subscript)]
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n not in inside and n.id not in ("math", "max")]
    return bool(names) or any(ast.unparse(array) in arrays for array in inside)


@pytest.mark.parametrize(
    ("function", "arrays"),
    [("rhs", "y"), ("observe", "y"), ("branching_rates", "y"), ("forcing", "x"), ("jacobian", "yf")],
)
def test_nothing_is_computed_later_than_it_could_be(function: str, arrays: str) -> None:
    tree = functions(source_of(stiff=True))[function]
    late = [n for n in ast.walk(tree) if isinstance(n, ast.BinOp) and not touches(n, *arrays)]
    assert not [ast.unparse(node) for node in late]


ONE_COURSE = 7
"""Divisions: antigen, killing, expansion, rejection, fitness, immunity, suppression."""


def test_the_equations_divide_as_rarely_as_they_can() -> None:
    tree = functions(source_of(drugs=False))
    assert len(operations(tree["rhs"], ast.Div)) == ONE_COURSE
    room, crowd = sorted(operations(tree["rhs"], ast.Pow))  # of the tumour, and of the lymphocytes
    assert re.fullmatch(r"\(\(p\[\d+\] \+ v_tumour\) \* c\[\d+\]\) \*\* p\[\d+\]", room)
    assert re.fullmatch(r"\(s_host \* c\[\d+\]\) \*\* p\[\d+\]", crowd)
    assert len(operations(tree["rhs"], ast.Mult)) < 100
    assert not operations(tree["exchange"], ast.Div, ast.Pow)


def test_a_drug_costs_a_division_only_where_its_effect_depends_on_the_patient() -> None:
    attacks = [attack for drug in read_therapies() for attack in drug.attacks]
    redirected = sum(attack.means == "redirected" for attack in attacks)  # its antigen, and the T cells that it needs
    bound = sum(bool(attack.number("half_binding")) for attack in attacks)  # what is free, and what that occupies
    escaped = any(attack.antigens and attack.number("resistant") for attack in attacks)  # reach: load over tumour
    tree = functions(source_of())
    assert redirected >= 5
    assert bound >= 4
    assert len(operations(tree["rhs"], ast.Div)) == ONE_COURSE + 2 * redirected + 2 * bound + escaped
    assert len(operations(tree["rhs"], ast.Pow)) == 2 + bound
    assert not operations(tree["exchange"], ast.Div, ast.Pow)


def test_no_value_is_computed_twice_for_a_patient() -> None:
    lines = ast.unparse(functions(source_of(stiff=True))["constants"]).splitlines()
    values = [line.partition(" = ")[2] for line in lines[1:]]
    assert len(values) == len(set(values)) > 40


@pytest.mark.parametrize("stiff", [False, True])
def test_the_source_stays_within_what_the_engine_can_compile(stiff: bool) -> None:
    allowed = (
        ast.Assign, ast.AugAssign, ast.Pass, ast.arguments, ast.arg, ast.Name, ast.Subscript, ast.Constant, ast.BinOp,
        ast.UnaryOp, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.Call, ast.Attribute, ast.expr_context,
        ast.FunctionDef,
    )  # fmt: skip
    source = source_of(stiff=stiff)
    for name, function in functions(source).items():
        for node in ast.walk(function):
            assert isinstance(node, allowed), (name, ast.dump(node))
            if isinstance(node, ast.Subscript):
                assert isinstance(node.slice, ast.Constant)
                assert isinstance(node.slice.value, int)
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) in {"math.exp", "math.log", "math.sqrt", "max", "min"}
    implicit = {"jacobian", "forcing_slope", "slope", "factor", "solve"}
    assert bool(implicit & set(functions(source))) == stiff
    assert source == generate(myeloma(), stiff=stiff).source


def rhs_of(*rates: sympy.Expr) -> str:
    """Right-hand side of two states between which these rates flow."""
    one, other = (State(name, "cell", "", "tumour", sympy.Integer(1), 0.01, name) for name in ("one", "other"))
    flows = tuple(Flow(f"flow {i}", rate, one, other) for i, rate in enumerate(rates))
    return ast.unparse(functions(generate(System("two", (one, other), (), (), flows, ())).source)["rhs"])


def test_a_flow_between_two_states_stands_once() -> None:
    one, other = parameter("one"), parameter("other")
    source = rhs_of(parameter("k_loss") * one * other / (parameter("half") + one))
    assert source.count("/") == 1
    assert source.endswith("dy[0] = -flow_0\n    dy[1] = flow_0")


def test_first_order_flows_become_one_coefficient() -> None:
    one = parameter("one")
    source = rhs_of(parameter("k_a") * one, parameter("k_b") * parameter("k_c") * one, 0.3 * one)
    assert source.endswith("dy[0] = -s_one * c[0]\n    dy[1] = s_one * c[0]")


def test_functions_and_powers_of_parameters_are_not_left_to_the_states() -> None:
    a, b = parameter("a"), parameter("b")
    source = rhs_of(sympy.exp(a) * parameter("one") ** (a + b) * sympy.log(parameter("one") + a**b))
    assert "exp" not in source
    assert source.count("**") == 1
    assert source.count("c[") == 3


def test_a_sum_inside_a_longer_sum_is_added_up_once() -> None:
    for system, cells in ((myeloma(()), "s_tumour_3 + s_tumour_4"), (myeloma(), "s_tumour_3_1 + s_tumour_3_2")):
        lines = ast.unparse(functions(equations(system, stiff=False).source)["rhs"]).splitlines()
        assert sum(cells in line for line in lines) == 1
