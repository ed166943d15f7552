"""Rules as a user writes them: what they may say, and that they see what the response criteria see."""

import numpy as np
import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.engine.batch import Schedule
from perdure.model.engine.drug_levels import DRUG_BOLUS, DRUG_RATE, STATE_BOLUS
from perdure.model.imwg import CR, Response, assess_response, measure
from perdure.model.preparation import DosePlans
from perdure.model.regimens.regimen import Bolus, Regimen, give, infuse
from perdure.model.regimens.rules import (
    MARKER_PARAMETERS,
    Look,
    Rule,
    above,
    below,
    every,
    fallen,
    hold,
    progression,
    remission,
    resume,
    risen,
    start,
    stop,
)
from perdure.model.simulate import simulate
from perdure.model.solution import Solution
from perdure.model.system.system import Flow, Quantity, State, System, symbol
from perdure.parameters.errors import InputError, RangeError, RegimenError, UnknownNameError
from perdure.parameters.patients import Draws, draw, make_patients

CATALOGUE = read_catalogue()
N = 40
PATIENTS = make_patients(CATALOGUE, draw(CATALOGUE, N, seed=2), product="ide_cel", population="late_line")
CELLS = infuse("ide_cel")
MONTHLY = every(28)
GRID = np.arange(0.0, 28.0 * 20 + 1.0, 28.0)
TABLETS = give("lenalidomide", start=0.0, months=12.0)


def treated(rules: list[Rule], regimen: Regimen = CELLS) -> Solution:
    return simulate(PATIENTS, regimen, times=GRID, rules=rules)


def judged(solution: Solution, patient: int, first: int = 0) -> Response:
    """What the response criteria say of a patient without errors of the assay, from a visit on."""
    column = {name: PATIENTS[name][[patient]] for name in MARKER_PARAMETERS}
    draws = Draws(0, np.zeros((1, 2), dtype=np.uint64), np.zeros((1, len(GRID), 2)))
    m_protein, tumour = (solution[name][[patient], first:] for name in ("m_protein", "tumour"))
    return assess_response(measure(GRID[first:], m_protein, tumour, column, draws))


def test_progression_and_remission_are_those_of_the_response_criteria_once_confirmed() -> None:
    rules = [Rule("progression", when=progression(), visits=MONTHLY), Rule("CR", when=remission("CR"), visits=MONTHLY)]
    solution = treated(rules)
    right = [judged(solution, patient) for patient in range(N)]
    shown = np.array([response.shown[0] for response in right])
    assert 5 < np.isfinite(shown).sum() < N
    found = solution.events["progression"].first
    np.testing.assert_array_equal(found, np.where(np.isfinite(shown), shown + 28.0, np.nan))
    complete = np.array([response.best[0] >= CR for response in right])
    assert 3 < complete.sum() < N
    np.testing.assert_array_equal(np.isfinite(solution.events["CR"].first), complete)


def test_a_second_progression_is_counted_from_the_visit_that_started_salvage() -> None:
    rules = [
        Rule("salvage", when=progression(), then=start(TABLETS), visits=MONTHLY),
        Rule("second", when=progression(), visits=MONTHLY, after="salvage"),
    ]
    solution = treated(rules)
    first, second = solution.events["salvage"].first, solution.events["second"].first
    relapsed = np.flatnonzero(np.isfinite(first))
    relapsed = relapsed[first[relapsed] <= GRID[-3]]  # two visits later at least
    shown = np.array([judged(solution, i, int(first[i] / 28.0)).shown[0] for i in relapsed])
    np.testing.assert_array_equal(second[relapsed], np.where(np.isfinite(shown), shown + 28.0, np.nan))
    assert np.isfinite(shown).any()
    assert np.isnan(np.delete(second, relapsed)).all()
    left = np.where(np.isfinite(first), GRID[-1] - first + 1.0, 0.0)  # days with a tablet, the last day included
    course = len(TABLETS.doses)
    np.testing.assert_allclose(solution.delivered["lenalidomide"], 10.0 * np.minimum(left, course), rtol=1e-12)


