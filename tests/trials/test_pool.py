"""A pool is every arm on the same virtual patients: what trials report of it is what the model says of them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.imwg import CR, PR
from perdure.model.simulate import Solver
from perdure.model.statistics.survival import kaplan_meier
from perdure.parameters.errors import InputError
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.trials.arm import Arm
from perdure.trials.conduct import conduct, infused_only
from perdure.trials.design import Design
from perdure.trials.eligibility import Criterion, Factor
from perdure.trials.pool import DAYS, Pool, make_pool
from perdure.trials.treat import treat

N, FEW, SEED, SOLVER = 60, 36, 11, Solver(rtol=1e-5)
BRIDGING = "proteasome inhibitor for 4 weeks"
CELLS = f"{BRIDGING}; lymphodepletion days 37-39; ide-cel on day 42"
LENALIDOMIDE = "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 90 for 12 months"
SALVAGES = (
    "ide-cel",
    "ide-cel; at progression talquetamab",
    "ide-cel; at progression lymphodepletion days 23-25; oricar-017 on day 28",
)


def design_of(given: Mapping[str, str], **changed: object) -> Design:
    arms = tuple(Arm(name, words, "late_line") for name, words in given.items())
    settings = {"time_zero": "infusion", "patients": 100, "accrual_months": 6.0, "follow_up_months": 18.0}
    return Design("Small", arms, endpoint="pfs", **{**settings, **changed})  # pyright: ignore[reportArgumentType]


def pool_of(design: Design, patients: int = N) -> Pool:
    return make_pool(design, read_calibration().parameters(), patients=patients, seed=SEED, solver=SOLVER)


@cache
def landmark() -> tuple[Design, Pool]:
    design = design_of(
        {"none": "ide-cel", "same": "ide-cel", "lenalidomide": LENALIDOMIDE}, time_zero="randomisation",
        randomised_on_day=90.0, eligible=(Criterion("response", at_least="PR"),),
        strata=(Factor("response", "CR"), Factor("tumour_baseline", 3e11)),
    )  # fmt: skip
    return design, pool_of(design)


@cache
def apheresis() -> tuple[Design, Pool]:
    design = design_of({"bridging": BRIDGING, "cells": CELLS}, time_zero="apheresis", not_infused=0.25)
    return design, pool_of(design)


@cache
def salvage() -> tuple[Design, Pool]:
    design = design_of(dict(zip("abc", SALVAGES, strict=True)))
    return design, pool_of(design, FEW)


# From infusion


def test_the_first_line_is_that_of_treat_on_the_same_patients() -> None:
    design, pool = salvage()
    parameters = read_calibration().parameters()
    alone = treat(
        "ide_cel", patients=FEW, seed=SEED, months=design.visits.months, parameters=parameters, solver=SOLVER
    ).outcomes  # fmt: skip
    np.testing.assert_array_equal(pool.course.progression[0], alone.progression())
    np.testing.assert_allclose(pool.weight, alone.weight)
    for level, name in ((PR, "PR"), (CR, "CR")):
        np.testing.assert_array_equal(np.isfinite(pool.course.reached[name][0]), alone.best >= level)
    np.testing.assert_array_equal(np.isfinite(pool.course.reached["mrd_1e-5"][0]), alone.mrd_negative("1e-5"))
    first = np.stack([response.first_response for response in alone.responses])
    responders = alone.best >= PR
    np.testing.assert_array_equal(pool.course.first_response[0][responders], first[responders])
    assert np.all(pool.course.reached["PR"][0][responders] > first[responders])


def test_many_trials_have_the_survival_of_the_pool() -> None:
    design, pool = salvage()
    found = conduct(design, pool, trials=60, patients=300, seed=1)
    course, weight = pool.course, np.stack([1 - pool.eradicated[0], pool.eradicated[0]]).ravel()
    end = 18.0 * DAYS_PER_MONTH
    for name, day in (
        ("pfs", np.minimum(course.progression, course.death)[0].ravel()), ("os", course.death[0].ravel()),
    ):  # fmt: skip
        truth = kaplan_meier(np.minimum(day, end), day <= end, weight)
        mine = found.arm == 0
        seen = kaplan_meier(found.time[name][mine], found.event[name][mine])
        for month in (3.0, 6.0, 12.0, 17.0):
            assert seen.at(month) == pytest.approx(truth.at(month * DAYS_PER_MONTH), abs=0.025)


# From randomisation


def test_those_randomised_are_alive_without_progression_and_have_responded() -> None:
    design, pool = landmark()
    in_trial = pool.weight > 0
    assert 0.3 < pool.eligible_share < 0.9
    assert np.all(np.minimum(pool.course.progression, pool.course.death)[0][in_trial] > 90.0)
    assert np.all(pool.course.reached["PR"][0][in_trial] <= 90.0)
    found = conduct(design, pool, trials=20, patients=100, seed=2)
    assert in_trial[:, found.row].any(axis=0).all()
    assert found.time["pfs"].min() >= 0.0
    days = found.time["pfs"][found.event["pfs"]] * DAYS_PER_MONTH
    assert days.min() > 0.0


def test_arms_that_are_the_same_have_the_same_courses() -> None:
    _, pool = landmark()
    for name in DAYS:
        np.testing.assert_array_equal(getattr(pool.course, name)[0], getattr(pool.course, name)[1])


def test_arms_agree_until_randomisation() -> None:
    _, pool = landmark()
    early = np.minimum(pool.course.progression[0, 0], pool.course.death[0, 0]) <= 60.0
    np.testing.assert_array_equal(pool.course.progression[0, 0][early], pool.course.progression[2, 0][early])


def test_strata_by_response_are_what_was_confirmed_by_then() -> None:
    _, pool = landmark()
    assert pool.strata[2] == "response CR or better, tumour_baseline to 3e+11"
    complete = pool.course.reached["CR"][0] <= 90.0
    np.testing.assert_array_equal((pool.stratum // 2 == 1)[pool.weight > 0], complete[pool.weight > 0])


def test_an_eligibility_that_nobody_fulfils_says_what_there_is() -> None:
    design = design_of({"a": "ide-cel", "b": "ide-cel"}, eligible=(Criterion("tumour_baseline", above=1e15),))
    with pytest.raises(InputError, match=r"none of 60 .* eligible with tumour_baseline above 1e\+15 \(it lies between"):
        pool_of(design)


# From apheresis


def test_the_share_that_is_not_infused_gets_what_comes_before_the_cells() -> None:
    design, pool = apheresis()
    everybody = pool_of(replace(design, not_infused=0.0))
    assert not pool.infused[0].any()
    failed = everybody.infused[1, 0] & ~pool.infused[1, 0]
    died_before = np.sum(~everybody.infused[1, 0])
    assert 0.25 * N - died_before <= failed.sum() <= 0.25 * N
    for name in ("progression", "death", "next_therapy"):
        bridging, cells = getattr(pool.course, name)[:, 0]
        np.testing.assert_array_equal(cells[failed], bridging[failed])
        infused = pool.infused[1, 0]
        np.testing.assert_array_equal(cells[infused], getattr(everybody.course, name)[1, 0][infused])


def test_intention_to_treat_counts_those_whom_infused_only_leaves_out() -> None:
    design, pool = apheresis()
    found = conduct(design, pool, trials=30, patients=200, seed=4)
    only, cells = infused_only(pool, found), found.arm == 1
    assert only.infused[cells].mean() == pytest.approx(pool.infused[1, 0].mean(), abs=0.03)
    assert not only.infused[~cells].any()
    treated = cells & only.infused
    assert only.holds["orr"][treated].mean() > found.holds["orr"][cells].mean()
    # overall survival of those infused is the same death, 42 days less on the clock
    np.testing.assert_allclose(
        only.time["os"][treated] + 42.0 / DAYS_PER_MONTH, found.time["os"][treated], atol=1e-9
    )  # fmt: skip
    assert np.all(pool.course.death[1][pool.infused[1]] >= 42.0)


# Later lines


def test_a_salvage_changes_survival_after_progression_and_nothing_before() -> None:
    _, pool = salvage()
    course = pool.course
    for arm, wait in ((1, 0.0), (2, 28.0)):
        np.testing.assert_array_equal(course.progression[arm], course.progression[0])
        other = course.death[arm] != course.death[0]
        assert other[0].mean() > 0.2
        assert not other[1].any()  # eradicated
        begun = course.progression[arm][other] + 28.0 + wait  # progression is confirmed a visit later
        assert np.all(course.death[arm][other] > begun)
        assert np.all(course.death[0][other] > begun)  # alive when the line began


def test_next_therapy_is_the_first_dose_of_the_next_line() -> None:
    _, pool = salvage()
    for arm, wait in ((0, 28.0), (1, 28.0), (2, 28.0 + 23.0)):
        progression = pool.course.progression[arm]
        np.testing.assert_array_equal(pool.course.next_therapy[arm], progression + wait)
