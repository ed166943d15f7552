"""Plans: lines of therapy as values, the rules that they mean, and what becomes of patients who are treated by them."""

from dataclasses import replace

import numpy as np
import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.plan import Line, Plan, usual
from perdure.model.regimens.regimen import Bolus, Infusion, Regimen, give, infuse
from perdure.model.regimens.rules import Change, Rule, Start, every
from perdure.model.regimens.sentence import read_plan
from perdure.model.simulate import simulate
from perdure.model.therapy import read_therapies, read_therapy
from perdure.parameters.errors import RegimenError, UnknownNameError
from perdure.parameters.patients import draw, make_patients

CELLS = infuse("ide_cel")
TABLETS = give("lenalidomide", "10 mg", start=30.0, months=24.0, cycle=28, days_on=21)
INHIBITOR = give("crenigacestat", "25 mg", start=0.0, stop=21.0)


def stopped(rule: Rule) -> list[str]:
    return [action.therapy for action in rule.actions if isinstance(action, Change) and action.verb == "stop"]


def started(rule: Rule) -> list[Regimen]:
    return [action.regimen for action in rule.actions if isinstance(action, Start)]


def test_a_plan_of_one_line_needs_no_rules() -> None:
    plan = Plan.of(CELLS + TABLETS)
    assert plan.rules() == ()
    assert plan.first.doses == (CELLS + TABLETS).doses
    assert plan.products == ("ide_cel",)
    assert plan.therapies == ("ide_cel", "lenalidomide")


def test_at_progression_a_new_line_replaces_the_old_one() -> None:
    plan = Plan.of(CELLS + TABLETS).at_progression(infuse("cilta_cel") + INHIBITOR).at_progression(TABLETS)
    second, third = plan.rules()
    assert (second.name, second.after, second.visits) == ("line 2", "", every(28))
    assert (third.name, third.after) == ("line 3", "line 2")
    assert stopped(second) == ["lenalidomide"]
    assert stopped(third) == []  # three weeks of tablets are over at the first visit after their start
    assert [part.doses for part in started(third)] == [TABLETS.doses]
    often = plan.rules(every(14))
    assert stopped(often[1]) == ["crenigacestat"]
    assert {rule.visits for rule in often} == {every(14)}


def test_stops_come_before_the_start_so_that_a_drug_which_goes_on_is_not_given_twice() -> None:
    (rule,) = Plan.of(CELLS + TABLETS).at_progression(TABLETS).rules()
    assert [type(action) for action in rule.actions] == [Change, Start]
    assert stopped(rule) == ["lenalidomide"]


def test_cells_and_infusions_that_are_still_to_come_are_stopped_as_well() -> None:
    late = CELLS + infuse("ide_cel", day=40.0) + Regimen((Infusion("lenalidomide", 10.0, 30.0, 0.0),))
    (rule,) = Plan.of(late).at_progression(INHIBITOR).rules()
    assert stopped(rule) == ["ide_cel", "lenalidomide"]


def test_a_line_at_a_response_adds_and_stops_nothing_and_progression_does_not_wait_for_it() -> None:
    plan = Plan.of(CELLS).at_response("VGPR", TABLETS).at_progression(INHIBITOR).at_response("PR", TABLETS)
    second, third, fourth = plan.rules()
    assert stopped(second) == []
    assert (second.after, third.after, fourth.after) == ("", "", "line 3")
    assert stopped(third) == ["lenalidomide"]
    assert stopped(fourth) == []


def test_what_is_given_until_progression_ends_by_a_rule_where_no_later_line_ends_it() -> None:
    plan = Plan.of(CELLS + TABLETS, until=["lenalidomide"])
    (end,) = plan.rules()
    assert (end.name, end.after, stopped(end), started(end)) == ("end of line 1", "", ["lenalidomide"], [])
    later = plan.at_progression(INHIBITOR + TABLETS, until=["lenalidomide"])
    assert [rule.name for rule in later.rules()] == ["line 2", "end of line 2"]
    assert later.rules()[1].after == "line 2"
    assert [rule.name for rule in plan.at_response("CR", INHIBITOR).rules()] == ["end of line 1", "line 2"]


def test_a_plan_can_follow_a_plan_and_a_regimen_can_join_its_first_line() -> None:
    tail = Plan.of(TABLETS, until=["lenalidomide"]).at_progression(CELLS)
    plan = Plan.of(CELLS).at_progression(tail)
    assert [line.when for line in plan.lines] == ["", "progression", "progression"]
    assert plan.lines[1].until == ("lenalidomide",)
    joined = plan + INHIBITOR
    assert joined.first.doses == (CELLS + INHIBITOR).doses
    assert joined.lines[1:] == plan.lines[1:]