def test_maintenance_that_stops_at_remission_is_given_up_to_that_visit() -> None:
    maintenance = give("lenalidomide", start=14.0, months=24.0)
    rules = [Rule("enough", when=remission("CR"), then=stop("lenalidomide"), visits=MONTHLY)]
    solution = treated(rules, CELLS + maintenance)
    last = np.where(np.isfinite(solution.events["enough"].first), solution.events["enough"].first, GRID[-1] + 1.0)
    assert 0 < np.sum(last < GRID[-1]) < N
    np.testing.assert_allclose(solution.delivered["lenalidomide"], 10.0 * (last - 14.0), rtol=1e-12)


def look(values: list[list[float]], first: list[int]) -> Look:
    return Look(np.array([0.0, 7.0, 14.0]), np.array(first), {"x": np.array(values)}, {"own": np.array([3.0, 5.0])})


def test_conditions_say_what_they_should_of_what_was_seen() -> None:
    seen = look([[8.0, 1.0, 4.0], [8.0, 1.0, 4.0]], [0, 2])
    for condition, right in (
        (above("x", 3.9), [True, True]), (above("x", 4.0), [False, False]), (below("x", 4.1), [True, True]),
        (above("x", "own"), [True, False]), (risen("x", 4.0), [True, False]), (risen("x", 2.0, by=3.5), [False, False]),
        (fallen("x", 0.5), [True, False]), (~above("x", "own"), [False, True]),
        (above("x", "own") & risen("x", 4.0), [True, False]), (below("x", "own") | fallen("x", 1.0), [True, True]),
    ):  # fmt: skip
        assert condition.holds(seen).tolist() == right


def test_visits_fall_on_the_days_that_were_said() -> None:
    np.testing.assert_array_equal(every(28).until(90.0), [28.0, 56.0, 84.0])
    np.testing.assert_array_equal(every(7, start=1.0, stop=20.0).until(90.0), [1.0, 8.0, 15.0])
    np.testing.assert_array_equal(every(7, start=1.0).until(15.0), [1.0, 8.0, 15.0])
    assert every(28).until(27.0).size == 0


def given(schedule: Schedule, who: int) -> list[tuple[float, int, float]]:
    """Day, kind and amount of every edge of a patient."""
    rows = range(*schedule.edges[who])
    return [(float(schedule.doses[i, 0]), int(schedule.targets[i, 0]), float(schedule.doses[i, 1])) for i in rows]


def test_plans_change_what_is_to_come_and_for_one_patient_only() -> None:
    states, drug = 3, 4  # three states; the second drug is channel 4
    edges = [(float(day), DRUG_BOLUS, 1, 10.0, float(day)) for day in range(4)]
    edges += [(0.5, DRUG_RATE, 0, 2.0, 0.5), (2.5, DRUG_RATE, 0, -2.0, 0.5), (1.0, STATE_BOLUS, 1, 7.0, 1.0)]
    plans = DosePlans(edges, 3, states)
    before = given(plans.whole(), 0)
    plans.come_to(np.array([2, 2, 2]))  # days 0 and 0.5 lie behind
    plans.hold(1, drug, 1.0)
    plans.stop(2, 3, 1.0)
    assert given(plans.whole(), 0) == before
    assert [day for day, kind, _ in given(plans.coming(), 1) if kind == DRUG_BOLUS] == []
    assert (1.0, DRUG_RATE, -2.0) in given(plans.coming(), 2)
    np.testing.assert_allclose(plans.total(3), [4.0, 4.0, 1.0])
    plans.come_to(plans.whole().edges[:, 0] + np.array([2, 3, 3]))
    plans.start(1, np.array([[2.0, DRUG_BOLUS, 1, 1.0, 2.0]]))  # waits with the hold
    plans.resume(1, drug, 2.0)
    assert [row for row in given(plans.coming(), 1) if row[1] == DRUG_BOLUS] == [
        (2.0, DRUG_BOLUS, 10.0), (2.0, DRUG_BOLUS, 1.0), (3.0, DRUG_BOLUS, 10.0)
    ]  # fmt: skip
    np.testing.assert_allclose(plans.total(drug), [40.0, 31.0, 40.0])
    np.testing.assert_allclose(plans.total(1), 7.0)


