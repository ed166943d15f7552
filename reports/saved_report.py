"""A report as JSON, beside its pictures and tables, so that its HTML can be made again."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..parameters.errors import FileError, InputError
from .figures.checks import check_name
from .figures.columns import cell_text
from .figures.picture import Picture, picture_csv, picture_png, picture_svg, save_picture
from .run_folder import jsonable

# A picture as its four files hold it, so that a report can be made again without drawing anything.


SUFFIXES = ("svg", "png", "csv", "txt")


@dataclass(frozen=True, eq=False)
class SavedPicture:
    """A picture that was drawn before: two drawings, the numbers shown as CSV text, and the alt text."""

    name: str
    title: str
    alt: str
    svg: bytes
    png: bytes
    csv: str


def read_picture(folder: str | Path, name: str, title: str) -> SavedPicture:
    """Read NAME.svg, NAME.png, NAME.csv and NAME.txt of a folder; FileError if one of them is missing."""
    place = Path(folder)
    check_name(name)
    svg, png, table, words = (_bytes(place, f"{name}.{suffix}") for suffix in SUFFIXES)
    try:
        return SavedPicture(name, title, words.decode("utf-8").strip(), svg, png, table.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise FileError(f"{place}: {name}.csv or {name}.txt is not UTF-8 text ({problem}).") from problem


def keep_picture(picture: Picture, folder: str | Path) -> SavedPicture:
    """Leave a picture in a folder, unless its files are there already, and give what they hold."""
    place = Path(folder)
    if not _is_there(picture, place):
        save_picture(picture, place)
    return read_picture(place, picture.name, picture.title)


def _is_there(picture: Picture, place: Path) -> bool:
    if not all((place / f"{picture.name}.{suffix}").is_file() for suffix in SUFFIXES):
        return False
    # A drawing is the same byte for byte whenever it is made, and holds the alt text too.
    there = read_picture(place, picture.name, picture.title)
    return there.svg == picture_svg(picture) and there.csv == picture_csv(picture)


def svg_of(picture: Picture | SavedPicture) -> bytes:
    """The drawing as SVG."""
    return picture.svg if isinstance(picture, SavedPicture) else picture_svg(picture)


def png_of(picture: Picture | SavedPicture) -> bytes:
    """The drawing as PNG."""
    return picture.png if isinstance(picture, SavedPicture) else picture_png(picture)


def csv_of(picture: Picture | SavedPicture) -> str:
    """The numbers shown, as CSV text."""
    return picture.csv if isinstance(picture, SavedPicture) else picture_csv(picture)


def _bytes(folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except OSError as problem:
        raise FileError(
            f"{folder}: the report shows a picture whose file '{file}' cannot be read ({problem.strerror}); "
            "put it back, or make the run again."
        ) from problem


# What a report is made of: tables, sections, and the report itself.


@dataclass(frozen=True, eq=False)
class Table:
    """A table; columns in which every entry is a number are aligned to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise InputError(
                    f"table '{self.title}', row {number}: {len(row)} entries for {len(self.columns)} columns."
                )


@dataclass(frozen=True, eq=False)
class Section:
    """A heading with its paragraphs (plain text, separated by empty lines), pictures and tables."""

    title: str
    text: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, eq=False)
class Report:
    """Everything a report says.

    Parameters
    ----------
    intro
        Plain text, paragraphs separated by empty lines.
    notices
        What a reader must know before the numbers: extrapolations, failed patients, assumptions.
    manifest
        How the numbers came about; `RunFolder.manifest()` gives it.
    """

    title: str
    subtitle: str = ""
    intro: str = ""
    sections: Sequence[Section] = ()
    notices: Sequence[str] = ()
    manifest: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SavedSection:
    """A section whose pictures were drawn before."""

    title: str
    text: str
    pictures: Sequence[SavedPicture]
    tables: Sequence[Table]


@dataclass(frozen=True, eq=False)
class SavedReport:
    """A report whose pictures were drawn before; the rest is as in `Report`."""

    title: str
    subtitle: str
    intro: str
    sections: Sequence[SavedSection]
    notices: Sequence[str]
    manifest: Mapping[str, object]


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
