"""Derivatives with respect to parameters: exact ones of linear systems, and what it is worth to share steps."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import pytest
import sympy
from scipy.linalg import expm, expm_frechet

from perdure.model import sensitivity
from perdure.model.catalogue import read_catalogue
from perdure.model.engine.compiled import compile_system
from perdure.model.regimens.regimen import Bolus, Regimen, give, infuse
from perdure.model.sensitivity import Sensitivities, default_step, sensitivities
from perdure.model.simulate import Solver, simulate
from perdure.model.system.system import Branching, Flow, Input, Quantity, State, System, symbol
from perdure.parameters.errors import InputError, RangeError, UnknownNameError
from perdure.parameters.patients import draw, make_patients

NOTHING = Regimen()
TIMES = np.array([1.0, 5.0, 20.0, 60.0])
Patients = dict[str, np.ndarray]
Method = Literal["explicit", "stiff"]


def people(**values: float | list[float]) -> Patients:
    return {name: np.atleast_1d(np.asarray(value, dtype=float)) for name, value in values.items()}


def exact(formula: Callable[..., np.ndarray], numbers: Mapping[str, float], name: str) -> np.ndarray:
    """Parameter times derivative of an analytic formula, by a complex step (Squire & Trapp 1998)."""
    return np.imag(formula(**{**numbers, name: numbers[name] * (1.0 + 1e-30j)})) / 1e-30


# Compartments in a row: what leaves one reaches the next.


def compartments() -> System:
    amounts = [State(f"amount_{i}", "mg", "", "", symbol(f"amount_{i}_start"), 1e-9, f"A_{i}") for i in range(3)]
    pairs = enumerate(zip(amounts, [*amounts[1:], None], strict=True))
    flows = [Flow(f"flow {i}", symbol(f"k_{i}") * one.symbol, out_of=one, into=next_) for i, (one, next_) in pairs]
    return System("compartments", tuple(amounts), (), (), tuple(flows), tuple(state.name for state in amounts))


COMPARTMENTS = compartments()
START = np.array([100.0, 3.0, 2.0])


def of_compartments(k: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Amounts, and by amount the derivatives with respect to the logarithms of rates and then of initial values."""
    matrix = np.diag(-k) + np.diag(k[:-1], -1)
    derivatives = []
    for i in range(len(k)):
        direction = np.zeros_like(matrix)
        direction[i, i] = -k[i]
        direction[i + 1 : i + 2, i] = k[i]
        derivatives.append(expm_frechet(matrix * t, direction * t, compute_expm=False) @ START)
    whole = expm(matrix * t)
    return whole @ START, np.concatenate([derivatives, (whole * START).T]).T


@pytest.mark.parametrize("method", ["explicit", "stiff"])
@pytest.mark.parametrize(("rtol", "allowed"), [(1e-4, 1e-3), (1e-6, 1e-4), (1e-8, 1e-7), (1e-10, 1e-8)])
def test_a_linear_system_has_its_exact_derivatives(method: Method, rtol: float, allowed: float) -> None:
    k = np.array([0.05, 1.0 if method == "explicit" else 1e4, 0.3])
    numbers = {f"k_{i}": v for i, v in enumerate(k)} | {f"amount_{i}_start": v for i, v in enumerate(START)}
    how = {"system": COMPARTMENTS, "solver": Solver(rtol=rtol, method=method)}
    found = sensitivities(people(**numbers), NOTHING, times=TIMES, parameters=tuple(numbers), **how)
    for j, t in enumerate(TIMES):
        for i, (amount, right) in enumerate(zip(*of_compartments(k, t), strict=True)):
            seen = found.elasticity[f"amount_{i}"][0, :, j]
            np.testing.assert_allclose(seen, right, rtol=0.0, atol=allowed * amount)


def test_a_negative_parameter_counts_as_itself_times_its_derivative() -> None:
    level = State("level", "", "", "", sympy.Integer(1), 1e-9, "L", signed=True)
    system = System("line", (level,), (), (), (Flow("rise", symbol("k_rise"), into=level),), ("level",))
    found = sensitivities(people(k_rise=[-0.2, 0.3]), NOTHING, times=[7.0], parameters=["k_rise"], system=system)
    np.testing.assert_allclose(found.elasticity["level"][:, 0, 0], [-1.4, 2.1], rtol=1e-9)


