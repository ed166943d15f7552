"""A report as JSON, beside its pictures and tables, so that its HTML can be made again."""

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perdure.experiments.pictures.columns import cell_text
from perdure.experiments.report.parts import Report, SavedReport, SavedSection, Table
from perdure.experiments.report.run_folder import jsonable
from perdure.experiments.report.saved_picture import keep_picture, read_picture
from perdure.parameters.errors import FileError

FORMAT = 1
"""Of the JSON file; a file of another one is refused."""
REPORT = "report.json"
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def keep_report(report: Report, file: str | Path) -> SavedReport:
    """Leave a report in FILE (JSON), with its pictures and its tables as CSV in the same folder.

    A picture or a table that is there already, with the same content, is not written again; other tables become
    table_SECTION_PLACE.csv.

    Returns
    -------
    SavedReport
        The same report with its pictures as `read_report` will read them.
    """
    target = Path(file)
    sections = [
        SavedSection(part.title, part.text, [keep_picture(one, target.parent) for one in part.pictures], part.tables)
        for part in report.sections
    ]
    kept = SavedReport(report.title, report.subtitle, report.intro, sections, report.notices, report.manifest)
    _keep_tables(kept, target.parent)
    text = json.dumps(contents(kept), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    target.write_text(text, encoding="utf-8", newline="\n")
    return kept


def read_report(file: str | Path) -> SavedReport:
    """Read what `keep_report` has left.

    Raises
    ------
    FileError
        If the file is missing, is no report, or is of another format; or if the file of a picture is missing.
    """
    source = Path(file)
    try:
        read = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(
            f"{source.parent}: there is no {source.name} in it, from which its report could be made again; older runs "
            "did not keep one. Make the run again."
        ) from None
    except (OSError, ValueError) as problem:
        raise FileError(f"{source}: it cannot be read as a report ({problem}).") from problem
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        found = read.get("format") if isinstance(read, dict) else None
        raise FileError(f"{source}: a report of format {found!r}; this version of perdure reads format {FORMAT}.")
    try:
        return _report(read, source.parent)
    except (KeyError, TypeError, AttributeError) as problem:
        raise FileError(f"{source}: it is no whole report ({type(problem).__name__}: {problem}).") from problem


def contents(report: Report | SavedReport) -> dict[str, Any]:
    """The report as JSON knows it; pictures by their names."""
    return {
        "format": FORMAT,
        "title": report.title,
        "subtitle": report.subtitle,
        "intro": report.intro,
        "notices": list(report.notices),
        "sections": [
            {
                "title": section.title,
                "text": section.text,
                "pictures": [{"name": picture.name, "title": picture.title} for picture in section.pictures],
                "tables": [_table(table) for table in section.tables],
            }
            for section in report.sections
        ],
        "manifest": jsonable(report.manifest),
    }


def table_csv(table: Table) -> str:
    """A table as CSV text (comma, line feed, first line the columns); numbers with 12 significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([cell_text(value) for value in row] for row in table.rows)
    return text.getvalue()


def _keep_tables(report: SavedReport, folder: Path) -> None:
    there = {path.read_bytes() for path in folder.glob("*.csv")}
    for number, section in enumerate(report.sections, start=1):
        for place, table in enumerate(section.tables, start=1):
            text = table_csv(table).encode()
            if table.rows and text not in there:
                (folder / f"table_{number}_{place}.csv").write_bytes(text)


def _table(table: Table) -> dict[str, Any]:
    rows = [[_cell(value) for value in row] for row in table.rows]
    return {"title": table.title, "columns": list(table.columns), "rows": rows, "note": table.note}


def _cell(value: object) -> Any:
    """An entry of a table; a number that JSON does not know becomes {"number": "inf"}, anything strange its text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    return str(value)


def _report(read: Mapping[str, Any], folder: Path) -> SavedReport:
    return SavedReport(
        title=read["title"],
        subtitle=read["subtitle"],
        intro=read["intro"],
        sections=[
            SavedSection(
                section["title"],
                section["text"],
                [read_picture(folder, picture["name"], picture["title"]) for picture in section["pictures"]],
                [_read_table(table) for table in section["tables"]],
            )
            for section in read["sections"]
        ],
        notices=read["notices"],
        manifest=read["manifest"],
    )


def _read_table(table: Mapping[str, Any]) -> Table:
    rows = [[_NOT_FINITE[v["number"]] if isinstance(v, dict) else v for v in row] for row in table["rows"]]
    return Table(table["title"], table["columns"], rows, table["note"])
