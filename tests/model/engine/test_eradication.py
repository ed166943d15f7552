"""The probability of eradication: closed forms, another integrator, and cells that are born and die one by one."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from perdure.model import simulate as door
from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.regimen import Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.system.system import Branching, Flow, Quantity, State, System, symbol
from perdure.parameters.patients import draw, make_patients

CATALOGUE = read_catalogue()
NOTHING = Regimen()
ONE = 5e6  # cells that make one cell per microlitre in five litres of blood


def two_types() -> System:
    """Sensitive and resistant cells that turn into one another; one infusion switches killing on, a second one off."""
    sensitive, resistant = (
        State(name, "cell", f"{name} cells", "tumour", symbol(f"{name}_baseline"), 1e-6, name[0].upper())
        for name in ("sensitive", "resistant")
    )
    infused = State("infused", "cell/uL", "cells that stay", "CAR-T", symbol("zero"), 1e-9, "I")
    division = Quantity("k_division", "1/day", "division rate", symbol("division"), "b")
    switch = infused.symbol * (2 - infused.symbol)
    kill = Quantity(
        "pressure", "1/day", "killing while there is one infused cell per microlitre", symbol("kill") * switch, "h"
    )
    return System(
        name="two types",
        states=(sensitive, resistant, infused),
        quantities=(division, kill),
        inputs=(),
        flows=(
            Flow("growth of sensitive", symbol("net") * sensitive.symbol, into=sensitive),
            Flow("growth of resistant", symbol("net") * resistant.symbol, into=resistant),
            Flow("killing", symbol("pressure") * sensitive.symbol, out_of=sensitive),
            Flow("gain", symbol("gain") * sensitive.symbol, out_of=sensitive, into=resistant),
            Flow("loss", symbol("loss") * resistant.symbol, out_of=resistant, into=sensitive),
            Flow("none", symbol("zero") * infused.symbol, out_of=infused),
        ),
        observables=("sensitive", "resistant"),
        branching=Branching((sensitive, resistant), division),
    )


TWO_TYPES = two_types()
ON_AND_OFF = infuse("ide_cel", ONE, day=10.0) + infuse("ide_cel", ONE, day=20.0)


def probability(regimen: Regimen = NOTHING, until: float = 60.0, **values: float) -> float:
    numbers = {"sensitive_baseline": 0.0, "resistant_baseline": 0.0, "kill": 0.0, "gain": 0.0, "loss": 0.0, "zero": 0.0,
               "blood_volume": 5.0, **values}  # fmt: skip
    patients = {name: np.array([value]) for name, value in numbers.items()}
    return float(simulate(patients, regimen, times=[until], system=TWO_TYPES, solver=Solver(few=np.inf)).eradication[0])


def survival(pieces: list[tuple[float, float]], division: float) -> float:
    """A line of one cell is alive: 1 / (exp(-R) + b int exp(-R)), R being the integrated net growth (Kendall 1948).

    `pieces` are (days, net growth) in the order of time.
    """
    grown, area = 0.0, 0.0
    for days, net in pieces:
        area += np.exp(-grown) * (days if net == 0 else -np.expm1(-net * days) / net)
        grown += net * days
    return 1.0 / (np.exp(-grown) + division * area)


@pytest.mark.parametrize(("net", "cells"), [(-0.3, 1e7), (-0.05, 30.0), (0.0, 10.0), (0.02, 3.0)])
def test_constant_rates_give_the_closed_form_of_birth_and_death(net: float, cells: float) -> None:
    found = probability(net=net, division=0.04, sensitive_baseline=cells)
    np.testing.assert_allclose(found, np.exp(-cells * survival([(60.0, net)], 0.04)), rtol=1e-8)
    assert 1e-4 < found < 0.9999


def test_killing_that_is_switched_on_and_off_gives_the_closed_form_for_changing_rates() -> None:
    found = probability(ON_AND_OFF, net=0.02, division=0.05, kill=1.2, sensitive_baseline=1e5)
    single = survival([(10.0, 0.02), (10.0, 0.02 - 1.2), (40.0, 0.02)], 0.05)
    np.testing.assert_allclose(found, np.exp(-1e5 * single), rtol=1e-6)
    np.testing.assert_allclose(found, (1.0 - single) ** 1e5, rtol=1e-3)  # a number of cells instead of its mean
    assert 0.1 < found < 0.9


@pytest.mark.parametrize(("gain", "loss"), [(0.02, 0.01), (1e-4, 0.0), (0.1, 0.1)])
def test_two_types_that_turn_into_one_another_give_what_another_integrator_gives(gain: float, loss: float) -> None:
    net, division, kill, until = 0.02, 0.05, 1.2, 200.0

    def backwards(s: float, u: np.ndarray) -> list[float]:
        pressure = kill if 10.0 <= until - s < 20.0 else 0.0
        return [
            (net - pressure) * u[0] - division * u[0] ** 2 + gain * (u[1] - u[0]),
            net * u[1] - division * u[1] ** 2 + loss * (u[0] - u[1]),
        ]

    u = np.ones(2)
    for start, stop in ((0.0, until - 20.0), (until - 20.0, until - 10.0), (until - 10.0, until)):
        inner = (start + 1e-9, stop - 1e-9)
        u = solve_ivp(backwards, inner, u, rtol=1e-10, atol=1e-14).y[:, -1]
    cells = 0.7 / u[0]
    found = probability(
        ON_AND_OFF, until, net=net, division=division, kill=kill, gain=gain, loss=loss, sensitive_baseline=cells
    )
    np.testing.assert_allclose(found, np.exp(-0.7), rtol=0.01)


def strong(n: int, **changes: float) -> dict[str, np.ndarray]:
    """Patients killed so hard that some tumours may die out."""
    numbers = CATALOGUE.with_values({"cilta_cel.half_density_kill": 80.0, "k_kill_max": 6.0, **changes})
    return dict(make_patients(numbers, draw(CATALOGUE, n, seed=3), product="cilta_cel", population="late_line"))


def small_tumour(**changes: float) -> dict[str, np.ndarray]:
    """One typical patient with few cells that the product sees well, none of them null."""
    typical = CATALOGUE.typical("cilta_cel", "late_line")
    nulls = ("fraction_null_bcma", "fraction_null_gprc5d", "probability_loss_bcma", "probability_loss_gprc5d")
    numbers = {**typical, **dict.fromkeys(nulls, 0.0), "tumour_baseline": 1e7, "half_antigen": 1e6,
               "half_density_kill": 65.0, "k_kill_max": 5.0, **changes}  # fmt: skip
    return {name: np.array([value]) for name, value in numbers.items()}


@pytest.fixture(scope="module")
def population() -> tuple[dict[str, np.ndarray], np.ndarray]:
    patients = strong(30, tumour_baseline=2e10, half_antigen=5e8)
    return patients, simulate(patients, infuse("cilta_cel"), times=[1000.0]).eradication


def test_it_is_a_probability_and_this_population_holds_every_kind_of_it(population: tuple[dict, np.ndarray]) -> None:
    _, found = population
    assert np.all((found >= 0.0) & (found <= 1.0))
    assert np.sum((found > 0.02) & (found < 0.98)) >= 4


def finer(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Cut every interval into so many."""
    coarse = door.eradication_grid
    monkeypatch.setattr(door, "eradication_grid", lambda *given: np.repeat(coarse(*given) / times, times))


