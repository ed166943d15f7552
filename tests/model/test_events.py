"""Rules act where they should, as the closed forms say, and a patient under rules is alone with them."""

from dataclasses import replace

import numpy as np
import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.regimen import Bolus, Infusion, Regimen, give, infuse
from perdure.model.regimens.rules import (
    Condition,
    Rule,
    above,
    below,
    every,
    fallen,
    hold,
    resume,
    risen,
    start,
    stop,
)
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.system.system import Branching, Flow, Input, Quantity, State, System, symbol
from perdure.parameters.patients import draw, make_patients

DRUG = "crenigacestat"  # an amount in the body that halves in `half_life_crenigacestat`
FADING = np.log(2.0) / 2.0
NOTHING = Regimen()


def pool() -> System:
    """Cells that grow and are killed in proportion to a drug, a marker that fades, infused cells that stay."""
    cells = State("cells", "cell", "cells that divide", "tumour", symbol("cells_baseline"), 1e-9, "N")
    marker = State("marker", "g/L", "a protein that is cleared", "blood", symbol("marker_baseline"), 1e-9, "E")
    infused = State("infused", "cell/uL", "cells that stay", "CAR-T", symbol("zero"), 1e-9, "I")
    constant = Quantity("doubling", "1/day", "twice the rate of growth", 2 * symbol("growth"), "d")
    amount = Quantity("amount", "mg", "drug in the body", symbol(DRUG), "A")
    return System(
        name="pool",
        states=(cells, marker, infused),
        quantities=(constant, amount),
        inputs=(Input(DRUG, "mg", "", DRUG, "A"),),
        flows=(
            Flow("growth", symbol("growth") * cells.symbol, into=cells),
            Flow("killing", symbol("kill") * symbol("amount") * cells.symbol, out_of=cells),
            Flow("clearance", symbol("clearance") * marker.symbol, out_of=marker),
        ),
        observables=("cells", "marker", "infused", "amount", "doubling"),
    )


POOL = pool()
TIGHT = Solver(rtol=1e-9)
TYPICAL = read_catalogue().typical("ide_cel", "late_line")


def people(n: int = 1, **changes: float | np.ndarray) -> dict[str, np.ndarray]:
    numbers = {**TYPICAL, "cells_baseline": 1e3, "marker_baseline": 60.0, "zero": 0.0, "growth": 0.05, "kill": 0.1,
               "clearance": 0.1, "half_life_crenigacestat": 2.0, **changes}  # fmt: skip
    return {name: np.broadcast_to(np.asarray(value, dtype=float), n).copy() for name, value in numbers.items()}


def follow(
    rules: list[Rule], regimen: Regimen = NOTHING, until: float = 100.0, solver: Solver = TIGHT, n: int = 1,
    **changes: float | np.ndarray,
) -> Solution:  # fmt: skip
    times = np.linspace(0.0, until, 51)
    return simulate(people(n, **changes), regimen, times=times, rules=rules, system=POOL, solver=solver)


def exposure(days: np.ndarray, dose: float) -> np.ndarray:
    """Integral of the amount since a dose."""
    return dose / FADING * -np.expm1(-FADING * np.maximum(days, 0.0))


@pytest.mark.parametrize(
    ("solver", "n"),
    [(TIGHT, 37), (replace(TIGHT, method="stiff", workers=2), 37), (replace(TIGHT, engine="scipy"), 3)],
)
def test_growing_cells_that_cross_a_limit_are_treated_at_that_moment(solver: Solver, n: int) -> None:
    growth = np.linspace(0.01, 0.09, n)
    rule = Rule("treat", when=above("cells", 5e3), then=start(Regimen((Bolus(DRUG, 20.0, 0.0),))))
    solution = follow([rule], growth=growth, n=n, solver=solver)
    moment = np.log(5.0) / growth
    np.testing.assert_allclose(solution.events["treat"].first, np.where(moment <= 100.0, moment, np.nan), rtol=1e-8)
    since = solution.times - moment[:, None]
    right = 1e3 * np.exp(growth[:, None] * solution.times - 0.1 * exposure(since, 20.0))
    np.testing.assert_allclose(solution["cells"], right, rtol=1e-7)
    np.testing.assert_allclose(solution.delivered[DRUG], np.where(moment <= 100.0, 20.0, 0.0), rtol=1e-12)


def test_a_marker_that_fades_through_a_limit_of_each_patients_own_is_seen_from_above() -> None:
    limit = np.array([50.0, 7.0, 1e-3, 70.0])
    rule = Rule("low", when=below("marker", "own_limit"))
    solution = follow([rule], own_limit=limit, n=4)
    np.testing.assert_allclose(solution.events["low"].first[:2], np.log(60.0 / limit[:2]) / 0.1, rtol=1e-8)
    assert np.isnan(solution.events["low"].first[2])
    assert solution.events["low"].first[3] == 0.0  # below from the start


@pytest.mark.parametrize("solver", [TIGHT, replace(TIGHT, engine="scipy")])
def test_a_drug_given_when_its_level_has_fallen_to_a_limit_keeps_the_beat_of_the_closed_form(solver: Solver) -> None:
    again = Rule("next dose", when=below("amount", 2.0), then=start(Regimen((Bolus(DRUG, 6.0, 0.0),))), once=False)
    solution = follow([again], Regimen((Bolus(DRUG, 8.0, 0.0),)), until=99.0, solver=solver)
    beat = np.log(8.0 / 2.0) / FADING
    days = np.arange(1, int(99.0 / beat) + 1) * beat
    np.testing.assert_allclose(solution.events["next dose"].days[0], days, rtol=1e-9)
    np.testing.assert_allclose(solution.delivered[DRUG], 8.0 + 6.0 * len(days), rtol=1e-12)
    past = np.concatenate([[0.0], days])
    last = past[np.searchsorted(past, solution.times[1:], side="right") - 1]
    right = 8.0 * np.exp(-FADING * (solution.times[1:] - last))
    np.testing.assert_allclose(solution["amount"][0, 1:], right, rtol=1e-8)


def test_a_dose_that_carries_a_value_beyond_the_limit_fires_at_the_dose_which_is_given_once() -> None:
    regimen = Regimen((Bolus(DRUG, 3.0, 10.0), Bolus(DRUG, 3.0, 30.0), Bolus(DRUG, 30.0, 30.0)))
    solution = follow([Rule("high", when=above("amount", 20.0), then=stop(DRUG))], regimen)
    assert solution.events["high"].first == pytest.approx([30.0], abs=0.0)
    np.testing.assert_allclose(solution.delivered[DRUG], 36.0, rtol=1e-12)


@pytest.mark.parametrize("day", [0.0, 12.5])
def test_cells_infused_beyond_a_limit_fire_at_the_infusion(day: float) -> None:
    rule = Rule("expansion", when=above("infused", 50.0), then=start(Regimen((Bolus(DRUG, 1.0, 0.0),))))
    solution = follow([rule], infuse("ide_cel", 450e6, day=day), blood_volume=5.0)
    assert solution.events["expansion"].first == pytest.approx([day], abs=0.0)
    np.testing.assert_allclose(solution.delivered["ide_cel"], 450e6, rtol=1e-12)
    np.testing.assert_allclose(solution.delivered[DRUG], 1.0, rtol=1e-12)


def test_two_rules_that_meet_in_one_step_fire_in_the_order_of_time_and_two_at_once_both_fire() -> None:
    rules = [Rule("late", when=above("cells", 1.002e3)), Rule("early", when=above("cells", 1.001e3)),
             Rule("too", when=above("cells", 1.001e3)), Rule("marker", when=below("marker", 59.9))]  # fmt: skip
    solution = follow(rules)
    found = [float(solution.events[rule.name].first[0]) for rule in rules]
    right = np.array([*np.log([1.002, 1.001, 1.001]) / 0.05, np.log(60.0 / 59.9) / 0.1])
    np.testing.assert_allclose(found, right, rtol=1e-6)
    assert found[1] == found[2]


def test_a_crossing_on_the_day_of_a_dose_or_on_the_last_day_is_not_lost() -> None:
    day = float(np.log(5.0) / 0.05)
    rule = Rule("treat", when=above("cells", 5e3 * (1 - 1e-9)), then=start(Regimen((Bolus(DRUG, 2.0, 0.0),))))
    for regimen, until, given in ((Regimen((Bolus(DRUG, 1.0, day),)), 60.0, 3.0), (NOTHING, day, 2.0)):
        solution = follow([rule], regimen, until=until)
        np.testing.assert_allclose(solution.events["treat"].first, day, rtol=1e-8)
        np.testing.assert_allclose(solution.delivered[DRUG], given, rtol=1e-12)


def test_a_rule_at_visits_fires_at_the_first_visit_after_the_crossing() -> None:
    growth = np.array([0.02, 0.05, 0.09, 0.001])
    treat = start(Regimen((Bolus(DRUG, 20.0, 7.0),)))
    rule = Rule("treat", when=above("cells", 5e3), then=treat, visits=every(28, start=14))
    solution = follow([rule], growth=growth, n=4)
    visits = np.array([98.0, 42.0, 42.0, np.nan])
    np.testing.assert_array_equal(solution.events["treat"].first, visits)
    np.testing.assert_allclose(solution.delivered[DRUG], [0.0, 20.0, 20.0, 0.0], rtol=1e-12)  # on day 105 it is over
    dose = np.where(np.isnan(visits), np.inf, visits + 7.0)[:, None]
    right = 1e3 * np.exp(growth[:, None] * solution.times - 0.1 * exposure(solution.times - dose, 20.0))
    np.testing.assert_allclose(solution["cells"], right, rtol=1e-7)


def test_doses_in_a_hold_are_omitted_and_not_postponed() -> None:
    daily = give(DRUG, 5.0, start=0.0, stop=50.0)
    rules = [Rule("hold", when=below("marker", 20.0), then=hold(DRUG), visits=every(7)),
             Rule("resume", when=below("marker", 5.0), then=resume(DRUG), visits=every(7), after="hold")]  # fmt: skip
    solution = follow(rules, daily, kill=0.005)
    held, back = solution.events["hold"].first[0], solution.events["resume"].first[0]
    assert (held, back) == (14.0, 28.0)  # 60 exp(-0.1 t) is below 20 after day 10.99, below 5 after 24.8
    days = np.array([day for day in np.arange(50.0) if not held <= day < back])
    np.testing.assert_allclose(solution.delivered[DRUG], 5.0 * len(days), rtol=1e-12)
    after = solution.times[:, None] - days
    right = np.sum(np.where(after > 0.0, 5.0 * np.exp(-FADING * after), 0.0), axis=1)
    np.testing.assert_allclose(solution["amount"][0, 1:], right[1:], rtol=1e-8)
    killed = np.sum(exposure(after, 5.0), axis=1)
    np.testing.assert_allclose(solution["cells"][0], 1e3 * np.exp(0.05 * solution.times - 0.005 * killed), rtol=1e-7)


def test_a_drug_held_whenever_it_is_too_high_stays_between_its_limits() -> None:
    rules = [Rule("too high", when=above("amount", 12.0), then=hold(DRUG), once=False),
             Rule("low again", when=below("amount", 6.0), then=resume(DRUG), after="too high", once=False)]  # fmt: skip
    solution = follow(rules, give(DRUG, 5.0, start=0.0, stop=100.0))
    level, day, given, on = 0.0, 0, 0, True
    highs, lows = [], []
    while day < 100:  # by hand, from day to day
        if on:
            level, given = level + 5.0, given + 1
            if level > 12.0:
                highs.append(float(day))
                on = False
        if not on and level * np.exp(-FADING) < 6.0:
            lows.append(day + np.log(level / 6.0) / FADING)
            on = True
        level, day = level * np.exp(-FADING), day + 1
    np.testing.assert_allclose(solution.events["too high"].days[0], highs, rtol=1e-9)
    np.testing.assert_allclose(solution.events["low again"].days[0], lows, rtol=1e-9)
    np.testing.assert_allclose(solution.delivered[DRUG], 5.0 * given, rtol=1e-12)


def test_an_infusion_under_way_ends_when_its_drug_is_stopped_or_held() -> None:
    drip = Regimen((Infusion(DRUG, 40.0, 20.0, 5.0), Infusion(DRUG, 10.0, 10.0, 60.0)))
    moment = np.log(60.0 / 20.0) / 0.1  # day 10.99
    for action, later in ((stop(DRUG), 0.0), (hold(DRUG), 10.0)):
        rules = [Rule("low", when=below("marker", 20.0), then=action),
                 Rule("lower", when=below("marker", 5.0), then=resume(DRUG))]  # fmt: skip
        solution = follow(rules, drip)
        np.testing.assert_allclose(solution.delivered[DRUG], 2.0 * (moment - 5.0) + later, rtol=1e-8)
        at_end = 2.0 / FADING * -np.expm1(-FADING * (moment - 5.0))
        some = (solution.times > moment) & (solution.times < 60.0)
        right = at_end * np.exp(-FADING * (solution.times[some] - moment))
        np.testing.assert_allclose(solution["amount"][0, some], right, rtol=1e-7)


def test_treatment_stops_at_remission_and_starts_anew_at_each_relapse() -> None:
    cycle = start(give(DRUG, 10.0, start=0.0, stop=400.0, every=7.0))
    rules = [
        Rule("relapse", when=risen("cells", 4.0), then=cycle, visits=every(7)),
        Rule("remission", when=fallen("cells", 0.1), then=stop(DRUG), visits=every(7), after="relapse"),
        Rule("second relapse", when=risen("cells", 10.0), then=cycle, visits=every(7), after="remission"),
    ]
    solution = follow(rules, until=400.0)
    days, cells, lowest, doses = np.arange(0.0, 400.0, 7.0), 1e3, 1e3, []
    stage, baseline, found = 0, 1e3, []
    for day in days:  # by hand, from visit to visit
        if day > 0 and stage < 3:
            lowest = min(lowest, cells)
            fires = (cells >= 4.0 * lowest, cells <= 0.1 * baseline, cells >= 10.0 * lowest)[stage]
            if fires:
                found.append(day)
                stage, baseline, lowest = stage + 1, cells, cells
        if stage in (1, 3):
            doses.append(day)
        since = day - np.array(doses)
        cells *= np.exp(0.05 * 7.0 - 0.1 * np.sum(exposure(since + 7.0, 10.0) - exposure(since, 10.0)))
    assert len(found) == 3
    assert [float(solution.events[rule.name].first[0]) for rule in rules] == found
    np.testing.assert_allclose(solution.delivered[DRUG], 10.0 * len(doses) + (10.0 if days[-1] + 7.0 == 400.0 else 0.0))


def test_conditions_join() -> None:
    both, either = above("cells", 2e3) & below("marker", 1.0), above("cells", 2e3) | below("marker", 1.0)
    own = Condition(("cells",), lambda look: look.now("cells") > look.values["cells"][:, 0] * 2.0)
    rules = [Rule(name, when=when, visits=every(1)) for name, when in
             {"both": both, "either": either, "not both": ~both, "own": own}.items()]  # fmt: skip
    solution = follow(rules)
    found = {name: float(fired.first[0]) for name, fired in solution.events.items()}
    assert found == {"both": 41.0, "either": 14.0, "not both": 1.0, "own": 14.0}  # cells after 13.9, marker after 40.9


def test_a_rule_fires_once_or_every_time_that_its_condition_begins_to_hold() -> None:
    tablets = Regimen(tuple(Bolus(DRUG, 10.0, day) for day in (5.0, 35.0, 65.0)))
    for visits, right in ((None, [5.0, 35.0, 65.0]), (every(2), [6.0, 36.0, 66.0])):
        rules = [Rule("first", when=above("amount", 1.0), visits=visits),
                 Rule("every", when=above("amount", 1.0), visits=visits, once=False)]  # fmt: skip
        solution = follow(rules, tablets)
        np.testing.assert_array_equal(solution.events["every"].days, [right])
        np.testing.assert_array_equal(solution.events["first"].days, [right[:1]])
        assert (solution.events["every"].count, solution.events["first"].count) == (3, 1)


def test_a_patient_that_cannot_be_integrated_has_no_events_and_stays_where_it_failed() -> None:
    rules = [Rule("watched", when=above("cells", 5e3)), Rule("seen", when=above("cells", 5e3), visits=every(7))]
    both = follow(rules, growth=np.array([0.05, 60.0]), n=2)
    alone = follow(rules, growth=0.05)
    assert [failure.patient for failure in both.failures] == [1]
    assert both.failures[0].day < 21.0
    for name in ("watched", "seen"):
        np.testing.assert_array_equal(both.events[name].first, [alone.events[name].first[0], np.nan])
    np.testing.assert_array_equal(both.courses[:1], alone.courses)


