"""Columns of equal length, and how they are written as CSV."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...parameters.errors import InputError

Columns = Mapping[str, Sequence[object]]


def check_columns(columns: Columns, where: str) -> int:
    """Length of the columns; raises InputError if there are none or if their lengths differ."""
    lengths = {name: len(column) for name, column in columns.items()}
    if not lengths:
        raise InputError(f"{where}: a table without columns; give at least one column.")
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{where}: the columns must be equally long, and have these lengths: {told}.")
    return next(iter(lengths.values()))


def cell_text(value: object) -> str:
    """One cell as CSV text: 12 significant digits, nothing for a number that is missing, yes or no for truth values."""
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        return "" if math.isnan(number) else format(number, ".12g")
    return str(value)


def csv_text(columns: Columns, where: str) -> str:
    """The columns as CSV (comma, line feed, first line the names)."""
    check_columns(columns, where)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell_text(value) for value in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue()


def write_csv(path: Path, columns: Columns) -> Path:
    """Write the columns to a UTF-8 file."""
    path.write_text(csv_text(columns, path.name), encoding="utf-8", newline="\n")
    return path
