"""Why does expansion above 180 CAR-T cells per mm3 go with longer progression-free survival?

Virtual ide-cel patients are parted by the peak of their CAR-T cells. The split is then made again among patients who
share what could drive both the peak and the outcome; what remains is the cells' own doing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import anchored, interval
from perdure.model.endpoints import Visits, outcomes
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.statistics.survival import SurvivalCurve, hazard_ratio, kaplan_meier
from perdure.parameters.errors import RangeError
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import draw, make_patients
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.curves import CurveToDraw, SurvivalPanel
from perdure.reports.figures.forest import effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.rows import EffectRowToDraw
from perdure.reports.figures.survival import survival_grid
from perdure.reports.report import Section, Table
from perdure.reports.run_files import estimate_row
from perdure.reports.settings import Settings
from perdure.trials.projection import BAND_MONTHS, MONTHS, RESTRICTED_MONTHS, Estimate
from perdure.trials.treat import SEED

TIME = "about ten seconds"
THRESHOLD = 180.0
"""Cells per mm3, which is per microlitre (Caillot 2024, `fitting/evidence/caillot_2024.toml`)."""
GROUP_SIZE = 50
"""Patients in each group of the study whose numbers at risk and sampling error are drawn."""
NOBODY = 1e-6
"""A branch of a patient's future with less weight holds nobody: it would only stretch the curves."""

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


@dataclass(frozen=True, eq=False)
class Parted:
    """One simulated cohort in two groups: progression-free survival above and below, and their hazard ratio."""

    share_above: float
    above: SurvivalCurve
    below: SurvivalCurve
    ratio: float
    gain_months: float


@dataclass(frozen=True, eq=False)
class Split:
    """A cohort parted by the peak: at the estimate, there with as few patients as a draw has, and at the draws.

    `gain_months` is the difference in restricted mean progression-free survival, above less below. It can be compared
    between cohorts; the hazard ratio cannot, as it moves away from one when patients are made more alike, even if the
    peak does the same for each of them.
    """

    cohort: str
    best: Parted
    few: Parted | None
    drawn: Sequence[Parted]

    def over(self, value: Callable[[Parted], float], low: float = 0.0, high: float = np.inf) -> Estimate:
        """A number at the estimate, with the central 95 % of the draws; it cannot lie outside [low, high]."""
        anchor = value(self.few) if self.few else np.nan
        draws = anchored(value(self.best), np.array([value(one) for one in self.drawn]), anchor, low, high)
        return Estimate(value(self.best), *interval(draws))

    def band(self, side: Callable[[Parted], SurvivalCurve]) -> np.ndarray:
        """Central 95 % of the draws of a curve: array (2, months), NaN without draws."""
        if not self.drawn:
            return np.full((2, BAND_MONTHS.size), np.nan)
        anchor = side(self.few).at(BAND_MONTHS) if self.few else np.nan
        draws = np.array([side(one).at(BAND_MONTHS) for one in self.drawn])
        return np.quantile(anchored(side(self.best).at(BAND_MONTHS), draws, anchor, 0.0, 1.0), (0.025, 0.975), axis=0)

    @cached_property
    def gain_months(self) -> Estimate:
        """Difference in restricted mean progression-free survival, in months."""
        return self.over(lambda parted: parted.gain_months, low=-np.inf)


