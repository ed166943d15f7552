"""What one row of a file of measurements says: a dose, a value, or that the value lies below a limit."""

import math

from ...parameters.errors import FileError

MISSING = {"", ".", "na", "nan"}
"""What stands in a cell without a value."""


def number(cell: str, where: str, column: str) -> float:
    """A finite number; anything else is a `FileError`."""
    try:
        found = float(cell)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise FileError(f"{where}: {column} is '{cell}', which is not a number.")
    return found


def dose(cells: dict[str, str], where: str) -> float:
    """Amount of a dose record, 0 for any other row."""
    event = cells.get("evid", "")
    amount = cells.get("amt", "")
    given = 0.0 if amount.lower() in MISSING else number(amount, where, "amt")
    if event not in {"", ".", "0", "1", "2"}:
        raise FileError(f"{where}: evid is {event}; 0 (measurement), 1 (dose) and 2 (neither) are read.")
    if given < 0.0 or (event == "1" and given == 0.0):
        raise FileError(f"{where}: the amount of a dose is '{amount}'; a positive number is expected.")
    if event in {"0", "2"} and given > 0.0:
        raise FileError(f"{where}: evid {event} has an amount of {given:g}; a dose is evid 1.")
    return given


def is_observation(cells: dict[str, str], where: str) -> bool:
    """Whether the row is a measurement, and not marked as missing or as another event."""
    if (mdv := cells.get("mdv", "0")) not in {"", ".", "0", "1"}:
        raise FileError(f"{where}: mdv is {mdv}; 0 (measured) or 1 (missing) is expected.")
    return cells.get("evid", "0") != "2" and mdv != "1"


def value_and_limit(cells: dict[str, str], where: str) -> tuple[float, bool] | None:
    """Value and whether it is below the limit; None if there is no value."""
    text, flag = cells["value"], cells.get("blq", "0")
    limit = None if cells.get("lloq", "").lower() in MISSING else number(cells["lloq"], where, "the limit")
    if flag not in {"", ".", "0", "1"}:
        raise FileError(f"{where}: the flag of below-limit values is {flag}; 0 or 1 is expected.")
    if text.startswith("<"):
        limit, below = number(text[1:].lstrip("= "), where, "the limit"), True
    elif flag == "1":
        below = True
        limit = number(text, where, "value") if limit is None else limit
    elif text.lower() in MISSING:
        return None
    else:
        value = number(text, where, "value")
        if value < 0.0:
            raise FileError(f"{where}: value is {text}; a measurement cannot be negative (do not give its log).")
        below = limit is not None and value < limit
        if not below:
            return value, False
    if limit is None or limit <= 0.0:
        raise FileError(f"{where}: is below the limit, and the limit is {limit}; a positive limit is needed.")
    return limit, True
