"""A chain of three compartments with a constant input: linear, so the solution is the matrix exponential."""

import numpy as np
import sympy
from scipy.linalg import expm

from ..flow import Flow
from ..rates import parameter
from ..states import State
from .problem import Problem, numbers, system_of

NUMBERS = {"input": 2.0, "k_12": 1.5, "k_21": 0.4, "k_23": 0.9, "k_3": 0.6, "initial_first": 1.0}


def compartments() -> Problem:
    """Input into the first of three compartments, exchange with the second, transfer to the third, loss from there."""
    first = State("first", "mg", "first compartment", "compartments", parameter("initial_first"), 1e-12, "A_1")
    second = State("second", "mg", "second compartment", "compartments", sympy.Integer(0), 1e-12, "A_2")
    third = State("third", "mg", "third compartment", "compartments", sympy.Integer(0), 1e-12, "A_3")
    flows = (
        Flow("input", parameter("input"), into=first),
        Flow("first to second", parameter("k_12") * first.symbol, first, second),
        Flow("second to first", parameter("k_21") * second.symbol, second, first),
        Flow("second to third", parameter("k_23") * second.symbol, second, third),
        Flow("loss", parameter("k_3") * third.symbol, third),
    )
    until = 4.0
    amounts = compartments_exact(until)
    return Problem(
        key="compartments",
        title="Three compartments with a constant input",
        system=system_of("compartments", (first, second, third), flows),
        parameters=numbers(NUMBERS),
        until=until,
        reference=dict(zip(("first", "second", "third"), map(float, amounts), strict=True)),
        published={},
        digits=14,
        source="Exponential of the matrix of rates.",
    )


def compartments_exact(time: float) -> np.ndarray:
    """Amounts at a time: array (3,). The input is a fourth compartment that stays at one."""
    k = NUMBERS
    rates = np.array([
        [-k["k_12"], k["k_21"], 0.0, k["input"]],
        [k["k_12"], -k["k_21"] - k["k_23"], 0.0, 0.0],
        [0.0, k["k_23"], -k["k_3"], 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ])  # fmt: skip
    return (expm(rates * time) @ np.array([k["initial_first"], 0.0, 0.0, 1.0]))[:3]
