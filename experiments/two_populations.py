"""Do the headline numbers depend on how virtual patients are made?

Patients sampled from the fitted distributions, against plausible patients with prevalence weights
(`weighed_projection`): response, progression-free survival, and what lenalidomide adds, under both.
"""

from pathlib import Path

from perdure.fitting.calibration.calibration import Calibration
from perdure.reports.populations_report import (
    HEAD,
    LIMIT_HEAD,
    SHARE_HEAD,
    headline_cells,
    limit_cells,
    notices,
    picture,
    reading,
    share_cells,
)
from perdure.reports.report import Report, Section, Table, aligned, columns, write_report
from perdure.reports.run_folder import new_run
from perdure.reports.settings import Settings
from perdure.trials.prevalence_projection import (
    TwoPopulations,
    project_both,
)
from perdure.trials.projection import Progress
from perdure.trials.treat import SEED

TIME = "about half a minute"


DRAWS = 20


"""Posterior draws behind each interval of the first way."""


def run(
    calibration: Calibration, *, patients: int = 1000, draws: int = DRAWS, patients_per_draw: int = 120,
    repeats: int = 100, seed: int = SEED, progress: Progress | None = None,
) -> tuple[TwoPopulations, ...]:  # fmt: skip
    """Headline numbers of ide-cel and cilta-cel under both ways; three times `patients` are sampled widely."""
    return project_both(
        calibration, patients=patients, draws=draws, patients_per_draw=patients_per_draw, plausible=3 * patients,
        repeats=repeats, seed=seed, progress=progress,
    )  # fmt: skip


def main(settings: Settings) -> Path:
    """Compute, print, draw, and write the report; returns its folder."""
    calibration = settings.read_calibration()
    with new_run(settings.folder, "two_populations", settings.command, {"patients": settings.seed}) as folder:
        with folder.timed("simulation"):
            found = run(
                calibration, patients=settings.patients, draws=min(settings.draws, DRAWS),
                patients_per_draw=settings.patients_per_draw, seed=settings.seed, progress=settings.progress,
            )  # fmt: skip
        cells, shares, limits = headline_cells(found), share_cells(found), limit_cells(found)
        settings.say(aligned(HEAD, cells))
        settings.say("\n" + reading(found))
        for name, head, rows in (
            ("headlines", HEAD, cells), ("shares", SHARE_HEAD, shares), ("limits", LIMIT_HEAD, limits),
        ):  # fmt: skip
            folder.write_table(name, columns(head, rows))
        drawn = picture(found)
        folder.save(drawn)
        report = Report(
            title="Do the headline numbers depend on how virtual patients are made?",
            subtitle="Patients sampled from the fit, and plausible patients with prevalence weights",
            intro=reading(found),
            notices=notices(found),
            sections=[
                Section("Headline numbers", _TEXT, [drawn], [Table("Both ways", HEAD, cells, _NOTE)]),
                Section("What was to be met", _SHARE_TEXT, tables=[Table("Shares", SHARE_HEAD, shares)]),
                Section("Who is implausible", _LIMIT_TEXT, tables=[Table("Limits", LIMIT_HEAD, limits)]),
            ],
            manifest=folder.manifest(),
        )
        write_report(folder.path / "report.html", report)
    return folder.path


_TEXT = """Where the marks of a row stand together, the number does not hang on the way. The weights move the virtual
trial onto the results of this product alone, where the joint fit also answers to every other trial and to its priors.
The typical patient is that of the fit in both ways."""


_NOTE = """Value (95 % interval). Of the fit: posterior draws. Of the weights: reported results drawn within their
sampling errors, one by one, and patients by the Bayesian bootstrap; the typical patient and the drug stay at the
estimate, so that what is not known of them is not in these intervals."""


_SHARE_TEXT = """Each result as a share of patients: a median is the time by which half have had the event. Columns:
under the base weights of the fit, and weighted from either start."""


_LIMIT_TEXT = """Patients sampled widely who break a limit; one patient may break several. Whoever breaks any is taken
out of the second way."""
