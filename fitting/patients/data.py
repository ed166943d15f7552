"""Longitudinal measurements of a user's own patients, read from one comma-separated file.

Two forms are read, by the same rules: NONMEM style (ID, TIME, DV, EVID or MDV, AMT, NAME or DVID or CMT, LLOQ, BLQ or
CENS) and long (id, time, what, value, limit). Columns of other names are covariates, constant within a subject.

What is done with imperfect data: rows out of order are sorted, rows without a value are left out, columns of text are
left out, a subject with everything below the limit is kept; each is said in the notes. Duplicates, negative values and
text in place of a number are errors.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...parameters.errors import FileError, InputError, unknown
from ...parameters.files import read_text
from ...parameters.units import DAYS_PER_MONTH

# Parsing of one row: a dose, a value, or a value below the limit of quantification.


MISSING = {"", ".", "na", "nan"}
"""What stands in a cell without a value."""


def number(cell: str, where: str, column: str) -> float:
    """A finite number; anything else is a `FileError`."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FileError(f"{where}: {column} is '{cell}', which is not a number.")
    return value


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


_ALIASES = {"subject": "id", "dv": "value", "what": "name", "kind": "name", "limit": "lloq", "cens": "blq"}
_TIMES = {"time": 1.0, "time_days": 1.0, "time_hours": 1.0 / 24.0, "time_weeks": 7.0, "time_months": DAYS_PER_MONTH}
_OWN = {"id", "time", "value", "evid", "mdv", "amt", "name", "dvid", "cmt", "lloq", "blq"}
_UNREAD = ("rate", "addl", "ii", "ss")


