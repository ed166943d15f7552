"""Pictures of the bridging period: three ways to count, who is lost, how the tumour grows, what would give it back."""

from collections.abc import Mapping, Sequence

from ..trials.bridging import DIED, GROWTH, PER_APHERESED, PROGRESSED
from ..trials.compare import Comparison
from ..trials.measures import RESTRICTED_MONTHS, RESTRICTED_PFS, Measure
from .comparison_report import line_along
from .figures.courses import AlongPanel, LineSpec, along_picture
from .figures.intervals import EffectRowSpec, effect_picture
from .figures.picture import Picture

ByWait = Mapping[float, str]
"""Names of arms by days from apheresis to infusion, rising."""


def wait_picture(
    comparison: Comparison, waits: ByWait, *, bridged: ByWait, from_apheresis: ByWait,
    reported: Sequence[tuple[float, str]] = (),
) -> Picture:  # fmt: skip
    """Draw what is counted, who is lost, and how the tumour grows, along the wait.

    Parameters
    ----------
    waits, bridged, from_apheresis
        Arms without bridging, with it, and those of which time runs from apheresis.
    reported
        Waits to be marked, each with its label.
    """

    def line(label: str, measure: Measure, arms: ByWait = waits) -> LineSpec:
        return line_along(comparison, label, list(arms), list(arms.values()), measure)

    def panel(title: str, y_label: str, *lines: LineSpec, marked: bool = True) -> AlongPanel:
        marks = [(day, label) for day, label in reported if marked and day <= max(waits)]
        return AlongPanel(title, "days from apheresis to infusion", y_label, lines, marks=marks)

    return along_picture(
        [
            panel(
                "Three ways to count", f"restricted mean PFS to month {RESTRICTED_MONTHS:g} (months)",
                line("from infusion", RESTRICTED_PFS), line("per patient apheresed", PER_APHERESED),
                line("from apheresis", RESTRICTED_PFS, from_apheresis),
            ),
            panel(
                "Bridging, per patient apheresed", "months without progression after infusion",
                line("no bridging", PER_APHERESED), line("chemotherapy", PER_APHERESED, bridged),
            ),
            panel(
                "Lost while waiting", "share of patients apheresed (%)", line("progress", PROGRESSED),
                line("die", DIED), marked=False,
            ),
            panel(
                "Growth of the tumour", "median tumour at infusion (times that at apheresis)",
                line("no bridging", GROWTH), line("chemotherapy", GROWTH, bridged),
            ),
        ],
        name="vein_to_vein", title="Waiting for CAR-T cells (simulated)",
        note="Dashed: median times of two trials (PMC10873054).",
    )  # fmt: skip


def per_apheresed_picture(comparison: Comparison, arms: Sequence[str]) -> Picture:
    """What each way to shorten or bridge the wait gains per patient apheresed, against the first arm."""
    provenance = {arm.name: provenance for arm, provenance in zip(comparison.arms, comparison.provenance, strict=True)}
    gains = {arm: comparison.gain(arm, PER_APHERESED) for arm in arms if arm in provenance}
    rows = [
        EffectRowSpec(arm, gain.value, gain.low, gain.high, not provenance[arm].calibrated)
        for arm, gain in gains.items()
    ]
    return effect_picture(
        rows,
        name="vein_to_vein_gain", title=f"Instead of {comparison.arms[0].name} without bridging",
        x_label=f"Months without progression after infusion, of {RESTRICTED_MONTHS:g}, per patient apheresed",
        sides=("worse", "better"), note="Same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip
