"""The equations as a paper would print them, written from the system and never by hand."""

import re
from collections.abc import Mapping
from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter

from .system import State, System, parameter

_DIGITS = 4


def equations_latex(system: System, symbols: Mapping[str, str] | None = None) -> str:
    """All equations of a system in an `aligned` block: quantities first, in their order, then one ODE per state.

    Parameters
    ----------
    symbols
        LaTeX symbol of each parameter, by name, as the catalogue gives it; a parameter without one is printed by
        its name.
    """
    names = _names(system, symbols or {})
    lines = [f"{quantity.latex} &= {_print(quantity.expression, names)}" for quantity in system.quantities]
    lines += [_ode(system, state, names) for state in system.states]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def equation_latex(system: System, name: str, symbols: Mapping[str, str] | None = None) -> str:
    """Equation of one state or quantity, without alignment mark.

    Raises
    ------
    UnknownNameError
        If the system has neither a state nor a quantity of that name.
    """
    names = _names(system, symbols or {})
    for state in system.states:
        if state.name == name:
            return _ode(system, state, names).replace(" &= ", " = ")
    quantity = system.quantity(name)
    return f"{quantity.latex} = {_print(quantity.expression, names)}"


def _names(system: System, symbols: Mapping[str, str]) -> dict[sympy.Basic, str]:
    names: dict[sympy.Basic, str] = {}
    names |= {parameter(name): symbols.get(name) or _plain(name) for name in system.parameters}
    names |= {variable.symbol: variable.latex for variable in (*system.states, *system.quantities, *system.inputs)}
    return names


def _plain(name: str) -> str:
    """A name in upright letters."""
    return "\\mathrm{" + name.replace("_", "\\_") + "}"


def _ode(system: System, state: State, names: Mapping[sympy.Basic, str]) -> str:
    """One term per flow, in the order of the flows, so that every mechanism can be found again."""
    terms: list[str] = []
    for flow in system.flows:
        if flow.out_of == state:
            terms.append(_print(-flow.rate, names))
        if flow.into == state:
            terms.append(_print(flow.gain * flow.rate, names))
    text = terms[0] if terms else "0"
    for term in terms[1:]:
        text += f" - {term[1:].lstrip()}" if term.startswith("-") else f" + {term}"
    return f"\\frac{{d {state.latex}}}{{dt}} &= {text}"


class _Printer(LatexPrinter):
    """Prints what is added before what is taken away: 1 - A, not -A + 1."""

    def _as_ordered_terms(self, expr: sympy.Expr, order: str | None = None) -> list[Any]:
        terms: list[Any] = list(super()._as_ordered_terms(expr, order))
        return sorted(terms, key=lambda term: term.could_extract_minus_sign())


def _print(expression: sympy.Expr, names: Mapping[sympy.Basic, str]) -> str:
    """LaTeX of an expression; numbers of the grid are rounded for reading."""
    short = expression.xreplace({number: _rounded(number) for number in expression.atoms(sympy.Float)})
    used = {symbol: names[symbol] for symbol in expression.free_symbols}
    printer = _Printer({"symbol_names": used, "ln_notation": True})
    return re.sub(r"\s+", " ", printer.doprint(short))


def _rounded(number: sympy.Float) -> sympy.Expr:
    text = f"{float(number):.{_DIGITS}g}"
    return sympy.Integer(int(float(text))) if float(text).is_integer() else sympy.Float(text, _DIGITS)