# Doses: a tablet whose concentration and exposure are known in closed form, and cells in a volume of blood.

DRUG = "lenalidomide"


def tablet() -> System:
    exposure = State("exposure", "mg*day/L", "", "", symbol("exposure_start"), 1e-9, "A")
    infused = State("infused", "cell/uL", "", "", symbol("infused_start"), 1e-9, "I")
    return System(
        name="tablet and cells",
        states=(exposure, infused),
        quantities=(Quantity("concentration", "mg/L", "", symbol(DRUG), "C"),),
        inputs=(Input(DRUG, "mg/L", "", DRUG, "C"),),
        flows=(Flow("exposure", symbol("concentration"), into=exposure),),
        observables=("concentration", "exposure", "infused"),
    )


PK = {f"clearance_{DRUG}": 100.0, f"volume_{DRUG}": 60.0, f"k_absorption_{DRUG}": 12.0}
HOURS = np.array([0.05, 0.1, 0.3, 1.0, 2.5])


def concentration(clearance: complex, volume: complex, absorption: complex) -> np.ndarray:
    k = clearance / volume
    return 10.0 * absorption / (volume * (absorption - k)) * (np.exp(-k * HOURS) - np.exp(-absorption * HOURS))


def exposure(clearance: complex, volume: complex, absorption: complex) -> np.ndarray:
    k = clearance / volume
    left = (1.0 - np.exp(-k * HOURS)) / k - (1.0 - np.exp(-absorption * HOURS)) / absorption
    return 10.0 * absorption / (volume * (absorption - k)) * left


def test_pharmacokinetics_and_the_volume_of_a_dose_have_their_exact_derivatives() -> None:
    patient = people(**PK, blood_volume=5.0, exposure_start=0.0, infused_start=0.0)
    doses = Regimen((Bolus(DRUG, 10.0, 0.0),)) + infuse("ide_cel", 5e6)
    how = {"system": tablet(), "solver": Solver(rtol=1e-9)}
    found = sensitivities(patient, doses, times=HOURS, parameters=(*PK, "blood_volume"), **how)
    numbers: dict[str, float] = dict(zip(("clearance", "volume", "absorption"), PK.values(), strict=True))
    for formula in (concentration, exposure):
        for i, name in enumerate(numbers):
            right = exact(formula, numbers, name)
            np.testing.assert_allclose(found.elasticity[formula.__name__][0, i], right, rtol=0.0, atol=1e-8)
    np.testing.assert_array_equal(found.elasticity["infused"][0, :3], 0.0)
    np.testing.assert_allclose(found.elasticity["infused"][0, 3], -1.0, rtol=1e-9)


# The probability of eradication: a birth-death process with constant rates.


def eradicated(net: complex, division: complex, cells_start: complex) -> np.ndarray:
    """Probability after 60 days (Kendall 1948)."""
    grown = np.exp(-60.0 * net)
    return np.exp(-cells_start / (grown + division * (1.0 - grown) / net))


def test_the_probability_of_eradication_has_its_exact_derivative() -> None:
    cells = State("cells", "cell", "", "", symbol("cells_start"), 1e-6, "T")
    division = Quantity("k_division", "1/day", "", symbol("division"), "b")
    growth = Flow("growth", symbol("net") * cells.symbol, into=cells)
    system = System("line", (cells,), (division,), (), (growth,), ("cells",), Branching((cells,), division))
    numbers = {"net": -0.05, "division": 0.04, "cells_start": 30.0}
    found = sensitivities(people(**numbers), NOTHING, times=[60.0], parameters=tuple(numbers), system=system)
    right = [exact(eradicated, numbers, name) for name in numbers]
    np.testing.assert_allclose(found.eradication[0], right, rtol=1e-7)


# Myeloma: what shared steps are worth, and what may not matter.

CATALOGUE = read_catalogue()
N = 24
PATIENTS = dict(make_patients(CATALOGUE, draw(CATALOGUE, N, seed=3), product="cilta_cel", population="late_line"))
PATIENTS["effect_lenalidomide"] = np.full(N, 0.5)
NAMES = ("k_kill_max", "k_expansion", "k_growth_tumour", "k_exhaustion", "density_bcma", "tumour_baseline",
         "k_death_effector", "k_shedding_bcma", "half_antigen", "blood_volume")  # fmt: skip
