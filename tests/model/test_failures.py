"""A failure is never a number: patients that cannot be integrated, and input that cannot be right."""

from typing import Any

import numpy as np
import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.endpoints import Outcomes, Visits, outcomes
from perdure.model.regimens.regimen import Bolus, Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import REASONS, Solution
from perdure.model.system.system import Input, State, System, symbol
from perdure.parameters.errors import InputError, RangeError, SimulationError, UnknownNameError
from perdure.parameters.patients import draw, make_patients

N, SICK = 6, 2
CATALOGUE = read_catalogue()
DRAWS = draw(CATALOGUE, N, seed=5)
HEALTHY = make_patients(CATALOGUE, DRAWS, product="ide_cel", population="late_line")
VISITS = Visits(months=24.0)
CELLS = infuse("ide_cel")
DRUGS = give("lenalidomide", start=20, stop=23) + give("crenigacestat", start=-2, stop=9, days_of_week=(0, 2, 4))


def with_sick(**changes: float) -> dict[str, np.ndarray]:
    """Everybody as before, but for numbers of one patient that no catalogue would let pass."""
    patients = {name: values.copy() for name, values in HEALTHY.items()}
    for name, value in changes.items():
        patients[name][SICK] = value
    return patients


def run(patients: dict[str, np.ndarray], solver: Solver | None = None, regimen: Regimen = CELLS) -> Solution:
    return simulate(patients, regimen, times=VISITS.grid, solver=solver or Solver(workers=1, most_steps=20_000))


@pytest.fixture(scope="module")
def fine() -> Solution:
    return run(dict(HEALTHY))


ABSURD = {
    "growth without an end": {"k_growth_tumour": 1e6, "tumour_capacity": 1e300},
    "growth by a million a day": {"k_growth_tumour": 1e6},
    "a number near the end of all floats": {"tumour_baseline": 1e307, "engagement_volume": 1e-300},
}


@pytest.mark.parametrize("name", ABSURD)
def test_a_patient_that_cannot_be_integrated_stands_in_the_ledger_and_leaves_the_others_alone(
    name: str, fine: Solution
) -> None:
    solution = run(with_sick(**ABSURD[name]))
    assert [failure.patient for failure in solution.failures] == [SICK]
    failure = solution.failures[0]
    assert failure.reason in REASONS.values()
    assert 0.0 <= failure.day < VISITS.until
    assert solution.failed_share == pytest.approx(1 / N)
    assert np.isnan(solution.courses[SICK]).all()
    assert np.isnan(solution.eradication[SICK])
    others = np.arange(N) != SICK
    np.testing.assert_array_equal(solution.courses[others], fine.courses[others])
    np.testing.assert_array_equal(solution.eradication[others], fine.eradication[others])


def test_the_ledger_holds_what_is_needed_to_see_the_failure_again() -> None:
    failure = run(with_sick(k_growth_tumour=1e6), regimen=CELLS + DRUGS).failures[0]
    again = run({name: np.array([value]) for name, value in failure.parameters.items()}, regimen=CELLS + DRUGS)
    assert again.failures[0].reason == failure.reason
    assert again.failures[0].day == failure.day
    for name in ("k_growth_tumour", "blood_volume", "clearance_lenalidomide", "half_life_crenigacestat"):
        assert name in failure.parameters


def test_too_few_steps_are_a_failure_of_everybody_and_then_an_error() -> None:
    solution = run(dict(HEALTHY), Solver(workers=1, most_steps=50))
    assert solution.failed_share == 1.0
    assert {failure.reason for failure in solution.failures} == {"more steps than allowed"}
    assert np.isnan(solution["tumour"]).all()
    with pytest.raises(SimulationError, match=r"none of 6 patients could be integrated \(more steps than allowed\)"):
        outcomes(solution, HEALTHY, DRAWS, VISITS)


def summary(result: Outcomes) -> list[float]:
    curve = result.progression_free(patients=100)
    return [result.overall_response_rate, result.complete_response_rate, curve.median(), curve.restricted_mean(12.0),
            result.rate(result.mrd_negative()), *result.cause_share()]  # fmt: skip


def test_outcomes_are_those_of_the_patients_that_could_be_integrated() -> None:
    patients = with_sick(k_growth_tumour=1e6)
    broken = outcomes(run(patients), patients, DRAWS, VISITS)
    assert broken.flat_weight.sum() == pytest.approx(N - 1)
    assert not broken.flat_weight.reshape(2, N)[:, SICK].any()
    for name in ("c_max", "t_max", "auc_28", "persistence", "least_tumour", "density_before"):
        assert np.isnan(getattr(broken, name)[..., SICK]).all(), name
        assert np.isfinite(getattr(broken, name)[..., SICK + 1]).all(), name
    whole = outcomes(run(dict(HEALTHY)), HEALTHY, DRAWS, VISITS)
    without = Outcomes(**{**vars_of(whole), "usable": (np.arange(N) != SICK).astype(float)})
    np.testing.assert_allclose(summary(broken), summary(without), rtol=1e-12)


