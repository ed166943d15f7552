"""After BCMA CAR-T cells have failed: the same target again, another target, or both at once?

Virtual patients who progress after ide-cel get each of these, as cells and as antibodies. What the first line has left
(density of BCMA, immunity against the CAR, early relapse) parts them, and thought experiments say why the same fails.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import MISSED, Calibration, read_calibration
from perdure.fitting.calibration.likelihood import match
from perdure.fitting.posterior import interval
from perdure.fitting.studies import read_studies
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.comparison_report import curve_of, gain_picture, given_of, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.forest import effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.rows import EffectRowToDraw
from perdure.reports.figures.surface import CellToDraw, surface_picture
from perdure.reports.figures.survival import survival_picture
from perdure.reports.report import Section
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.trials.compare import EVERYBODY, Arm, Change, Comparison, compare
from perdure.trials.compare_lines import compare_lines, followed
from perdure.trials.measures import COMPLETE, MEDIAN_PFS, RESPONSE, Treated, restricted_mean
from perdure.trials.projection import Estimate, Progress
from perdure.trials.treat import SEED

TIME = "about one and a half minutes"
MEAN = restricted_mean(12.0)
MEASURES = (RESPONSE, COMPLETE, MEDIAN_PFS, MEAN)
CELLS = "ide-cel; at progression: lymphodepletion days 23-25; {} on day 28"
SAME, BINDER, CD19 = "ide-cel again", "equ-cel (BCMA, other binder)", "BCMA/CD19 CAR-T"
TECLISTAMAB, TALQUETAMAB = "teclistamab (BCMA)", "talquetamab (GPRC5D)"
GPRC5D, BOTH, ANTIBODIES = "OriCAR-017 (GPRC5D)", "BCMA/GPRC5D CAR-T", "both antibodies"
GIVEN: Mapping[str, str] = {
    SAME: "ide-cel", BINDER: "equ-cel", CD19: "bcma-cd19-car-t", GPRC5D: "oricar-017", BOTH: "bcma-gprc5d-car-t",
    TECLISTAMAB: "teclistamab", TALQUETAMAB: "talquetamab", ANTIBODIES: "teclistamab; talquetamab",
}  # fmt: skip
DRUGS = (TECLISTAMAB, TALQUETAMAB, ANTIBODIES)
CURVES = (SAME, BINDER, GPRC5D, BOTH, TALQUETAMAB)
EARLY_MONTHS = 6.0
"""A relapse within so many months of the first cells counts as early; a choice."""
FAR = 20.0
"""Points of response beyond which a report is not met, however few patients it has; a choice."""


def _no_immunity(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {name: np.zeros_like(value) for name, value in values.items() if name.startswith("immunogenic")}


def _held(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    none = np.zeros_like(values["fraction_null_bcma"])
    return {"k_relaxation_density": none + 0.5, "fraction_null_bcma": none, "probability_loss_bcma": none}


def _other_cells(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    own = [name for name in values if name.endswith("_2") and not name.startswith("immunogenic")]
    return {name: np.roll(values[name], 1) for name in own}


def _sensitive(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"half_density_kill_2": 0.5 * values["half_density_kill_2"]}


WHY: Mapping[str, Change] = {
    "again, no immunity against the CAR": _no_immunity,
    "again, no antigen escape since day 0": _held,
    "again, made of another patient's cells": _other_cells,
    "again, a CAR that needs half the BCMA": _sensitive,
}


def arms_of(names: Sequence[str] = tuple(GIVEN)) -> list[Arm]:
    """Second lines after ide-cel: cells four weeks after progression, antibodies at once."""
    arms = []
    for name in names:
        words = f"ide-cel; at progression: {GIVEN[name]}" if name in DRUGS else CELLS.format(GIVEN[name])
        arms.append(Arm(name, words.replace("ide-cel on", "ide-cel again on")))
    return arms


def why_arms() -> list[Arm]:
    """The same product again, in patients who are changed from day 0 of the first line on."""
    return [Arm(name, arms_of((SAME,))[0].given, change=change) for name, change in WHY.items()]


LOW, HIGH, IMMUNE, FREE = "BCMA low", "BCMA high", "immune", "not immune"
SOON, LATE = "early relapse", "later relapse"
COLUMNS = (EVERYBODY, LOW, HIGH, IMMUNE, FREE, SOON, LATE)


def _low(one: Treated) -> np.ndarray:
    return one.outcomes.density_before < one.median(one.outcomes.density_before)


def _early(one: Treated) -> np.ndarray:
    """Four weeks pass between progression and the cells, from which the second line counts."""
    return followed(one).since - 28.0 < EARLY_MONTHS * DAYS_PER_MONTH


GROUPS = {
    LOW: _low, HIGH: lambda one: ~_low(one), IMMUNE: lambda one: one.patients["immunogenic"] > 0,
    FREE: lambda one: one.patients["immunogenic"] == 0, SOON: _early, LATE: lambda one: ~_early(one),
}  # fmt: skip
"""By what the first line has left, as seen when ide-cel is infused again: BCMA parted at its median then."""


@dataclass(frozen=True, eq=False)
class Switch:
    """Second lines after ide-cel, and the same therapies in patients who have had no CAR-T cells."""

    after: Comparison
    naive: Comparison


def run(
    *,
    names: Sequence[str] = tuple(GIVEN),
    calibration: Calibration | None = None,
    patients: int = 300,
    draws: int = 12,
    patients_per_draw: int = 60,
    months: float = 18.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Switch:
    """Every second line on the same virtual patients, who progress after ide-cel; gains are over ide-cel again."""
    calibration = calibration or read_calibration()
    after = compare_lines(
        [*arms_of(names), *why_arms()], calibration, measures=MEASURES, groups=GROUPS, patients=patients, draws=draws,
        patients_per_draw=patients_per_draw, months=months, seed=seed, progress=progress,
    )  # fmt: skip
    naive = compare(
        [Arm(name, GIVEN[name]) for name in names], calibration, measures=MEASURES, patients=patients, draws=draws,
        patients_per_draw=patients_per_draw, months=months, seed=seed, progress=progress,
    )  # fmt: skip
    return Switch(after, naive)


def lost(found: Switch, name: str) -> Estimate:
    """What a therapy loses in response after ide-cel, against patients without earlier CAR-T cells, in points."""
    value = found.after.estimate(name, RESPONSE).value - found.naive.estimate(name, RESPONSE).value
    return Estimate(value, *interval(found.after.draws_of(name, RESPONSE) - found.naive.draws_of(name, RESPONSE)))


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(
        calibration=calibration, patients=min(settings.patients, 300), draws=min(settings.draws, 12),
        patients_per_draw=min(settings.patients_per_draw, 60), seed=settings.seed, progress=settings.progress,
    )  # fmt: skip
    after, real = found.after, [arm.name for arm in found.naive.arms]
    return Answer(
        title="BCMA CAR-T cells have failed: the same target, another one, or both?",
        subtitle="Virtual late-line patients who progress after ide-cel",
        sentences=sentences(found),
        sections=(
            Section("By target", _TARGET_TEXT, [lost_picture(found), curves(after)], [table_of(
                after, "Second line", gains=(MEAN,))]),
            Section("By what the first line has left", _LEFT_TEXT, [group_map(after, real[1:])]),
            Section("Why the same product fails", _WHY_TEXT, [gain_picture(
                _only(after, [SAME, *WHY]), name="switch_why", title="If the same product were given again, and",
                measure=RESPONSE)]),
        ),
        numbers=[*numbers_of(after, gains=(RESPONSE, MEAN)), *_lost_rows(found)],
        notices=[*notices_of(after), _LIMITS],
        given=given_of(after),
        findings=findings(found),
    )  # fmt: skip


def sentences(found: Switch) -> tuple[str, ...]:
    """The answer in words."""
    after = found.after
    real = [arm.name for arm in found.naive.arms]
    best = max(real, key=lambda name: after.estimate(name, MEAN).value)
    said = [
        f"{name}: {after.estimate(name, RESPONSE).text('.0f')} % respond, {after.gain(name, MEAN).text('+.1f')} months"
        for name in real[1:]
    ]
    why = max(WHY, key=lambda name: after.gain(name, RESPONSE).value)
    return (
        f"Of {SAME} {after.estimate(SAME, RESPONSE).text('.0f')} % respond; most is gained over it with {best} "
        f"({after.gain(best, MEAN).text('+.1f')} of 12 months of restricted mean PFS).",
        "; ".join(said) + ".",
        "Response lost against patients without earlier CAR-T cells, in points: "
        + "; ".join(f"{name} {lost(found, name).text('+.0f')}" for name in real) + ".",
        f"Of the reasons why the same product fails, the largest is undone by '{why}' "
        f"({after.gain(why, RESPONSE).text('+.0f')} points of response).",
        f"Over the same product {best} gains in response, in points: "
        + "; ".join(f"{group} {after.gain(best, RESPONSE, SAME, group).text('+.0f')}" for group in GROUPS) + ".",
    )  # fmt: skip


def _only(found: Comparison, names: Sequence[str]) -> Comparison:
    """Some arms of a comparison."""
    at = [i for i, arm in enumerate(found.arms) if arm.name in names]
    return Comparison(
        tuple(found.arms[i] for i in at), found.measures, found.groups, tuple(found.treated[i] for i in at),
        found.best[:, at], found.few[:, at], found.drawn[:, :, at], found.curves[:, at],
        tuple(found.footings[i] for i in at),
    )  # fmt: skip


def lost_picture(found: Switch) -> Picture:
    """What earlier BCMA CAR-T cells cost each therapy."""
    footing = {arm.name: one for arm, one in zip(found.after.arms, found.after.footings, strict=True)}
    rows = [
        EffectRowToDraw(arm.name, n.value, n.low, n.high, not footing[arm.name].calibrated)
        for arm in found.naive.arms
        for n in (lost(found, arm.name),)
    ]
    return effect_picture(
        rows, name="switch_lost", title="What ide-cel before costs the next therapy",
        x_label="Difference in overall response (points)", sides=("fewer respond", "more respond"),
        note="After ide-cel against no CAR-T cells before. Interval: central 95 % of posterior draws.",
    )  # fmt: skip


def curves(found: Comparison) -> Picture:
    """Progression-free survival of the second line."""
    some = [curve_of(found, arm.name) for arm in found.arms if arm.name in CURVES]
    return survival_picture(
        some, name="switch_pfs", title="Progression-free survival of the second line (simulated)",
        horizon_months=found.treated[0].outcomes.visits.months, risk_every_months=3, origin="start of the line",
        note="Cells: from their infusion, four weeks after progression. Band: central 95 % of posterior draws.",
    )  # fmt: skip


def group_map(found: Comparison, names: Sequence[str]) -> Picture:
    """Second line by what the first has left: the gain in response over the same product again."""
    panel = []
    for name in names:
        gains = [found.gain(name, RESPONSE, SAME, group) for group in COLUMNS]
        panel.append([CellToDraw(gain.value, gain.low, gain.high) for gain in gains])
    shares = [found.share(group).value / found.share(EVERYBODY).value for group in COLUMNS]
    return surface_picture(
        [panel], panel_titles=[""], rows=list(names),
        columns=[f"{group}\n({100 * share:.0f} %)" for group, share in zip(COLUMNS, shares, strict=True)],
        row_axis="second line", column_axis="patients (share of those who come to the second line)",
        name="switch_groups", title=f"Gain in response over {SAME}",
        scale="difference in overall response (points)",
        note="BCMA parted at its median at the second infusion; immune: prone to immunity against the CAR.",
    )  # fmt: skip


def _lost_rows(found: Switch) -> list[NumberRow]:
    rows = [(arm.name, lost(found, arm.name)) for arm in found.naive.arms]
    what = "response lost after ide-cel"
    return [estimate_row(name, what, n, "points") for name, n in rows]


_REPORTED = (
    (SAME, "hu_2023_same_product_again_orr"), (SAME, "legend_2_salvage_same_car_t_orr"),
    (GPRC5D, "polaris_prior_bcma_car_t_orr"), (TALQUETAMAB, "jakubowiak_2023_prior_car_t_orr"),
    (CD19, "shi_2024_orr"),
)  # fmt: skip
_AGAIN = "the model answers about twice what was reported, and nothing that was fitted removes it (docs/fit.md)"


def findings(found: Switch) -> tuple[Finding, ...]:
    """Reported responses of second lines after BCMA CAR-T cells."""
    items = {item.id: item for study in read_studies() for item in study.items}
    known = [arm.name for arm in found.naive.arms]
    made = []
    for name, key in _REPORTED:
        if name in known:
            n, item = found.after.estimate(name, RESPONSE), items[key]
            low, high = (item.value, item.value) if item.value is not None else (item.low or 0.0, item.high or 100.0)
            near = low - FAR <= n.value <= high + FAR and abs(match(item, n.value).misfit) <= MISSED
            why = _AGAIN if name == SAME else ""
            what = f"response to {name} after BCMA CAR-T cells"
            made.append(Finding(what, item.text, key, f"{n.text('.0f')} %", near, why))
    return tuple(made)


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "target_switch", answer)


_TARGET_TEXT = """Every second line in the same patients. What the same therapies do in patients without earlier CAR-T
cells shows how much is lost to what ide-cel has left, and how much is the therapy's own strength."""
_LEFT_TEXT = """What would be measured before the second line: BCMA on the tumour, antibodies against the CAR, time to
relapse. A cell is a gain in response over the same product again in the same patients."""
_WHY_TEXT = """The same product again in patients who are changed: from day 0 of the first line on (no immunity, no
escape), so that fewer of them progress, or in the second cells only (another patient's cells, half the BCMA needed)."""
_LIMITS = """GPRC5D has no measured density, and how many tumours can lose it is assumed. Cells need four weeks after
progression; who dies or cannot be treated in between is not counted."""
