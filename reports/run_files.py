"""What a run leaves for others to read: its numbers as CSV, its manifest, its report."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

from ..parameters.errors import FileError, InputError, RangeError
from .run_folder import MANIFEST, RunFolder
from .saved_report import REPORT, SavedReport, read_report

NUMBERS = "numbers.csv"
KINDS: Mapping[str, str] = {
    "parameters": "about parameters",
    "sample": "from the sample size",
    "patients": "between patients",
    "": "without an interval",
}
"""What an interval is about: what the evidence leaves open, a trial of that size, or how patients differ."""
_NEEDED = {"command": str, "perdure": str, "seeds": dict, "inputs": list, "failures": list}  # of a manifest


@dataclass(frozen=True)
class NumberRow:
    """One number that a run has found.

    Parameters
    ----------
    arm, measure, unit
        What it is of, as in "lenalidomide", "median PFS", "months".
    value
        Infinite where it was not reached, NaN where it could not be computed.
    low, high
        Its interval; infinite where that end was not reached, NaN where it is not known.
    level
        Coverage of the interval, 0.95 for 95 %; NaN where there is none.
    kind
        A key of `KINDS`: what the interval is about; empty where there is none.

    Raises
    ------
    RangeError
        If the interval is upside down, or its level is not between 0 and 1.
    InputError
        If a name is empty, or there is no such kind, or an interval without kind.
    """

    arm: str
    measure: str
    value: float
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    level: float = math.nan
    kind: str = ""

    def __post_init__(self) -> None:
        where = f"number '{self.arm}: {self.measure}'"
        if not self.arm.strip() or not self.measure.strip():
            raise InputError(f"{where}: the arm and the measure need a name each.")
        if self.kind not in KINDS:
            known = ", ".join(f"'{kind}'" for kind in KINDS if kind)
            raise InputError(f"{where}: its interval is of kind '{self.kind}'; known: {known}, or '' without one.")
        some = not (math.isnan(self.low) and math.isnan(self.high))
        if some and not self.kind:
            known = ", ".join(f"'{kind}'" for kind in KINDS if kind)
            raise InputError(f"{where}: its interval needs a kind; known: {known}.")
        if self.low > self.high:
            raise RangeError(f"{where}: it goes from {self.low:g} to {self.high:g}; write the lower end first.")
        if not 0.0 < self.level < 1.0 and (some or not math.isnan(self.level)):
            raise RangeError(f"{where}: its interval has level {self.level:g}; expected 0.95 for 95 %, or the like.")

    @property
    def has_interval(self) -> bool:
        """Whether both ends of an interval are known."""
        return not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True, eq=False)
class SavedRun:
    """The folder of a run as it was read; `numbers` is None if it has left none."""

    path: Path
    manifest: Mapping[str, Any]
    numbers: tuple[NumberRow, ...] | None

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.path.resolve().name

    @property
    def report(self) -> SavedReport:
        """Its report, read anew with all pictures; FileError if it has left none."""
        return read_report(self.path / REPORT)


class _Interval(Protocol):
    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def estimate_row(arm: str, measure: str, number: _Interval, unit: str) -> NumberRow:
    """An estimate with its 95 % interval over posterior draws."""
    return NumberRow(arm, measure, number.value, number.low, number.high, unit, 0.95, "parameters")


def estimate_rows(
    arm: str, numbers: Mapping[str, _Interval], *, level: float = 0.95, kind: str = "parameters"
) -> tuple[NumberRow, ...]:
    """The numbers of a projection by name, as in {"median PFS, months": Estimate(...)}.

    What stands after the last comma of a name is the unit.
    """
    rows = []
    for name, number in numbers.items():
        measure, unit = name.rsplit(", ", 1) if ", " in name else (name, "")
        rows.append(NumberRow(arm, measure, number.value, number.low, number.high, unit, level, kind))
    return tuple(rows)


def write_numbers(folder: RunFolder, rows: Sequence[NumberRow]) -> Path | None:
    """Write numbers.csv: floats so that they come back bit for bit, infinity as NR (not reached), nothing for NaN.

    Without rows there is no file, and None is returned.

    Raises
    ------
    InputError
        If there are two rows of the same arm, measure, unit and kind; or if it was written before.
    """
    if not rows:
        return None
    _check_single(rows, f"run {folder.name}", InputError)
    columns = {field.name: [_text(getattr(row, field.name)) for row in rows] for field in fields(NumberRow)}
    return folder.write_table(NUMBERS.removesuffix(".csv"), columns)


def read_run(path: str | Path) -> SavedRun:
    """Read the manifest of a run's folder and, if they are there, its numbers.

    Raises
    ------
    FileError
        If the path is no run folder, or a file in it is broken.
    """
    folder = Path(path)
    manifest = _read_manifest(folder)
    numbers = folder / NUMBERS
    return SavedRun(folder, manifest, _read_numbers(numbers) if numbers.exists() else None)


def reports_of(runs: Sequence[SavedRun]) -> list[SavedReport]:
    """Their reports; of several, each says in its subtitle which run it is."""
    reports = [run.report for run in runs]
    if len(runs) == 1:
        return reports
    return [
        replace(report, subtitle=f"{report.subtitle} (run {run.name})".strip())
        for run, report in zip(runs, reports, strict=True)
    ]


def read_runs(paths: Sequence[str | Path]) -> tuple[SavedRun, ...]:
    """Read several runs; raises InputError if there are none or one was given twice, else as `read_run`."""
    folders = [Path(path).resolve() for path in paths]
    twice = [path for path, folder in zip(paths, folders, strict=True) if folders.count(folder) > 1]
    if twice or not folders:
        raise InputError(f"{twice[0]}: this run was given twice." if twice else "Give at least one run.")
    return tuple(map(read_run, paths))


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    if not folder.is_dir():
        found = "this is a file" if folder.exists() else "there is no such folder"
        raise FileError(f"{folder}: {found}; expected the folder of a run, as in runs/overview-20260101-120000.")
    file = folder / MANIFEST
    if not file.is_file():
        inside = sorted(entry.parent.name for entry in folder.glob(f"*/{MANIFEST}"))
        hint = f" Runs are in it, the last one by name is {folder / inside[-1]}." if inside else ""
        raise FileError(f"{folder}: this is no folder of a run, for there is no {MANIFEST} in it.{hint}")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise FileError(f"{file}: it cannot be read as a manifest ({problem}).") from problem
    known = manifest if isinstance(manifest, dict) else {}
    missing = [key for key, kind in _NEEDED.items() if not isinstance(known.get(key), kind)]
    if missing:
        raise FileError(f"{file}: it is no whole manifest of a run; missing or broken: {', '.join(missing)}.")
    return manifest


def _read_numbers(file: Path) -> tuple[NumberRow, ...]:
    names = [field.name for field in fields(NumberRow)]
    try:
        with file.open(encoding="utf-8", newline="") as text:
            head, *lines = list(csv.reader(text)) or [[]]
    except (OSError, ValueError, csv.Error) as problem:
        raise FileError(f"{file}: it cannot be read as CSV ({problem}).") from problem
    if head != names:
        raise FileError(f"{file}: its columns are {', '.join(head) or 'none'}; expected {', '.join(names)}.")
    rows = tuple(_read_row(line, f"{file}, row {number}") for number, line in enumerate(lines, start=1))
    _check_single(rows, str(file), FileError)
    if not rows:
        raise FileError(f"{file}: there are no numbers in it.")
    return rows


def _read_row(line: Sequence[str], where: str) -> NumberRow:
    if len(line) != len(fields(NumberRow)):
        raise FileError(f"{where}: {len(line)} entries; expected {len(fields(NumberRow))}.")
    arm, measure, value, low, high, unit, level, kind = line
    try:
        return NumberRow(arm, measure, _number(value), _number(low), _number(high), unit, _number(level), kind)
    except InputError as problem:
        raise FileError(f"{where}: {problem}") from problem
    except ValueError as problem:
        raise FileError(f"{where}: {problem}; expected a number, NR, or nothing.") from problem


def _check_single(rows: Iterable[NumberRow], where: str, error: type[InputError]) -> None:
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        key = (row.arm, row.measure, row.unit, row.kind)
        if key in seen:
            unit = row.unit or "no unit"
            raise error(f"{where}: '{row.arm}: {row.measure}' ({unit}, {KINDS[row.kind]}) stands there twice.")
        seen.add(key)


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return ""
    return "NR" if value == math.inf else repr(float(value))


def _number(text: str) -> float:
    if text in ("", "NR"):
        return math.nan if not text else math.inf
    return float(text)
