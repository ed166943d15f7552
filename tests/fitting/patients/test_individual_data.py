"""Files of a user's own patients: both forms say the same, and every way to be wrong has one clear answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perdure.fitting.patients.data import Longitudinal, Subject, read_measurements
from perdure.parameters.errors import FileError, InputError, UnknownNameError

Reader = Callable[..., Longitudinal]

NONMEM = """ID,TIME,DV,EVID,AMT,NAME,LLOQ,BLQ,AGE
anna,0,.,1,4.5e8,.,.,0,61
anna,7,120,0,.,transgene,50,0,61
anna,28,50,0,.,transgene,50,1,61
anna,28,12.5,0,.,m_protein,1,0,61
bert,7,<50,0,.,transgene,.,0,70
bert,14,900,0,.,transgene,50,0,70
"""
LONG = """id,time,what,value,limit,age
anna,7,transgene,120,50,61
anna,28,transgene,20,50,61
anna,28,m_protein,12.5,,61
bert,7,transgene,<50,,70
bert,14,transgene,900,,70
"""


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    def call(text: str, names: dict[str, str] | None = None) -> Longitudinal:
        path = tmp_path / "mine.csv"
        path.write_text(text, encoding="utf-8")
        return read_measurements(path, names)

    return call


def test_both_forms_say_the_same(read: Reader) -> None:
    for text in (NONMEM, LONG):
        anna, bert = read(text).subjects
        assert (anna.id, bert.id) == ("anna", "bert")
        np.testing.assert_array_equal(anna.time, [7, 28, 28])
        assert anna.kind.tolist() == ["transgene", "m_protein", "transgene"]
        np.testing.assert_array_equal(anna.value, [120, 12.5, 50])
        assert anna.below.tolist() == [False, False, True]
        assert bert.below.tolist() == [True, False]
        assert anna.covariates == {"age": 61.0}
    assert read(NONMEM).subjects[0].doses == ((0.0, 4.5e8),)


def test_times_may_be_hours_weeks_or_months(read: Reader) -> None:
    for name, day in (("time_hours", 0.5), ("time_weeks", 84.0), ("time_months", 12 * 30.4375), ("TIME_DAYS", 12.0)):
        table = read(f"id,{name},what,value\na,12,flc,3\n")
        assert table.subjects[0].time[0] == pytest.approx(day)


def test_rows_out_of_order_are_sorted_and_it_is_said(read: Reader) -> None:
    table = read("id,time,what,value\na,28,flc,3\na,7,flc,5\nb,1,flc,2\n")
    np.testing.assert_array_equal(table.subject("a").value, [5, 3])
    assert table.notes == ("Rows sorted by time for 1 subject: a.",)


def test_a_subject_with_everything_below_the_limit_is_kept_and_it_is_said(read: Reader) -> None:
    table = read("id,time,what,value,limit\na,7,flc,<3,\na,9,flc,1,3\nb,7,flc,5,3\n")
    assert table.subject("a").below.all()
    assert len(table.notes) == 1
    assert "everything below the limit kept: a" in table.notes[0]


def test_rows_without_a_value_and_columns_of_text_are_left_out_and_it_is_said(read: Reader) -> None:
    table = read("id,time,what,value,sex\na,7,flc,NA,F\na,8,flc,2,F\nb,9,flc,.,M\n")
    assert [subject.id for subject in table.subjects] == ["a"]
    assert table.subjects[0].covariates == {}
    notes = " ".join(table.notes)
    assert "2 rows without a value left out (first: line 2)" in notes
    assert "sex" in notes
    assert "without a measurement left out: b" in notes


def test_codes_of_a_nonmem_file_get_names(read: Reader) -> None:
    text = "ID,TIME,DV,DVID\n1,7,120,1\n1,7,12,2\n"
    kinds = read(text, names={"1": "transgene", "2": "m_protein"}).subjects[0].kind.tolist()
    assert sorted(kinds) == ["m_protein", "transgene"]
    assert read("ID,TIME,DV\n1,7,120\n", names={"": "transgene"}).subjects[0].kind.tolist() == ["transgene"]


def test_an_unknown_subject_is_answered_with_near_ones(read: Reader) -> None:
    with pytest.raises(UnknownNameError, match=r"mine.csv: There is no subject 'ana'. Did you mean 'anna'\?"):
        read(LONG).subject("ana")


HEAD = "id,time,what,value,limit\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (HEAD, "has a header and no rows"),
        ("id,time,what\na,1,flc\n", "column value .* is missing; the header, read with commas, is id, time, what"),
        ("id;time;value\na;1;2\n", "column id is missing"),
        ("id,time,dv,value\na,1,2,3\n", "two columns mean 'value'"),
        (HEAD + "a,1,flc\n", "line 2: 3 cells for 5 columns"),
        (HEAD + "a,1,flc,2,\na,1,flc,3,\n", r"line 3: subject a has a second flc at 1 days \(the first is on line 2\)"),
        (HEAD + "a,1,car_t,-4,\n", "line 2: value is -4; a measurement cannot be negative"),
        (HEAD + "a,1,car_t,many,\n", "line 2: value is 'many', which is not a number"),
        (HEAD + "a,soon,car_t,4,\n", "line 2: time is 'soon', which is not a number"),
        (HEAD + "a,1,car_t,inf,\n", "value is 'inf'"),
        (HEAD + "a,1,car_t,4,low\n", "the limit is 'low'"),
        (HEAD + "a,1,car_t,<0,\n", "a positive limit is needed"),
        (HEAD + ",1,car_t,4,\n", "name the subject"),
        (HEAD + "a,1,,4,\n", "it is not said what was observed"),
        (HEAD + "a,1,car_t,,\n", "holds no measurement"),
        ("id,time,what,value,age\na,1,flc,2,60\na,2,flc,2,61\n", "the covariate age of subject a is 61, and was 60"),
        ("ID,TIME,DV,EVID,AMT,NAME\na,1,2,4,5,flc\n", "evid is 4"),
        ("ID,TIME,DV,EVID,AMT,NAME\na,1,.,1,0,flc\n", "amount of a dose is '0'"),
        ("ID,TIME,DV,EVID,AMT,NAME\na,1,2,0,5,flc\n", "evid 0 has an amount of 5"),
        ("ID,TIME,DV,MDV,NAME\na,1,2,3,flc\n", "mdv is 3"),
        ("ID,TIME,DV,CENS,NAME\na,1,2,-1,flc\n", "flag of below-limit values is -1"),
        ("ID,TIME,DV,RATE,NAME\na,1,2,5,flc\n", "rate is 5; only single doses"),
    ],
)
def test_what_cannot_be_right_is_one_clear_error(read: Reader, text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read(text)


def test_a_missing_file_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_measurements(tmp_path / "nowhere.csv")


def test_a_subject_made_by_hand_needs_arrays_of_one_length() -> None:
    with pytest.raises(InputError, match="subject a: time, kind, value and below"):
        Subject("a", np.arange(3.0), np.full(3, "flc"), np.ones(2), np.zeros(3, bool))
