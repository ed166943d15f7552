"""A gamma-secretase inhibitor: what must hold of when and how long it is given."""

from functools import cache

import numpy as np
import pytest

from perdure.experiments import secretase_timing
from perdure.experiments.secretase_timing import ALONE, COURSES, Timing, chance, inhibitor, run, treat_when_low
from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.endpoints import Outcomes
from perdure.parameters.errors import InputError, RangeError
from perdure.reports.figures.chance_map import chance_picture
from perdure.trials.compare import treat_arm
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.search import Axis


@cache
def found() -> Timing:
    axes = (Axis("from day", "", (-7.0, 0.0, 90.0)), Axis("for", "weeks", (1.0, 12.0)))
    return run(axes=axes, courses=COURSES[:2], patients=60, draws=2, patients_per_draw=40, months=24.0)


def days_of(day: float, weeks: float) -> np.ndarray:
    arm = inhibitor(day, weeks)
    return np.array([dose.day for dose in arm.plan.first.doses if dose.therapy == "crenigacestat"])


def test_three_tablets_a_week_are_given_from_the_first_day_until_the_last() -> None:
    np.testing.assert_array_equal(days_of(30.0, 2.0), [30.0, 32.0, 34.0, 37.0, 39.0, 41.0])
    assert days_of(-7.0, 1.0).max() < 0.0


def test_a_course_that_ends_before_the_cells_come_gains_next_to_nothing() -> None:
    surface = found().surface
    gain = {point.at: point.gain.value for point in surface.points}
    assert abs(gain[(-7.0, 1.0)]) < 0.1
    assert gain[(0.0, 12.0)] > 0.5


def test_longer_is_not_worse_and_after_months_too_late() -> None:
    found_gains = found().surface.table(lambda point: point.gain.value)
    assert (np.diff(found_gains, axis=1) >= 0.0).all()
    assert (found_gains[2] < found_gains[1]).all() or found_gains[2, 1] < found_gains[1, 1]


def test_the_chance_of_any_gain_falls_with_what_is_asked() -> None:
    surface = found().surface
    none, month, most = (chance(surface, least) for least in (-36.1, 1.0, 36.1))
    assert (none == 100.0).all()
    assert (most == 0.0).all()
    assert ((month >= 0.0) & (month <= 100.0)).all()
    assert none.shape == (3, 2)


def test_a_guided_course_that_nobody_comes_to_is_no_course() -> None:
    parameters = read_calibration().parameters()
    never, day = treat_when_low(parameters, patients=40, months=12.0, limit=0.0)
    alone = treat_arm(ALONE, parameters, patients=40, months=12.0)
    assert np.isnan(day).all()
    np.testing.assert_array_equal(never.progression(), alone.outcomes.progression())
    always, day = treat_when_low(parameters, patients=40, months=12.0, limit=1e9)
    assert (day == 28.0).all()
    assert _lowest(always) < _lowest(alone.outcomes)


def _lowest(outcomes: Outcomes) -> float:
    return float(np.log(np.maximum(outcomes.least_tumour[0], 1e-9)).mean())


def test_the_guided_gain_is_counted_from_the_same_patients_without_the_inhibitor() -> None:
    one = found()
    parameters = read_calibration().parameters()
    treated, day = treat_when_low(parameters, patients=60, months=24.0)
    alone = one.courses.estimate(ALONE.name, RESTRICTED_PFS).value
    assert one.guided.gain.value == pytest.approx(treated.progression_free().restricted_mean(24.0) - alone)
    assert one.guided.treated.value == pytest.approx(100.0 * np.isfinite(day).mean())
    assert one.guided.gain.low <= one.guided.gain.high


def test_the_sentences_hold_the_numbers() -> None:
    one = found()
    text = " ".join(secretase_timing.sentences(one))
    best = max(one.surface.points, key=lambda point: point.gain.value)
    assert f"{best.at[1]:g} weeks from day {best.at[0]:g}: {best.gain.text('+.1f')} months" in text
    assert one.guided.gain.text("+.1f") in text
    for finding in secretase_timing.findings(one):
        assert finding.met or finding.why_not


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
