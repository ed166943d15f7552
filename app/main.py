"""`perdure`: run, plan, follow, fit, experiments, explain, reproduce, doctor."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from perdure.parameters.errors import InputError, PerdureError

# Only what --help needs is imported here; each command imports what it runs.

app = typer.Typer(
    help="How long a CAR-T response in multiple myeloma lasts, why it ends, and what makes it last longer. "
    "A research and design tool. Not medical advice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_console = Console()
_errors = Console(stderr=True)

INTERRUPTED = 130

Patients = Annotated[int, typer.Option(help="Virtual patients per arm at the estimate.")]
Draws = Annotated[int, typer.Option(help="Posterior draws; each is simulated with --patients-per-draw patients.")]
Seed = Annotated[int, typer.Option(help="Root seed of the virtual patients.")]
CalibrationName = Annotated[str, typer.Option(help="Name of a shipped calibration, or a .json file of 'perdure fit'.")]


@contextmanager
def _bar() -> Iterator:
    """A progress bar that one function feeds: label, done, total."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_errors, transient=True) as bar:
        tasks: dict[str, int] = {}

        def feed(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bar.add_task(label, total=total)
            bar.update(tasks[label], completed=done, total=total)  # type: ignore[arg-type]

        yield feed


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="An experiment of 'perdure experiments'.")] = "overview",
    patients: Patients = 1000,
    draws: Draws = 40,
    patients_per_draw: Annotated[int, typer.Option(help="Virtual patients per arm and draw.")] = 120,
    seed: Seed = 20261,
    calibration: CalibrationName = "reference",
    out: Annotated[Path, typer.Option(help="Folder that gets one folder per run.")] = Path("runs"),
) -> None:
    """Run an experiment and write its report; without a name: the fit, and what combinations would add."""
    from perdure.experiments.settings import Settings
    from perdure.experiments.shelf import find_experiment

    experiment = find_experiment(name)
    with _bar() as feed:
        settings = Settings(
            patients=patients, draws=draws, patients_per_draw=patients_per_draw, seed=seed, calibration=calibration,
            folder=out, command=shlex.join(["perdure", *sys.argv[1:]]), progress=feed, say=_say,
        )  # fmt: skip
        folder = experiment.main(settings)
    _console.print(f"\nReport: {folder / 'report.html'}", soft_wrap=True)
    _console.print(f"Figures, their numbers as CSV, and the manifest are beside it in {folder}", soft_wrap=True)


@app.command()
def plan(
    words: Annotated[str, typer.Argument(help="A plan in words, or a file that holds one (.txt).")],
    events: Annotated[Path | None, typer.Option(help="Write the doses of day 0 as a NONMEM-style event table.")] = None,
) -> None:
    """Read a plan and say it back in full, without running it."""
    from perdure.model.language.event_table import write_events
    from perdure.model.language.sentence import write_plan

    read = _read_plan(words)
    _say(read.text)
    _say(f"\nAs a sentence: {write_plan(read)}")
    if events is not None:
        write_events(read.first, events)
        _say(f"Doses from day 0: {events}")


@app.command()
def follow(
    words: Annotated[str, typer.Argument(help="A plan in words, or a file that holds one (.txt).")],
    population: Annotated[
        str, typer.Option(help="Whose patients: late_line, mixed_line, earlier_line, prior_bcma.")
    ] = ("late_line"),
    line: Annotated[int, typer.Option(help="The line to report, 1 being that of day 0; 0: every line.")] = 0,
    months: Annotated[float, typer.Option(help="Follow-up of a line, in months.")] = 24.0,
    patients: Patients = 400,
    draws: Draws = 12,
    patients_per_draw: Annotated[int, typer.Option(help="Virtual patients per draw.")] = 120,
    seed: Seed = 20261,
    calibration: CalibrationName = "reference",
) -> None:
    """Give virtual patients a plan, one line after the other, and say what a trial of each line would report."""
    from perdure.experiments.report.text import aligned
    from perdure.experiments.sequence_projection import follow_plan, table_of
    from perdure.fitting.calibration import read_calibration

    read = _read_plan(words)
    _say(f"{read.text}\n")
    with _bar() as feed:
        found = follow_plan(
            read, population, read_calibration(calibration), line=line, months=months, patients=patients, draws=draws,
            patients_per_draw=patients_per_draw, seed=seed, progress=feed,
        )  # fmt: skip
    _say(aligned(*table_of(found)))
    for one in found:
        _say(f"\n{one.name}, {one.footing.flag}: {one.footing.reason}.")
    _say("\nSimulated patients; a research and design tool, not medical advice.")


def _read_plan(words: str):  # noqa: ANN202  # a Plan, which is not imported before it is needed
    from perdure.model.language.sentence import read_plan, read_plan_file

    return read_plan_file(words) if words.endswith(".txt") else read_plan(words)


