"""The same target again or another: what must hold of second lines after BCMA CAR-T cells."""

from functools import cache

import numpy as np
import pytest

from perdure.experiments import target_switch
from perdure.experiments.target_switch import (
    BINDER,
    FREE,
    GPRC5D,
    HIGH,
    IMMUNE,
    LATE,
    LOW,
    MEAN,
    SAME,
    SOON,
    TALQUETAMAB,
    WHY,
    Switch,
    arms_of,
    lost,
    run,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.parameters.patients import draw, make_patients
from perdure.trials.compare import EVERYBODY
from perdure.trials.measures import RESPONSE


@cache
def found() -> Switch:
    return run(names=(SAME, BINDER, GPRC5D, TALQUETAMAB), patients=50, draws=2, patients_per_draw=24, months=12.0)


def test_cells_come_four_weeks_after_progression_and_antibodies_at_once() -> None:
    plans = {arm.name: arm.plan for arm in arms_of()}
    assert plans[SAME].products == ("ide_cel", "ide_cel")
    assert plans[SAME].lines[1].regimen.infusions == (28.0,)
    assert plans[BINDER].products == ("ide_cel", "equ_cel")
    assert plans[TALQUETAMAB].lines[1].regimen.doses[0].day == 0.0
    assert all(plan.lines[1].when == "progression" for plan in plans.values())


def test_everybody_who_comes_again_belongs_to_one_half_of_each_pair_of_groups() -> None:
    after = found().after
    whole = after.share(EVERYBODY).value
    assert 0.0 < whole < 100.0
    for pair in ((LOW, HIGH), (IMMUNE, FREE), (SOON, LATE)):
        assert sum(after.share(group).value for group in pair) == pytest.approx(whole)


def test_the_patients_who_come_to_the_second_line_do_not_depend_on_what_it_is() -> None:
    after = found().after
    share = after.measures[-1]
    shares = {after.estimate(arm.name, share).value for arm in found().naive.arms}
    assert max(shares) - min(shares) < 1.0


def test_what_the_first_cells_have_left_costs_response_and_most_with_the_same_product() -> None:
    assert lost(found(), SAME).value < 0.0
    assert lost(found(), SAME).value < lost(found(), TALQUETAMAB).value
    real, naive = found().after.estimate(SAME, RESPONSE).value, found().naive.estimate(SAME, RESPONSE).value
    assert lost(found(), SAME).value == pytest.approx(real - naive)


def test_a_thought_experiment_touches_what_it_says_and_nothing_else() -> None:
    parameters = read_calibration().parameters()
    people = draw(parameters, 20, 7)
    values = dict(make_patients(parameters, people, product=("ide_cel", "ide_cel"), population="late_line"))
    changed = {name: dict(change(dict(values))) for name, change in WHY.items()}
    no_immunity, held, other, sensitive = changed.values()
    assert set(no_immunity) == {"immunogenic", "immunogenic_2"}
    assert not any(value.any() for value in no_immunity.values())
    assert set(held) == {"k_relaxation_density", "fraction_null_bcma", "probability_loss_bcma"}
    assert all(name.endswith("_2") for name in other)
    np.testing.assert_array_equal(other["k_expansion_2"][1:], values["k_expansion_2"][:-1])
    np.testing.assert_array_equal(sensitive["half_density_kill_2"], 0.5 * values["half_density_kill_2"])


def test_less_antigen_needed_and_no_escape_make_the_same_product_work_better() -> None:
    for name in ("again, no antigen escape since day 0", "again, a CAR that needs half the BCMA"):
        assert found().after.gain(name, MEAN).value > 0.0


def test_the_sentences_hold_the_numbers_and_misfits_are_known() -> None:
    text = " ".join(target_switch.sentences(found()))
    assert found().after.estimate(SAME, RESPONSE).text(".0f") in text
    assert lost(found(), TALQUETAMAB).text("+.0f") in text
    findings = target_switch.findings(found())
    assert {one.source for one in findings} >= {"hu_2023_same_product_again_orr", "polaris_prior_bcma_car_t_orr"}
    assert not findings[0].met
    assert findings[0].why_not
