"""Plausible patients, reported results as shares of them, and the headline numbers under two ways to make patients."""

import math
from functools import cache

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.calibration.predictions import EvidenceArm, run_arm
from perdure.fitting.observations import Observation, Study
from perdure.fitting.posterior import Sizes
from perdure.fitting.prevalence.plausible import (
    LEVELS,
    Cohort,
    course_limits,
    plausible_cohort,
    sample_widely,
    treat_widely,
    weighted,
)
from perdure.fitting.prevalence.weights import Share, targets_of, weigh_targets
from perdure.model.endpoints import Visits
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver
from perdure.model.statistics.survival import effective_size
from perdure.parameters.errors import InputError, RangeError
from perdure.parameters.patients import draw, make_patients
from perdure.reports import populations_report
from perdure.reports.figures.paired_intervals import MethodsRowSpec, methods_picture
from perdure.trials.prevalence_projection import (
    COMPLETE,
    EQUAL_START,
    FITTED_START,
    HEADLINES,
    METHODS,
    RESPONSE,
    SAMPLED,
    TwoPopulations,
    project_both,
)

SOLVER = Solver(rtol=1e-4, workers=1)
UNFITTED = Calibration("unfitted", estimate={}, draws=[{}, {}, {}], misfits={}, shrinkage={}, about={})
PARAMETERS = UNFITTED.parameters()
ARM = EvidenceArm("ide_cel", "late_line", ((1.0, infuse("ide_cel")),), Visits(28.0, 36.0))


# Plausible patients


@cache
def cohort() -> Cohort:
    return plausible_cohort(PARAMETERS, ARM, n=900, seed=11, solver=SOLVER)


def test_patients_who_are_not_widened_are_those_of_the_fit() -> None:
    fitted = make_patients(PARAMETERS, draw(PARAMETERS, 90, 7), product="ide_cel", population="late_line")
    same = sample_widely(PARAMETERS, "ide_cel", "late_line", n=90, seed=7, inflation=1.0)
    wide = sample_widely(PARAMETERS, "ide_cel", "late_line", n=90, seed=7)
    np.testing.assert_allclose(same.ratio, 1.0)
    for name, values in fitted.items():
        np.testing.assert_array_equal(same.values[name], values)
        np.testing.assert_array_equal(wide.values[name][::LEVELS], values[::LEVELS])
    assert np.any(wide.values["k_growth_tumour"] != fitted["k_growth_tumour"])


def test_importance_weights_turn_wide_patients_into_those_of_the_fit() -> None:
    people = sample_widely(PARAMETERS, "ide_cel", "late_line", n=12_000, seed=7, inflation=1.5)
    assert people.ratio.max() <= LEVELS
    assert people.ratio.mean() == pytest.approx(1.0, abs=0.05)
    weights = people.ratio / people.ratio.sum()
    logs = np.log(np.stack([people.values[name] for name in ("tumour_baseline", "suppression_baseline")]))
    centred = logs - (logs @ weights)[:, None]
    covariance = (centred * weights) @ centred.T
    spreads = PARAMETERS.spreads("late_line", "ide_cel")
    fitted = make_patients(PARAMETERS, draw(PARAMETERS, 12_000, 8), product="ide_cel", population="late_line")
    expected = np.cov(np.log(np.stack([fitted[name] for name in ("tumour_baseline", "suppression_baseline")])))
    np.testing.assert_allclose(covariance, expected, rtol=0.1)
    assert logs[1].std() > 1.1 * spreads["suppression_baseline"]


def test_a_spread_cannot_be_inflated_by_less_than_one() -> None:
    with pytest.raises(RangeError, match=r"inflation = 0\.5"):
        sample_widely(PARAMETERS, "ide_cel", "late_line", n=10, seed=1, inflation=0.5)


def test_a_plausible_patient_keeps_every_limit_and_others_are_counted() -> None:
    found = cohort()
    assert 0.3 < found.plausible.mean() < 1.0
    for name in found.patients.draws.widened:
        values = found.patients.values[name][found.plausible]
        assert values.min() > PARAMETERS[name].low
        assert values.max() < PARAMETERS[name].high
    burden, allowed = found.patients.values["tumour_baseline"], PARAMETERS["tumour_baseline"]
    outside = int(np.sum((burden <= allowed.low) | (burden >= allowed.high)))
    assert outside == {limit.of: count for limit, count in found.broken.items()}["tumour_baseline"]
    assert sum(found.broken.values()) >= np.sum(~found.plausible)
    assert (found.importance[~found.plausible] == 0).all()
    assert found.uniform.sum() == found.importance.sum() == pytest.approx(1.0)


