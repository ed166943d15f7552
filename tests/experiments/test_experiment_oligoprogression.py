"""Radiotherapy for oligoprogression: regrowth as its measure, what cannot be gained, and the words."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import oligoprogression
from perdure.experiments.oligoprogression import (
    AT_ONCE,
    FIRST_HALF,
    LATER,
    OPTIONS,
    UNTREATED,
    USUAL,
    WATCH,
    WITH_HALF,
    Irradiation,
    at_progression,
    follow,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.experiment_report import run_experiment
from perdure.reports.local_treatment_report import gain_picture, order_picture
from perdure.reports.settings import Settings
from perdure.trials.compare import EVERYBODY
from perdure.trials.local_treatment import FAST, HORIZON, SLOW, months_free, months_until_failure, weights
from perdure.trials.treat import ArmResult

PATIENTS = 30


@pytest.fixture(scope="module")
def irradiation() -> Irradiation:
    return oligoprogression.run(sizes=Sizes(40, 2, 12, seed=4), shares=(0.1, 0.95))


@cache
def followed(words: str, share: float = 0.0) -> ArmResult:
    return follow(at_progression("", words, share), read_calibration().parameters(), PATIENTS, 4)


def test_no_field_is_no_treatment_whatever_the_dose() -> None:
    usual, other = followed(USUAL, 0.0), followed("radiotherapy 8 Gy day 0", 0.0)
    np.testing.assert_array_equal(usual.outcomes.progression(), other.outcomes.progression())


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_no_gain_is_longer_than_the_rest_takes_to_grow_to_what_was_killed(share: float) -> None:
    none, some = followed(USUAL, 0.0), followed(USUAL, share)
    first, later = none.outcomes.progression()[0], some.outcomes.progression()[0]
    seen = (weights(none)[0] > 0) & np.isfinite(first) & np.isfinite(later)
    patient = {name: values[seen] for name, values in none.patients.items()}
    # Richards 1959: the odds fall exponentially, at a rate that the growth at the usual burden sets
    power = patient["exponent_growth"]
    rate = patient["k_growth_tumour"] / (1.0 - (patient["tumour_reference"] / patient["tumour_capacity"]) ** power)

    def odds(tumour: np.ndarray) -> np.ndarray:
        return (tumour / patient["tumour_capacity"]) ** -power - 1.0

    before = none.outcomes.tumour_at_progression[0][seen]
    regrowth = np.log(odds((1.0 - share) * before) / odds(before)) / (power * rate)
    gained = later[seen] - first[seen]
    assert seen.sum() > 10
    assert np.all(gained <= regrowth + 28.0)  # dated at visits
    assert 0.5 < np.median(gained / regrowth) <= 1.1  # M-protein falls slowly, which hides part of the gain


def test_when_the_first_progression_comes_does_not_hang_on_what_follows() -> None:
    none, other = followed(USUAL, 0.0), followed("talquetamab", 0.0)
    np.testing.assert_array_equal(none.since, other.since)


def test_time_until_the_last_line_fails_is_the_sum_of_both_lines() -> None:
    before, last = followed(USUAL, 0.5), followed(USUAL + LATER, 0.5)
    total, weight = 0.0, 0.0
    for i in range(PATIENTS):
        if not before.since[i] <= HORIZON * DAYS_PER_MONTH:  # NaN: never progressed
            continue
        came = bool(np.isfinite(last.since[i]))
        for branch in (0, 1):
            if came:
                months = (last.since[i] - before.since[i]) / DAYS_PER_MONTH + months_free(last)[branch, i]
                own = weights(last)[branch, i]
            else:
                months, own = months_free(before)[branch, i], weights(before)[branch, i]
            total, weight = total + own * min(months, HORIZON), weight + own
    assert months_until_failure(before, last) == pytest.approx(total / weight)


def test_a_larger_field_gains_more_and_so_does_slower_disease(irradiation: Irradiation) -> None:
    gains = [irradiation.gain(share).value for share in irradiation.shares]
    assert gains == sorted(gains)
    assert gains[0] >= 0.0
    assert irradiation.gain(0.95, SLOW).value > irradiation.gain(0.95, FAST).value
    assert irradiation.needed(SLOW).value < irradiation.needed(EVERYBODY).value < irradiation.needed(FAST).value


def test_the_field_that_is_needed_gains_what_was_asked_for(irradiation: Irradiation) -> None:
    for worth in (0.5, 1.0, 2.0):
        share = irradiation.needed(worth=worth).value
        gains = [0.0, *(irradiation.gain(each).value for each in irradiation.shares)]
        assert np.interp(share, [0.0, *(100 * each for each in irradiation.shares)], gains) == pytest.approx(worth)
    assert irradiation.needed(worth=HORIZON + 1.0).value == np.inf


def test_waiting_is_told_apart_from_radiotherapy(irradiation: Irradiation) -> None:
    whole = irradiation.difference("failed", FIRST_HALF, AT_ONCE).value
    waiting = irradiation.difference("failed", WATCH, AT_ONCE).value
    own = irradiation.difference("failed", FIRST_HALF, WATCH).value
    assert whole == pytest.approx(waiting + own)
    assert waiting > 0.0
    assert irradiation.difference("failed", WITH_HALF, AT_ONCE).value >= 0.0
    assert irradiation.difference("failed", AT_ONCE, AT_ONCE).high == 0.0


def test_the_words_and_pictures_hold_what_was_computed(irradiation: Irradiation) -> None:
    said = " ".join(oligoprogression.sentences(irradiation))
    assert irradiation.gain(0.5).text(".1f") in said
    assert irradiation.needed(FAST).text(".0f") in said
    table = gain_picture(irradiation, (SLOW, EVERYBODY, FAST)).table
    drawn = dict(zip(zip(table["line"], table["x"], strict=True), table["value"], strict=True))
    assert drawn[EVERYBODY, 50.0] == irradiation.gain(0.5).value
    assert UNTREATED not in order_picture(irradiation, OPTIONS, "talquetamab").table["label"]


def test_the_run_is_written(irradiation: Irradiation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oligoprogression, "run", lambda *_: irradiation)
    settings = Settings(patients=40, draws=2, folder=tmp_path, say=lambda _: None)
    folder = run_experiment(settings, "oligoprogression", oligoprogression.report)
    written = (folder / "numbers.csv").read_text(encoding="utf-8")
    assert "share in the field that gains a month" in written
    assert WITH_HALF in written