LENALIDOMIDE = CELLS + TABLETS
LATE = above("tumour", 1e11)
MISTAKES = {
    "an observable that is not there": ([Rule("r", when=above("tumor", 1.0))], UnknownNameError, "rule 'r'.*'tumour'"),
    "a parameter that is not there": ([Rule("r", when=above("car_t", "limit_cart"))], UnknownNameError, "limit_car_t"),
    "a therapy that nobody gives": (
        [Rule("r", when=LATE, then=stop("crenigacestat"))], RegimenError, "crenigacestat, which neither",
    ),
    "two rules of one name": ([Rule("r", when=LATE), Rule("r", when=LATE)], InputError, "used 2 times"),
    "a rule after one that is not there": ([Rule("r", when=LATE, after="s")], UnknownNameError, "no rule 's'"),
    "rules that wait for each other": (
        [Rule("r", when=LATE, after="s"), Rule("s", when=LATE, after="r")], InputError, "waits for itself",
    ),
    "a second product for patients made for one": (
        [Rule("r", when=LATE, then=start(infuse("cilta_cel")))], UnknownNameError, r"patients: .* '\w+_2'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_rule_that_cannot_be_is_one_clear_error(mistake: str) -> None:
    rules, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        treated(rules, LENALIDOMIDE)


def test_what_never_changes_cannot_be_watched_but_can_be_looked_at() -> None:
    cells = State("cells", "cell", "cells", "tumour", symbol("tumour_baseline"), 1.0, "N")
    twice = Quantity("doubling", "1/day", "a constant", 2 * symbol("k_growth_tumour"), "d")
    growth = Flow("growth", symbol("k_growth_tumour") * cells.symbol, into=cells)
    system = System("growth", (cells,), (twice,), (), (growth,), ("cells", "doubling"))
    with pytest.raises(InputError, match="rule 'r': doubling never changes"):
        simulate(PATIENTS, Regimen(), times=[100.0], rules=[Rule("r", when=above("doubling", 1.0))], system=system)
    rules = [Rule("r", when=above("doubling", 1e-9), visits=MONTHLY)]
    seen = simulate(PATIENTS, Regimen(), times=[100.0], rules=rules, system=system)
    np.testing.assert_array_equal(seen.events["r"].first, np.full(N, 28.0))


def test_mistakes_are_told_where_they_are_made() -> None:
    for days in (0.0, -28.0, np.nan, np.inf):
        with pytest.raises(RangeError, match="visits every"):
            every(days)
    with pytest.raises(RangeError, match="day 0 being the baseline"):
        every(28, start=0.0)
    with pytest.raises(RangeError, match="tumour: limit = nan"):
        above("tumour", np.nan)
    with pytest.raises(UnknownNameError, match="category of response 'SCR'"):
        remission("SCR")
    for change in (stop, hold, resume):
        with pytest.raises(UnknownNameError, match=r"There is no therapy 'lenalidomid'\. Did you mean 'lenalidomide'"):
            change("lenalidomid")
    with pytest.raises(RegimenError, match="from day -2"):
        start(Regimen((Bolus("lenalidomide", 10.0, -2.0),)))
    with pytest.raises(RegimenError, match="no doses"):
        start(Regimen())
    for condition in (progression(), above("tumour", 1.0) & below("host", 1.0), ~above("tumour", 1.0)):
        with pytest.raises(InputError, match="rule 'r': only one above"):
            Rule("r", when=condition)
