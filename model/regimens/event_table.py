"""Event tables as in NONMEM, read as regimens and written from them: CSV text with one dose, or several alike, per row.

=======  ===============================================================================================================
column   meaning
=======  ===============================================================================================================
ID       the patient; needed where a table holds several
TIME     day (or hour, by `time_unit`) of the event; rising within a patient
AMT      amount, in the unit of the therapy's doses
RATE     amount per day (or hour) of an infusion; 0 or '.' for a dose given at once
DUR      duration of an infusion in the unit of TIME, in place of RATE
EVID     0 observation (left out), 1 dose; without the column, a row with an amount is a dose
CMT      key of the therapy, or a number that `compartments` translates: {1: "ide_cel"}
ADDL, II doses more, and the time between them
SS       1: a drug that has been given every II for long; doses are added before TIME, over `steady_state_days`
DV, MDV  left out, as observations are
=======  ===============================================================================================================

Any other column is an error unless `leave_out` names it. A line that begins with '#' is a comment; '.' and an empty
cell mean 'none'. Resets (EVID 3 and 4) and modelled rates (RATE -1 and -2) mean nothing here, and are refused.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...parameters.errors import FileError, RangeError, RegimenError, UnitError, unknown
from ...parameters.files import read_text
from ..therapy import Therapy, read_therapies
from .regimen import Bolus, Dose, Infusion, Regimen
from .schedule import runs

# Columns, rows and cells of an event table.


_COLUMNS = ("ID", "TIME", "AMT", "RATE", "DUR", "EVID", "CMT", "ADDL", "II", "SS", "DV", "MDV")
_NEEDED = ("TIME", "AMT", "CMT")


@dataclass(frozen=True)
class Row:
    """One line of a table: its number in the text, and its cells by column."""

    line: int
    cells: Mapping[str, str]

    def number(self, column: str) -> float:
        """A number; 0 for '.', an empty cell or a column that is not there."""
        text = self.cells.get(column, "").strip()
        if text in {"", "."}:
            if column == "TIME":
                raise RangeError(f"{self.where} TIME = '{text}'; give a number.")
            return 0.0
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise RangeError(f"{self.where} {column} = '{text}' is not a number; write a number, or '.' for none.")
        return value

    @property
    def where(self) -> str:
        """Place of the row, for messages."""
        return f"event table, line {self.line}:"

    @property
    def subject(self) -> int | str:
        """ID of the patient, a whole number where it is one; '' without the column."""
        text = self.cells.get("ID", "").strip()
        try:
            return int(float(text)) if float(text) == int(float(text)) else text
        except (ValueError, OverflowError):
            return text


def read_rows(source: str | Path, left_out: set[str]) -> Iterator[Row]:
    """Rows of a table that is given as text of several lines, or by its path."""
    lines = [(k, line) for k, line in enumerate(_text(source).splitlines(), start=1) if line.strip()]
    lines = [(k, line) for k, line in lines if not line.lstrip().startswith("#")]
    if len(lines) < 2:
        raise FileError("event table: has no rows; expected a line of column names and a line for each event.")
    columns = [name.strip().upper() for name in next(csv.reader([lines[0][1]]))]
    for column in _NEEDED:
        if column not in columns:
            raise FileError(f"event table: column {column} is missing; it has {', '.join(columns)}.")
    for column in columns:
        if column not in {*_COLUMNS, *left_out}:
            raise unknown("column", column, _COLUMNS, "event table (leave_out names columns that are not to be read)")
        if columns.count(column) > 1:
            raise FileError(f"event table: column {column} stands there {columns.count(column)} times; once is right.")
    for k, line in lines[1:]:
        cells = next(csv.reader([line]))
        if len(cells) != len(columns):
            raise FileError(f"event table, line {k}: {len(cells)} cells for {len(columns)} columns; give one for each.")
        yield Row(k, dict(zip(columns, cells, strict=True)))


def _text(source: str | Path) -> str:
    if isinstance(source, str) and "\n" in source:
        return source
    return read_text(source)


TimeUnit = Literal["days", "hours"]

_PER_DAY = {"days": 1.0, "hours": 24.0}
_REFUSED = {
    2.0: "other events change nothing that a regimen could say",
    3.0: "a reset empties the patient, and cells and tumour cannot be emptied; delete the row",
    4.0: "a reset with a dose empties the patient, and cells and tumour cannot be emptied; write EVID = 1",
}
_MODELLED = {-1.0: "a modelled rate", -2.0: "a modelled duration"}


def read_events(
    source: str | Path,
    *,
    compartments: Mapping[int, str] | None = None,
    time_unit: TimeUnit = "days",
    steady_state_days: float = 60.0,
    leave_out: Iterable[str] = (),
) -> Regimen:
    """Read the event table of one patient, as in NONMEM; its columns are listed at the top of
    `model.regimens.event_table`.

    Parameters
    ----------
    source
        Path of a CSV file, or the text itself (which has several lines).
    compartments
        Therapies by the number of their compartment, for example {1: "ide_cel"}.
    time_unit
        Unit of TIME, II and DUR, and of RATE: 'days' or 'hours'.
    steady_state_days
        How long before a dose with SS = 1 doses are added, every II.
    leave_out
        Columns that may stand in the table and are not read.

    Returns
    -------
    Regimen
        Every dose in the unit of its therapy; days count from TIME 0.

    Raises
    ------
    FileError
        If the table is missing, empty, lacks a column, or holds several patients.
    RangeError
        If a cell is not a number, or a number that cannot be.
    UnitError
        If the unit of time is neither of the two.
    RegimenError
        If a row says what a regimen cannot.
    UnknownNameError
        If a therapy, a compartment or a column is not known.

    Examples
    --------
    >>> from perdure import read_events
    >>> table = '''TIME,AMT,CMT,ADDL,II
    ... 0,450e6,ide_cel,0,0
    ... 30,10,lenalidomide,2,1'''
    >>> [(dose.therapy, dose.day) for dose in read_events(table).doses]
    [('ide_cel', 0.0), ('lenalidomide', 30.0), ('lenalidomide', 31.0), ('lenalidomide', 32.0)]
    """
    regimens = read_all_events(
        source, compartments=compartments, time_unit=time_unit, steady_state_days=steady_state_days, leave_out=leave_out
    )
    if len(regimens) != 1:
        raise FileError(
            f"event table: holds {len(regimens)} patients ({', '.join(map(str, regimens))}); "
            "use read_all_events for several."
        )
    return next(iter(regimens.values()))


def read_all_events(
    source: str | Path,
    *,
    compartments: Mapping[int, str] | None = None,
    time_unit: TimeUnit = "days",
    steady_state_days: float = 60.0,
    leave_out: Iterable[str] = (),
) -> dict[int | str, Regimen]:
    """Regimens by the ID of the patient, in the order of the table; as `read_events`."""
    if time_unit not in _PER_DAY:
        raise UnitError(f"event table: time_unit = '{time_unit}'; expected 'days' or 'hours'.")
    if not 0 < steady_state_days < math.inf:
        raise RangeError(f"event table: steady_state_days = {steady_state_days}; give a positive number of days.")
    reader = _Reader(dict(compartments or {}), _PER_DAY[time_unit], steady_state_days)
    doses: dict[int | str, list[Dose]] = {}
    latest: Row | None = None
    for row in read_rows(source, {name.upper() for name in leave_out}):
        if latest is None or row.subject != latest.subject:
            if row.subject in doses:
                raise FileError(
                    f"{row.where} ID {row.subject} again after another one; put the rows of an ID together."
                )
            doses[row.subject] = []
        elif row.number("TIME") < latest.number("TIME"):
            raise RegimenError(
                f"{row.where} TIME = {row.number('TIME'):g} after {latest.number('TIME'):g} in line {latest.line}; "
                "sort the rows of a patient by TIME."
            )
        doses[row.subject].extend(reader.doses(row))
        latest = row
    return {
        subject: Regimen(tuple(given), f"ID {subject}" if subject != "" else "") for subject, given in doses.items()
    }


@dataclass(frozen=True)
class _Reader:
    """What rows mean."""

    compartments: Mapping[int, str]
    per_day: float
    steady_state_days: float

    def doses(self, row: Row) -> list[Dose]:
        """Doses of a row; none of an observation."""
        amount = row.number("AMT")
        if amount < 0:
            raise RangeError(f"{row.where} AMT = {amount:g}; give a positive amount.")
        event = row.number("EVID") if row.cells.get("EVID", ".").strip() not in {"", "."} else float(amount > 0)
        if event in _REFUSED or event not in {0.0, 1.0}:
            raise RegimenError(f"{row.where} EVID = {event:g}: {_REFUSED.get(event, 'write 0 or 1')}.")
        if event == 0.0:
            if amount > 0:
                raise RegimenError(f"{row.where} EVID = 0 with AMT = {amount:g}; a dose has EVID = 1.")
            return []
        if amount == 0:
            raise RangeError(f"{row.where} AMT = 0 in a dose; give a positive amount, or EVID = 0 for an observation.")
        therapy, duration = self._therapy(row), self._duration(row, amount)
        if duration and therapy.kind == "car_t":
            raise RegimenError(f"{row.where} {therapy.key}: cells are given at once; leave out RATE and DUR.")
        return [
            Infusion(therapy.key, amount, duration, day) if duration else Bolus(therapy.key, amount, day)
            for day in self._days(row, therapy)
        ]

    def _therapy(self, row: Row) -> Therapy:
        shelf = {therapy.key: therapy for therapy in read_therapies()}
        key = row.cells["CMT"].strip()
        try:
            number = int(key)
        except ValueError:
            number = None
        if number is not None:
            if number not in self.compartments:
                known = ", ".join(f"{compartment} = {name}" for compartment, name in sorted(self.compartments.items()))
                raise RegimenError(
                    f'{row.where} CMT = {number} is not known; say what it is, compartments={{{number}: "ide_cel"}} '
                    f"(known: {known or 'none'})."
                )
            key = self.compartments[number]
        if key not in shelf:
            raise unknown("therapy", key, shelf, f"{row.where} CMT")
        return shelf[key]

    def _duration(self, row: Row, amount: float) -> float:
        """Days of an infusion; 0 for a dose at once."""
        rate, duration = row.number("RATE"), row.number("DUR")
        if rate in _MODELLED:
            what = _MODELLED[rate]
            raise RegimenError(f"{row.where} RATE = {rate:g} is {what}, of which nothing is known here; give the rate.")
        if rate < 0 or duration < 0:
            raise RangeError(f"{row.where} RATE = {rate:g}, DUR = {duration:g}; give positive numbers, or 0 for none.")
        if rate and duration and not math.isclose(amount / rate, duration, rel_tol=1e-6):
            raise RegimenError(
                f"{row.where} AMT / RATE = {amount / rate:g}, but DUR = {duration:g}; give one of RATE and DUR."
            )
        return (duration or (amount / rate if rate else 0.0)) / self.per_day

    def _days(self, row: Row, therapy: Therapy) -> list[float]:
        more, interval, steady = row.number("ADDL"), row.number("II"), row.number("SS")
        if more < 0 or more != int(more):
            raise RangeError(f"{row.where} ADDL = {more:g}; give a whole number of doses, 0 or more.")
        if interval < 0 or ((more or steady) and interval == 0):
            raise RegimenError(f"{row.where} II = {interval:g}; ADDL and SS need a positive time between doses.")
        if interval and not (more or steady):
            raise RegimenError(
                f"{row.where} II = {interval:g} without ADDL or SS; say how many doses, or leave II out."
            )
        if steady not in {0.0, 1.0}:
            raise RegimenError(f"{row.where} SS = {steady:g}; only 0 and 1 can be expanded into doses.")
        if steady and therapy.kind == "car_t":
            raise RegimenError(
                f"{row.where} {therapy.key}: SS = 1, but cells have no steady state; write each infusion."
            )
        before = math.floor(self.steady_state_days * self.per_day / interval + 1e-9) if steady else 0
        first = row.number("TIME") / self.per_day
        return [first + round(interval * k / self.per_day, 9) for k in range(-before, int(more) + 1)]


def write_events(regimen: Regimen, path: str | Path | None = None, *, time_unit: TimeUnit = "days") -> str:
    """An event table of a regimen; equal doses at one distance share a row (ADDL, II).

    Parameters
    ----------
    regimen
        What is given.
    path
        Where the table is saved; nowhere if omitted.
    time_unit
        Unit of TIME and II, and of RATE: 'days' or 'hours'.

    Returns
    -------
    str
        CSV text; amounts in the unit of each therapy's doses.

    Raises
    ------
    UnitError
        If the unit of time is neither of the two.

    Examples
    --------
    >>> from perdure import give, infuse, write_events
    >>> print(write_events(infuse("ide_cel") + give("lenalidomide", "10 mg", start=30, stop=33)))
    TIME,AMT,RATE,EVID,CMT,ADDL,II
    0,450000000,0,1,ide_cel,0,0
    30,10,0,1,lenalidomide,2,1
    """
    if time_unit not in _PER_DAY:
        raise UnitError(f"event table: time_unit = '{time_unit}'; expected 'days' or 'hours'.")
    rows = [["TIME", "AMT", "RATE", "EVID", "CMT", "ADDL", "II"]]
    for row in sorted(_event_rows(regimen, _PER_DAY[time_unit])):
        rows.append([cell if isinstance(cell, str) else _number(cell) for cell in row])
    text = "".join(",".join(row) + "\n" for row in rows)
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _event_rows(regimen: Regimen, per_day: float) -> Iterator[tuple[float | str, ...]]:
    alike: dict[tuple[str, float, float, int], list[float]] = {}
    copies: dict[Dose, int] = {}
    for dose in regimen.doses:
        duration = dose.duration if isinstance(dose, Infusion) else 0.0
        copies[dose] = copies.get(dose, -1) + 1  # two equal doses on one day are two rows
        alike.setdefault((dose.therapy, dose.amount, duration, copies[dose]), []).append(dose.day)
    for (therapy, amount, duration, _), days in alike.items():
        rate = amount / (duration * per_day) if duration else 0.0
        for run in runs(days, tolerance=1e-9):
            yield run.first * per_day, amount, rate, 1.0, therapy, run.count - 1.0, run.step * per_day


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
