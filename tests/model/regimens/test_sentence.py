"""Plans as sentences: what they mean to the day and the milligram, that they read back, and each clear error."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.model.regimens.plan import RESPONSES, Line, Plan
from perdure.model.regimens.regimen import Bolus, Dose, Infusion, Regimen, give, infuse
from perdure.model.regimens.regimen import give as course
from perdure.model.regimens.schedule import MOST_MONTHS
from perdure.model.regimens.sentence import read_plan, read_plan_file, write_plan
from perdure.model.therapy import read_therapies, read_therapy
from perdure.parameters.errors import FileError, InputError, RegimenError, UnitError, UnknownNameError
from perdure.parameters.parameter_set import read_set
from perdure.parameters.units import DAYS_PER_MONTH

WEIGHT = read_set()["body_weight"].value
PILLS = replace(
    read_therapy("lenalidomide"), usual="10 mg daily days 1-21 of 28 until progression", names=("Revlimid", "len")
)
STEPS = replace(
    read_therapy("crenigacestat"), usual="0.06 mg/kg day 0; 0.3 mg/kg day 3; 1.5 mg/kg weekly from day 6 for 12 months"
)
SHELF = (*(therapy for therapy in read_therapies() if therapy.key not in {PILLS.key, STEPS.key}), PILLS, STEPS)


def read(text: str) -> Plan:
    return read_plan(text, therapies=SHELF)


def doses(text: str) -> tuple[Dose, ...]:
    """Doses of a sentence of one line."""
    plan = read(text)
    assert len(plan.lines) == 1
    return plan.first.doses


def days(schedule: str) -> list[float]:
    return [dose.day for dose in doses(f"lenalidomide 10 mg {schedule}")]


def test_the_sentence_of_the_manual_is_the_regimen_of_the_manual() -> None:
    plan = read("ide-cel 450e6 cells day 0; lenalidomide 10 mg daily days 1-21 of 28 from day 30 for 24 months; "
                "at progression cilta-cel")  # fmt: skip
    tablets = give("lenalidomide", "10 mg", start=30.0, months=24.0, cycle=28, days_on=21)
    assert plan.first.doses == (infuse("ide_cel") + tablets).doses
    assert plan.lines[1].when == "progression"
    assert plan.lines[1].regimen.doses == infuse("cilta_cel").doses
    assert plan.products == ("ide_cel", "cilta_cel")


@pytest.mark.parametrize(
    "name", ["ide_cel", "IDE-CEL", "Ide cel", "idecabtagene vicleucel", "idecabtagene vicleucel (ide-cel, bb2121)"]
)
def test_a_product_goes_by_its_key_its_title_and_its_names(name: str) -> None:
    assert doses(name) == (Bolus("ide_cel", 450e6, 0.0),)
    assert doses(f"{name} 300e6 cells on day 3") == (Bolus("ide_cel", 300e6, 3.0),)


def test_no_two_therapies_share_a_name_and_no_name_breaks_a_sentence() -> None:
    for therapy in read_therapies():
        for name in (therapy.key, therapy.short, therapy.title, *therapy.names):
            clause = f"{name} {therapy.default_dose!r} {therapy.dose_unit} day 2"
            assert read_plan(clause).first.doses == (Bolus(therapy.key, therapy.default_dose, 2.0),), name


AMOUNTS = {
    "ide-cel 450e6 cells": 450e6, "ide-cel 450 million cells": 450e6, "ide-cel 0.45 billion cells": 450e6,
    "ide-cel half dose": 225e6, "ide-cel 6 million cells/kg": 6e6 * WEIGHT, "cilta-cel 7e5 cells/kg": 7e5 * WEIGHT,
    "lenalidomide 10 mg day 0": 10.0, "lenalidomide 10mg day 0": 10.0, "lenalidomide 0.01 g day 0": 10.0,
    "lenalidomide 0.2 mg/kg day 0": 0.2 * WEIGHT, "lenalidomide 200 ug per kg day 0": 0.2 * WEIGHT,
    "lenalidomide half dose on day 0 and day 1": 5.0,
}  # fmt: skip


@pytest.mark.parametrize("sentence", AMOUNTS)
def test_amounts_are_in_the_unit_of_the_dose(sentence: str) -> None:
    assert doses(sentence)[0].amount == pytest.approx(AMOUNTS[sentence], rel=1e-12)


SCHEDULES = {
    "day 3": [3.0], "on day -2": [-2.0], "days 0, 2 and 4": [0.0, 2.0, 4.0], "days 0-4": [0.0, 1.0, 2.0, 3.0, 4.0],
    "days -5 to -3": [-5.0, -4.0, -3.0], "days -5--3": [-5.0, -4.0, -3.0], "on days 0-1, and day 7": [0.0, 1.0, 7.0],
    "daily for 3 days": [0.0, 1.0, 2.0], "daily from day 2 to day 4": [2.0, 3.0, 4.0],
    "daily, from day 2, until day 4": [2.0, 3.0], "twice daily for 1 day": [0.0, 0.5],
    "weekly from week 1 for 3 weeks": [7.0, 14.0, 21.0], "every other week 3 doses": [0.0, 14.0, 28.0],
    "every 2 weeks 3 cycles": [0.0, 14.0, 28.0], "every 2 weeks for 28 days": [0.0, 14.0],
    "monthly for 2 months": [0.0, DAYS_PER_MONTH], "every month until month 2": [0.0, DAYS_PER_MONTH],
    "3 times a week for 2 weeks": [0.0, 2.0, 4.0, 7.0, 9.0, 11.0], "twice weekly for 7 days": [0.0, 3.0],
    "days 1-2 of 21 for 2 cycles": [0.0, 1.0, 21.0, 22.0], "days 1, 8 of 21 from day 5 3 doses": [5.0, 12.0, 26.0],
    "twice weekly days 1-14 of 21 for 1 cycle": [0.0, 3.0, 7.0, 10.0],
}  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_fall_on_the_days_that_they_say(schedule: str) -> None:
    assert days(schedule) == pytest.approx(SCHEDULES[schedule])
    assert days(schedule.upper()) == days(schedule)


def test_schedules_are_those_of_give() -> None:
    for words, made in {
        "daily for 24 months": course("lenalidomide", start=0.0, months=24.0),
        "every 3 days from day 1.7 to day 90": course("lenalidomide", start=1.7, stop=90.5, every=3.0),
        "3 times a week for 1 year": course("lenalidomide", start=0.0, months=12.0, days_of_week=(0, 2, 4)),
        "days 1-21 of 28 from month 1 for 24 months": course(
            "lenalidomide", start=DAYS_PER_MONTH, months=24.0, cycle=28, days_on=21
        ),
    }.items():
        assert doses(f"lenalidomide 10 mg {words}") == made.doses, words


def test_steps_are_clauses_that_begin_with_an_amount() -> None:
    steps = doses("crenigacestat 0.06 mg/kg day 0; 0.3 mg/kg day 3\n 1.5 mg/kg weekly from day 6 for 12 months")
    assert [dose.day for dose in steps[:4]] == [0.0, 3.0, 6.0, 13.0]
    assert [dose.amount for dose in steps[:3]] == pytest.approx([0.06 * WEIGHT, 0.3 * WEIGHT, 1.5 * WEIGHT])
    assert steps == doses("crenigacestat")
    note = f"doses per kg of crenigacestat are for a body weight of {WEIGHT:g} kg"
    assert read("crenigacestat").lines[0].note == note
    assert read("crenigacestat").text.endswith(f"({note})")


def test_the_usual_course_can_be_moved_ended_and_halved() -> None:
    whole = doses("crenigacestat")
    assert doses("crenigacestat from day 20") == tuple(replace(dose, day=dose.day + 20.0) for dose in whole)
    assert doses("crenigacestat half dose") == tuple(replace(dose, amount=dose.amount / 2) for dose in whole)
    assert doses("crenigacestat until day 6") == whole[:2]
    assert doses("crenigacestat to day 6") == whole[:3]
    assert doses("crenigacestat from day 1 for 5 days") == tuple(replace(dose, day=dose.day + 1) for dose in whole[:2])
    longer = doses("crenigacestat for 24 months")
    assert longer[: len(whole)] == whole
    assert 13.0 * 7.0 < longer[-1].day < 24.0 * DAYS_PER_MONTH <= longer[-1].day + 7.0
    tablets = course("lenalidomide", "5 mg", start=30.0, months=6.0, cycle=28, days_on=21)
    assert doses("Revlimid 5 mg from day 30 for 6 months") == tablets.doses


def test_until_progression_is_at_most_five_years_and_ends_at_progression() -> None:
    plan = read("ide-cel; len maintenance from day 30")
    assert plan.lines[0].until == ("lenalidomide",)
    assert plan.first.doses[-1].day < 30.0 + MOST_MONTHS * DAYS_PER_MONTH
    assert [rule.name for rule in plan.rules()] == ["end of line 1"]
    both = read("lenalidomide 10 mg daily for 10 days until progression")
    assert (len(both.first.doses), both.lines[0].until) == (10, ("lenalidomide",))


def test_infusions_take_a_while_and_cells_can_be_split() -> None:
    assert doses("crenigacestat 8 mg over 2 hours on day 1") == (Infusion("crenigacestat", 8.0, 2.0 / 24.0, 1.0),)
    (short,) = doses("crenigacestat 8 mg day 1 over 30 min")
    assert isinstance(short, Infusion)
    assert short.duration == pytest.approx(30.0 / 1440.0, rel=1e-12)
    split = doses("cilta-cel 100e6 cells split 20/30/50 on days 0, 2, 4")
    assert split == infuse("cilta_cel", 100e6, split=(0.2, 0.3, 0.5), every=2.0).doses
    assert [dose.day for dose in doses("cilta-cel split 50/50")] == [0.0, 1.0]


def test_lines_open_where_something_is_seen_and_clauses_belong_to_the_line_before_them() -> None:
    plan = read("""
        lenalidomide 25 mg days 1-21 of 28 for 4 cycles   # induction; not more
        At VGPR, crenigacestat 25 mg day 0
        at progression:
          crenigacestat 25 mg days 0-2
          cilta-cel on day 5
        at second progression ide-cel; together with equ-cel; at third progression: cilta-cel again.
    """)
    assert [line.when for line in plan.lines] == ["", "VGPR", "progression", "progression", "progression"]
    assert [len(line.regimen.doses) for line in plan.lines] == [84, 1, 4, 2, 1]
    assert sorted(plan.products) == ["cilta_cel", "cilta_cel", "equ_cel", "ide_cel"]
    assert plan.lines[2].regimen.doses[-1] == Bolus("cilta_cel", 5.6e7, 5.0)


def test_a_plan_stands_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.txt"
    path.write_text("# first line\nide-cel\nat progression: ide-cel again  # a second course\n", encoding="utf-8")
    assert read_plan_file(path).products == ("ide_cel", "ide_cel")
    path.write_text("ide-cel\nequ-cel day 0\n", encoding="utf-8")
    with pytest.raises(RegimenError, match=r"plan\.txt, line 2, character 1: ide_cel and equ_cel on one day"):
        read_plan_file(path)
    with pytest.raises(FileError, match="there is no such file"):
        read_plan_file(tmp_path / "none.txt")


numbers = st.one_of(st.floats(0.001, 1e3), st.integers(1, 500).map(float), st.sampled_from([450e6, 0.1, 1 / 3]))
moments = st.one_of(
    st.integers(-5, 200).map(float), st.floats(0.0, 300.0), st.sampled_from([DAYS_PER_MONTH, 0.1, 1e-3])
)
drugs = st.builds(
    Regimen,
    st.one_of(
        st.lists(st.builds(Bolus, st.just("lenalidomide"), numbers, moments), min_size=1, max_size=6),
        st.lists(st.builds(Infusion, st.just("crenigacestat"), numbers, numbers, moments), min_size=1, max_size=4),
    ).map(tuple),
)
courses = st.builds(
    lambda start, every, cycle, amount: course(
        "lenalidomide", amount, start=start, stop=start + 60.0, every=every, cycle=cycle, days_on=cycle and 5
    ),
    moments, st.sampled_from([1.0, 0.5, 7.0, 1 / 3, DAYS_PER_MONTH]), st.sampled_from([None, 21, 28]), numbers,
)  # fmt: skip
cells = st.dictionaries(st.sampled_from(["ide_cel", "cilta_cel"]), st.sets(st.integers(0, 90), max_size=3), max_size=2)
regimens = st.builds(
    lambda parts, given: (
        sum(parts, Regimen())
        + Regimen(tuple(Bolus(product, 1e6 * (day + 1), float(day)) for product, when in given.items() for day in when))
    ),
    st.lists(drugs | courses, min_size=1, max_size=3),
    cells,
)


def later(regimen: Regimen, when: str) -> Line:
    return Line(Regimen(tuple(dose for dose in regimen.doses if dose.day >= 0) or infuse("ide_cel").doses), when)


@settings(max_examples=150, deadline=None)
@given(regimens, st.lists(st.tuples(regimens, st.sampled_from(["progression", *RESPONSES])), max_size=3), st.data())
def test_a_written_plan_reads_back_to_the_same_doses(
    first: Regimen, others: list[tuple[Regimen, str]], data: st.DataObject
) -> None:
    lines = [Line(first), *(later(regimen, when) for regimen, when in others)]
    drugs_of = [[key for key in line.therapies if key in {"lenalidomide", "crenigacestat"}] for line in lines]
    until = [tuple(data.draw(st.sets(st.sampled_from(keys)))) if keys else () for keys in drugs_of]
    plan = Plan(tuple(replace(line, until=keys) for line, keys in zip(lines, until, strict=True)))
    again = read_plan(write_plan(plan))
    assert [(line.when, line.until) for line in again.lines] == [(line.when, line.until) for line in plan.lines]
    for one, other in zip(again.lines, plan.lines, strict=True):
        assert sorted(one.regimen.doses, key=repr) == sorted(other.regimen.doses, key=repr)


def test_written_plans_are_short() -> None:
    plan = read(
        "ide-cel; lenalidomide 10 mg days 1-21 of 28 from day 30 for 24 months; at progression: cilta-cel day 5"
    )
    assert write_plan(plan) == (
        "ide-cel 450 million cells day 0; lenalidomide 10 mg days 1-21 of 28 from day 30, 549 doses; "
        "at progression: cilta-cel 56 million cells day 5"
    )


# what cannot be meant: where, which words, and what would be right

TABLETS = replace(read_therapy("lenalidomide"), usual="10 mg daily for 12 months", names=("len",))
TWO_STEPS = replace(read_therapy("crenigacestat"), usual="5 mg day 0; 25 mg day 3")
SHORTER = (*(t for t in read_therapies() if t.key not in {TABLETS.key, TWO_STEPS.key}), TABLETS, TWO_STEPS)

NAMES = {
    "ide-cell": r"character 1: There is no therapy 'ide-cell'\. Did you mean 'ide-cel'",
    "ide-cel; lenalidomid 10 mg daily for 3 days": r"character 10: There is no therapy 'lenalidomid'.*'lenalidomide'",
    "ide-cel\n\nlen 10 mg dayly for 3 days": r"line 3, character 11: There is no word of a schedule 'dayly'.*'daily'",
    "together with 10 mg day 0": "There is no therapy",
}  # fmt: skip

UNITS = {
    "ide-cel 45 mg": r"character 9, '45 mg': ide_cel: is not given in 'mg'; write 'cells', 'million cells'",
    "len 10 cells day 0": r"character 5, '10 cells': lenalidomide: is not given in 'cells'; write 'g', 'mg'.*'mg/kg'",
    "len 2 Gy day 0": "is not given in 'gy'",
    "len 10 day 0": "'10 day': lenalidomide: is not given in 'day'",
    "ide-cel 450": r"'450': ide_cel: a number without a unit; write 'cells'",
    "len 10 mg/m2 day 0": r"'10 mg/m2': lenalidomide: is not given in 'mg/m2'",
    "len 10 mg/ day 0": "is not given in 'mg/day'",
}  # fmt: skip

CONTRADICTIONS = {
    "": r"nothing is given; write what is given on day 0",
    " ;; # only a comment": "nothing is given",
    "at progression ide-cel": "the first line is missing before 'at progression'",
    "ide-cel; at progression:": r"character 10: nothing follows 'at progression'; name a therapy",
    "ide-cel; at relapse cilta-cel": r"'at relapse cilta-cel': a line starts 'at progression'.*at CR",
    "ide-cel; at PD len": "a line starts 'at progression'",
    "ide-cel; at second progression len": r"'at second progression': comes as number 1; write 'at progression'",
    "ide-cel; at progression len; at third progression len": "comes as number 2; write 'at second progression'",
    "ide-cel; at my progression len": "is not how progressions are counted",
    "10 mg day 0": "begins with an amount; name a therapy before it",
    "ide-cel; at progression 10 mg day 0": "begins with an amount",
    "len -5 mg day 0": r"'-5': lenalidomide: an amount of -5; give a positive amount",
    "len 0 mg day 0": "an amount of 0; give a positive amount",
    "len 1e999 mg day 0": "expected an amount",
    "len 10 mg day 0 20 mg": r"'20 mg': a second amount; begin a new clause",
    "len 10 mg daily": r"'len 10 mg daily': has no end; write for example 'for 12 months'",
    "len 10 mg daily weekly for 3 days": "'weekly': how often is said twice",
    "len 10 mg daily 3 times a week for 3 weeks": "two rhythms",
    "len 10 mg daily for 3 days to day 9": "'to day 9': the end is said twice",
    "len 10 mg day 0 for 3 days": "single days and a course at once",
    "len 10 mg days 0, 0": "a day is given twice",
    "ide-cel, len 10 mg daily for 3 days": "character 10, 'len .*': begins a new therapy; separate therapies by ';'",
    "len 10 mg days 4-0": r"days from 4 to 0; write them rising",
    "len 10 mg days 0-3 of 28 for 2 cycles": "days of a cycle are whole numbers from 1",
    "len 10 mg weekly 3 cycles": "cycles of unknown length",
    "len 10 mg every 0 days for 3 days": "expected a positive number",
    "len 10 mg every 3 moons": "expected day, days",
    "len 10 mg daily for 0.5 cycles": "a whole number of cycles",
    "len 10 mg daily from day 5 to day 3": "no dose falls between",
    "len 10 mg every 0.001 days for 60 months": "more than 20000 doses",
    "len 10 mg daily from 30 for 3 days": r"'30 for 3 days': expected a day or a month, as in 'from day 30'",
    "len 10 mg daily for": r"after 'len 10 mg daily for': expected a duration",
    "len on day 3": r"lenalidomide: one dose or its usual course\? .*'from day 3' for the usual course",
    "crenigacestat for 3 months": "the usual course does not repeat",
    "crenigacestat 10 mg": "the usual course has several amounts",
    "crenigacestat 12 doses": "says how many doses, but not how often",
    "len until day 0": "ends before its first dose",
    "len; 20 mg day 3": "a dose more after the usual course of lenalidomide",
    "len 10 mg day 0; 20 mg": "an amount without a day",
    "ide-cel until progression": "cells are given at once",
    "ide-cel over 2 hours": "cells are given at once",
    "ide-cel split 20/30 on days 0, 1": r"'20/30': shares are positive and add up to 100",
    "ide-cel split 20/80 on days 0, 1, 2": "2 shares on 3 days",
    "len 10 mg split 50/50 on days 0, 1": "only cells are split",
    "ide-cel; cilta-cel": "character 10: ide_cel and cilta_cel on one day; write 'together with cilta-cel' if it",
    "together with ide-cel": "'together with' follows nothing",
    "ide-cel; ide-cel day 90": r"character 10: ide_cel a second time on day 90; .*'ide-cel again'",
    "ide-cel days 0, 61": "ide_cel a second time on day 61",
    "ide-cel; at progression ide-cel": "ide_cel a second time at progression; .*'ide-cel again'",
    "ide-cel; at CR len; at progression ide-cel": "ide_cel a second time at progression",
    "ide-cel again": "ide_cel again, but it was not given before; omit 'again'",
    "ide-cel; ide-cel": "two infusions on day 0",
    "ide-cel day 5; len maintenance": "maintenance from day 0, but the cells come on day 5; .*'from day 35'",
    "len maintenance": "there are no CAR-T cells and no transplant before it; omit 'maintenance'",
    "len maintenance; at progression ide-cel": "there are no CAR-T cells",
    "ide-cel; at progression len 10 mg days -5 to -3": "line at progression: lenalidomide on day -5, before the line",
    "ide-cel day -3": "day 0 is the first infusion",
    "len 10 mg daily. for 3 days": "a clause ends with ';'",
    "len 10 mg day": "expected a day, for example 'day 0'",
    "len half of it": "expected 'half dose'",
}  # fmt: skip


def refused(sentence: str, kind: type[InputError], message: str) -> None:
    with pytest.raises(kind, match=message):
        read_plan(sentence, therapies=SHORTER)


@pytest.mark.parametrize("sentence", NAMES)
def test_an_unknown_name_is_told_with_what_is_near(sentence: str) -> None:
    refused(sentence, UnknownNameError, NAMES[sentence])


@pytest.mark.parametrize("sentence", UNITS)
def test_a_unit_that_does_not_fit_is_told_with_those_that_would(sentence: str) -> None:
    refused(sentence, UnitError, UNITS[sentence])


@pytest.mark.parametrize("sentence", CONTRADICTIONS)
def test_what_contradicts_itself_is_told(sentence: str) -> None:
    refused(sentence, RegimenError, CONTRADICTIONS[sentence])


def test_what_is_said_to_be_meant_is_accepted() -> None:
    for sentence in (
        "ide-cel; together with cilta-cel", "ide-cel; ide-cel again day 90", "ide-cel again days 0, 61",
        "ide-cel; at progression ide-cel again", "ide-cel; len maintenance from day 30",
        "ide-cel; at progression len maintenance", "ide-cel day 0; ide-cel day 60",
    ):  # fmt: skip
        assert read_plan(sentence, therapies=SHORTER).first.doses


def test_maintenance_may_follow_a_transplant() -> None:
    shelf = (TABLETS, replace(TWO_STEPS, group="transplant", usual="25 mg day 0"))
    read_plan("crenigacestat; lenalidomide maintenance from day 90", therapies=shelf)
    with pytest.raises(RegimenError, match="the cells come on day 9"):
        read_plan("crenigacestat from day 9; lenalidomide maintenance", therapies=shelf)


def test_a_usual_course_that_cannot_be_read_is_an_error_of_its_therapy() -> None:
    for usual, message in (("10 mg dayly", "dayly"), ("10 mg", "on which days"), ("10 mg daily", "has no end")):
        with pytest.raises(InputError, match=f"usual course of lenalidomide: .*{message}"):
            read_plan("lenalidomide", therapies=(replace(TABLETS, usual=usual),))
    with pytest.raises(RegimenError, match="lenalidomide: has no usual course; write when"):
        read_plan("lenalidomide", therapies=(replace(TABLETS, usual=""),))