@app.command()
def experiments() -> None:
    """List the experiments: one question each."""
    from perdure.experiments.shelf import all_experiments

    for entry in all_experiments():
        _console.print(f"[bold]{entry.name:22}[/bold] {entry.question} [dim]({entry.time})[/dim]")


@app.command()
def fit(
    out: Annotated[Path, typer.Option(help="File for the calibration (.json).")] = Path("calibration.json"),
    evaluations: Annotated[int, typer.Option(help="Evaluations of the joint posterior in the search.")] = 2400,
    draws: Annotated[int, typer.Option(help="Posterior draws.")] = 120,
    moves: Annotated[int, typer.Option(help="Metropolis moves of every draw.")] = 8,
    patients: Annotated[int, typer.Option(help="Virtual patients per arm.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the fit's virtual patients.")] = 20260101,
    search_seed: Annotated[int, typer.Option(help="Seed of the search.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a fit that was cut off.")] = False,
    therapies: Annotated[
        bool, typer.Option("--therapies", help="Only the second stage: single therapies, a quarter of an hour.")
    ] = False,
) -> None:
    """Repeat the calibration from scratch: search, covariance, posterior draws. About half an hour on two cores."""
    if therapies:
        _fit_therapies(out)
        return
    from perdure.fitting.reference_fit import FitSettings, reference_fit

    settings = FitSettings(evaluations, draws, moves, patients, seed, search_seed)
    with _bar() as feed:
        calibration = reference_fit(out, settings, resume=resume, progress=feed)
    worst = sorted(calibration.misfits.items(), key=lambda pair: -abs(pair[1]["misfit"]))[:8]
    _console.print(f"log posterior {calibration.about['log_posterior']}, worst items (misfit in standard errors):")
    for name, values in worst:
        _console.print(f"  {name:38} model {values['model']:<10g} misfit {values['misfit']:+.2f}")
    _console.print(f"\nCalibration: {out}\nUse it: perdure run --calibration {out}", soft_wrap=True)


def _fit_therapies(out: Path) -> None:
    """Decide the numbers of single therapies on top of the shipped first stage."""
    from perdure.fitting.calibration import read_calibration, write_calibration
    from perdure.fitting.reported import read_studies
    from perdure.fitting.therapy_fit import fit_therapies

    with _bar() as feed:
        found = fit_therapies(read_calibration(therapies=""), read_studies(), progress=feed)
    write_calibration(found, out)
    for name, values in found.misfits.items():
        _console.print(f"  {name:48} model {values['model']:<10g} misfit {values['misfit']:+.2f}")
    _console.print(f"\nSecond stage: {out}", soft_wrap=True)


@app.command()
def explain(
    symbol: Annotated[str, typer.Argument(help="A parameter, state or quantity, for example k_kill_max.")],
    calibration: CalibrationName = "reference",
) -> None:
    """Show a number's value, unit, range, source with quote, and the equations that use it."""
    from perdure.app.explain import explain_symbol

    _say(explain_symbol(symbol, calibration))


@app.command()
def reproduce(
    file: Annotated[Path, typer.Argument(help="A file of the folder 'failures' of a run.")],
) -> None:
    """Run a patient that could not be integrated once more, from the file that says how."""
    from perdure.model.reproduce import recorded, reproduce

    said = recorded(file)
    _say(f"recorded: {said['reason']} on day {said['day']!r}")
    now = reproduce(file).failures
    _say(f"now:      {now[0].reason} on day {now[0].day!r}" if now else "now:      integrated to the end")


@app.command()
def doctor() -> None:
    """Check this installation: versions, cores, the compiled model, the calibration, writable folders."""
    from perdure.app.doctor import examine

    healthy = True
    for finding in examine():
        healthy = healthy and finding.fine
        mark = "[green]ok  [/green]" if finding.fine else "[red]FAIL[/red]"
        _console.print(f"{mark} {finding.what}: {finding.found}", soft_wrap=True)
    if not healthy:
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def version_option(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Options of the program itself."""
    if version:
        from perdure import __version__

        _console.print(f"perdure {__version__}")
        raise typer.Exit


def _say(text: str) -> None:
    _console.print(text, markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point: a user's mistake ends with one sentence and exit code 2, a failed run with 1, Ctrl-C with 130."""
    try:
        app()
    except InputError as error:
        _errors.print(f"perdure: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except PerdureError as error:
        _errors.print(f"perdure: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as stop:
        # typer turns Ctrl-C into a silent exit with code 130
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        _errors.print("perdure: stopped; nothing half-written is left. A fit goes on with --resume.", markup=False)
        sys.exit(INTERRUPTED)
