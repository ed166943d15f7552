"""CAR-T cells have failed: which therapy next, by how much, and how sure are we?

Virtual patients who progress after ide-cel get each therapy of the review in turn, on the same patients. What the first
line has left behind (antigen, clones, immunity against the CAR, exhausted T cells) decides what the next one finds.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.calibration.likelihood import ItemMatch
from perdure.fitting.calibration.predictions import compare_sequences, plan_of
from perdure.fitting.fit_table import THERAPY_SEED
from perdure.fitting.observations import Study
from perdure.fitting.studies import read_studies
from perdure.model.regimens.sentence import read_plan
from perdure.model.simulate import Solver
from perdure.reports.figures.curves import CurveToDraw
from perdure.reports.figures.forest import effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.rows import EffectRowToDraw
from perdure.reports.figures.survival import survival_picture
from perdure.reports.report import Report, Section, Table, aligned, columns, write_report
from perdure.reports.run_files import estimate_rows, write_numbers
from perdure.reports.run_folder import new_run
from perdure.reports.settings import Settings
from perdure.trials.line_projection import GAIN, MEDIAN, MONTHS, LineProjection, months_of, project_lines, table_of
from perdure.trials.projection import Progress

# What was reported of a line after the first, beside the model: the measure of every projected sequence.


_HEAD = ("study", "result", "patients", "given", "reported", "model", "misfit")
_REPORTED_NOTE = """Model at the estimate; misfit in standard errors, beyond 2 is notable. Role fit: part of the joint
fit; role check: no fit has seen it. A percentage without its number of patients is scored as of
ten."""


def reported_table(calibration: Calibration, *, patients: int = 400, seed: int = THERAPY_SEED) -> Table:
    """Every reported result about a line after the first, with what was given and the misfit."""
    parameters, solver = calibration.parameters(), Solver(rtol=1e-4, workers=1)
    studies = [study for study in read_studies() if any(one.line > 1 for one in study.scenarios)]

    def later(study: Study) -> tuple[ItemMatch, ...]:
        lines = {one.name for one in study.scenarios if one.line > 1}
        ids = [item.id for item in study.items if item.scenario in lines]
        return compare_sequences(parameters, [study], n=patients, seed=seed, only=ids, solver=solver)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(later, studies))
    cells = [_cells(study, match) for study, matches in zip(studies, found, strict=True) for match in matches]
    return Table("Reported of later lines", _HEAD, cells, _REPORTED_NOTE)


def _cells(study: Study, match: ItemMatch) -> tuple[str, ...]:
    item, scenario = match.item, study.scenario(match.item.scenario)
    count = "n not reported" if item.n is None else str(item.n)
    result = f"{item.endpoint.replace('_', ' ')}, role: {item.role}"
    model = f"{match.model:.1f} {item.unit}"
    return study.study, result, count, plan_of(scenario).text, item.text, model, f"{match.misfit:+.1f}"


TIME = "about four minutes"
POPULATION = "late_line"
CELLS = "ide-cel; at progression: lymphodepletion days 23-25; {} on day 28"
DRUG = "ide-cel; at progression: {}"
SALVAGES: Mapping[str, str] = {
    "ide-cel again": CELLS.format("ide-cel again"),
    "equ-cel (BCMA, human binder)": CELLS.format("equ-cel"),
    "OriCAR-017 (GPRC5D)": CELLS.format("oricar-017"),
    "BCMA/GPRC5D CAR-T": CELLS.format("bcma-gprc5d-car-t"),
    "universal CAR-T (BCMA)": CELLS.format("universal-car-t"),
    "teclistamab (BCMA)": DRUG.format("teclistamab"),
    "talquetamab (GPRC5D)": DRUG.format("talquetamab"),
    "cevostamab (FcRH5)": DRUG.format("cevostamab"),
    "belantamab mafodotin": DRUG.format("belantamab-mafodotin"),
    "nivolumab": DRUG.format("nivolumab"),
    "daratumumab": DRUG.format("daratumumab"),
    "proteasome inhibitor": DRUG.format("proteasome-inhibitor"),
    "selinexor": DRUG.format("selinexor"),
    "combination chemotherapy": DRUG.format("combination-chemotherapy"),
    "autologous transplant": DRUG.format("autologous-transplant"),
}
"""Each salvage as a plan; cells are infused four weeks after progression, drugs start at once."""
CURVES = ("ide-cel again", "OriCAR-017 (GPRC5D)", "teclistamab (BCMA)", "talquetamab (GPRC5D)", "belantamab mafodotin")
"""Salvages whose curves are drawn: more would not be legible."""


def run(
    calibration: Calibration,
    salvages: Mapping[str, str] | None = None,
    *,
    population: str = POPULATION,
    patients: int = 400,
    draws: int = 12,
    patients_per_draw: int = 120,
    months: float = MONTHS,
    seed: int = 20261,
    progress: Progress | None = None,
) -> tuple[LineProjection, ...]:
    """The last line of every salvage; gains are against the first."""
    plans = {name: read_plan(words) for name, words in (SALVAGES if salvages is None else salvages).items()}
    return project_lines(
        plans, population, calibration, patients=patients, draws=draws, patients_per_draw=patients_per_draw,
        months=months, seed=seed, progress=progress,
    )  # fmt: skip


def main(settings: Settings) -> Path:
    """Compute, print, draw, and write the report; returns its folder."""
    calibration = settings.read_calibration()
    with new_run(settings.folder, "salvage", settings.command, {"patients": settings.seed}) as folder:
        with folder.timed("simulation"):
            found = run(
                calibration, patients=min(settings.patients, 400), draws=min(settings.draws, 12),
                patients_per_draw=settings.patients_per_draw, seed=settings.seed, progress=settings.progress,
            )  # fmt: skip
            reported = reported_table(calibration, patients=min(settings.patients, 400))
        head, cells = table_of(found)
        settings.say(aligned(head, cells))
        folder.write_table("salvage", columns(head, cells))
        write_numbers(folder, [row for one in found for row in estimate_rows(one.name, one.numbers)])
        folder.write_table("reported", columns(reported.columns, [tuple(map(str, row)) for row in reported.rows]))
        first = found[0].name
        pictures = [gain_picture(found, first), curve_picture([one for one in found if one.name in CURVES])]
        for picture in pictures:
            folder.save(picture)
        report = Report(
            title="CAR-T cells have failed: which therapy next?",
            subtitle="Virtual patients who progress after ide-cel, each salvage on the same patients",
            intro=_INTRO,
            notices=[f"{one.name}: {one.footing.flag}. {one.footing.reason}." for one in found],
            sections=[
                Section(
                    "Gain, and how sure", _GAIN_TEXT.format(first), pictures, [Table("Salvage", head, cells, _NOTE)]
                ),
                Section("Can it be believed?", _BELIEF_TEXT, tables=[reported]),
                Section("What was given", "", tables=[plans_table(found)]),
            ],
            manifest=folder.manifest(),
        )
        write_report(folder.path / "report.html", report)
    return folder.path


def plans_table(found: Sequence[LineProjection]) -> Table:
    """Every plan as it was read."""
    return Table("Plans", ("name", "line", "plan"), [(one.name, str(one.line), one.plan.text) for one in found])


def gain_picture(found: Sequence[LineProjection], against: str) -> Picture:
    """Gain of every plan but the first."""
    rows = [
        EffectRowToDraw(one.name, n.value, n.low, n.high, not one.footing.calibrated)
        for one in found[1:]
        for n in (one.numbers[GAIN],)
    ]
    return effect_picture(
        rows, name="salvage_gain", title=f"Against {against}",
        x_label="Difference in restricted mean PFS over 12 months (months)",
        sides=("shorter", "longer"), note="Same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip


def curve_picture(found: Sequence[LineProjection]) -> Picture:
    """Progression-free survival from the start of the line."""
    curves = []
    for one in found:
        outcomes = one.trial.outcomes
        people = float(np.isfinite(one.trial.line.since).sum())
        curve = outcomes.progression_free(patients=people)
        grid = months_of(outcomes.visits.months)
        low, high = np.nanpercentile(one.band, [2.5, 97.5], axis=0)
        median = one.numbers[MEDIAN]
        curves.append(
            CurveToDraw(
                label=one.name, times=curve.times, survival=curve.survival, at_risk=curve.at_risk,
                censor_times=curve.censor_times, band_times=grid, parameter_low=low, parameter_high=high,
                median=median.value, median_interval=(median.low, median.high),
            )
        )  # fmt: skip
    return survival_picture(
        curves, name="salvage_pfs", title="Progression-free survival of the next line (simulated)",
        horizon_months=found[0].trial.outcomes.visits.months, risk_every_months=3, origin="start of the line",
        note="Cells: from their infusion. Band: central 95 % of posterior draws.",
    )  # fmt: skip


_INTRO = """A research and design tool, not medical advice. All patients are simulated. What one line leaves to the
next follows from the mechanisms and from the results of later lines that were fitted; a table below shows how well
those are met. For the same product given again the model answers too high."""
_BELIEF_TEXT = """What trials and centres reported of a line after the first, and the model's answer for such patients.
Where the model answers too high, so does the projection above."""
_GAIN_TEXT = """Every salvage is given to the same virtual patients, and compared with {}. Cells are counted from their
infusion four weeks after progression, so that who is lost while waiting is not counted against them."""
_NOTE = "Value at the estimate (central 95 % of posterior draws). NR: not reached."