def run(
    cohorts: Mapping[str, tuple[str, ...]] | None = None,
    *,
    product: str = "ide_cel",
    population: str = "late_line",
    threshold: float = THRESHOLD,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 150,
    months: float = MONTHS,
    seed: int = SEED,
    calibration: Calibration | None = None,
    solver: Solver | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Split, ...]:
    """Split cohorts by the peak of CAR-T cells in blood; `threshold` in cells per microlitre.

    A cohort whose peaks all lie on one side has no split and is left out; if that is so in every one: RangeError.
    """
    cohorts = COHORTS if cohorts is None else cohorts
    calibration = calibration or read_calibration()
    solver, visits = solver or Solver(rtol=1e-5), Visits(months=months)
    draws = min(draws, len(calibration.draws))

    def part(parameters: ParameterSet, name: str, n: int) -> Parted | None:
        return _part(parameters, product, population, cohorts[name], threshold, n, seed, visits, solver)

    best: dict[str, Parted] = {}
    drawn: dict[str, list[Parted]] = {name: [] for name in cohorts}
    for name in cohorts:
        if found := part(calibration.parameters(), name, patients):
            best[name] = found
    if not best:
        raise RangeError(f"threshold = {threshold:g} cells/uL: everybody peaks on one side; choose one in between.")
    few = {name: part(calibration.parameters(), name, patients_per_draw) for name in best}
    for k in range(draws):
        parameters = calibration.draw(k)
        for name in best:
            if found := part(parameters, name, patients_per_draw):
                drawn[name].append(found)
        if progress is not None:
            progress("posterior draws", k + 1, draws)
    return tuple(Split(name, best[name], few[name], drawn[name]) for name in best)


def _part(
    parameters: ParameterSet, product: str, population: str, same: Sequence[str], threshold: float, n: int, seed: int,
    visits: Visits, solver: Solver,
) -> Parted | None:  # fmt: skip
    """Simulate a cohort and part it; None if one of the groups is empty."""
    typical, people = parameters.typical(product, population), draw(parameters, n, seed)
    patients = dict(make_patients(parameters, people, product=product, population=population))
    for name in same:
        patients[name] = np.full(n, typical[name])
    solution = simulate(patients, infuse(product), times=visits.grid, solver=solver)
    found = outcomes(solution, patients, people, visits)
    kept = found.flat_weight > NOBODY
    weight = found.flat_weight[kept]
    above = np.tile(found.c_max > threshold, 2)[kept]  # both branches of a patient share the peak
    if above.all() or not above.any():
        return None
    day = np.minimum(found.progression(), found.death).ravel()[kept]
    time, event = np.minimum(day, visits.until) / DAYS_PER_MONTH, day <= visits.until
    share = float(weight[above].sum() / weight.sum())

    def curve(group: np.ndarray) -> SurvivalCurve:
        return kaplan_meier(time[group], event[group], weight[group], patients=GROUP_SIZE)

    high, low = curve(above), curve(~above)
    reach = min(RESTRICTED_MONTHS, visits.months)
    gain = high.restricted_mean(reach) - low.restricted_mean(reach)
    return Parted(share, high, low, hazard_ratio(time, event, above, weight), gain)


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    splits = run(calibration=calibration, **settings.sizes)
    same = [f"  {s.cohort}: {s.gain_months.text('+.1f')} months" for s in splits]
    return Answer(
        title="Expansion above 180 cells per mm3, and how long the response lasts",
        subtitle="The split of Caillot 2024 among virtual patients after ide-cel",
        sentences=(
            f"Restricted mean progression-free survival over {RESTRICTED_MONTHS:g} months, peak above {THRESHOLD:g} "
            "cells/uL less peak below, in virtual patients:",
            *same,
            f"Hazard ratio {splits[0].cohort}: {_ratio(splits[0])}.",
        ),
        sections=(
            Section("Progression-free survival by peak", _CURVE_TEXT, [_survival(splits[:2])]),
            Section(
                "When patients are made alike", _GAIN_TEXT, [_gain(splits)],
                [Table("Split", _HEAD, [_cells(split) for split in splits], _NOTE)],
            ),
        ),
        numbers=[estimate_row(s.cohort, "difference in restricted mean PFS", s.gain_months, "months") for s in splits],
        notices=_notices(splits),
        findings=findings(splits),
    )  # fmt: skip


def findings(splits: Sequence[Split]) -> tuple[Finding, ...]:
    """What was reported of the peak and progression-free survival."""
    return (
        Finding(
            f"patients with a peak above {THRESHOLD:g} cells per mm3 stay free of progression longer",
            "longer PFS above (Caillot 2024)", "caillot_2024", f"hazard ratio {_ratio(splits[0])}",
            splits[0].over(lambda parted: parted.ratio).high < 1.0,
        ),
    )  # fmt: skip


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "expansion_threshold", answer)


