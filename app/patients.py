"""`perdure patients FILE`: fit a user's own patients, and say when each will progress."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# Only what --help needs is imported here; the command imports what it runs.

_console = Console()
_errors = Console(stderr=True)


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
    from perdure.experiments.own_pages import analyse

    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*bars, console=_errors, transient=True) as bar:
        tasks = {}

        def feed(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bar.add_task(label, total=total)
            bar.update(tasks[label], completed=done, total=total)

        folder = analyse(
            file, product=product, population=population, structure=structure, fit=fit, subject=subject,
            calibration=calibration, seed=seed, folder=out, command=shlex.join(["perdure", *sys.argv[1:]]),
            say=_say, progress=feed,
        )  # fmt: skip
    _say(f"\nReport: {folder / 'report.html'}")
    _say(f"Figures, their numbers as CSV, and the manifest are beside it in {folder}")
    _say("A research and design tool, not medical advice.")


def _say(text: str) -> None:
    _console.print(text, markup=False, highlight=False, soft_wrap=True)
