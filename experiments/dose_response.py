"""How much does the dose of CAR-T cells matter for response, survival and toxicity?

The same virtual patients get one dose after the other. Cells expand in the patient, by more than a hundredfold, so that
a dose ten times as large is far from a peak ten times as high.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.model.regimens.regimen import infuse
from perdure.model.therapy import read_therapy
from perdure.reports.comparison_report import given_of, line_along, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.along import AlongPanel, along_picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Comparison, compare
from perdure.trials.measures import CRS, MEDIAN_PFS, PEAK, RESPONSE, RESTRICTED_PFS, SEVERE_CRS
from perdure.trials.projection import Progress
from perdure.trials.treat import SEED

TIME = "about twenty seconds"
PRODUCT = "ide_cel"
DOSES = (10e6, 50e6, 150e6, 300e6, 450e6, 800e6, 1600e6)
"""Cells; ide-cel was given at 50 to 800 million in its first trial (Lin 2023), and is given at 450 million."""
MEASURES = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS, PEAK, CRS, SEVERE_CRS)


def arm_of(cells: float) -> Arm:
    """One dose, in one infusion on day 0."""
    return Arm(f"{cells / 1e6:g} million", infuse(PRODUCT, cells))


def run(
    doses: Sequence[float] = DOSES,
    *,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 48.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Comparison:
    """Every dose on the same virtual patients; the usual dose comes first and is what gains are counted from."""
    usual = read_therapy(PRODUCT).default_dose
    arms = [arm_of(usual), *(arm_of(cells) for cells in doses if cells != usual)]
    return compare(
        arms, calibration or read_calibration(), measures=MEASURES, patients=patients, draws=draws,
        patients_per_draw=patients_per_draw, months=months, seed=seed, progress=progress,
    )  # fmt: skip


def in_order(found: Comparison) -> tuple[list[float], list[str]]:
    """Doses in millions of cells, rising, and the names of their arms."""
    doses = sorted(((arm.plan.first.total(PRODUCT), arm.name) for arm in found.arms), key=lambda one: one[0])
    return [dose / 1e6 for dose, _ in doses], [name for _, name in doses]


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    doses, names = in_order(found)
    usual = read_therapy(PRODUCT).default_dose / 1e6
    panels = [
        AlongPanel(
            measure.name[0].upper() + measure.name[1:], "dose (million cells)", f"{measure.name} ({measure.unit})",
            [line_along(found, "ide-cel", doses, names, measure)], log=True, marks=[(usual, "usual dose")],
        )
        for measure in (RESPONSE, MEDIAN_PFS, PEAK, CRS, SEVERE_CRS)
    ]  # fmt: skip
    panels.append(
        AlongPanel(
            "Gain over the usual dose", "dose (million cells)", f"{RESTRICTED_PFS.name} ({RESTRICTED_PFS.unit})",
            [line_along(found, "ide-cel", doses, names, RESTRICTED_PFS, against=found.arms[0].name)],
            log=True, marks=[(usual, "usual dose")], zero=True,
        )
    )  # fmt: skip
    return Answer(
        title="How much does the dose of CAR-T cells matter?",
        subtitle="Ide-cel in virtual late-line patients",
        sentences=sentences(found),
        sections=(
            Section(
                "Along the dose",
                _TEXT,
                [along_picture(panels, name="dose_response", title="Ide-cel by dose (simulated)")],
                [table_of(found, "Doses")],
            ),
        ),
        numbers=numbers_of(found),
        notices=notices_of(found),
        given=given_of(found),
        findings=findings(found),
    )


def sentences(found: Comparison) -> tuple[str, ...]:
    """The answer in words."""
    doses, names = in_order(found)
    usual = found.arms[0].name
    low = names[int(np.argmin(np.abs(np.log(np.array(doses) / 150.0))))]
    peaks = [found.estimate(name, PEAK).value for name in (names[0], names[-1])]
    return (
        f"From {names[0]} to {names[-1]} cells response rises from {found.estimate(names[0], RESPONSE).text('.0f')} to "
        f"{found.estimate(names[-1], RESPONSE).text('.0f')} %, and median PFS from "
        f"{found.estimate(names[0], MEDIAN_PFS).text('.1f')} to {found.estimate(names[-1], MEDIAN_PFS).text('.1f')} "
        "months.",
        f"{low} instead of {usual} cells changes restricted mean PFS over 36 months by "
        f"{found.gain(low, RESTRICTED_PFS).text('+.1f')} months.",
        f"A dose {doses[-1] / doses[0]:.0f} times as large gives a peak {peaks[1] / peaks[0]:.1f} times as high: the "
        "cells make up for a small dose by dividing.",
        f"Severe cytokine release (grade 3 or more) goes from {found.estimate(names[0], SEVERE_CRS).text('.1f')} to "
        f"{found.estimate(names[-1], SEVERE_CRS).text('.1f')} %: how steeply risk follows the peak is hardly known.",
    )


def findings(found: Comparison) -> tuple[Finding, ...]:
    """What the trials of ide-cel say of the dose."""
    low, high = (arm_of(cells).name for cells in (150e6, 450e6))
    gain = found.gain(low, RESPONSE, high)
    return (
        Finding(
            "response rises with the dose from 150 to 450 million cells",
            "50 % of 4, 69 % of 70 and 81 % of 54 patients at 150, 300 and 450 million (KarMMa)",
            "Anderson 2021, ASCO annual meeting (KarMMa, NCT03361748)",
            f"{found.estimate(low, RESPONSE).text('.0f')} and {found.estimate(high, RESPONSE).text('.0f')} %, "
            f"a difference of {gain.text('+.0f')} points",
            gain.high < 0.0,
        ),
    )


_TEXT = """Response saturates: once expansion fills the room that lymphodepletion has made, more cells at the start only
bring the peak forward. The shares of engrafting cells and the capacity decide where; both are limited by what the
evidence can say. Risks follow the peak by a model of their own (docs/model.md), and their interval is that of a new
trial."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "dose_response", answer)