_HEAD = ("patients", "above, %", "median PFS above", "median PFS below", "difference, months", "hazard ratio")


def _cells(split: Split) -> tuple[str, ...]:
    shown = (
        split.over(lambda parted: 100.0 * parted.share_above, high=100.0).text(".0f"),
        split.over(lambda parted: parted.above.median()).text(".1f"),
        split.over(lambda parted: parted.below.median()).text(".1f"),
    )
    return split.cohort, *shown, split.gain_months.text(".1f"), _ratio(split)


def _ratio(split: Split) -> str:
    return split.over(lambda parted: parted.ratio).text(".2f")


def _notices(splits: Sequence[Split]) -> list[str]:
    fitted = "That the split exists was one of the fitted results; why it exists is what the model says."
    missing = [name for name in COHORTS if name not in {split.cohort for split in splits}]
    return [fitted, *(f"No split among patients with the {name}: all their peaks lie on one side." for name in missing)]


_CURVE_TEXT = """The peak is an outcome as well: it depends on the cells of the product, and on burden, suppression
and antigen, which also decide how long the response lasts. On the right all patients share growth rate and burden."""
_GAIN_TEXT = """If the difference were confounding by the disease alone, it would vanish among patients with the same
disease. What remains when growth, burden, suppression and antigen are the same is due to the cells. The last row is
the reverse: what is left among patients with the same cells is due to disease, marrow and host lymphocytes."""
_NOTE = f"""Value at the estimate (central 95 % of posterior draws). Difference: restricted mean over
{RESTRICTED_MONTHS:g} months, above less below. The hazard ratio is not to be compared between cohorts: it moves away
from one when patients are made more alike, even if the peak does the same for each of them."""


def _survival(splits: Sequence[Split]) -> Picture:
    panels = [SurvivalPanel(split.cohort.capitalize(), [_curve(split, True), _curve(split, False)]) for split in splits]
    return survival_grid(
        panels,
        name="pfs_by_peak",
        title=f"Ide-cel: progression-free survival by peak, parted at {THRESHOLD:g} CAR-T cells per mm3 (simulated)",
        horizon_months=float(MONTHS),
        risk_every_months=12,
        note="Late-line population; in brackets the share of patients with such a peak. The peak is known only after "
        "infusion, so the groups are not arms of a trial.",
        risk_title=f"At risk, of {GROUP_SIZE} in each group",
    )


def _curve(split: Split, above: bool) -> CurveToDraw:
    def side(parted: Parted) -> SurvivalCurve:
        return parted.above if above else parted.below

    curve, median = side(split.best), split.over(lambda parted: side(parted).median())
    share = split.best.share_above if above else 1.0 - split.best.share_above
    low, high = split.band(side)
    sample_low, sample_high = curve.interval_at(BAND_MONTHS)
    return CurveToDraw(
        label=f"{'above' if above else 'below'} {THRESHOLD:g} ({100 * share:.0f} %)",
        times=curve.times,
        survival=curve.survival,
        at_risk=curve.at_risk,
        censor_times=curve.censor_times,
        band_times=BAND_MONTHS,
        parameter_low=low,
        parameter_high=high,
        sample_low=sample_low,
        sample_high=sample_high,
        trial_size=GROUP_SIZE,
        median=median.value,
        median_interval=(median.low, median.high),
    )


def _gain(splits: Sequence[Split]) -> Picture:
    rows = [EffectRowToDraw(s.cohort, s.gain_months.value, s.gain_months.low, s.gain_months.high) for s in splits]
    return effect_picture(
        rows,
        name="gain_by_peak",
        title=f"Peak above {THRESHOLD:g} against below: what is left when patients are made alike",
        x_label=f"Difference in restricted mean PFS over {RESTRICTED_MONTHS:g} months (months)",
        sides=("shorter if above", "longer if above"),
        note="Each row: the same virtual patients, who share the typical value of what is named.",
    )
