"""Without llvmlite everything still runs, slower: scipy makes the steps, and says the same."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import sympy

from perdure.model.catalogue import read_catalogue
from perdure.model.engine import choice
from perdure.model.engine.batch import Batch, Recording, Schedule
from perdure.model.myeloma import myeloma
from perdure.model.preparation import FEWEST_TERMS, numbers_of
from perdure.model.regimens.regimen import Infusion, Regimen, give, infuse
from perdure.model.regimens.rules import Rule, above, below, every, hold, resume, start
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.system.system import Flow, State, System, symbol
from perdure.parameters.errors import InputError, UnknownNameError
from perdure.parameters.patients import draw, make_patients

CATALOGUE = read_catalogue()
PATIENTS = make_patients(CATALOGUE, draw(CATALOGUE, 2, seed=8), product="ide_cel", population="late_line")
DAYS = np.array([0.0, 0.5, 1.0, 3.3, 7.0, 12.9, 20.0, 28.0, 41.7, 60.0])
CELLS = infuse("ide_cel")
DRIP = Regimen((Infusion("lenalidomide", 200.0, 7.3, 20.0), Infusion("lenalidomide", 90.0, 3.0, 25.0)))
CASES = {
    "cells alone": CELLS,
    "cells in three parts": infuse("ide_cel", split=(0.2, 0.3, 0.5), every=2),
    "tablets": CELLS + give("lenalidomide", 10, start=14, stop=30),
    "an infusion over time": CELLS + DRIP,
    "a drug from before day 0": CELLS + give("crenigacestat", 25, start=-2, stop=12, days_of_week=(0, 2, 4)),
    "no cells": give("lenalidomide", 25, start=3, stop=12),
}


def both(regimen: Regimen, rtol: float = 1e-7, **more: object) -> tuple[Solution, Solution]:
    """The same simulation by compiled code and by scipy."""
    fast, slow = (
        simulate(PATIENTS, regimen, times=DAYS, solver=Solver(rtol=rtol, workers=1, engine=engine), **more)  # type: ignore[arg-type]
        for engine in ("compiled", "scipy")
    )
    return fast, slow


def agree(fast: Solution, slow: Solution) -> None:
    """They agree as well as both are right."""
    assert not fast.failures
    assert not slow.failures
    np.testing.assert_allclose(np.log(slow["tumour"]), np.log(fast["tumour"]), rtol=0, atol=1e-5)
    for name in slow.names:
        scale = np.abs(fast[name]).max(initial=1e-300, where=np.isfinite(fast[name]))
        atol = 1e-6 * scale
        present = (fast["car_t"] > 0.1) if name == "exhausted_fraction" else np.full(fast[name].shape, True)
        np.testing.assert_allclose(slow[name][present], fast[name][present], rtol=1e-4, atol=atol, err_msg=name)
    for therapy, amount in fast.delivered.items():
        np.testing.assert_allclose(slow.delivered[therapy], amount, rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_scipy_and_compiled_code_see_the_same_courses(name: str) -> None:
    agree(*both(CASES[name]))


@pytest.mark.parametrize("name", ["cells alone", "tablets"])
def test_the_chance_of_eradication_is_the_same(name: str) -> None:
    cured = {**PATIENTS, "k_kill_max": np.array([8.0, 8.0]), "tumour_baseline": np.array([1.0, 100.0])}
    fast, slow = (
        simulate(cured, CASES[name], times=DAYS, solver=Solver(rtol=1e-8, few=1e300, workers=1, engine=engine))
        for engine in ("compiled", "scipy")
    )
    assert ((fast.eradication > 0.01) & (fast.eradication < 0.99)).all(), "or little is tested"
    np.testing.assert_allclose(slow.eradication, fast.eradication, rtol=1e-6)


def test_rules_fire_at_the_same_moments() -> None:
    rules = [
        Rule("tablets", when=above("car_t", 5.0), then=start(give("lenalidomide", 10, start=0, stop=20))),
        Rule("rest", when=below("host", 0.7 * 1e3), then=hold("lenalidomide")),
        Rule("look", when=below("tumour", 1e10), then=resume("lenalidomide"), visits=every(7), after="rest"),
    ]
    fast, slow = both(CELLS, rules=rules)
    agree(fast, slow)
    assert np.isfinite(fast.events["tablets"].first).all(), "or little is tested"
    for name, fired in fast.events.items():
        np.testing.assert_allclose(slow.events[name].days, fired.days, rtol=1e-6, err_msg=name)


def test_going_on_from_a_checkpoint_is_going_on() -> None:
    system = myeloma(())
    engine = choice.make_engine(system, FEWEST_TERMS, engine="scipy")
    numbers = numbers_of(system, [], engine.parameters, PATIENTS)
    settings = Solver(rtol=1e-8).settings(0.0)
    schedule = Schedule.same([(0.0, 0, [state.name for state in system.states].index("infused"), 4.5e8)], 2)
    after = Schedule(schedule.doses, schedule.targets, schedule.edges + np.array([1, 0]))

    def batch(halt: int = 0) -> Batch:
        return Batch(engine, numbers, Recording(DAYS, np.zeros(0)), settings, np.array([halt]))

    whole, parts = batch(), batch()
    whole.advance(schedule, 60.0)
    parts.advance(schedule, 20.0, final=False)
    assert parts.day.tolist() == [20.0, 20.0]
    assert np.isnan(parts.observed()[:, DAYS > 20.0]).all()
    parts.advance(after, 60.0)
    np.testing.assert_allclose(parts.observed(), whole.observed(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(parts.delivered, whole.delivered)
    halted = batch(halt=1)
    halted.advance(schedule, 60.0)
    assert halted.steps.tolist() == [0, 0]
    assert np.isnan(halted.observed()).all()


def test_a_stiff_system_is_solved() -> None:
    fast_one, slow_one = (
        State(name, "", "something", "none", sympy.Integer(1), 1e-9, name) for name in ("fast", "slow")
    )
    flows = (
        Flow("relaxation", 1e7 * (symbol("fast") - symbol("slow")), out_of=fast_one),
        Flow("decay", symbol("k_growth_tumour") * symbol("slow"), out_of=slow_one),
    )
    system = System("two rates", (fast_one, slow_one), (), (), flows, ("fast", "slow"))
    solver = Solver(rtol=1e-8, method="stiff", engine="scipy", most_steps=1000)
    solution = simulate({"k_growth_tumour": np.array([0.1])}, Regimen(), times=DAYS, system=system, solver=solver)
    for name in ("fast", "slow"):
        np.testing.assert_allclose(solution[name][0], np.exp(-0.1 * DAYS), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"k_growth_tumour": 1e6}, "more steps than allowed"),
        ({"tumour_baseline": 1e307, "engagement_volume": 1e-300}, "a value became infinite or not a number"),
    ],
)
def test_a_patient_that_fails_leaves_the_other_alone(changes: dict[str, float], reason: str) -> None:
    sick = {name: np.array([changes.get(name, values[0]), values[1]]) for name, values in PATIENTS.items()}
    solver = Solver(most_steps=300, engine="scipy", workers=1)
    solution = simulate(sick, CELLS, times=DAYS, solver=solver)
    assert [(failure.patient, failure.reason) for failure in solution.failures] == [(0, reason)]
    assert np.isnan(solution["tumour"][0]).all()
    well = simulate(PATIENTS, CELLS, times=DAYS, solver=solver)
    np.testing.assert_array_equal(solution["tumour"][1], well["tumour"][1])


def test_a_step_that_collapses_is_a_failure_by_scipy_too() -> None:
    state = State("stock", "", "something", "none", symbol("k_growth_tumour"), 1e-9, "x")
    system = System("a stock", (state,), (), (), (Flow("explosion", symbol("stock") ** 2, into=state),), ("stock",))
    patients = {"k_growth_tumour": np.array([2.0])}
    [failure] = simulate(patients, Regimen(), times=[1.0], system=system, solver=Solver(engine="scipy")).failures
    assert failure.reason == "the step size collapsed"
    assert failure.day == pytest.approx(0.5, rel=1e-6)
    assert failure.case["solver"]["engine"] == "scipy"


# Which engine runs


def test_a_name_that_is_no_engine_or_method_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match=r"solver: There is no engine 'scipi'\. Did you mean 'scipy'"):
        simulate(PATIENTS, CELLS, times=DAYS, solver=Solver(engine="scipi"))  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="solver: There is no method 'stif'"):
        simulate(PATIENTS, CELLS, times=DAYS, solver=Solver(method="stif"))  # type: ignore[arg-type]


def test_without_llvmlite_compiled_code_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "why_not_compiled", lambda: "No module named 'llvmlite'")
    with pytest.raises(InputError, match=r"engine = 'compiled' needs llvmlite, which cannot be imported \(No module"):
        simulate(PATIENTS, CELLS, times=DAYS, solver=Solver(engine="compiled"))


def child(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own."""
    return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)


