"""The shipped numbers: each has an origin, a range and a use, and those that hang together agree with each other."""

import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from perdure.model.car_t_course import CarTCourse
from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.processes.tumour import growth_rate
from perdure.model.system.system import System
from perdure.model.system.unit_check import check_units
from perdure.model.therapy import read_therapies, read_therapy
from perdure.parameters.parameter import Parameter
from perdure.parameters.source import ASSUMED, read_sources
from perdure.parameters.units import convert

ROOT = Path(__file__).resolve().parent.parent
SETS = sorted((ROOT / "parameters" / "sets").glob("*.toml"))
POPULATIONS = sorted((ROOT / "parameters" / "populations").glob("*.toml"))
THERAPIES = sorted((ROOT / "model" / "therapies").glob("*.toml"))
CATALOGUE = read_catalogue()
EVERY = [CATALOGUE[name] for name in CATALOGUE]
DRUGS = tuple(therapy for therapy in read_therapies() if therapy.kind == "drug")
PRODUCTS = tuple(therapy for therapy in read_therapies() if therapy.kind == "car_t")

# Numbers that no equation holds: they read doses, draw patients, date deaths, tell risks, or stand for the laboratory.
OUTSIDE_THE_EQUATIONS = {
    "car_t_peak_reference", "exponent_death_burden", "exponent_death_growth", "fraction_severe_crs",
    "fraction_severe_icans", "hazard_death_progressed", "hazard_ratio_line", "k_growth_progressed", "probability_crs",
    "probability_icans", "slope_crs", "slope_icans", "tumour_progressed",
    "blood_volume", "body_weight", "error_floor_m_protein", "error_m_protein", "fraction_marrow_complete",
    "fraction_sbcma_other_cells", "fraction_shared_between_products", "hazard_death_first_year", "hazard_death_later",
    "limit_car_t", "limit_flc", "limit_m_protein", "marrow_cells", "transgene_per_cell",
}  # fmt: skip


def value(name: str) -> float:
    return CATALOGUE[name].value


def systems() -> Iterator[System]:
    """Every drug beside cells against BCMA, and every product alone and after cells against BCMA."""
    yield myeloma()
    for targets in dict.fromkeys(product.targets for product in PRODUCTS):
        yield myeloma((), (CarTCourse(targets),))
        yield myeloma((), (CarTCourse(), CarTCourse(targets, "_2", "_2")))


def shared_name(name: str) -> str:
    """The catalogue's name of a number, which the second product has as its own."""
    stem = name.removesuffix("_2")
    return stem if name != stem and CATALOGUE[stem].of_product else name


def table_of(path: Path) -> dict[str, object]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def strings_of(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, (dict, list)):
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from strings_of(part)


def named(parameter: Parameter) -> str:
    return parameter.id


# Origin

every = pytest.mark.parametrize("parameter", EVERY, ids=named)


@every
def test_a_number_has_a_source_or_a_reason(parameter: Parameter) -> None:
    assert parameter.source == ASSUMED or parameter.source in read_sources()
    if parameter.source == ASSUMED:
        assert len(parameter.note) >= 15, "a reason is a sentence"
        assert parameter.grade == "assumed"
        assert not parameter.quote, "what can be quoted has a source"
    else:
        assert parameter.grade in {"literature", "derived"}
        assert parameter.note or parameter.quote


@every
def test_a_number_is_explained_and_can_stand_in_a_formula(parameter: Parameter) -> None:
    assert len(parameter.meaning) >= 10
    assert not parameter.meaning.endswith("."), "a part of a sentence"
    assert parameter.symbol
    assert parameter.symbol.count("{") == parameter.symbol.count("}")


@every
def test_a_prior_lies_mostly_inside_the_range(parameter: Parameter) -> None:
    if parameter.prior is not None:
        assert parameter.prior.value(0.0) == pytest.approx(parameter.value, rel=1e-12)
        for one_sd in (-1.0, 1.0):
            assert parameter.low <= parameter.prior.value(one_sd) <= parameter.high


