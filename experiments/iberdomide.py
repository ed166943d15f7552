"""Would iberdomide hold the response longer than lenalidomide does, and how sure can we be?

Both are given for two years from day 21, after ide-cel. Neither was ever compared with nothing after CAR-T cells, so
the width of the answer is mostly that of the priors on what they do to CAR-T cells.
"""

from collections.abc import Sequence

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import Sizes
from perdure.reports.comparison_report import arms_section, report_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.compare import Comparison, compare
from perdure.trials.measures import RESTRICTED_PFS

TIME = "about half a minute"
SIZES = Sizes()
ALONE, LENALIDOMIDE, IBERDOMIDE = "ide-cel alone", "+ lenalidomide", "+ iberdomide"
ARMS = (
    Arm(ALONE, "ide-cel"),
    Arm(LENALIDOMIDE, "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 21 for 24 months"),
    Arm(IBERDOMIDE, "ide-cel; iberdomide 1.6 mg on days 1-21 of 28 from day 21 for 24 months"),
)


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, arms: Sequence[Arm] = ARMS, months: float = 60.0
) -> Comparison:
    """Every arm on the same virtual patients; the first is the reference."""
    return compare(arms, calibration, sizes=sizes, months=months)


def findings(comparison: Comparison) -> tuple[Finding, ...]:
    """Iberdomide is the stronger of the two in the laboratory."""
    gain = comparison.gain(IBERDOMIDE, RESTRICTED_PFS, LENALIDOMIDE)
    return (
        Finding(
            "iberdomide does not do less for CAR-T cells than lenalidomide",
            "stronger stimulation of T cells in the laboratory",
            "model/therapies/iberdomide.toml",
            f"{gain.text('+.1f')} months",
            gain.value >= 0.0,
        ),
    )


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """What iberdomide adds to ide-cel and to what lenalidomide does, and how sure that is."""
    comparison = run(calibration, settings.sizes)
    over_none = comparison.gain(IBERDOMIDE, RESTRICTED_PFS)
    over_other = comparison.gain(IBERDOMIDE, RESTRICTED_PFS, LENALIDOMIDE)
    chance = comparison.chance(IBERDOMIDE, RESTRICTED_PFS, LENALIDOMIDE)
    return report_of(
        comparison,
        title="Iberdomide or lenalidomide after CAR-T cells?",
        subtitle="Two years from day 21, virtual late-line patients after ide-cel",
        sentences=(
            f"Iberdomide adds {over_none.text('.1f')} months of restricted mean PFS over 36 months to ide-cel, and "
            f"{over_other.text('+.1f')} months to what lenalidomide does; in {100 * chance:.0f} % of the posterior "
            "draws it is the better of the two.",
            "No trial has told what either does after CAR-T cells: the interval is that of the priors.",
        ),
        sections=[
            arms_section(
                comparison, "Progression-free survival", name="iberdomide", table="Maintenance",
                pfs="Maintenance after ide-cel (simulated)", gain="What maintenance would gain",
            )
        ],
        findings=findings(comparison),
    )  # fmt: skip


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
