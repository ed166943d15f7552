"""How many patients would prove that lenalidomide maintenance works after CAR-T cells, and would such a trial succeed?

Trials of maintenance against none after ide-cel are simulated: of everybody, of those with a large tumour, and of those
with a partial but no complete response. Power is at the estimate; assurance counts what is not known of the effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perdure.experiments.lenalidomide_maintenance import HIGH_BURDEN
from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.model.regimens.sentence import read_plan
from perdure.reports.design_report import notices, number_rows, one, percent, sections_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.report import Section, Table
from perdure.reports.run_files import NumberRow
from perdure.reports.settings import Settings
from perdure.trials.design import Design, TrialArm
from perdure.trials.design_run import DesignResult
from perdure.trials.design_run import run as run_design
from perdure.trials.eligibility import Criterion, Factor
from perdure.trials.power import power_curve
from perdure.trials.projection import Progress
from perdure.trials.treat import SEED

TIME = "about two minutes"
POPULATION = "late_line"
PLANNED = 400
SMALL = 17
"""Patients of CARTITUDE-2 D, the largest reported series of maintenance after CAR-T cells in the evidence."""


def design_of(
    title: str, day: float, eligible: tuple[Criterion, ...] = (), strata: tuple[Factor, ...] = ()
) -> Design:  # fmt: skip
    """Maintenance from a day on against none, of those without progression by then; one year and a half of accrual."""
    words = {
        "none": "ide-cel",
        "lenalidomide": f"ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day {day:g} for 24 months",
    }
    arms = tuple(TrialArm(name, given, read_plan(given), POPULATION) for name, given in words.items())
    return Design(
        title, arms, time_zero="randomisation", randomised_on_day=day, patients=PLANNED, accrual_months=18.0,
        follow_up_months=24.0, dropout_per_year=0.05, endpoint="pfs", eligible=eligible, strata=strata,
    )  # fmt: skip


DESIGNS: Mapping[str, Design] = {
    "everybody, from day 30": design_of(
        "Everybody, from day 30", 30.0, strata=(Factor("tumour_baseline", HIGH_BURDEN),)
    ),
    "high burden, from day 30": design_of(
        "High burden, from day 30", 30.0, (Criterion("tumour_baseline", above=HIGH_BURDEN),)
    ),
    "PR or VGPR, from day 90": design_of(
        "PR or VGPR, from day 90", 90.0, (Criterion("response", at_least="PR", below="CR"),)
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class MaintenanceTrials:
    """What was found of every design, and the power of a trial as small as what was reported."""

    designs: Mapping[str, DesignResult]
    small: float


def run(
    designs: Mapping[str, Design] = DESIGNS,
    *,
    sizes: tuple[int, ...] = (),
    trials: int = 200,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    seed: int = SEED,
    progress: Progress | None = None,
) -> MaintenanceTrials:
    """Simulate every design; `patients` and `patients_per_draw` are the sizes of the pools, `trials` those per size."""
    calibration = calibration or read_calibration()
    found = {
        name: run_design(
            design, calibration, sizes=sizes, trials=trials, patients=patients, draws=draws,
            patients_per_draw=patients_per_draw, seed=seed, progress=progress,
        )
        for name, design in designs.items()
    }  # fmt: skip
    first = next(iter(found.values()))
    small = power_curve(first.design, first.pool, sizes=(SMALL,), trials=trials, seed=seed)
    return MaintenanceTrials(found, float(small.power[0]))


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    first = next(iter(found.designs.values()))
    return Answer(
        title="How many patients would prove that lenalidomide maintenance works after CAR-T cells?",
        subtitle="Simulated trials of maintenance against none after ide-cel",
        sentences=sentences(found),
        sections=(
            Section("Three trials", _TEXT, tables=[designs_table(found)]),
            *(
                Section(f"Everybody: {section.title.lower()}", section.text, section.pictures, section.tables)
                for section in sections_of(first)
            ),
        ),
        numbers=[
            NumberRow(f"{row.arm}: {name}", row.measure, row.value, row.low, row.high, row.unit, row.level, row.kind)
            for name, result in found.designs.items()
            for row in number_rows(result)
        ],
        notices=notices(first),
        given=[(name, result.design.arms[1].plan.text) for name, result in found.designs.items()],
        findings=findings(found),
    )


def sentences(found: MaintenanceTrials) -> tuple[str, ...]:
    """The answer in words."""
    said = []
    for name, result in found.designs.items():
        size, assured = result.size, result.planned
        needs = (
            f"{percent(size.power)} power at the estimate needs about {one(size.patients)} patients (Monte-Carlo "
            f"{one(size.low)} to {one(size.high)}{'' if size.within else ', beyond the sizes that were simulated'})"
            if np.isfinite(size.patients)
            else "no number of patients has the power, as the estimate gives no gain to find"
        )
        said.append(
            f"{name[0].upper()}{name[1:]}: {needs}; with {int(result.design.patients)} the trial succeeds with a "
            f"probability of {percent(assured.value)} ({percent(assured.low)} to {percent(assured.high)}) once what is "
            "not known of the effect is counted."
        )
    return tuple(said)


def designs_table(found: MaintenanceTrials) -> Table:
    """The designs side by side."""
    rows = []
    for name, result in found.designs.items():
        effects = {effect.name: effect.value for effect in result.truth.effects}
        size = result.size
        rows.append(
            (
                name, f"{100 * result.pool.eligible_share:.0f}",
                "; ".join(f"{what} {value:.2f}" for what, value in effects.items()),
                percent(result.power[0]), percent(result.planned.value), percent(result.planned.exists[0]),
                one(size.patients) if np.isfinite(size.patients) else "none",
            )
        )  # fmt: skip
    head = (
        "trial", "who can enter, %", "true effect at the estimate", f"power with {PLANNED}", "assurance",
        "draws with an effect", "patients for 80 % power",
    )  # fmt: skip
    return Table("Designs", head, rows, "Randomised one to one, and followed for 24 months after accrual.")


def findings(found: MaintenanceTrials) -> tuple[Finding, ...]:
    """Why nobody knows yet."""
    return (
        Finding(
            "a series as small as those reported cannot show what maintenance does",
            f"{SMALL} patients, 12 of them with lenalidomide, not compared", "cartitude_2_d_n_lenalidomide",
            f"power {percent(found.small)} with {SMALL} patients", found.small < 0.3,
        ),
    )  # fmt: skip


_TEXT = """Each trial has its own question: whom to ask, and when to begin. A trial of fewer, better chosen patients
needs more to be looked at, as only some can enter."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "maintenance_trial", answer)
