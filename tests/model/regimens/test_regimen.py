"""Regimens: doses as values that add up, repeat and read back in words, and every way to contradict oneself."""

import math

import pytest

from perdure.model.regimens.regimen import SPLIT_DAYS, Bolus, Infusion, Regimen, give, infuse
from perdure.parameters.errors import InputError, RangeError, RegimenError, UnitError, UnknownNameError


def days(regimen: Regimen) -> list[float]:
    return [dose.day for dose in regimen.doses]


def test_the_usual_dose_of_a_product_is_one_infusion_on_day_0() -> None:
    regimen = infuse("ide_cel")
    assert regimen.doses == (Bolus("ide_cel", 450e6, 0.0),)
    assert regimen.products == ("ide_cel",)
    assert regimen.infusions == (0.0,)
    assert regimen.drugs == ()
    assert infuse("ide_cel", "300e6 cell", day=3.0).doses == (Bolus("ide_cel", 300e6, 3.0),)
    assert infuse("ide_cel", 300_000_000).total("ide_cel") == 300e6


def test_a_split_dose_is_given_in_parts_some_days_apart() -> None:
    regimen = infuse("cilta_cel", 100e6, split=(0.2, 0.3, 0.5), every=2.0, day=1.0)
    assert days(regimen) == [1.0, 3.0, 5.0]
    assert [dose.amount for dose in regimen.doses] == pytest.approx([20e6, 30e6, 50e6])
    assert regimen.total("cilta_cel") == pytest.approx(100e6, rel=1e-12)


def test_two_years_of_21_days_in_28_are_549_tablets() -> None:
    regimen = give("lenalidomide", "10 mg", start=0.0, months=24.0, cycle=28, days_on=21)
    assert len(regimen.doses) == 26 * 21 + 3  # 730.5 days are 26 cycles and two and a half days
    assert all(day % 28 < 21 for day in days(regimen))
    assert regimen.total("lenalidomide") == pytest.approx(5490.0)
    assert days(regimen)[-3:] == [728.0, 729.0, 730.0]


@pytest.mark.parametrize("start", [0.1, 0.3, 1.7, 100.123, -7.2])
@pytest.mark.parametrize("every", [1.0, 0.5, 0.1, 1.0 / 3.0])
def test_no_dose_falls_through_the_rounding_of_days(start: float, every: float) -> None:
    whole = give("lenalidomide", start=0.0, stop=84.0, every=every, cycle=28, days_on=21)
    assert len(whole.doses) == round(63 / every)
    moved = give("lenalidomide", start=start, stop=start + 84.0, every=every, cycle=28, days_on=21)
    assert len(moved.doses) == len(whole.doses)
    assert [day - start for day in days(moved)] == pytest.approx(days(whole), abs=1e-8)


def test_a_course_ends_before_its_last_day_so_that_two_courses_join() -> None:
    assert days(give("lenalidomide", start=0.0, stop=3.0)) == [0.0, 1.0, 2.0]
    assert days(give("lenalidomide", start=0.0, stop=3.1)) == [0.0, 1.0, 2.0, 3.0]
    joined = give("lenalidomide", start=0.0, stop=5.0) + give("lenalidomide", start=5.0, stop=9.0)
    assert days(joined) == days(give("lenalidomide", start=0.0, stop=9.0))


def test_days_of_the_week_count_from_the_start() -> None:
    regimen = give("crenigacestat", start=-7.0, stop=14.0, days_of_week=(0, 2, 4))
    assert days(regimen) == [-7.0, -5.0, -3.0, 0.0, 2.0, 4.0, 7.0, 9.0, 11.0]
    fractional = give("crenigacestat", start=0.4, stop=14.4, days_of_week=(0, 6))
    assert days(fractional) == pytest.approx([0.4, 6.4, 7.4, 13.4])
    in_cycles = give("crenigacestat", start=0.0, stop=28.0, days_of_week=(0, 4), cycle=14, days_on=7)
    assert days(in_cycles) == [0.0, 4.0, 14.0, 18.0]


def test_every_so_many_days() -> None:
    assert days(give("crenigacestat", start=1.0, stop=20.0, every=7.0)) == [1.0, 8.0, 15.0]
    assert len(give("lenalidomide", start=0.0, months=1.0).doses) == 31  # 30.4375 days: day 0 to day 30


