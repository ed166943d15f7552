"""The file of a therapy: what it must say and must not, and that what the shipped ones say hangs together."""

import math
from pathlib import Path

import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.processes.drugs import PROCESSES
from perdure.model.therapy import FIXED, GRADED, PK_NEEDS, Therapy, read_therapies, read_therapy
from perdure.parameters.errors import FileError, UnknownNameError
from perdure.parameters.units import dimension, read_unit, same_unit

CATALOGUE = read_catalogue()
DRUGS = tuple(therapy for therapy in read_therapies() if therapy.kind == "drug")
PRODUCTS = tuple(therapy for therapy in read_therapies() if therapy.kind == "car_t")
every_drug = pytest.mark.parametrize("drug", DRUGS, ids=lambda therapy: therapy.key)
every_product = pytest.mark.parametrize("product", PRODUCTS, ids=lambda therapy: therapy.key)

OF_EVERY_PRODUCT = {
    "fraction_engrafted", "half_density_kill", "k_memory_formation", "k_death_memory", "fraction_immunogenic",
}  # fmt: skip
UNITS = {
    "clearance": "L/day", "clearance_exchange": "L/day", "volume": "L", "volume_peripheral": "L",
    "k_absorption": "1/day", "fraction_absorbed": "", "half_life": "day", "k_kill": "1/day",
    "half_density": "molecule/cell", "half_host": "cell/uL", "half_binding": "nmol/L", "molar_mass": "mg/nmol",
    "sensitive": "", "resistant": "", "in_field": "", "linear": "1/Gy", "quadratic": "1/Gy**2",
}  # fmt: skip


# The shelf


@every_product
def test_a_product_is_dosed_in_cells_and_stays_inside_the_shared_ranges(product: Therapy) -> None:
    assert product.dose_unit == "cell"
    assert product.targets
    assert set(product.targets) <= {*GRADED, *FIXED}
    assert set(product.targets) & set(GRADED), "cells that see only what is never lost cannot be escaped from"
    assert 1e5 <= product.default_dose / CATALOGUE["body_weight"].value <= 1e7
    assert product.dose_note
    names = {parameter.id.split(".")[1] for parameter in product.parameters if not parameter.id.endswith(".spread")}
    assert names >= OF_EVERY_PRODUCT
    assert all(CATALOGUE[name].of_product for name in names), "only what is a product's own can be another's"
    for parameter in product.parameters:
        shared = CATALOGUE[parameter.id.split(".")[1]]
        assert parameter.unit == shared.unit
        assert shared.low <= parameter.low
        assert parameter.high <= shared.high
    assert set(product.fitted) <= {parameter.id for parameter in product.parameters if parameter.prior}


@every_drug
def test_a_drug_changes_processes_that_exist_by_numbers_that_exist(drug: Therapy) -> None:
    assert drug.effects or drug.attacks
    assert drug.pk is not None
    for effect in drug.effects:
        assert effect.on in PROCESSES
        assert CATALOGUE[effect.half].unit == drug.pk.unit
        for name in effect.strength:
            assert CATALOGUE[name].unit == ""
    right = {**UNITS, "half": drug.pk.unit, "slope": f"1/day/({drug.pk.unit})"}
    for role, name in (*drug.pk.names, *(number for attack in drug.attacks for number in attack.numbers)):
        assert same_unit(read_unit(CATALOGUE[name].unit), read_unit(right[role])), f"{name}: {CATALOGUE[name].unit}"
    dose = dimension(read_unit(drug.dose_unit))
    assert dimension(read_unit(drug.pk.unit) * (read_unit("L") if "/" in drug.pk.unit else read_unit(""))) == dose


@every_drug
def test_the_numbers_of_a_drug_carry_its_name_and_are_all_its_own(drug: Therapy) -> None:
    stems = {parameter.id.removesuffix(".spread") for parameter in drug.parameters}
    assert [name for name in stems if not name.endswith(f"_{drug.key}")] == []
    assert drug.pk is not None
    used = {name for _, name in drug.pk.names} | {name for attack in drug.attacks for _, name in attack.numbers}
    used |= {name for effect in drug.effects for name in (*effect.strength, effect.half)}
    assert stems == used | {CATALOGUE[name].drawn_with for name in used if CATALOGUE[name].drawn_with}


@every_drug
def test_who_is_sensitive_to_a_drug_is_drawn(drug: Therapy) -> None:
    for attack in drug.attacks:
        if attack.number("sensitive"):
            trait = CATALOGUE[attack.number("sensitive")]
            assert trait.drawn_with == f"fraction_sensitive_{drug.key}"
            assert trait.value == 1.0


def test_an_inhibition_never_turns_a_process_around() -> None:
    for drug in DRUGS:
        for effect in drug.effects:
            if effect.form == "inhibition":
                assert math.prod(CATALOGUE[name].high for name in effect.strength) <= 1.0


def test_what_is_called_calibrated_names_the_results_it_rests_on() -> None:
    for therapy in read_therapies():
        assert therapy.evidence or therapy.grade != "calibrated", therapy.key
        assert therapy.group != "hypothetical" or therapy.grade == "hypothetical", therapy.key


def test_no_two_therapies_answer_to_one_name() -> None:
    taken: dict[str, str] = {}
    for therapy in read_therapies():
        for name in {word.casefold() for word in (therapy.key, therapy.short, therapy.title, *therapy.names)}:
            assert taken.setdefault(name, therapy.key) == therapy.key, name


# What a file may not say

