"""`perdure validate`: the model beside evidence of the user's own, which was never used in the fit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.app.console import bar, say

if TYPE_CHECKING:
    from perdure.fitting.validation.user_evidence import UserValidation

# Only what --help needs is imported here; the command imports what it runs.


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
    for line in lines(validation):
        say(line)


def lines(found: "UserValidation") -> Sequence[str]:
    """What is printed: warnings, the table, coverage, and what the model does not compute."""
    from perdure.reports.report import aligned

    head = ("study", "result", "reported", "model (95 % of parameters)", "95 % of such trials", "inside", "misfit")
    rows = [
        (
            row.fit.study, row.fit.label, row.fit.item.text, row.fit.model_text, row.predictive_text, row.inside_text,
            f"{row.fit.misfit:+.1f}",
        )
        for row in found.rows
    ]  # fmt: skip
    said = [f"Warning: {warning}" for warning in found.warnings]
    said += [aligned(head, rows), ""]
    counted = found.coverage()
    if counted[0].total:
        said.append("Reports inside their predictive intervals: " + "; ".join(one.text for one in counted) + ".")
        said.append("In brackets the 95 % interval of the share, as if results of one trial were independent.")
    if found.not_computed:
        said.append(f"Not computed by the model: {', '.join(found.not_computed)}.")
    said.append("Misfit in standard errors, positive where the model is above the report; beyond 2 is notable.")
    said.append("Simulated patients; a research and design tool, not medical advice.")
    return said