def test_regimens_add_up_and_their_doses_stand_in_the_order_of_time() -> None:
    one, other = give("lenalidomide", start=5.0, stop=7.0), infuse("ide_cel", day=6.0)
    both = one + other
    assert [(dose.therapy, dose.day) for dose in both.doses] == [
        ("lenalidomide", 5.0),
        ("ide_cel", 6.0),
        ("lenalidomide", 6.0),
    ]
    assert (other + one).doses == both.doses
    assert both.name == f"{one.name} + {other.name}"
    assert (both.products, both.drugs) == (("ide_cel",), ("lenalidomide",))
    assert one.products == ()
    assert (one + Regimen()).doses == one.doses
    assert both.named("mine").name == "mine"
    assert both.named("mine").doses == both.doses


def test_totals_count_doses_up_to_a_day_and_the_part_of_an_infusion_before_it() -> None:
    regimen = Regimen(
        (Bolus("lenalidomide", 10.0, 0.0), Bolus("lenalidomide", 10.0, 5.0), Infusion("lenalidomide", 8.0, 4.0, 2.0))
    )
    assert regimen.total("lenalidomide") == 28.0
    assert regimen.total("lenalidomide", 3.0) == pytest.approx(10.0 + 2.0)
    assert regimen.total("lenalidomide", 5.0) == pytest.approx(20.0 + 6.0)
    assert regimen.total("lenalidomide", -1.0) == 0.0
    assert regimen.total("crenigacestat") == 0.0


def test_a_regimen_reads_back_in_words() -> None:
    regimen = infuse("ide_cel") + give("lenalidomide", "10 mg", start=30.0, stop=60.0)
    cells, tablets = regimen.text.split("; ")
    assert cells == "idecabtagene vicleucel (ide-cel, bb2121) 4.5e+08 cells on day 0"
    assert tablets == "lenalidomide 10 mg 30 doses from day 30 to day 59"
    assert Regimen().text == "no therapy"
    mixed = Regimen((Bolus("lenalidomide", 5.0, 0.0), Bolus("lenalidomide", 10.0, 1.0)))
    assert mixed.text == "lenalidomide 5 / 10 mg 2 doses from day 0 to day 1"


def test_units_of_doses_are_converted_at_the_door() -> None:
    assert give("lenalidomide", "0.01 g", start=0.0, stop=1.0).doses[0].amount == pytest.approx(10.0)
    for wrong in ("5 L", "10 mg/day", "10 cell"):
        with pytest.raises(UnitError, match="mg"):
            give("lenalidomide", wrong, start=0.0, stop=1.0)
    with pytest.raises(UnitError, match=r"ide_cel.*'cell'"):
        infuse("ide_cel", "5 L")
    with pytest.raises(RangeError, match="not a number"):
        give("lenalidomide", "ten mg", start=0.0, stop=1.0)


@pytest.mark.parametrize("amount", [-1.0, 0.0, math.nan, math.inf])
def test_a_dose_is_a_positive_number(amount: float) -> None:
    for kind in (Bolus("lenalidomide", amount, 0.0), Infusion("lenalidomide", amount, 1.0), Bolus("ide_cel", amount)):
        with pytest.raises(RegimenError, match=rf"{kind.therapy}: dose = .* on day 0; give a positive amount"):
            Regimen((kind,))
    with pytest.raises(InputError):
        infuse("ide_cel", amount)
    with pytest.raises(InputError):
        give("lenalidomide", amount, start=0.0, stop=1.0)


def test_an_unknown_therapy_is_named_with_what_is_near() -> None:
    for wrong in (lambda: infuse("ide_cell"), lambda: Regimen((Bolus("ide_cell", 1.0),))):
        with pytest.raises(UnknownNameError, match=r"There is no therapy 'ide_cell'\. Did you mean 'ide_cel'"):
            wrong()
    with pytest.raises(UnknownNameError, match="Did you mean 'lenalidomide'"):
        give("lenalidomid", start=0.0, stop=1.0)


