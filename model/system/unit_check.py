"""The dimension of every flow, quantity and initial value, checked once when the model is loaded."""

from collections.abc import Callable, Mapping

import sympy

from ...parameters.errors import UnitError, unknown
from ...parameters.units import Unit, raised, read_unit, same_unit, show_unit
from .system import System

_NONE = read_unit("")


def check_units(system: System, parameter_units: Mapping[str, str]) -> None:
    """Check every flow, quantity and initial value of a system.

    Each must come out in exactly its own unit (a hidden factor such as 1/hour for 1/day is an error), sums must
    add like to like, and arguments of exp and log, exponents, and bases of real powers must be dimensionless.

    Raises
    ------
    UnitError
        Naming the flow, what was found, and what it should have been.
    UnknownNameError
        If the system uses a parameter that is not among `parameter_units`.
    """
    units: dict[str, Unit] = {}
    for variable in (*system.states, *system.inputs):
        units[variable.name] = read_unit(variable.unit, variable.name)
    for name in system.parameters:
        if name not in parameter_units:
            raise unknown("parameter", name, parameter_units, f"system '{system.name}'")
        units[name] = read_unit(parameter_units[name], name)
    for quantity in system.quantities:
        units[quantity.name] = read_unit(quantity.unit, quantity.name)
    for quantity in system.quantities:
        _expect(quantity.expression, units, units[quantity.name], f"quantity '{quantity.name}'")
    for state in system.states:
        _expect(state.initial, units, units[state.name], f"initial value of '{state.name}'")
    per_day = read_unit("1/day")
    for flow in system.flows:
        where = f"flow '{flow.name}'"
        if flow.out_of is not None:
            _expect(flow.rate, units, units[flow.out_of.name] * per_day, where)
        if flow.into is not None:
            _expect(flow.gain * flow.rate, units, units[flow.into.name] * per_day, where)


def _expect(expression: sympy.Expr, units: Mapping[str, Unit], right: Unit, where: str) -> None:
    if expression == 0:
        return
    unit = unit_of(expression, units, where)
    if not same_unit(unit, right):
        raise UnitError(f"{where} has unit {_show(unit)}, and should have {_show(right)}.")


def unit_of(expression: sympy.Basic, units: Mapping[str, Unit], where: str = "") -> Unit:
    """Unit of an expression, given the units of its symbols."""
    if expression.is_Number or isinstance(expression, sympy.NumberSymbol):
        return _NONE
    if expression.is_Symbol:
        return units[str(expression)]
    if isinstance(expression, sympy.Add):
        return _of_sum(expression, units, where)
    if isinstance(expression, sympy.Mul):
        result = _NONE
        for part in expression.args:
            result = result * unit_of(part, units, where)
        return result
    if isinstance(expression, sympy.Pow):
        return _of_power(expression, units, where)
    if isinstance(expression, sympy.Function):
        for argument in expression.args:
            _plain(argument, units, f"{where}: argument of {expression.func.__name__}")
        return _NONE
    raise UnitError(f"{where}: the unit of {expression} cannot be found; use sums, products, powers and functions.")


def _of_sum(expression: sympy.Add, units: Mapping[str, Unit], where: str) -> Unit:
    # A bare number in a sum (the 1 of 1 + x) is dimensionless; zero-valued terms do not occur in sympy sums.
    parts = [(part, unit_of(part, units, where)) for part in expression.args]
    first = parts[0][1]
    for part, unit in parts[1:]:
        if not same_unit(unit, first):
            raise UnitError(
                f"{where}: {part} has unit {_show(unit)}, and is added to {parts[0][0]}, which has {_show(first)}."
            )
    return first


def _of_power(expression: sympy.Pow, units: Mapping[str, Unit], where: str) -> Unit:
    base, exponent = expression.args
    unit = unit_of(base, units, where)
    if exponent.is_Rational:
        return raised(unit, float(exponent))
    _plain(exponent, units, f"{where}: exponent of {base}")
    _plain(base, units, f"{where}: base of a real power")
    return _NONE


def _plain(expression: sympy.Basic, units: Mapping[str, Unit], where: str) -> None:
    unit = unit_of(expression, units, where)
    if not same_unit(unit, _NONE):
        raise UnitError(f"{where} ({expression}) has unit {_show(unit)}, and should be dimensionless.")


_show: Callable[[Unit], str] = lambda unit: show_unit(unit) or "no unit"  # noqa: E731
