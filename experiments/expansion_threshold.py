"""Why does expansion above 180 CAR-T cells per mm3 go with longer progression-free survival?

Virtual ide-cel patients are dichotomised at the peak of their CAR-T cells. The same is done among patients who share
what could drive both the peak and the outcome; what remains is the cells' own doing.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.simulate import Solver
from perdure.model.statistics.survival import SurvivalCurve
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.intervals import EffectRowSpec, effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.survival import CurveSpec, SurvivalPanel, survival_grid
from perdure.reports.report import Section, Table
from perdure.reports.run_files import estimate_row
from perdure.reports.settings import Settings
from perdure.trials.compare import BAND_MONTHS
from perdure.trials.dichotomised import GROUP_SIZE, Dichotomised, DichotomisedCohort, dichotomise_cohorts
from perdure.trials.measures import RESTRICTED_MONTHS
from perdure.trials.treat import FIRST_LINE_MONTHS

TIME = "about ten seconds"
PRODUCT, POPULATION = "ide_cel", "late_line"
THRESHOLD = 180.0
"""Cells per mm3, which is per microlitre (Caillot 2024, `fitting/evidence/caillot_2024.toml`)."""
DISEASE = ("k_growth_tumour", "tumour_baseline")
SURROUNDINGS = ("suppression_baseline", "density_bcma")
CELLS = (
    "fraction_engrafted", "k_expansion", "car_t_capacity", "k_exhaustion", "k_memory_formation", "k_death_memory",
)  # fmt: skip
COHORTS: Mapping[str, tuple[str, ...]] = {
    "as calibrated": (),
    "same growth and burden": DISEASE,
    "same growth, burden, suppression and antigen": (*DISEASE, *SURROUNDINGS),
    "same CAR-T cells": CELLS,
}
"""Cohorts by name, with the parameters that have their typical value in every patient instead of a spread."""
SIZES = Sizes(patients_per_draw=150)


def run(
    calibration: Calibration | None = None,
    sizes: Sizes = SIZES,
    *,
    cohorts: Mapping[str, tuple[str, ...]] | None = None,
    product: str = PRODUCT,
    population: str = POPULATION,
    threshold: float = THRESHOLD,
    months: float = FIRST_LINE_MONTHS,
    solver: Solver | None = None,
) -> tuple[DichotomisedCohort, ...]:
    """Dichotomise cohorts at the peak of CAR-T cells in blood; `threshold` in cells per microlitre.

    A cohort whose peaks all lie on one side is left out; if that is so in every one: RangeError.
    """
    return dichotomise_cohorts(
        COHORTS if cohorts is None else cohorts, calibration or read_calibration(), product=product,
        population=population, threshold=threshold, sizes=sizes, months=months, solver=solver,
    )  # fmt: skip


def findings(cohorts: Sequence[DichotomisedCohort]) -> tuple[Finding, ...]:
    """What was reported of the peak and progression-free survival."""
    return (
        Finding(
            f"patients with a peak above {THRESHOLD:g} cells per mm3 stay free of progression longer",
            "longer PFS above (Caillot 2024)", "caillot_2024", f"hazard ratio {cohorts[0].ratio.text('.2f')}",
            cohorts[0].ratio.high < 1.0,
        ),
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """The answer in words, pictures and a table."""
    cohorts = run(calibration, settings.sizes)
    gains = [f"  {cohort.name}: {cohort.gain_months.text('+.1f')} months" for cohort in cohorts]
    missing = [name for name in COHORTS if name not in {cohort.name for cohort in cohorts}]
    return ExperimentReport(
        title="Expansion above 180 cells per mm3, and how long the response lasts",
        subtitle="The split of Caillot 2024 among virtual patients after ide-cel",
        sentences=(
            f"Restricted mean progression-free survival over {RESTRICTED_MONTHS:g} months, peak above {THRESHOLD:g} "
            "cells/uL less peak below, in virtual patients:",
            *gains,
            f"Hazard ratio {cohorts[0].name}: {cohorts[0].ratio.text('.2f')}.",
        ),
        sections=(
            Section("Progression-free survival by peak", _CURVE_TEXT, [survival_by_peak(cohorts[:2])]),
            Section(
                "When patients are made alike", _GAIN_TEXT, [gain_by_peak(cohorts)],
                [Table("Split", _HEAD, [_cells(cohort) for cohort in cohorts], _NOTE)],
            ),
        ),
        numbers=[estimate_row(c.name, "difference in restricted mean PFS", c.gain_months, "months") for c in cohorts],
        notices=[_FITTED, *(_NO_SPLIT.format(name) for name in missing)],
        findings=findings(cohorts),
    )  # fmt: skip


_HEAD = ("patients", "above, %", "median PFS above", "median PFS below", "difference, months", "hazard ratio")


def _cells(cohort: DichotomisedCohort) -> tuple[str, ...]:
    return (
        cohort.name,
        cohort.estimate(lambda groups: 100.0 * groups.share_above, high=100.0).text(".0f"),
        cohort.estimate(lambda groups: groups.above.median()).text(".1f"),
        cohort.estimate(lambda groups: groups.below.median()).text(".1f"),
        cohort.gain_months.text(".1f"),
        cohort.ratio.text(".2f"),
    )


def survival_by_peak(cohorts: Sequence[DichotomisedCohort]) -> Picture:
    """Progression-free survival above and below the threshold, a panel for every cohort."""
    return survival_grid(
        [SurvivalPanel(c.name.capitalize(), [_curve(c, True), _curve(c, False)]) for c in cohorts],
        name="pfs_by_peak",
        title=f"Ide-cel: progression-free survival by peak, dichotomised at {THRESHOLD:g} CAR-T cells per mm3 "
        "(simulated)",
        horizon_months=FIRST_LINE_MONTHS,
        risk_every_months=12,
        note="Late-line population; in brackets the share of patients with such a peak. The peak is known only after "
        "infusion, so the groups are not arms of a trial.",
        risk_title=f"At risk, of {GROUP_SIZE} in each group",
    )  # fmt: skip


def _curve(cohort: DichotomisedCohort, above: bool) -> CurveSpec:
    def side(groups: Dichotomised) -> SurvivalCurve:
        return groups.above if above else groups.below

    curve, share = side(cohort.value), cohort.value.share_above if above else 1.0 - cohort.value.share_above
    median = cohort.estimate(lambda groups: side(groups).median())
    band = cohort.numbers(lambda groups: side(groups).at(BAND_MONTHS), 0.0, 1.0).centred
    low, high = np.quantile(band, (0.025, 0.975), axis=0) if len(band) else np.full((2, BAND_MONTHS.size), np.nan)
    sample_low, sample_high = curve.interval_at(BAND_MONTHS)
    return CurveSpec(
        label=f"{'above' if above else 'below'} {THRESHOLD:g} ({100 * share:.0f} %)", times=curve.times,
        survival=curve.survival, at_risk=curve.at_risk, censor_times=curve.censor_times, band_times=BAND_MONTHS,
        parameter_low=low, parameter_high=high, sample_low=sample_low, sample_high=sample_high, trial_size=GROUP_SIZE,
        median=median.value, median_interval=(median.low, median.high),
    )  # fmt: skip


def gain_by_peak(cohorts: Sequence[DichotomisedCohort]) -> Picture:
    """The difference in restricted mean of every cohort."""
    gains = [(cohort.name, cohort.gain_months) for cohort in cohorts]
    return effect_picture(
        [EffectRowSpec(name, gain.value, gain.low, gain.high) for name, gain in gains],
        name="gain_by_peak",
        title=f"Peak above {THRESHOLD:g} against below: what is left when patients are made alike",
        x_label=f"Difference in restricted mean PFS over {RESTRICTED_MONTHS:g} months (months)",
        sides=("shorter if above", "longer if above"),
        note="Each row: the same virtual patients, who share the typical value of what is named.",
    )


_FITTED = "That the split exists was one of the fitted results; why it exists is what the model says."
_NO_SPLIT = "No split among patients with the {}: all their peaks lie on one side."
_CURVE_TEXT = """The peak is an outcome as well: it depends on the cells of the product, and on burden, suppression
and antigen, which also decide how long the response lasts. On the right all patients share growth rate and burden."""
_GAIN_TEXT = """If the difference were confounding by the disease alone, it would vanish among patients with the same
disease. What remains when growth, burden, suppression and antigen are the same is due to the cells. The last row is
the reverse: what is left among patients with the same cells is due to disease, marrow and host lymphocytes."""
_NOTE = f"""Value at the estimate (central 95 % of posterior draws). Difference: restricted mean over
{RESTRICTED_MONTHS:g} months, above less below. The hazard ratio is not to be compared between cohorts: it moves away
from one when patients are made more alike, even if the peak does the same for each of them."""

if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
