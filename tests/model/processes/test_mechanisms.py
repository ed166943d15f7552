"""Mechanisms: every effect, attack and number of a therapy has one, and each can be silenced without the others."""

from dataclasses import replace

import numpy as np
import pytest

from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.processes.drugs import PROCESSES
from perdure.model.regimens.plan import usual
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.therapy import Effect, Therapy, read_therapies, read_therapy
from perdure.parameters.errors import FileError
from perdure.parameters.patients import draw, make_patients
from perdure.trials.coalitions import (
    DRUG_KILL,
    EXHAUSTION,
    EXPANSION,
    MECHANISMS,
    MICROENVIRONMENT,
    OF_NUMBER,
    OF_PROCESS,
    PERSISTENCE,
    mechanisms_of,
    of_attack,
    of_effect,
    silenced,
)

CATALOGUE = read_catalogue()
PARAMETERS = CATALOGUE.with_values({"fraction_sensitive_lenalidomide": 0.9})


# Every effect, attack and number has a mechanism


def mechanisms_of_numbers(therapy: Therapy) -> dict[str, frozenset[str]]:
    """Mechanisms of every number in the file of a therapy, by its id.

    Pharmacokinetics are exposure, and so belong to all that the drug does. What decides who has a trait, and how a
    number differs between patients, goes with that number. A number that belongs to none has an empty set.
    """
    known: dict[str, set[str]] = {}

    def note(name: str, *mechanisms: str) -> None:
        known.setdefault(name, set()).update(mechanisms)

    for effect in therapy.effects:
        for name in (*effect.strength, effect.half):
            note(name, of_effect(effect))
    for attack in therapy.attacks:
        for _, name in attack.numbers:
            note(name, of_attack(therapy, attack))
    for _, name in therapy.pk.names if therapy.pk else ():
        note(name, *mechanisms_of(therapy))
    for parameter in therapy.parameters:
        if parameter.drawn_with:
            note(parameter.drawn_with, *known.get(parameter.id, ()))
    belongs = {}
    for parameter in therapy.parameters:
        own = parameter.id.removeprefix(f"{therapy.key}.").removesuffix(".spread")
        belongs[parameter.id] = frozenset({OF_NUMBER[own]} if own in OF_NUMBER else known.get(own, ()))
    return belongs


def test_every_process_that_a_drug_may_change_has_a_mechanism() -> None:
    assert set(OF_PROCESS) == set(PROCESSES)
    assert set(OF_PROCESS.values()) | set(OF_NUMBER.values()) == set(MECHANISMS)


def test_every_number_of_a_product_has_a_mechanism_and_nothing_else_has() -> None:
    assert set(OF_NUMBER) == {name for name in CATALOGUE.names if CATALOGUE[name].of_product}


@pytest.mark.parametrize("therapy", read_therapies(), ids=lambda therapy: therapy.key)
def test_every_number_in_the_file_of_a_therapy_belongs_to_a_mechanism(therapy: Therapy) -> None:
    found = mechanisms_of_numbers(therapy)
    assert set(found) == {parameter.id for parameter in therapy.parameters}
    assert not [name for name, mechanisms in found.items() if not mechanisms]
    assert set().union(*found.values()) <= set(MECHANISMS)
    acts = {of_effect(effect) for effect in therapy.effects} | {of_attack(therapy, a) for a in therapy.attacks}
    assert set(mechanisms_of(therapy)) == acts


def test_lymphocytes_taken_before_an_infusion_make_room_and_otherwise_are_cells_lost() -> None:
    taken = {key: mechanisms_of(read_therapy(key)) for key in ("lymphodepletion", "autologous_transplant")}
    assert EXPANSION in taken["lymphodepletion"]
    assert PERSISTENCE in taken["autologous_transplant"]


# A drug with some of its mechanisms


@pytest.mark.parametrize(
    ("drug", "on"),
    [
        ("pim_inhibitor", [EXHAUSTION]),
        ("pim_inhibitor", [MICROENVIRONMENT]),
        ("lenalidomide", [EXHAUSTION, MICROENVIRONMENT]),
        ("autologous_transplant", [DRUG_KILL]),
        ("radiotherapy", [MICROENVIRONMENT]),
        ("teclistamab", []),
    ],
)
def test_a_silenced_mechanism_is_one_that_the_model_does_not_have(drug: str, on: list[str]) -> None:
    therapy = read_therapy(drug)
    people = draw(PARAMETERS, 3, 3)
    patients = dict(make_patients(PARAMETERS, people, product="ide_cel", population="late_line"))
    for name in ("effect_pim_inhibitor", "effect_lenalidomide"):
        patients[name] = np.array([-1.0, 0.5, 1.0])
    regimen = infuse("ide_cel") + usual(drug, start=20.0)
    times = np.arange(0.0, 61.0, 10.0)
    changed = silenced(therapy, on, patients)
    assert all(np.isfinite(values).all() for values in changed.values())
    quiet = simulate({**patients, **changed}, regimen, times=times, solver=Solver(rtol=1e-8))
    without = replace(
        therapy, effects=tuple(e for e in therapy.effects if of_effect(e) in on),
        attacks=tuple(a for a in therapy.attacks if of_attack(therapy, a) in on),
    )  # fmt: skip
    # interpreted: compiling a model that nobody else uses would take longer
    referee = Solver(rtol=1e-8, few=0.0, engine="scipy")
    plain = simulate(patients, regimen, times=times, system=myeloma((without,)), solver=referee)
    loud = simulate(patients, regimen, times=times, solver=Solver(rtol=1e-8))
    for name in ("tumour", "car_t", "suppression", "host", "host_exhausted"):
        np.testing.assert_allclose(quiet[name], plain[name], rtol=2e-5, atol=1e-9)
    assert not np.allclose(loud["tumour"], plain["tumour"], rtol=1e-3)


def test_two_effects_without_a_number_of_their_own_cannot_be_told_apart() -> None:
    drug = read_therapy("nivolumab")
    same = (Effect(on, "exponential", ("effect",), "half") for on in ("growth", "recovery"))
    twins = replace(drug, effects=tuple(same))
    with pytest.raises(FileError, match="all of their numbers in common"):
        silenced(twins, [EXHAUSTION], {"effect": np.ones(2), "half": np.ones(2)})
