"""`perdure check`: does the model show what is known of a question?"""

from typing import Annotated

import typer

from perdure.app.console import console, say, settings


def check(
    name: Annotated[str, typer.Argument(help="An experiment of 'perdure experiments'; without one: every one.")] = "",
    patients: Annotated[int, typer.Option(help="Virtual patients per arm at the estimate.")] = 300,
    draws: Annotated[int, typer.Option(help="Posterior draws.")] = 12,
    patients_per_draw: Annotated[int, typer.Option(help="Virtual patients per arm and draw.")] = 80,
    calibration: Annotated[str, typer.Option(help="A shipped calibration, or a file that 'perdure fit' wrote.")] = (
        "reference"
    ),
) -> None:
    """Check known findings of an experiment against the model; exit code 1 if a miss among them is news."""
    from perdure.reports.experiment_report import findings_text, reasons
    from perdure.reports.registry import checked_experiments, find_checked

    missing = 0
    for experiment in (name,) if name else checked_experiments():
        report = find_checked(experiment)
        with settings(
            patients=patients, draws=draws, patients_per_draw=patients_per_draw, calibration=calibration
        ) as chosen:
            findings = report(chosen, chosen.read_calibration()).findings
        console.print(f"[bold]{experiment}[/bold]")
        say(findings_text(findings) + "\n")
        for reason in reasons(findings):
            say(f"{reason}\n")
        missing += sum(not finding.met and not finding.why_not for finding in findings)
    say("Few patients and draws, to be quick: an estimate can lie outside an interval of so few draws.")
    say("Simulated patients; a research and design tool, not medical advice.")
    if missing:
        raise typer.Exit(1)
