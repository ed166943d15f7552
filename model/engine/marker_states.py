"""Which states of a system are markers: produced in proportion to others, lost at a constant rate, needed by nobody.

Serum proteins that tell of a tumour are of this kind. They are often the fastest states that remain late in a course,
and would then decide the step of an explicit method although nothing depends on them; so their equation is solved
exactly instead (`markers`).
"""

from dataclasses import dataclass
from typing import Any

import sympy

from ..states import State
from ..system import System


@dataclass(frozen=True)
class Marker:
    """y' = production - loss y, the production a sum of parameters times other states."""

    place: int
    state: State
    production: sympy.Expr
    loss: sympy.Expr


def find_markers(system: System) -> tuple[Marker, ...]:
    """The markers of a system, in the order of its states."""
    needed = {state.name: system.ancestors(system.equations[state.name]) for state in system.states}
    followed = system.branching.states if system.branching else ()
    whole: dict[sympy.Basic, Any] = {}
    for quantity in system.quantities:
        whole[quantity.symbol] = quantity.expression.xreplace(whole)
    found = []
    for place, state in enumerate(system.states):
        others = (names for name, names in needed.items() if name != state.name)
        if state in followed or any(state.name in names for names in others):
            continue
        equation: Any = system.equations[state.name].xreplace(whole)
        marker = _as_marker(system, place, state, equation)
        if marker is not None:
            found.append(marker)
    return tuple(found)


def _as_marker(system: System, place: int, state: State, equation: Any) -> Marker | None:
    states = [other.symbol for other in system.states]
    late = {*states, *(put.symbol for put in system.inputs)}
    coefficients = {symbol: sympy.diff(equation, symbol) for symbol in states if equation.has(symbol)}
    if any(value.free_symbols & late for value in coefficients.values()) or state.symbol not in coefficients:
        return None
    linear = sympy.Add(*(value * symbol for symbol, value in coefficients.items()))
    if sympy.expand(equation - linear) != 0:  # something is produced whatever the states are, or by a drug
        return None
    loss = -coefficients.pop(state.symbol)
    return Marker(place, state, sympy.Add(*(value * symbol for symbol, value in coefficients.items())), loss)
