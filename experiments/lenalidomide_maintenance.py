"""When should lenalidomide maintenance begin after CAR-T cells, at which dose, for how long, and for whom?

Every start, dose and duration is given to the same virtual patients after ide-cel, at the estimate and at posterior
draws: a response surface with its uncertainty, and the gain in patients grouped by response and by burden.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.imwg import CR, PR
from perdure.reports.attribution_report import why_picture, why_table
from perdure.reports.comparison_report import gain_picture, given_of, group_table, notices_of, numbers_of, pfs_picture
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.reports.surface_report import best_points_table, gain_surface
from perdure.trials.arm import Arm
from perdure.trials.attribution import Decomposition, decompose
from perdure.trials.compare import Comparison, Group, compare
from perdure.trials.measures import RESTRICTED_PFS, days_of_treatment
from perdure.trials.search import Axis, Limit, Surface, search
from perdure.trials.treat import ArmResult

TIME = "about two minutes"
SIZES = Sizes()
AXES = (
    Axis("dose", "mg", (5.0, 10.0, 25.0)),
    Axis("start day", "", (14.0, 30.0, 60.0, 90.0)),
    Axis("duration", "months", (6.0, 12.0, 24.0, 36.0)),
)
MOST_DAYS = 550.0
"""Limit of the search: days with a tablet, about two years of three weeks in four."""


def lenalidomide(dose: float, start: float, duration: float) -> Arm:
    """Ide-cel, and lenalidomide on days 1-21 of 28 from a day after infusion, for so many months."""
    words = f"ide-cel; lenalidomide {dose:g} mg on days 1-21 of 28 from day {start:g} for {duration:g} months"
    return Arm(f"{dose:g} mg from day {start:g}, {duration:g} months", words)


ALONE, EARLY, LATE = Arm("ide-cel alone", "ide-cel"), lenalidomide(10.0, 30.0, 24.0), lenalidomide(10.0, 90.0, 24.0)
"""For whom: two years of 10 mg from day 30, and the same from day 90."""
HIGH_BURDEN = 2e11
"""Tumour cells at which burden is dichotomised: the typical value of late lines, so about half of them each."""


def _high(result: ArmResult) -> np.ndarray:
    return result.patients["tumour_baseline"] > HIGH_BURDEN


def _responded(result: ArmResult, least: int, below: int) -> np.ndarray:
    return (result.outcomes.best >= least) & (result.outcomes.best < below)


GROUPS: Mapping[str, Group] = {
    "CR": lambda result: _responded(result, CR, CR + 1),
    "PR or VGPR, not CR": lambda result: _responded(result, PR, CR),
    "no response": lambda result: _responded(result, 0, PR),
    "high burden": _high,
    "low burden": lambda result: ~_high(result),
    "PR or VGPR and high burden": lambda result: _responded(result, PR, CR) & _high(result),
}
"""By best response without maintenance, and by burden before treatment."""
CONSIDERED = ("PR or VGPR, not CR", "high burden", "PR or VGPR and high burden")
"""Whom maintenance is considered for (Hashmi 2024b: PR without CR after some months; high burden is our addition)."""


@dataclass(frozen=True, eq=False)
class Maintenance:
    """The surface, two starts by groups of patients, and through which mechanisms the earlier one works."""

    surface: Surface
    comparison: Comparison
    decomposition: Decomposition


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, axes: tuple[Axis, ...] = AXES,
    arms: Sequence[Arm] = (ALONE, EARLY, LATE), months: float = 60.0,
) -> Maintenance:  # fmt: skip
    """The surface over dose, start day and duration; the arms by groups; the second arm against the first by mechanism.

    The surface has 48 regimens, so a third of the patients and half of the draws.
    """
    calibration, within = calibration or read_calibration(), min(months, 36.0)
    return Maintenance(
        search(
            arms[0], lenalidomide, axes, RESTRICTED_PFS, calibration, refine=2,
            limit=Limit(days_of_treatment("lenalidomide"), MOST_DAYS),
            sizes=sizes.divided_by(patients=3, draws=2, patients_per_draw=2), months=within,
        ),
        compare(arms, calibration, measures=(RESTRICTED_PFS,), groups=GROUPS, sizes=sizes, months=months),
        decompose(
            arms[0], arms[1], calibration, months=within,
            sizes=sizes.divided_by(patients=5, draws=5, patients_per_draw=2, fewest_per_draw=12),
        ),
    )  # fmt: skip


def findings(maintenance: Maintenance) -> tuple[Finding, ...]:
    """What the registry and the small cohorts after CAR-T cells say of maintenance."""
    comparison = maintenance.comparison
    gain = comparison.gain(comparison.arms[1].name, RESTRICTED_PFS)
    return (
        Finding(
            "maintenance with lenalidomide prolongs progression-free survival",
            "hazard ratio below one after transplant, registry; after CAR-T cells never compared",
            "maintenance_after_transplant", f"gain {gain.text('+.1f')} months", gain.value > 0,
        ),
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """When, how much, how long, for whom, and why."""
    maintenance = run(calibration, settings.sizes)
    comparison, decomposition = maintenance.comparison, maintenance.decomposition
    early = comparison.arms[1].name
    return ExperimentReport(
        title="Lenalidomide after CAR-T cells: when, how much, how long, for whom?",
        subtitle="Virtual late-line patients after ide-cel",
        sentences=sentences(maintenance),
        sections=(
            surface_section(maintenance.surface),
            Section(
                "For whom",
                "The same patients with and without maintenance, by what they reached without it and by burden.",
                [
                    gain_picture(
                        comparison, name="gain_by_group", title="What maintenance would gain, for whom",
                        groups=comparison.groups,
                    ),
                    pfs_picture(comparison, name="lenalidomide_pfs", title="Maintenance after ide-cel (simulated)"),
                ],
                [group_table(comparison, f"{arm.name}, for whom", arm.name) for arm in comparison.arms[1:]],
            ),
            Section(
                "Why", "The gain of the earlier start, split between what lenalidomide does (Shapley values).",
                [why_picture(decomposition, name="why", title=f"Through what: {early}")],
                [why_table(decomposition, "Gain by mechanism")],
            ),
        ),
        numbers=numbers_of(comparison), notices=notices_of(comparison), given=given_of(comparison),
        findings=findings(maintenance),
    )  # fmt: skip


def surface_section(surface: Surface) -> Section:
    """Start by duration, a panel for every dose, and the ten best regimens."""
    picture = gain_surface(
        surface, name="lenalidomide_surface", title="What lenalidomide would gain over ide-cel alone",
        row_axis="start after infusion", rows="day {:g}", column_axis="duration (months)",
        panels=[f"{dose:g} mg" for dose in surface.axes[0].values],
        scale="gain in restricted mean PFS over 36 months (months)",
        note=f"Hatched edge: more than {MOST_DAYS:g} days of tablets.",
    )  # fmt: skip
    table = best_points_table(surface, "The ten regimens that gain most", limit="days of tablets")
    return Section("When, how much, how long", _SURFACE_TEXT, [picture], [table])


def sentences(maintenance: Maintenance) -> tuple[str, ...]:
    """The answer in words."""
    comparison, surface, decomposition = maintenance.comparison, maintenance.surface, maintenance.decomposition
    alone, early, late = (arm.name for arm in comparison.arms)
    gain, apart = comparison.gain(early, RESTRICTED_PFS), comparison.gain(early, RESTRICTED_PFS, late)
    by_group = {group: comparison.gain(early, RESTRICTED_PFS, "", group) for group in comparison.groups[1:]}
    most = max((g for g in by_group if np.isfinite(by_group[g].value)), key=lambda group: by_group[group].value)
    best = ()
    if surface.best is not None:
        dose, start, duration = surface.best.at
        best = (
            f"Of {len(surface.points)} regimens the best with at most {MOST_DAYS:g} days of tablets is {dose:g} mg "
            f"from day {start:g} for {duration:g} months ({surface.best.gain.text('.1f')} months); "
            f"{len(surface.as_good)} regimens cannot be told from it.",
        )
    main = max(decomposition.mechanisms, key=lambda mechanism: decomposition.contribution(mechanism).value)
    return (
        f"{early} gains {gain.text('.1f')} months of restricted mean PFS over 36 months against {alone}; it is better "
        f"than {late} by {apart.text('+.2f')} months, in {100 * comparison.chance(early, RESTRICTED_PFS, late):.0f} % "
        "of the posterior draws.",
        f"Most is gained in patients with {most}: {by_group[most].text('.1f')}.",
        "Those whom clinicians think of, months: "
        + "; ".join(f"{group} {by_group[group].text('.1f')}" for group in CONSIDERED)
        + ".",
        *best,
        f"Most of it comes through {main}: {decomposition.contribution(main).text('.1f')} months.",
    )


_SURFACE_TEXT = """Gains are in the same virtual patients. A later start loses the first weeks, in which cells expand
and exhaust; a short course loses what slows regrowth. How wide the intervals are is mostly a matter of what
lenalidomide does to CAR-T cells, which no comparison has decided."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
