"""Do cells that persist hold the response, and what would a human binder instead of a murine one gain?

Persistence and response go together in every trial; here the cells themselves are changed: immunity against the binder
is taken away or given to everybody, memory cells live longer, or all CAR-T cells vanish from view sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.calibration.predictions import SUSTAINED_MONTHS
from perdure.fitting.studies import read_studies
from perdure.model.imwg import PR
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.comparison_report import (
    gain_picture,
    given_of,
    line_along,
    notices_of,
    numbers_of,
    pfs_picture,
    table_of,
)
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.along import AlongPanel, along_picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Change, Comparison, compare
from perdure.trials.measures import MEDIAN_PFS, PERSISTENCE, RESTRICTED_PFS, Treated
from perdure.trials.projection import Progress
from perdure.trials.provenance import fitted_regimens
from perdure.trials.treat import SEED

TIME = "about half a minute"
LOSSES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Loss of memory cells, relative to the calibrated one."""
MURINE, HUMAN, EVERYBODY_IMMUNE, NOBODY = "murine binder", "human binder", "everybody immune", "nobody immune"


def _sustained(one: Treated) -> np.ndarray:
    """As the fit counts it: no progression within so many months."""
    return (one.outcomes.best >= PR) & (one.outcomes.progression() / DAYS_PER_MONTH >= SUSTAINED_MONTHS)


def _lost(one: Treated) -> np.ndarray:
    return (one.outcomes.best >= PR) & ~_sustained(one)


@dataclass(frozen=True, eq=False)
class Persistence:
    """Binders with ide-cel, loss of memory with ide-cel, and persistence by how long the response lasts (LEGEND-2)."""

    binder: Comparison
    memory: Comparison
    legend: Comparison


