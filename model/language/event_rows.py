"""Rows of an event table: its columns, its lines, and the numbers in its cells."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...parameters.errors import FileError, RangeError, unknown
from ...parameters.files import read_text

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
