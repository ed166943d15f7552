"""A picture is a figure, the words for those who cannot see it, and the numbers it shows."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ...parameters.errors import InputError
from .checks import check_name
from .style import house_style

# Columns of equal length, and how they are written as CSV.


Columns = Mapping[str, Sequence[object]]


def check_columns(columns: Columns, where: str) -> int:
    """Length of the columns; raises InputError if there are none or if their lengths differ."""
    lengths = {name: len(column) for name, column in columns.items()}
    if not lengths:
        raise InputError(f"{where}: a table without columns; give at least one column.")
    if len(set(lengths.values())) > 1:
        summary = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{where}: the columns must be equally long, and have these lengths: {summary}.")
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


RESOLUTION = 160  # dots per inch of a PNG


@dataclass(frozen=True, eq=False)
class Picture:
    """One figure with everything that goes with it.

    Parameters
    ----------
    name
        Becomes the file name: letters, digits, '-', '_' and '.'.
    alt
        What the figure shows, in words and with its main numbers.
    table
        The numbers shown, as columns of equal length.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    table: Mapping[str, Sequence[object]]

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.alt.strip():
            raise InputError(f"picture {self.name}: the alt text is empty; say in words what the figure shows.")
        check_columns(self.table, f"picture {self.name}")


def picture_csv(picture: Picture) -> str:
    """The numbers shown, as CSV text."""
    return csv_text(picture.table, f"picture {picture.name}")


def picture_svg(picture: Picture) -> bytes:
    """The figure as SVG, byte for byte the same whenever it is drawn again."""
    metadata = {"Date": None, "Creator": "perdure", "Title": picture.title, "Description": picture.alt}
    with house_style():
        matplotlib.rcParams["svg.hashsalt"] = picture.name
        return _drawn(picture.figure, format="svg", metadata=metadata)


def picture_png(picture: Picture) -> bytes:
    """The figure as PNG with 160 dots per inch."""
    metadata = {"Software": None, "Title": picture.title, "Description": picture.alt}
    with house_style():
        return _drawn(picture.figure, format="png", dpi=RESOLUTION, metadata=metadata)


def save_picture(picture: Picture, folder: str | Path) -> tuple[Path, ...]:
    """Write NAME.svg, NAME.png, NAME.csv (the numbers shown) and NAME.txt (the alt text) into a folder."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    # The name may hold dots, so suffixes are added, not replaced.
    svg, png, csv, txt = (place / f"{picture.name}.{suffix}" for suffix in ("svg", "png", "csv", "txt"))
    svg.write_bytes(picture_svg(picture))
    png.write_bytes(picture_png(picture))
    write_csv(csv, picture.table)
    txt.write_text(picture.alt.strip() + "\n", encoding="utf-8", newline="\n")
    return svg, png, csv, txt


def _drawn(figure: Figure, **options: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, **options)
    return file.getvalue()