def vars_of(result: Outcomes) -> dict[str, object]:
    return {name: getattr(result, name) for name in Outcomes.__dataclass_fields__}


@pytest.mark.parametrize("name", ["k_kill_max", "clearance_lenalidomide", "blood_volume"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_parameter_that_is_not_a_number_is_an_error(name: str, value: float) -> None:
    with pytest.raises(RangeError, match=rf"patient {SICK}: {name} = (nan|inf); expected a finite number"):
        run(with_sick(**{name: value}), regimen=CELLS + DRUGS)


@pytest.mark.parametrize("name", ["k_growth_tumour", "volume_lenalidomide", "blood_volume"])
def test_a_missing_parameter_is_named_with_what_is_near(name: str) -> None:
    patients = {other: values for other, values in HEALTHY.items() if other != name}
    patients[f"{name}s"] = HEALTHY[name]
    with pytest.raises(UnknownNameError, match=rf"patients: There is no parameter '{name}'. Did you mean '{name}s'"):
        run(patients, regimen=CELLS + DRUGS)


@pytest.mark.parametrize("name", ["k_growth_tumour", "volume_lenalidomide"])
@pytest.mark.parametrize("values", [np.ones(N - 1), np.ones((N, 2)), np.float64(0.1)])
def test_one_value_per_patient_is_right(name: str, values: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"different|shapes"):
        run({**HEALTHY, name: values}, regimen=CELLS + DRUGS)


def test_nobody_cannot_be_simulated() -> None:
    with pytest.raises(InputError, match="one value per patient"):
        run({name: values[:0] for name, values in HEALTHY.items()})


@pytest.mark.parametrize(
    ("times", "until", "message"),
    [
        ([0.0, 5.0, 3.0], None, "increasing days"),
        ([0.0, 5.0, 5.0], None, "increasing days"),
        ([-1.0, 5.0], None, "from day 0"),
        ([0.0, np.nan], None, "finite days"),
        ([], None, "finite days"),
        ([[0.0, 1.0]], None, "finite days"),
        ([0.0, 5.0], -3.0, "until = -3; give a day after 0"),
        ([0.0, 5.0], 4.0, "not before the last of the times"),
        ([0.0, 5.0], np.nan, "until = nan"),
        ([0.0, 5.0], np.inf, "until = inf"),
        ([0.0], None, "until = 0"),
    ],
)
def test_times_that_cannot_be_are_one_clear_error(times: list[float], until: float | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate(HEALTHY, CELLS, times=times, until=until)


@pytest.mark.parametrize(
    "settings", [{"rtol": 0.0}, {"rtol": np.nan}, {"max_step": 0.0}, {"most_steps": 0}, {"workers": -1}, {"few": -1.0}]
)
def test_settings_of_the_solver_that_cannot_be_are_an_error(settings: dict[str, Any]) -> None:
    with pytest.raises(RangeError):
        Solver(**settings)


def test_a_second_product_for_patients_made_for_one_is_an_error_of_the_patients_and_not_of_the_engine() -> None:
    both = infuse("ide_cel") + infuse("cilta_cel", day=100.0)
    with pytest.raises(UnknownNameError, match=r"patients: There is no parameter '\w+_2'"):
        simulate(HEALTHY, both, times=[0.0, 200.0])
    patients = make_patients(CATALOGUE, DRAWS, product=both.products, population="late_line")
    assert not simulate(patients, both, times=[0.0, 200.0]).failures


def test_a_dose_for_which_the_system_has_no_place_is_an_error() -> None:
    state = State("stock", "", "something", "none", symbol("k_growth_tumour"), 1e-9, "x")
    small = System("a stock", (state,), (), (), (), ("stock",))
    for regimen in (CELLS, Regimen((Bolus("lenalidomide", 10.0),))):
        with pytest.raises(InputError, match="system 'a stock' has no place for a dose of"):
            simulate(HEALTHY, regimen, times=[0.0, 1.0], system=small)


def test_a_drug_level_is_recorded_through_a_quantity() -> None:
    state = State("stock", "", "something", "none", symbol("k_growth_tumour"), 1e-9, "x")
    level = Input("lenalidomide", "mg/L", "level", "lenalidomide", "C")
    with pytest.raises(UnknownNameError, match="There is no state or quantity 'lenalidomide'"):
        System("a stock", (state,), (), (level,), (), ("stock", "lenalidomide"))


def test_an_observable_that_was_not_recorded_is_named_with_what_is_near(fine: Solution) -> None:
    with pytest.raises(UnknownNameError, match=r"There is no observable 'tumor'\. Did you mean 'tumour'"):
        fine["tumor"]


def test_outcomes_want_every_visit_recorded() -> None:
    sparse = simulate(HEALTHY, CELLS, times=np.arange(0.0, 800.0, 10.0))
    with pytest.raises(InputError, match="the visit on day 28 was not recorded"):
        outcomes(sparse, HEALTHY, DRAWS, VISITS)
