"""Pictures of second lines of therapy: what the first one costs them, why, and who gains by which of them."""

from collections.abc import Mapping, Sequence

from ..fitting.posterior import Estimate
from ..trials.compare import EVERYBODY, Comparison
from ..trials.measures import Measure
from .comparison_report import curve_of
from .figures.intervals import EffectRowSpec, effect_picture
from .figures.picture import Picture
from .figures.survival import survival_picture
from .figures.tables import CellSpec, surface_picture


def _rows(comparison: Comparison, effects: Mapping[str, Estimate]) -> list[EffectRowSpec]:
    provenance = {arm.name: provenance for arm, provenance in zip(comparison.arms, comparison.provenance, strict=True)}
    return [
        EffectRowSpec(arm, effect.value, effect.low, effect.high, not provenance[arm].calibrated)
        for arm, effect in effects.items()
    ]


def lost_picture(comparison: Comparison, lost: Mapping[str, Estimate], first: str) -> Picture:
    """What a first line costs each therapy in response, in points by name of the arm."""
    return effect_picture(
        _rows(comparison, lost), name="switch_lost", title=f"What {first} before costs the next therapy",
        x_label="Difference in overall response (points)", sides=("fewer respond", "more respond"),
        note=f"After {first} against no CAR-T cells before. Interval: central 95 % of posterior draws.",
    )  # fmt: skip


def why_picture(comparison: Comparison, arms: Sequence[str], measure: Measure) -> Picture:
    """What thought experiments on the first arm change."""
    return effect_picture(
        _rows(comparison, {arm: comparison.gain(arm, measure) for arm in arms}), name="switch_why",
        title="If the same product were given again, and", x_label=f"Difference in {measure.name} ({measure.unit})",
        sides=("worse", "better"),
        note=f"Against {comparison.arms[0].name}, same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip


def second_line_picture(comparison: Comparison, arms: Sequence[str]) -> Picture:
    """Progression-free survival of the second line."""
    return survival_picture(
        [curve_of(comparison, arm.name) for arm in comparison.arms if arm.name in arms], name="switch_pfs",
        title="Progression-free survival of the second line (simulated)", origin="start of the line",
        horizon_months=comparison.results[0].outcomes.visits.months, risk_every_months=3,
        note="Cells: from their infusion, four weeks after progression. Band: central 95 % of posterior draws.",
    )  # fmt: skip


def group_map(comparison: Comparison, arms: Sequence[str], measure: Measure, *, note: str) -> Picture:
    """What every arm gains over the first one, in everybody and in every group."""
    reference = comparison.arms[0].name
    panel = []
    for arm in arms:
        gains = [comparison.gain(arm, measure, reference, group) for group in comparison.groups]
        panel.append([CellSpec(gain.value, gain.low, gain.high) for gain in gains])
    everybody = comparison.share(EVERYBODY).value
    shares = {group: 100 * (comparison.share(group).value / everybody) for group in comparison.groups}
    return surface_picture(
        [panel], panel_titles=[""], rows=list(arms),
        columns=[f"{group}\n({share:.0f} %)" for group, share in shares.items()],
        row_axis="second line", column_axis="patients (share of those who come to the second line)",
        name="switch_groups", title=f"Gain in response over {reference}",
        scale=f"difference in {measure.name} (points)", note=note,
    )  # fmt: skip
