"""Synthetic reports: each is drawn from the likelihood that will judge it, and is a report that could be printed."""

import math

import numpy as np
import pytest
from scipy.stats import kstest, norm

from perdure.fitting.calibration.likelihood import MEDIAN_FACTOR, match
from perdure.fitting.observations import Observation
from perdure.fitting.studies import read_studies
from perdure.fitting.validation.synthetic import draw_values, probability, synthesise, synthetic, with_value
from perdure.parameters.errors import FitError


def item(kind: str, name: str = "trial_item", **more: object) -> Observation:
    usual = {
        "median": ("pfs_median", "months"), "median_not_reached": ("pfs_median", "months"), "rate": ("pfs_rate", "%"),
        "proportion": ("orr", "%"), "value": ("orr", "%"), "direction": ("c_max", "-"),
        "split": ("expansion_split", "cells/mm3"), "ceiling": ("function_threshold", "molecules/cell"),
    }  # fmt: skip
    endpoint, unit = usual[kind]
    entry = {"id": name, "kind": kind, "endpoint": endpoint, "unit": unit, "role": "fit", **more}
    return Observation.model_validate(entry)


CI = "95% CI"
NOT_REACHED = item("median_not_reached", low=12.0, interval="followed so long", n=30)
EXACT = [
    item("median", value=10.0, n=40),
    item("median", value=10.0, n=40, low=7.0, high=14.5, interval=CI),
    item("rate", value=60.0, time_months=12.0, low=48.0, high=70.0, interval=CI),
]


# ------------------------------------------------------------------------------------------------ synthetic reports
@pytest.mark.parametrize("original", EXACT, ids=["median of n", "median with interval", "rate"])
def test_the_misfit_of_synthetic_reports_at_the_truth_is_standard_normal(original: Observation) -> None:
    rng = np.random.default_rng(1)
    misfits = []
    for _ in range(1500):
        report = synthetic(original, 9.0 if original.kind == "median" else 55.0, rng)
        assert report is not None
        misfits.append(match(report, 9.0 if original.kind == "median" else 55.0).misfit)
    # an interval of two widths makes the sides unequally likely, but never the squares larger
    assert np.mean(np.square(misfits)) == pytest.approx(1.0, abs=0.12)
    assert kstest(np.abs(misfits), lambda z: 2.0 * norm.cdf(z) - 1.0).pvalue > 0.001


def test_a_weighted_report_is_drawn_as_imprecisely_as_it_counts() -> None:
    original = item("median", value=10.0, n=40, weight=0.25)
    plain, wide = (
        np.log(draw_values(original, np.full(20000, 10.0), np.random.default_rng(2), tempered=tempered)).std()
        for tempered in (False, True)
    )
    assert plain == pytest.approx(MEDIAN_FACTOR / math.sqrt(40), rel=0.03)
    assert wide == pytest.approx(2.0 * plain, rel=0.03)
    counted = item("proportion", value=50.0, n=40, events=20, weight=0.25)
    shares = draw_values(counted, np.full(20000, 50.0), np.random.default_rng(2), tempered=True)
    assert shares.std() == pytest.approx(100.0 * math.sqrt(0.25 / 10), rel=0.03)


def test_counts_are_binomial_and_carry_their_events_and_interval() -> None:
    original = item("proportion", value=60.0, n=20, events=12, low=36.1, high=80.9, interval=CI)
    rng = np.random.default_rng(3)
    drawn = [synthetic(original, 70.0, rng) for _ in range(2000)]
    events = np.array([one.events for one in drawn if one is not None])
    assert events.mean() == pytest.approx(14.0, abs=0.2)
    assert events.var() == pytest.approx(20 * 0.7 * 0.3, rel=0.12)
    for one in drawn[:50]:
        assert one is not None
        assert one.value == pytest.approx(100.0 * (one.events or 0) / 20)
        assert (one.low or 0.0) <= (one.value or 0.0) <= (one.high or 0.0)
    # the score interval of 15 of 20 is 53.1 to 88.8 % (Newcombe 1998's formula, worked by hand)
    fifteen = with_value(original, 75.0)
    assert (fifteen.low, fifteen.high) == (pytest.approx(53.1, abs=0.05), pytest.approx(88.8, abs=0.05))


def test_an_interval_keeps_its_relative_width_when_its_value_moves() -> None:
    median = with_value(EXACT[1], 5.0)
    assert (median.low, median.value, median.high) == (pytest.approx(3.5), 5.0, pytest.approx(7.25))
    rate = with_value(EXACT[2], 40.0)
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low < 40.0 < rate.high
    for at in (30.0, 50.0):
        one, other = match(rate, at).misfit, match(EXACT[2].model_copy(update={"value": 40.0}), at).misfit
        assert one == pytest.approx(other)


def test_a_median_is_reached_as_often_as_its_likelihood_says_and_is_then_reported() -> None:
    rng = np.random.default_rng(4)
    drawn = [synthetic(NOT_REACHED, 13.0, rng) for _ in range(4000)]
    held = [one for one in drawn if one is not None and one.kind == "median_not_reached"]
    assert len(held) / 4000 == pytest.approx(float(probability(NOT_REACHED, np.array([13.0]))[0]), abs=0.03)
    reached = [one for one in drawn if one is not None and one.kind == "median"]
    assert len(held) + len(reached) == 4000
    assert max(one.value or 0.0 for one in reached) <= 12.0
    assert all(one.low is None and not one.interval for one in reached)


def test_a_direction_turns_and_a_split_that_is_not_found_is_left_out() -> None:
    direction = item("direction", sense="more", scenario="one")
    turned = synthetic(direction, 0.5, np.random.default_rng(5))
    assert turned is not None
    assert turned.sense == "less"
    split = item("split", "a_split", threshold=180.0, n=20)
    drawn = [synthesise([split, EXACT[0]], np.array([0.4, 10.0]), np.random.default_rng(s)) for s in range(400)]
    missed = [one for one in drawn if one.failed]
    assert 1.0 - len(missed) / 400 == pytest.approx(float(probability(split, np.array([0.4]))[0]), abs=0.08)
    assert missed[0].failed == ("a_split",)
    assert missed[0].items[0] == split
    assert synthetic(EXACT[0], math.nan, np.random.default_rng(6)) is None
    with pytest.raises(FitError, match="'a_split': kind = 'split' has no value"):
        draw_values(split, np.ones(3), np.random.default_rng(7))
    with pytest.raises(FitError, match="is a number"):
        probability(EXACT[0], np.ones(3))


def test_synthetic_reports_of_all_shipped_evidence_are_possible_reports() -> None:
    every = [one for study in read_studies() for one in study.items if one.role != "context"]
    models = np.array([one.value or 1.3 * (one.low or 1.0) for one in every])
    drawn = synthesise(every, models, np.random.default_rng(8))
    assert [one.id for one in drawn.items] == [one.id for one in every]
    for one in drawn.items:
        if one.value is not None:
            assert 0.0 <= one.value <= (100.0 if one.unit == "%" else math.inf)
            assert (one.low or 0.0) <= one.value <= (math.inf if one.high is None else one.high)
