"""A gamma-secretase inhibitor: what must hold of when and how long it is given."""

from functools import cache

import numpy as np
import pytest

from perdure.experiments import secretase_timing
from perdure.experiments.secretase_timing import ALONE, COURSES, Timing, inhibitor, run, when_low
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import SEED, Sizes
from perdure.model.endpoints import Outcomes
from perdure.model.simulate import Solver
from perdure.parameters.errors import InputError, RangeError
from perdure.reports.figures.tables import chance_picture
from perdure.reports.surface_report import chances
from perdure.trials.guided_treatment import GuidedArm, treat_by_rule
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.search import Axis
from perdure.trials.treat import treat


@cache
def timing() -> Timing:
    axes = (Axis("from day", "", (-7.0, 0.0, 90.0)), Axis("for", "weeks", (1.0, 12.0)))
    return run(sizes=Sizes(patients=60, draws=2, patients_per_draw=40), axes=axes, courses=COURSES[:2], months=24.0)


def guided_by(limit: float, patients: int, months: float) -> GuidedArm:
    rule, parameters = when_low(limit), read_calibration().parameters()
    return treat_by_rule(ALONE, rule, parameters, patients=patients, seed=SEED, months=months)


def days_of(day: float, weeks: float) -> np.ndarray:
    arm = inhibitor(day, weeks)
    return np.array([dose.day for dose in arm.plan.first.doses if dose.therapy == "crenigacestat"])


def test_three_tablets_a_week_are_given_from_the_first_day_until_the_last() -> None:
    np.testing.assert_array_equal(days_of(30.0, 2.0), [30.0, 32.0, 34.0, 37.0, 39.0, 41.0])
    assert days_of(-7.0, 1.0).max() < 0.0


def test_a_course_that_ends_before_the_cells_come_gains_next_to_nothing() -> None:
    surface = timing().surface
    gain = {point.at: point.gain.value for point in surface.points}
    assert abs(gain[(-7.0, 1.0)]) < 0.1
    assert gain[(0.0, 12.0)] > 0.5


def test_longer_is_not_worse_and_after_months_too_late() -> None:
    gains = timing().surface.table(lambda point: point.gain.value)
    assert (np.diff(gains, axis=1) >= 0.0).all()
    assert (gains[2] < gains[1]).all() or gains[2, 1] < gains[1, 1]


def test_the_chance_of_any_gain_falls_with_what_is_asked() -> None:
    surface = timing().surface
    none, month, most = (chances(surface, least) for least in (-36.1, 1.0, 36.1))
    assert (none == 100.0).all()
    assert (most == 0.0).all()
    assert ((month >= 0.0) & (month <= 100.0)).all()
    assert none.shape == (3, 2)


def test_a_guided_course_that_nobody_comes_to_is_no_course() -> None:
    never = guided_by(0.0, patients=40, months=12.0)
    alone = treat(ALONE, patients=40, months=12.0, solver=Solver(rtol=1e-5))
    assert np.isnan(never.day).all()
    assert np.isnan(never.median_day)
    np.testing.assert_array_equal(never.outcomes.progression(), alone.outcomes.progression())
    always = guided_by(1e9, patients=40, months=12.0)
    assert (always.day == 28.0).all()
    assert _lowest(always.outcomes) < _lowest(alone.outcomes)


def _lowest(outcomes: Outcomes) -> float:
    return float(np.log(np.maximum(outcomes.least_tumour[0], 1e-9)).mean())


def test_the_guided_gain_is_counted_from_the_same_patients_without_the_inhibitor() -> None:
    courses, guided = timing().courses, timing().guided
    arm = guided_by(secretase_timing.LOW_DENSITY, patients=60, months=24.0)
    alone = courses.estimate(ALONE.name, RESTRICTED_PFS).value
    assert guided.gain.value == pytest.approx(arm.outcomes.progression_free().restricted_mean(24.0) - alone)
    assert guided.treated.value == pytest.approx(100.0 * np.isfinite(arm.day).mean())
    assert guided.median_day == np.median(arm.day[np.isfinite(arm.day)])
    assert guided.gain.low <= guided.gain.high


def test_the_sentences_hold_the_numbers() -> None:
    text = " ".join(secretase_timing.sentences(timing()))
    best = max(timing().surface.points, key=lambda point: point.gain.value)
    assert f"{best.at[1]:g} weeks from day {best.at[0]:g}: {best.gain.text('+.1f')} months" in text
    assert timing().guided.gain.text("+.1f") in text
    for finding in secretase_timing.findings(timing()):
        assert finding.met or finding.why_not


def test_every_point_of_the_surface_is_drawn_and_written_with_its_chance() -> None:
    surface = timing().surface
    gain, chance = secretase_timing.surface_pictures(surface)
    assert gain.table["value"] == [point.gain.value for point in surface.points]
    assert chance.table["12"] == chances(surface, secretase_timing.WORTH)[:, 1].tolist()
    rows = {(row.arm, row.measure): row.value for row in secretase_timing.number_rows(timing())}
    gain = rows["surface: 12 weeks from day 0", "gain in restricted mean PFS to month 36"]
    assert gain == surface.points[3].gain.value
    assert rows["surface: 12 weeks from day 0", "draws that gain 1 month"] == chance.table["12"][1]


def test_a_chance_map_writes_every_percentage_and_refuses_what_is_no_chance() -> None:
    words = {"name": "some", "title": "Chance", "row_axis": "day", "column_axis": "weeks"}
    picture = chance_picture(np.array([[0.0, 40.0], [np.nan, 100.0]]), ["0", "30"], ["1", "3"], **words)
    drawn = {text.get_text() for axes in picture.figure.axes for text in axes.texts}
    assert {"0 %", "40 %", "100 %"} <= drawn
    assert picture.table["3"] == [40.0, 100.0]
    assert "0: 1 0 %, 3 40 %" in picture.alt
    with pytest.raises(RangeError, match="chances from 0 to 101"):
        chance_picture(np.array([[0.0, 101.0]]), ["0"], ["1", "3"], **words)
    with pytest.raises(InputError, match="1 x 1 names"):
        chance_picture(np.array([[0.0, 10.0]]), ["0"], ["1"], **words)