def test_products_are_told_in_order_and_a_second_course_once_more() -> None:
    plan = Plan.of(infuse("cilta_cel", day=5.0) + CELLS + infuse("ide_cel", day=200.0)).at_progression(CELLS)
    assert plan.products == ("ide_cel", "cilta_cel", "ide_cel", "ide_cel")
    split = Plan.of(infuse("cilta_cel", split=(0.2, 0.3, 0.5)))
    assert split.products == ("cilta_cel",)
    assert Plan.of(TABLETS).products == ()


def test_a_plan_reads_back_in_words_with_totals() -> None:
    plan = Plan.of(CELLS + TABLETS).at_response("CR", INHIBITOR).at_progression(infuse("cilta_cel", split=(0.2, 0.8)))
    assert plan.text == (
        "Day 0: idecabtagene vicleucel (ide-cel, bb2121) 450 million cells on day 0; lenalidomide 10 mg, 549 doses "
        "from day 30 to day 760, 5490 mg in all. At CR: crenigacestat 25 mg, 21 doses from day 0 to day 20, 525 mg in "
        f"all. At progression: {read_therapy('cilta_cel').title} 11.2 / 44.8 million cells on days 0 and 1, 56 million "
        "cells in all; no more lenalidomide."
    )
    infusions = Regimen((Infusion("lenalidomide", 8.0, 4.0 / 24.0, 2.0),))
    again = Plan.of(CELLS + TABLETS).at_progression(TABLETS + infusions, until=["lenalidomide"]).at_progression(CELLS)
    first, second, third = again.text.removesuffix(".").split(". ")
    assert second.startswith("At progression: lenalidomide 8 / 10 mg over 4 hours, 550 doses from day 2 to day 760")
    assert second.endswith("until progression; no more lenalidomide as before")
    assert third.startswith("At second progression: idecabtagene")
    assert Plan.of(Regimen()).text == "Day 0: no therapy."
    assert first.count(";") == 1


def test_a_plan_that_cannot_be_is_one_clear_error() -> None:
    with pytest.raises(RegimenError, match="has no lines"):
        Plan(())
    with pytest.raises(RegimenError, match=r"plan, line 1: when = 'CR'; the first starts on day 0"):
        Plan((Line(CELLS, "CR"),))
    with pytest.raises(RegimenError, match=r"plan, line 2: when = ''; say when it starts"):
        Plan((Line(CELLS), Line(CELLS)))
    with pytest.raises(UnknownNameError, match=r"no reason to start a line 'vgpr'"):
        Line(CELLS, "vgpr")
    with pytest.raises(RegimenError, match="lenalidomide is given until progression, but the line has no dose"):
        Line(CELLS, until=("lenalidomide",))
    with pytest.raises(RegimenError, match="line at progression: has no doses"):
        Plan.of(CELLS).at_progression(Regimen())
    before = Regimen((Bolus("crenigacestat", 25.0, -3.0),))
    with pytest.raises(RegimenError, match="crenigacestat on day -3, before the line starts"):
        Plan.of(CELLS).at_progression(before)
    assert Plan.of(before).first.doses == before.doses


def test_the_usual_regimen_of_a_therapy_starts_when_it_should() -> None:
    assert usual("ide_cel", start=5.0).doses == infuse("ide_cel", day=5.0).doses
    for therapy in read_therapies():
        if therapy.usual:
            now, later = usual(therapy.key).doses, usual(therapy.key, start=100.0).doses
            assert later == tuple(replace(dose, day=dose.day + 100.0) for dose in now)
    with pytest.raises(UnknownNameError, match="Did you mean 'ide_cel'"):
        usual("ide_cell")


@pytest.mark.parametrize("key", [therapy.key for therapy in read_therapies() if therapy.usual])
def test_the_usual_course_of_every_shipped_therapy_can_be_read(key: str) -> None:
    regimen = usual(key)
    assert {dose.therapy for dose in regimen.doses} == {key}
    assert regimen.doses[0].day >= -30.0
    assert read_plan(key).first.doses == regimen.doses


def test_patients_are_treated_as_the_plan_says() -> None:
    catalogue = read_catalogue()
    patients = make_patients(catalogue, draw(catalogue, 30, seed=2), product="ide_cel", population="late_line")
    plan = read_plan(
        "ide-cel; lenalidomide 10 mg daily from day 14 until progression; at progression: crenigacestat 25 mg days 0-9"
    )
    last = 28.0 * 20
    solution = simulate(patients, plan.first, times=np.arange(0.0, last + 1.0, 28.0), rules=plan.rules())
    progressed = solution.events["line 2"].first
    assert 5 < np.isfinite(progressed).sum() < 30
    tablets = np.where(np.isfinite(progressed), progressed, last + 1.0) - 14.0
    np.testing.assert_allclose(solution.delivered["lenalidomide"], 10.0 * tablets, rtol=1e-12)
    course = np.clip(last + 1.0 - progressed, 0.0, 10.0)  # the last day included
    np.testing.assert_allclose(solution.delivered["crenigacestat"], 25.0 * np.nan_to_num(course), rtol=1e-12)
