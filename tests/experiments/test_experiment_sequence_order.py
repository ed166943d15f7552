"""Which order of cells and antibody: what must hold of lines, waits and exhaustion."""

from functools import cache

import numpy as np
import pytest

from perdure.experiments import sequence_order
from perdure.experiments.sequence_order import run
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.trials.host_exhaustion import HALF_YEAR, host_exhaustion
from perdure.trials.sequences import USUAL_WAIT, Orders, Pair
from perdure.trials.two_lines import CONTROL, FIRST_MEAN, LAST_RESPONSE, SECOND, pfs2_at

PAIR = Pair("ide-cel", "teclistamab", "late_line")
LONG = 84.0


@cache
def orders() -> Orders:
    return run(sizes=Sizes(50, 2, 24), pairs=(PAIR,), waits=(LONG,), months=24.0)


def test_both_orders_give_the_same_two_therapies() -> None:
    cells, antibody = PAIR.cells_first.plan, PAIR.antibody_first.plan
    assert cells.lines[0].therapies == ("ide_cel",)
    assert cells.lines[1].therapies == ("teclistamab",)
    assert antibody.lines[0].therapies == ("teclistamab",)
    assert set(antibody.lines[1].therapies) == {"ide_cel", "lymphodepletion"}
    assert antibody.lines[1].regimen.infusions == (USUAL_WAIT,)
    assert PAIR.after(LONG).plan.lines[1].regimen.infusions == (LONG,)
    assert len({arm.name for arm in (PAIR.cells_first, PAIR.antibody_first, PAIR.after(LONG), PAIR.rested)}) == 4


def test_the_second_progression_comes_no_earlier_than_the_first_and_control_leaves_out_the_wait() -> None:
    comparison = orders().comparison
    for arm in comparison.arms:
        control, whole = (comparison.estimate(arm.name, measure).value for measure in (CONTROL, SECOND))
        assert control <= whole
        first = comparison.result(arm.name).first_line
        assert whole >= first.progression_free().restricted_mean(24.0)
    cells = PAIR.cells_first.name
    assert comparison.estimate(cells, CONTROL).value == pytest.approx(comparison.estimate(cells, SECOND).value)
    antibody = PAIR.antibody_first.name
    wait = comparison.estimate(antibody, SECOND).value - comparison.estimate(antibody, CONTROL).value
    assert 0.0 < wait <= USUAL_WAIT / DAYS_PER_MONTH


def test_the_interval_before_the_cells_does_not_change_the_first_line() -> None:
    comparison = orders().comparison
    usual, longer = (comparison.estimate(PAIR.after(wait).name, FIRST_MEAN).value for wait in (USUAL_WAIT, LONG))
    assert usual == pytest.approx(longer, rel=1e-3)


def test_without_exhaustion_the_cells_find_more_to_be_made_of() -> None:
    comparison = orders().comparison
    assert comparison.gain(PAIR.rested.name, LAST_RESPONSE, PAIR.antibody_first.name).value > 0.0
    assert comparison.gain(PAIR.rested.name, CONTROL, PAIR.antibody_first.name).value > 0.0


def test_exhaustion_is_a_share_that_fades_once_the_antibody_is_gone() -> None:
    arm = PAIR.after(HALF_YEAR + 28.0)
    days, share = host_exhaustion(arm, read_calibration().parameters(), 40)
    assert ((share >= 0.0) & (share <= 1.0)).all()
    assert (np.diff(share, axis=0) >= 0.0).all()
    assert share[1, -1] < share[1, 0]
    assert days[0] == 0.0
    values = read_calibration().parameters().with_values({"k_exhaustion_host": 0.001})
    assert host_exhaustion(arm, values, 40)[1][1, 0] < share[1, 0]


def test_the_gain_is_cells_first_less_antibody_first() -> None:
    comparison = orders().comparison
    cells, antibody = (arm.name for arm in (PAIR.cells_first, PAIR.antibody_first))
    value = comparison.estimate(cells, CONTROL).value - comparison.estimate(antibody, CONTROL).value
    assert orders().gain(PAIR).value == pytest.approx(value)
    shares = [comparison.estimate(PAIR.cells_first.name, pfs2_at(month)).value for month in (3.0, 12.0, 24.0)]
    assert shares == sorted(shares, reverse=True)
    text = " ".join(sequence_order.sentences(orders()))
    assert orders().gain(PAIR).text("+.1f") in text


def test_findings_name_the_review_and_the_reported_lines() -> None:
    sources = {finding.source for finding in sequence_order.findings(orders())}
    assert {"majestec_1_orr", "review, section 2.4.3"} <= sources