DAYS = np.array([7, 14, 28, 60, 90, 180, 270, 365.0])
LEAST_SEEN = {"tumour": 1e3, "car_t": 1e-2, "m_protein": 1e-2, "host": 1e-2}


def elasticities(rtol: float, step: float) -> np.ndarray:
    """With shared steps: array (observables, patients, parameters, days)."""
    how = {"step": step, "solver": Solver(rtol=rtol, few=0.0)}
    found = sensitivities(PATIENTS, infuse("cilta_cel"), times=DAYS, parameters=NAMES, **how)
    return np.stack([found.elasticity[name] / (found.base[name][:, None] + 1e-12) for name in LEAST_SEEN])


def without_sharing(rtol: float, step: float) -> np.ndarray:
    """The same from simulations that each choose their own steps."""

    def run(changed: Patients) -> np.ndarray:
        solution = simulate({**PATIENTS, **changed}, infuse("cilta_cel"), times=DAYS, solver=Solver(rtol=rtol, few=0.0))
        return np.stack([solution[name] for name in LEAST_SEEN])

    change = [run({n: PATIENTS[n] * np.exp(step)}) - run({n: PATIENTS[n] * np.exp(-step)}) for n in NAMES]
    return np.stack(change, axis=2) / (2.0 * step) / (run({})[:, :, None] + 1e-12)


@pytest.fixture(scope="module")
def assess_response() -> Callable[[np.ndarray], np.ndarray]:
    """Errors of elasticities, relative to |elasticity| + 0.05, where there is something to see."""
    right = (4.0 * elasticities(1e-12, 5e-4) - elasticities(1e-12, 1e-3)) / 3.0
    base = simulate(PATIENTS, infuse("cilta_cel"), times=DAYS, solver=Solver(few=0.0))
    seen = np.stack([base[name][:, None] > least for name, least in LEAST_SEEN.items()]) & np.isfinite(right)
    return lambda found: (np.abs(found - right) / (np.abs(right) + 0.05))[seen]


@pytest.mark.parametrize(("rtol", "median", "most"), [(1e-4, 5e-5, 5e-2), (1e-6, 5e-7, 2e-3), (1e-8, 2e-8, 2e-4)])
def test_the_default_step_leaves_the_error_of_the_integration_and_adds_none(
    rtol: float, median: float, most: float, assess_response: Callable[[np.ndarray], np.ndarray]
) -> None:
    errors, of_half, of_more = (
        assess_response(elasticities(rtol, factor * default_step(rtol))) for factor in (1.0, 0.5, 100.0)
    )
    assert np.median(errors) < median
    assert errors.max() < most
    assert np.median(errors) < 1.1 * np.median(of_half)
    assert np.median(errors) < 0.9 * np.median(of_more)


def test_shared_steps_are_better_than_own_steps(assess_response: Callable[[np.ndarray], np.ndarray]) -> None:
    shared, own = (assess_response(compute(1e-6, default_step(1e-6))) for compute in (elasticities, without_sharing))
    assert np.median(shared) < np.median(own)
    assert 3.0 * np.mean(shared) < np.mean(own)
    shared, own = (assess_response(compute(1e-8, default_step(1e-8))) for compute in (elasticities, without_sharing))
    assert 2.0 * np.median(shared) < np.median(own)
    assert 20.0 * np.mean(shared) < np.mean(own)


TABLETS = infuse("cilta_cel") + give(DRUG, start=14.0, months=2.0)
FEW = ("k_kill_max", "k_recovery_host", f"clearance_{DRUG}", "blood_volume", f"k_absorption_{DRUG}")


def with_tablets(names: tuple[str, ...] = FEW, rows: slice | np.ndarray = slice(7), workers: int = 1) -> Sensitivities:
    chosen = {name: values[rows] for name, values in PATIENTS.items()}
    return sensitivities(chosen, TABLETS, times=DAYS, parameters=names, solver=Solver(workers=workers, few=np.inf))


@pytest.fixture(scope="module")
def whole() -> Sensitivities:
    return with_tablets()


