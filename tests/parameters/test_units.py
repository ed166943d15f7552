"""Units are read once, at the door: what is the same stays the same, and nonsense is refused in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.parameters.errors import InputError, RangeError, UnitError
from perdure.parameters.units import (
    DAYS_PER_MONTH,
    convert,
    dimension,
    factor,
    in_days,
    read_number,
    read_unit,
    same_unit,
    show_unit,
)

UNITS = (
    "", "1/day", "1/hour", "1/year", "day", "month", "hour", "cell", "cell/uL", "cell/mm3", "molecule/cell", "uL", "L",
    "L/hour", "L/day", "mg", "mg/L", "g/L", "kg", "1/month", "mg/kg", "mg**2/L",
)  # fmt: skip
SIZES = st.floats(min_value=1e-9, max_value=1e12)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_that_is_shown_reads_back_as_itself(unit: str) -> None:
    assert same_unit(read_unit(show_unit(read_unit(unit))), read_unit(unit))


@pytest.mark.parametrize("unit", UNITS)
def test_putting_a_unit_into_days_twice_is_putting_it_once(unit: str) -> None:
    assert in_days(in_days(unit)) == in_days(unit)
    assert not {"hour", "month", "year", "second"} & set(in_days(unit).replace("/", " ").split())


@given(value=SIZES, unit=st.sampled_from(UNITS))
def test_a_number_goes_to_days_and_back_unchanged(value: float, unit: str) -> None:
    there = convert(value, unit, in_days(unit))
    assert convert(there, in_days(unit), unit) == pytest.approx(value, rel=1e-12)


def test_a_cubic_millimetre_is_a_microlitre() -> None:
    assert convert(180.0, "cell/mm3", "cell/uL") == pytest.approx(180.0, rel=1e-12)
    assert same_unit(read_unit("cell/mm3"), read_unit("cell/uL"))


def test_a_clearance_per_hour_becomes_one_per_day() -> None:
    assert in_days("L/hour") == "L/day"
    assert convert(7.25, "L/hour", "L/day") == pytest.approx(174.0, rel=1e-12)


def test_a_month_is_a_twelfth_of_a_year_of_365_and_a_quarter_days() -> None:
    assert pytest.approx(365.25 / 12, rel=1e-15) == DAYS_PER_MONTH
    for spelling in ("month", "months"):
        assert convert(1.0, spelling, "day") == pytest.approx(30.4375, rel=1e-12)
    assert convert(1.0, "year", "month") == pytest.approx(12.0, rel=1e-12)


def test_a_rate_per_hour_is_not_a_rate_per_day_although_the_dimension_is_the_same() -> None:
    per_hour, per_day = read_unit("1/hour"), read_unit("1/day")
    assert not same_unit(per_hour, per_day)
    assert factor(per_hour, per_day) == pytest.approx(24.0, rel=1e-12)


def test_cells_molecules_and_plain_numbers_are_three_different_things() -> None:
    assert len({dimension(read_unit(unit)) for unit in ("cell", "molecule", "")}) == 3
    with pytest.raises(UnitError, match="cannot be read as 'cell/uL'"):
        convert(180.0, "1/uL", "cell/uL")


@pytest.mark.parametrize("unit", ["", " ", "-", "1", "dimensionless", "fraction"])
def test_there_are_several_ways_to_say_that_a_number_has_no_unit(unit: str) -> None:
    assert in_days(unit) == ""
    assert dimension(read_unit(unit)) == "dimensionless"


@pytest.mark.parametrize("nonsense", ["furlongs_per_fortnite", "1//day", "milligrm", "(mg", "cell/", "dya"])
def test_nonsense_is_refused_with_its_place_and_an_example(nonsense: str) -> None:
    with pytest.raises(UnitError) as caught:
        read_unit(nonsense, "tumour.toml, [k_growth_tumour]")
    message = str(caught.value)
    assert message.startswith("tumour.toml, [k_growth_tumour]: ")
    assert f"'{nonsense}' is not a unit" in message
    assert "1/day" in message


def test_a_value_of_another_dimension_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(UnitError, match=r"k_growth_tumour: 3 mg cannot be read as '1/day'; give a value in '1/day'\."):
        convert(3.0, "mg", "1/day", "k_growth_tumour")
    with pytest.raises(UnitError, match=r"3 \(no unit\) cannot be read as '1/day'"):
        convert(3.0, "", "1/day")
    with pytest.raises(UnitError, match="3 1/day cannot be read as 'dimensionless'"):
        convert(3.0, "1/day", "")


class Quantity:
    """Looks like a quantity of a unit library, without being from ours."""

    magnitude, units = 12.0, "hour"


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [(2, 2.0), (2.5, 2.5), ("3", 3.0), ("48 hour", 2.0), (" 1e-1 day ", 0.1), (np.float64(4.0), 4.0),
     (Quantity(), 0.5)],
)  # fmt: skip
def test_a_number_may_be_given_plain_as_a_text_or_as_a_quantity(given_as: object, expected: float) -> None:
    assert read_number(given_as, "day") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "-inf day", np.nan])
def test_a_number_that_is_not_finite_is_refused(wrong: object) -> None:
    with pytest.raises(RangeError, match=r"half_life: .* is not a finite number; give a number in 'day'"):
        read_number(wrong, "day", "half_life")


@pytest.mark.parametrize("wrong", ["ten day", "", "10mg", None, [1.0, 2.0], True, False, {}])
def test_what_is_not_a_number_is_refused_with_an_example(wrong: object) -> None:
    with pytest.raises(RangeError, match=r"dose: .*is not a number.*(write for example '10 mg'|give a number in 'mg')"):
        read_number(wrong, "mg", "dose")


@given(text=st.text(max_size=12))
def test_whatever_is_typed_the_answer_is_a_number_or_one_of_our_errors(text: str) -> None:
    said, number = "", np.nan
    try:
        number = read_number(text, "mg")
    except InputError as error:
        said = str(error)
    assert bool(said) != bool(np.isfinite(number))
