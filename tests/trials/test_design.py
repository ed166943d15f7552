"""Scenario files: what is written is what is designed, and each contradiction is one clear error."""

from pathlib import Path

import numpy as np
import pytest

from perdure.parameters.errors import FileError, InputError, RangeError, RegimenError, UnknownNameError
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.trials.design import TrialScenario, read_scenario
from perdure.trials.eligibility import Criterion, Factor, asked, strata_of

GOOD = """
title = "Lenalidomide from day 30 after ide-cel, or none"
population = "late_line"
[[arm]]
name = "none"
given = "ide-cel"
[[arm]]
name = "lenalidomide"
given = "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 30 for 24 months"
share = 2
[trial]
time_zero = "randomisation"
randomised_on_day = 30
patients = 300
accrual_months = 18
follow_up_months = 24
dropout_per_year = 0.05
visit_days = 28
endpoint = "pfs"
test = "logrank"
alpha = 0.05
power = 0.8
[[trial.eligible]]
what = "tumour_baseline"
above = 1e11
[[trial.stratum]]
what = "tumour_baseline"
cut = 1e12
"""
APHERESIS = """
population = "late_line"
[[arm]]
name = "antibody"
given = "daratumumab"
[[arm]]
name = "cells"
given = "proteasome inhibitor for 4 weeks; lymphodepletion days 37-39; ide-cel on day 42"
[trial]
time_zero = "apheresis"
patients = 100
accrual_months = 12
follow_up_months = 24
endpoint = "orr"
visit_days = 30
not_infused = 0.1
"""


def read(tmp_path: Path, text: str) -> TrialScenario:
    path = tmp_path / "trial.toml"
    path.write_text(text, encoding="utf-8")
    return read_scenario(path)


def test_a_scenario_is_what_its_file_says(tmp_path: Path) -> None:
    scenario = read(tmp_path, GOOD)
    design = scenario.design
    assert design is not None
    assert [arm.name for arm in design.arms] == ["none", "lenalidomide"]
    assert design.arms is scenario.arms
    assert design.arms[1].plan.therapies == ("ide_cel", "lenalidomide")
    assert design.population == scenario.population == "late_line"
    assert (design.origin, design.months, design.patients) == (30.0, 42.0, 300)
    assert design.block == (2, 4)
    assert design.eligible == (Criterion("tumour_baseline", above=1e11),)
    assert design.strata == (Factor("tumour_baseline", 1e12),)
    # one visit beyond the last day of the first patient in confirms what is seen on it
    assert design.visits.until == pytest.approx(30 + 42 * DAYS_PER_MONTH + 28)


def test_arms_alone_are_a_scenario_without_a_trial(tmp_path: Path) -> None:
    scenario = read(tmp_path, GOOD.partition("[trial]")[0])
    assert scenario.design is None
    assert len(scenario.arms) == 2


def test_what_is_left_out_is_usual(tmp_path: Path) -> None:
    design = read(tmp_path, APHERESIS).design
    assert design is not None
    assert (design.test, design.alpha, design.power, design.not_infused) == ("rate", 0.05, 0.8, 0.1)
    assert design.title == "trial"
    assert "10 % are not infused" in design.assumptions[-1]
    assert "assumed" in design.assumptions[-1]