CONTRADICTIONS = {
    "stop before start": ({"start": 10.0, "stop": 5.0}, "starts on day 10 and stops on day 5"),
    "stop on the start": ({"start": 10.0, "stop": 10.0}, "starts on day 10 and stops on day 10"),
    "no months": ({"start": 0.0, "months": 0.0}, "stops on day 0"),
    "stop is not a number": ({"start": 0.0, "stop": math.nan}, "stops on day nan"),
    "start is not a number": ({"start": math.nan, "months": 1.0}, "starts on day nan"),
    "for ever": ({"start": 0.0, "months": math.inf}, "finite days in this order"),
    "both ends": ({"start": 0.0, "stop": 5.0, "months": 1.0}, "either stop .* or months .* not both"),
    "no end": ({"start": 0.0}, "either stop .* or months .* not neither"),
    "cycle without days on": ({"start": 0.0, "stop": 9.0, "cycle": 28}, "cycle and days_on belong together"),
    "days on without cycle": ({"start": 0.0, "stop": 9.0, "days_on": 21}, "cycle and days_on belong together"),
    "more days on than the cycle has": (
        {"start": 0.0, "stop": 9.0, "cycle": 21, "days_on": 28},
        "days_on = 28 of a cycle of 21",
    ),
    "no days on": ({"start": 0.0, "stop": 9.0, "cycle": 28, "days_on": 0}, "0 < days_on <= cycle"),
    "never": ({"start": 0.0, "stop": 9.0, "every": 0.0}, "every = 0 days"),
    "backwards": ({"start": 0.0, "stop": 9.0, "every": -1.0}, "every = -1 days"),
    "once in eternity": ({"start": 0.0, "stop": 9.0, "every": math.inf}, "every = inf days"),
    "an eighth day of the week": ({"start": 0.0, "stop": 9.0, "days_of_week": (1, 7)}, r"days_of_week = \(1, 7\)"),
    "half a day of the week": ({"start": 0.0, "stop": 9.0, "days_of_week": (1.5,)}, "whole numbers from 0"),
    "no day that fits": ({"start": 0.0, "stop": 2.0, "days_of_week": (5,)}, "no dose falls between day 0 and day 2"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_schedule_that_contradicts_itself_is_an_error(name: str) -> None:
    schedule, message = CONTRADICTIONS[name]
    with pytest.raises(RegimenError, match=f"lenalidomide: .*{message}"):
        give("lenalidomide", **schedule)


def test_cells_and_drugs_are_not_confused() -> None:
    with pytest.raises(RegimenError, match="is a CAR-T product, not a drug; use infuse"):
        give("ide_cel", start=0.0, stop=1.0)
    with pytest.raises(RegimenError, match="is a drug, not CAR-T cells; use give"):
        infuse("lenalidomide")
    with pytest.raises(RegimenError, match="cells are given as a Bolus"):
        Regimen((Infusion("ide_cel", 450e6, 0.5),))


def test_cells_are_infused_once_a_day_from_day_0_on() -> None:
    with pytest.raises(RegimenError, match="infusion on day -1; day 0 is the first infusion"):
        infuse("ide_cel", day=-1.0)
    with pytest.raises(RegimenError, match="two infusions on day 0"):
        _ = infuse("ide_cel") + infuse("ide_cel")
    with pytest.raises(RegimenError, match="day = nan; give a finite day"):
        infuse("ide_cel", day=math.nan)
    with pytest.raises(RegimenError, match="two infusions on day 0"):
        infuse("ide_cel", split=(0.5, 0.5), every=0.0)


@pytest.mark.parametrize("split", [(0.5, 0.4), (1.2, -0.2), (), (math.nan, 1.0), (0.0, 1.0)])
def test_a_split_is_of_positive_parts_that_add_up_to_one(split: tuple[float, ...]) -> None:
    with pytest.raises(RegimenError, match="ide_cel"):
        infuse("ide_cel", split=split)


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf])
def test_an_infusion_takes_a_while_and_ends(duration: float) -> None:
    with pytest.raises(RegimenError, match="give a positive, finite duration"):
        Regimen((Infusion("lenalidomide", 5.0, duration),))


def test_products_stand_in_the_order_in_which_they_are_given() -> None:
    both = infuse("ide_cel", day=100.0) + give("lenalidomide", start=5.0, stop=7.0) + infuse("cilta_cel")
    assert both.products == ("cilta_cel", "ide_cel")
    assert both.courses == (("cilta_cel", 0.0), ("ide_cel", 100.0))
    assert both.infusions == (0.0, 100.0)
    assert both.drugs == ("lenalidomide",)


@pytest.mark.parametrize("gap", [1.0, SPLIT_DAYS, SPLIT_DAYS + 1e-6, 400.0])
def test_infusions_of_one_product_are_one_course_unless_months_lie_between_them(gap: float) -> None:
    regimen = infuse("ide_cel", split=(0.25, 0.25, 0.5), every=gap)
    assert regimen.infusions == (0.0, gap, 2 * gap)
    assert regimen.products == (("ide_cel",) if gap <= SPLIT_DAYS else ("ide_cel", "ide_cel", "ide_cel"))


def test_another_product_in_between_does_not_end_a_course() -> None:
    regimen = infuse("ide_cel", split=(0.5, 0.5), every=40.0) + infuse("cilta_cel", day=20.0)
    assert regimen.courses == (("ide_cel", 0.0), ("cilta_cel", 20.0))
    assert regimen.total("ide_cel") == 450e6
