"""The one pint registry: units are read and checked here, and only floats leave.

Time is in days everywhere inside; all other units are kept as written, because the unit check of the
model demands that every flow comes out in exactly the unit of its state per day (no hidden factor).
"""

import math
import re
from functools import lru_cache

import pint

from .errors import RangeError, UnitError

DAYS_PER_MONTH = 30.4375
"""One month in days (365.25 / 12), the convention for every median and rate in months."""

_registry = pint.UnitRegistry(autoconvert_to_preferred=False)
_registry.define("cell = [cell] = cell = cells")
_registry.define("molecule = [molecule] = molecule = molecules")
_registry.define(f"calendar_month = {DAYS_PER_MONTH} * day = month")

Unit = pint.Unit
"""A unit that has been read; supports `*`, `/` and `**`."""


_DIMENSIONLESS = {"", "-", "1", "dimensionless", "fraction"}
_SPELLINGS = ((re.compile(r"\bmm3\b"), "mm**3"), (re.compile(r"\bmonths?\b"), "calendar_month"))


@lru_cache(maxsize=1024)
def read_unit(text: str, where: str = "") -> Unit:
    """Read a unit such as '1/day', 'cell/uL', 'month' or '' (dimensionless).

    Raises
    ------
    UnitError
        If the text is not a unit.
    """
    written = (text or "").strip()
    if written in _DIMENSIONLESS:
        return _registry.Unit("")
    for pattern, spelling in _SPELLINGS:
        written = pattern.sub(spelling, written)
    try:
        return _registry.Unit(written)
    except Exception as problem:  # pint raises many kinds, tokenizer errors included
        place = f"{where}: " if where else ""
        raise UnitError(
            f"{place}'{text}' is not a unit ({problem}). Write for example '1/day', 'cell/uL', 'mg' or 'month'."
        ) from None


@lru_cache(maxsize=1024)
def in_days(text: str, where: str = "") -> str:
    """Same unit with every unit of time replaced by days: 'L/hour' becomes 'L/day'."""
    result = _registry.Unit("")
    for name, power in read_unit(text, where)._units.items():
        part = _registry.Unit(name)
        result = result * (_registry.Unit("day") if part.dimensionality == {"[time]": 1} else part) ** power
    return show_unit(result)


@lru_cache(maxsize=1024)
def show_unit(unit: Unit) -> str:
    """Short text of a unit that `read_unit` reads back: 'cell/uL', '1/day'."""
    text = f"{unit:~C}".replace("µl", "uL").replace("µL", "uL")
    return re.sub(r"\bl\b", "L", re.sub(r"\bd\b", "day", text))


def same_unit(unit: Unit, other: Unit) -> bool:
    """Whether two units are equal with a factor of exactly one (1/day and 1/hour are not)."""
    if unit.dimensionality != other.dimensionality:
        return False
    return math.isclose(factor(unit, other), 1.0, rel_tol=1e-12)


def factor(unit: Unit, to: Unit) -> float:
    """Number by which a value in `unit` is multiplied to be in `to`."""
    return float(_registry.Quantity(1.0, unit).to(to).magnitude)


def dimension(unit: Unit) -> str:
    """Readable dimension, for messages."""
    return str(unit.dimensionality) if unit.dimensionality else "dimensionless"


def raised(unit: Unit, power: float) -> Unit:
    """A unit to a power."""
    return _registry.Unit("") if power == 0 else _registry.Unit(unit**power)


def convert(value: float, unit: str, to: str, where: str = "") -> float:
    """Convert a number from one unit to another.

    Raises
    ------
    UnitError
        If the two measure different things.
    """
    source, target = read_unit(unit, where), read_unit(to, where)
    if source.dimensionality != target.dimensionality:
        place = f"{where}: " if where else ""
        right, given = to or "dimensionless", unit or "(no unit)"
        raise UnitError(f"{place}{value:g} {given} cannot be read as '{right}'; give a value in '{right}'.")
    return value * factor(source, target)


def read_number(value: object, to: str, where: str = "") -> float:
    """Read a number, a text such as '10 mg', or a pint quantity, as a float in the unit `to`.

    Raises
    ------
    UnitError
        If the unit does not fit.
    RangeError
        If the value is not a finite number.
    """
    place = f"{where}: " if where else ""
    if isinstance(value, str):
        head, _, unit = value.strip().partition(" ")
        try:
            number = float(head)
        except ValueError:
            raise RangeError(f"{place}'{value}' is not a number with a unit; write for example '10 {to}'.") from None
        number = convert(number, unit, to, where) if unit else number
    elif hasattr(value, "magnitude") and hasattr(value, "units"):
        number = convert(float(value.magnitude), f"{value.units}", to, where)  # pyright: ignore
    elif isinstance(value, bool):
        raise RangeError(f"{place}{value} is not a number; give a number in '{to}'.")
    elif isinstance(value, (int, float)):
        number = float(value)
    else:
        try:
            number = float(value)  # pyright: ignore[reportArgumentType]  # numpy scalars
        except (TypeError, ValueError):
            raise RangeError(f"{place}{value!r} is not a number; give a number in '{to}'.") from None
    if not math.isfinite(number):
        raise RangeError(f"{place}{value} is not a finite number; give a number in '{to or 'no unit'}'.")
    return number