@pytest.mark.parametrize("moment", [33.3, 111.1, 250.4])
def test_eradication_knows_the_doses_that_rules_gave(moment: float) -> None:
    cells = State("cells", "cell", "cells that divide", "tumour", symbol("cells_baseline"), 1e-6, "N")
    infused = State("infused", "cell/uL", "cells that kill", "CAR-T", symbol("zero"), 1e-9, "I")
    division = Quantity("k_division", "1/day", "division rate", symbol("division"), "b")
    system = System(
        name="birth and death",
        states=(cells, infused),
        quantities=(division,),
        inputs=(),
        flows=(
            Flow("growth", symbol("growth") * cells.symbol, into=cells),
            Flow("killing", symbol("kill") * infused.symbol * cells.symbol, out_of=cells),
        ),
        observables=("cells",),
        branching=Branching((cells,), division),
    )
    growth, kill, division_rate, limit = 0.02, 0.08, 0.05, 2e3 * np.exp(0.02 * moment)
    until = moment + np.log(limit) / (kill - growth)  # one cell is left
    rule = Rule("cells", when=above("cells", limit), then=start(infuse("ide_cel", 5e6)))
    numbers = people(cells_baseline=2e3, growth=growth, kill=kill, division=division_rate, blood_volume=5.0)
    found = simulate(numbers, NOTHING, times=[until], rules=[rule], system=system, solver=Solver(rtol=1e-9, few=np.inf))
    grown, area = growth * moment, -np.expm1(-growth * moment) / growth  # Kendall 1948, as in the tests of eradication
    later, net = until - moment, growth - kill
    area += np.exp(-grown) * -np.expm1(-net * later) / net
    single = 1.0 / (np.exp(-grown - net * later) + division_rate * area)
    assert 0.05 < found.eradication[0] < 0.95
    # an interval of half a day is taken to be before or after the infusion as a whole
    np.testing.assert_allclose(np.log(found.eradication), -2e3 * single, rtol=0.25 * kill + 1e-3)


# patients under rules among others


OTHER = "lenalidomide"
N = 23
CATALOGUE = read_catalogue()
PATIENTS = make_patients(CATALOGUE, draw(CATALOGUE, N, seed=5), product="cilta_cel", population="late_line")
CELLS = infuse("cilta_cel") + give(OTHER, start=30.0, months=6.0, cycle=28, days_on=21)
DAYS = np.arange(0.0, 400.0, 30.0)
HOST = 0.8


def treated(rules: list[Rule], rows: slice | np.ndarray = slice(None), workers: int = 1) -> Solution:
    some = {name: values[rows] for name, values in PATIENTS.items()}
    return simulate(some, CELLS, times=DAYS, rules=rules, solver=Solver(workers=workers))


def test_a_watch_that_never_stops_anybody_changes_no_bit() -> None:
    plain, watched = treated([]), treated([Rule("never", when=above("tumour", 1e30), then=stop(OTHER))])
    np.testing.assert_array_equal(plain.courses, watched.courses)
    np.testing.assert_array_equal(plain.eradication, watched.eradication)
    np.testing.assert_array_equal(plain.steps, watched.steps)
    assert not watched.events["never"].count.any()


def test_visits_at_which_nothing_happens_change_no_more_than_the_tolerance() -> None:
    plain, visited = treated([]), treated([Rule("never", when=above("tumour", 1e30), visits=every(28))])
    np.testing.assert_allclose(np.log(visited["tumour"]), np.log(plain["tumour"]), atol=1e-3)
    np.testing.assert_allclose(visited.delivered[OTHER], plain.delivered[OTHER], rtol=1e-12)


def test_under_rules_a_patient_does_not_depend_on_its_company() -> None:
    rules = [
        Rule("fewer cells", when=below("tumour", 1e9), then=hold(OTHER)),
        Rule("back", when=above("tumour", 1e10), then=resume(OTHER), after="fewer cells", once=False),
        Rule("host", when=below("host", HOST), then=stop(OTHER), visits=every(14)),
    ]
    whole = treated(rules)
    assert np.isfinite(whole.events["fewer cells"].first).any()
    for rows, workers in ((slice(None), 3), (np.arange(N)[::-1], 1), (np.array([11]), 1), (np.arange(2, N, 3), 2)):
        some = treated(rules, rows, workers)
        np.testing.assert_array_equal(some.courses, whole.courses[rows])
        np.testing.assert_array_equal(some.eradication, whole.eradication[rows])
        np.testing.assert_array_equal(some.steps, whole.steps[rows])
        for name, fired in some.events.items():
            np.testing.assert_array_equal(fired.first, whole.events[name].first[rows])
            np.testing.assert_array_equal(fired.count, whole.events[name].count[rows])