DRUG = """
kind = "drug"
group = "antibody"
title = "mine"
meaning = "A drug of my own."
dose_unit = "mg"
default_dose = 1.0
grade = "assumed"
grade_note = "A test."
"""
CELLS = DRUG.replace('"drug"', '"car_t"').replace('"antibody"', '"CAR-T product"').replace('"mg"', '"cell"')
HEAD = 'targets = ["BCMA"]\nbinder = "human"\n'
PK = '[pk]\nmodel = "amount"\nunit = "mg"\nparameters = { half_life = "half_life_mine" }\n'
EFFECT = '[[effect]]\non = "growth"\nform = "inhibition"\nstrength = ["max_mine"]\nhalf = "half_mine"\n'


def attack(means: str, antigens: str = "", **numbers: str) -> str:
    listed = "\n".join(f'{role} = "{name}"' for role, name in numbers.items())
    return f'[[attack]]\nmeans = "{means}"\nantigens = [{antigens}]\n[attack.numbers]\n{listed}\n'


DIRECT = attack("direct", k_kill="k_mine", half="half_mine")
REDIRECTED = {"k_kill": "k_mine", "half": "half_mine", "half_host": "host_mine"}
MISTAKES = {
    "no group": (DRUG.replace('group = "antibody"', ""), "'group' is missing"),
    "no drug without kinetics": (DRUG, r"a drug needs a \[pk\] table"),
    "no drug without an effect": (DRUG + PK, r"a drug needs an \[\[effect\]\] or an \[\[attack\]\]"),
    "kinetics without their number": (
        DRUG + PK.replace('{ half_life = "half_life_mine" }', "{}") + EFFECT,
        "model 'amount' needs the name of its half_life",
    ),
    "kinetics with a number too many": (
        DRUG + PK.replace("{ half", '{ volume = "v", half') + EFFECT, "There is no number 'volume'",
    ),
    "kinetics that are not known": (
        DRUG + PK.replace('"amount"', '"amounts"') + EFFECT,
        "no pharmacokinetic model 'amounts'.*Did you mean 'amount'",
    ),
    "an effect of cells": (
        CELLS + HEAD + EFFECT, r"a CAR-T product has cells and parameters, no \[pk\], \[\[effect\]\] or \[\[attack\]\]",
    ),
    "cells without a target": (CELLS + 'binder = "human"\n', "needs its targets and its binder"),
    "cells without a binder": (CELLS + 'targets = ["BCMA"]\n', r"its binder \(murine, camelid, humanised, human\)"),
    "cells that fit a number which is not theirs": (
        CELLS + HEAD + 'fitted = ["half_density_kill"]\n', "There is no fitted number 'half_density_kill'",
    ),
    "a target that nobody knows": (DRUG + 'targets = ["GPRC5"]\n' + PK + DIRECT, "antigen 'GPRC5'.*'GPRC5D'"),
    "an attack on what is not a target": (
        DRUG + 'targets = ["CD38"]\n' + PK + attack("redirected", '"FcRH5"', **REDIRECTED),
        "attacks FcRH5, which does not stand among the targets",
    ),
    "an antibody without antigens": (DRUG + PK + attack("redirected", **REDIRECTED), "needs the antigens through"),
    "a poison with antigens": (
        DRUG + 'targets = ["CD38"]\n' + PK + attack("direct", '"CD38"', k_kill="k_mine", half="half_mine"),
        "needs no antigens",
    ),
    "density classes without a density": (
        DRUG + 'targets = ["BCMA"]\n' + PK + attack("redirected", '"BCMA"', **REDIRECTED),
        r"\[\[attack\]\] 'redirected': the name of its half_density is missing",
    ),
    "binding without a mass": (
        DRUG + 'targets = ["FcRH5"]\n' + PK + attack("redirected", '"FcRH5"', **REDIRECTED, half_binding="kd_mine"),
        "the name of its molar_mass is missing",
    ),
    "a number that an attack has no use for": (
        DRUG + PK + attack("lymphocytes", slope="slope_mine", half="half_mine"), "There is no number 'half'",
    ),
    "two ways to kill": (DRUG + PK + DIRECT + DIRECT, r"two \[\[attack\]\] on tumour cells.*make it two drugs"),
    "a group that is not one": (DRUG.replace('"antibody"', '"antibodies"') + PK + EFFECT, "group = 'antibodies'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_therapy_that_contradicts_itself_is_refused(mistake: str, tmp_path: Path) -> None:
    text, message = MISTAKES[mistake]
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((FileError, UnknownNameError), match=rf"(?s){message}") as caught:
        read_therapy(str(path))
    assert "mine.toml" in str(caught.value)


def test_a_therapy_that_is_right_is_read_and_one_that_is_not_there_is_named_near(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(DRUG + PK + EFFECT + DIRECT + attack("lymphocytes", slope="slope_mine"), encoding="utf-8")
    mine = read_therapy(str(path))
    assert (mine.key, mine.kind, mine.title) == ("mine", "drug", "mine")
    assert [attack.means for attack in mine.attacks] == ["direct", "lymphocytes"]
    assert mine.attacks[0].number("half") == "half_mine"
    assert mine.attacks[0].number("half_host") == ""
    path.write_text(CELLS + HEAD, encoding="utf-8")
    assert read_therapy(str(path)).targets == ("BCMA",)
    with pytest.raises(UnknownNameError, match=r"There is no therapy 'lenalidomid'\. Did you mean 'lenalidomide'"):
        read_therapy("lenalidomid")


def test_every_pharmacokinetic_model_is_on_the_shelf_or_would_be_found() -> None:
    assert {drug.pk.model for drug in DRUGS if drug.pk} == set(PK_NEEDS)
