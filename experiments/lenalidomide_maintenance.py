"""When should lenalidomide maintenance begin after CAR-T cells, at which dose, for how long, and for whom?

Every start, dose and duration is given to the same virtual patients after ide-cel, at the estimate and at posterior
draws: a response surface with its uncertainty, and the gain in patients parted by response and burden.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.model.imwg import CR, PR
from perdure.reports.attribution_report import HEAD, cells_of, why_picture
from perdure.reports.comparison_report import gain_picture, given_of, group_table, notices_of, numbers_of, pfs_picture
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.surface import CellToDraw, surface_picture
from perdure.reports.report import Section, Table
from perdure.reports.settings import Settings
from perdure.trials.attribution import Decomposition, decompose
from perdure.trials.compare import Arm, Comparison, Group, compare
from perdure.trials.measures import RESTRICTED_PFS, Treated, days_of_treatment
from perdure.trials.projection import Progress
from perdure.trials.search import Axis, Limit, Surface, search
from perdure.trials.treat import SEED

TIME = "about two minutes"
ALONE = Arm("ide-cel alone", "ide-cel")
AXES = (
    Axis("dose", "mg", (5.0, 10.0, 25.0)),
    Axis("start day", "", (14.0, 30.0, 60.0, 90.0)),
    Axis("duration", "months", (6.0, 12.0, 24.0, 36.0)),
)
AT = (10.0, 30.0, 24.0)
"""The regimen that is looked at for whom: 10 mg from day 30 for two years."""
MOST_DAYS = 550.0
"""Limit of the second search: days with a tablet, about two years of three weeks in four."""
HIGH_BURDEN = 2e11
"""Tumour cells that part low from high burden: the typical value of the late-line population, so about half each."""


@dataclass(frozen=True, eq=False)
class Maintenance:
    """The surface, the comparison of two starts in groups of patients, and through which mechanism it works."""

    surface: Surface
    groups: Comparison
    why: Decomposition


def maintenance(dose: float, start: float, duration: float) -> Arm:
    """Ide-cel, and lenalidomide on days 1-21 of 28 from a day after infusion, for so many months."""
    words = f"ide-cel; lenalidomide {dose:g} mg on days 1-21 of 28 from day {start:g} for {duration:g} months"
    return Arm(f"{dose:g} mg from day {start:g}, {duration:g} months", words)


def _response(low: int, high: int) -> Group:
    return lambda one: (one.outcomes.best >= low) & (one.outcomes.best < high)


GROUPS: Mapping[str, Group] = {
    "CR": _response(CR, CR + 1),
    "PR or VGPR, not CR": _response(PR, CR),
    "no response": _response(0, PR),
    "high burden": lambda one: one.patients["tumour_baseline"] > HIGH_BURDEN,
    "low burden": lambda one: one.patients["tumour_baseline"] <= HIGH_BURDEN,
    "PR or VGPR and high burden": lambda one: _response(PR, CR)(one) & _high(one),
}
"""Who gains: by best response without maintenance, and by burden before treatment."""

THOUGHT_OF = ("PR or VGPR, not CR", "high burden", "PR or VGPR and high burden")
"""Whom maintenance is considered for (Hashmi 2024b: PR without CR after some months; high burden is our addition)."""


def _high(one: Treated) -> np.ndarray:
    return one.patients["tumour_baseline"] > HIGH_BURDEN


def run(
    *,
    axes: tuple[Axis, ...] = AXES,
    at: tuple[float, float, float] = AT,
    later: float = 90.0,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 60.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Maintenance:
    """The surface over `axes` (dose, start day, duration), and `at` against the same from day `later` by groups.

    The surface has half the patients and draws of the groups: it has 48 regimens.
    """
    calibration = calibration or read_calibration()
    most = Limit(days_of_treatment("lenalidomide"), MOST_DAYS)
    surface = search(
        ALONE, maintenance, axes, RESTRICTED_PFS, calibration, limit=most, refine=2, patients=max(patients // 3, 20),
        draws=max(draws // 2, 2), patients_per_draw=max(patients_per_draw // 2, 20), months=min(months, 36.0),
        seed=seed, progress=progress,
    )  # fmt: skip
    arms = (ALONE, maintenance(*at), maintenance(at[0], later, at[2]))
    groups = compare(
        arms, calibration, measures=(RESTRICTED_PFS,), groups=GROUPS, patients=patients, draws=draws,
        patients_per_draw=patients_per_draw, months=months, seed=seed, progress=progress,
    )  # fmt: skip
    why = decompose(
        arms[0], arms[1], calibration, patients=max(patients // 5, 20), draws=max(draws // 5, 2),
        patients_per_draw=max(patients_per_draw // 2, 12), months=min(months, 36.0), seed=seed, progress=progress,
    )  # fmt: skip
    return Maintenance(surface, groups, why)


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    groups, surface = found.groups, found.surface
    return Answer(
        title="Lenalidomide after CAR-T cells: when, how much, how long, for whom?",
        subtitle="Virtual late-line patients after ide-cel",
        sentences=sentences(found),
        sections=(
            Section("When, how much, how long", _SURFACE_TEXT, [surface_of(surface)], [surface_table(surface)]),
            Section(
                "For whom",
                "The same patients with and without maintenance, parted by what they reached without it and by burden.",
                [
                    gain_picture(
                        groups, name="gain_by_group", title="What maintenance would gain, for whom",
                        groups=groups.groups,
                    ),
                    pfs_picture(groups, name="lenalidomide_pfs", title="Maintenance after ide-cel (simulated)"),
                ],
                [group_table(groups, f"{arm.name}, for whom", arm.name) for arm in groups.arms[1:]],
            ),
            Section(
                "Why",
                "The gain of the earlier start, split between what lenalidomide does (Shapley values).",
                [why_picture(found.why, name="why", title=f"Through what: {groups.arms[1].name}")],
                [Table("Gain by mechanism", HEAD, cells_of(found.why))],
            ),
        ),
        numbers=numbers_of(groups),
        notices=notices_of(groups),
        given=given_of(groups),
        findings=findings(found),
    )  # fmt: skip


def sentences(found: Maintenance) -> tuple[str, ...]:
    """The answer in words."""
    groups, surface = found.groups, found.surface
    alone, early, late = (arm.name for arm in groups.arms)
    gain, apart = groups.gain(early, RESTRICTED_PFS), groups.gain(early, RESTRICTED_PFS, late)
    chance = groups.chance(early, RESTRICTED_PFS, late)
    said = [
        f"{early} gains {gain.text('.1f')} months of restricted mean PFS over 36 months against {alone}; it is better "
        f"than {late} by {apart.text('+.2f')} months, in {100 * chance:.0f} % of the posterior draws.",
    ]
    known = [g for g in groups.groups[1:] if np.isfinite(groups.gain(early, RESTRICTED_PFS, "", g).value)]
    most = max(known, key=lambda g: groups.gain(early, RESTRICTED_PFS, "", g).value)
    said.append(f"Most is gained in patients with {most}: {groups.gain(early, RESTRICTED_PFS, '', most).text('.1f')}.")
    named = "; ".join(_gain_in(groups, early, group) for group in THOUGHT_OF)
    said.append(f"Those whom clinicians think of, months: {named}.")
    if surface.best is not None:
        dose, start, duration = surface.best.at
        said.append(
            f"Of {len(surface.points)} regimens the best with at most {MOST_DAYS:g} days of tablets is {dose:g} mg "
            f"from day {start:g} for {duration:g} months ({surface.best.gain.text('.1f')} months); "
            f"{len(surface.as_good)} regimens cannot be told from it."
        )
    parts = sorted(found.why.mechanisms, key=lambda one: -found.why.contribution(one).value)
    said.append(f"Most of it comes through {parts[0]}: {found.why.contribution(parts[0]).text('.1f')} months.")
    return tuple(said)


def _gain_in(groups: Comparison, arm: str, group: str) -> str:
    return f"{group} {groups.gain(arm, RESTRICTED_PFS, '', group).text('.1f')}"


def surface_of(surface: Surface) -> Picture:
    """Start by duration, a panel for every dose."""
    dose, start, duration = surface.axes
    as_good = {id(point) for point in surface.as_good}
    points = iter(surface.points)
    panels = []
    for _ in dose.values:
        panel = []
        for _ in start.values:
            row = []
            for _ in duration.values:
                point = next(points)
                row.append(
                    CellToDraw(
                        point.gain.value, point.gain.low, point.gain.high, not point.allowed,
                        point is surface.best, id(point) in as_good,
                    )
                )  # fmt: skip
            panel.append(row)
        panels.append(panel)
    return surface_picture(
        panels,
        panel_titles=[f"{value:g} mg" for value in dose.values],
        rows=[f"day {value:g}" for value in start.values],
        columns=[f"{value:g}" for value in duration.values],
        row_axis="start after infusion",
        column_axis="duration (months)",
        name="lenalidomide_surface",
        title="What lenalidomide would gain over ide-cel alone",
        scale="gain in restricted mean PFS over 36 months (months)",
        note="Below each value: central 95 % of posterior draws, which is about parameters, not about a trial's size. "
        f"Hatched edge: more than {MOST_DAYS:g} days of tablets.",
    )


def surface_table(surface: Surface) -> Table:
    """The ten best regimens."""
    ranked = sorted(surface.points, key=lambda point: -point.gain.value)[:10]
    rows = [
        (
            *(f"{value:g}" for value in point.at), point.gain.text("+.2f"), f"{100 * point.chance:.0f}",
            f"{100 * point.chance_best:.0f}", f"{point.limited.value:.0f}" if point.limited else "",
            "yes" if point.allowed else "no",
        )
        for point in ranked
    ]  # fmt: skip
    head = (
        "dose, mg", "start day", "months", "gain, months", "draws that gain, %", "draws in which it is the best, %",
        "days of tablets", "within the limit",
    )  # fmt: skip
    between = "Nothing between the points of the grid was better."
    if surface.refined is not None:
        where, value = surface.refined
        between = (
            f"Between the points of the grid the best is {where[0]:g} mg from day {where[1]:g} for {where[2]:g} months "
            f"({value:+.2f} months at the estimate)."
        )
    return Table("The ten regimens that gain most", head, rows, between)


def findings(found: Maintenance) -> tuple[Finding, ...]:
    """What the registry and the small cohorts after CAR-T cells say of maintenance."""
    groups = found.groups
    early = groups.arms[1].name
    gain = groups.gain(early, RESTRICTED_PFS)
    return (
        Finding(
            "maintenance with lenalidomide prolongs progression-free survival",
            "hazard ratio below one after transplant, registry; after CAR-T cells never compared",
            "maintenance_after_transplant",
            f"gain {gain.text('+.1f')} months",
            gain.value > 0,
        ),
    )


_SURFACE_TEXT = """Gains are in the same virtual patients. A later start loses the first weeks, in which cells expand
and exhaust; a short course loses what slows regrowth. How wide the intervals are is mostly a matter of what
lenalidomide does to CAR-T cells, which no comparison has decided."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "lenalidomide_maintenance", answer)
