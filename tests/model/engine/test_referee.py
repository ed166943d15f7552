"""The compiled engine against scipy, which solves the same equations in other ways."""

import math
from functools import cache

import numpy as np
import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.engine.referee import Levels, referee
from perdure.model.myeloma import assemble, myeloma
from perdure.model.regimens.regimen import Infusion, Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution

TIMES = np.array([0, 1, 3, 7, 10, 14, 21, 28, 40, 60, 74, 90, 120, 180, 270, 365.0])
CASES = (
    "fast growth", "slow growth", "deep response", "split dose", "lenalidomide", "infused drug", "crenigacestat",
    "teclistamab", "a second product after lymphodepletion", "the same product again",
)  # fmt: skip


@cache
def case(name: str) -> tuple[dict[str, np.ndarray], Regimen]:
    """One patient and what is given."""
    changes: dict[str, float] = {
        "fast growth": {"k_growth_tumour": 0.06, "k_kill_max": 1.2},
        "slow growth": {"k_growth_tumour": 0.004, "k_kill_max": 1.0},
        "deep response": {"k_kill_max": 2.0, "density_bcma": 1500.0, "k_death_memory": 0.003},
    }.get(name, {})
    typical = read_catalogue().typical("ide_cel", "late_line")
    typical |= {"light_chain_only": 0.0, "immunogenic": 1.0, "effect_lenalidomide": 0.5, **changes}
    added = {
        "lenalidomide": give("lenalidomide", 10, start=14, stop=74),
        "infused drug": Regimen((Infusion("lenalidomide", 200, 7.3, 20.0), Infusion("lenalidomide", 90, 3.0, 25.0))),
        "crenigacestat": give("crenigacestat", 25, start=-2, stop=40, days_of_week=(0, 2, 4)),
        "teclistamab": give("teclistamab", start=60, months=6, every=7),
        "a second product after lymphodepletion": give("lymphodepletion", start=175, stop=178)
        + infuse("cilta_cel", day=180),
        "the same product again": infuse("ide_cel", day=100),
    }.get(name, Regimen())
    cells = infuse("ide_cel", split=(0.2, 0.3, 0.5), every=2) if name == "split dose" else infuse("ide_cel")
    for number, product in enumerate((cells + added).products[1:], start=2):
        second = read_catalogue().typical(product, "late_line")
        typical |= {f"{key}_{number}": second[key] for key in second if read_catalogue()[key].of_product}
    return {key: np.array([value]) for key, value in typical.items()}, cells + added


@cache
def engine(name: str, rtol: float = 1e-8) -> Solution:
    patients, regimen = case(name)
    return simulate(patients, regimen, times=TIMES, solver=Solver(rtol=rtol, workers=1))


@cache
def judged(name: str, method: str) -> dict[str, np.ndarray]:
    patients, regimen = case(name)
    return referee(patients, regimen, TIMES, method=method, rtol=1e-9)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("method", ["Radau", "LSODA"])
@pytest.mark.parametrize("name", CASES)
def test_the_engine_and_scipy_see_the_same_tumour(name: str, method: str) -> None:
    tumour = engine(name)["tumour"][0]
    assert tumour[0] / tumour.min() > 10, "the case should respond, or little is tested"
    difference = np.log(tumour) - np.log(judged(name, method)["tumour"])
    assert np.abs(difference).max() < 5e-5


@pytest.mark.parametrize("name", CASES)
def test_the_engine_and_scipy_see_the_same_of_everything_else(name: str) -> None:
    solution, right = engine(name), judged(name, "Radau")
    # An absolute tolerance is what nobody cares about: some hundred of them may gather in a year.
    slack = {state.name: 300 * state.tolerance for state in assemble(case(name)[1]).system.states}
    for pool in ("car_t", "engaged", "cells", "engaged_2", "cells_2"):
        slack[pool] = slack["effector"]
    present = right["car_t"] > 0.1
    for observable in solution.names:
        seen, expected = solution[observable][0], right[observable]
        if observable == "exhausted_fraction":  # a share of next to nothing means nothing
            seen, expected = seen[present], expected[present]
        np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=slack.get(observable, 0.0), err_msg=observable)


def test_the_default_tolerance_is_good_enough_for_endpoints() -> None:
    for name in CASES:
        difference = np.log(engine(name, 1e-6)["tumour"][0]) - np.log(judged(name, "LSODA")["tumour"])
        assert np.abs(difference).max() < 1e-3, name


def test_both_referees_agree_with_each_other() -> None:
    for name in CASES:
        one, other = judged(name, "Radau")["tumour"], judged(name, "LSODA")["tumour"]
        np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=name)


def test_drug_levels_of_the_referee_superpose_and_follow_bateman() -> None:
    patients, _ = case("lenalidomide")
    levels = Levels(myeloma(), patients, 0)
    place = levels.drugs.index("lenalidomide")
    two = give("lenalidomide", 10, start=0, stop=2)
    one = levels.after(two.doses[:1], 0.0)
    both = levels.after(two.doses, 1.0)
    assert both(1.7)[place] == pytest.approx(one(1.7)[place] + one(0.7)[place], rel=1e-12)
    clearance, volume = patients["clearance_lenalidomide"][0], patients["volume_lenalidomide"][0]
    ka, k, t = patients["k_absorption_lenalidomide"][0], clearance / volume, 0.2
    bateman = 10 / volume * ka / (ka - k) * (math.exp(-k * t) - math.exp(-ka * t))
    assert one(t)[place] == pytest.approx(bateman, rel=1e-12)


def test_a_long_infusion_reaches_rate_over_clearance() -> None:
    patients, _ = case("lenalidomide")
    levels = Levels(myeloma(), patients, 0)
    place = levels.drugs.index("lenalidomide")
    drip = Regimen((Infusion("lenalidomide", 700.0, 70.0, 0.0),))
    assert levels.after(drip.doses, 0.0)(69.9)[place] == pytest.approx(10.0 / patients["clearance_lenalidomide"][0])
