"""`perdure project FILE`: the arms of a scenario, projected with their uncertainty."""

from pathlib import Path
from typing import Annotated

import typer

from perdure.app.console import say, settings


def project(
    file: Annotated[Path, typer.Argument(help="A scenario with [[arm]]s (.toml); its [trial] is left to 'design'.")],
    patients: Annotated[int, typer.Option(help="Virtual patients per arm at the estimate.")] = 1000,
    draws: Annotated[int, typer.Option(help="Posterior draws.")] = 40,
    patients_per_draw: Annotated[int, typer.Option(help="Virtual patients per arm and draw.")] = 120,
    seed: Annotated[int, typer.Option(help="Root seed of the virtual patients.")] = 20261,
    calibration: Annotated[str, typer.Option(help="A shipped calibration, or a file that 'perdure fit' wrote.")] = (
        "reference"
    ),
    why: Annotated[bool, typer.Option(help="Split every difference by mechanism.")] = True,
    out: Annotated[Path, typer.Option(help="Folder that gets one folder per run.")] = Path("runs"),
) -> None:
    """Project the arms of a scenario: who gains, by how much, how sure, and at which risk."""
    from perdure.reports.scenario_report import project_file

    with settings(
        patients=patients, draws=draws, patients_per_draw=patients_per_draw, seed=seed, calibration=calibration,
        folder=out,
    ) as chosen:  # fmt: skip
        folder = project_file(file, chosen, why=why)
    say(f"\nReport: {folder / 'report.html'}")
    say("Simulated patients; a research and design tool, not medical advice.")
