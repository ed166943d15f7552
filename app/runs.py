"""`perdure compare` and `perdure report`: finished runs side by side, and their reports as one file."""

from pathlib import Path
from typing import Annotated

import typer

from perdure.app.console import say

# Only what --help needs is imported here; the commands import what they run.


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(help="Folder of another run, of the same question or of another scenario.")],
    to: Annotated[Path | None, typer.Option(help="Write the comparison to this file (HTML, with pictures).")] = None,
) -> None:
    """Put two runs side by side: inputs that differ, and every number that both have."""
    from perdure.reports.report import report_html, write_html
    from perdure.reports.run_comparison import compare_runs, comparison_report, lines
    from perdure.reports.run_files import read_run

    comparison = compare_runs(read_run(first), read_run(second))
    for line in lines(comparison):
        say(line)
    if to is not None:
        say(f"\nReport: {write_html(to, report_html(comparison_report(comparison)))}")
    say("Simulated patients; a research and design tool, not medical advice.")


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, one or more.")],
    to: Annotated[
        Path | None,
        typer.Option(help="The file to write; without it NAME.html of the run, or reports.html, where you are."),
    ] = None,
) -> None:
    """Make the report of a run again, or one document of several, in one HTML file that needs nothing else."""
    from perdure.reports.report import report_html, write_html
    from perdure.reports.run_files import read_runs, reports_of

    saved = read_runs(runs)
    # The folder of a run stays as it was: its manifest holds the checksum of every file in it.
    target = to or Path(f"{saved[0].name}.html" if len(saved) == 1 else "reports.html")
    say(f"Report: {write_html(target, report_html(*reports_of(saved)))}")
