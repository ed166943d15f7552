"""Do the headline numbers depend on how virtual patients are made?

Patients sampled from the fitted distributions, against plausible patients with prevalence weights
(`prevalence_projection`): response, progression-free survival, and what lenalidomide adds, under both.
"""

from collections.abc import Sequence
from dataclasses import replace

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.reports.experiment_report import ExperimentReport
from perdure.reports.populations_report import headline_table, limit_table, notices, picture, reading, share_table
from perdure.reports.report import Section
from perdure.reports.run_files import NumberRow, estimate_rows
from perdure.reports.settings import Settings
from perdure.trials.prevalence_projection import METHODS, SAMPLED, TwoPopulations, project_both

TIME = "about half a minute"
SIZES = Sizes(draws=20)
"""Of the first method; three times as many patients are sampled widely for the second."""


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, repeats: int = 100
) -> tuple[TwoPopulations, ...]:
    """Headline numbers of ide-cel and cilta-cel under both methods."""
    return project_both(
        calibration or read_calibration(), sizes=sizes, plausible=3 * sizes.patients, repeats=repeats
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Headline numbers under both methods, what the weights were to meet, and who is implausible."""
    populations = run(calibration, replace(settings.sizes, draws=min(settings.draws, SIZES.draws)))
    return ExperimentReport(
        title="Do the headline numbers depend on how virtual patients are made?",
        subtitle="Patients sampled from the fit, and plausible patients with prevalence weights",
        sentences=(reading(populations),),
        sections=[
            Section("Headline numbers", _TEXT, [picture(populations)], [headline_table(populations)]),
            Section("What was to be met", _SHARE_TEXT, tables=[share_table(populations)]),
            Section("Who is implausible", _LIMIT_TEXT, tables=[limit_table(populations)]),
        ],
        numbers=numbers(populations),
        notices=notices(populations),
    )


def numbers(populations: Sequence[TwoPopulations]) -> list[NumberRow]:
    """Every headline under every method; intervals of the weights are from the sizes of the reported trials."""
    return [
        row
        for population in populations
        for method in METHODS
        for row in estimate_rows(
            f"{population.name}, {method}",
            population.sampled if method == SAMPLED else population.weighed[method].numbers,
            kind="parameters" if method == SAMPLED else "sample",
        )
    ]


_TEXT = """Where the marks of a row stand together, the number does not hang on the method. The weights move the virtual
trial onto the results of this product alone, where the joint fit also answers to every other trial and to its priors.
The typical patient is that of the fit in both methods."""
_SHARE_TEXT = """Each result as a share of patients: a median is the time by which half have had the event. Columns:
under the base weights of the fit, and weighted from either start."""
_LIMIT_TEXT = """Patients sampled widely who break a limit; one patient may break several. Whoever breaks any is taken
out of the second method."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