WRONG = [
    ("accrual_months = 18", "accrual_months = -1", RangeError, r"accrual_months = -1; give 0"),
    ("follow_up_months = 24", "follow_up_months = 0.5", RangeError, r"0.5 \(15 days\) is shorter than"),
    ("follow_up_months = 24", "follow_up_months = 500", RangeError, r"follow_up_months = 500 .*at most 160"),
    ("follow_up_months = 24\n", "", FileError, r"'follow_up_months' is missing"),
    ("visit_days = 28", "visit_days = 0", RangeError, r"visit_days = 0; give days between visits"),
    ("patients = 300", "patients = 1", RangeError, r"patients = 1; give a whole number of at least 2"),
    ("patients = 300", "patients = 2", RangeError, r"arm 'none': of 2 patients 0.67 belong to it"),
    ("patients = 300", 'patients = "300"', FileError, r"patients = '300' is wrong"),
    ("patients = 300", "patients = 30.5", FileError, r"patients = 30.5 is wrong"),
    ("dropout_per_year = 0.05", "dropout_per_year = -0.1", RangeError, r"dropout_per_year = -0.1; give a share from 0"),
    ("dropout_per_year = 0.05", "dropout_per_year = 1.0", RangeError, r"dropout_per_year = 1; .* less than 1"),
    ("dropout_per_year = 0.05", "dropout_per_year = nan", FileError, r"dropout_per_year = nan is wrong"),
    ("alpha = 0.05", "alpha = 0", RangeError, r"alpha = 0; give a number between 0 and 1"),
    ("power = 0.8", "power = 80", RangeError, r"power = 80; give a number between 0 and 1"),
    ('endpoint = "pfs"', 'endpoint = "pf"', UnknownNameError, r"no endpoint 'pf'. Did you mean 'pfs'"),
    ('endpoint = "pfs"', 'endpoint = "mrd_1e-4"', UnknownNameError, r"Did you mean 'mrd_1e-[56]' or 'mrd_1e-[56]'"),
    ('endpoint = "pfs"', 'endpoint = "orr"', InputError, r"test = 'logrank' does not go with endpoint = 'orr'.*'rate'"),
    ('test = "logrank"', 'test = "rate"', InputError, r"test = 'rate' does not go with endpoint = 'pfs'.*'max_combo'"),
    ('test = "logrank"', 'test = "log_rank"', UnknownNameError, r"no test 'log_rank'. Did you mean 'logrank'"),
    ('test = "logrank"', "restricted_months = 12", InputError, r"restricted_months = 12 is for test"),
    ('test = "logrank"', 'test = "restricted_mean"\nrestricted_months = 60', RangeError, r"at most the longest .* 42"),
    ('"randomisation"', '"randomization"', UnknownNameError, r"Did you mean 'randomisation'"),
    ('"randomisation"', '"infusion"', InputError, r"randomised_on_day = 30, but time_zero = 'infusion'"),
    ("randomised_on_day = 30\n", "", InputError, r"needs randomised_on_day"),
    ("randomised_on_day = 30", "randomised_on_day = -5", RangeError, r"randomised_on_day = -5; give a day after"),
    ("randomised_on_day = 30", "randomised_on_day = 60", RegimenError, r"differ before .*\(lenalidomide on day 30\)"),
    ('given = "ide-cel"', 'given = "ide-cel 300e6 cells"', RegimenError, r"differ before .*\(ide_cel on day 0\)"),
    ("share = 2", "share = 0", RangeError, r"arm 'lenalidomide': share = 0, an arm without patients"),
    ("share = 2", "share = -1", RangeError, r"share = -1"),
    ("share = 2", "share = 0.013", RangeError, r"shares 1, 0.013 need blocks of"),
    ('name = "none"\n', "", FileError, r"\[\[arm\]\] 1: 'name' is missing"),
    ('name = "none"', 'name = ""', FileError, r"name = '' is wrong"),
    ('given = "ide-cel"\n', "", FileError, r"\[\[arm\]\] 1: 'given' is missing"),
    ('name = "none"', 'name = "lenalidomide"', InputError, r"name = 'lenalidomide' stands 2 times"),
    ('given = "ide-cel"', 'given = "ide-sel"', UnknownNameError, r"\[\[arm\]\] 1, 'none', given: .*ide-cel"),
    ('given = "ide-cel"', 'given = "daratumumab"', RegimenError, r"arm 'none': no cells are given, and time_zero"),
    ('given = "ide-cel"', 'given = "ide-cel on day 40"', RegimenError, r"the first cells come on day 40"),
    ('given = "ide-cel"', 'given = "ide-cel; at progression talquetamab; at CR iberdomide"', RegimenError, "after"),
    ('given = "ide-cel"', 'given = "ide-cel; at CR iberdomide"', RegimenError, r"different things at a response"),
    ('"late_line"', '"late_lin"', UnknownNameError, r"no population 'late_lin'. Did you mean 'late_line'"),
    ('population = "late_line"\n', "", InputError, r"has no population"),
    ("share = 2", 'population = "mixed_line"', InputError, r"population = 'mixed_line', and 'late_line' in 'none'"),
    ('"tumour_baseline"\nabove', '"tumor_baseline"\nabove', UnknownNameError, r"Did you mean 'tumour_baseline'"),
    ("above = 1e11", "", InputError, r"has no limit; give above or below"),
    ("above = 1e11", "above = 1e11\nbelow = 1e10", RangeError, r"above 1e\+11 and below 1e\+10; no number is both"),
    ("above = 1e11", 'at_least = "PR"', InputError, r"at_least = 'PR' is for 'response'"),
    ("above = 1e11", 'below = "many"', RangeError, r"below = 'many'; give a finite number"),
    ('"tumour_baseline"\nabove = 1e11', '"response"\nat_least = "PR"', InputError, r"none is confirmed on day 30"),
    ('"tumour_baseline"\nabove = 1e11', '"response"\nat_least = "GPR"', UnknownNameError, r"Did you mean .*'VGPR'"),
    ('"tumour_baseline"\nabove = 1e11', '"response"\nabove = 2', InputError, r"above = 2; give at_least, a category"),
    ('"tumour_baseline"\nabove = 1e11', '"response"\nat_least = "CR"\nbelow = "PR"', RangeError, "is both"),
    ("cut = 1e12", 'cut = "PR"', RangeError, r"stratum, what = 'tumour_baseline': cut = 'PR'"),
    ("cut = 1e12\n", "", FileError, r"\[\[trial.stratum\]\]: 'cut' is missing"),
    ("[[trial.stratum]]", "[trial.stratum]", FileError, r"write it as \[\[trial.stratum\]\]"),
    ("power = 0.8", "powr = 0.8", UnknownNameError, r"no key 'powr'. Did you mean 'power'"),
    ("title =", "titel =", UnknownNameError, r"no key 'titel'. Did you mean 'title'"),
    ("power = 0.8", "not_infused = 0.1", InputError, r"not_infused = 0.1, but time_zero = 'randomisation'"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "kind", "message"), WRONG, ids=[f"{w[1]}" for w in WRONG])
