"""`perdure patients FILE`: fit a user's own patients, and say when each will progress."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from perdure.app.console import bar, say

# Only what --help needs is imported here; the command imports what it runs.


def patients(
    file: Annotated[Path, typer.Argument(help="Measurements, NONMEM style or long (.csv).")],
    product: Annotated[str, typer.Option(help="CAR-T product that they were given.")] = "ide_cel",
    population: Annotated[
        str, typer.Option(help="Whom they resemble: late_line, mixed_line, earlier_line, prior_bcma.")
    ] = ("late_line"),
    structure: Annotated[
        str, typer.Option(help="'mechanistic' (cells, tumour, markers) or 'kinetics' (cells alone, Stein 2019).")
    ] = ("mechanistic"),
    subject: Annotated[str, typer.Option(help="Only this patient.")] = "",
    fit: Annotated[
        str, typer.Option(help="'individual', within the shipped population, or 'population', estimated from these.")
    ] = ("individual"),
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 1,
    calibration: Annotated[
        str, typer.Option(help="Name of a shipped calibration, or a .json file of 'perdure fit'.")
    ] = ("reference"),
    out: Annotated[Path, typer.Option(help="Folder that gets one folder per run.")] = Path("runs"),
) -> None:
    """Fit your own patients: parameters of each, fits and checks as pictures, and time to progression."""
    from perdure.reports.patients_report import write_patients_report

    with bar() as feed:
        folder = write_patients_report(
            file, product=product, population=population, structure=structure, fit=fit, subject=subject,
            calibration=calibration, seed=seed, folder=out, command=shlex.join(["perdure", *sys.argv[1:]]),
            say=say, progress=feed,
        )  # fmt: skip
    say(f"\nReport: {folder / 'report.html'}")
    say(f"Figures, their numbers as CSV, and the manifest are beside it in {folder}")
    say("A research and design tool, not medical advice.")
