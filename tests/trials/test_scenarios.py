"""The scenarios of the shipped evidence, and the therapies that the evidence bears on."""

import pytest

from perdure.fitting.calibration.predictions import plan_of
from perdure.fitting.observations import Observation, Scenario
from perdure.fitting.studies import read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.lines import STEP
from perdure.model.therapy import Therapy, read_therapies

STUDIES = read_studies()
ITEMS: dict[str, Observation] = {item.id: item for study in STUDIES for item in study.items}
SCENARIOS = [pytest.param(one, id=f"{study.name} {one.name}") for study in STUDIES for one in study.scenarios]
THERAPIES = [pytest.param(therapy, id=therapy.key) for therapy in read_therapies()]
CATALOGUE = read_catalogue()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_plan_of_a_scenario_is_read_and_its_line_exists(scenario: Scenario) -> None:
    plan = plan_of(scenario)
    assert scenario.line <= len(plan.lines)
    assert scenario.visit_interval_days % STEP == 0.0
    for day in plan.lines[scenario.line - 1].regimen.infusions[:1]:
        assert day % STEP == 0.0  # the clock of the line begins on a recorded day
    assert scenario.note


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_patients_of_a_scenario_are_known(scenario: Scenario) -> None:
    known = CATALOGUE.typical("", scenario.population)
    selected = {scenario.select.by} - {"burden_at_infusion"} if scenario.select else set()
    of_plan = {number.id for key in plan_of(scenario).therapies for number in _therapy(key).parameters}
    assert {*scenario.traits, *selected} <= {*known, *of_plan}


def test_a_plan_that_begins_with_a_drug_is_for_patients_with_their_lymphocytes() -> None:
    for study in STUDIES:
        for scenario in study.scenarios:
            if 0.0 not in plan_of(scenario).first.infusions:
                assert scenario.traits["fraction_lymphodepletion"] == 0.0, f"{study.name} {scenario.name}"


def test_every_scenario_is_that_of_an_item_or_of_a_comparison() -> None:
    for study in STUDIES:
        named = {item.scenario for item in study.items} | {one.against for one in study.scenarios}
        assert {one.name for one in study.scenarios} <= named, study.name
        assert len({one.name for one in study.scenarios}) == len(study.scenarios), study.name


def test_a_fitted_scenario_is_followed_for_twice_the_median_that_was_reported() -> None:
    for study in STUDIES:
        for item in study.items:
            if item.role == "fit" and item.scenario:
                scenario = study.scenario(item.scenario)
                twice = 2.0 * (item.value or 0.0) if item.kind == "median" else 4.0  # a response is seen by then
                assert (scenario.months or 0.0) >= twice, item.id


def test_a_direction_is_a_comparison_of_two_scenarios() -> None:
    for study in STUDIES:
        for item in study.items:
            if item.kind == "direction":
                assert study.scenario(study.scenario(item.scenario).against), item.id


@pytest.mark.parametrize("therapy", THERAPIES)
def test_the_evidence_of_a_therapy_exists(therapy: Therapy) -> None:
    assert set(therapy.evidence) <= set(ITEMS)
    assert len(set(therapy.evidence)) == len(therapy.evidence)
    roles = {ITEMS[name].role for name in therapy.evidence}
    if therapy.grade == "calibrated" or therapy.fitted:
        assert "fit" in roles


def test_every_result_of_a_therapy_or_a_sequence_is_evidence_of_a_therapy() -> None:
    named = {name for therapy in read_therapies() for name in therapy.evidence}
    assert {item.id for item in ITEMS.values() if item.scenario and item.role in {"fit", "check"}} <= named


def _therapy(key: str) -> Therapy:
    return next(therapy for therapy in read_therapies() if therapy.key == key)
