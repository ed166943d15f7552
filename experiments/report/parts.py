"""What a report is made of: tables, sections, and the report itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from perdure.experiments.pictures.picture import Picture
from perdure.experiments.report.saved_picture import SavedPicture
from perdure.parameters.errors import InputError


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
