"""One CAR-T product after another in a patient: alike as far as the patient decides, the same if they are the same."""

import math
from dataclasses import replace

import numpy as np
import pytest

from perdure.parameters.errors import UnknownNameError
from perdure.parameters.parameter import Parameter
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import SHARED_BETWEEN_PRODUCTS, draw, make_patients
from perdure.parameters.population import Correlation, Population

MANY = 20_000
RHO = 0.5


def number(name: str, value: float, *, own: bool = False, trait: str = "", high: float = 1e6) -> Parameter:
    one = Parameter(name, value, "", 0.0, high, "a number of this test", "x", "assumed", "for a test", "assumed")
    return replace(one, of_product=own, drawn_with=trait)


NUMBERS = [
    number(SHARED_BETWEEN_PRODUCTS, RHO), number("k_growth", 1.0), number("k_growth.spread", 0.3),
    number("k_expansion", 2.0, own=True), number("k_expansion.spread", 0.5), number("half_kill", 10.0, own=True),
    number("immunogenic", 1.0, own=True, trait="fraction_immunogenic"),
    number("fraction_immunogenic", 0.2, own=True), number("effect_late", 1.0, own=True),
    number("one.k_expansion", 3.0), number("two.k_expansion", 4.0), number("two.k_expansion.spread", 0.8),
    number("two.half_kill", 30.0), number("two.fraction_immunogenic", 0.6), number("two.effect_late.spread", 0.4),
    number("three.half_kill", 50.0),
]  # fmt: skip
PARAMETERS = ParameterSet(NUMBERS, {"linked": Population("linked", "linked", "of this test", (
    Correlation("k_expansion", "k_growth", 0.6),))})  # fmt: skip
PEOPLE = draw(PARAMETERS, MANY, seed=4)
ALONE = make_patients(PARAMETERS, PEOPLE, product="one")
BOTH = make_patients(PARAMETERS, PEOPLE, product=("one", "two"))
OWN = tuple(name for name in PARAMETERS.names if PARAMETERS[name].of_product)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(np.log(one), np.log(other))[0, 1])


@pytest.mark.parametrize("product", ["one", ("one",), ["one"]])
def test_one_product_is_one_product_however_it_is_written(product: str | tuple[str, ...] | list[str]) -> None:
    patients = make_patients(PARAMETERS, PEOPLE, product=product)
    assert set(patients) == set(PARAMETERS.names)
    for name, values in ALONE.items():
        np.testing.assert_array_equal(values, patients[name])


def test_no_product_is_no_product_however_it_is_written() -> None:
    none, empty = make_patients(PARAMETERS, PEOPLE), make_patients(PARAMETERS, PEOPLE, product=())
    assert {name: list(values) for name, values in none.items()} == {name: list(v) for name, v in empty.items()}


def test_a_further_product_changes_nothing_of_the_first_and_has_its_own_numbers_beside() -> None:
    assert set(BOTH) == {*PARAMETERS.names, *(f"{name}_2" for name in OWN)}
    for name, values in ALONE.items():
        np.testing.assert_array_equal(values, BOTH[name])
    assert np.all(BOTH["half_kill"] == 10.0)
    assert np.all(BOTH["half_kill_2"] == 30.0)
    assert np.all(BOTH["fraction_immunogenic_2"] == 0.6)


def test_a_further_product_has_the_median_and_spread_of_its_own() -> None:
    # four standard errors: 1.253 sd/sqrt(n) for a median, sd/sqrt(2 n) for an SD
    for name, median, sd in (("k_expansion", 3.0, 0.5), ("k_expansion_2", 4.0, 0.8), ("effect_late_2", 1.0, 0.4)):
        logs = np.log(BOTH[name])
        assert np.median(logs) == pytest.approx(math.log(median), abs=4 * 1.2533 * sd / math.sqrt(MANY))
        assert np.std(logs) == pytest.approx(sd, abs=4 * sd / math.sqrt(2 * MANY))
    assert np.all(BOTH["effect_late"] == 1.0)


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9, 1.0])
def test_two_products_are_alike_as_far_as_the_patient_decides(shared: float) -> None:
    parameters = PARAMETERS.with_values({SHARED_BETWEEN_PRODUCTS: shared})
    patients = make_patients(parameters, PEOPLE, product=("one", "two", "three"))
    error = 4 * (1 - shared**2) / math.sqrt(MANY) + 1e-12
    for name in ("k_expansion_2", "k_expansion_3"):
        assert correlation(patients["k_expansion"], patients[name]) == pytest.approx(shared, abs=error)
    assert abs(correlation(patients["k_growth"], patients["k_expansion_2"])) < 4 / math.sqrt(MANY)


def test_what_a_population_links_with_the_first_product_is_linked_with_the_next_by_the_patient() -> None:
    patients = make_patients(PARAMETERS, PEOPLE, product=("one", "two"), population="linked")
    error = 4 / math.sqrt(MANY)
    assert correlation(patients["k_growth"], patients["k_expansion"]) == pytest.approx(0.6, abs=error)
    assert correlation(patients["k_growth"], patients["k_expansion_2"]) == pytest.approx(0.6 * RHO, abs=error)
    assert correlation(patients["k_expansion"], patients["k_expansion_2"]) == pytest.approx(RHO, abs=error)


def test_the_same_product_again_is_the_same_cells() -> None:
    patients = make_patients(PARAMETERS, PEOPLE, product=("one", "two", "one", "two"))
    for name in OWN:
        np.testing.assert_array_equal(patients[f"{name}_2"], BOTH[f"{name}_2"])
        np.testing.assert_array_equal(patients[f"{name}_3"], patients[name])
        np.testing.assert_array_equal(patients[f"{name}_4"], patients[f"{name}_2"])


def test_the_same_product_again_needs_no_correlation() -> None:
    alone = ParameterSet([one for one in NUMBERS if one.id != SHARED_BETWEEN_PRODUCTS], {})
    patients = make_patients(alone, PEOPLE, product=("one", "one"))
    np.testing.assert_array_equal(patients["k_expansion_2"], patients["k_expansion"])
    with pytest.raises(UnknownNameError, match=f"products one, two: There is no parameter '{SHARED_BETWEEN_PRODUCTS}'"):
        make_patients(alone, PEOPLE, product=("one", "two"))


def test_who_is_immune_to_one_product_is_immune_to_one_that_makes_more_patients_immune() -> None:
    first, second = BOTH["immunogenic"] > 0, BOTH["immunogenic_2"] > 0
    assert np.all(second[first])
    assert np.mean(first) == pytest.approx(0.2, abs=4 * math.sqrt(0.2 * 0.8 / MANY))
    assert np.mean(second) == pytest.approx(0.6, abs=4 * math.sqrt(0.6 * 0.4 / MANY))


def test_an_unknown_further_product_is_refused_with_near_matches() -> None:
    with pytest.raises(UnknownNameError, match=r"There is no product 'tow'\. Did you mean 'two'\?"):
        make_patients(PARAMETERS, PEOPLE, product=("one", "tow"))


def test_a_patient_is_the_same_in_part_of_the_population_with_several_products_too() -> None:
    few = make_patients(PARAMETERS, draw(PARAMETERS, 5, seed=4, first=90), product=("one", "two", "three"))
    many = make_patients(PARAMETERS, PEOPLE, product=("one", "two", "three"))
    for name, values in few.items():
        np.testing.assert_array_equal(values, many[name][90:95])