def test_patients_who_are_not_widened_fare_as_in_the_arm_of_the_fit() -> None:
    same = sample_widely(PARAMETERS, "ide_cel", "late_line", n=40, seed=3, inflation=1.0)
    found, _ = treat_widely(same, ARM, SOLVER)
    fitted = run_arm(PARAMETERS, ARM, n=40, seed=3, solver=SOLVER)
    np.testing.assert_array_equal(found.best, fitted.best)
    np.testing.assert_array_equal(found.death, fitted.death)
    np.testing.assert_array_equal(found.c_max, fitted.c_max)


def test_a_reported_range_of_the_peak_is_a_limit_unless_it_was_only_remembered() -> None:
    looked_up = item("t_max", "median", 11.0, "day", low=7.0, high=30.0, interval="range", origin="public: a label")
    remembered = looked_up.model_copy(update={"origin": "memory: not verified"})
    one, other = (course_limits("ide_cel", [study(each)]) for each in (looked_up, remembered))
    (limit,) = [limit for limit in one if limit.of == "t_max"]
    assert (limit.low, limit.high) == pytest.approx((7.0 / 1.5, 45.0))
    assert not [limit for limit in other if limit.of == "t_max"]
    assert not [limit for limit in course_limits("cilta_cel", [study(looked_up)]) if limit.of == "t_max"]
    assert all(limit.note for limit in one)


# Shares


def item(endpoint: str, kind: str, value: float | None, unit: str, **more: object) -> Observation:
    given = {"id": f"some_{endpoint}", "n": 64, "role": "fit"} | more
    return Observation.model_validate({"endpoint": endpoint, "kind": kind, "value": value, "unit": unit} | given)


def study(*items: Observation) -> Study:
    return Study(
        name="some", study="Some", title="Some", time_zero="first infusion", product="ide_cel", population="late_line",
        visit_interval_days=28.0, items=items,
    )  # fmt: skip


def only_share(one: Observation) -> Share:
    (found,), left = targets_of([(study(one), one)], cohort().outcomes)
    assert left == ()
    return found


EQUAL = np.full(900, 1.0 / 900)


def test_shares_under_equal_weights_are_what_the_virtual_trial_reports() -> None:
    outcome = cohort().outcomes
    curve = outcome.progression_free("expected")
    for endpoint, value in (("orr", outcome.overall_response_rate), ("cr_rate", outcome.complete_response_rate)):
        assert only_share(item(endpoint, "proportion", 50.0, "%")).under(EQUAL) == pytest.approx(value)
    rate = only_share(item("pfs_rate", "rate", 50.0, "%", time_months=9.0))
    assert rate.under(EQUAL) == pytest.approx(float(curve.at(9.0)), abs=1e-9)


def test_at_the_median_of_the_model_half_of_the_patients_have_had_the_event() -> None:
    outcome = cohort().outcomes
    for endpoint, curve in (
        ("pfs_median", outcome.progression_free("expected")),
        ("dor_median", outcome.duration_of_response("expected")),
    ):
        share = only_share(item(endpoint, "median", curve.median(), "months"))
        assert share.under(EQUAL) == pytest.approx(0.5, abs=0.003)  # a step of a curve is one patient high
        assert share.error == pytest.approx(0.5 / 8.0)
    peak = only_share(item("t_max", "median", float(np.median(outcome.t_max)), "day"))
    assert peak.under(EQUAL) == pytest.approx(0.5, abs=0.003)


def test_weighted_outcomes_report_the_weighted_shares() -> None:
    weights = np.random.default_rng(6).random(900)
    share = only_share(item("orr", "proportion", 50.0, "%"))
    found = weighted(cohort().outcomes, weights)
    assert found.overall_response_rate == pytest.approx(share.under(weights))
    rate = only_share(item("pfs_rate", "rate", 50.0, "%", time_months=9.0))
    assert float(found.progression_free("expected").at(9.0)) == pytest.approx(rate.under(weights))


def test_an_item_of_a_quarter_of_the_weight_has_twice_the_error() -> None:
    whole, quarter = (only_share(item("orr", "proportion", 50.0, "%", weight=weight)) for weight in (1.0, 0.25))
    assert quarter.error == pytest.approx(2.0 * whole.error)
    assert whole.error == pytest.approx(0.5 / 8.0)
    all_of_them = only_share(item("orr", "proportion", 100.0, "%", events=64))
    assert 0.0 < all_of_them.error < 0.03


