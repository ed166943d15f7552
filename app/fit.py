"""`perdure fit`: the calibration from scratch, or the report on one that is there."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from perdure.app.console import bar, say

# Only what --help needs is imported here; the command imports what it runs.


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
    settings = FitSettings(draws=draws, seed=seed, sizes=sizes)
    with bar() as feed:
        found = reference_fit(out, settings, resume=resume, progress=feed)
    worst = sorted(found.misfits.items(), key=lambda pair: -abs(pair[1]["misfit"]))[:10]
    say(f"{found.about['starts']}\nlog posterior {found.about['log_posterior']}; the worst, misfit in SE:")
    for name, values in worst:
        say(f"  {name:48} model {values['model']:<10g} misfit {values['misfit']:+.2f}")
    say(f"\nCalibration: {out}\nUse it: perdure run --calibration {out}")
    say(f"See what it rests on: perdure fit --report --calibration {out}")
