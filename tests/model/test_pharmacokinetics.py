"""Pharmacokinetics: closed forms against the compartments they come from, and the shelf against published levels."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.pharmacokinetics import exponentials
from perdure.model.regimens.regimen import Bolus, Infusion, Regimen, give
from perdure.model.simulate import Solver, simulate
from perdure.model.system.system import Flow, Input, Quantity, State, System, symbol
from perdure.model.therapy import PK_NEEDS, Pharmacokinetics, read_therapies, read_therapy
from perdure.parameters.units import DAYS_PER_MONTH

CATALOGUE = read_catalogue()
TYPICAL = CATALOGUE.typical("ide_cel", "late_line")
DRUGS = {drug.key: drug.pk for drug in read_therapies() if drug.pk}
SIX_MONTHS = np.linspace(0.0, 6 * DAYS_PER_MONTH, 100_001)


def numbers_of(drug: str) -> dict[str, float]:
    """Typical numbers of a drug by role."""
    return {role: TYPICAL[name] for role, name in DRUGS[drug].names}


def unit_response(model: str, numbers: Mapping[str, float], times: np.ndarray) -> np.ndarray:
    """Level after a dose of one, by the package."""
    pk = Pharmacokinetics(model, "level", "mg/L", tuple((role, role) for role in numbers))
    weight, rate = exponentials(pk, {role: np.array([value]) for role, value in numbers.items()})
    return (weight[0] * np.exp(-rate[0] * times[:, None])).sum(axis=1)


def compartments(numbers: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray, float]:
    """Matrix of what moves between depot, plasma and tissue (amounts, per day), the start of a dose of one, and what an
    amount in plasma is divided by.
    """
    p = dict(numbers)
    moves = np.zeros((3, 3))
    if "half_life" in p:
        moves[1, 1] = -math.log(2) / p["half_life"]
        return moves, np.array([0.0, 1.0, 0.0]), 1.0
    moves[1, 1] -= p["clearance"] / p["volume"]
    if "clearance_exchange" in p:
        there, back = p["clearance_exchange"] / p["volume"], p["clearance_exchange"] / p["volume_peripheral"]
        moves[1:, 1:] += np.array([[-there, back], [there, -back]])
    if "k_absorption" not in p:
        return moves, np.array([0.0, 1.0, 0.0]), p["volume"]
    moves[:2, 0] += np.array([-1.0, 1.0]) * p["k_absorption"]
    return moves, np.array([p.get("fraction_absorbed", 1.0), 0.0, 0.0]), p["volume"]


def integrated(numbers: Mapping[str, float], times: np.ndarray, infused_over: float = 0.0) -> np.ndarray:
    """The same by an integrator of another house; the dose at once, or at a constant rate over some days."""
    moves, dose, volume = compartments(numbers)
    y, found, start = (dose if infused_over == 0 else np.zeros(3)), np.zeros(len(times)), 0.0
    for stop, gain in ((infused_over, dose / max(infused_over, 1e-300)), (times[-1], np.zeros(3))):
        if stop > start:
            inside = np.flatnonzero((times >= start) & (times <= stop))
            wanted = np.unique([*times[inside], stop])
            answer = solve_ivp(
                lambda _t, y, gain=gain: moves @ y + gain, (start, stop), y, "LSODA", wanted, rtol=1e-11, atol=1e-15,
            )  # fmt: skip
            found[inside] = np.interp(times[inside], answer.t, answer.y[1]) / volume
            y, start = answer.y[:, -1], stop
    return found


# Closed forms


@pytest.mark.parametrize("drug", DRUGS)
def test_every_drug_of_the_shelf_follows_its_compartments(drug: str) -> None:
    numbers = numbers_of(drug)
    slow = min(-np.linalg.eigvals(compartments(numbers)[0]), key=lambda rate: rate.real if rate > 1e-12 else np.inf)
    times = np.concatenate([np.linspace(0.0, 1.0, 30), np.linspace(1.05, 8.0, 40)]) / slow.real
    found = unit_response(DRUGS[drug].model, numbers, times)
    right = integrated(numbers, times)
    np.testing.assert_allclose(found, right, rtol=1e-7, atol=1e-9 * right.max())


ONE = {"clearance": 2.0, "volume": 8.0}
TWO = {"clearance": 0.5, "volume": 4.0, "clearance_exchange": 0.7, "volume_peripheral": 3.0}
RATES = {  # of what is disposed of, per day: the second and third are those of two compartments
    "one_compartment_oral": (ONE, 0),
    "one_compartment_absorbed": ({**ONE, "fraction_absorbed": 0.6}, 0),
    "two_compartment_absorbed, slow": ({**TWO, "fraction_absorbed": 0.7}, 0),
    "two_compartment_absorbed, fast": ({**TWO, "fraction_absorbed": 0.7}, 1),
}


@pytest.mark.parametrize("apart", [0.0, *(sign * 10.0**-k for k in range(3, 9) for sign in (1, -1))])
@pytest.mark.parametrize("case", RATES)
def test_absorption_as_fast_as_disposition_is_no_special_case(case: str, apart: float) -> None:
    numbers, which = RATES[case]
    moves = compartments(numbers)[0][1:, 1:]
    rates = sorted(rate for rate in -np.linalg.eigvals(moves).real if rate > 0)
    numbers = {**numbers, "k_absorption": rates[which] * (1.0 + apart)}
    times = np.linspace(0.0, 10.0 / rates[0], 200)
    found, right = unit_response(case.partition(",")[0], numbers, times), integrated(numbers, times)
    # within a millionth of each other two rates are taken to be a millionth apart
    np.testing.assert_allclose(found, right, rtol=0.0, atol=(1e-8 if abs(apart) > 2e-6 else 2e-6) * right.max())
    assert found.min() > -1e-9 * right.max()


def test_every_model_has_a_weight_at_the_start_that_its_route_demands() -> None:
    for drug, pk in DRUGS.items():
        numbers = numbers_of(drug)
        start = unit_response(pk.model, numbers, np.zeros(1))[0]
        peak = unit_response(pk.model, numbers, np.linspace(0.0, 30.0, 3000)).max()
        if "k_absorption" in numbers:
            assert abs(start) < 1e-9 * peak, "nothing is there before it is absorbed"
        else:
            assert start == pytest.approx(1.0 / numbers.get("volume", 1.0), rel=1e-12)
    assert {pk.model for pk in DRUGS.values()} == set(PK_NEEDS)


@pytest.mark.parametrize("drug", DRUGS)
def test_the_whole_area_is_the_dose_over_the_clearance(drug: str) -> None:
    pk = DRUGS[drug]
    weight, rate = exponentials(pk, {name: np.array([TYPICAL[name]]) for _, name in pk.names})
    numbers = numbers_of(drug)
    if pk.model == "amount":
        right = numbers["half_life"] / math.log(2)
    else:
        right = numbers.get("fraction_absorbed", 1.0) / numbers["clearance"]
    assert (weight / rate).sum() == pytest.approx(right, rel=1e-9)


def levels(drug: str, regimen: Regimen, times: np.ndarray, **changed: float) -> np.ndarray:
    """Level of a drug in a typical patient, by the engine."""
    area = State("area", "", "area under the level", "test", symbol("nothing"), 1e-9, "A")
    system = System(
        "level", (area,), (Quantity("level", "", "the level", symbol(drug), "C"),), (Input(drug, "", "", drug, "C"),),
        (Flow("exposure", symbol("level"), into=area),), ("level",),
    )  # fmt: skip
    patient = {name: np.array([value]) for name, value in {**TYPICAL, "nothing": 0.0, **changed}.items()}
    return simulate(patient, regimen, times=times, system=system)["level"][0]


ONE_OF_EACH = {pk.model: drug for drug, pk in DRUGS.items()}


@pytest.mark.parametrize("duration", [1 / 24, 1.0, 7.0])
@pytest.mark.parametrize("model", ONE_OF_EACH)
def test_an_infusion_fills_the_compartments_at_a_constant_rate(model: str, duration: float) -> None:
    drug, times = ONE_OF_EACH[model], np.unique([*np.linspace(0.0, 28.0, 85), 1 / 48, 1 / 24, 7.0])
    found = levels(drug, Regimen((Infusion(drug, 100.0, duration),)), times)
    right = 100.0 * integrated(numbers_of(drug), times, duration)
    np.testing.assert_allclose(found, right, rtol=1e-7, atol=1e-9 * right.max())


# Published levels


def terminal_half_life(drug: str) -> float:
    """Days."""
    pk = DRUGS[drug]
    _, rate = exponentials(pk, {name: np.array([TYPICAL[name]]) for _, name in pk.names})
    return math.log(2) / float(rate.min())


def test_elranatamab_stays_for_three_weeks() -> None:
    p = numbers_of("elranatamab")
    assert 20.0 < math.log(2) * (p["volume"] + p["volume_peripheral"]) / p["clearance"] < 24.0


def test_talquetamab_has_the_half_life_and_the_levels_of_its_seventh_dose() -> None:
    assert terminal_half_life("talquetamab") == pytest.approx(12.2, rel=0.10)
    dose, day = 0.4 * TYPICAL["body_weight"], 7.0 * np.arange(7)
    week = np.linspace(42.0, 49.0, 701)
    found = levels("talquetamab", Regimen(tuple(Bolus("talquetamab", dose, d) for d in day)), week)
    assert abs(found.max() - 3.80) < 2.41  # mean and SD of 0.4 mg/kg weekly, product information
    assert abs(found[-1] - 2.55) < 1.31


def test_venetoclax_has_the_half_life_peak_and_area_of_400_mg_a_day() -> None:
    assert 24.0 * terminal_half_life("venetoclax") == pytest.approx(26.0, rel=0.02)
    day = np.linspace(20.0, 21.0, 1001)
    found = levels("venetoclax", give("venetoclax", "400 mg", start=0.0, stop=30.0), day)
    assert abs(found.max() - 2.1) < 1.1
    assert 24.0 * np.trapezoid(found, day) == pytest.approx(32.8, rel=0.01)  # mg h/L; their SD is 16.9


def test_clearances_that_fall_over_months_stand_for_their_first_half_year() -> None:
    def fall(start: float, change: float, half: float, steep: float) -> float:
        done = SIX_MONTHS**steep / (half**steep + SIX_MONTHS**steep)
        return float(np.mean(start * np.exp(change * done)))

    belantamab = fall(0.926, -0.403, 66.4, 2.87)  # Papathanasiou 2025
    nivolumab = fall(0.2256, -0.295, 1410 / 24, 3.15)  # Bajaj 2017
    teclistamab = float(np.mean(0.464 + 0.359 * np.exp(-0.0292 * SIX_MONTHS)))  # Miao 2023, mean of its patients
    assert TYPICAL["clearance_belantamab_mafodotin"] == pytest.approx(belantamab, rel=0.005)
    assert TYPICAL["clearance_nivolumab"] == pytest.approx(nivolumab, rel=0.005)
    assert TYPICAL["clearance_teclistamab"] == pytest.approx(teclistamab, rel=0.005)


# What a course does to what it reaches


def course(drug: str, regimen: Regimen, state: str, times: np.ndarray, **changed: float) -> np.ndarray:
    """A state of a typical patient with nothing but a drug."""
    system = replace(myeloma((read_therapy(drug),)), observables=(state,))
    patient = {name: np.array([value]) for name, value in {**TYPICAL, **changed}.items()}
    return simulate(patient, regimen, times=times, system=system, solver=Solver(rtol=1e-9))[state][0]


def test_five_fractions_of_4_gray_kill_five_times_what_one_does() -> None:
    alpha, beta = TYPICAL["effect_linear_radiotherapy"], TYPICAL["effect_quadratic_radiotherapy"]
    regimen = give("radiotherapy", 4.0, start=0.0, stop=5.0)
    assert len(regimen.doses) == 5
    share = course("radiotherapy", regimen, "in_field_radiotherapy", np.arange(0.0, 7.0))
    killed = -np.diff(np.log(share / (1.0 - share)))  # odds of being in the field fall as those inside die
    left = 0.5 ** (1.0 / TYPICAL["half_life_radiotherapy"])  # damage of the day before, not repaired yet
    assert left < 1e-4
    np.testing.assert_allclose(killed[:5], alpha * 4.0 + beta * 16.0, rtol=1e-3)
    assert killed[5] == pytest.approx(0.0, abs=1e-3)
    assert killed.sum() == pytest.approx(5 * (alpha * 4.0 + beta * 16.0), rel=1e-3)


def test_lymphodepletion_leaves_ten_lymphocytes_when_cells_are_given() -> None:
    drug, days = read_therapy("lymphodepletion"), np.linspace(0.0, 60.0, 601)
    assert drug.usual == "510 mg days 0-2"
    before = {"host_before": 400.0, "fraction_lymphodepletion": 0.0}
    host = course(drug.key, give(drug.key, start=0.0, stop=3.0), "host", days, **before)
    assert host[0] == pytest.approx(400.0)
    assert host[50] == pytest.approx(10.0, rel=0.1)  # day 5
    assert host[-1] == pytest.approx(TYPICAL["host_capacity"], rel=0.01)
