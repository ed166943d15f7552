"""Antigen escape: what must hold of density, of null clones and of thought experiments on them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from perdure.experiments import antigen_escape
from perdure.experiments.antigen_escape import HELD, NEITHER, NO_NULL, REAL, Escape, arms_of, run
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.simulate import Solver
from perdure.trials.antigen_density import AFTER, BEFORE, null_relapses
from perdure.trials.measures import PFS_24, RESTRICTED_PFS
from perdure.trials.treat import treat


@cache
def escape() -> Escape:
    return run(sizes=Sizes(patients=80, draws=2, patients_per_draw=40), factors=(0.5, 2.0), months=24.5)


def test_the_antigen_is_lower_at_progression_than_before_and_stays_where_it_is_held() -> None:
    comparison = escape().comparison
    before = comparison.estimate(REAL, BEFORE).value
    assert comparison.estimate(REAL, AFTER).value < before
    assert comparison.estimate(HELD, AFTER).value > comparison.estimate(REAL, AFTER).value
    assert comparison.estimate(HELD, BEFORE).value == pytest.approx(before)


def test_more_antigen_holds_longer_at_every_draw() -> None:
    comparison = escape().comparison
    half, real, twice = (comparison.draws_of(name, RESTRICTED_PFS) for name in ("density x 0.5", REAL, "density x 2"))
    assert (half < real).all()
    assert (real < twice).all()
    factors = {name: comparison.estimate(name, BEFORE).value for name in ("density x 0.5", REAL, "density x 2")}
    assert factors["density x 0.5"] == pytest.approx(0.5 * factors[REAL])
    assert factors["density x 2"] == pytest.approx(2.0 * factors[REAL])


def test_without_null_clones_only_their_carriers_change() -> None:
    arms = {arm.name: arm for arm in arms_of()}
    solver = Solver(rtol=1e-5)
    real, none = (treat(arms[name], patients=80, months=12.0, solver=solver) for name in (REAL, NO_NULL))
    carrier = real.patients["fraction_null_bcma"] > 0
    assert 0 < carrier.sum() < 80
    np.testing.assert_array_equal(
        real.outcomes.progression()[:, ~carrier], none.outcomes.progression()[:, ~carrier]
    )  # fmt: skip
    assert (none.outcomes.least_tumour[0, carrier] < real.outcomes.least_tumour[0, carrier]).any()


def test_null_relapses_need_null_clones() -> None:
    result = escape().course
    assert 0.0 <= null_relapses(result) < 100.0
    names = list(result.course.names)
    courses = result.course.courses.copy()
    courses[:, :, names.index("null_fraction")] = 1.0
    everywhere = replace(result, solution=replace(result.course, courses=courses))
    assert null_relapses(everywhere) == pytest.approx(100.0)


def test_what_is_explained_is_the_share_of_events_that_do_not_happen() -> None:
    comparison = escape().comparison
    assert escape().explained(REAL).value == 0.0
    real, other = comparison.estimate(REAL, PFS_24).value, comparison.estimate(NEITHER, PFS_24).value
    assert escape().explained(NEITHER).value == pytest.approx(100.0 * (1.0 - (100.0 - other) / (100.0 - real)))
    assert escape().explained(NEITHER).value > 0.0
    assert escape().explained("density x 0.5").value < 0.0


def test_the_sentences_hold_the_numbers_and_the_findings_can_fail() -> None:
    text = " ".join(antigen_escape.sentences(escape()))
    assert escape().comparison.estimate(REAL, BEFORE).text(".0f") in text
    assert escape().explained(NEITHER).text(".0f") in text
    calibration = read_calibration()
    blind = replace(calibration, estimate={**calibration.estimate, "ide_cel.half_density_kill": 5.0})
    threshold = [antigen_escape.findings(escape(), numbers)[-1].met for numbers in (calibration, blind)]
    assert threshold == [True, False]