@dataclass(frozen=True, eq=False)
class Subject:
    """What was measured in one patient.

    Attributes
    ----------
    id
        Name of the subject.
    time
        (observations,) days since the first infusion, ascending; negative before it.
    kind
        (observations,) what was observed: "car_t" (cells/mm3), "transgene" (copies/ug), "m_protein" (g/L), "flc"
        (mg/L), or a name of the user's own.
    value
        (observations,) the measurement; where `below` is True, the limit of quantification.
    below
        (observations,) bool: below the limit of quantification.
    doses
        (day, amount) of each dose record.
    covariates
        Numbers of the subject that do not change.
    """

    id: str
    time: np.ndarray
    kind: np.ndarray
    value: np.ndarray
    below: np.ndarray
    doses: tuple[tuple[float, float], ...] = ()
    covariates: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {np.shape(part) for part in (self.time, self.kind, self.value, self.below)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise InputError(f"subject {self.id}: time, kind, value and below have shapes {shapes}; give one length.")


@dataclass(frozen=True, eq=False)
class Longitudinal:
    """The subjects of one file, in the order of the file, and what was done with imperfect rows."""

    subjects: tuple[Subject, ...]
    file: str
    notes: tuple[str, ...] = ()

    def subject(self, name: str) -> Subject:
        """The subject of this name; an unknown one is an `UnknownNameError` with near matches."""
        for subject in self.subjects:
            if subject.id == name:
                return subject
        raise unknown("subject", name, [subject.id for subject in self.subjects], self.file)


def read_measurements(path: str | Path, names: Mapping[str, str] | None = None) -> Longitudinal:
    """Read the measurements of a user's own patients from a file.

    Parameters
    ----------
    path
        A file with a header and commas; NONMEM style or long, see the top of `fitting.patients.data`.
    names
        What the codes of the column NAME, DVID or CMT mean, for example ``{"1": "transgene", "2": "m_protein"}``;
        ``{"": "transgene"}`` for a file without such a column.

    Returns
    -------
    Longitudinal
        One `Subject` for each patient: arrays (observations,) of days since the first infusion, of what was measured
        ("car_t" in cells/mm3, "transgene" in copies/ug, "m_protein" in g/L, "flc" in mg/L) and of its value; and notes
        on imperfect rows.

    Raises
    ------
    FileError
        With the line, the column, the value and what would be right.

    Examples
    --------
    >>> from pathlib import Path
    >>> from perdure import read_measurements
    >>> _ = Path("patients.csv").write_text('''id,time,what,value,limit
    ... A,0,m_protein,50,0.5
    ... A,7,car_t,250,0.1''')
    >>> data = read_measurements("patients.csv")
    >>> data.subject("A").value.tolist()
    [50.0, 250.0]
    """
    where = Path(path).name
    reading = _Reading(where, dict(names or {}))
    for line, cells in _rows(read_text(path), where):
        reading.take(line, cells)
    return reading.finish()


def _rows(text: str, where: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by canonical column name, comment and blank lines left out."""
    rows = enumerate(csv.reader(text.splitlines()), start=1)
    lines = [(k, row) for k, row in rows if any(cell.strip() for cell in row)]
    if not lines:
        raise FileError(f"{where}: is empty; expected a header such as id,time,what,value,limit and rows.")
    columns = [_canonical(cell) for cell in lines[0][1]]
    for column in ("id", "time", "value"):
        if column not in columns:
            also = {"time": " (or time_hours, time_weeks, time_months)", "value": " (or DV)"}.get(column, "")
            raise FileError(
                f"{where}: column {column}{also} is missing; the header, read with commas, is {', '.join(lines[0][1])}."
            )
    for column in columns:
        if columns.count(column) > 1:
            raise FileError(f"{where}: two columns mean '{column}'; the header is {', '.join(lines[0][1])}. Keep one.")
    if len(lines) == 1:
        raise FileError(f"{where}: has a header and no rows; expected one row per measurement.")
    factor = _TIMES[next(cell.strip().lower() for cell in lines[0][1] if cell.strip().lower() in _TIMES)]
    for k, row in lines[1:]:
        if len(row) != len(columns):
            raise FileError(f"{where}, line {k}: {len(row)} cells for {len(columns)} columns; give one for each.")
        cells = dict(zip(columns, (cell.strip() for cell in row), strict=True))
        cells["time"] = str(number(cells["time"], f"{where}, line {k}", "time") * factor)
        yield k, cells


def _canonical(cell: str) -> str:
    name = cell.strip().lower().lstrip("#")
    return "time" if name in _TIMES else _ALIASES.get(name, name)


@dataclass
class _Patient:
    rows: dict[tuple[float, str], tuple[float, bool]] = field(default_factory=dict)
    lines: dict[tuple[float, str], int] = field(default_factory=dict)
    doses: list[tuple[float, float]] = field(default_factory=list)
    covariates: dict[str, str] = field(default_factory=dict)
    last: float = -math.inf
    sorted: bool = True


@dataclass
class _Reading:
    """What has been read so far."""

    where: str
    names: dict[str, str]
    patients: dict[str, _Patient] = field(default_factory=dict)
    without: list[int] = field(default_factory=list)

    def take(self, line: int, cells: dict[str, str]) -> None:
        """Take in one row."""
        where = f"{self.where}, line {line}"
        if cells["id"].lower() in MISSING:
            raise FileError(f"{where}: id is '{cells['id']}'; name the subject.")
        patient = self.patients.setdefault(cells["id"], _Patient())
        self._covariates(patient, cells, where)
        for column in _UNREAD:
            if cells.get(column, "").lower() not in MISSING and number(cells[column], where, column) != 0.0:
                raise FileError(f"{where}: {column} is {cells[column]}; only single doses are read, one row for each.")
        time = float(cells["time"])
        patient.sorted &= time >= patient.last
        patient.last = time
        if amount := dose(cells, where):
            patient.doses.append((time, amount))
        elif is_observation(cells, where):
            self._observation(patient, time, line, cells)

    def _observation(self, patient: _Patient, time: float, line: int, cells: dict[str, str]) -> None:
        where = f"{self.where}, line {line}"
        read = value_and_limit(cells, where)
        if read is None:
            self.without.append(line)
            return
        key = (time, self._kind(cells, where))
        if key in patient.rows:
            raise FileError(
                f"{where}: subject {cells['id']} has a second {key[1]} at {time:g} days (the first is on line "
                f"{patient.lines[key]}). One measurement for each time; average repeats, or correct the time."
            )
        patient.rows[key], patient.lines[key] = read, line

    def _kind(self, cells: dict[str, str], where: str) -> str:
        code = next((cells[column] for column in ("name", "dvid", "cmt") if column in cells), "")
        kind = self.names.get(code, code)
        if kind.lower() in MISSING:
            raise FileError(
                f"{where}: it is not said what was observed. Write car_t, transgene, m_protein or flc into a column "
                "NAME, or give names={'': 'transgene'} for a file of one kind."
            )
        return kind

    def _covariates(self, patient: _Patient, cells: dict[str, str], where: str) -> None:
        for column in cells.keys() - _OWN - set(_UNREAD):
            before = patient.covariates.setdefault(column, cells[column])
            if cells[column] != before:
                raise FileError(
                    f"{where}: the covariate {column} of subject {cells['id']} is {cells[column]}, and was {before} "
                    "before; a covariate is one number for each subject."
                )

    def finish(self) -> Longitudinal:
        """The subjects with the notes."""
        notes: list[str] = []
        if self.without:
            rows = _count(len(self.without), "row")
            notes.append(f"{rows} without a value left out (first: line {self.without[0]}).")
        if mixed := [name for name, patient in self.patients.items() if not patient.sorted]:
            notes.append(f"Rows sorted by time for {_count(len(mixed), 'subject')}: {', '.join(mixed[:5])}.")
        covariates = [item for patient in self.patients.values() for item in patient.covariates.items()]
        texts = sorted({column for column, cell in covariates if not _is_number(cell)})
        if texts:
            notes.append(f"Columns left out, since a covariate must be a number for every subject: {', '.join(texts)}.")
        subjects = tuple(_subject(name, p, texts) for name, p in self.patients.items() if p.rows)
        if gone := [name for name, patient in self.patients.items() if not patient.rows]:
            notes.append(f"{_count(len(gone), 'subject')} without a measurement left out: {', '.join(gone[:5])}.")
        if not subjects:
            raise FileError(f"{self.where}: holds no measurement; expected at least one row with a value.")
        if empty := [subject.id for subject in subjects if subject.below.all()]:
            notes.append(
                f"{_count(len(empty), 'subject')} with everything below the limit kept: {', '.join(empty[:5])}; "
                "the individual estimates there are mostly those of the population."
            )
        return Longitudinal(subjects, self.where, tuple(notes))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _subject(name: str, patient: _Patient, texts: list[str]) -> Subject:
    keys = sorted(patient.rows)
    return Subject(
        id=name,
        time=np.array([time for time, _ in keys]),
        kind=np.array([kind for _, kind in keys], dtype=str),
        value=np.array([patient.rows[key][0] for key in keys]),
        below=np.array([patient.rows[key][1] for key in keys], dtype=bool),
        doses=tuple(sorted(patient.doses)),
        covariates={column: float(cell) for column, cell in patient.covariates.items() if column not in texts},
    )
