"""Virtual patients: the same person whatever the size of the trial, spread and correlated as the population says."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import FileError, InputError, RangeError, UnitError, UnknownNameError
from perdure.parameters.parameter import Parameter
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import draw, make_patients
from perdure.parameters.population import Correlation, Population, read_population

CATALOGUE = read_catalogue()
MANY = 4000
PEOPLE = draw(CATALOGUE, MANY, seed=11)
LATE = make_patients(CATALOGUE, PEOPLE, product="cilta_cel", population="late_line")
TYPICAL = CATALOGUE.typical("cilta_cel", "late_line")
SPREADS = CATALOGUE.spreads("late_line")
TRAITS = tuple(name for name in CATALOGUE.names if CATALOGUE[name].drawn_with)
# What the range cuts off hardly matters where both ends lie three SDs and more from the median.
FREE = tuple(
    name
    for name, sd in SPREADS.items()
    if name not in TRAITS
    and math.log(CATALOGUE[name].high / TYPICAL[name]) > 3 * sd
    and math.log(TYPICAL[name] / CATALOGUE[name].low) > 3 * sd
)


def shared(name: str, value: float, unit: str = "", low: float = 0.0, high: float = 100.0) -> Parameter:
    return Parameter(name, value, unit, low, high, "a number of this test", "x", "assumed", "for a test", "assumed")


# One person, one stream


def test_a_patient_is_the_same_whatever_the_size_of_the_trial() -> None:
    few, many = draw(CATALOGUE, 10, seed=3), draw(CATALOGUE, 100, seed=3)
    np.testing.assert_array_equal(few.assay, many.assay[:10])
    np.testing.assert_array_equal(few.death, many.death[:10])
    one = make_patients(CATALOGUE, few, product="ide_cel", population="mixed_line")
    other = make_patients(CATALOGUE, many, product="ide_cel", population="mixed_line")
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name][:10])


@given(seed=st.integers(0, 2**40), n=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_every_seed_gives_the_first_patient_numbers_of_his_own(seed: int, n: int) -> None:
    alone, among = draw(CATALOGUE, 1, seed=seed), draw(CATALOGUE, n, seed=seed)
    for name in ("k_growth_tumour", "anything"):
        assert alone.normal_of(name)[0] == among.normal_of(name)[0]
        assert alone.uniform_of(name)[0] == among.uniform_of(name)[0]
    np.testing.assert_array_equal(alone.assay[0], among.assay[0])
    assert len({float(u) for u in among.death}) == n


def test_another_seed_is_another_person() -> None:
    one, other = draw(CATALOGUE, 20, seed=3), draw(CATALOGUE, 20, seed=4)
    assert not np.any(one.assay == other.assay)
    assert not np.any(one.death == other.death)
    assert not np.any(one.normal_of("k_growth_tumour") == other.normal_of("k_growth_tumour"))
    assert np.abs(np.corrcoef(one.assay.ravel(), other.assay.ravel())[0, 1]) < 4 / math.sqrt(one.assay.size)


def test_the_randomness_of_a_person_cannot_be_written_to() -> None:
    for kept in (PEOPLE.keys, PEOPLE.assay, PEOPLE.death, PEOPLE.normal_of("k_kill_max"), PEOPLE.uniform_of("any")):
        with pytest.raises(ValueError, match="read-only"):
            kept[0] = 0.0


@pytest.mark.parametrize(
    ("n", "seed", "part"),
    [(0, 1, "number of virtual patients = 0"), (-3, 1, "number of virtual patients = -3"),
     (2.5, 1, "number of virtual patients = 2.5"), (3, -1, "seed = -1"), (3, 0.5, "seed = 0.5")],
)  # fmt: skip
def test_half_a_patient_and_a_negative_seed_are_refused(n: int, seed: int, part: str) -> None:
    with pytest.raises(RangeError) as caught:
        draw(CATALOGUE, n, seed)
    assert part in str(caught.value)
    assert "expected a whole number" in str(caught.value)


def test_another_parameter_value_moves_only_that_parameter() -> None:
    faster = CATALOGUE.with_values(k_growth_tumour=0.024)
    moved = make_patients(faster, PEOPLE, product="cilta_cel", population="late_line")
    inside = (LATE["k_growth_tumour"] > 0.001) & (moved["k_growth_tumour"] < 0.149)
    np.testing.assert_allclose(moved["k_growth_tumour"][inside], 2 * LATE["k_growth_tumour"][inside], rtol=1e-12)
    for name, values in LATE.items():
        if name != "k_growth_tumour":
            np.testing.assert_array_equal(values, moved[name])
    assert CATALOGUE["k_growth_tumour"].value == 0.012


# Spread


def test_most_parameters_that_vary_are_tested_for_it() -> None:
    assert len(FREE) >= 15
    assert {"k_growth_tumour", "density_bcma", "k_expansion", "clearance_lenalidomide"} <= set(FREE)


@pytest.mark.parametrize("name", FREE)
def test_median_and_spread_of_the_patients_are_those_of_the_population(name: str) -> None:
    logs, sd = np.log(LATE[name]), SPREADS[name]
    # 4 standard errors: 1.253 sd/sqrt(n) for a median, sd/sqrt(2 n) for an SD
    assert np.median(logs) == pytest.approx(math.log(TYPICAL[name]), abs=4 * 1.2533 * sd / math.sqrt(MANY))
    assert np.std(logs) == pytest.approx(sd, abs=4 * sd / math.sqrt(2 * MANY) + 0.01 * sd)


@pytest.mark.parametrize("population", [*CATALOGUE.populations, ""])
@pytest.mark.parametrize("product", ["ide_cel", "cilta_cel", "equ_cel", "zevor_cel", ""])
def test_every_value_is_finite_and_inside_its_range(product: str, population: str) -> None:
    patients = make_patients(CATALOGUE, draw(CATALOGUE, 300, seed=5), product=product, population=population)
    assert set(patients) == set(CATALOGUE.names)
    for name, values in patients.items():
        shown = values[values != 0.0] if name in TRAITS else values
        assert np.all(np.isfinite(values)), name
        assert np.all((shown >= CATALOGUE[name].low) & (shown <= CATALOGUE[name].high)), name


def test_what_has_no_spread_is_the_same_in_everybody() -> None:
    for name in set(CATALOGUE.names) - set(SPREADS) - set(TRAITS):
        assert np.all(LATE[name] == TYPICAL[name]), name


def test_a_population_changes_the_spread_that_it_names_and_no_other() -> None:
    mixed = CATALOGUE.spreads("mixed_line")
    assert mixed["k_growth_tumour"] == 1.0
    assert {name: sd for name, sd in mixed.items() if name != "k_growth_tumour"} == {
        name: sd for name, sd in SPREADS.items() if name != "k_growth_tumour"
    }


def test_a_factor_of_a_population_moves_the_median_of_its_patients() -> None:
    mixed = make_patients(CATALOGUE, PEOPLE, population="mixed_line")
    ratio = np.median(mixed["suppression_baseline"]) / np.median(LATE["suppression_baseline"])
    assert ratio == pytest.approx(0.57, rel=0.01)


# Correlation


def correlation(one: str, other: str) -> float:
    return float(np.corrcoef(np.log(LATE[one]), np.log(LATE[other]))[0, 1])


def test_linked_parameters_are_correlated_as_the_population_says() -> None:
    # the range of M-protein (5 to 80 g/L) cuts a little off, hence 0.03 beside four standard errors
    error = 4 * (1 - 0.6**2) / math.sqrt(MANY)
    assert correlation("m_protein_baseline", "tumour_baseline") == pytest.approx(0.6, abs=error + 0.03)
    error = 4 * (1 - 0.4**2) / math.sqrt(MANY)
    assert correlation("suppression_baseline", "tumour_baseline") == pytest.approx(0.4, abs=error + 0.01)


def test_parameters_that_nothing_links_are_independent() -> None:
    pairs = (("k_growth_tumour", "tumour_baseline"), ("density_bcma", "k_expansion"), ("k_kill_max", "k_exhaustion"))
    for one, other in pairs:
        assert abs(correlation(one, other)) < 4 / math.sqrt(MANY)


def test_a_correlation_does_not_change_the_spread_of_either() -> None:
    loose = make_patients(CATALOGUE, PEOPLE, product="cilta_cel")
    for name in ("tumour_baseline", "suppression_baseline"):
        assert np.std(np.log(LATE[name])) == pytest.approx(np.std(np.log(loose[name])), rel=0.05)


def linked(*links: tuple[str, str, float]) -> ParameterSet:
    population = Population("odd", "odd", "odd", tuple(Correlation(*link) for link in links))
    return ParameterSet([shared(name, 1.0) for name in ("k_one", "k_two", "k_three")], {"odd": population})


def test_correlations_that_contradict_each_other_are_refused() -> None:
    parameters = linked(("k_one", "k_two", 0.9), ("k_two", "k_three", 0.9), ("k_one", "k_three", -0.9))
    people = draw(parameters, 5, seed=1)
    with pytest.raises(InputError, match=r"population 'odd': its correlations contradict .* \(\[0.9, 0.9, -0.9\]\)"):
        make_patients(parameters, people, population="odd")


def test_a_correlation_of_a_parameter_that_does_not_exist_is_refused() -> None:
    parameters = linked(("k_one", "k_tow", 0.5))
    people = draw(parameters, 5, seed=1)
    with pytest.raises(UnknownNameError, match=r"population 'odd', correlation: There is no parameter 'k_tow'"):
        make_patients(parameters, people, population="odd")


# Traits


@pytest.mark.parametrize("name", TRAITS)
def test_a_trait_is_there_in_the_share_that_is_named_and_zero_in_the_others(name: str) -> None:
    share = TYPICAL[CATALOGUE[name].drawn_with]
    has = LATE[name] != 0.0
    assert np.mean(has) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / MANY))
    assert np.all(LATE[name][~has] == 0.0)
    if name not in SPREADS:
        assert np.all(LATE[name][has] == TYPICAL[name])


def test_traits_of_one_carrier_go_together_and_those_of_different_ones_do_not() -> None:
    lost, prone = LATE["probability_loss_bcma"] > 0, LATE["fraction_null_bcma"] > 0
    np.testing.assert_array_equal(lost, prone)
    assert abs(np.corrcoef(LATE["light_chain_only"], LATE["sensitive_lenalidomide"])[0, 1]) < 4 / math.sqrt(MANY)


def test_who_carries_a_trait_in_a_rare_population_carries_it_in_a_common_one() -> None:
    common = make_patients(CATALOGUE, PEOPLE, product="cilta_cel", population="prior_bcma")
    rare = LATE["fraction_null_bcma"] > 0
    assert np.all(common["fraction_null_bcma"][rare] > 0)
    assert np.mean(common["fraction_null_bcma"] > 0) == pytest.approx(0.2, abs=4 * math.sqrt(0.2 * 0.8 / MANY))


# Products and populations

POPULATION = Population("frail", "frail patients", "who they are")
OWNED = (
    shared("k_kill", 2.0, "1/day"), shared("half_kill", 20.0, "cell/uL"),
    shared("ide_cel.k_kill", 3.0, "1/day"), shared("frail.half_kill", 30.0, "cell/uL"),
    shared("frail.k_kill.factor", 0.5),
)  # fmt: skip


def test_a_product_replaces_a_value_and_a_population_replaces_or_multiplies_it() -> None:
    parameters = ParameterSet(OWNED, {"frail": POPULATION})
    assert parameters.owners == ("ide_cel", "frail")
    assert parameters.typical() == {"k_kill": 2.0, "half_kill": 20.0}
    assert parameters.typical("ide_cel") == {"k_kill": 3.0, "half_kill": 20.0}
    assert parameters.typical("", "frail") == {"k_kill": 1.0, "half_kill": 30.0}
    assert parameters.typical("ide_cel", "frail") == {"k_kill": 1.5, "half_kill": 30.0}


def test_a_typical_value_stays_inside_the_shared_range() -> None:
    wide = shared("frail.k_kill.factor", 80.0)
    parameters = ParameterSet([*OWNED[:4], wide], {"frail": POPULATION})
    assert parameters.typical("", "frail")["k_kill"] == 100.0


def test_unknown_products_and_populations_are_refused_with_near_matches() -> None:
    parameters = ParameterSet(OWNED, {"frail": POPULATION})
    with pytest.raises(UnknownNameError, match=r"There is no population 'frial'\. Did you mean 'frail'\?"):
        parameters.typical("", "frial")
    with pytest.raises(UnknownNameError, match=r"There is no product 'idecel'\. Did you mean 'ide_cel'\?"):
        parameters.typical("idecel")
    with pytest.raises(UnknownNameError, match="There is no population 'fit'"):
        parameters.spreads("fit")


def test_an_owner_can_only_change_what_exists_and_in_its_own_unit() -> None:
    with pytest.raises(UnknownNameError, match=r"\[ide_cel.k_kil\]: There is no parameter 'k_kil'. Did you"):
        ParameterSet([*OWNED[:2], shared("ide_cel.k_kil", 3.0, "1/day")], {})
    with pytest.raises(UnitError, match=r"\[ide_cel.half_kill\] is in 'cell/L', and should be in 'cell/uL'"):
        ParameterSet([*OWNED[:2], shared("ide_cel.half_kill", 3.0, "cell/L")], {})
    late = ParameterSet([*OWNED[:2], shared("frail.k_kil.factor", 0.5)], {"frail": POPULATION})
    with pytest.raises(UnknownNameError, match=r"\[frail.k_kil.factor\]: There is no parameter 'k_kil'"):
        late.typical("", "frail")


TITLE = 'title = "frail"\nmeaning = "frail patients"\n'
FACTOR = "[factor.k_kill]\nvalue = 0.5\nlow = 0.1\nhigh = 2.0\nsource = 'assumed'\n"
SPREAD = "[spread.k_kill]\nvalue = 30.0\nlow = 0.1\nhigh = 2.0\nsource = 'assumed'\nnote = 'a test'\n"
LINK = "[[correlations]]\nbetween = ['k_kill', 'half_kill']\nvalue = {value}\nsource = {source}\n"


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [("meaning = 'x'\n", FileError, "'title' is missing"),
     (TITLE + "titel = 'x'\n", UnknownNameError, "There is no key 'titel'. Did you mean 'title'?"),
     (TITLE + LINK.format(value=1.2, source="'assumed'"), FileError, "correlations.0.value = 1.2 is wrong"),
     (TITLE + LINK.format(value=0.5, source="'assumed'"), FileError, "needs a note that gives the reason"),
     (TITLE + LINK.format(value=0.5, source="'perica'"), UnknownNameError, "There is no source 'perica'"),
     (TITLE + FACTOR, FileError, "[frail.k_kill.factor]: source = 'assumed' needs a note"),
     (TITLE + SPREAD, RangeError, "[frail.k_kill.spread]: value = 30")],
)  # fmt: skip
def test_a_bad_population_file_is_refused(tmp_path: Path, text: str, kind: type[InputError], part: str) -> None:
    (tmp_path / "frail.toml").write_text(text, encoding="utf-8")
    with pytest.raises(kind) as caught:
        read_population(tmp_path / "frail.toml")
    assert "frail.toml" in str(caught.value)
    assert part in str(caught.value)
