"""`perdure fit`, `validate`, `check`: the model and what is reported of patients, fitted and never fitted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.app.console import bar, console, say, settings

if TYPE_CHECKING:
    from perdure.fitting.validation.user_evidence import UserValidation

# Only what --help needs is imported here; the commands import what they run.


def fit(
    out: Annotated[Path, typer.Option(help="File for the calibration (.json or .json.gz).")] = Path("calibration.json"),
    draws: Annotated[int, typer.Option(help="Posterior draws that are kept.")] = 200,
    patients: Annotated[int, typer.Option(help="Virtual patients per arm and evaluation.")] = 250,
    seed: Annotated[int, typer.Option(help="Root seed of the fit.")] = 20260101,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a fit that was cut off.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="No fit: report on --calibration, from the points it rests on.")
    ] = False,
    calibration: Annotated[str, typer.Option(help="With --report: a shipped calibration, or a file of a fit.")] = (
        "reference"
    ),
    runs: Annotated[Path, typer.Option(help="With --report: folder that gets one folder per run.")] = Path("runs"),
) -> None:
    """Fit all evidence jointly from scratch, or with --report show what a fit rests on. Half an hour or more."""
    if report:
        from perdure.reports.assessed_fit import SIZES
        from perdure.reports.calibration_report import write_fit_report

        with bar() as feed:
            folder = write_fit_report(calibration, runs, sizes=replace(SIZES, progress=feed))
        say(f"Report: {folder / 'report.html'}")
        return
    from perdure.fitting.calibration.problem import Sizes
    from perdure.fitting.calibration.reference_fit import reference_fit
    from perdure.fitting.calibration.rounds import FitSettings

    sizes = Sizes(patients, max(2, patients * 2 // 5), max(2, patients // 4))
    fit_settings = FitSettings(draws=draws, seed=seed, sizes=sizes)
    with bar() as feed:
        fitted = reference_fit(out, fit_settings, resume=resume, progress=feed)
    worst = sorted(fitted.misfits.items(), key=lambda pair: -abs(pair[1]["misfit"]))[:10]
    say(f"{fitted.about['starts']}\nlog posterior {fitted.about['log_posterior']}; the worst, misfit in SE:")
    for name, values in worst:
        say(f"  {name:48} model {values['model']:<10g} misfit {values['misfit']:+.2f}")
    say(f"\nCalibration: {out}\nUse it: perdure run --calibration {out}")
    say(f"See what it rests on: perdure fit --report --calibration {out}")


def validate(
    evidence: Annotated[Path, typer.Argument(help="A file of evidence (.toml), or a folder of them.")],
    patients: Annotated[int, typer.Option(help="Virtual patients per arm at the estimate.")] = 600,
    draws: Annotated[int, typer.Option(help="Posterior draws, of --patients-per-draw patients each.")] = 40,
    patients_per_draw: Annotated[int, typer.Option(help="Virtual patients per arm and draw.")] = 150,
    seed: Annotated[int, typer.Option(help="Root seed of the virtual patients.")] = 20264,
    calibration: Annotated[
        str, typer.Option(help="Name of a shipped calibration, or a .json file of 'perdure fit'.")
    ] = "reference",
) -> None:
    """Compare the model with evidence that was never used in the fit, and count how much of it was predicted."""
    from perdure.fitting.calibration.calibration import read_calibration
    from perdure.fitting.posterior import Sizes
    from perdure.fitting.validation.user_evidence import read_user_evidence, validate_user_evidence

    studies = read_user_evidence(evidence)
    with bar() as feed:
        sizes = Sizes(patients, draws, patients_per_draw, seed, feed)
        validation = validate_user_evidence(studies, read_calibration(calibration), sizes=sizes)
    for line in _validation_lines(validation):
        say(line)


def _validation_lines(validation: "UserValidation") -> Sequence[str]:
    """Warnings, the table, coverage, and what the model does not compute."""
    from perdure.reports.report import aligned

    head = ("study", "result", "reported", "model (95 % of parameters)", "95 % of such trials", "inside", "misfit")
    rows = [
        (
            row.fit.study, row.fit.label, row.fit.item.text, row.fit.model_text, row.predictive_text, row.inside_text,
            f"{row.fit.misfit:+.1f}",
        )
        for row in validation.rows
    ]  # fmt: skip
    printed = [f"Warning: {warning}" for warning in validation.warnings]
    printed += [aligned(head, rows), ""]
    coverages = validation.coverage()
    if coverages[0].total:
        inside = "; ".join(coverage.text for coverage in coverages)
        printed.append(f"Reports inside their predictive intervals: {inside}.")
        printed.append("In brackets the 95 % interval of the share, as if results of one trial were independent.")
    if validation.not_computed:
        printed.append(f"Not computed by the model: {', '.join(validation.not_computed)}.")
    printed.append("Misfit in standard errors, positive where the model is above the report; beyond 2 is notable.")
    printed.append("Simulated patients; a research and design tool, not medical advice.")
    return printed


def check(
    name: Annotated[str, typer.Argument(help="An experiment of 'perdure experiments'; without one: every one.")] = "",
    patients: Annotated[int, typer.Option(help="Virtual patients per arm at the estimate.")] = 300,
    draws: Annotated[int, typer.Option(help="Posterior draws.")] = 12,
    patients_per_draw: Annotated[int, typer.Option(help="Virtual patients per arm and draw.")] = 80,
    calibration: Annotated[str, typer.Option(help="A shipped calibration, or a file that 'perdure fit' wrote.")] = (
        "reference"
    ),
) -> None:
    """Check known findings of an experiment against the model; exit code 1 if one unexpectedly is not met."""
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
