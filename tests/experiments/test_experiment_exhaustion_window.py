"""The window for PD-1 blockade: what it cannot do, what it cannot exceed, and the words."""

import numpy as np
import pytest

from perdure.experiments import exhaustion_window
from perdure.experiments.exhaustion_window import ALONE, TIRING, Window, name_of
from perdure.trials.compare import Arm
from perdure.trials.measures import RESTRICTED_PFS


@pytest.fixture(scope="module")
def found() -> Window:
    arms: tuple[Arm, ...] = (TIRING[0], TIRING[2])
    return exhaustion_window.run(
        (0.0, 180.0), tiring=arms, patients=50, draws=2, patients_per_draw=25, months=24.0, seed=4
    )  # fmt: skip


def test_blockade_that_does_nothing_changes_nothing_at_the_estimate(found: Window) -> None:
    # the effect is centred on none, up to the little that its estimate is off
    assert abs(found.starts.gain(name_of(0.0), RESTRICTED_PFS).value) < 0.2


def test_blockade_cannot_gain_more_than_cells_that_never_tire(found: Window) -> None:
    most = found.tiring.gain("cells that never tire", RESTRICTED_PFS).value
    assert 0.0 < found.starts.gain(name_of(0.0, True), RESTRICTED_PFS).value < most


def test_strong_blockade_gains_less_the_later_it_begins(found: Window) -> None:
    early, late = (found.starts.gain(name_of(day, True), RESTRICTED_PFS).value for day in (0.0, 180.0))
    assert early > late >= 0.0


def test_exhaustion_is_a_share_and_the_picture_shows_its_course(found: Window) -> None:
    share = found.course.solution["exhausted_fraction"]
    assert np.nanmin(share) >= 0.0
    assert np.nanmax(share) <= 1.0
    assert "Exhausted share" in exhaustion_window.exhaustion_picture(found.course).alt


def test_the_words_hold_what_was_computed(found: Window) -> None:
    said = " ".join(exhaustion_window.sentences(found))
    assert found.tiring.gain("cells that never tire", RESTRICTED_PFS).text(".1f") in said
    assert ALONE not in said


def test_nivolumab_at_relapse_is_checked_from_both_sides(found: Window) -> None:
    few, some, _ = exhaustion_window.findings(found)
    assert few.met or some.met
    assert some.why_not