WITHOUT = """
import sys
sys.modules["llvmlite"] = None  # what "import llvmlite" then finds is that it cannot be imported
"""
TWO_PATIENTS = """
import numpy as np
from perdure import draw, infuse, make_patients, read_catalogue, simulate
catalogue = read_catalogue()
patients = make_patients(catalogue, draw(catalogue, 2, seed=8), product="ide_cel", population="late_line")
for _ in range(2):
    solution = simulate(patients, infuse("ide_cel"), times=[0.0, 28.0, 60.0])
print(solution["tumour"].tolist(), len(solution.failures))
"""


def test_without_llvmlite_two_patients_are_simulated_and_a_warning_is_given_once(tmp_path: Path) -> None:
    done = child(WITHOUT + TWO_PATIENTS, tmp_path)
    assert done.returncode == 0, done.stderr
    tumour, _, failures = done.stdout.strip().rpartition(" ")
    expected = simulate(PATIENTS, CELLS, times=[0.0, 28.0, 60.0])["tumour"]
    np.testing.assert_allclose(np.array(json.loads(tumour)), expected, rtol=1e-4)
    assert failures == "0"
    assert done.stderr.count("SlowEngineWarning: llvmlite cannot be imported") == 1
    assert "<string>:" in done.stderr, "the warning points at the line that simulates"


def test_who_asks_for_scipy_is_not_warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(PATIENTS, CELLS, times=[0.0, 1.0], solver=Solver(engine="scipy"))


def test_importing_the_simulation_does_not_load_llvmlite(tmp_path: Path) -> None:
    done = child("import sys, perdure.model.simulate; print('llvmlite' in sys.modules)", tmp_path)
    assert done.stdout.strip() == "False", done.stderr