def same(one: Sensitivities, other: Sensitivities, rows: slice | np.ndarray, places: slice | list[int]) -> None:
    """Equal to the last bit."""
    for name, values in one.elasticity.items():
        np.testing.assert_array_equal(values, other.elasticity[name][rows][:, places])
    np.testing.assert_array_equal(one.eradication, other.eradication[rows][:, places])


@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_the_lanes_do_not_matter(lanes: int, whole: Sensitivities, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sensitivity, "make_engine", lambda system, terms, *_: compile_system(system, terms, lanes=lanes)
    )
    same(with_tablets(), whole, slice(None), slice(None))


def test_company_order_and_workers_do_not_matter(whole: Sensitivities) -> None:
    same(with_tablets(workers=3), whole, slice(None), slice(None))
    same(with_tablets(rows=np.array([5, 2, 0])), whole, np.array([5, 2, 0]), slice(None))
    same(with_tablets(names=(FEW[3], FEW[0])), whole, slice(None), [3, 0])


def test_the_base_is_what_simulate_gives(whole: Sensitivities) -> None:
    chosen = {name: values[:7] for name, values in PATIENTS.items()}
    solution = simulate(chosen, TABLETS, times=DAYS, solver=Solver(few=np.inf))
    np.testing.assert_array_equal(whole.base.courses, solution.courses)
    np.testing.assert_array_equal(whole.base.eradication, solution.eradication)
    assert all(np.abs(whole.elasticity["car_t"][:, place]).max() > 0.0 for place in range(len(FEW)))


def test_a_parameter_that_nothing_uses_has_no_effect_and_costs_nothing() -> None:
    unused = f"clearance_{DRUG}"
    found = sensitivities(PATIENTS, infuse("cilta_cel"), times=[28.0], parameters=[unused, "k_kill_max"])
    assert found.elasticity["tumour"].shape == (N, 2, 1)
    np.testing.assert_array_equal(found.elasticity["tumour"][:, 0], 0.0)
    assert np.all(found.elasticity["tumour"][:, 1] < 0.0)


def root() -> System:
    """Rises with sqrt(1 - k_rise): no number for k_rise above 1."""
    level = State("level", "", "", "", symbol("k_zero"), 1e-9, "L")
    rise = Flow("rise", symbol("k_other") * sympy.sqrt(1 - symbol("k_rise")), into=level)
    return System("root", (level,), (), (), (rise,), ("level",))


def test_a_copy_that_fails_takes_only_its_own_derivative_along() -> None:
    patients = people(k_rise=[0.5, 1.0], k_other=[1.0, 1.0], k_zero=[0.0, 0.0])
    found = sensitivities(patients, NOTHING, times=[1.0], parameters=["k_rise", "k_other"], system=root())
    np.testing.assert_array_equal(np.isnan(found.elasticity["level"][:, :, 0]), [[False, False], [True, False]])


def test_where_the_base_fails_everything_is_nan() -> None:
    how = {"parameters": ["k_kill_max", f"clearance_{DRUG}"], "solver": Solver(most_steps=20)}
    found = sensitivities(PATIENTS, infuse("cilta_cel"), times=DAYS, **how)
    assert len(found.base.failures) == N
    assert all(np.all(np.isnan(values)) for values in found.elasticity.values())
    assert np.all(np.isnan(found.eradication))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"parameters": ["k_risen"]}, UnknownNameError, "Did you mean 'k_rise'"),
        ({"parameters": []}, InputError, "at least one"),
        ({"parameters": ["k_rise", "k_rise"]}, InputError, "each of them once"),
        ({"parameters": ["k_zero"]}, RangeError, "patient 0: k_zero = 0 has no logarithm"),
        ({"step": 0.0}, RangeError, "step = 0;"),
        ({"step": -1e-4}, RangeError, "step = -0.0001"),
        ({"step": np.nan}, RangeError, "step = nan"),
        ({"times": [2.0, 1.0]}, InputError, "increasing"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict, error: type[Exception], words: str) -> None:
    settings = {"times": [1.0], "parameters": ["k_rise"], "system": root(), **changes}
    with pytest.raises(error, match=words):
        sensitivities(people(k_rise=0.5, k_other=1.0, k_zero=0.0), NOTHING, **settings)
