"""Twenty years, one cell among a trillion, and doses between outputs that lie months apart."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import sympy
from numpy.typing import ArrayLike

from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.regimens.regimen import Bolus, Infusion, Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.system.system import Flow, Input, State, System, symbol
from perdure.parameters.patients import draw, make_patients

TWENTY_YEARS = 20 * 365.25
MONTHS = np.linspace(0.0, TWENTY_YEARS, 241)
Method = Literal["explicit", "stiff"]
METHODS: tuple[Method, ...] = ("explicit", "stiff")
CATALOGUE = read_catalogue()
PATIENTS = dict(make_patients(CATALOGUE, draw(CATALOGUE, 30, seed=1), product="ide_cel", population="late_line"))
CELLS = infuse("ide_cel")
NOTHING = Regimen()
MYELOMA = replace(myeloma(()), observables=tuple(state.name for state in myeloma(()).states))
"""Every state can be seen."""


def stock(name: str, start: sympy.Expr, tolerance: float = 1e-9) -> State:
    return State(name, "", name, "test", start, tolerance, name[0])


def system_of(states: Sequence[State], *flows: Flow, inputs: tuple[Input, ...] = ()) -> System:
    return System("test", tuple(states), (), inputs, flows, tuple(state.name for state in states))


def values(**numbers: ArrayLike) -> dict[str, np.ndarray]:
    return {name: np.atleast_1d(np.asarray(value, dtype=float)) for name, value in numbers.items()}


def solve(
    system: System, numbers: dict[str, np.ndarray], times: Sequence[float] | np.ndarray, **settings: object
) -> Solution:
    solution = simulate(numbers, NOTHING, times=times, system=system, solver=Solver(**settings))  # type: ignore[arg-type]
    assert not solution.failures
    return solution


# Laws that hold for twenty years


def ring() -> System:
    """Three kinds of cells; each turns the next into its own kind, in circles that never end."""
    states = [stock(name, symbol(f"{name}_start"), 1e-3) for name in ("rock", "paper", "scissors")]
    rock, paper, scissors = states
    turns = [(rock, paper), (paper, scissors), (scissors, rock)]
    flows = [
        Flow(f"{loser.name} to {winner.name}", symbol("k") * loser.symbol * winner.symbol / 1e12, loser, winner)
        for loser, winner in turns
    ]
    return system_of(states, *flows)


@pytest.mark.parametrize("method", METHODS)
def test_a_closed_ring_of_a_trillion_cells_loses_none_in_twenty_years(method: Method) -> None:
    numbers = values(rock_start=6e11, paper_start=3e11, scissors_start=1e11, k=0.1)
    courses = solve(ring(), numbers, MONTHS, method=method, rtol=1e-9).courses[0]
    np.testing.assert_allclose(courses.sum(axis=1), 1e12, rtol=1e-12)
    assert np.ptp(courses[-24:, 0]) > 1e11, "it still turns"
    product = np.prod(courses / 1e12, axis=1)  # stays too, if the circles are right and not only closed
    np.testing.assert_allclose(product, product[0], rtol=1e-4)


def test_no_state_of_a_patient_is_ever_negative_and_every_one_stays_finite() -> None:
    days = np.unique(np.concatenate([np.arange(0.0, 800.0), MONTHS]))
    hard = {**PATIENTS, "k_kill_max": np.full(30, 12.0)}
    for patients in (PATIENTS, hard):
        found = simulate(patients, CELLS, times=days, system=MYELOMA, solver=Solver(rtol=1e-4, few=0.0))
        assert not found.failures
        assert np.isfinite(found.courses).all()
        assert found.courses.min() >= 0.0


def killed_and_grown_again() -> System:
    """Cells that a poison kills within minutes, down to what nobody counts, and that grow once it has gone."""
    cells, poison = stock("cells", symbol("start"), 1.0), stock("poison", symbol("dose"))
    seen = replace(stock("seen", sympy.Integer(0)), signed=True)
    return system_of(
        (cells, poison, seen),
        Flow("growth", 0.1 * cells.symbol, into=cells),
        Flow("killing", 1e5 * poison.symbol * cells.symbol / (cells.symbol + 10), out_of=cells),
        Flow("clearance", 5 * poison.symbol, out_of=poison),
        Flow("seeing", cells.symbol, into=seen),
    )


@pytest.mark.parametrize("method", METHODS)
def test_less_than_no_cells_never_grow(method: Method) -> None:
    numbers = values(start=np.linspace(1e3, 1e4, 40), dose=np.ones(40))
    found = solve(killed_and_grown_again(), numbers, np.arange(0.0, 200.0), method=method, rtol=1e-3)
    assert found["cells"].min() >= 0.0
    assert np.diff(found["seen"][:, 3:], axis=1).min() >= 0.0, "what was seen of them cannot become less"


# Steady states


@pytest.mark.parametrize("method", METHODS)
def test_what_is_made_as_fast_as_it_is_lost_stays_for_twenty_years(method: Method) -> None:
    fast, slow = (stock(name, symbol("made") / symbol("lost"), 1e-12) for name in ("fast", "slow"))
    pool = system_of(
        (fast, slow),
        Flow("production", symbol("made"), into=fast),
        Flow("loss", symbol("lost") * fast.symbol, out_of=fast),
        Flow("following", 0.01 * (fast.symbol - slow.symbol), into=slow),
    )
    found = solve(pool, values(made=[7.0, 1e6], lost=[1.0, 0.02]), MONTHS, method=method)
    np.testing.assert_allclose(found.courses[0], 7.0, rtol=1e-12)
    np.testing.assert_allclose(found.courses[1], 5e7, rtol=1e-12)


def test_an_untreated_tumour_at_its_capacity_stays_there_for_twenty_years() -> None:
    nulls = ("fraction_null_bcma", "fraction_null_gprc5d", "probability_loss_bcma", "probability_loss_gprc5d")
    patients = {**PATIENTS, **dict.fromkeys(nulls, np.zeros(30)), "tumour_capacity": PATIENTS["tumour_baseline"]}
    patients["tumour_reference"] = 0.1 * PATIENTS["tumour_baseline"]  # growth has a rate only below capacity
    found = simulate(patients, NOTHING, times=MONTHS, solver=Solver(few=0.0))
    assert not found.failures
    for name in ("tumour", "m_protein", "soluble_bcma", "density_mean"):
        start = found[name][:, :1]
        np.testing.assert_allclose(found[name], np.broadcast_to(start, found[name].shape), rtol=1e-5, err_msg=name)
    assert found["car_t"].max() == 0.0
    np.testing.assert_allclose(found["host"][:, -1], found["host"][:, 60], rtol=1e-5)


# Long horizons


@pytest.mark.parametrize("method", METHODS)
def test_twenty_years_of_patients_are_those_of_a_tighter_tolerance(method: Method) -> None:
    regimen = CELLS + give("lenalidomide", start=60.0, months=6.0, cycle=28, days_on=21)
    found = simulate(PATIENTS, regimen, times=MONTHS, solver=Solver(method=method))
    tight = simulate(PATIENTS, regimen, times=MONTHS, solver=Solver(rtol=1e-9))
    assert not found.failures
    assert not tight.failures
    assert tight["tumour"][:, 0].min() > 10.0 * tight["tumour"].min()
    np.testing.assert_allclose(np.log(found["tumour"]), np.log(tight["tumour"]), rtol=0.0, atol=1e-4)
    for name in ("m_protein", "host", "memory"):
        np.testing.assert_allclose(found[name], tight[name], rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(found.eradication, tight.eradication, rtol=1e-3, atol=1e-9)


# One cell among a trillion


def clones() -> System:
    """Cells in great number that shrink or grow, and a clone of few that they found by mutation."""
    many, few = stock("many", symbol("many_start"), 1e-6), stock("few", symbol("few_start"), 1e-9)
    return system_of(
        (many, few),
        Flow("growth of many", symbol("g_many") * many.symbol, into=many),
        Flow("growth of few", symbol("g_few") * few.symbol, into=few),
        Flow("mutation", symbol("mutation") * many.symbol, out_of=many, into=few),
    )


CLONE = {
    "a cell that grows beside a trillion": {"few_start": 1.0, "g_few": 0.02},
    "a cell that grows while the others die": {"few_start": 1.0, "g_few": 0.02, "g_many": -0.05},
    "a cell that dies beside a trillion": {"few_start": 1.0, "g_few": -0.01},
    "a cell that dies while the others grow": {"few_start": 1.0, "g_few": -0.01, "g_many": 0.01},
    "a clone that is founded by the rarest mutation": {"mutation": 1e-15, "g_few": 0.02, "g_many": -0.05},
    "a clone fed by a trillion, that dies": {"few_start": 3.0, "mutation": 1e-13, "g_few": -0.3},
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CLONE)
def test_one_cell_among_a_trillion_is_followed(case: str, method: Method) -> None:
    numbers = {"many_start": 1e12, "few_start": 0.0, "g_many": 0.0, "g_few": 0.0, "mutation": 0.0, **CLONE[case]}
    times = np.arange(0.0, 1001.0, 10.0)
    found = solve(clones(), values(**numbers), times, method=method)
    lost, grows, shrinks = numbers["mutation"], numbers["g_few"], numbers["g_many"] - numbers["mutation"]
    born = lost * 1e12 / (shrinks - grows) * (np.exp(shrinks * times) - np.exp(grows * times)) if lost else 0.0
    right = numbers["few_start"] * np.exp(grows * times) + born
    seen = right > 1e-4  # a hundred thousand of its tolerances
    assert seen.sum() > 50
    np.testing.assert_allclose(found["few"][0, seen], right[seen], rtol=1e-4)
    alone = np.exp(shrinks * times) * 1e12
    np.testing.assert_allclose(found["many"][0], alone, rtol=1e-4, atol=1e-3)


# Doses between outputs that lie far apart


def exposure() -> System:
    """Area under the concentration of a drug, and infused cells of two courses that stay."""
    level = Input("level", "mg/L", "level of the drug", "lenalidomide", "x")
    area, *cells = (stock(name, symbol("nothing")) for name in ("area", "infused", "infused_2"))
    return system_of((area, *cells), Flow("exposure", symbol("level"), into=area), inputs=(level,))


EXPOSURE = exposure()
SPARSE = np.array([0.0, 100.0, 200.0])
GRIDS = {"sparse": SPARSE, "daily": np.arange(0.0, 201.0), "at the doses": np.unique([*SPARSE, 50.3, 50.3 + 1 / 24])}
DOSES = Regimen((Infusion("lenalidomide", 24.0, 1 / 24, 50.3), Bolus("lenalidomide", 5.0, 151.7)))


@pytest.mark.parametrize("exact_outputs", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("method", METHODS)
def test_an_infusion_of_an_hour_between_two_outputs_months_apart_is_delivered_and_felt(
    method: Method, grid: str, exact_outputs: bool
) -> None:
    solver = Solver(method=method, exact_outputs=exact_outputs)
    regimen = DOSES + infuse("ide_cel", day=9.5, split=(0.5, 0.5), every=120.5)
    patients = {**PATIENTS, "nothing": np.zeros(30)}
    found = simulate(patients, regimen, times=GRIDS[grid], system=EXPOSURE, solver=solver)
    np.testing.assert_allclose(found.delivered["lenalidomide"], 29.0, rtol=1e-12)
    np.testing.assert_allclose(found.delivered["ide_cel"], 450e6, rtol=1e-12)
    common = np.isin(found.times, SPARSE)
    share = np.array([0.0, 24.0, 29.0]) / PATIENTS["clearance_lenalidomide"][:, None]
    np.testing.assert_allclose(found["area"][:, common], share, rtol=1e-5, atol=1e-12)
    for course, given in (("infused", [0.0, 0.5, 0.5]), ("infused_2", [0.0, 0.0, 0.5])):
        cells = 450.0 / PATIENTS["blood_volume"][:, None] * np.array(given)
        np.testing.assert_allclose(found[course][:, common], cells, rtol=1e-12)
    if not exact_outputs:
        sparse = simulate(patients, regimen, times=SPARSE, system=EXPOSURE, solver=solver)
        np.testing.assert_array_equal(found.courses[:, common], sparse.courses)
        np.testing.assert_array_equal(found.steps, sparse.steps)


def test_a_simulation_goes_on_after_its_last_output() -> None:
    regimen = CELLS + DOSES
    short = simulate(PATIENTS, regimen, times=[0.0, 40.0], until=200.0)
    whole = simulate(PATIENTS, regimen, times=[0.0, 40.0, 200.0])
    ended = simulate(PATIENTS, regimen, times=[0.0, 50.2])
    np.testing.assert_array_equal(short.courses, whole.courses[:, :2])
    np.testing.assert_array_equal(short.eradication, whole.eradication)
    np.testing.assert_array_equal(short.steps, whole.steps)
    np.testing.assert_allclose(short.delivered["lenalidomide"], 29.0, rtol=1e-12)
    assert set(ended.delivered) == {"ide_cel"}
    assert np.all(ended.steps < short.steps)


# Outputs that end a step


def logistic() -> System:
    """x' = k x (1 - x)."""
    size = stock("size", symbol("start"))
    return system_of([size], Flow("growth", symbol("k") * size.symbol * (1 - size.symbol), into=size))


