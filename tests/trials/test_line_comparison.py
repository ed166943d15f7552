"""Plans of two lines: PFS2 from the futures of every patient, pairing, and what is refused."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.parameters.errors import InputError
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.trials.compare import Arm, Comparison, treat_arm
from perdure.trials.compare_lines import Followed, compare_lines, follow_arm, followed
from perdure.trials.measures import RESPONSE, restricted_mean

AGAIN = Arm("again", "ide-cel; at progression: lymphodepletion days 23-25; ide-cel again on day 28")
OTHER = Arm("another", "ide-cel; at progression: lymphodepletion days 23-25; equ-cel on day 28")
MEAN = restricted_mean(12.0)


@cache
def one() -> Followed:
    return follow_arm(AGAIN, read_calibration().parameters(), patients=60, months=36.0)


@cache
def found() -> Comparison:
    same = replace(AGAIN, name="again once more")
    half = {"first half": lambda one: np.arange(one.outcomes.n) < one.outcomes.n / 2}
    return compare_lines(
        (AGAIN, same, OTHER), read_calibration(), measures=(RESPONSE, MEAN), groups=half, patients=50, draws=2,
        patients_per_draw=30, months=12.0,
    )  # fmt: skip


def test_the_futures_of_every_patient_add_up_to_one_patient() -> None:
    day, weight = one().second_progression
    np.testing.assert_allclose(weight.sum(axis=0), 1.0, rtol=1e-12)
    assert (day > 0).all()
    never = ~np.isfinite(one().since)
    assert 0 < never.sum() < 60
    np.testing.assert_array_equal(weight[:2, never], 0.0)
    np.testing.assert_array_equal(day[2], one().first.death)


def test_second_progression_comes_after_the_cells_of_the_second_line_and_never_before_the_first() -> None:
    day, weight = one().second_progression
    came = np.isfinite(one().since)
    assert (day[:2, came] > one().since[came]).all()
    first = one().first.progression_free()
    second = one().time_to_second()
    for month in (3.0, 6.0, 12.0, 24.0):
        assert second.at(month) >= first.at(month)
    assert weight.sum() == pytest.approx(60.0)


def test_time_in_control_leaves_out_the_wait_for_the_cells() -> None:
    whole, control = one().time_to_second(), one().time_to_second(waiting=False)
    assert control.restricted_mean(36.0) < whole.restricted_mean(36.0)
    came = float(np.nansum(one().second_progression[1][:2])) / 60.0
    assert whole.restricted_mean(36.0) - control.restricted_mean(36.0) <= came * 28.0 / DAYS_PER_MONTH + 1e-9
    drug = Arm("drug", "ide-cel; at progression teclistamab")
    at_once = follow_arm(drug, read_calibration().parameters(), patients=20, months=12.0)
    same = at_once.time_to_second(waiting=False).survival
    np.testing.assert_array_equal(at_once.time_to_second().survival, same)


def test_without_a_second_event_only_deaths_of_the_first_line_end_it() -> None:
    never = replace(one(), since=np.full(60, np.nan))
    curve = never.time_to_second()
    until = 36.0 * DAYS_PER_MONTH
    alive = float(np.mean(one().first.death > until))
    assert curve.at(35.99) == pytest.approx(alive, abs=1e-9)


def test_the_first_line_is_that_of_a_trial_of_it_alone() -> None:
    alone = treat_arm(Arm("alone", "ide-cel"), read_calibration().parameters(), patients=60, months=36.0)
    assert one().first.overall_response_rate == pytest.approx(alone.outcomes.overall_response_rate, abs=0.02)
    mine, other = one().first.progression_free(), alone.outcomes.progression_free()
    assert mine.restricted_mean(24.0) == pytest.approx(other.restricted_mean(24.0), abs=0.1)


def test_only_some_patients_can_be_counted_in_every_line() -> None:
    keep = np.arange(60) < 20
    some = one().among(keep)
    weight = some.second_progression[1]
    np.testing.assert_allclose(weight.sum(axis=0), keep.astype(float), atol=1e-12)


def test_the_same_plan_gains_nothing_and_groups_are_people() -> None:
    assert (found().draws_of("again once more", MEAN, "again") == 0.0).all()
    assert found().gain("another", MEAN).value != 0.0
    half = found().estimate("again", found().measures[-1], "first half").value
    assert 0.0 < half < found().estimate("again", found().measures[-1]).value
    assert "fit misses" in found().footings[0].reason  # what was reported of the same product again


def test_a_plan_of_one_line_is_refused() -> None:
    with pytest.raises(InputError, match="its plan has one line"):
        compare_lines((Arm("alone", "ide-cel"),), read_calibration(), measures=(RESPONSE,), patients=20, draws=2)
    with pytest.raises(InputError, match="each with a name of its own"):
        compare_lines((AGAIN, AGAIN), read_calibration(), measures=(RESPONSE,))
    alone = treat_arm(Arm("alone", "ide-cel"), read_calibration().parameters(), patients=10, months=6.0)
    with pytest.raises(InputError, match="one line only"):
        followed(alone)
