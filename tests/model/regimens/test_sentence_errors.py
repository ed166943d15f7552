"""A sentence that cannot be meant is one clear error: where, which words, and what would be right."""

from dataclasses import replace

import pytest

from perdure.model.regimens.sentence import read_plan
from perdure.model.therapy import read_therapies, read_therapy
from perdure.parameters.errors import InputError, RegimenError, UnitError, UnknownNameError

PILLS = replace(read_therapy("lenalidomide"), usual="10 mg daily for 12 months", names=("len",))
STEPS = replace(read_therapy("crenigacestat"), usual="5 mg day 0; 25 mg day 3")
SHELF = (*(therapy for therapy in read_therapies() if therapy.key not in {PILLS.key, STEPS.key}), PILLS, STEPS)

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
        read_plan(sentence, therapies=SHELF)


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
        assert read_plan(sentence, therapies=SHELF).first.doses


def test_maintenance_may_follow_a_transplant() -> None:
    shelf = (PILLS, replace(STEPS, group="transplant", usual="25 mg day 0"))
    read_plan("crenigacestat; lenalidomide maintenance from day 90", therapies=shelf)
    with pytest.raises(RegimenError, match="the cells come on day 9"):
        read_plan("crenigacestat from day 9; lenalidomide maintenance", therapies=shelf)


def test_a_usual_course_that_cannot_be_read_is_an_error_of_its_therapy() -> None:
    for usual, message in (("10 mg dayly", "dayly"), ("10 mg", "on which days"), ("10 mg daily", "has no end")):
        with pytest.raises(InputError, match=f"usual course of lenalidomide: .*{message}"):
            read_plan("lenalidomide", therapies=(replace(PILLS, usual=usual),))
    with pytest.raises(RegimenError, match="lenalidomide: has no usual course; write when"):
        read_plan("lenalidomide", therapies=(replace(PILLS, usual=""),))
