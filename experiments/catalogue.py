"""What does the model know of every therapy, and what does it borrow?

Each reported result about a therapy, or about one therapy after another, beside the model's answer: value, interval,
number of patients, misfit, and the standing of the therapy. Then every available therapy, with what it rests on.
"""

from collections.abc import Sequence
from dataclasses import replace

from perdure.fitting.calibration.calibration import MISSED, Calibration, read_calibration
from perdure.fitting.fit_table import THERAPY_SEED, TherapyRow, by_group, therapy_table
from perdure.fitting.observations import Study
from perdure.fitting.posterior import Sizes
from perdure.reports.experiment_report import ExperimentReport
from perdure.reports.fit_table_report import (
    available_therapies,
    inside,
    therapy_pictures,
    therapy_plans,
    therapy_results,
)
from perdure.reports.report import Section
from perdure.reports.run_files import NumberRow
from perdure.reports.settings import Settings

TIME = "about four minutes"
SIZES = Sizes(patients=600, draws=12, patients_per_draw=120)
"""Few draws stand behind each interval: scenarios are many, and the interval is about the parameters only."""


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, studies: Sequence[Study] | None = None
) -> tuple[TherapyRow, ...]:
    """Every result about a therapy, with the model's answer; its virtual patients are those of no fit."""
    return therapy_table(
        calibration or read_calibration(), studies=studies, sizes=replace(sizes, seed=THERAPY_SEED)
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Every result beside the model, and every therapy with what it rests on."""
    sizes = replace(
        settings.sizes, patients=min(settings.patients, SIZES.patients), draws=min(settings.draws, SIZES.draws)
    )
    rows = run(calibration, sizes)
    plans = therapy_plans(rows)
    return ExperimentReport(
        title="Every therapy: what the model knows, and what it borrows",
        subtitle="Reported results of single therapies and of sequences, beside the model",
        sentences=sentences(rows),
        sections=[
            Section("Reported and modelled", _TEXT, therapy_pictures(rows), [therapy_results(rows)]),
            Section("Plans as they were read", _GIVEN_TEXT, tables=[plans]),
            Section("Available therapies", _THERAPIES_TEXT, tables=[available_therapies()]),
        ],
        numbers=numbers(rows),
        notices=notices(rows),
        seeds={"catalogue": THERAPY_SEED},
        for_reference=(plans.title,),
    )


def sentences(rows: Sequence[TherapyRow]) -> tuple[str, ...]:
    """How many results are met, by role, in words."""
    fits = [row.row for row in rows]
    return (
        f"{inside(fits, 'fit')} results of the joint fit lie within two standard errors; "
        f"{inside(fits, 'check')} results that no fit has seen lie within two standard errors.",
        "Many are of few patients, and easily met. All patients here are simulated.",
    )


def notices(rows: Sequence[TherapyRow]) -> list[str]:
    """What the model misses, and what has no result at all."""
    missed = "; ".join(
        f"{row.therapy.short}, {row.row.study} {row.row.label} ({row.row.misfit:+.1f})"
        for row in rows
        if abs(row.row.misfit) > MISSED
    )
    ideas = ", ".join(therapy.short for therapy in by_group() if therapy.grade == "hypothetical")
    lines = [f"The model misses these results by more than two standard errors: {missed}."] if missed else []
    return [*lines, f"Hypothetical, with no result to compare: {ideas}."]


def numbers(rows: Sequence[TherapyRow]) -> list[NumberRow]:
    """The model's answer to every result, by the id of the result."""
    return [
        NumberRow(
            row.therapy.short, row.row.item.id, row.row.model, row.row.low, row.row.high, row.row.item.unit, 0.95,
            "parameters",
        )
        for row in rows
    ]  # fmt: skip


_TEXT = """Grey: what was reported. Blue: the model at the estimate, with the central 95 % of the posterior draws. A
result of role 'fit' is part of the joint fit; a result of role 'check' was seen by no fit. A sequence differs from a
single therapy only by what the lines before have left behind: antigen, clones, exhausted T cells, immunity against the
CAR."""
_GIVEN_TEXT = "Every plan as the model read it. What a report leaves open was assumed; the evidence files say how."
_THERAPIES_TEXT = "With the usual regimen, what its efficacy in the model rests on, and what is left out."


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