def test_twice_as_many_intervals_change_nothing_that_matters(
    population: tuple[dict, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    patients, found = population
    finer(monkeypatch, 2)
    again = simulate(patients, infuse("cilta_cel"), times=[1000.0]).eradication
    np.testing.assert_allclose(again, found, rtol=0.0, atol=0.01)


WITH_DRUGS = {
    "tablets with the cells": give("lenalidomide", start=0.0, months=24.0),
    "tablets in cycles at another hour": give("lenalidomide", start=30.3, months=24.0, cycle=28, days_on=21),
    "three times a week": give("crenigacestat", start=-5.0, months=3.0, days_of_week=(0, 2, 4)),
}


@pytest.mark.parametrize("drug", WITH_DRUGS)
def test_the_hour_of_the_tablets_and_the_intervals_do_not_meet(drug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patients = {name: np.repeat(value, 12) for name, value in small_tumour(sensitive_lenalidomide=1.0).items()}
    patients["k_kill_max"] = np.linspace(1.0, 7.0, 12)
    regimen = infuse("cilta_cel") + WITH_DRUGS[drug]
    found = simulate(patients, regimen, times=[1000.0]).eradication
    finer(monkeypatch, 32)
    np.testing.assert_allclose(found, simulate(patients, regimen, times=[1000.0]).eradication, rtol=0.0, atol=0.005)
    assert found.max() > 0.5


@pytest.mark.parametrize("day", [60.0, 301.3])
def test_an_infusion_that_comes_late_is_followed_as_closely_as_the_first(
    day: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = small_tumour(k_growth_tumour=0.003, k_recovery_host=5e-4, host_capacity=30.0, fraction_fitness_lost=0.0)
    patients = {name: np.repeat(value, 12) for name, value in waiting.items()} | {
        "k_kill_max": np.linspace(1.0, 7.0, 12)
    }
    found = simulate(patients, infuse("cilta_cel", day=day), times=[1000.0]).eradication
    finer(monkeypatch, 8)
    again = simulate(patients, infuse("cilta_cel", day=day), times=[1000.0]).eradication
    np.testing.assert_allclose(found, again, rtol=0.0, atol=0.005)
    assert found.max() > 0.5


def test_where_it_is_not_computed_it_would_have_been_zero(population: tuple[dict, np.ndarray]) -> None:
    patients, found = population
    everywhere = simulate(patients, infuse("cilta_cel"), times=[1000.0], solver=Solver(few=np.inf)).eradication
    np.testing.assert_allclose(found, everywhere, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("stop", [0.3, 25.0, 40.0, 150.0, 200.0, 201.0, 1826.25])
def test_the_intervals_fill_the_simulation(stop: float) -> None:
    for infusions in ((), (0.0,), (0.0, 1.0, 2.0), (300.0,), (10.0, stop, 5000.0)):
        widths = door.eradication_grid(stop, infusions)
        assert np.all(widths > 0.0)
        assert widths.sum() == pytest.approx(stop, rel=1e-12)


def test_harder_killing_makes_eradication_likelier() -> None:
    strengths = np.linspace(1.0, 6.0, 11)
    patients = {name: np.repeat(value, 11) for name, value in small_tumour().items()} | {"k_kill_max": strengths}
    found = simulate(patients, infuse("cilta_cel"), times=[1000.0]).eradication
    assert np.all(np.diff(found) > 0.0)
    assert found[0] < 0.02
    assert found[-1] > 0.3


def test_what_has_died_out_stays_dead() -> None:
    ends = (30.0, 60.0, 120.0, 300.0, 1000.0)
    found = [float(simulate(small_tumour(), infuse("cilta_cel"), times=[end]).eradication[0]) for end in ends]
    assert np.all(np.diff(found) > -1e-4)
    assert found[-1] > found[0] + 0.1


def test_a_clone_without_bcma_cannot_be_eradicated_by_cells_against_bcma() -> None:
    patients = {**strong(20), "fraction_null_bcma": np.full(20, 1e-5), "tumour_baseline": np.full(20, 1e11)}
    for few in (1e6, np.inf):
        found = simulate(patients, infuse("cilta_cel"), times=[1000.0], solver=Solver(few=few)).eradication
        assert np.all(found < 1e-6)
    gone = small_tumour()
    without = simulate(gone, infuse("cilta_cel"), times=[1000.0]).eradication[0]
    with_clone = simulate(
        {**gone, "fraction_null_bcma": np.array([1e-5])}, infuse("cilta_cel"), times=[1000.0]
    ).eradication[0]
    assert with_clone < 1e-6 < without  # a hundred null cells are enough


def die_out(patient: dict[str, np.ndarray], regimen: Regimen, runs: int, days: float, seed: int, step: float) -> float:
    """Share of runs without a cell left, by tau-leaping; density classes and their drift written down a second time.

    The rates are those of the deterministic course. A run that counts ten thousand cells after killing is over has
    survived.
    """
    p = {name: float(value[0]) for name, value in patient.items()}
    times = np.arange(0.0, days + 0.1, 0.1)
    course = simulate(patient, regimen, times=times)
    z = np.linspace(-4.5, 3.0, 7)
    weights = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    share = (p["density_bcma"] * np.exp(p["sd_density"] * z) / p["half_density_kill"]) ** p["hill_density"]
    share = share / (1.0 + share)
    up, down = np.zeros(7), np.zeros(7)
    up[:-1] = p["k_relaxation_density"] / 1.25**2 * np.sqrt(weights[1:] / weights[:-1])
    down[1:] = p["k_relaxation_density"] / 1.25**2 * np.sqrt(weights[:-1] / weights[1:])
    alone = p["k_growth_tumour"] / (1.0 - (p["tumour_reference"] / p["tumour_capacity"]) ** p["exponent_growth"])
    birth = alone + p["k_turnover_tumour"]
    rng = np.random.default_rng(seed)
    cells = rng.poisson(p["tumour_baseline"] * weights, size=(runs, 7))
    day, survived = 0.0, 0
    while day < days and len(cells):
        tau = step if day < 60.0 else 10.0 * step
        middle = day + 0.5 * tau
        pressure = np.interp(middle, times, course["kill_pressure"][0])
        size = (np.interp(middle, times, course["tumour"][0]) + p["tumour_least"]) / p["tumour_capacity"]
        growth = alone * (1.0 - size ** p["exponent_growth"])
        death = birth - growth + pressure * share
        dead = rng.binomial(cells, -np.expm1(-death * tau))
        born = rng.poisson(birth * tau * (cells - 0.5 * dead))
        left = cells - dead
        rise = rng.binomial(left, -np.expm1(-up * tau))
        fall = rng.binomial(left - rise, -np.expm1(-down * tau))
        cells = left + born - rise - fall
        cells[:, 1:] += rise[:, :-1]
        cells[:, :-1] += fall[:, 1:]
        day += tau
        total = cells.sum(axis=1)
        if day > 200.0:
            survived += int(np.sum(total > 10_000))
            total = np.where(total > 10_000, 0, total)
            cells = cells[total > 0]
    return 1.0 - (survived + len(cells)) / runs if day > 200.0 else float(np.mean(cells.sum(axis=1) == 0))


def test_cells_simulated_one_by_one_die_out_as_often_as_the_probability_says() -> None:
    patient, regimen, runs = small_tumour(), infuse("cilta_cel"), 400
    right = float(simulate(patient, regimen, times=[800.0]).eradication[0])
    assert 0.2 < right < 0.8
    found = die_out(patient, regimen, runs, 800.0, seed=11, step=0.1)
    assert abs(found - right) < 3.5 * np.sqrt(right * (1.0 - right) / runs)


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tumour_baseline": 1e9, "half_antigen": 1e7},
        {"k_kill_max": 3.5},
        {"k_growth_tumour": 0.005},
        {"k_relaxation_density": 0.01},
    ],
)
def test_many_cells_simulated_one_by_one_die_out_as_often_as_the_probability_says(changes: dict[str, float]) -> None:
    patient, regimen, runs = small_tumour(**changes), infuse("cilta_cel"), 10_000
    right = float(simulate(patient, regimen, times=[800.0]).eradication[0])
    assert 0.02 < right < 0.98
    found = die_out(patient, regimen, runs, 800.0, seed=7, step=0.02)
    assert abs(found - right) < 3.5 * np.sqrt(right * (1.0 - right) / runs) + 0.01
