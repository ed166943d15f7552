"""Is there a window for PD-1 blockade after CAR-T cells, and how much would be gained if cells did not tire?

Nivolumab is started on one day after the other, also where it is strong (a thought experiment: the upper end of what
its prior allows). Blockade acts on exhausted cells that can still recover, so that a window needs them to be there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.model.imwg import PR
from perdure.reports.comparison_report import gain_picture, given_of, line_along, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.along import AlongPanel, along_picture
from perdure.reports.figures.bands import BandToDraw, Panel
from perdure.reports.figures.course import course_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Change, Comparison, compare
from perdure.trials.measures import RESPONSE, RESTRICTED_PFS
from perdure.trials.projection import Progress
from perdure.trials.treat import SEED, Trial, follow, treat

TIME = "about a minute"
STARTS = (0.0, 14.0, 30.0, 60.0, 90.0, 180.0)
MONTHS_GIVEN = 6.0
ALONE = "ide-cel alone"
STRONG = 3.0
"""Prior standard deviations that a strong blocker lies above none: the upper end of what is thought possible."""
COURSE_MONTHS = 12.0


@dataclass(frozen=True, eq=False)
class Window:
    """Starts of blockade, what cells that do not tire would gain, the course of exhaustion, and blockade at relapse."""

    starts: Comparison
    tiring: Comparison
    course: Trial
    response_at_progression: float


def name_of(day: float, strong: bool = False) -> str:
    """How an arm is called."""
    return f"{'strong blockade' if strong else 'nivolumab'} from day {day:g}"


def _strong(sd: float) -> Change:
    return lambda one: {"effect_nivolumab": np.full_like(one["effect_nivolumab"], STRONG * sd)}


def _times(name: str, factor: float) -> Change:
    return lambda one: {name: one[name] * factor}


TIRING = (
    Arm(ALONE, "ide-cel"),
    Arm("cells that tire half as fast", "ide-cel", change=_times("k_exhaustion", 0.5)),
    Arm("cells that never tire", "ide-cel", change=_times("k_exhaustion", 0.0)),
    Arm("cells that recover ten times as fast", "ide-cel", change=_times("k_recovery_exhausted", 10.0)),
    Arm("cells that tire twice as fast", "ide-cel", change=_times("k_exhaustion", 2.0)),
)
"""What exhaustion costs at all: thought experiments on the cells, without any drug."""


def run(
    starts: Sequence[float] = STARTS,
    *,
    tiring: Sequence[Arm] = TIRING,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 48.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Window:
    """Blockade for six months from each day, as it is thought to be and as strong as its prior allows."""
    calibration = calibration or read_calibration()
    prior = calibration.parameters()["effect_nivolumab"].prior
    sd = prior.sd if prior is not None else 0.0
    arms = [Arm(ALONE, "ide-cel")]
    for strong in (False, True):
        for day in starts:
            words = f"ide-cel; nivolumab 240 mg every 14 days from day {day:g} for {MONTHS_GIVEN:g} months"
            arms.append(Arm(name_of(day, strong), words, change=_strong(sd) if strong else None))
    sizes = {
        "patients": patients, "draws": draws, "patients_per_draw": patients_per_draw, "months": months, "seed": seed
    }  # fmt: skip
    measures = (RESPONSE, RESTRICTED_PFS)
    late = follow("ide-cel; at progression nivolumab", patients=min(patients, 300), months=6.0, seed=seed).outcomes
    return Window(
        compare(arms, calibration, measures=measures, progress=progress, **sizes),
        compare(tiring, calibration, measures=measures, progress=progress, **sizes),
        treat("ide_cel", patients=min(patients, 500), months=24.0, seed=seed, parameters=calibration.parameters()),
        100.0 * late.rate(late.best >= PR),
    )


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    lines = [
        line_along(
            found.starts, "strong blockade" if strong else "nivolumab", STARTS, [name_of(d, strong) for d in STARTS],
            RESTRICTED_PFS, against=ALONE,
        )
        for strong in (False, True)
    ]  # fmt: skip
    along = along_picture(
        [
            AlongPanel(
                "Gain by the day of the first dose", "start of blockade (days after infusion)",
                f"gain in {RESTRICTED_PFS.name} (months)", lines, zero=True,
            )
        ],
        name="blockade_window", title="Six months of PD-1 blockade after ide-cel (simulated)",
        note=f"Strong: {STRONG:g} standard deviations of the prior above no effect, a thought experiment.",
    )  # fmt: skip
    return Answer(
        title="Is there a window for PD-1 blockade after CAR-T cells?",
        subtitle="Ide-cel in virtual late-line patients",
        sentences=sentences(found),
        sections=(
            Section("When", _TEXT, [along, exhaustion_picture(found.course)], [table_of(found.starts, "Blockade")]),
            Section(
                "What tiring costs at all",
                "Without any drug: the same patients with cells that tire more or less, or recover faster.",
                [gain_picture(found.tiring, name="tiring_gain", title="If CAR-T cells tired less (or more)")],
                [table_of(found.tiring, "Cells that tire less")],
            ),
        ),
        numbers=[*numbers_of(found.starts), *(row for row in numbers_of(found.tiring) if row.arm != ALONE)],
        notices=[*notices_of(found.starts), *notices_of(found.tiring)],
        given=given_of(found.starts, found.tiring),
        findings=findings(found),
    )


def sentences(found: Window) -> tuple[str, ...]:
    """The answer in words."""
    arms = [arm.name for arm in found.starts.arms[1:]]
    strong = [name for name in arms if name.startswith("strong")]
    usual = [name for name in arms if not name.startswith("strong")]
    best = max(strong, key=lambda name: found.starts.gain(name, RESTRICTED_PFS).value)
    first = found.starts.gain(usual[0], RESTRICTED_PFS)
    return (
        f"{usual[0]} changes restricted mean PFS over 36 months by {first.text('+.2f')} months: its effect is centred "
        "on none, and the interval is that of its prior.",
        f"Even the strongest blockade that the prior allows gains "
        f"{found.starts.gain(best, RESTRICTED_PFS).text('.1f')} months at its best start ({best}), and "
        f"{found.starts.gain(strong[-1], RESTRICTED_PFS).text('.1f')} months as {strong[-1]}.",
        "Cells that never tire would gain "
        f"{found.tiring.gain('cells that never tire', RESTRICTED_PFS).text('.1f')} months: that is the most that "
        "anything against exhaustion can do here.",
    )


def exhaustion_picture(trial: Trial) -> Picture:
    """Exhausted share and number of CAR-T cells over a year: when there is something to revive."""
    panels = []
    for name, title, unit, log in (
        ("exhausted_fraction", "Exhausted share", "share of CAR-T cells", False),
        ("car_t", "CAR-T cells", "cells/uL of blood", True),
    ):
        times = trial.solution.times
        keep = times <= COURSE_MONTHS * 30.4375
        values = trial.solution[name][:, keep]
        low, middle, high = np.nanpercentile(np.maximum(values, 1e-3) if log else values, [5, 50, 95], axis=0)
        lines = [(0.1, "assay limit")] if log else []
        panels.append(
            Panel(title, unit, [BandToDraw("ide-cel", times[keep], low, middle, high)], log=log, lines=lines, low=0.01)
            if log
            else Panel(title, unit, [BandToDraw("ide-cel", times[keep], low, middle, high)], low=0.0, high=1.0)
        )
    return course_picture(
        panels, name="exhaustion_course", title="When are there tired cells to revive? (simulated)",
        note="Median and 5th to 95th percentile of virtual patients.",
    )  # fmt: skip


def findings(found: Window) -> tuple[Finding, ...]:
    """What was reported of checkpoint blockade after CAR-T cells."""
    rate = found.response_at_progression
    none = found.tiring.gain("cells that never tire", RESTRICTED_PFS)
    return (
        Finding(
            "nivolumab alone after relapse brings few responses",
            "2 of 11 patients responded (18 %)", "banerjee_2024_orr", f"{rate:.0f} %", rate <= 45.0,
        ),
        Finding(
            "but some",
            "2 of 11, 95 % interval 2 to 52 %", "banerjee_2024_orr", f"{rate:.0f} %", rate >= 2.0,
            "at relapse the cells are gone in this model, and there is nothing to revive (docs/fit.md)",
        ),
        Finding(
            "exhausted CAR-T cells shorten the response",
            "persistent PD-1 in non-responders (Fischer 2024); tiring with high expression (Rodriguez-Marquez 2022)",
            "fischer_2024_n", f"cells that never tire gain {none.text('.1f')} months", none.low > 0.0,
        ),
    )  # fmt: skip


_TEXT = """Blockade can revive only cells that are reversibly exhausted. They are there from the peak on, for the weeks
in which antigen is plenty; later the cells are gone, or exhausted for good. How strong nivolumab is after CAR-T cells
no comparison has told."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "exhaustion_window", answer)
