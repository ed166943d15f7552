"""Do cells that persist hold the response, and what would a human binder instead of a murine one gain?

Persistence and response go together in every trial; here the cells themselves are changed: immunity against the binder
is taken away or given to everybody, memory cells live longer, or all CAR-T cells vanish from view sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.calibration.predictions import SUSTAINED_MONTHS
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.model.imwg import PR
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.comparison_report import along_panel, arms_section, report_of, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.courses import along_picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm, Change
from perdure.trials.compare import Comparison, compare
from perdure.trials.measures import MEDIAN_PFS, PERSISTENCE, RESTRICTED_PFS
from perdure.trials.provenance import fitted_regimens
from perdure.trials.treat import ArmResult

TIME = "about half a minute"
SIZES = Sizes()
MEASURES = (PERSISTENCE, MEDIAN_PFS, RESTRICTED_PFS)


def _immune(share: float) -> Change:
    """Who can mount immunity: the same patients in order, so that more are immune where the share is larger."""

    def change(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        n = len(values["immunogenic"])
        prone = values["immunogenic"] > 0
        rank = np.empty(n)
        # those who are prone with the product come first, the others behind them in the order of their numbers
        rank[np.argsort(~prone, kind="stable")] = (np.arange(n) + 0.5) / n
        return {"immunogenic": np.where(rank < share, 1.0, 0.0)}

    return change


MURINE, HUMAN, EVERYBODY_IMMUNE, NOBODY = "murine binder", "human binder", "everybody immune", "nobody immune"


def binder_arms(human: float) -> list[Arm]:
    """Ide-cel with its own binder, with a human one by the share who can become immune, and at both extremes."""
    return [
        Arm(MURINE, "ide-cel"),
        Arm(HUMAN, "ide-cel", change=_immune(human)),
        Arm(NOBODY, "ide-cel", change=_immune(0.0)),
        Arm(EVERYBODY_IMMUNE, "ide-cel", change=_immune(1.0)),
    ]


LOSSES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Loss of memory cells, relative to the calibrated one."""


def _loss(factor: float) -> Change:
    return lambda values: {"k_death_memory": factor * values["k_death_memory"]}


def loss_name(factor: float) -> str:
    """Name of the arm whose memory cells are lost so many times as fast."""
    return f"loss of memory x {factor:g}"


def memory_arms(losses: Sequence[float] = LOSSES) -> list[Arm]:
    """Ide-cel as it is, and with memory cells that are lost faster or more slowly."""
    return [Arm("ide-cel", "ide-cel"), *(Arm(loss_name(f), "ide-cel", change=_loss(f)) for f in losses)]


def _sustained(result: ArmResult) -> np.ndarray:
    """As the fit counts it: no progression within so many months."""
    outcomes = result.outcomes
    return (outcomes.best >= PR) & (outcomes.progression() / DAYS_PER_MONTH >= SUSTAINED_MONTHS)


def _ended(result: ArmResult) -> np.ndarray:
    return (result.outcomes.best >= PR) & ~_sustained(result)


LEGEND = "cilta-cel"
SUSTAINED, ENDED = "sustained response", "response that ended"
GROUPS = {SUSTAINED: _sustained, ENDED: _ended}
"""Responders after cilta-cel, by how long they respond (LEGEND-2)."""


@dataclass(frozen=True, eq=False)
class Persistence:
    """Binders with ide-cel, loss of memory with ide-cel, and persistence by how long the response lasts (LEGEND-2)."""

    binder: Comparison
    memory: Comparison
    legend: Comparison


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, losses: Sequence[float] = LOSSES,
    months: float = 66.0,
) -> Persistence:  # fmt: skip
    """The share of patients who can become immune is that of ide-cel (murine) and of equ-cel (human)."""
    calibration = calibration or read_calibration()
    human = calibration.parameters().typical("equ_cel", "late_line")["fraction_immunogenic"]
    legend = Arm(LEGEND, fitted_regimens("cilta_cel", "mixed_line", read_studies())[0], "mixed_line")
    return Persistence(
        compare(binder_arms(human), calibration, measures=MEASURES, sizes=sizes, months=months),
        compare(memory_arms(losses), calibration, measures=MEASURES, sizes=sizes, months=months),
        compare([legend], calibration, measures=(PERSISTENCE,), groups=GROUPS, sizes=sizes, months=months),
    )


