"""Doses arrive: closed-form pharmacokinetics against an integrator of another house, and the audit of every dose."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from perdure.model import simulate as door
from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.regimen import Bolus, Infusion, Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.system.system import Flow, Input, Quantity, State, System, symbol
from perdure.parameters.errors import DoseAuditError

ORAL, AMOUNT = "lenalidomide", "crenigacestat"
CLEARANCE, VOLUME, ABSORPTION = f"clearance_{ORAL}", f"volume_{ORAL}", f"k_absorption_{ORAL}"
HALF_LIFE = f"half_life_{AMOUNT}"


def echo() -> System:
    """Records what the two kinds of pharmacokinetics supply, and integrates the exposure."""
    exposure = State("exposure", "mg*day/L", "area under the concentration", "drug", symbol("start"), 1e-9, "A")
    stay = State("stay", "mg*day", "area under the amount", "drug", symbol("start"), 1e-9, "B")
    infused = State("infused", "cell/uL", "cells that stay where they are", "CAR-T", symbol("start"), 1e-9, "I")
    return System(
        name="echo of doses",
        states=(exposure, stay, infused),
        quantities=(
            Quantity("concentration", "mg/L", "oral drug in plasma", symbol(ORAL), "C"),
            Quantity("amount", "mg", "drug in the body", symbol(AMOUNT), "M"),
        ),
        inputs=(Input(ORAL, "mg/L", "", ORAL, "C_o"), Input(AMOUNT, "mg", "", AMOUNT, "C_a")),
        flows=(
            Flow("exposure", symbol("concentration"), into=exposure),
            Flow("stay", symbol("amount"), into=stay),
        ),
        observables=("concentration", "amount", "exposure", "stay", "infused"),
    )


ECHO = echo()


def patient(**changes: float) -> dict[str, np.ndarray]:
    typical = read_catalogue().typical("ide_cel", "late_line")
    return {name: np.array([value]) for name, value in {**typical, "start": 0.0, **changes}.items()}


def depot_and_plasma(_t: float, y: np.ndarray, absorption: float, elimination: float, gain: np.ndarray) -> np.ndarray:
    return gain + np.array([-absorption * y[0], absorption * y[0] - elimination * y[1]])


def by_ode(regimen: Regimen, times: np.ndarray, rates: tuple[float, float], volume: float) -> np.ndarray:
    """Depot and plasma (amount over volume) integrated from event to event; absorption 0 means straight into plasma."""
    absorption, elimination = rates
    edges = {dose.day for dose in regimen.doses} | {
        d.day + d.duration for d in regimen.doses if isinstance(d, Infusion)
    }
    marks = [0.0, *sorted(edges - {0.0}), times[-1] + 1.0]
    body, found = np.zeros(2), np.full(len(times), np.nan)
    into = 0 if absorption > 0 else 1
    for start, stop in pairwise(marks):
        for dose in regimen.doses:
            if isinstance(dose, Bolus) and dose.day == start:
                body[into] += dose.amount
        speed = sum(
            d.amount / d.duration
            for d in regimen.doses
            if isinstance(d, Infusion) and d.day <= start < d.day + d.duration
        )
        gain = np.array([speed, 0.0]) if into == 0 else np.array([0.0, speed])

        inside = (times > start) & (times <= stop)
        done = solve_ivp(
            depot_and_plasma,
            (start, stop),
            body,
            t_eval=np.union1d(times[inside], [stop]),
            rtol=1e-10,
            atol=1e-13,
            method="Radau",
            args=(absorption, elimination, gain),
        )
        found[inside] = done.y[1, : inside.sum()] / volume
        body = done.y[:, -1].copy()
    return found


REGIMENS = {
    "one tablet": Regimen((Bolus(ORAL, 10.0, 0.0),)),
    "a tablet a day": give(ORAL, 10.0, start=0.0, stop=5.0),
    "a slow infusion": Regimen((Infusion(ORAL, 10.0, 2.0, 1.0),)),
    "infusions that overlap a tablet": Regimen(
        (Infusion(ORAL, 5.0, 3.0, 1.0), Infusion(ORAL, 4.0, 1.0, 2.0), Bolus(ORAL, 3.0, 2.0))
    ),
}


@pytest.mark.parametrize("name", REGIMENS)
def test_oral_concentrations_are_those_of_depot_and_plasma_integrated_numerically(name: str) -> None:
    times = np.arange(0.05, 7.0, 0.13)
    someone = patient(**{CLEARANCE: 100.0, VOLUME: 60.0, ABSORPTION: 12.0})
    found = simulate(someone, REGIMENS[name], times=times, system=ECHO)["concentration"][0]
    np.testing.assert_allclose(found, by_ode(REGIMENS[name], times, (12.0, 100.0 / 60.0), 60.0), rtol=1e-6, atol=1e-9)


def test_an_amount_in_the_body_is_that_of_one_compartment_integrated_numerically() -> None:
    times = np.arange(0.05, 7.0, 0.13)
    regimen = Regimen((Bolus(AMOUNT, 25.0, 0.0), Infusion(AMOUNT, 12.0, 1.5, 2.0), Bolus(AMOUNT, 25.0, 2.5)))
    found = simulate(patient(**{HALF_LIFE: 0.4}), regimen, times=times, system=ECHO)["amount"][0]
    np.testing.assert_allclose(found, by_ode(regimen, times, (0.0, np.log(2.0) / 0.4), 1.0), rtol=1e-6, atol=1e-9)


def test_daily_tablets_accumulate_to_the_steady_state_of_the_textbook() -> None:
    absorption, volume, elimination = 10.0, 50.0, 0.2
    someone = patient(**{CLEARANCE: elimination * volume, VOLUME: volume, ABSORPTION: absorption})
    after = np.array([0.1, 0.5, 1.0])  # days since the tablet of a day long after the start
    found = simulate(someone, give(ORAL, 10.0, start=0.0, stop=200.0), times=150.0 + after, system=ECHO)[
        "concentration"
    ][0]
    scale = 10.0 * absorption / (volume * (absorption - elimination))
    right = scale * sum(
        sign * np.exp(-rate * after) / (1.0 - np.exp(-rate)) for sign, rate in ((1.0, elimination), (-1.0, absorption))
    )
    np.testing.assert_allclose(found, right, rtol=1e-9)


def test_equal_rates_of_absorption_and_elimination_are_no_special_case() -> None:
    times = np.arange(0.1, 6.0, 0.2)
    someone = patient(**{CLEARANCE: 60.0, VOLUME: 50.0, ABSORPTION: 1.2})
    found = simulate(someone, REGIMENS["one tablet"], times=times, system=ECHO)["concentration"][0]
    np.testing.assert_allclose(found, 10.0 * 1.2 * times * np.exp(-1.2 * times) / 50.0, rtol=1e-5)


def test_a_dose_on_an_output_day_is_recorded_after_it() -> None:
    found = simulate(patient(), Regimen((Bolus(AMOUNT, 25.0, 3.0),)), times=[1.0, 3.0, 3.0 + 1e-6], system=ECHO)[
        "amount"
    ][0]
    np.testing.assert_allclose(found, [0.0, 0.0, 25.0], rtol=1e-4, atol=1e-12)


def test_two_half_tablets_are_one_tablet() -> None:
    someone, times = patient(sensitive_lenalidomide=1.0), np.arange(0.0, 200.0, 5.0)
    whole = infuse("ide_cel") + Regimen((Bolus(ORAL, 50.0, 100.0),))
    half = Regimen((Bolus(ORAL, 25.0, 100.0),))
    once = simulate(someone, whole, times=times)["tumour"]
    twice = simulate(someone, infuse("ide_cel") + half + half, times=times)["tumour"]
    np.testing.assert_allclose(once, twice, rtol=1e-9)


def test_cells_infused_in_parts_on_several_days_add_up() -> None:
    someone = patient(blood_volume=5.0)
    solution = simulate(
        someone, infuse("ide_cel", 450e6, split=(0.2, 0.3, 0.5), every=2.0), times=[0.0, 1.0, 3.0, 5.0], system=ECHO
    )
    np.testing.assert_allclose(solution.delivered["ide_cel"], 450e6, rtol=1e-12)
    np.testing.assert_allclose(solution["infused"][0], np.array([0.2, 0.2, 0.5, 1.0]) * 450e6 / 5e6, rtol=1e-9)


GRIDS = {
    "coarse": np.array([0.0, 60.0]),
    "daily": np.arange(0.0, 61.0),
    "fine and uneven": np.unique(np.concatenate([np.arange(0.0, 60.0, 0.37), [7.0, 7.000001, 60.0]])),
}
LISTS = {
    "cells and tablets": infuse("ide_cel") + give(ORAL, start=3.0, months=3.0, cycle=28, days_on=21),
    "tablets before day 0": give(ORAL, start=-9.5, stop=4.0) + infuse("ide_cel", day=2.0),
    "an infusion from before day 0": Regimen((Infusion(AMOUNT, 8.0, 20.0, -5.0),)),
    "an infusion cut by the end": Regimen((Infusion(AMOUNT, 9.0, 30.0, 50.0), Infusion(ORAL, 2.0, 5.0, 60.0))),
    "a dose on the last day": Regimen((Bolus(AMOUNT, 4.0, 60.0), Bolus(ORAL, 4.0, 0.0))) + infuse("ide_cel", day=60.0),
    "doses after the last day": Regimen(
        (Bolus(AMOUNT, 4.0, 7.0), Bolus(AMOUNT, 4.0, 61.0), Infusion(ORAL, 3.0, 1.0, 99.0))
    ),
    "two at once, and very close": Regimen(
        (Bolus(ORAL, 1.0, 7.0), Bolus(ORAL, 2.0, 7.0), Bolus(ORAL, 3.0, 7.0 + 1e-7))
    ),
    "a very short infusion": Regimen((Infusion(ORAL, 5.0, 1e-6, 20.0), Infusion(ORAL, 5.0, 1e-17, 30.0))),
}
DUE = {
    "cells and tablets": {"ide_cel": 450e6, ORAL: 10.0 * (21 + 21 + 2)},
    "tablets before day 0": {"ide_cel": 450e6, ORAL: 140.0},
    "an infusion from before day 0": {AMOUNT: 8.0},
    "an infusion cut by the end": {AMOUNT: 3.0, ORAL: 0.0},
    "a dose on the last day": {"ide_cel": 450e6, AMOUNT: 4.0, ORAL: 4.0},
    "doses after the last day": {AMOUNT: 4.0},
    "two at once, and very close": {ORAL: 6.0},
    "a very short infusion": {ORAL: 10.0},
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", LISTS)
def test_what_was_delivered_is_what_was_prescribed(name: str, grid: str) -> None:
    solution = simulate(patient(), LISTS[name], times=GRIDS[grid], system=ECHO)
    assert set(solution.delivered) == set(DUE[name])
    for therapy, due in DUE[name].items():
        np.testing.assert_allclose(solution.delivered[therapy], due, rtol=1e-12, atol=1e-15)


def test_the_audit_speaks_up_if_a_dose_was_lost() -> None:
    regimen = infuse("ide_cel")
    delivered = {"ide_cel": np.array([450e6, 449e6, 0.0])}
    with pytest.raises(DoseAuditError, match=r"ide_cel: patient 1 received 4.49e\+08, prescribed were 4.5e\+08"):
        door._audit(regimen, delivered, np.array([True, True, True]), 100.0)
    door._audit(regimen, delivered, np.array([True, False, False]), 100.0)  # failed patients stand in the ledger


@pytest.mark.parametrize("day", [0.0, 30.0, 1000.0])
@pytest.mark.parametrize("drug", [ORAL, AMOUNT])
def test_a_single_dose_long_after_everything_is_quiet_is_not_stepped_over(drug: str, day: float) -> None:
    someone = patient()
    solution = simulate(someone, Regimen((Bolus(drug, 10.0, day),)), times=[1200.0], system=ECHO)
    if drug == ORAL:
        right = 10.0 / someone[CLEARANCE]
        np.testing.assert_allclose(solution["exposure"][:, -1], right, rtol=1e-5)
    else:
        right = 10.0 * someone[HALF_LIFE] / np.log(2.0)
        np.testing.assert_allclose(solution["stay"][:, -1], right, rtol=1e-5)


def test_a_single_tablet_on_day_1000_changes_the_course_of_the_tumour() -> None:
    someone, times = patient(sensitive_lenalidomide=1.0, k_growth_tumour=0.004), np.array([990.0, 1000.0, 1010.0])
    cells, tablet = infuse("ide_cel"), Regimen((Bolus(ORAL, 10.0, 1000.0),))
    without, with_it = (simulate(someone, regimen, times=times)["tumour"][0] for regimen in (cells, cells + tablet))
    np.testing.assert_allclose(with_it[0], without[0], rtol=1e-5)
    small_steps = simulate(someone, cells + tablet, times=times, solver=Solver(max_step=0.01))["tumour"][0]
    np.testing.assert_allclose(np.log(with_it / without)[2], np.log(small_steps / without)[2], rtol=0.02)
    assert np.log(with_it / without)[2] < -1e-4


def test_two_years_of_tablets_act_as_they_do_with_tiny_steps() -> None:
    someone, times = patient(sensitive_lenalidomide=1.0, effect_lenalidomide=0.5), np.array([800.0])
    regimen = infuse("ide_cel") + give(ORAL, start=30.0, months=24.0, cycle=28, days_on=21)
    found, right = (simulate(someone, regimen, times=times, solver=Solver(max_step=step)) for step in (30.0, 0.02))
    np.testing.assert_allclose(np.log(found["tumour"]), np.log(right["tumour"]), atol=5e-3)
