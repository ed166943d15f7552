"""The same target again or another: what must hold of second lines after BCMA CAR-T cells."""

from functools import cache

import numpy as np
import pytest

from perdure.experiments import target_switch
from perdure.experiments.target_switch import (
    BINDER,
    EARLY,
    GPRC5D,
    HIGH,
    IMMUNE,
    LATE,
    LOW,
    MEAN,
    NOT_IMMUNE,
    SAME,
    TALQUETAMAB,
    THERAPIES,
    WHY,
    Switch,
    run,
    second_line,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.parameters.patients import draw, make_patients
from perdure.trials.compare import EVERYBODY
from perdure.trials.measures import RESPONSE


@cache
def switch() -> Switch:
    return run(sizes=Sizes(50, 2, 24), names=(SAME, BINDER, GPRC5D, TALQUETAMAB), months=12.0)


def test_cells_come_four_weeks_after_progression_and_antibodies_at_once() -> None:
    plans = {name: second_line(name).plan for name in THERAPIES}
    assert plans[SAME].products == ("ide_cel", "ide_cel")
    assert plans[SAME].lines[1].regimen.infusions == (28.0,)
    assert plans[BINDER].products == ("ide_cel", "equ_cel")
    assert plans[TALQUETAMAB].lines[1].regimen.doses[0].day == 0.0
    assert all(plan.lines[1].when == "progression" for plan in plans.values())


def test_everybody_who_comes_again_belongs_to_one_half_of_each_pair_of_groups() -> None:
    after = switch().after
    whole = after.share(EVERYBODY).value
    assert 0.0 < whole < 100.0
    for pair in ((LOW, HIGH), (IMMUNE, NOT_IMMUNE), (EARLY, LATE)):
        assert sum(after.share(group).value for group in pair) == pytest.approx(whole)


def test_the_patients_who_come_to_the_second_line_do_not_depend_on_what_it_is() -> None:
    after = switch().after
    share = after.measures[-1]
    shares = {after.estimate(arm.name, share).value for arm in switch().naive.arms}
    assert max(shares) - min(shares) < 1.0


def test_what_the_first_cells_have_left_costs_response_and_most_with_the_same_product() -> None:
    assert switch().lost(SAME).value < 0.0
    assert switch().lost(SAME).value < switch().lost(TALQUETAMAB).value
    real, naive = switch().after.estimate(SAME, RESPONSE).value, switch().naive.estimate(SAME, RESPONSE).value
    assert switch().lost(SAME).value == pytest.approx(real - naive)


def test_a_thought_experiment_touches_what_it_says_and_nothing_else() -> None:
    parameters = read_calibration().parameters()
    people = draw(parameters, 20, 7)
    values = dict(make_patients(parameters, people, product=("ide_cel", "ide_cel"), population="late_line"))
    changed = {name: dict(change(dict(values))) for name, change in WHY.items()}
    no_immunity, no_escape, other, sensitive = changed.values()
    assert set(no_immunity) == {"immunogenic", "immunogenic_2"}
    assert not any(value.any() for value in no_immunity.values())
    assert set(no_escape) == {"k_relaxation_density", "fraction_null_bcma", "probability_loss_bcma"}
    assert all(name.endswith("_2") for name in other)
    np.testing.assert_array_equal(other["k_expansion_2"][1:], values["k_expansion_2"][:-1])
    np.testing.assert_array_equal(sensitive["half_density_kill_2"], 0.5 * values["half_density_kill_2"])


def test_less_antigen_needed_and_no_escape_make_the_same_product_work_better() -> None:
    for name in ("again, no antigen escape since day 0", "again, a CAR that needs half the BCMA"):
        assert switch().after.gain(name, MEAN).value > 0.0


def test_the_sentences_hold_the_numbers_and_misfits_are_known() -> None:
    text = " ".join(target_switch.sentences(switch()))
    assert switch().after.estimate(SAME, RESPONSE).text(".0f") in text
    assert switch().lost(TALQUETAMAB).text("+.0f") in text
    findings = target_switch.findings(switch())
    sources = {finding.source for finding in findings}
    assert sources >= {"hu_2023_same_product_again_orr", "polaris_prior_bcma_car_t_orr"}
    assert not findings[0].met
    assert findings[0].why_not
