"""A patient under rules is alone with them: neither company nor rules that never fire change a bit of its course."""

import numpy as np

from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.regimen import give, infuse
from perdure.model.regimens.rules import Rule, above, below, every, hold, resume, stop
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.parameters.patients import draw, make_patients

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
