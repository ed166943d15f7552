"""`perdure design FILE`: power, sample size and assurance of a trial."""

from pathlib import Path
from typing import Annotated

import typer

from perdure.app.console import say, settings
from perdure.parameters.errors import InputError

# Only what --help needs is imported here; the command imports what it runs.


def design(
    file: Annotated[Path, typer.Argument(help="A scenario with [[arm]]s and a [trial] (.toml).")],
    sizes: Annotated[
        str, typer.Option(help="Patients of the trials to simulate, such as 100,200,400; around the plan if not given.")
    ] = "",
    trials: Annotated[int, typer.Option(help="Simulated trials of every size.")] = 200,
    arm: Annotated[str, typer.Option(help="Arm that is compared with the first one; the second if not given.")] = "",
    pool: Annotated[int, typer.Option(help="Virtual patients at the estimate, from which trials are drawn.")] = 1000,
    draws: Annotated[int, typer.Option(help="Posterior draws for the assurance.")] = 40,
    pool_per_draw: Annotated[int, typer.Option(help="Virtual patients of every draw.")] = 150,
    seed: Annotated[int, typer.Option(help="Root seed of virtual patients and trials.")] = 20261,
    calibration: Annotated[
        str, typer.Option(help="Name of a shipped calibration, or a .json file of 'perdure fit'.")
    ] = "reference",
    out: Annotated[Path, typer.Option(help="Folder that gets one folder per run.")] = Path("runs"),
) -> None:
    """Simulate a trial many times: how many patients it needs, and how likely it is to succeed."""
    from perdure.reports.design_report import design_report

    wanted = numbers(sizes)
    with settings(
        patients=pool, draws=draws, patients_per_draw=pool_per_draw, seed=seed, calibration=calibration, folder=out
    ) as chosen:
        folder = design_report(file, chosen, trial_sizes=wanted, trials=trials, arm=arm)
    say(f"\nReport: {folder / 'report.html'}")
    say(f"Figures, their numbers as CSV, and the subjects of one trial (ADSL, ADTTE, ADRS) are beside it in {folder}")
    say("Simulated patients; a research and design tool, not medical advice.")


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers between commas, in rising order; InputError for anything else."""
    try:
        return tuple(sorted({int(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        raise InputError(f"--sizes {text}: give whole numbers between commas, such as 100,200,400.") from None
