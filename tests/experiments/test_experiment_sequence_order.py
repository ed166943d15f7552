"""Which order of cells and antibody: what must hold of lines, waits and exhaustion."""

from functools import cache

import numpy as np
import pytest

from perdure.experiments import sequence_order
from perdure.experiments.sequence_order import (
    CONTROL,
    FIRST_MEAN,
    LAST_RESPONSE,
    SECOND,
    WAIT,
    Orders,
    Pair,
    exhaustion,
    gain,
    run,
    second_at,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.trials.compare_lines import followed

PAIR = Pair("ide-cel", "teclistamab", "late_line")
LONG = 84.0


@cache
def found() -> Orders:
    return run(pairs=(PAIR,), waits=(LONG,), patients=50, draws=2, patients_per_draw=24, months=24.0)


def test_both_orders_give_the_same_two_therapies() -> None:
    cells, antibody = PAIR.cells_first.plan, PAIR.antibody_first.plan
    assert cells.lines[0].therapies == ("ide_cel",)
    assert cells.lines[1].therapies == ("teclistamab",)
    assert antibody.lines[0].therapies == ("teclistamab",)
    assert set(antibody.lines[1].therapies) == {"ide_cel", "lymphodepletion"}
    assert antibody.lines[1].regimen.infusions == (WAIT,)
    assert PAIR.after(LONG).plan.lines[1].regimen.infusions == (LONG,)
    assert len({arm.name for arm in (PAIR.cells_first, PAIR.antibody_first, PAIR.after(LONG), PAIR.rested)}) == 4


def test_the_second_progression_comes_no_earlier_than_the_first_and_control_leaves_out_the_wait() -> None:
    arms = found().comparison
    for arm in arms.arms:
        control, whole = (arms.estimate(arm.name, one).value for one in (CONTROL, SECOND))
        assert control <= whole
        first = followed(arms.treated[[one.name for one in arms.arms].index(arm.name)]).first
        assert whole >= first.progression_free().restricted_mean(24.0)
    cells = PAIR.cells_first.name
    assert arms.estimate(cells, CONTROL).value == pytest.approx(arms.estimate(cells, SECOND).value)
    wait = (
        arms.estimate(PAIR.antibody_first.name, SECOND).value - arms.estimate(PAIR.antibody_first.name, CONTROL).value
    )
    assert 0.0 < wait <= WAIT / DAYS_PER_MONTH


def test_the_interval_before_the_cells_does_not_change_the_first_line() -> None:
    arms = found().comparison
    one, other = (arms.estimate(PAIR.after(wait).name, FIRST_MEAN).value for wait in (WAIT, LONG))
    assert one == pytest.approx(other, rel=1e-3)


def test_without_exhaustion_the_cells_find_more_to_be_made_of() -> None:
    arms = found().comparison
    assert arms.gain(PAIR.rested.name, LAST_RESPONSE, PAIR.antibody_first.name).value > 0.0
    assert arms.gain(PAIR.rested.name, CONTROL, PAIR.antibody_first.name).value > 0.0


def test_exhaustion_is_a_share_that_fades_once_the_antibody_is_gone() -> None:
    days, share = exhaustion(PAIR, read_calibration().parameters(), 40)
    assert ((share >= 0.0) & (share <= 1.0)).all()
    assert (np.diff(share, axis=0) >= 0.0).all()
    assert share[1, -1] < share[1, 0]
    assert days[0] == 0.0
    values = read_calibration().parameters().with_values({"k_exhaustion_host": 0.001})
    assert exhaustion(PAIR, values, 40)[1][1, 0] < share[1, 0]


def test_the_gain_is_cells_first_less_antibody_first() -> None:
    arms = found().comparison
    value = arms.estimate(PAIR.cells_first.name, CONTROL).value - arms.estimate(PAIR.antibody_first.name, CONTROL).value
    assert gain(found(), PAIR).value == pytest.approx(value)
    shares = [arms.estimate(PAIR.cells_first.name, second_at(month)).value for month in (3.0, 12.0, 24.0)]
    assert shares == sorted(shares, reverse=True)
    text = " ".join(sequence_order.sentences(found()))
    assert gain(found(), PAIR).text("+.1f") in text


def test_findings_name_the_review_and_the_reported_lines() -> None:
    sources = {one.source for one in sequence_order.findings(found())}
    assert {"majestec_1_orr", "review, section 2.4.3"} <= sources
