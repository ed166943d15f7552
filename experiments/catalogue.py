"""What does the model know of every therapy, and what does it borrow?

Each reported result about a therapy, or about one therapy after another, beside the model's answer: value, interval,
number of patients, misfit, and the standing of the therapy. Then every therapy on the shelf, with what it rests on.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import MISSED, Calibration
from perdure.fitting.fit_table import THERAPY_SEED, TherapyRow, by_group, therapy_table
from perdure.model.therapy import Therapy
from perdure.reports.figures.forest import fit_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.rows import FitRowToDraw
from perdure.reports.report import Report, Section, Table, aligned, columns, write_report
from perdure.reports.run_folder import new_run
from perdure.reports.settings import Settings

TIME = "about four minutes"
DRAWS = 12
"""Posterior draws behind each interval: scenarios are many, and the interval is about the parameters only."""


def run(
    calibration: Calibration,
    *,
    patients: int = 600,
    draws: int = DRAWS,
    patients_per_draw: int = 120,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[TherapyRow, ...]:
    """Every result about a therapy, with the model's answer."""
    return therapy_table(
        calibration, patients=patients, draws=draws, patients_per_draw=patients_per_draw, progress=progress
    )  # fmt: skip


def main(settings: Settings) -> Path:
    """Compute, print, draw, and write the report; returns its folder."""
    calibration = settings.read_calibration()
    with new_run(settings.folder, "catalogue", settings.command, {"catalogue": THERAPY_SEED}) as folder:
        with folder.timed("simulation"):
            rows = run(
                calibration, patients=min(settings.patients, 600), draws=min(settings.draws, DRAWS),
                patients_per_draw=settings.patients_per_draw, progress=settings.progress,
            )  # fmt: skip
        cells = [_cells(one) for one in rows]
        settings.say(aligned(_HEAD, cells))
        settings.say("\n" + aligned(_SHELF_HEAD, [_shelf_cells(therapy) for therapy in by_group()]))
        settings.say("\n" + summary(rows))
        folder.write_table("results", columns(_HEAD, cells))
        folder.write_table("therapies", columns(_SHELF_HEAD, [_shelf_cells(therapy) for therapy in by_group()]))
        pictures = result_pictures(rows)
        for picture in pictures:
            folder.save(picture)
        report = Report(
            title="Every therapy: what the model knows, and what it borrows",
            subtitle="Reported results of single therapies and of sequences, beside the model",
            intro=summary(rows),
            notices=_notices(rows),
            sections=[
                Section("Reported and modelled", _TEXT, pictures, [Table("Results", _HEAD, cells, _NOTE)]),
                Section("What was given", _GIVEN_TEXT, tables=[_plans(rows)]),
                Section("On the shelf", _SHELF_TEXT, tables=[_shelf()]),
            ],
            manifest=folder.manifest(),
        )
        write_report(folder.path / "report.html", report)
    return folder.path


def summary(rows: Sequence[TherapyRow]) -> str:
    """How many results are met, by role, in words."""
    words = []
    for role, meaning in (("fit", "of the joint fit"), ("check", "that no fit has seen")):
        mine = [one.row for one in rows if one.row.item.role == role]
        met = sum(abs(row.misfit) <= MISSED for row in mine)
        words.append(f"{met} of {len(mine)} results {meaning} lie within two standard errors")
    return "; ".join(words) + ". Many are of few patients, and easily met. All patients here are simulated."


_HEAD = ("therapy", "standing", "study", "result", "patients", "role", "reported", "model (95 % of draws)", "misfit")


def _cells(one: TherapyRow) -> tuple[str, ...]:
    row = one.row
    count = "n not reported" if row.item.n is None else str(row.item.n)
    reported = "1 patient: " + row.item.text if row.item.n == 1 else row.item.text
    return (
        one.therapy.short, one.grade, row.study, row.label, count, row.item.role, reported, row.model_text,
        f"{row.misfit:+.1f}",
    )  # fmt: skip


_SHELF_HEAD = ("therapy", "group", "targets", "usual regimen", "standing", "rests on", "not modelled")


def _shelf_cells(therapy: Therapy) -> tuple[str, ...]:
    usual = therapy.usual or f"{therapy.default_dose:.4g} {therapy.dose_unit} on day 0"
    return (
        therapy.short, therapy.group, ", ".join(therapy.targets), usual, therapy.grade, therapy.grade_note,
        therapy.limits,
    )  # fmt: skip


def _shelf() -> Table:
    return Table("Every therapy", _SHELF_HEAD, [_shelf_cells(therapy) for therapy in by_group()])


def _plans(rows: Sequence[TherapyRow]) -> Table:
    head = ("study", "result", "line", "given")
    return Table("Plans", head, [(one.row.study, one.row.label, str(one.line), one.plan) for one in rows])


def result_pictures(rows: Sequence[TherapyRow]) -> list[Picture]:
    """One picture for results that were fitted, one for those that were only checked."""
    pictures = []
    for role, title in (
        ("fit", "Results that the joint fit has seen"),
        ("check", "Results of therapies and sequences that no fit has seen"),
    ):
        drawn = [_drawn(one) for one in rows if one.row.item.role == role and _has_number(one)]
        if drawn:
            pictures.append(
                fit_picture(
                    drawn, name=f"results_{role}", title=title,
                    note="All virtual patients are simulated. A percentage without a count is scored as of ten.",
                )
            )  # fmt: skip
    return pictures


def _has_number(one: TherapyRow) -> bool:
    row = one.row
    return row.item.kind != "direction" and np.isfinite(row.model) and (
        row.item.value is not None or row.item.low is not None or row.item.high is not None
    )  # fmt: skip


def _drawn(one: TherapyRow) -> FitRowToDraw:
    row, item = one.row, one.row.item

    def known(number: float | None) -> float:
        return float("nan") if number is None else number

    label = f"{row.study}: {row.label} (n = {item.n if item.n is not None else '?'})"
    low = item.low if item.low is not None or item.kind != "range" else 0.0
    return FitRowToDraw(
        one.therapy.short, label, item.unit, known(item.value), known(low), known(item.high), row.model, row.low,
        row.high, row.misfit, item.role,
    )  # fmt: skip


def _notices(rows: Sequence[TherapyRow]) -> list[str]:
    bad = [one for one in rows if abs(one.row.misfit) > MISSED]
    listed = "; ".join(f"{one.therapy.short}, {one.row.study} {one.row.label} ({one.row.misfit:+.1f})" for one in bad)
    notices = [f"The model misses these results by more than two standard errors: {listed}."] if bad else []
    ideas = ", ".join(therapy.short for therapy in by_group() if therapy.grade == "hypothetical")
    return [*notices, f"Hypothetical, with no result to compare: {ideas}."]


_TEXT = """Grey: what was reported. Blue: the model at the estimate, with the central 95 % of the posterior draws. A
result of role 'fit' is part of the joint fit; a result of role 'check' was seen by no fit. A sequence differs from a
single therapy only by what the lines before have left behind: antigen, clones, exhausted T cells, immunity against the
CAR."""
_NOTE = """Misfit: signed square root of twice the fall in log-likelihood, positive where the model is above the report.
For a single patient it is the distance in spreads of an exponential. Standing: calibrated by its own results, informed
by its class, assumed, or hypothetical."""
_GIVEN_TEXT = "Every plan as the model read it. What a report leaves open was assumed; the evidence files say how."
_SHELF_TEXT = "Every therapy with its usual regimen, what its efficacy in the model rests on, and what is left out."
