"""A report in one HTML file that needs nothing but itself: no script, no font, no network."""

import base64
import json
import math
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..parameters.errors import FileError, InputError
from .figures.picture import Picture
from .run_folder import jsonable
from .saved_report import (
    Report,
    SavedPicture,
    SavedReport,
    Section,
    Table,
    csv_of,
    keep_report,
    png_of,
    svg_of,
    table_csv,
)

# Tables as columns for a CSV file, and as plain text that can be copied from a terminal.


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Columns by name."""
    return {name: [row[i] for row in rows] for i, name in enumerate(head)}


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as plain text."""
    table = [tuple(head), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


__all__ = ["NOT_ADVICE", "Report", "Section", "Table", "cell_text", "report_html", "write_html", "write_report"]

NOT_ADVICE = "A research and design tool. Not medical advice."
# The three kinds of uncertainty: name, what it is, how it is drawn.
UNCERTAINTIES: tuple[tuple[str, str, str], ...] = (
    (
        "Between patients",
        "Patients differ, and the virtual ones do too.",
        "The steps of a survival curve, the bars of a waterfall, and the 5 to 95 % band of a course over time.",
    ),
    (
        "About parameters",
        "The reported results leave open how large the numbers of the model are; the posterior says how far.",
        "The filled band around a survival curve, and the interval of a median, of a model's answer or of an effect.",
    ),
    (
        "From the sample size",
        "A trial has so many patients and no more; another one like it would come out differently.",
        "Thin dashed lines around a survival curve, for a trial of the size that the key states, "
        "and the interval of a reported number.",
    ),
)
LONG_TABLE = 25  # rows; a longer table may go on over the next printed page
ACROSS = 100  # letters of a table's size beside each other on a printed page (A4, upright)
_LARGEST_SVG = 1_500_000  # bytes; a larger drawing is embedded as PNG


def write_report(path: str | Path, report: Report) -> Path:
    """Write the report to one HTML file, and beside it what makes it again: NAME.json, its pictures, tables as CSV.

    The HTML needs none of them. A file that is there is replaced in one step.
    """
    target = Path(path)
    _check_pictures(report)
    target.parent.mkdir(parents=True, exist_ok=True)
    return write_html(target, report_html(keep_report(report, target.with_suffix(".json"))))


def write_html(path: str | Path, text: str) -> Path:
    """Write a text to one file and nothing else; a file that is there is replaced in one step."""
    target = Path(path)
    hidden = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_text(text, encoding="utf-8", newline="\n")
        os.replace(hidden, target)
    except OSError as problem:
        raise FileError(f"{target}: a report cannot be written there ({problem.strerror}).") from problem
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)
    return target


def report_html(report: Report | SavedReport, *others: Report | SavedReport) -> str:
    """The report as HTML text; several become one document, one after the other."""
    reports = (report, *others)
    for one in reports:
        _check_pictures(one)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        paragraphs=_paragraphs,
        cell=cell_text,
        right_columns=_right_columns,
        on_paper=_on_paper,
        picture_uri=_picture_uri,
        csv_uri=_csv_uri,
        table_uri=_table_uri,
        plain=_plain,
    )
    template = environment.get_template("report.html.j2")
    return template.render(reports=reports, not_advice=NOT_ADVICE, uncertainties=UNCERTAINTIES, long_table=LONG_TABLE)


def _check_pictures(report: Report | SavedReport) -> None:
    names = [picture.name for section in report.sections for picture in section.pictures]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"report '{report.title}': {names.count(name)} pictures are called '{name}'; names must differ."
            )


def cell_text(value: object) -> str:
    """An entry of a table for people: four significant digits, a true minus sign, a dash for what is missing."""
    if _is_missing(value):
        return "\u2013"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if _is_number(value):
        number = float(value)  # pyright: ignore[reportArgumentType]
        if math.isinf(number):
            return "NR"
        if number == round(number) and abs(number) < 1e7:
            return f"{number:.0f}".replace("-", "\u2212")
        return f"{number:.4g}".replace("-", "\u2212")
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_missing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float | np.floating) and math.isnan(value))


def _right_columns(table: Table) -> list[bool]:
    """Which columns hold nothing but numbers and gaps."""
    columns = [[row[index] for row in table.rows] for index in range(len(table.columns))]
    return [
        any(_is_number(value) for value in column) and all(_is_number(value) or _is_missing(value) for value in column)
        for column in columns
    ]


def _on_paper(table: Table) -> str:
    """How a table is printed: upright, on its side, or squeezed, by how many letters its longest words need."""
    needed = 0
    for index, is_number in enumerate(_right_columns(table)):
        cells = [cell_text(row[index]) for row in table.rows]
        words = [*str(table.columns[index]).split(), *(cells if is_number else " ".join(cells).split())]
        needed += 2 + max(map(len, words), default=0)
    return "upright" if needed <= ACROSS else "landscape" if needed <= ACROSS * 1.45 else "landscape squeezed"


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]


def _plain(value: object) -> str:
    """An entry of the manifest as text, one line for each thing in it."""
    known = jsonable(value)
    if isinstance(known, dict):
        return "\n".join(f"{key}: {_in_line(item)}" for key, item in known.items()) or "none"
    if isinstance(known, list):
        return "\n".join(_in_line(item) for item in known) or "none"
    return _in_line(known)


def _in_line(known: object) -> str:
    if isinstance(known, dict):
        return ", ".join(f"{key}: {_in_line(item)}" for key, item in known.items())
    return known if isinstance(known, str) else json.dumps(known, ensure_ascii=False)


def _picture_uri(picture: Picture | SavedPicture) -> str:
    # As an image and not inline: identifiers of one drawing then cannot meet those of another.
    drawing = svg_of(picture)
    if len(drawing) <= _LARGEST_SVG:
        return f"data:image/svg+xml;base64,{base64.b64encode(drawing).decode()}"
    return f"data:image/png;base64,{base64.b64encode(png_of(picture)).decode()}"


def _csv_uri(picture: Picture | SavedPicture) -> str:
    return _text_uri(csv_of(picture))


def _table_uri(table: Table) -> str:
    return _text_uri(table_csv(table))


def _text_uri(text: str) -> str:
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
