"""Is there a window for PD-1 blockade after CAR-T cells, and how much would be gained if cells did not tire?

Nivolumab is started on one day after the other, also where it is strong (a thought experiment: the upper end of what
its prior allows). Blockade acts on exhausted cells that can still recover, so that a window needs them to be there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.imwg import PR
from perdure.reports.comparison_report import along_panel, arms_section, course_of, report_of, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.courses import Panel, along_picture, course_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm, Change
from perdure.trials.compare import Comparison, compare
from perdure.trials.measures import RESPONSE, RESTRICTED_PFS
from perdure.trials.treat import ArmResult, treat

TIME = "about a minute"
SIZES = Sizes()
STARTS = (0.0, 14.0, 30.0, 60.0, 90.0, 180.0)
BLOCKADE = "ide-cel; nivolumab 240 mg every 14 days from day {:g} for 6 months"
AT_RELAPSE = "ide-cel; at progression nivolumab"
STRONG = 3.0
"""Prior standard deviations that a strong blocker lies above none: the upper end of what is thought possible."""
MEASURES = (RESPONSE, RESTRICTED_PFS)
COURSE_MONTHS = 12.0


def _times(name: str, factor: float) -> Change:
    return lambda values: {name: values[name] * factor}


ALONE, NEVER = "ide-cel alone", "cells that never tire"
TIRING = (
    Arm(ALONE, "ide-cel"),
    Arm("cells that tire half as fast", "ide-cel", change=_times("k_exhaustion", 0.5)),
    Arm(NEVER, "ide-cel", change=_times("k_exhaustion", 0.0)),
    Arm("cells that recover ten times as fast", "ide-cel", change=_times("k_recovery_exhausted", 10.0)),
    Arm("cells that tire twice as fast", "ide-cel", change=_times("k_exhaustion", 2.0)),
)
"""What exhaustion costs at all: thought experiments on the cells, without any drug."""


def name_of(day: float, strong: bool = False) -> str:
    """Name of the arm whose blockade begins on a day."""
    return f"{'strong blockade' if strong else 'nivolumab'} from day {day:g}"


def blockade_arms(starts: Sequence[float], effect: float) -> list[Arm]:
    """Ide-cel alone, blockade from each day, and from each day with an effect as strong as that."""

    def strong(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"effect_nivolumab": np.full_like(values["effect_nivolumab"], effect)}

    usual = [Arm(name_of(day), BLOCKADE.format(day)) for day in starts]
    return [Arm(ALONE, "ide-cel"), *usual, *(Arm(name_of(d, True), BLOCKADE.format(d), change=strong) for d in starts)]


@dataclass(frozen=True, eq=False)
class Window:
    """Starts of blockade, what cells that do not tire would gain, the course of exhaustion, and blockade at relapse."""

    starts: Comparison
    tiring: Comparison
    course: ArmResult
    response_at_progression: float


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, starts: Sequence[float] = STARTS,
    tiring: Sequence[Arm] = TIRING, months: float = 48.0,
) -> Window:  # fmt: skip
    """Blockade for six months from each day, as it is thought to be and as strong as its prior allows."""
    calibration = calibration or read_calibration()
    parameters = calibration.parameters()
    prior = parameters["effect_nivolumab"].prior
    arms = blockade_arms(starts, STRONG * (prior.sd if prior is not None else 0.0))
    relapse = treat(
        AT_RELAPSE, patients=min(sizes.patients, 300), months=6.0, seed=sizes.seed, parameters=parameters
    ).outcomes  # fmt: skip
    return Window(
        compare(arms, calibration, measures=MEASURES, sizes=sizes, months=months),
        compare(tiring, calibration, measures=MEASURES, sizes=sizes, months=months),
        treat("ide-cel", patients=min(sizes.patients, 500), months=24.0, seed=sizes.seed, parameters=parameters),
        100.0 * relapse.rate(relapse.best >= PR),
    )


def findings(window: Window) -> tuple[Finding, ...]:
    """What was reported of checkpoint blockade after CAR-T cells."""
    rate = window.response_at_progression
    none = window.tiring.gain(NEVER, RESTRICTED_PFS)
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


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """What blockade gains by the day of its start, and what tiring costs at all."""
    window = run(calibration, settings.sizes)
    lines = {
        label: (window.starts, [name_of(day, strong) for day in STARTS])
        for label, strong in (("nivolumab", False), ("strong blockade", True))
    }
    gain = along_panel(
        lines, STARTS, "start of blockade (days after infusion)", RESTRICTED_PFS, against=ALONE,
        title="Gain by the day of the first dose",
    )  # fmt: skip
    along = along_picture(
        [gain], name="blockade_window", title="Six months of PD-1 blockade after ide-cel (simulated)",
        note=f"Strong: {STRONG:g} standard deviations of the prior above no effect, a thought experiment.",
    )  # fmt: skip
    return report_of(
        window.starts, window.tiring,
        title="Is there a window for PD-1 blockade after CAR-T cells?",
        subtitle="Ide-cel in virtual late-line patients",
        sentences=sentences(window),
        sections=(
            Section("When", _TEXT, [along, exhaustion_picture(window.course)], [table_of(window.starts, "Blockade")]),
            arms_section(
                window.tiring, "What tiring costs at all", name="tiring", table="Cells that tire less",
                gain="If CAR-T cells tired less (or more)",
                text="Without any drug: the same patients with cells that tire more or less, or recover faster.",
            ),
        ),
        findings=findings(window),
    )  # fmt: skip


def sentences(window: Window) -> tuple[str, ...]:
    """The answer in words."""
    names = [arm.name for arm in window.starts.arms[1:]]
    gains = {name: window.starts.gain(name, RESTRICTED_PFS) for name in names}
    strong = [name for name in names if name.startswith("strong")]
    first, best, last = names[0], max(strong, key=lambda name: gains[name].value), strong[-1]
    return (
        f"{first} changes restricted mean PFS over 36 months by {gains[first].text('+.2f')} months: its effect is "
        "centred on none, and the interval is that of its prior.",
        f"Even the strongest blockade that the prior allows gains {gains[best].text('.1f')} months at its best start "
        f"({best}), and {gains[last].text('.1f')} months as {last}.",
        f"Cells that never tire would gain {window.tiring.gain(NEVER, RESTRICTED_PFS).text('.1f')} months: that is the "
        "most that anything against exhaustion can do here.",
    )


def exhaustion_picture(result: ArmResult) -> Picture:
    """Exhausted share and number of CAR-T cells over a year: when there is something to revive."""
    share = course_of(result, "exhausted_fraction", label="ide-cel", months=COURSE_MONTHS)
    cells = course_of(result, "car_t", label="ide-cel", months=COURSE_MONTHS, least=1e-3)
    return course_picture(
        [
            Panel("Exhausted share", "share of CAR-T cells", [share], low=0.0, high=1.0),
            Panel("CAR-T cells", "cells/uL of blood", [cells], log=True, lines=[(0.1, "assay limit")], low=0.01),
        ],
        name="exhaustion_course", title="When are there tired cells to revive? (simulated)",
        note="Median and 5th to 95th percentile of virtual patients.",
    )  # fmt: skip


_TEXT = """Blockade can revive only cells that are reversibly exhausted. They are there from the peak on, for the weeks
in which antigen is plenty; later the cells are gone, or exhausted for good. How strong nivolumab is after CAR-T cells
no comparison has told."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
