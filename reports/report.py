"""A report: sections of text, pictures and tables, as one HTML file that needs nothing else, and as JSON beside it.

The HTML holds no script, no font and loads nothing. The JSON, with the files of its pictures, makes the HTML again.
"""

import base64
import csv
import dataclasses
import io
import json
import math
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..parameters.errors import FileError, InputError
from .figures import picture as csv_columns
from .figures.checks import check_name
from .figures.picture import Picture, picture_csv, picture_png, picture_svg, save_picture

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
        "The reported results do not fix the parameters of the model; the posterior says how far they are known.",
        "The filled band around a survival curve, and the interval of a median, of a model's answer or of an effect.",
    ),
    (
        "From the sample size",
        "A trial has a limited number of patients; a repetition would come out differently.",
        "Thin dashed lines around a survival curve, for a trial of the size that the key states, "
        "and the interval of a reported number.",
    ),
)
LONG_TABLE = 25  # rows; a longer table may go on over the next printed page
ACROSS = 100  # characters of a table's size in one line of a printed page (A4, portrait)
_LARGEST_SVG = 1_500_000  # bytes; a larger drawing is embedded as PNG


# Pictures, as they are drawn or as their files hold them

PICTURE_FILES = ("svg", "png", "csv", "txt")


@dataclass(frozen=True, eq=False)
class SavedPicture:
    """A picture as its four files hold it: two drawings, the numbers shown as CSV text, and the alt text."""

    name: str
    title: str
    alt: str
    svg: bytes
    png: bytes
    csv: str


def read_picture(folder: str | Path, name: str, title: str) -> SavedPicture:
    """Read NAME.svg, NAME.png, NAME.csv and NAME.txt of a folder; FileError if one of them is missing."""
    source = Path(folder)
    check_name(name)
    svg, png, table, words = (_bytes(source, f"{name}.{suffix}") for suffix in PICTURE_FILES)
    try:
        return SavedPicture(name, title, words.decode("utf-8").strip(), svg, png, table.decode("utf-8"))
    except UnicodeDecodeError as problem:
        raise FileError(f"{source}: {name}.csv or {name}.txt is not UTF-8 text ({problem}).") from problem


def write_picture(picture: Picture | SavedPicture, folder: str | Path) -> tuple[Path, ...]:
    """Write the four files of a picture into a folder."""
    if isinstance(picture, Picture):
        return save_picture(picture, folder)
    paths = tuple(Path(folder) / f"{picture.name}.{suffix}" for suffix in PICTURE_FILES)
    contents = (picture.svg, picture.png, picture.csv.encode(), f"{picture.alt}\n".encode())
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def _saved(picture: Picture | SavedPicture, folder: Path) -> SavedPicture:
    """The picture as its files in this folder hold it; they are written unless they are there with this content."""
    if not _is_there(picture, folder):
        write_picture(picture, folder)
    return read_picture(folder, picture.name, picture.title)


def _is_there(picture: Picture | SavedPicture, folder: Path) -> bool:
    if not all((folder / f"{picture.name}.{suffix}").is_file() for suffix in PICTURE_FILES):
        return False
    # A drawing is the same byte for byte whenever it is made, and holds the alt text too.
    saved = read_picture(folder, picture.name, picture.title)
    return saved.svg == _svg(picture) and saved.csv == _csv(picture)


def _svg(picture: Picture | SavedPicture) -> bytes:
    return picture.svg if isinstance(picture, SavedPicture) else picture_svg(picture)


def _png(picture: Picture | SavedPicture) -> bytes:
    return picture.png if isinstance(picture, SavedPicture) else picture_png(picture)


def _csv(picture: Picture | SavedPicture) -> str:
    return picture.csv if isinstance(picture, SavedPicture) else picture_csv(picture)


