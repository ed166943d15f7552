"""Run an experiment, and report it in three places: on the console, in the folder of the run, in its report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..fitting.calibration.calibration import Calibration, is_file
from .figures.picture import Picture
from .report import Report, SavedPicture, Section, Table, aligned, cell_text, columns
from .run_files import NumberRow, new_run, write_run
from .settings import Settings


@dataclass(frozen=True)
class Finding:
    """Something that is known, and whether the model shows it.

    Attributes
    ----------
    what
        The finding in a sentence.
    known
        What was reported, with its number.
    source
        The id of an item of the evidence, or another key by which it can be found.
    model
        The model's answer in words, with its interval.
    met
        Whether the model shows it.
    why_not
        What is known of a finding that the model does not show; empty if that would be news.
    """

    what: str
    known: str
    source: str
    model: str
    met: bool
    why_not: str = ""

    @property
    def verdict(self) -> str:
        """One word or two for tables."""
        return "reproduced" if self.met else "not reproduced, known" if self.why_not else "NOT REPRODUCED"


@dataclass(frozen=True, eq=False)
class ExperimentReport:
    """What an experiment has to report.

    Attributes
    ----------
    sentences
        The answer in plain words, the most important first.
    sections
        Text, pictures and tables; names of pictures differ, and so do titles of tables.
    numbers
        Every number that another run can be compared with.
    notices
        What a reader must know first: extrapolations, assumptions.
    given
        Arms, and what they are given as it was read, in plain words.
    seeds
        Further seeds than those of the virtual patients and of the calibration.
    failures
        Patients who could not be integrated.
    for_reference
        Titles of tables to look things up in: in the report and in the folder of the run, not on the console.
    """

    title: str
    subtitle: str
    sentences: Sequence[str]
    sections: Sequence[Section]
    numbers: Sequence[NumberRow] = ()
    notices: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    given: Sequence[tuple[str, str]] = ()
    seeds: Mapping[str, object] = field(default_factory=dict)
    failures: Sequence[object] = ()
    for_reference: Sequence[str] = ()

    @property
    def pictures(self) -> list[Picture | SavedPicture]:
        """Every picture, in the order of the sections."""
        return [picture for section in self.sections for picture in section.pictures]

    @property
    def tables(self) -> list[Table]:
        """Every table, in the order of the sections."""
        return [table for section in self.sections for table in section.tables]


Reporter = Callable[[Settings, Calibration], ExperimentReport]
"""The `report` of an experiment."""


def run_experiment(settings: Settings, name: str, report: Reporter, *, inputs: Sequence[Path] = ()) -> Path:
    """Run an experiment, print its answer, and write the run: report, pictures, tables and numbers.

    Parameters
    ----------
    inputs
        Files of the user that went in; the manifest holds their checksums.

    Returns
    -------
    Path
        The folder of the run.
    """
    calibration = settings.read_calibration()
    seeds = {"virtual patients": settings.seed, "calibration": calibration.about.get("seed")}
    with new_run(settings.folder, name, settings.command, seeds) as folder:
        for file in (*inputs, *([Path(settings.calibration)] if is_file(settings.calibration) else [])):
            folder.note_input(file)
        with folder.timed("simulation and pictures"):
            answer = report(settings, calibration)
        folder.note_seeds(answer.seeds)
        folder.note_failures(answer.failures)
        sections = [*answer.sections, *([_section(answer.findings)] if answer.findings else [])]
        if answer.given:
            sections.append(Section("What was given", tables=[Table("Given", ("arms", "read as"), answer.given)]))
        for sentence in answer.sentences:
            settings.say(sentence)
        tables = [table for section in sections for table in section.tables]
        for table in tables:
            if table.title not in answer.for_reference:
                cells = [tuple(map(cell_text, row)) for row in table.rows]
                settings.say(f"\n{table.title}\n{aligned(table.columns, cells)}")
        folder.write_json("calibration", {"name": calibration.name, "about": calibration.about})
        write_run(
            folder,
            Report(answer.title, answer.subtitle, "\n\n".join(answer.sentences), sections, answer.notices),
            tables=[(file_name(table.title), columns(table.columns, table.rows)) for table in tables],
            numbers=answer.numbers,
        )
    return folder.path


def file_name(title: str) -> str:
    """The title of a table as the name of a file."""
    kept = "".join(letter if letter.isalnum() and letter.isascii() else " " for letter in title.lower())
    return "_".join(kept.split()) or "table"


_HEAD = ("finding", "known", "model", "verdict", "source")


def _rows(findings: Sequence[Finding]) -> list[tuple[str, ...]]:
    return [(f.what, f.known, f.model, f.verdict, f.source) for f in findings]


def findings_text(findings: Sequence[Finding]) -> str:
    """Findings as plain text."""
    return aligned(_HEAD, _rows(findings))


def reasons(findings: Sequence[Finding]) -> list[str]:
    """Why findings are not reproduced, each reason once."""
    return list(dict.fromkeys(f"{f.what}: {f.why_not}" for f in findings if not f.met and f.why_not))


def _section(findings: Sequence[Finding]) -> Section:
    text = "What is known of this question, and whether the model reproduces it (perdure check does the same)."
    table = Table("Findings", _HEAD, _rows(findings))
    return Section("Agreement with published findings", "\n\n".join((text, *reasons(findings))), tables=[table])
