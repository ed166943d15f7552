"""Antigen escape: what must hold of density, of null clones and of thought experiments on them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from perdure.experiments import antigen_escape
from perdure.experiments.antigen_escape import (
    AFTER,
    BEFORE,
    HELD,
    NEITHER,
    NO_NULL,
    REAL,
    Escape,
    arms_of,
    explained,
    null_relapses,
    run,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.trials.compare import treat_arm
from perdure.trials.measures import PFS_24, RESTRICTED_PFS


@cache
def found() -> Escape:
    return run(factors=(0.5, 2.0), patients=80, draws=2, patients_per_draw=40, months=24.5)


def test_the_antigen_is_lower_at_progression_than_before_and_stays_where_it_is_held() -> None:
    arms = found().comparison
    before = arms.estimate(REAL, BEFORE).value
    assert arms.estimate(REAL, AFTER).value < before
    assert arms.estimate(HELD, AFTER).value > arms.estimate(REAL, AFTER).value
    assert arms.estimate(HELD, BEFORE).value == pytest.approx(before)


def test_more_antigen_holds_longer_at_every_draw() -> None:
    arms = found().comparison
    half, real, twice = (arms.draws_of(name, RESTRICTED_PFS) for name in ("density x 0.5", REAL, "density x 2"))
    assert (half < real).all()
    assert (real < twice).all()
    factors = {name: arms.estimate(name, BEFORE).value for name in ("density x 0.5", REAL, "density x 2")}
    assert factors["density x 0.5"] == pytest.approx(0.5 * factors[REAL])
    assert factors["density x 2"] == pytest.approx(2.0 * factors[REAL])


def test_without_null_clones_only_their_carriers_change() -> None:
    arms = {arm.name: arm for arm in arms_of()}
    parameters = read_calibration().parameters()
    real, none = (treat_arm(arms[name], parameters, patients=80, months=12.0) for name in (REAL, NO_NULL))
    carrier = real.patients["fraction_null_bcma"] > 0
    assert 0 < carrier.sum() < 80
    np.testing.assert_array_equal(
        real.outcomes.progression()[:, ~carrier], none.outcomes.progression()[:, ~carrier]
    )  # fmt: skip
    assert (none.outcomes.least_tumour[0, carrier] < real.outcomes.least_tumour[0, carrier]).any()


def test_null_relapses_need_null_clones() -> None:
    trial = found().trial
    assert 0.0 <= null_relapses(trial) < 100.0
    names = list(trial.solution.names)
    courses = trial.solution.courses.copy()
    courses[:, :, names.index("null_fraction")] = 1.0
    everywhere = replace(trial, solution=replace(trial.solution, courses=courses))
    assert null_relapses(everywhere) == pytest.approx(100.0)


def test_what_is_explained_is_the_share_of_events_that_do_not_happen() -> None:
    arms = found().comparison
    assert explained(arms, REAL).value == 0.0
    real, other = arms.estimate(REAL, PFS_24).value, arms.estimate(NEITHER, PFS_24).value
    assert explained(arms, NEITHER).value == pytest.approx(100.0 * (1.0 - (100.0 - other) / (100.0 - real)))
    assert explained(arms, NEITHER).value > 0.0
    assert explained(arms, "density x 0.5").value < 0.0


def test_the_sentences_hold_the_numbers_and_the_findings_can_fail() -> None:
    one = found()
    text = " ".join(antigen_escape.sentences(one))
    assert one.comparison.estimate(REAL, BEFORE).text(".0f") in text
    assert explained(one.comparison, NEITHER).text(".0f") in text
    calibration = read_calibration()
    blind = replace(calibration, estimate={**calibration.estimate, "ide_cel.half_density_kill": 5.0})
    threshold = [antigen_escape.findings(one.comparison, each)[-1].met for each in (calibration, blind)]
    assert threshold == [True, False]
