"""What a classical problem is: a system, its numbers, and the solution that was published for it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import sympy

from ..flow import Flow
from ..rates import parameter
from ..states import State
from ..system import System

TEST_SET = "Test Set for IVP Solvers (Mazzia and Magherini, release 2.4)"
BOOK = "Hairer and Wanner, Solving Ordinary Differential Equations II, IV.10"
IN_DOUBLE = (
    "there computed in double precision with RADAU, which holds fewer digits than are printed. "
    "Reference by `extended`: with 10^-16 and 10^-17 in each step it is the same in 14 digits"
)
IN_LONGER = (
    "there computed with RADAU5 in the longer numbers of a Cray C90. "
    "Confirmed by `extended` with 10^-16 and with 10^-17 in each step"
)


@dataclass(frozen=True, eq=False)
class Problem:
    """An initial value problem with a solution to compare with.

    Attributes
    ----------
    parameters : mapping of str to array (1,)
        Rate constants and initial values by name, as one virtual patient.
    until : float
        Where the solution is known, in the unit of time of the publication.
    reference : mapping of str to float
        Exact solution at `until`, rounded, by the name of the state (`extended` computes it).
    published : mapping of str to float
        The same as it was published; empty for problems of our own.
    digits : int
        Significant digits that both share in every state above its tolerance.
    source : str
        Where the problem and its solution were published, and how the reference was computed.
    """

    key: str
    title: str
    system: System
    parameters: Mapping[str, np.ndarray]
    until: float
    reference: Mapping[str, float]
    published: Mapping[str, float]
    digits: int
    source: str


def species(
    meanings: Mapping[str, str], unit: str, tolerance: float | Mapping[str, float], present: Iterable[str]
) -> dict[str, State]:
    """States by name; those `present` begin at the parameter `initial_NAME`, the others at zero."""
    there = set(present)
    return {
        name: State(
            name, unit, meaning, "species", parameter(f"initial_{name}") if name in there else sympy.Integer(0),
            tolerance[name] if isinstance(tolerance, Mapping) else tolerance, f"\\mathrm{{{name}}}".replace("_", "\\_"),
        )
        for name, meaning in meanings.items()
    }  # fmt: skip


def reaction(name: str, rate: sympy.Expr, taken: Sequence[State] = (), made: Sequence[State] = ()) -> tuple[Flow, ...]:
    """One flow for each molecule: what is taken becomes what is made, pair by pair; a catalyst is not listed."""
    return tuple(
        Flow(name if number == 1 else f"{name}, molecule {number}", rate, out_of, into)
        for number, (out_of, into) in enumerate(zip_longest(taken, made), start=1)
    )


def system_of(key: str, states: Iterable[State], flows: Iterable[Flow]) -> System:
    """System of these flows with all of its states as observables."""
    states = tuple(states)
    return System(key, states, (), (), tuple(flows), tuple(state.name for state in states))


def numbers(values: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Numbers by name as the parameters of one virtual patient: arrays of shape (1,)."""
    return {name: np.array([float(value)]) for name, value in values.items()}


def significant_digits(value: float, exact: float, tolerance: float = 0.0) -> float:
    """Number of significant digits of a value, at most sixteen.

    What has fallen below its tolerance needs no digits: it is right if it stays near there (16), and wrong if not (0).
    """
    if abs(exact) <= tolerance:
        return 16.0 if abs(value) <= 100.0 * tolerance else 0.0
    error = abs(value - exact) / abs(exact)
    return min(16.0, -math.log10(error)) if error > 0.0 else 16.0