def test_every_listed_source_is_used_and_every_paper_that_a_note_names_is_listed() -> None:
    spoken = " ".join(line for path in (*SETS, *POPULATIONS, *THERAPIES) for line in strings_of(table_of(path)))
    labels = {key: re.split(r" \(|, ", source.citation)[0] for key, source in read_sources().items()}
    used = {parameter.source for parameter in EVERY}
    assert [key for key, label in labels.items() if key not in used and label not in spoken] == []
    assert set(re.findall(r"\b[A-Z][A-Za-z]+ (?:19|20)\d\d\b", spoken)) <= set(labels.values())


def test_no_shipped_file_and_no_entry_is_left_unread() -> None:
    assert [path.stem for path in POPULATIONS] == sorted(CATALOGUE.populations)
    assert [path.stem for path in THERAPIES] == [therapy.key for therapy in read_therapies()]
    written = set()
    for path in SETS:
        for name, entry in table_of(path).items():
            assert isinstance(entry, dict)
            written |= {name} | ({f"{name}.spread"} if "spread" in entry else set())
    for path in POPULATIONS:
        entries = table_of(path)
        for kind, suffix in (("parameter", ""), ("factor", ".factor"), ("spread", ".spread")):
            written |= {f"{path.stem}.{name}{suffix}" for name in dict(entries.get(kind, {}))}  # type: ignore[call-overload]
    brought = {parameter.id for therapy in read_therapies() for parameter in therapy.parameters}
    assert set(CATALOGUE) == written | brought
    assert not written & brought


# Use


def test_every_flow_quantity_and_initial_value_has_the_unit_it_should() -> None:
    units = {name: CATALOGUE[name].unit for name in CATALOGUE.names}
    for system in systems():
        check_units(system, {**units, **{f"{name}_2": unit for name, unit in units.items()}})


def test_every_number_that_the_equations_need_is_in_the_catalogue() -> None:
    for system in systems():
        assert not {shared_name(name) for name in system.parameters} - set(CATALOGUE.names)


def test_what_is_a_products_own_is_what_a_second_product_brings() -> None:
    brought = {name for system in systems() for name in system.parameters if name.endswith("_2")}
    drawn = {CATALOGUE[shared_name(name)].drawn_with for name in brought} - {""}
    own = {name for name in CATALOGUE.names if CATALOGUE[name].of_product}
    assert {shared_name(name) for name in brought} | drawn == own


def test_no_number_lies_around_unused() -> None:
    kinetics = {name for drug in DRUGS if drug.pk for _, name in drug.pk.names}
    carriers = {CATALOGUE[name].drawn_with for name in CATALOGUE.names}
    used = {name for system in systems() for name in system.parameters} | kinetics | carriers
    assert set(CATALOGUE.names) - used == OUTSIDE_THE_EQUATIONS


def test_a_trait_is_drawn_with_a_probability() -> None:
    for name in CATALOGUE.names:
        carriers = CATALOGUE[name].drawn_with
        if carriers:
            share = CATALOGUE[carriers]
            assert 0.0 <= share.low < share.high <= 1.0
            assert share.unit == ""


@pytest.mark.parametrize("population", CATALOGUE.populations)
def test_no_typical_value_is_cut_off_by_its_range(population: str) -> None:
    typical = CATALOGUE.typical("", population)
    for name in CATALOGUE.names:
        factor = f"{population}.{name}.factor"
        if factor in CATALOGUE:
            own = f"{population}.{name}"
            base = value(own) if own in CATALOGUE else value(name)
            assert typical[name] == pytest.approx(base * value(factor), rel=1e-12)


@pytest.mark.parametrize("population", CATALOGUE.populations)
def test_every_population_links_burden_with_what_follows_it(population: str) -> None:
    links = {(link.first, link.second): link.value for link in CATALOGUE.populations[population].correlations}
    assert links == {
        ("m_protein_baseline", "tumour_baseline"): 0.6,
        ("suppression_baseline", "tumour_baseline"): 0.4,
    }


# Two ways to the same number


def test_membrane_bcma_turns_over_in_thirty_hours_and_rises_fourfold_without_shedding() -> None:
    shed, inner = value("k_shedding_bcma"), value("k_internalisation_bcma")
    assert math.log(2) / (shed + inner) == pytest.approx(1.25, rel=0.005)
    assert (shed + inner) / inner == pytest.approx(4.0, rel=0.01)


def test_the_effect_of_crenigacestat_is_down_to_half_after_42_hours() -> None:
    half_life = convert(value("half_life_crenigacestat"), "day", "hour")
    left = read_therapy("crenigacestat").default_dose * 2 ** (-42 / half_life)
    assert left / (left + value("half_effect_crenigacestat")) == pytest.approx(0.5, abs=0.005)


def test_lenalidomide_every_day_gives_the_hazard_ratio_of_the_registry_in_sensitive_myeloma() -> None:
    clearance, volume, absorption = (
        value(f"{name}_lenalidomide") for name in ("clearance", "volume", "k_absorption")
    )  # fmt: skip
    day = np.linspace(0.0, 1.0, 20001)
    loss, dose = clearance / volume, read_therapy("lenalidomide").default_dose
    # steady state: every exponential of the unit response summed over all earlier days
    parts = [np.exp(-k * day) / (1 - np.exp(-k)) for k in (loss, absorption)]
    concentration = dose * absorption / (volume * (absorption - loss)) * (parts[0] - parts[1])
    reached = np.mean(concentration / (value("half_effect_lenalidomide") + concentration))
    assert reached == pytest.approx(0.49, abs=0.01)
    assert 1 - value("max_growth_inhibition_lenalidomide") * reached == pytest.approx(0.62, abs=0.02)


def test_seven_of_97_patients_die_without_progression_in_the_first_year() -> None:
    assert 97 * (1 - math.exp(-365.25 * value("hazard_death_first_year"))) == pytest.approx(7.0, rel=0.01)
    assert 1 - math.exp(-365.25 * value("hazard_death_later")) == pytest.approx(0.02, rel=0.01)


def test_the_spread_of_bcma_density_gives_its_interquartile_range() -> None:
    quartile = math.exp(0.6745 * value("density_bcma.spread"))
    assert quartile**2 == pytest.approx(850 / 380, rel=0.02)


def test_half_lives_are_those_that_the_sources_give() -> None:
    days = {"k_clearance_m_protein": 12.0, "k_clearance_sbcma": 1.5, "k_death_effector": 4.3}
    for name, half_life in days.items():
        assert math.log(2) / value(name) == pytest.approx(half_life, rel=0.02)


def test_one_car_t_cell_kills_between_2_and_16_cells_a_day_at_its_best() -> None:
    in_body = value("blood_volume") * 1e6 / 0.05  # CAR-T cells for each one in a microlitre, 5 % of them in blood
    assert 2 <= value("k_kill_max") * value("engagement_volume") / in_body <= 16


def test_function_is_lost_below_50_molecules_and_nearly_full_at_the_median() -> None:
    n, half = value("hill_density"), value("half_density_kill")
    effect = {density: 1 / (1 + (half / density) ** n) for density in (50.0, value("density_bcma"))}
    assert effect[50.0] < 0.05
    assert effect[value("density_bcma")] > 0.9


def test_every_tumour_cell_can_die_and_divides_within_three_weeks() -> None:
    patient = {name: np.array([number]) for name, number in CATALOGUE.typical("", "late_line").items()}
    division = growth_rate(patient, np.array([1.0]))[0] + value("k_turnover_tumour")
    assert value("k_turnover_tumour") > 0.0
    assert 10.0 <= math.log(2) / division <= 21.0


def test_products_agree_with_the_doses_that_were_given() -> None:
    per_kilogram = {"cilta_cel": 0.75e6, "equ_cel": 1.0e6}
    for key, dose in per_kilogram.items():
        assert read_therapy(key).default_dose == pytest.approx(dose * value("body_weight"), rel=0.01)
    assert 300e6 <= read_therapy("ide_cel").default_dose <= 460e6
