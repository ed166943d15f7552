"""The law of growth: what it is at the burdens that name its numbers, and its course in closed form."""

import numpy as np
import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.processes.tumour import burden_untreated, growth_rate
from perdure.model.regimens.regimen import Regimen
from perdure.model.simulate import simulate

PATIENT = {name: np.array([value]) for name, value in read_catalogue().typical("", "late_line").items()}


def grown(burden: float, days: float, exponent: float = 0.1) -> float:
    changed = {"tumour_baseline": np.array([burden]), "exponent_growth": np.array([exponent])}
    return float(burden_untreated(PATIENT | changed, days)[0])


def test_growth_at_the_usual_burden_is_the_parameter_and_none_is_left_at_capacity() -> None:
    usual = growth_rate(PATIENT, PATIENT["tumour_reference"])
    np.testing.assert_allclose(usual, PATIENT["k_growth_tumour"], rtol=1e-10)
    np.testing.assert_allclose(growth_rate(PATIENT, PATIENT["tumour_capacity"]), 0.0, atol=1e-12)


def test_a_residue_grows_several_times_faster_than_the_tumour_that_was_treated() -> None:
    burdens = np.array([[1e4, 1e6, 1e8, 2e11]])
    rates = growth_rate(PATIENT, burdens)[0] / PATIENT["k_growth_tumour"]
    assert np.all(np.diff(rates) < 0.0)
    assert rates[1] > 2.0
    assert rates[3] == pytest.approx(1.0)


@pytest.mark.parametrize("exponent", [0.01, 0.1, 1.0])
def test_the_closed_course_is_that_of_the_equations(exponent: float) -> None:
    patient = PATIENT | {"tumour_baseline": np.array([1e10]), "exponent_growth": np.array([exponent])}
    times = np.array([0.0, 30.0, 300.0, 900.0])
    found = simulate(patient, Regimen(), times=times)["tumour"][0]
    np.testing.assert_allclose(found, [grown(1e10, day, exponent) for day in times], rtol=1e-6)


def test_growth_within_half_an_hour_is_the_rate_of_that_moment() -> None:
    rate = np.log(grown(3e9, 0.02) / 3e9) / 0.02
    assert rate == pytest.approx(growth_rate(PATIENT, np.array([3e9]) * np.ones(1))[0], rel=1e-3)
    changed = PATIENT | {"tumour_baseline": np.array([3e9])}
    assert burden_untreated(changed, 0.0)[0] == pytest.approx(3e9)
