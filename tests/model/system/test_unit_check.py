"""The unit check: a wrong dimension is one error that names the flow, and the shipped model passes."""

import pytest
import sympy

from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.system.system import Flow, Quantity, State, System, parameter, saturating
from perdure.model.system.unit_check import check_units
from perdure.parameters.errors import UnitError, UnknownNameError

ZERO = sympy.Integer(0)
TUMOUR = State("tumour", "cell", "tumour", "tumour", parameter("tumour_baseline"), 0.01, "T")
EFFECTOR = State("effector", "cell/uL", "effector cells", "CAR-T", ZERO, 1e-7, "E")
UNITS = {"tumour_baseline": "cell", "k_growth": "1/day", "k_kill": "1/day", "half_kill": "cell/uL", "hill_kill": ""}
GROWTH = Flow("growth", parameter("k_growth") * TUMOUR.symbol, into=TUMOUR)
KILLING = Flow(
    "killing", parameter("k_kill") * saturating(EFFECTOR.symbol, parameter("half_kill")) * TUMOUR.symbol, out_of=TUMOUR
)


def small(*flows: Flow, quantities: tuple[Quantity, ...] = ()) -> System:
    """A tumour, effector cells, and these flows."""
    return System("small", (TUMOUR, EFFECTOR), quantities, (), flows, ("tumour",))


def test_the_shipped_model_has_the_right_units() -> None:
    check_units(myeloma(), {name: entry.unit for name, entry in read_catalogue().items()})
    check_units(small(GROWTH, KILLING), UNITS)


WRONG = {
    "unit of the flow": (parameter("k_growth") * TUMOUR.symbol**2, "has unit .*, and should have cell/day"),
    "sum of unlike": (parameter("k_growth") * (TUMOUR.symbol + EFFECTOR.symbol), "is added to"),
    "exp of a dimension": (
        parameter("k_growth") * TUMOUR.symbol * sympy.exp(EFFECTOR.symbol), r"argument of exp.*should be dimensionless"
    ),
    "log of a dimension": (
        parameter("k_growth") * TUMOUR.symbol * sympy.log(EFFECTOR.symbol), r"argument of log.*should be dimensionless"
    ),
    "real power of a dimension": (
        parameter("k_growth") * TUMOUR.symbol * EFFECTOR.symbol ** parameter("hill_kill"),
        r"base of a real power.*should be dimensionless",
    ),
    "exponent with a dimension": (
        parameter("k_growth") * TUMOUR.symbol ** EFFECTOR.symbol, r"exponent of tumour.*should be dimensionless"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_unit_is_one_error_that_names_the_flow(case: str) -> None:
    rate, message = WRONG[case]
    with pytest.raises(UnitError, match=f"flow 'typo'.*{message}"):
        check_units(small(GROWTH, Flow("typo", rate, into=TUMOUR)), UNITS)


def test_one_per_hour_is_not_one_per_day() -> None:
    with pytest.raises(UnitError, match="flow 'growth' has unit cell/h, and should have cell/day"):
        check_units(small(GROWTH), {**UNITS, "k_growth": "1/hour"})


def test_cells_per_litre_are_not_cells_per_microlitre() -> None:
    with pytest.raises(UnitError, match=r"flow 'killing': .* is added to"):
        check_units(small(KILLING), {**UNITS, "half_kill": "cell/L"})


def test_the_units_of_initial_values_and_quantities_are_checked_too() -> None:
    with pytest.raises(UnitError, match="initial value of 'tumour' has unit 1/day, and should have cell"):
        check_units(small(GROWTH), {**UNITS, "tumour_baseline": "1/day"})
    with pytest.raises(UnitError, match="quantity 'wrong' has unit cell, and should have cell/day"):
        check_units(small(GROWTH, quantities=(Quantity("wrong", "cell/day", "", TUMOUR.symbol, "w"),)), UNITS)


def test_a_parameter_without_unit_is_an_error() -> None:
    known = {name: unit for name, unit in UNITS.items() if name != "k_growth"}
    with pytest.raises(UnknownNameError, match="'k_growth'"):
        check_units(small(GROWTH), known)