def _bytes(folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except OSError as problem:
        raise FileError(
            f"{folder}: the report shows a picture whose file '{file}' cannot be read ({problem.strerror}); "
            "put it back, or make the run again."
        ) from problem


# Tables, sections, the report


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
    pictures: Sequence[Picture | SavedPicture] = ()
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

    @property
    def pictures(self) -> list[Picture | SavedPicture]:
        """Every picture, in the order of the sections."""
        return [picture for section in self.sections for picture in section.pictures]


def columns(head: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, list[object]]:
    """The rows of a table as columns by name, for a CSV file."""
    return {name: [row[i] for row in rows] for i, name in enumerate(head)}


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as plain text, for a terminal."""
    table = [tuple(head), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


# HTML


def write_report(path: str | Path, report: Report) -> Path:
    """Write the report to one HTML file, and beside it what makes it again: NAME.json, its pictures, tables as CSV.

    The HTML needs none of them. A file that exists is replaced in one step.
    """
    target = Path(path)
    _check_pictures(report)
    target.parent.mkdir(parents=True, exist_ok=True)
    return write_html(target, report_html(save_report(report, target.with_suffix(".json"))))


def write_html(path: str | Path, text: str) -> Path:
    """Write a text to one file and nothing else; a file that exists is replaced in one step."""
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


def report_html(report: Report, *others: Report) -> str:
    """The report as HTML text; several become one document, one after the other."""
    reports = (report, *others)
    for document in reports:
        _check_pictures(document)
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


def _check_pictures(report: Report) -> None:
    names = [picture.name for picture in report.pictures]
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
    """How a table is printed: portrait, landscape, or squeezed, by how many characters its longest words need."""
    needed = 0
    for index, is_number in enumerate(_right_columns(table)):
        cells = [cell_text(row[index]) for row in table.rows]
        words = [*str(table.columns[index]).split(), *(cells if is_number else " ".join(cells).split())]
        needed += 2 + max(map(len, words), default=0)
    return "upright" if needed <= ACROSS else "landscape" if needed <= ACROSS * 1.45 else "landscape squeezed"


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]


def _plain(value: object) -> str:
    """An entry of the manifest as text, one line for each of its items."""
    entry = jsonable(value)
    if isinstance(entry, dict):
        return "\n".join(f"{key}: {_in_line(item)}" for key, item in entry.items()) or "none"
    if isinstance(entry, list):
        return "\n".join(_in_line(item) for item in entry) or "none"
    return _in_line(entry)


def _in_line(entry: object) -> str:
    if isinstance(entry, dict):
        return ", ".join(f"{key}: {_in_line(item)}" for key, item in entry.items())
    return entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)


def _picture_uri(picture: Picture | SavedPicture) -> str:
    # As an image and not inline: identifiers of one drawing then cannot meet those of another.
    drawing = _svg(picture)
    if len(drawing) <= _LARGEST_SVG:
        return f"data:image/svg+xml;base64,{base64.b64encode(drawing).decode()}"
    return f"data:image/png;base64,{base64.b64encode(_png(picture)).decode()}"


def _csv_uri(picture: Picture | SavedPicture) -> str:
    return _text_uri(_csv(picture))


def _table_uri(table: Table) -> str:
    return _text_uri(table_csv(table))


def _text_uri(text: str) -> str:
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


# JSON


def jsonable(value: object) -> Any:
    """The value in the types of JSON: NaN becomes null, infinities the words "inf" and "-inf".

    Arrays become lists, dataclasses and mappings objects, paths text; anything else raises InputError.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, Path | datetime):
        return str(value)
    raise InputError(
        f"{type(value).__name__} {value!r:.60} cannot be written as JSON; use numbers, text, lists or mappings."
    )


FORMAT = 1
"""Of the JSON file; a file of another format is refused."""
REPORT = "report.json"
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def save_report(report: Report, file: str | Path) -> Report:
    """Write a report to FILE (JSON), with its pictures and its tables as CSV in the same folder.

    A picture or a table that is there already, with the same content, is not written again; other tables become
    table_SECTION_PLACE.csv.

    Returns
    -------
    Report
        The same report with its pictures as `read_report` will read them.
    """
    target = Path(file)
    sections = [
        dataclasses.replace(section, pictures=[_saved(picture, target.parent) for picture in section.pictures])
        for section in report.sections
    ]
    saved = dataclasses.replace(report, sections=sections)
    _save_tables(saved, target.parent)
    text = json.dumps(_report_entry(saved), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    target.write_text(text, encoding="utf-8", newline="\n")
    return saved


def read_report(file: str | Path) -> Report:
    """Read what `save_report` has written.

    Raises
    ------
    FileError
        If the file is missing, is no report, or is of another format; or if the file of a picture is missing.
    """
    source = Path(file)
    try:
        entry = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(
            f"{source.parent}: there is no {source.name} in it, from which its report could be made again; older runs "
            "did not keep one. Make the run again."
        ) from None
    except (OSError, ValueError) as problem:
        raise FileError(f"{source}: it cannot be read as a report ({problem}).") from problem
    if not isinstance(entry, dict) or entry.get("format") != FORMAT:
        other = entry.get("format") if isinstance(entry, dict) else None
        raise FileError(f"{source}: a report of format {other!r}; this version of perdure reads format {FORMAT}.")
    try:
        return _read_entry(entry, source.parent)
    except (KeyError, TypeError, AttributeError) as problem:
        raise FileError(f"{source}: it is no whole report ({type(problem).__name__}: {problem}).") from problem


def _report_entry(report: Report) -> dict[str, Any]:
    """The report in the types of JSON; pictures by their names."""
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
                "tables": [_table_entry(table) for table in section.tables],
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
    writer.writerows([csv_columns.cell_text(value) for value in row] for row in table.rows)
    return text.getvalue()


def _save_tables(report: Report, folder: Path) -> None:
    present = {path.read_bytes() for path in folder.glob("*.csv")}
    for number, section in enumerate(report.sections, start=1):
        for place, table in enumerate(section.tables, start=1):
            text = table_csv(table).encode()
            if table.rows and text not in present:
                (folder / f"table_{number}_{place}.csv").write_bytes(text)


def _table_entry(table: Table) -> dict[str, Any]:
    rows = [[_cell_entry(value) for value in row] for row in table.rows]
    return {"title": table.title, "columns": list(table.columns), "rows": rows, "note": table.note}


def _cell_entry(value: object) -> Any:
    """A cell of a table; a number that JSON does not know becomes {"number": "inf"}, any other type its text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    return str(value)


def _read_entry(entry: Mapping[str, Any], folder: Path) -> Report:
    return Report(
        title=entry["title"],
        subtitle=entry["subtitle"],
        intro=entry["intro"],
        sections=[
            Section(
                section["title"],
                section["text"],
                [read_picture(folder, picture["name"], picture["title"]) for picture in section["pictures"]],
                [_read_table(table) for table in section["tables"]],
            )
            for section in entry["sections"]
        ],
        notices=entry["notices"],
        manifest=entry["manifest"],
    )


def _read_table(table: Mapping[str, Any]) -> Table:
    rows = [
        [_NOT_FINITE[value["number"]] if isinstance(value, dict) else value for value in row] for row in table["rows"]
    ]
    return Table(table["title"], table["columns"], rows, table["note"])
