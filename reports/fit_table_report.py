"""A fit table as tables and pictures: reported results beside the model, of trial arms and of single therapies."""

import math
from collections.abc import Sequence

from ..fitting.calibration.calibration import MISSED
from ..fitting.fit_table import FitRow, TherapyRow, by_group
from ..model.therapy import Therapy
from .figures.intervals import FitRowSpec, fit_picture
from .figures.picture import Picture
from .report import Table

_FIT_NOTE = (
    "Misfit: signed square root of twice the fall in log-likelihood, positive where the model is above the report; "
    "beyond 2 is notable. Role 'check': computed and compared, never fitted."
)
_THERAPY_NOTE = """Misfit: signed square root of twice the fall in log-likelihood, positive where the model is above the
report. For a single patient it is the distance in spreads of an exponential. Standing: calibrated by its own results,
informed by its class, assumed, or hypothetical."""


def fit_table_of(rows: Sequence[FitRow]) -> Table:
    """Every result beside the model, with its misfit."""
    cells = [(row.study, row.label, row.item.role, row.item.text, row.model_text, f"{row.misfit:+.1f}") for row in rows]
    return Table(
        "Fit table", ("study", "endpoint", "role", "reported", "model (95 % of draws)", "misfit"), cells, _FIT_NOTE
    )


def fit_table_picture(rows: Sequence[FitRow]) -> Picture:
    """Reported against modelled, for every result that has a value."""
    drawn = [
        _drawn(row, row.study, row.label) for row in rows if row.item.value is not None and math.isfinite(row.model)
    ]
    return fit_picture(drawn)


def inside(rows: Sequence[FitRow], role: str) -> str:
    """How many results of a role the model meets, as in `12 of 30`."""
    chosen = [row for row in rows if row.item.role == role]
    return f"{sum(abs(row.misfit) <= MISSED for row in chosen)} of {len(chosen)}"


def therapy_results(rows: Sequence[TherapyRow]) -> Table:
    """Every result about a therapy beside the model, with the standing of the therapy."""
    head = ("therapy", "standing", "study", "result", "patients", "role", "reported", "model (95 % of draws)", "misfit")
    cells = []
    for row in rows:
        fit, n = row.row, row.row.item.n
        reported = "1 patient: " + fit.item.text if n == 1 else fit.item.text
        cells.append(
            (
                row.therapy.short, row.grade, fit.study, fit.label, "n not reported" if n is None else str(n),
                fit.item.role, reported, fit.model_text, f"{fit.misfit:+.1f}",
            )
        )  # fmt: skip
    return Table("Results", head, cells, _THERAPY_NOTE)


def therapy_plans(rows: Sequence[TherapyRow]) -> Table:
    """What was given in every result."""
    cells = [(row.row.study, row.row.label, str(row.line), row.plan) for row in rows]
    return Table("Plans", ("study", "result", "line", "given"), cells)


def available_therapies() -> Table:
    """Every therapy with its usual regimen, what its efficacy rests on, and what is not modelled."""
    head = ("therapy", "group", "targets", "usual regimen", "standing", "rests on", "not modelled")
    return Table("Therapies", head, [_therapy_cells(therapy) for therapy in by_group()])


def _therapy_cells(therapy: Therapy) -> tuple[str, ...]:
    usual = therapy.usual or f"{therapy.default_dose:.4g} {therapy.dose_unit} on day 0"
    targets = ", ".join(therapy.targets)
    return therapy.short, therapy.group, targets, usual, therapy.grade, therapy.grade_note, therapy.limits


def therapy_pictures(rows: Sequence[TherapyRow]) -> list[Picture]:
    """One picture for results that were fitted, one for those that were only checked."""
    pictures = []
    for role, title in (
        ("fit", "Results that the joint fit has seen"),
        ("check", "Results of therapies and sequences that no fit has seen"),
    ):
        drawn = [
            _drawn(row.row, row.therapy.short, f"{row.row.study}: {row.row.label} (n = {row.row.item.n or '?'})")
            for row in rows
            if row.row.item.role == role and _has_number(row.row)
        ]
        note = "All virtual patients are simulated. A percentage without a count is scored as of ten."
        pictures += [fit_picture(drawn, name=f"results_{role}", title=title, note=note)] if drawn else []
    return pictures


def _has_number(row: FitRow) -> bool:
    reported = any(number is not None for number in (row.item.value, row.item.low, row.item.high))
    return row.item.kind != "direction" and math.isfinite(row.model) and reported


def _drawn(row: FitRow, group: str, label: str) -> FitRowSpec:
    """A row under the name of a group; what was not reported is NaN, and a range without a low end begins at 0."""
    item = row.item
    low = 0.0 if item.low is None and item.kind == "range" else item.low
    value, low, high = (math.nan if number is None else number for number in (item.value, low, item.high))
    return FitRowSpec(group, label, item.unit, value, low, high, row.model, row.low, row.high, row.misfit, item.role)
