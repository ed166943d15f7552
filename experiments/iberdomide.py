"""Would iberdomide hold the response longer than lenalidomide does, and how sure can we be?

Both are given for two years from day 21, after ide-cel. Neither was ever compared with nothing after CAR-T cells, so
the width of the answer is mostly that of the priors on what they do to CAR-T cells.
"""

from collections.abc import Sequence
from pathlib import Path

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.reports.comparison_report import gain_picture, given_of, notices_of, numbers_of, pfs_picture, table_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Comparison, compare
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.projection import MONTHS, Progress
from perdure.trials.treat import SEED

TIME = "about half a minute"
ALONE, LENALIDOMIDE, IBERDOMIDE = "ide-cel alone", "+ lenalidomide", "+ iberdomide"
ARMS = (
    Arm(ALONE, "ide-cel"),
    Arm(LENALIDOMIDE, "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 21 for 24 months"),
    Arm(IBERDOMIDE, "ide-cel; iberdomide 1.6 mg on days 1-21 of 28 from day 21 for 24 months"),
)


def run(
    arms: Sequence[Arm] = ARMS,
    *,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = MONTHS,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Comparison:
    """Every arm on the same virtual patients; the first is the reference."""
    return compare(
        arms, calibration or read_calibration(), patients=patients, draws=draws, patients_per_draw=patients_per_draw,
        months=months, seed=seed, progress=progress,
    )  # fmt: skip


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    over_none = found.gain(IBERDOMIDE, RESTRICTED_PFS)
    over_other = found.gain(IBERDOMIDE, RESTRICTED_PFS, LENALIDOMIDE)
    chance = found.chance(IBERDOMIDE, RESTRICTED_PFS, LENALIDOMIDE)
    return Answer(
        title="Iberdomide or lenalidomide after CAR-T cells?",
        subtitle="Two years from day 21, virtual late-line patients after ide-cel",
        sentences=(
            f"Iberdomide adds {over_none.text('.1f')} months of restricted mean PFS over 36 months to ide-cel, and "
            f"{over_other.text('+.1f')} months to what lenalidomide does; in {100 * chance:.0f} % of the posterior "
            "draws it is the better of the two.",
            "No trial has told what either does after CAR-T cells: the interval is that of the priors.",
        ),
        sections=(
            Section(
                "Progression-free survival",
                "",
                [
                    pfs_picture(found, name="iberdomide_pfs", title="Maintenance after ide-cel (simulated)"),
                    gain_picture(found, name="iberdomide_gain", title="What maintenance would gain"),
                ],
                [table_of(found, "Maintenance")],
            ),
        ),
        numbers=numbers_of(found),
        notices=notices_of(found),
        given=given_of(found),
        findings=findings(found),
    )


def findings(found: Comparison) -> tuple[Finding, ...]:
    """Iberdomide is the stronger of the two in the laboratory."""
    gain = found.gain(IBERDOMIDE, RESTRICTED_PFS, LENALIDOMIDE)
    return (
        Finding(
            "iberdomide does not do less for CAR-T cells than lenalidomide",
            "stronger stimulation of T cells in the laboratory",
            "model/therapies/iberdomide.toml",
            f"{gain.text('+.1f')} months",
            gain.value >= 0.0,
        ),
    )


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "iberdomide", answer)
