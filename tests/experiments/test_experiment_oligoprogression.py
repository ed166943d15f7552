"""Radiotherapy for oligoprogression: regrowth as its measure, what cannot be gained, and the words."""

from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import oligoprogression
from perdure.experiments.oligoprogression import (
    AT_ONCE,
    EVERYBODY,
    FAST,
    FIRST_HALF,
    HORIZON,
    LATER,
    SLOW,
    UNTREATED,
    USUAL,
    WATCH,
    WITH_HALF,
    Irradiated,
    People,
    months_free,
    months_until_failure,
    weights,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.parameters.patients import draw, make_patients
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.settings import Settings


@pytest.fixture(scope="module")
def found() -> Irradiated:
    return oligoprogression.run((0.1, 0.95), patients=40, draws=2, patients_per_draw=12, seed=4)


@pytest.fixture(scope="module")
def people() -> People:
    parameters = read_calibration().parameters()
    some = draw(parameters, 30, 4)
    return People(make_patients(parameters, some, product=("ide_cel",), population="late_line"), some)


def test_no_field_is_no_treatment_whatever_the_dose(people: People) -> None:
    one, other = people.follow(USUAL, 0.0), people.follow("radiotherapy 8 Gy day 0", 0.0)
    np.testing.assert_array_equal(one.outcomes.progression(), other.outcomes.progression())


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_no_gain_is_longer_than_the_rest_takes_to_grow_to_what_was_killed(people: People, share: float) -> None:
    none, some = people.follow(USUAL, 0.0), people.follow(USUAL, share)
    first, later = none.outcomes.progression()[0], some.outcomes.progression()[0]
    seen = (weights(none)[0] > 0) & np.isfinite(first) & np.isfinite(later)
    one = {name: values[seen] for name, values in people.values.items()}
    # Richards 1959: the odds fall exponentially, at a rate that the growth at the usual burden sets
    power = one["exponent_growth"]
    rate = one["k_growth_tumour"] / (1.0 - (one["tumour_reference"] / one["tumour_capacity"]) ** power)

    def odds(tumour: np.ndarray) -> np.ndarray:
        return (tumour / one["tumour_capacity"]) ** -power - 1.0

    before = none.outcomes.tumour_at_progression[0][seen]
    regrowth = np.log(odds((1.0 - share) * before) / odds(before)) / (power * rate)
    gained = later[seen] - first[seen]
    assert seen.sum() > 10
    assert np.all(gained <= regrowth + 28.0)  # dated at visits
    assert 0.5 < np.median(gained / regrowth) <= 1.1  # M-protein falls slowly, which hides part of the gain


def test_when_the_first_progression_comes_does_not_hang_on_what_follows(people: People) -> None:
    one, other = people.follow(USUAL, 0.0), people.follow("talquetamab", 0.0)
    np.testing.assert_array_equal(one.since, other.since)


def test_time_until_the_last_line_fails_is_the_sum_of_both_lines(people: People) -> None:
    before, last = people.follow(USUAL, 0.5), people.follow(USUAL + LATER, 0.5)
    total, weight = 0.0, 0.0
    for i in range(people.draws.n):
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


def test_a_larger_field_gains_more_and_so_does_slower_disease(found: Irradiated) -> None:
    gains = [found.gain(share).value for share in found.shares]
    assert gains == sorted(gains)
    assert gains[0] >= 0.0
    assert found.gain(0.95, SLOW).value > found.gain(0.95, FAST).value
    assert found.needed(SLOW).value < found.needed(EVERYBODY).value < found.needed(FAST).value


def test_the_field_that_is_needed_gains_what_was_asked_for(found: Irradiated) -> None:
    for worth in (0.5, 1.0, 2.0):
        share = found.needed(worth=worth).value
        gains = [0.0, *(found.gain(one).value for one in found.shares)]
        assert np.interp(share, [0.0, *(100 * one for one in found.shares)], gains) == pytest.approx(worth)
    assert found.needed(worth=HORIZON + 1.0).value == np.inf


def test_waiting_is_told_apart_from_radiotherapy(found: Irradiated) -> None:
    whole = found.difference("failed", FIRST_HALF, AT_ONCE).value
    waiting = found.difference("failed", WATCH, AT_ONCE).value
    own = found.difference("failed", FIRST_HALF, WATCH).value
    assert whole == pytest.approx(waiting + own)
    assert waiting > 0.0
    assert found.difference("failed", WITH_HALF, AT_ONCE).value >= 0.0
    assert found.difference("failed", AT_ONCE, AT_ONCE).high == 0.0


def test_the_words_and_pictures_hold_what_was_computed(found: Irradiated) -> None:
    said = " ".join(oligoprogression.sentences(found))
    assert found.gain(0.5).text(".1f") in said
    assert found.needed(FAST).text(".0f") in said
    table = oligoprogression.gain_picture(found).table
    drawn = dict(zip(zip(table["line"], table["x"], strict=True), table["value"], strict=True))
    assert drawn[EVERYBODY, 50.0] == found.gain(0.5).value
    assert UNTREATED not in oligoprogression.order_picture(found).table["label"]


def test_the_run_is_written(found: Irradiated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oligoprogression, "run", lambda **_: found)
    folder = oligoprogression.main(Settings(patients=40, draws=2, folder=tmp_path, say=lambda _: None))
    written = (folder / "numbers.csv").read_text(encoding="utf-8")
    assert "share in the field that gains a month" in written
    assert WITH_HALF in written
