"""Plans of two lines: PFS2 from the futures of every patient, pairing, and what is refused."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.simulate import Solver
from perdure.parameters.errors import InputError
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.trials.arm import Arm
from perdure.trials.compare import EVERYBODY, Comparison, compare
from perdure.trials.measures import RESPONSE, restricted_mean
from perdure.trials.treat import ArmResult, treat

AGAIN = Arm("again", "ide-cel; at progression: lymphodepletion days 23-25; ide-cel again on day 28")
OTHER = Arm("another", "ide-cel; at progression: lymphodepletion days 23-25; equ-cel on day 28")
MEAN = restricted_mean(12.0)


def followed(arm: Arm, *, patients: int, months: float) -> ArmResult:
    """The last line of an arm with its first line, as `compare` follows it."""
    return treat(arm, patients=patients, months=months, solver=Solver(rtol=1e-4), with_first_line=True)


def alone(*, patients: int, months: float) -> ArmResult:
    return treat(
        Arm("alone", "ide-cel"), patients=patients, months=months, solver=Solver(rtol=1e-5), keep_courses=False
    )  # fmt: skip


@cache
def again() -> ArmResult:
    return followed(AGAIN, patients=60, months=36.0)


@cache
def comparison() -> Comparison:
    same = replace(AGAIN, name="again once more")
    half = {"first half": lambda result: np.arange(result.outcomes.n) < result.outcomes.n / 2}
    return compare(
        (AGAIN, same, OTHER), read_calibration(), line=0, measures=(RESPONSE, MEAN), groups=half,
        sizes=Sizes(patients=50, draws=2, patients_per_draw=30), months=12.0, with_first_line=True,
    )  # fmt: skip


def test_the_futures_of_every_patient_add_up_to_one_patient() -> None:
    day, weight = again().second_progression
    np.testing.assert_allclose(weight.sum(axis=0), 1.0, rtol=1e-12)
    assert (day > 0).all()
    never = ~np.isfinite(again().since)
    assert 0 < never.sum() < 60
    np.testing.assert_array_equal(weight[:2, never], 0.0)
    np.testing.assert_array_equal(day[2], again().first_line.death)


def test_second_progression_comes_after_the_cells_of_the_second_line_and_never_before_the_first() -> None:
    day, weight = again().second_progression
    came = np.isfinite(again().since)
    assert (day[:2, came] > again().since[came]).all()
    first = again().first_line.progression_free()
    second = again().time_to_second()
    for month in (3.0, 6.0, 12.0, 24.0):
        assert second.at(month) >= first.at(month)
    assert weight.sum() == pytest.approx(60.0)


def test_time_in_control_leaves_out_the_wait_for_the_cells() -> None:
    whole, control = again().time_to_second(), again().time_to_second(waiting=False)
    assert control.restricted_mean(36.0) < whole.restricted_mean(36.0)
    came = float(np.nansum(again().second_progression[1][:2])) / 60.0
    assert whole.restricted_mean(36.0) - control.restricted_mean(36.0) <= came * 28.0 / DAYS_PER_MONTH + 1e-9
    drug = Arm("drug", "ide-cel; at progression teclistamab")
    at_once = followed(drug, patients=20, months=12.0)
    same = at_once.time_to_second(waiting=False).survival
    np.testing.assert_array_equal(at_once.time_to_second().survival, same)


def test_without_a_second_event_only_deaths_of_the_first_line_end_it() -> None:
    never = replace(again(), since=np.full(60, np.nan))
    curve = never.time_to_second()
    until = 36.0 * DAYS_PER_MONTH
    alive = float(np.mean(again().first_line.death > until))
    assert curve.at(35.99) == pytest.approx(alive, abs=1e-9)


def test_the_first_line_is_that_of_a_trial_of_it_alagain() -> None:
    trial = alone(patients=60, months=36.0)
    assert again().first_line.overall_response_rate == pytest.approx(trial.outcomes.overall_response_rate, abs=0.02)
    mine, other = again().first_line.progression_free(), trial.outcomes.progression_free()
    assert mine.restricted_mean(24.0) == pytest.approx(other.restricted_mean(24.0), abs=0.1)


def test_only_some_patients_can_be_counted_in_every_line() -> None:
    keep = np.arange(60) < 20
    some = again().among(keep)
    weight = some.second_progression[1]
    np.testing.assert_allclose(weight.sum(axis=0), keep.astype(float), atol=1e-12)


def test_the_same_plan_gains_nothing_and_groups_are_people() -> None:
    assert (comparison().draws_of("again once more", MEAN, "again") == 0.0).all()
    assert comparison().gain("another", MEAN).value != 0.0
    half = comparison().share("first half").value
    assert 0.0 < half < comparison().share(EVERYBODY).value
    assert "fit misses" in comparison().provenance[0].reason  # what was reported of the same product again


def test_a_plan_of_one_line_is_refused() -> None:
    with pytest.raises(InputError, match="its plan has one line"):
        compare((Arm("alone", "ide-cel"),), read_calibration(), line=0, measures=(RESPONSE,))
    with pytest.raises(InputError, match="each with a name of its own"):
        compare((AGAIN, AGAIN), read_calibration(), line=0, measures=(RESPONSE,))


def test_a_first_line_that_was_not_asked_for_is_refused() -> None:
    later = treat(AGAIN, patients=10, months=6.0, solver=Solver(rtol=1e-4))
    with pytest.raises(InputError, match="line 2 was reported without the first one"):
        later.time_to_second()
