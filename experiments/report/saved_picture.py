"""A picture as its four files hold it, so that a report can be made again without drawing anything."""

from dataclasses import dataclass
from pathlib import Path

from perdure.experiments.pictures.checks import check_name
from perdure.experiments.pictures.picture import Picture, picture_csv, picture_png, picture_svg, save_picture
from perdure.parameters.errors import FileError

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
