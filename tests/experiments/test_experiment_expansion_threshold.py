"""Cohorts dichotomised at the peak: both groups together are everybody, and what cannot be dichotomised is refused."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from perdure.experiments import expansion_threshold
from perdure.experiments.expansion_threshold import THRESHOLD
from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.model.simulate import Solver
from perdure.parameters.errors import RangeError
from perdure.reports.figures.picture import picture_png
from perdure.trials.dichotomised import DichotomisedCohort
from perdure.trials.treat import treat

SOLVER = Solver(rtol=1e-5, workers=1)
PATIENTS = 200
# The numbers before any fit, so that what must hold does not hang on the latest calibration.
UNFITTED = Calibration("unfitted", estimate={}, draws=[{}, {}, {}], misfits={}, shrinkage={}, about={})


@cache
def cohorts() -> tuple[DichotomisedCohort, ...]:
    return expansion_threshold.run(UNFITTED, Sizes(PATIENTS, 3, 80), solver=SOLVER)


def test_the_threshold_is_the_one_that_was_reported() -> None:
    reported = [
        item.threshold for study in read_studies() for item in study.items if item.endpoint == "expansion_split"
    ]
    assert reported == [THRESHOLD]


def test_both_groups_together_are_the_whole_population() -> None:
    groups = cohorts()[0].value
    trial = treat("ide-cel", patients=PATIENTS, parameters=UNFITTED.parameters(), solver=SOLVER)
    whole = trial.pfs().restricted_mean(36.0)
    above, below = groups.above.restricted_mean(36.0), groups.below.restricted_mean(36.0)
    parts = groups.share_above * above + (1 - groups.share_above) * below
    assert parts == pytest.approx(whole, rel=1e-5)  # rows with a weight below a millionth are left out


def test_a_cohort_of_identical_patients_cannot_be_dichotomised() -> None:
    everything = {"all alike": UNFITTED.parameters().names}
    with pytest.raises(RangeError, match="everybody peaks on one side"):
        expansion_threshold.run(UNFITTED, Sizes(20, 0), cohorts=everything, solver=SOLVER)


def test_a_threshold_beyond_every_peak_is_refused() -> None:
    with pytest.raises(RangeError, match=r"threshold = 1e\+09 cells/uL: everybody peaks on one side"):
        expansion_threshold.run(UNFITTED, Sizes(20, 0), threshold=1e9, solver=SOLVER)


def test_making_patients_alike_changes_who_peaks_high_and_nothing_else_is_drawn_anew() -> None:
    named = {cohort.name: cohort for cohort in cohorts()}
    assert set(named) <= set(expansion_threshold.COHORTS)
    (again,) = expansion_threshold.run(
        UNFITTED, Sizes(PATIENTS, 0, 80), cohorts={"as calibrated": ()}, solver=SOLVER
    )  # fmt: skip
    assert again.value.gain_months == named["as calibrated"].value.gain_months
    assert again.value.ratio == named["as calibrated"].value.ratio


def test_draws_whose_peaks_all_lie_on_one_side_are_left_out_of_the_interval() -> None:
    whole = cohorts()[0]
    some = replace(whole, posterior=replace(whole.posterior, draws=whole.posterior.draws[:2]))
    assert len(whole.posterior.draws) == 3
    unknown = replace(whole, posterior=replace(whole.posterior, draws=(*some.posterior.draws, None)))
    assert unknown.gain_months == some.gain_months
    nobody = replace(whole, posterior=replace(whole.posterior, few=None))  # nothing to take off the draws
    ratio = nobody.numbers(lambda groups: groups.ratio)
    np.testing.assert_array_equal(ratio.centred, ratio.draws)


def test_the_report_draws_both_sides_of_every_panel_and_can_say_that_nothing_is_shown() -> None:
    picture = expansion_threshold.survival_by_peak(cohorts()[:2])
    assert picture_png(picture).startswith(b"\x89PNG")
    assert [finding.met for finding in expansion_threshold.findings(cohorts())] == [cohorts()[0].ratio.high < 1.0]