def _immune(share: float) -> Change:
    """Who can mount immunity: the same patients in order, so that more are immune where the share is larger."""

    def change(one: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        n = len(one["immunogenic"])
        prone = one["immunogenic"] > 0
        rank = np.empty(n)
        # those who are prone with the product come first, the others behind them in the order of their numbers
        rank[np.argsort(~prone, kind="stable")] = (np.arange(n) + 0.5) / n
        return {"immunogenic": np.where(rank < share, 1.0, 0.0)}

    return change


def _loss(factor: float) -> Change:
    return lambda one: {"k_death_memory": factor * one["k_death_memory"]}


def loss_name(factor: float) -> str:
    """How an arm is called."""
    return f"loss of memory x {factor:g}"


def run(
    losses: Sequence[float] = LOSSES,
    *,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 66.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Persistence:
    """The share of patients who can become immune is that of ide-cel (murine) and of equ-cel (human)."""
    calibration = calibration or read_calibration()
    human = calibration.parameters().typical("equ_cel", "late_line")["fraction_immunogenic"]
    binder = [
        Arm(MURINE, "ide-cel"),
        Arm(HUMAN, "ide-cel", change=_immune(human)),
        Arm(NOBODY, "ide-cel", change=_immune(0.0)),
        Arm(EVERYBODY_IMMUNE, "ide-cel", change=_immune(1.0)),
    ]
    memory = [Arm("ide-cel", "ide-cel"), *(Arm(loss_name(f), "ide-cel", change=_loss(f)) for f in losses)]
    given = fitted_regimens("cilta_cel", "mixed_line", read_studies())[0]
    sizes = {
        "patients": patients, "draws": draws, "patients_per_draw": patients_per_draw, "months": months, "seed": seed,
        "progress": progress,
    }  # fmt: skip
    return Persistence(
        compare(binder, calibration, measures=(PERSISTENCE, MEDIAN_PFS, RESTRICTED_PFS), **sizes),
        compare(memory, calibration, measures=(PERSISTENCE, MEDIAN_PFS, RESTRICTED_PFS), **sizes),
        compare(
            [Arm("cilta-cel", given, "mixed_line")], calibration, measures=(PERSISTENCE,),
            groups={"sustained response": _sustained, "response that ended": _lost}, **sizes,
        ),
    )  # fmt: skip


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    names = [loss_name(factor) for factor in LOSSES]
    panels = [
        AlongPanel(
            title, "loss of memory cells, relative to the calibrated", f"{measure.name} ({measure.unit})",
            [line_along(found.memory, "ide-cel", LOSSES, names, measure)], log=True, marks=[(1.0, "calibrated")],
        )
        for title, measure in (("Persistence", PERSISTENCE), ("Restricted mean PFS", RESTRICTED_PFS))
    ]  # fmt: skip
    return Answer(
        title="Do cells that persist hold the response?",
        subtitle="Ide-cel in virtual late-line patients; persistence by outcome after cilta-cel",
        sentences=sentences(found),
        sections=(
            Section(
                "Murine or human binder",
                _BINDER_TEXT,
                [
                    pfs_picture(found.binder, name="binder_pfs", title="Who becomes immune (simulated)", months=36.0),
                    gain_picture(found.binder, name="binder_gain", title="If fewer, or more, became immune"),
                ],
                [table_of(found.binder, "Binder")],
            ),
            Section(
                "Memory cells that live longer",
                _MEMORY_TEXT,
                [along_picture(panels, name="memory_loss", title="Loss of memory cells (simulated)")],
                [table_of(found.memory, "Loss of memory cells")],
            ),
        ),
        numbers=[*numbers_of(found.binder), *numbers_of(found.memory), *numbers_of(found.legend, gains=())],
        notices=[*notices_of(found.binder), *notices_of(found.memory), *notices_of(found.legend)],
        given=given_of(found.binder, found.memory, found.legend),
        findings=findings(found),
    )


def sentences(found: Persistence) -> tuple[str, ...]:
    """The answer in words."""
    gain = found.binder.gain(HUMAN, RESTRICTED_PFS)
    most = found.binder.gain(NOBODY, RESTRICTED_PFS)
    half = loss_name(0.5)
    sustained, lost = (
        found.legend.estimate("cilta-cel", PERSISTENCE, group)
        for group in ("sustained response", "response that ended")
    )
    return (
        f"With as few immune patients as a human binder has, ide-cel would gain {gain.text('.1f')} months of "
        f"restricted mean PFS over 36 months; with none, {most.text('.1f')} months.",
        f"Memory cells that live twice as long lengthen median persistence by "
        f"{found.memory.gain(half, PERSISTENCE).text('.0f')} days and restricted mean PFS by "
        f"{found.memory.gain(half, RESTRICTED_PFS).text('.1f')} months.",
        f"Among virtual LEGEND-2 responders cells are seen for {sustained.text('.0f')} days where the response lasts "
        f"{SUSTAINED_MONTHS:g} months, and for {lost.text('.0f')} where it ends; part of that is that who relapses "
        "is no longer looked at.",
    )


def findings(found: Persistence) -> tuple[Finding, ...]:
    """What was reported of persistence."""
    sustained, lost = (
        found.legend.estimate("cilta-cel", PERSISTENCE, group)
        for group in ("sustained response", "response that ended")
    )
    all_immune = found.binder.gain(EVERYBODY_IMMUNE, PERSISTENCE)
    return (
        Finding(
            "cells persist longer where the response is sustained",
            "535 against 262 days (LEGEND-2)", "legend_2_persistence_sustained",
            f"{sustained.text('.0f')} against {lost.text('.0f')} days",
            sustained.value > lost.value and sustained.low <= 535.3 <= sustained.high,
        ),
        Finding(
            "immunity against a murine binder shortens persistence",
            "antibodies diminish persistence (Lam 2020)", "min_2025",
            f"{all_immune.text('+.0f')} days if everybody becomes immune", all_immune.high < 0.0,
        ),
    )  # fmt: skip


_BINDER_TEXT = """What a human binder changes here is who becomes immune against the cells: the share of patients who
can is assumed for the murine binder of ide-cel, and was reported for the human one of equ-cel. Everything else,
affinity too, stays as it is. Who would be immune with a human binder is so with a murine one too."""
_MEMORY_TEXT = """Persistence is read as the last visit at which cells are above the limit of the assay, until
progression. Cells that are there are not the same as cells that hold the tumour: how much they do is what differs
between the two panels."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "persistence", answer)
