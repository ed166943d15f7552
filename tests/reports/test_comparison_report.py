"""Reports of comparisons: what they share is told once, usual sections, axes along arms, courses with their spread."""

from dataclasses import replace

import numpy as np
import pytest

from perdure.fitting.posterior import Sizes
from perdure.parameters.errors import InputError
from perdure.reports.comparison_report import along_panel, arms_section, course_of, numbers_of, report_of
from perdure.reports.run_files import NumberRow
from perdure.trials.arm import Arm
from perdure.trials.compare import Comparison, compare
from perdure.trials.measures import MEDIAN_PFS, RESPONSE, RESTRICTED_PFS
from perdure.trials.treat import ArmResult, treat

ALONE = Arm("alone", "ide-cel")
SIZES = Sizes(patients=30, draws=2, patients_per_draw=15, seed=3)
MEASURES = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS)


def _faster(name: str, factor: float) -> Arm:
    return Arm(name, "ide-cel", change=lambda values: {"k_growth_tumour": factor * values["k_growth_tumour"]})


@pytest.fixture(scope="module")
def comparisons() -> tuple[Comparison, Comparison]:
    arms = ((ALONE, _faster("growth x 2", 2.0), _faster("growth x 4", 4.0)), (ALONE, _faster("growth x 0.5", 0.5)))
    first, second = (compare(some, measures=MEASURES, sizes=SIZES, months=24.0) for some in arms)
    return first, second


@pytest.fixture(scope="module")
def result() -> ArmResult:
    return treat(ALONE, patients=30, months=24.0, seed=3)


def test_what_comparisons_share_is_in_a_report_once(comparisons: tuple[Comparison, Comparison]) -> None:
    more = NumberRow("alone", "something else", 1.0)
    report = report_of(
        *comparisons, title="t", subtitle="s", sentences=["words"], sections=[], numbers=[more], notices=["limits"]
    )
    shared = [row for row in numbers_of(comparisons[0]) if row.arm == "alone"]
    assert len(shared) == len(MEASURES) + 1  # and the share of patients
    assert len(report.numbers) == sum(len(numbers_of(comparison)) for comparison in comparisons) - len(shared) + 1
    assert report.numbers[-1] == more
    assert len(set(report.notices)) == len(report.notices)
    assert report.notices[-1] == "limits"
    assert len(report.given) == 1  # every arm is given the same


def test_an_arm_that_differs_between_comparisons_is_not_silently_dropped(
    comparisons: tuple[Comparison, Comparison],
) -> None:
    other = replace(numbers_of(comparisons[0])[0], value=-1.0, low=-2.0, high=0.0)
    report = report_of(comparisons[0], title="t", subtitle="s", sentences=[], sections=[], numbers=[other])
    values = [row.value for row in report.numbers if (row.arm, row.measure) == (other.arm, other.measure)]
    assert len(values) == 2  # writing the numbers then fails


def test_the_usual_section_leaves_out_a_picture_without_a_title(comparisons: tuple[Comparison, Comparison]) -> None:
    both = arms_section(comparisons[0], "Arms", name="growth", table="Growth", pfs="Survival", gain="Gain")
    assert [picture.name for picture in both.pictures] == ["growth_pfs", "growth_gain"]
    gain = arms_section(comparisons[0], "Arms", name="growth", table="Growth", gain="Gain")
    assert [picture.name for picture in gain.pictures] == ["growth_gain"]
    assert [table.title for table in gain.tables] == ["Growth"]
    assert [row[0] for row in gain.tables[0].rows] == ["alone", "growth x 2", "growth x 4"]


def test_axes_along_arms_draw_their_measures_or_their_gains(comparisons: tuple[Comparison, Comparison]) -> None:
    names = ["alone", "growth x 2", "growth x 4"]
    lines = {"ide-cel": (comparisons[0], names)}
    panel = along_panel(lines, (1.0, 2.0, 4.0), "growth", RESTRICTED_PFS)
    estimates = [comparisons[0].estimate(name, RESTRICTED_PFS) for name in names]
    np.testing.assert_array_equal(panel.lines[0].value, [estimate.value for estimate in estimates])
    np.testing.assert_array_equal(panel.lines[0].low, [estimate.low for estimate in estimates])
    assert (panel.title, panel.zero) == ("Restricted mean PFS to month 36", False)
    gains = along_panel(lines, (1.0, 2.0, 4.0), "growth", RESTRICTED_PFS, against="alone", title="Gain")
    assert (gains.title, gains.y_label, gains.zero) == ("Gain", f"gain in {RESTRICTED_PFS.name} (months)", True)
    assert np.asarray(gains.lines[0].value)[0] == 0.0
    assert np.all(np.asarray(gains.lines[0].value)[1:] < 0.0)


def test_a_course_is_the_spread_between_patients_of_the_months_that_are_asked_for(result: ArmResult) -> None:
    band = course_of(result, "car_t", label="cells", months=6.0, least=0.01)
    at = 20
    values = np.maximum(result.course["car_t"][:, at], 0.01)
    spread = [np.asarray(row)[at] for row in (band.p5, band.p50, band.p95)]
    np.testing.assert_allclose(spread, np.percentile(values, [5, 50, 95]), rtol=1e-12)
    assert 170.0 < np.asarray(band.times_days)[-1] <= 6.0 * 30.4375
    assert np.min(np.asarray(band.p5)) == 0.01


def test_a_course_until_progression_ends_with_those_who_are_followed(result: ArmResult) -> None:
    outcomes, times = result.outcomes, result.course.times
    band = course_of(result, "tumour", label="tumour", progression_free=True)
    followed = (times[None, :] <= np.minimum(outcomes.progression()[0], outcomes.death)[:, None]).sum(axis=0)
    np.testing.assert_array_equal(band.times_days, times[followed >= 2])
    assert len(np.asarray(band.times_days)) <= len(times)


def test_a_course_needs_courses_that_were_kept(comparisons: tuple[Comparison, Comparison]) -> None:
    with pytest.raises(InputError, match="were not kept"):
        course_of(comparisons[0].results[0], "car_t", label="cells")
