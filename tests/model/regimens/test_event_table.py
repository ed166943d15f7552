"""Event tables as in NONMEM: rows become doses, doses become rows, and what has no meaning here is refused."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.model.regimens.event_table import read_all_events, read_events, write_events
from perdure.model.regimens.regimen import Bolus, Dose, Infusion, Regimen, infuse
from perdure.model.regimens.regimen import give as course
from perdure.parameters.errors import FileError, InputError, RangeError, RegimenError, UnitError, UnknownNameError

HEAD = "TIME,AMT,RATE,DUR,EVID,CMT,ADDL,II,SS"


def table(*rows: str, head: str = HEAD) -> str:
    return "\n".join((head, *rows)) + "\n"


def test_rows_are_doses_and_observations_are_left_out() -> None:
    text = table("0,450e6,0,0,1,ide_cel,0,0,0", "28,.,.,.,0,ide_cel,.,.,.", "30,10,0,0,1,lenalidomide,20,1,0",
                 "60,12,6,0,1,crenigacestat,0,0,0", "70,12,0,3,1,crenigacestat,,,")  # fmt: skip
    expected = (
        infuse("ide_cel") + course("lenalidomide", "10 mg", start=30.0, stop=51.0)
        + Regimen((Infusion("crenigacestat", 12.0, 2.0, 60.0), Infusion("crenigacestat", 12.0, 3.0, 70.0)))
    )  # fmt: skip
    assert read_events(text).doses == expected.doses


def test_hours_are_read_as_hours() -> None:
    text = table("24,10,0,0,1,lenalidomide,2,12,0", "96,12,6,0,1,crenigacestat,0,0,0")
    assert read_events(text, time_unit="hours").doses == (
        Bolus("lenalidomide", 10.0, 1.0), Bolus("lenalidomide", 10.0, 1.5), Bolus("lenalidomide", 10.0, 2.0),
        Infusion("crenigacestat", 12.0, 2.0 / 24.0, 4.0),
    )  # fmt: skip


def test_without_evid_a_row_with_an_amount_is_a_dose() -> None:
    text = table("0,10,lenalidomide,.", "1,.,lenalidomide,5.2", "2,10,lenalidomide,.", head="TIME,AMT,CMT,DV")
    assert [dose.day for dose in read_events(text).doses] == [0.0, 2.0]


def test_compartments_can_be_numbers_and_columns_can_be_left_out() -> None:
    text = table("1,0,450e6,1,82", "1,5,10,2,82", head="id,time,amt,cmt,wt")
    found = read_events(text, compartments={1: "ide_cel", 2: "lenalidomide"}, leave_out=["WT"])
    assert found.doses == (Bolus("ide_cel", 450e6, 0.0), Bolus("lenalidomide", 10.0, 5.0))


def test_steady_state_is_written_out_as_the_doses_before() -> None:
    text = table("0,10,0,0,1,lenalidomide,1,7,1")
    assert [dose.day for dose in read_events(text, steady_state_days=21.0).doses] == [-21.0, -14.0, -7.0, 0.0, 7.0]
    assert read_events(text).doses[0].day == -56.0
    hours = read_events(table("0,10,0,0,1,lenalidomide,0,24,1"), time_unit="hours", steady_state_days=3.0)
    assert [dose.day for dose in hours.doses] == [-3.0, -2.0, -1.0, 0.0]


def test_several_patients_have_a_regimen_each(tmp_path: Path) -> None:
    regimens = {7: infuse("ide_cel"), "P-2": infuse("cilta_cel") + course("lenalidomide", start=5.0, months=6.0)}
    path = tmp_path / "events.csv"
    head, *_ = write_events(regimens[7]).splitlines()
    rows = [f"{name},{row}" for name, own in regimens.items() for row in write_events(own).splitlines()[1:]]
    path.write_text("\n".join([f"ID,{head}", *rows]), encoding="utf-8")
    found = read_all_events(path)
    assert list(found) == [7, "P-2"]
    assert [regimen.doses for regimen in found.values()] == [regimen.doses for regimen in regimens.values()]
    with pytest.raises(FileError, match=r"holds 2 patients \(7, P-2\); use read_all_events"):
        read_events(path)


def test_repeated_doses_are_one_row() -> None:
    regimen = infuse("ide_cel") + course("lenalidomide", "10 mg", start=30.0, stop=86.0, cycle=28, days_on=21)
    assert write_events(regimen).splitlines() == [
        "TIME,AMT,RATE,EVID,CMT,ADDL,II",
        "0,450000000,0,1,ide_cel,0,0",
        "30,10,0,1,lenalidomide,20,1",
        "58,10,0,1,lenalidomide,20,1",
    ]
    slow = Regimen(tuple(Infusion("crenigacestat", 12.0, 0.5, 7.0 * k) for k in range(4)))
    assert write_events(slow, time_unit="hours").splitlines()[1] == "0,12,1,1,crenigacestat,3,168"


numbers = st.one_of(st.floats(0.01, 1e3), st.integers(1, 500).map(float))
moments = st.one_of(st.integers(-9, 99).map(float), st.floats(0.0, 300.0))
single = st.one_of(
    st.builds(Bolus, st.sampled_from(["lenalidomide", "crenigacestat"]), numbers, moments),
    st.builds(Infusion, st.just("lenalidomide"), numbers, numbers, moments),
)
rhythms = st.builds(
    lambda start, every, amount: course("crenigacestat", amount, start=start, stop=start + 40.0, every=every).doses,
    moments, st.sampled_from([1.0, 0.5, 7.0, 1 / 3, 30.4375]), numbers,
)  # fmt: skip
cells = st.sets(st.integers(0, 400), max_size=3).map(lambda days: tuple(Bolus("ide_cel", 1e8, float(d)) for d in days))


@settings(deadline=None)
@given(st.lists(single, max_size=6), rhythms, cells, st.sampled_from(["days", "hours"]))
def test_a_written_table_reads_back_to_the_same_doses(some: list[Dose], rhythm: tuple, given: tuple, unit: str) -> None:
    regimen = Regimen((*some, *rhythm, *given))
    again = read_events(write_events(regimen, time_unit=unit), time_unit=unit)  # pyright: ignore[reportArgumentType]
    left = list(again.doses)
    for dose in regimen.doses:
        left.remove(next(other for other in left if same(dose, other)))
    assert not left


def same(one: Dose, other: Dose) -> bool:
    """Therapy and amount are kept exactly, days and durations to the rounding of their unit."""
    if (one.therapy, one.amount, type(one)) != (other.therapy, other.amount, type(other)):
        return False
    durations = [dose.duration if isinstance(dose, Infusion) else 0.0 for dose in (one, other)]
    return math.isclose(*durations, rel_tol=1e-12) and abs(one.day - other.day) < 2e-9


REFUSED = {
    "a negative amount": (["0,-5,0,0,1,lenalidomide,0,0,0"], RangeError, "line 2: AMT = -5; give a positive amount"),
    "a dose of nothing": (["0,0,0,0,1,lenalidomide,0,0,0"], RangeError, "line 2: AMT = 0 in a dose"),
    "a word for a number": (["0,1,0,0,1,lenalidomide,0,0,0", "1,ten,0,0,1,lenalidomide,0,0,0"], RangeError,
                            "line 3: AMT = 'ten' is not a number"),
    "no number": (["nan,10,0,0,1,lenalidomide,0,0,0"], RangeError, "line 2: TIME = 'nan' is not a number"),
    "no time": ([".,10,0,0,1,lenalidomide,0,0,0"], RangeError, "line 2: TIME = '.'; give a number"),
    "a modelled rate": (["0,10,-1,0,1,lenalidomide,0,0,0"], RegimenError, "RATE = -1 is a modelled rate"),
    "a modelled duration": (["0,10,-2,0,1,lenalidomide,0,0,0"], RegimenError, "RATE = -2 is a modelled duration"),
    "a negative rate": (["0,10,-3,0,1,lenalidomide,0,0,0"], RangeError, "RATE = -3"),
    "rate against duration": (["0,10,5,3,1,lenalidomide,0,0,0"], RegimenError, "AMT / RATE = 2, but DUR = 3"),
    "a reset": (["0,0,0,0,3,lenalidomide,0,0,0"], RegimenError, "EVID = 3: a reset empties the patient"),
    "a reset with a dose": (["0,10,0,0,4,lenalidomide,0,0,0"], RegimenError, "EVID = 4: .*write EVID = 1"),
    "another event": (["0,0,0,0,2,lenalidomide,0,0,0"], RegimenError, "EVID = 2: other events"),
    "no event": (["0,10,0,0,7,lenalidomide,0,0,0"], RegimenError, "EVID = 7: write 0 or 1"),
    "a dose that is an observation": (["0,10,0,0,0,lenalidomide,0,0,0"], RegimenError, "EVID = 0 with AMT = 10"),
    "more doses at no distance": (["0,10,0,0,1,lenalidomide,3,0,0"], RegimenError, "II = 0; ADDL and SS need"),
    "a distance of nothing": (["0,10,0,0,1,lenalidomide,0,7,0"], RegimenError, "II = 7 without ADDL or SS"),
    "half a dose more": (["0,10,0,0,1,lenalidomide,0.5,1,0"], RangeError, "ADDL = 0.5; give a whole number"),
    "another steady state": (["0,10,0,0,1,lenalidomide,0,7,2"], RegimenError, "SS = 2; only 0 and 1"),
    "a steady state of cells": (["0,1e8,0,0,1,ide_cel,0,7,1"], RegimenError, "ide_cel: SS = 1, but cells have no"),
    "slow cells": (["0,1e8,1e8,0,1,ide_cel,0,0,0"], RegimenError, "ide_cel: cells are given at once"),
    "an unknown therapy": (["0,1,0,0,1,ide_cell,0,0,0"], UnknownNameError, "line 2: CMT: There is no therapy"),
    "an unknown number": (["0,1,0,0,1,3,0,0,0"], RegimenError, r"CMT = 3 is not known; .*\{3: .*known: 1 = ide_cel"),
    "an unsorted table": (["5,1,0,0,1,lenalidomide,0,0,0", "3,1,0,0,1,lenalidomide,0,0,0"], RegimenError,
                          "line 3: TIME = 3 after 5 in line 2; sort"),
    "a short row": (["0,10,0"], FileError, "line 2: 3 cells for 9 columns"),
    "no rows": ([], FileError, "has no rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_cannot_be_read_is_refused_with_its_line(case: str) -> None:
    rows, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        read_events(table(*rows), compartments={1: "ide_cel"})


def test_columns_are_checked_by_name(tmp_path: Path) -> None:
    for head, kind, message in (
        ("TIME,AMT", FileError, "column CMT is missing; it has TIME, AMT"),
        ("TIME,AMT,CMT,WEIGHT", UnknownNameError, "There is no column 'WEIGHT'"),
        ("TIME,AMT,CMT,TIME", FileError, "column TIME stands there 2 times"),
    ):
        with pytest.raises(kind, match=message):
            read_events(table("0,1,2,3", head=head))
    with pytest.raises(FileError, match="there is no such file"):
        read_events(tmp_path / "none.csv")
    with pytest.raises(FileError, match="line 4: ID 1 again after another one"):
        read_all_events(table("1,0,1,ide_cel", "2,0,1,ide_cel", "1,9,1,ide_cel", head="ID,TIME,AMT,CMT"))


def test_settings_are_checked() -> None:
    text = table("0,10,0,0,1,lenalidomide,0,0,0")
    wrong: tuple[tuple[dict, type[InputError], str], ...] = (
        ({"time_unit": "weeks"}, UnitError, "expected 'days' or 'hours'"),
        ({"steady_state_days": math.inf}, RangeError, "steady_state_days = inf"),
    )
    for setting, kind, message in wrong:
        with pytest.raises(kind, match=message):
            read_events(text, **setting)
