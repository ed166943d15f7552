"""`perdure`: experiments, plans, scenarios, trials, runs, fits; every command that is not in a file of its own."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from perdure.app.console import bar, console, errors, say, settings
from perdure.app.design import design
from perdure.app.evidence import check, fit, validate
from perdure.app.patients import patients
from perdure.app.project import project
from perdure.app.runs import compare, report
from perdure.parameters.errors import InputError, PerdureError

# Only what --help needs is imported here; each command imports what it runs.

app = typer.Typer(
    help="How long a CAR-T response in multiple myeloma lasts, why it ends, and what makes it last longer. "
    "A research and design tool. Not medical advice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
INTERRUPTED = 130

Patients = Annotated[int, typer.Option(help="Virtual patients per arm at the estimate.")]
Draws = Annotated[int, typer.Option(help="Posterior draws; each is simulated with --patients-per-draw patients.")]
Seed = Annotated[int, typer.Option(help="Root seed of the virtual patients.")]
CalibrationName = Annotated[str, typer.Option(help="A shipped calibration, or a file that 'perdure fit' wrote.")]


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
    from perdure.reports.experiment_report import run_experiment
    from perdure.reports.registry import find_report

    report = find_report(name)
    with settings(
        patients=patients, draws=draws, patients_per_draw=patients_per_draw, seed=seed, calibration=calibration,
        folder=out,
    ) as chosen:  # fmt: skip
        folder = run_experiment(chosen, name, report)
    console.print(f"\nReport: {folder / 'report.html'}", soft_wrap=True)
    console.print(f"Figures, their numbers as CSV, and the manifest are beside it in {folder}", soft_wrap=True)


@app.command()
def plan(
    words: Annotated[str, typer.Argument(help="A plan in words, or a file that holds one (.txt).")],
    events: Annotated[Path | None, typer.Option(help="Write the doses of day 0 as a NONMEM-style event table.")] = None,
) -> None:
    """Read a plan and say it back in full, without running it."""
    from perdure.model.regimens.event_table import write_events
    from perdure.model.regimens.sentence import write_plan

    given = _read_plan(words)
    say(given.text)
    say(f"\nAs a sentence: {write_plan(given)}")
    if events is not None:
        write_events(given.first, events)
        say(f"Doses from day 0: {events}")


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
    from perdure.fitting.calibration.calibration import read_calibration
    from perdure.fitting.posterior import Sizes
    from perdure.reports.comparison_report import table_of
    from perdure.reports.line_report import compare_plans
    from perdure.reports.report import aligned, cell_text

    given = _read_plan(words)
    say(f"{given.text}\n")
    numbers = (line,) if line else range(1, len(given.lines) + 1)
    with bar() as feed:
        sizes = Sizes(patients, draws, patients_per_draw, seed, feed)
        lines = [
            compare_plans(
                {f"line {number}": given}, population, read_calibration(calibration), line=number, months=months,
                sizes=sizes,
            )
            for number in numbers
        ]  # fmt: skip
    tables = [table_of(comparison, "", gains=()) for comparison in lines]
    head = ("line", *tables[0].columns[1:])
    say(aligned(head, [tuple(map(cell_text, row)) for table in tables for row in table.rows]))
    for comparison in lines:
        provenance = comparison.provenance[0]
        say(f"\n{comparison.arms[0].name}, {provenance.flag}: {provenance.reason}.")
    say("\nSimulated patients; a research and design tool, not medical advice.")


def _read_plan(words: str):  # noqa: ANN202  # a Plan, which is not imported before it is needed
    from perdure.model.regimens.sentence import read_plan, read_plan_file

    return read_plan_file(words) if words.endswith(".txt") else read_plan(words)


@app.command()
def experiments() -> None:
    """List the experiments: one question each."""
    from rich.table import Table

    from perdure.reports.registry import all_experiments

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for entry in all_experiments():
        table.add_row(f"[bold]{entry.name}[/bold]", f"{entry.question} [dim]({entry.time})[/dim]")
    console.print(table)


app.command()(project)
app.command()(design)
app.command()(compare)
app.command()(report)
app.command()(check)
app.command()(fit)
app.command()(validate)
app.command()(patients)


@app.command()
def explain(
    symbol: Annotated[str, typer.Argument(help="A parameter, state or quantity, such as k_kill_max, or 'equations'.")],
    calibration: CalibrationName = "reference",
) -> None:
    """Show a number's value, unit, range, source with quote, and equations that use it; or all equations as LaTeX."""
    from perdure.app.inspection import explain_symbol

    say(explain_symbol(symbol, calibration))


@app.command()
def reproduce(
    file: Annotated[Path, typer.Argument(help="A file of the folder 'failures' of a run.")],
) -> None:
    """Run a patient that could not be integrated once more, from the file that says how."""
    from perdure.model.reproduce import recorded, reproduce

    failure = recorded(file)
    say(f"recorded: {failure['reason']} on day {failure['day']!r}")
    failures = reproduce(file).failures
    say(f"now:      {failures[0].reason} on day {failures[0].day!r}" if failures else "now:      integrated to the end")


@app.command()
def doctor() -> None:
    """Check this installation: versions, cores, the compiled model, the calibration, writable folders."""
    from perdure.app.inspection import examine

    healthy = True
    for diagnosis in examine():
        healthy = healthy and diagnosis.fine
        mark = "[green]ok  [/green]" if diagnosis.fine else "[red]FAIL[/red]"
        console.print(f"{mark} {diagnosis.what}: {diagnosis.state}", soft_wrap=True)
    if not healthy:
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def version_option(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Options of the program itself."""
    if version:
        from perdure import __version__

        console.print(f"perdure {__version__}")
        raise typer.Exit


def run_script(file: str) -> None:
    """What `perdure run` does for an experiment that is started as a script or by `python -m`; same options."""
    sys.argv = ["perdure", "run", Path(file).stem, *sys.argv[1:]]
    main()


def main() -> None:
    """Entry point: a user's mistake ends with one sentence and exit code 2, a failed run with 1, Ctrl-C with 130."""
    try:
        app(prog_name="perdure")
    except InputError as error:
        errors.print(f"perdure: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except PerdureError as error:
        errors.print(f"perdure: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as stop:
        # typer turns Ctrl-C into a silent exit with code 130
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        errors.print("perdure: stopped; nothing half-written is left. A fit goes on with --resume.", markup=False)
        sys.exit(INTERRUPTED)
