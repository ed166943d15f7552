"""Amounts in a sentence: '450 million cells', '10 mg', '1.5 mg/kg', '2 Gy', 'half dose'."""

import math
from dataclasses import dataclass
from functools import cache

from ...parameters.errors import RegimenError, UnitError
from ...parameters.parameter_set import read_set
from ...parameters.units import factor, read_unit
from ..therapy import Therapy
from .tokens import Cursor

_UNITS = {
    "cells": "cell", "cell": "cell", "g": "g", "mg": "mg", "ug": "ug", "µg": "ug", "mcg": "ug", "ng": "ng",
    "gy": "Gy", "cgy": "cGy", "l": "L", "ml": "mL",
}  # fmt: skip
_SHOWN = ("cells", "million cells", "g", "mg", "ug", "ng", "Gy", "cGy", "L", "mL")
_PER_KILOGRAM = ("cells", "million cells", "mg", "g", "ug", "ng")
_MANY = {"thousand": 1e3, "million": 1e6, "billion": 1e9}


@dataclass(frozen=True)
class Amount:
    """An amount in the unit of the therapy's doses, or a `share` of its usual dose."""

    value: float = math.nan
    share: float = 1.0
    per_kilogram: bool = False

    @property
    def said(self) -> bool:
        """Whether it is a number of its own, and not a share of the usual dose."""
        return math.isfinite(self.value)


@cache
def body_weight() -> float:
    """Body weight by which a dose per kilogram is read, kg."""
    return read_set()["body_weight"].value


def begins_amount(cursor: Cursor) -> bool:
    """Whether an amount comes next, and not a number of cycles, doses or times."""
    if cursor.word() == "half":
        return True
    return cursor.number() is not None and cursor.word(1) not in {"times", "cycles", "cycle", "doses", "dose"}


def read_amount(cursor: Cursor, therapy: Therapy) -> Amount:
    """Read an amount of this therapy.

    Raises
    ------
    UnitError
        If there is no unit, an unknown one, or one in which this therapy is not given.
    RegimenError
        If the amount is not a positive number.
    """
    if cursor.accept("half"):
        if not cursor.accept("dose"):
            raise cursor.wrong("expected 'half dose'")
        return Amount(share=0.5)
    value = cursor.take_number("an amount")
    if value <= 0:
        raise cursor.wrong(f"{therapy.key}: an amount of {value:g}; give a positive amount", RegimenError, back=1)
    many = cursor.one_of(_MANY)
    unit, taken = cursor.word(), 1 + bool(many)
    if not unit or unit in {",", "."}:
        raise cursor.wrong(f"{therapy.key}: a number without a unit; write {_fitting(therapy)}", UnitError, back=taken)
    cursor.accept(unit)
    per = ""
    if cursor.accept("/") or cursor.accept("per"):
        per = cursor.word() or "?"
        taken += 1 + cursor.accept(per)
    own = _own(therapy)
    to = "" if unit == own else _UNITS.get(unit, "")  # a unit of its own needs no conversion
    if (not to and unit != own) or per not in {"", "kg"} or not _fits(to or therapy.dose_unit, therapy, per):
        said = f"{unit}/{per}" if per else unit
        raise cursor.wrong(
            f"{therapy.key}: is not given in '{said}'; write {_fitting(therapy)}", UnitError, back=taken + 1
        )
    amount = value * _MANY.get(many, 1.0)
    if to and to != therapy.dose_unit:
        amount *= factor(read_unit(to), read_unit(therapy.dose_unit))
    return Amount(amount * body_weight() if per else amount, per_kilogram=bool(per))


def _own(therapy: Therapy) -> str:
    return therapy.dose_unit.lower()


def _fits(unit: str, therapy: Therapy, per: str = "") -> bool:
    same = unit == therapy.dose_unit or read_unit(unit).dimensionality == read_unit(therapy.dose_unit).dimensionality
    return same and (not per or therapy.dose_unit in _PER_KILOGRAM or therapy.dose_unit == "cell")


def _fitting(therapy: Therapy) -> str:
    """Units in which this therapy is given, for messages: "'mg', 'g' or 'mg/kg'"."""
    units = [unit for unit in _SHOWN if _fits(_UNITS[unit.split()[-1].lower()], therapy)] or [therapy.dose_unit]
    units += [f"{unit}/kg" for unit in units if _fits(therapy.dose_unit, therapy, "kg")]
    quoted = [f"'{unit}'" for unit in units]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]


def show_amounts(values: tuple[float, ...], therapy: Therapy) -> str:
    """Amounts in words: '450 million cells', '0.8 / 30 / 60 mg'."""
    cells = therapy.dose_unit == "cell"
    shown = " / ".join(f"{value / 1e6 if cells else value:.6g}" for value in dict.fromkeys(values))
    return f"{shown} {'million cells' if cells else therapy.dose_unit}"