def test_a_result_that_is_no_share_is_left_out_with_its_reason() -> None:
    split = item("expansion_split", "split", None, "cells/mm3", threshold=180.0)
    late = item("pfs_rate", "rate", 20.0, "%", time_months=60.0)
    shares, left = targets_of([(study(split), split), (study(late), late)], cohort().outcomes)
    assert shares == ()
    assert [one.reason.split()[0] for one in left] == ["a", "it"]


def test_a_share_among_responders_is_met_among_the_weighted_responders() -> None:
    outcome = cohort().outcomes
    later = 1.3 * outcome.duration_of_response("expected").median()
    items = [item("orr", "proportion", 60.0, "%"), item("dor_median", "median", later, "months", n=400)]
    shares, _ = targets_of([(study(one), one) for one in items], outcome)
    found = weigh_targets(shares, cohort().uniform)
    assert shares[0].under(found.weights) == pytest.approx(0.6, abs=0.01)
    assert shares[1].under(found.weights) == pytest.approx(0.5, abs=0.01)
    assert found.effective < effective_size(found.base)


def test_weights_for_some_results_of_another_population_bring_the_others_nearer() -> None:
    faster = PARAMETERS.with_values({"k_growth_tumour": 1.6 * PARAMETERS["k_growth_tumour"].value})
    truth = run_arm(faster, ARM, n=900, seed=12, solver=SOLVER)
    curve = truth.progression_free("expected")
    orr = item("orr", "proportion", 100.0 * truth.overall_response_rate, "%", n=900)
    median = item("pfs_median", "median", curve.median(), "months", n=900)
    unasked = only_share(item("pfs_rate", "rate", 50.0, "%", time_months=18.0))
    shares, _ = targets_of([(study(one), one) for one in (orr, median)], cohort().outcomes)
    found = weigh_targets(shares, cohort().importance)
    before, after = (abs(unasked.under(w) - float(curve.at(18.0))) for w in (found.base, found.weights))
    assert found.unmet == ()
    assert after < 0.6 * before


# Both ways


@cache
def both() -> tuple[TwoPopulations, ...]:
    return project_both(UNFITTED, sizes=Sizes(60, 2, 30), plausible=240, repeats=4, months=36.0, solver=SOLVER)


def test_each_headline_of_each_product_is_shown_under_both_ways() -> None:
    assert [population.arm.plan.products for population in both()] == [("ide_cel",), ("cilta_cel",)]
    for population in both():
        for method in METHODS:
            numbers = [population.estimate(method, name) for name in HEADLINES]
            assert all(number.low <= number.high for number in numbers)
            assert not any(math.isnan(number.value) for number in numbers)
        for start in (FITTED_START, EQUAL_START):
            prevalence = population.weighed[start].prevalence
            assert 1.0 <= prevalence.effective <= population.cohort.plausible.sum()
            response = weighted(population.cohort.outcomes, prevalence.weights).overall_response_rate
            assert population.estimate(start, RESPONSE).value == pytest.approx(100.0 * response)
            assert population.estimate(start, RESPONSE).value >= population.estimate(start, COMPLETE).value


def test_weighted_headlines_meet_the_reported_ones_that_they_were_asked_to_meet() -> None:
    for population in both():
        for j, share in enumerate(population.shares):
            if share.item.endpoint != "orr":
                continue
            prevalence = population.weighed[FITTED_START].prevalence
            assert j in prevalence.unmet or abs(share.under(prevalence.weights) - share.reported) <= 2.0 * share.error


def test_the_comparison_says_in_words_how_many_patients_count_and_what_is_unmet() -> None:
    words = populations_report.reading(both())
    assert f"of {len(both()) * len(HEADLINES)} headline numbers" in words
    for population in both():
        assert f"{int(population.cohort.plausible.sum())} of 240 plausible" in words
        said = " ".join(populations_report.notices(both()))
        assert all(left.item.endpoint in said for left in population.left)


def test_the_picture_shows_every_headline_under_every_way() -> None:
    drawn = populations_report.picture(both())
    assert len(drawn.table["label"]) == len(both()) * len(HEADLINES)
    shown = dict(zip(zip(drawn.table["group"], drawn.table["label"], strict=True), drawn.table[SAMPLED], strict=True))
    first = both()[0]
    assert shown[first.name, "overall response"] == first.estimate(SAMPLED, RESPONSE).value


def test_a_row_needs_a_value_for_each_way() -> None:
    row = MethodsRowSpec("a", "b", "%", ((1.0, 0.0, 2.0),))
    with pytest.raises(InputError, match="has 1 values for 2 ways"):
        methods_picture([row], ("one", "other"), name="some", title="Some")
    with pytest.raises(RangeError, match="not a number"):
        MethodsRowSpec("a", "b", "%", ((math.nan, 0.0, 2.0),))
