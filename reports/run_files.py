"""The files of a run: its folder, complete or not there at all, with a manifest, its numbers as CSV, and its report."""

import csv
import hashlib
import json
import math
import platform
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from ..model.solution import Failure
from ..parameters.errors import FileError, InputError, RangeError
from ..parameters.versions import version_of
from .figures.checks import check_name
from .figures.picture import Columns, Picture, write_csv
from .report import PICTURE_FILES, REPORT, Report, SavedPicture, jsonable, read_report, write_picture, write_report

LIBRARIES = ("numpy", "scipy", "llvmlite", "pint", "matplotlib")
MANIFEST = "manifest.json"
NUMBERS = "numbers.csv"
KINDS: Mapping[str, str] = {
    "parameters": "about parameters",
    "sample": "from the sample size",
    "patients": "between patients",
    "": "without an interval",
}
"""What an interval is about: the posterior of the parameters, a trial of that size, or differences between patients."""
_REQUIRED = {"command": str, "perdure": str, "seeds": dict, "inputs": list, "failures": list}  # of a manifest


# Writing a folder


class RunFolder:
    """The folder of a run while it is written; `new_run` makes one.

    `path` is a hidden folder until the run has succeeded, and its final place from then on.
    """

    def __init__(self, path: Path, name: str, command: str, seeds: Mapping[str, object]) -> None:
        self.path = path
        self.name = name
        self.started = datetime.now().astimezone()
        self._command = command
        self._seeds = dict(seeds)
        self._inputs: list[dict[str, object]] = []
        self._failures: list[object] = []
        self._timings: dict[str, float] = {}

    def save(self, picture: Picture | SavedPicture) -> tuple[Path, ...]:
        """Save a picture as SVG, PNG, CSV and TXT."""
        for suffix in PICTURE_FILES:
            self._free(f"{picture.name}.{suffix}")
        return write_picture(picture, self.path)

    def write_table(self, name: str, columns: Columns) -> Path:
        """Write columns of equal length to NAME.csv."""
        return write_csv(self._free(f"{check_name(name, 'table')}.csv"), columns)

    def write_json(self, name: str, value: object) -> Path:
        """Write a value to NAME.json; see `jsonable` for numbers that JSON does not know."""
        path = self._free(f"{check_name(name, 'file')}.json")
        path.write_text(_json_text(value), encoding="utf-8", newline="\n")
        return path

    def note_input(self, path: str | Path) -> None:
        """Record a file that the run has read in the manifest, with its checksum."""
        file = Path(path)
        if not file.is_file():
            raise FileError(f"{file}: there is no such file to note as an input.")
        self._inputs.append({"path": str(path), "bytes": file.stat().st_size, "sha256": sha256(file)})

    def note_seeds(self, seeds: Mapping[str, object]) -> None:
        """Record further seeds in the manifest, by their purpose."""
        self._seeds.update(seeds)

    def note_failures(self, failures: Iterable[object]) -> None:
        """Record failures in the manifest: failed patients, or sentences, or mappings.

        A failed patient also gets a file in the folder `failures`, for `perdure reproduce`.
        """
        for failure in failures:
            if isinstance(failure, Failure):
                file = failure.write(self.path / "failures").relative_to(self.path).as_posix()
                failure = {"patient": failure.patient, "reason": failure.reason, "day": failure.day, "file": file}
            self._failures.append(failure)

    @contextmanager
    def timed(self, block: str) -> Iterator[None]:
        """Time the block; the seconds of blocks with the same name add up."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._timings[block] = self._timings.get(block, 0.0) + time.perf_counter() - start

    def manifest(self) -> dict[str, Any]:
        """The manifest as it stands now, with the files written so far."""
        now = datetime.now().astimezone()
        files = sorted(path for path in self.path.rglob("*") if path.is_file() and path.name != MANIFEST)
        return jsonable(
            {
                "name": self.name,
                "command": self._command,
                "perdure": version_of("perdure"),
                "python": platform.python_version(),
                "libraries": {name: version_of(name) for name in LIBRARIES},
                "platform": platform.platform(),
                "seeds": self._seeds,
                "started": self.started.isoformat(timespec="seconds"),
                "ended": now.isoformat(timespec="seconds"),
                "seconds": round((now - self.started).total_seconds(), 3),
                "timings": {block: round(seconds, 3) for block, seconds in self._timings.items()},
                "inputs": self._inputs,
                "outputs": [
                    {
                        "path": path.relative_to(self.path).as_posix(),
                        "bytes": path.stat().st_size,
                        "sha256": sha256(path),
                    }
                    for path in files
                ],
                "failures": self._failures,
            }
        )

    def _free(self, file: str) -> Path:
        if file == MANIFEST or (self.path / file).exists():
            raise InputError(f"run {self.name}: there is already a file '{file}'; give each its own name.")
        return self.path / file


@contextmanager
def new_run(root: str | Path, name: str, command: str, seeds: Mapping[str, object]) -> Iterator[RunFolder]:
    """Write a run into ROOT/NAME-YYYYmmdd-HHMMSS, which appears only when the block has ended well.

    After an error or Ctrl-C nothing is left behind. If the folder exists, -2, -3 and so on is added.

    Parameters
    ----------
    command
        The command line, or what else started the run.
    seeds
        Every seed by its purpose.
    """
    check_name(name, "run")
    parent = Path(root)
    if parent.exists() and not parent.is_dir():
        raise FileError(f"{parent}: runs are kept in a folder, and this is a file.")
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise FileError(f"{parent}: this folder for runs cannot be made ({problem}); name another one.") from problem
    # A sibling, so that the last step is a rename within one file system: it happens wholly or not at all.
    hidden = parent / f".{name}-{secrets.token_hex(6)}"
    hidden.mkdir()
    run = RunFolder(hidden, name, command, seeds)
    try:
        yield run
        (hidden / MANIFEST).write_text(_json_text(run.manifest()), encoding="utf-8", newline="\n")
        run.path = _renamed(hidden, parent / f"{name}-{run.started:%Y%m%d-%H%M%S}")
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_text(value: object) -> str:
    return json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _renamed(hidden: Path, wanted: Path) -> Path:
    for number in count(1):
        target = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if target.exists():
            continue
        try:
            return hidden.rename(target)
        except OSError:
            # Another run may have taken the name since we looked.
            if not target.exists():
                raise
    raise AssertionError("count() does not end")


# Numbers


@dataclass(frozen=True)
class NumberRow:
    """One number of a run, with its interval.

    Parameters
    ----------
    arm, measure, unit
        As in "lenalidomide", "median PFS", "months".
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
        has_end = not (math.isnan(self.low) and math.isnan(self.high))
        if has_end and not self.kind:
            known = ", ".join(f"'{kind}'" for kind in KINDS if kind)
            raise InputError(f"{where}: its interval needs a kind; known: {known}.")
        if self.low > self.high:
            raise RangeError(f"{where}: it goes from {self.low:g} to {self.high:g}; write the lower end first.")
        if not 0.0 < self.level < 1.0 and (has_end or not math.isnan(self.level)):
            raise RangeError(f"{where}: its interval has level {self.level:g}; expected 0.95 for 95 %, or the like.")

    @property
    def has_interval(self) -> bool:
        """Whether both ends of an interval are known."""
        return not (math.isnan(self.low) or math.isnan(self.high))


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

    The text after the last comma of a name is the unit.
    """
    rows = []
    for name, number in numbers.items():
        measure, unit = name.rsplit(", ", 1) if ", " in name else (name, "")
        rows.append(NumberRow(arm, measure, number.value, number.low, number.high, unit, level, kind))
    return tuple(rows)


def write_numbers(folder: RunFolder, rows: Sequence[NumberRow]) -> Path | None:
    """Write numbers.csv: floats with every digit, so that they read back exactly, infinity as NR, NaN as nothing.

    Without rows there is no file, and None is returned.

    Raises
    ------
    InputError
        If two rows have the same arm, measure, unit and kind; or if the file was written before.
    """
    if not rows:
        return None
    _check_single(rows, f"run {folder.name}", InputError)
    columns = {field.name: [_text(getattr(row, field.name)) for row in rows] for field in fields(NumberRow)}
    return folder.write_table(NUMBERS.removesuffix(".csv"), columns)


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


def write_run(
    folder: RunFolder, report: Report, *, tables: Iterable[tuple[str, Columns]] = (), numbers: Sequence[NumberRow] = ()
) -> Path:
    """Write everything that a run leaves: tables as CSV, the pictures of the report, numbers.csv, and the report.

    Parameters
    ----------
    report
        Entries of its manifest are added to those of the run, which know every file but the report itself.
    tables
        Name of the file without its suffix, and the columns.

    Returns
    -------
    Path
        The report as HTML.
    """
    for name, columns in tables:
        folder.write_table(name, columns)
    for picture in report.pictures:
        folder.save(picture)
    write_numbers(folder, numbers)
    return write_report(folder.path / "report.html", replace(report, manifest={**folder.manifest(), **report.manifest}))


# Reading runs


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A run as it was read from its folder; `numbers` is None if it has none."""

    path: Path
    manifest: Mapping[str, Any]
    numbers: tuple[NumberRow, ...] | None

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.path.resolve().name

    @property
    def report(self) -> Report:
        """Its report with all pictures; FileError if it has none."""
        return read_report(self.path / REPORT)


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


def reports_of(runs: Sequence[SavedRun]) -> list[Report]:
    """The reports of runs; of several, each names its run in the subtitle."""
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
        problem = "this is a file" if folder.exists() else "there is no such folder"
        raise FileError(f"{folder}: {problem}; expected the folder of a run, as in runs/overview-20260101-120000.")
    file = folder / MANIFEST
    if not file.is_file():
        inside = sorted(entry.parent.name for entry in folder.glob(f"*/{MANIFEST}"))
        hint = f" Runs are in it, the last one by name is {folder / inside[-1]}." if inside else ""
        raise FileError(f"{folder}: this is no folder of a run, for there is no {MANIFEST} in it.{hint}")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise FileError(f"{file}: it cannot be read as a manifest ({problem}).") from problem
    entries = manifest if isinstance(manifest, dict) else {}
    missing = [key for key, kind in _REQUIRED.items() if not isinstance(entries.get(key), kind)]
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


def _number(text: str) -> float:
    if text in ("", "NR"):
        return math.nan if not text else math.inf
    return float(text)