def test_a_contradiction_is_one_clear_error(
    right: str, wrong: str, kind: type[InputError], message: str, tmp_path: Path
) -> None:
    assert right in GOOD
    with pytest.raises(kind, match=message) as error:
        read(tmp_path, GOOD.replace(right, wrong, 1))
    assert str(error.value).startswith("trial.toml")
    assert type(error.value) is kind


@pytest.mark.parametrize(
    ("right", "wrong", "kind", "message"),
    [
        (
            "; lymphodepletion days 37-39; ide-cel on day 42",
            "; ide-cel",
            RegimenError,
            r"cells on day 0, which is the day of",
        ),
        ("ide-cel on day 42", "ide-cel on day 1050", RegimenError, r"cells on day 1050 leave fewer than 3 visits"),
        (
            '"daratumumab"',
            '"daratumumab; at progression ide-cel"\nshare = 1',
            RangeError,
            r"visit_days = 30; .* 3.5 days",
        ),
        ("; lymphodepletion days 37-39; ide-cel on day 42", "", RegimenError, r"no arm is given cells"),
        ("not_infused = 0.1", "not_infused = 1.0", RangeError, r"not_infused = 1; give a share"),
    ],
)
def test_apheresis_needs_cells_that_come_later(
    right: str, wrong: str, kind: type[InputError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        read(tmp_path, APHERESIS.replace(right, wrong, 1))


def test_a_trial_of_one_arm_and_a_file_of_none_are_refused(tmp_path: Path) -> None:
    first, _, rest = GOOD.partition('[[arm]]\nname = "lenalidomide"')
    with pytest.raises(InputError, match=r"there is only 'none'; write another \[\[arm\]\]"):
        read(tmp_path, first + "[trial]" + rest.partition("[trial]")[2])
    with pytest.raises(InputError, match=r"arm: there is none"):
        read(tmp_path, 'title = "nobody"')
    with pytest.raises(FileError, match=r"there is no such file"):
        read_scenario(tmp_path / "missing.toml")
    with pytest.raises(FileError, match=r"trial = 3; write a table"):
        read(tmp_path, first.replace("[[arm]]", "trial = 3\n[[arm]]", 1))


# Eligibility and strata


def test_criteria_and_strata_read_values_as_they_are_written() -> None:
    values = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(
        Criterion("tumour_baseline", above=1.0, below=3.0).fulfilled(values), [False, True, False]
    )
    response = np.array([[1, 3, 5], [0, 4, 5]])  # SD PR CR / PD VGPR CR
    partial = Criterion("response", at_least="PR", below="CR")
    np.testing.assert_array_equal(partial.fulfilled(response), [[False, True, False], [False, True, False]])
    patients = ({"tumour_baseline": values},)
    stratum, names = strata_of((Factor("tumour_baseline", 2.0), Factor("response", "CR")), patients, response)
    np.testing.assert_array_equal(stratum, [[0, 0, 3], [0, 0, 3]])
    assert names[3] == "tumour_baseline above 2, response CR or better"
    assert names[0] == "tumour_baseline to 2, response below CR"
    assert strata_of((), patients, None)[1] == ("all",)


def test_what_differs_between_arms_cannot_be_asked_before_randomisation() -> None:
    patients = ({"k_expansion": np.array([1.0])}, {"k_expansion": np.array([2.0])})
    with pytest.raises(InputError, match=r"'k_expansion' is a number of the product and differs between the arms"):
        asked(Criterion("k_expansion", above=0.0), patients, None)
