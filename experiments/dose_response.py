"""How much does the dose of CAR-T cells matter for response, survival and toxicity?

The same virtual patients get one dose after the other. Cells expand in the patient, by more than a hundredfold, so that
a dose ten times as large is far from a peak ten times as high.
"""

from collections.abc import Sequence

import numpy as np

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import Sizes
from perdure.model.regimens.regimen import infuse
from perdure.model.therapy import read_therapy
from perdure.reports.comparison_report import along_panel, report_of, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.courses import along_picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.compare import Comparison, compare
from perdure.trials.measures import CRS, MEDIAN_PFS, PEAK, RESPONSE, RESTRICTED_PFS, SEVERE_CRS

TIME = "about twenty seconds"
SIZES = Sizes()
PRODUCT = "ide_cel"
DOSES = (10e6, 50e6, 150e6, 300e6, 450e6, 800e6, 1600e6)
"""Cells; ide-cel was given at 50 to 800 million in its first trial (Lin 2023), and is given at 450 million."""
DOSE = "dose (million cells)"
MEASURES = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS, PEAK, CRS, SEVERE_CRS)


def arm_of(cells: float) -> Arm:
    """One dose, in one infusion on day 0."""
    return Arm(f"{cells / 1e6:g} million", infuse(PRODUCT, cells))


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, doses: Sequence[float] = DOSES,
    months: float = 48.0,
) -> Comparison:  # fmt: skip
    """Every dose on the same virtual patients; the usual dose comes first and is what gains are counted from."""
    usual = read_therapy(PRODUCT).default_dose
    arms = [arm_of(usual), *(arm_of(cells) for cells in doses if cells != usual)]
    return compare(arms, calibration, measures=MEASURES, sizes=sizes, months=months)


def rising(comparison: Comparison) -> tuple[list[float], list[str]]:
    """Doses in millions of cells, rising, and the names of their arms."""
    doses = sorted((arm.plan.first.total(PRODUCT) / 1e6, arm.name) for arm in comparison.arms)
    return [dose for dose, _ in doses], [name for _, name in doses]


def findings(comparison: Comparison) -> tuple[Finding, ...]:
    """What the trials of ide-cel say of the dose."""
    low, high = (arm_of(cells).name for cells in (150e6, 450e6))
    gain = comparison.gain(low, RESPONSE, high)
    return (
        Finding(
            "response rises with the dose from 150 to 450 million cells",
            "50 % of 4, 69 % of 70 and 81 % of 54 patients at 150, 300 and 450 million (KarMMa)",
            "Anderson 2021, ASCO annual meeting (KarMMa, NCT03361748)",
            f"{comparison.estimate(low, RESPONSE).text('.0f')} and "
            f"{comparison.estimate(high, RESPONSE).text('.0f')} %, a difference of {gain.text('+.0f')} points",
            gain.high < 0.0,
        ),
    )


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Response, survival, peak and toxicity along the dose."""
    comparison = run(calibration, settings.sizes)
    doses, names = rising(comparison)
    usual = comparison.arms[0]
    lines, marks = {"ide-cel": (comparison, names)}, [(usual.plan.first.total(PRODUCT) / 1e6, "usual dose")]
    panels = [
        along_panel(lines, doses, DOSE, measure, log=True, marks=marks)
        for measure in (RESPONSE, MEDIAN_PFS, PEAK, CRS, SEVERE_CRS)
    ]
    gain = along_panel(
        lines, doses, DOSE, RESTRICTED_PFS, against=usual.name, title="Gain over the usual dose", log=True, marks=marks
    )
    picture = along_picture([*panels, gain], name="dose_response", title="Ide-cel by dose (simulated)")
    return report_of(
        comparison,
        title="How much does the dose of CAR-T cells matter?",
        subtitle="Ide-cel in virtual late-line patients",
        sentences=sentences(comparison),
        sections=[Section("Along the dose", _TEXT, [picture], [table_of(comparison, "Doses")])],
        findings=findings(comparison),
    )


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """The answer in words."""
    doses, names = rising(comparison)
    least, most, usual = names[0], names[-1], comparison.arms[0].name
    low = names[int(np.argmin(np.abs(np.log(np.array(doses) / 150.0))))]
    response, pfs, severe = (
        [comparison.estimate(name, measure).text(form) for name in (least, most)]
        for measure, form in ((RESPONSE, ".0f"), (MEDIAN_PFS, ".1f"), (SEVERE_CRS, ".1f"))
    )
    higher = comparison.estimate(most, PEAK).value / comparison.estimate(least, PEAK).value
    return (
        f"From {least} to {most} cells response rises from {response[0]} to {response[1]} %, and median PFS from "
        f"{pfs[0]} to {pfs[1]} months.",
        f"{low} instead of {usual} cells changes restricted mean PFS over 36 months by "
        f"{comparison.gain(low, RESTRICTED_PFS).text('+.1f')} months.",
        f"A dose {doses[-1] / doses[0]:.0f} times as large gives a peak {higher:.1f} times as high: the cells make up "
        "for a small dose by dividing.",
        f"Severe cytokine release (grade 3 or more) goes from {severe[0]} to {severe[1]} %: how steeply risk follows "
        "the peak is hardly known.",
    )


_TEXT = """Response saturates: once expansion fills the room that lymphodepletion has made, more cells at the start only
bring the peak forward. The shares of engrafting cells and the capacity decide where; both are limited by what the
evidence can say. Risks follow the peak by a model of their own (docs/model.md), and their interval is that of a new
trial."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