def findings(persistence: Persistence) -> tuple[Finding, ...]:
    """What was reported of persistence."""
    sustained, ended = (persistence.legend.estimate(LEGEND, PERSISTENCE, group) for group in GROUPS)
    all_immune = persistence.binder.gain(EVERYBODY_IMMUNE, PERSISTENCE)
    return (
        Finding(
            "cells persist longer where the response is sustained",
            "535 against 262 days (LEGEND-2)", "legend_2_persistence_sustained",
            f"{sustained.text('.0f')} against {ended.text('.0f')} days",
            sustained.value > ended.value and sustained.low <= 535.3 <= sustained.high,
        ),
        Finding(
            "immunity against a murine binder shortens persistence",
            "antibodies diminish persistence (Lam 2020)", "min_2025",
            f"{all_immune.text('+.0f')} days if everybody becomes immune", all_immune.high < 0.0,
        ),
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """What fewer immune patients, and memory cells that live longer, would gain."""
    persistence = run(calibration, settings.sizes)
    lines = {"ide-cel": (persistence.memory, [loss_name(factor) for factor in LOSSES])}
    panels = [
        along_panel(
            lines, LOSSES, "loss of memory cells, relative to the calibrated", measure, log=True,
            marks=[(1.0, "calibrated")],
        )
        for measure in (PERSISTENCE, RESTRICTED_PFS)
    ]  # fmt: skip
    return report_of(
        persistence.binder, persistence.memory, persistence.legend,
        title="Do cells that persist hold the response?",
        subtitle="Ide-cel in virtual late-line patients; persistence by outcome after cilta-cel",
        sentences=sentences(persistence),
        sections=(
            arms_section(
                persistence.binder, "Murine or human binder", name="binder", table="Binder", text=_BINDER_TEXT,
                pfs="Who becomes immune (simulated)", months=36.0, gain="If fewer, or more, became immune",
            ),
            Section(
                "Memory cells that live longer", _MEMORY_TEXT,
                [along_picture(panels, name="memory_loss", title="Loss of memory cells (simulated)")],
                [table_of(persistence.memory, "Loss of memory cells")],
            ),
        ),
        findings=findings(persistence),
    )  # fmt: skip


def sentences(persistence: Persistence) -> tuple[str, ...]:
    """The answer in words."""
    human, nobody = (persistence.binder.gain(name, RESTRICTED_PFS).text(".1f") for name in (HUMAN, NOBODY))
    days, pfs = (persistence.memory.gain(loss_name(0.5), measure) for measure in (PERSISTENCE, RESTRICTED_PFS))
    sustained, ended = (persistence.legend.estimate(LEGEND, PERSISTENCE, group).text(".0f") for group in GROUPS)
    return (
        f"With as few immune patients as a human binder has, ide-cel would gain {human} months of restricted mean PFS "
        f"over 36 months; with none, {nobody} months.",
        f"Memory cells that live twice as long lengthen median persistence by {days.text('.0f')} days and restricted "
        f"mean PFS by {pfs.text('.1f')} months.",
        f"Among virtual LEGEND-2 responders cells are seen for {sustained} days where the response lasts "
        f"{SUSTAINED_MONTHS:g} months, and for {ended} where it ends; part of that is that who relapses is no longer "
        "looked at.",
    )


_BINDER_TEXT = """What a human binder changes here is who becomes immune against the cells: the share of patients who
can is assumed for the murine binder of ide-cel, and was reported for the human one of equ-cel. Everything else,
affinity too, stays as it is. Who would be immune with a human binder is so with a murine one too."""
_MEMORY_TEXT = """Persistence is read as the last visit at which cells are above the limit of the assay, until
progression. Cells that are there are not the same as cells that hold the tumour: how much they do is what differs
between the two panels."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
