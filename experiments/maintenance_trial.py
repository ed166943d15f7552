"""How many patients would prove that lenalidomide maintenance works after CAR-T cells, and would such a trial succeed?

Trials of maintenance against none after ide-cel are simulated: of everybody, of those with a large tumour, and of those
with a partial but no complete response. Power is at the estimate; assurance counts what is not known of the effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perdure.experiments.lenalidomide_maintenance import HIGH_BURDEN
from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.reports.design_report import as_text, notices, number_rows, percent, sections_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.report import Section, Table
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.design import Design
from perdure.trials.design_run import DesignResult, run_design
from perdure.trials.eligibility import Criterion, Factor
from perdure.trials.power import power_curve

TIME = "about two minutes"
SIZES = Sizes()
TRIALS = 200
"""Simulated trials of every size."""
PLANNED = 400
SMALL = 17
"""Patients of CARTITUDE-2 D, the largest reported series of maintenance after CAR-T cells in the evidence."""


def design_of(
    title: str, day: float, eligible: tuple[Criterion, ...] = (), strata: tuple[Factor, ...] = ()
) -> Design:  # fmt: skip
    """Maintenance from a day on against none, of those without progression by then; one year and a half of accrual."""
    maintained = f"ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day {day:g} for 24 months"
    return Design(
        title, (Arm("none", "ide-cel"), Arm("lenalidomide", maintained)), time_zero="randomisation",
        randomised_on_day=day, patients=PLANNED, accrual_months=18.0, follow_up_months=24.0,
        dropout_per_year=0.05, endpoint="pfs", eligible=eligible, strata=strata,
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
    """Power and assurance of every design by name, and the power of a trial as small as what was reported."""

    designs: Mapping[str, DesignResult]
    small: float


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, designs: Mapping[str, Design] = DESIGNS,
    trial_sizes: Sequence[int] = (), trials: int = TRIALS,
) -> MaintenanceTrials:  # fmt: skip
    """Simulate trials of every design from pools of virtual patients, whose sizes are `sizes`."""
    calibration = calibration or read_calibration()
    results = {
        name: run_design(design, calibration, trial_sizes=trial_sizes, trials=trials, sizes=sizes)
        for name, design in designs.items()
    }
    first = next(iter(results.values()))
    small = power_curve(first.design, first.pool, sizes=(SMALL,), trials=trials, seed=sizes.seed)
    return MaintenanceTrials(results, float(small.power[0]))


def findings(maintenance: MaintenanceTrials) -> tuple[Finding, ...]:
    """Why nobody knows yet."""
    return (
        Finding(
            "a series as small as those reported cannot show what maintenance does",
            f"{SMALL} patients, 12 of them with lenalidomide, not compared", "cartitude_2_d_n_lenalidomide",
            f"power {percent(maintenance.small)} with {SMALL} patients", maintenance.small < 0.3,
        ),
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """The designs side by side, then the first of them in full."""
    maintenance = run(calibration, settings.sizes)
    first = next(iter(maintenance.designs.values()))
    return ExperimentReport(
        title="How many patients would prove that lenalidomide maintenance works after CAR-T cells?",
        subtitle="Simulated trials of maintenance against none after ide-cel",
        sentences=sentences(maintenance),
        sections=(
            Section("Three trials", _TEXT, tables=[designs_table(maintenance)]),
            *(replace(section, title=f"Everybody: {section.title.lower()}") for section in sections_of(first)),
        ),
        numbers=[
            replace(row, arm=f"{row.arm}: {name}")
            for name, result in maintenance.designs.items()
            for row in number_rows(result)
        ],
        notices=notices(first),
        given=[(name, result.design.arms[1].plan.text) for name, result in maintenance.designs.items()],
        findings=findings(maintenance),
    )


def sentences(maintenance: MaintenanceTrials) -> tuple[str, ...]:
    """The answer in words."""
    lines = []
    for name, result in maintenance.designs.items():
        size, assurance = result.size, result.planned
        needs = (
            f"{percent(size.power)} power at the estimate needs about {as_text(size.patients)} patients (Monte-Carlo "
            f"{as_text(size.low)} to {as_text(size.high)}"
            f"{'' if size.within else ', beyond the sizes that were simulated'})"
            if np.isfinite(size.patients)
            else "no number of patients has the power, as the estimate gives no gain to find"
        )
        lines.append(
            f"{name[0].upper()}{name[1:]}: {needs}; with {int(result.design.patients)} the trial succeeds with a "
            f"probability of {percent(assurance.value)} ({percent(assurance.low)} to {percent(assurance.high)}) once "
            "what is not known of the effect is counted."
        )
    return tuple(lines)


def designs_table(maintenance: MaintenanceTrials) -> Table:
    """The designs side by side."""
    rows = [
        (
            name, f"{100 * result.pool.eligible_share:.0f}",
            "; ".join(f"{effect.name} {effect.value:.2f}" for effect in result.truth.effects),
            percent(result.power[0]), percent(result.planned.value), percent(result.planned.exists[0]),
            as_text(result.size.patients) if np.isfinite(result.size.patients) else "none",
        )
        for name, result in maintenance.designs.items()
    ]  # fmt: skip
    head = (
        "trial", "who can enter, %", "true effect at the estimate", f"power with {PLANNED}", "assurance",
        "draws with an effect", "patients for 80 % power",
    )  # fmt: skip
    return Table("Designs", head, rows, "Randomised one to one, and followed for 24 months after accrual.")


_TEXT = """Each trial has its own question: whom to ask, and when to begin. A trial of fewer, better chosen patients
needs more to be looked at, as only some can enter."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
