"""The window for PD-1 blockade: what it cannot do, what it cannot exceed, and the words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from perdure.experiments import exhaustion_window
from perdure.experiments.exhaustion_window import ALONE, TIRING, Window, name_of
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.trials.arm import Arm
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.treat import ArmResult, treat


@pytest.fixture(scope="module")
def window() -> Window:
    arms: tuple[Arm, ...] = (TIRING[0], TIRING[2])
    sizes = Sizes(patients=50, draws=2, patients_per_draw=25, seed=4)
    return exhaustion_window.run(sizes=sizes, starts=(0.0, 180.0), tiring=arms, months=24.0)


def test_blockade_that_does_nothing_changes_nothing_at_the_estimate(window: Window) -> None:
    # the effect is centred on none, up to the little that its estimate is off
    assert abs(window.starts.gain(name_of(0.0), RESTRICTED_PFS).value) < 0.2


def test_blockade_cannot_gain_more_than_cells_that_never_tire(window: Window) -> None:
    most = window.tiring.gain("cells that never tire", RESTRICTED_PFS).value
    assert 0.0 < window.starts.gain(name_of(0.0, True), RESTRICTED_PFS).value < most


def test_strong_blockade_gains_less_the_later_it_begins(window: Window) -> None:
    early, late = (window.starts.gain(name_of(day, True), RESTRICTED_PFS).value for day in (0.0, 180.0))
    assert early > late >= 0.0


def test_exhaustion_is_a_share_and_the_picture_shows_its_course(window: Window) -> None:
    share = window.course.course["exhausted_fraction"]
    assert np.nanmin(share) >= 0.0
    assert np.nanmax(share) <= 1.0
    assert "Exhausted share" in exhaustion_window.exhaustion_picture(window.course).alt


def test_the_words_hold_what_was_computed(window: Window) -> None:
    sentences = " ".join(exhaustion_window.sentences(window))
    assert window.tiring.gain("cells that never tire", RESTRICTED_PFS).text(".1f") in sentences
    assert ALONE not in sentences


def test_nivolumab_at_relapse_is_checked_from_both_sides(window: Window) -> None:
    few, some, _ = exhaustion_window.findings(window)
    assert few.met or some.met
    assert some.why_not


def test_blockade_at_relapse_rests_on_the_calibration_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = read_calibration()
    calibration = replace(shipped, estimate={**shipped.estimate, "k_kill_max": 0.5 * shipped.estimate["k_kill_max"]})
    used = {}

    def recorded(given: str, **how: Any) -> ArmResult:
        used[given] = how["parameters"].typical("ide_cel", "late_line")["k_kill_max"]
        return treat(given, **how)

    monkeypatch.setattr(exhaustion_window, "treat", recorded)
    exhaustion_window.run(
        calibration, Sizes(patients=20, draws=0, patients_per_draw=20), starts=(0.0,), tiring=TIRING[:1], months=12.0
    )
    expected = calibration.parameters().typical("ide_cel", "late_line")["k_kill_max"]
    assert used == {"ide-cel": expected, exhaustion_window.AT_RELAPSE: expected}