LOGISTIC = logistic()


@pytest.mark.parametrize("rtol", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("method", METHODS)
def test_where_steps_end_at_outputs_a_curve_is_at_least_as_right(method: Method, rtol: float) -> None:
    n, times = 400, np.array([0.0, 3.7, 9.1, 14.2])
    numbers = values(start=np.full(n, 0.001), k=np.linspace(0.5, 1.5, n))
    right = 1.0 / (1.0 + 999.0 * np.exp(-numbers["k"][:, None] * times))
    read, ended = (
        solve(LOGISTIC, numbers, times, method=method, rtol=rtol, exact_outputs=exact) for exact in (False, True)
    )
    error, better = (float(np.sqrt(np.mean((found["size"] / right - 1.0) ** 2))) for found in (read, ended))
    assert better < error < rtol
    assert error < 10.0 * better, "the continuous extension loses less than a digit"
    assert ended.steps.mean() < read.steps.mean() + len(times)


@pytest.mark.parametrize("method", METHODS)
def test_whether_steps_end_at_outputs_changes_no_more_than_the_tolerance(method: Method) -> None:
    regimen = CELLS + DOSES + give("lenalidomide", start=-2.0, stop=20.0, days_of_week=(0, 2, 4))
    days = np.unique([*np.arange(0.0, 700.0, 28.0), 7.0, 7.000001, 7.0 + 1e-11, 50.3, 151.7])
    read, ended = (
        simulate(PATIENTS, regimen, times=days, solver=Solver(method=method, exact_outputs=exact))
        for exact in (False, True)
    )
    assert not read.failures
    assert not ended.failures
    assert np.any(read.courses != ended.courses)
    np.testing.assert_allclose(np.log(ended["tumour"]), np.log(read["tumour"]), rtol=0.0, atol=1e-4)
    np.testing.assert_allclose(ended["host"], read["host"], rtol=1e-4)
    np.testing.assert_allclose(ended.eradication, read.eradication, rtol=1e-3, atol=1e-9)
    for therapy, delivered in read.delivered.items():
        np.testing.assert_allclose(ended.delivered[therapy], delivered, rtol=1e-12)
    order = np.random.default_rng(0).permutation(30)[:11]
    shuffled = {name: column[order] for name, column in PATIENTS.items()}
    some = simulate(shuffled, regimen, times=days, solver=Solver(method=method, exact_outputs=True, workers=2))
    np.testing.assert_array_equal(some.courses, ended.courses[order])
    np.testing.assert_array_equal(some.steps, ended.steps[order])
