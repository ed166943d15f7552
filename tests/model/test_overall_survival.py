"""Death after progression against closed forms and laws; its shipped numbers against the fit that gave them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.calibration.overall_survival_fit import (
    FREE,
    GRID,
    SurvivalCohort,
    SurvivalEvidence,
    SurvivalFit,
    fit,
    gather,
    report,
    value_of,
)
from perdure.fitting.calibration.search_space import estimated_parameters
from perdure.fitting.studies import items, read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.endpoints import Outcomes, Visits, outcomes
from perdure.model.overall_survival import death_after_progression, hazard_after_progression, overall_survival
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver, simulate
from perdure.parameters.errors import FitError, RangeError
from perdure.parameters.patients import Draws, draw, make_patients
from perdure.parameters.units import DAYS_PER_MONTH

CATALOGUE = read_catalogue()
N = 300
VISITS = Visits(months=36.0)
DRAWS = draw(CATALOGUE, N, seed=4)
PATIENTS = make_patients(CATALOGUE, DRAWS, product="cilta_cel", population="late_line")
FLAT = {"exponent_death_growth": 0.0, "exponent_death_burden": 0.0, "hazard_ratio_line": 1.0}


def changed(**values: float) -> Mapping[str, np.ndarray]:
    return {**PATIENTS, **{name: np.full(N, value) for name, value in values.items()}}


@cache
def treated() -> Outcomes:
    solution = simulate(PATIENTS, infuse("cilta_cel"), times=VISITS.grid, solver=Solver(rtol=1e-5))
    return outcomes(solution, PATIENTS, DRAWS, VISITS)


def death(patients: Mapping[str, np.ndarray] = PATIENTS, draws: Draws = DRAWS, line: int = 1) -> np.ndarray:
    found = treated()
    return death_after_progression(patients, found.progression(), found.tumour_at_progression, draws, line=line)


# ---------------------------------------------------------------------------------------------------------- endpoints


def test_the_tumour_at_progression_is_there_exactly_where_progression_is_shown_and_is_that_of_the_branch() -> None:
    found = treated()
    shown, tumour = found.progression(), found.tumour_at_progression
    assert np.array_equal(np.isfinite(shown), np.isfinite(tumour))
    solution = simulate(PATIENTS, infuse("cilta_cel"), times=VISITS.grid, solver=Solver(rtol=1e-5))
    rows = np.flatnonzero(np.isfinite(shown[0]))
    assert rows.size > N // 4
    at = np.searchsorted(solution.times, shown[0, rows] - 1e-5)
    lowest = solution.times[np.nanargmin(solution["tumour"], axis=1)]
    alive = np.where(shown[0] > lowest, np.maximum(1.0 - solution.eradication, 1e-9), 1.0)[rows]
    np.testing.assert_allclose(tumour[0, rows], solution["tumour"][rows, at] / alive, rtol=1e-9)


# ------------------------------------------------------------------------------------------------------- closed forms


def test_without_exponents_death_after_progression_is_exponential() -> None:
    n, hazard = 20000, 0.002
    draws = draw(CATALOGUE, n, seed=9)
    patients = {name: np.full(n, values[0]) for name, values in changed(**FLAT, hazard_death_progressed=hazard).items()}
    progression = np.full((2, n), 100.0)
    day = death_after_progression(patients, progression, np.full((2, n), 3e11), draws)
    for months in (3.0, 12.0, 40.0):
        days = months * DAYS_PER_MONTH
        expected = np.exp(-hazard * days)
        error = np.sqrt(expected * (1.0 - expected) / n)
        assert np.mean(day[0] > 100.0 + days) == pytest.approx(expected, abs=4.0 * error)


def test_the_hazard_is_the_product_of_its_powers() -> None:
    tumour = np.full(N, 4e11)
    patients = changed(
        k_growth_tumour=0.03, k_growth_progressed=0.015, tumour_progressed=1e11, hazard_death_progressed=0.001,
        exponent_death_growth=2.0, exponent_death_burden=0.5, hazard_ratio_line=1.5,
    )  # fmt: skip
    np.testing.assert_allclose(hazard_after_progression(patients, tumour, line=1), 0.001 * 4.0 * 2.0, rtol=1e-12)
    np.testing.assert_allclose(hazard_after_progression(patients, tumour, line=3), 0.001 * 8.0 * 2.25, rtol=1e-12)
    full = hazard_after_progression(patients, patients["tumour_capacity"])
    np.testing.assert_array_equal(hazard_after_progression(patients, 1e30 * tumour), full)


def test_without_hazard_nobody_dies_of_progression_and_without_progression_nobody_dies_after_it() -> None:
    assert np.isinf(death(changed(hazard_death_progressed=0.0))).all()
    assert np.isinf(death()[~np.isfinite(treated().progression())]).all()
    curve = overall_survival(treated(), death(changed(hazard_death_progressed=0.0)))
    first, later = (PATIENTS[name][0] for name in ("hazard_death_first_year", "hazard_death_later"))
    expected = np.exp(-first * 365.25 - later * (36.0 * DAYS_PER_MONTH - 365.25))
    assert curve.at(36.0) == pytest.approx(expected, abs=4.0 * np.sqrt(expected * (1.0 - expected) / N))


# --------------------------------------------------------------------------------------------------------------- laws


def test_nobody_dies_of_progression_before_it_and_overall_survival_is_never_below_progression_free_survival() -> None:
    found = treated()
    shown = found.progression()
    seen = np.isfinite(shown)
    assert (death()[seen] > shown[seen]).all()
    day = np.minimum(death(), found.death)
    assert (day <= found.death).all()
    assert (day >= np.minimum(shown, found.death)).all()
    months = np.arange(0.0, 36.5)
    assert (overall_survival(found, death()).at(months) >= found.progression_free().at(months) - 1e-12).all()


@pytest.mark.parametrize("worse", ["burden", "growth", "line"])
def test_more_tumour_faster_growth_and_more_lines_used_never_lengthen_a_life(worse: str) -> None:
    found = treated()
    shown, tumour = found.progression(), found.tumour_at_progression
    patients, line = dict(PATIENTS), 1
    if worse == "burden":
        tumour = tumour * 5.0
    elif worse == "growth":
        patients["k_growth_tumour"] = patients["k_growth_tumour"] * 2.0
    else:
        line = 3
    now, then = (
        hazard_after_progression(PATIENTS, found.tumour_at_progression),
        hazard_after_progression(patients, tumour, line=line),
    )
    seen = np.isfinite(shown)
    assert (then[seen] >= now[seen]).all()
    assert np.mean(then[seen] > now[seen]) > 0.9
    if worse != "line":  # a later line has luck of its own
        later = death_after_progression(patients, shown, tumour, DRAWS)
        assert (later <= death()).all()


def test_two_arms_share_the_luck_of_a_patient_and_a_later_line_has_its_own() -> None:
    other = Draws(DRAWS.seed, DRAWS.keys)
    np.testing.assert_array_equal(death(), death(draws=other))
    shown = treated().progression() + 200.0  # a treatment that delays every progression, and changes nothing else
    delayed = death_after_progression(PATIENTS, shown, treated().tumour_at_progression, DRAWS)
    seen = np.isfinite(shown)
    np.testing.assert_allclose(delayed[seen] - death()[seen], 200.0, rtol=1e-9)
    first, second = DRAWS.uniform_of("death after progression"), DRAWS.death
    assert abs(np.corrcoef(first, second)[0, 1]) < 4.0 / np.sqrt(N)
    same = death(changed(hazard_ratio_line=1.0), line=2)
    assert not np.array_equal(same, death(changed(hazard_ratio_line=1.0)))


@pytest.mark.filterwarnings("ignore:It looks like your weights")
def test_the_branches_count_with_their_weights() -> None:
    found = treated()
    day = np.minimum(death(), found.death).ravel()
    months, weight = np.minimum(day, VISITS.until) / DAYS_PER_MONTH, found.flat_weight
    referee = KaplanMeierFitter().fit(months[weight > 0], day[weight > 0] <= VISITS.until, weights=weight[weight > 0])
    curve = overall_survival(found, death())
    for month in (6.0, 18.0, 35.0):
        assert curve.at(month) == pytest.approx(float(referee.predict(month)), abs=1e-9)
    assert curve.n == pytest.approx(N)
    doubled = replace(found, weight=2.0 * found.weight)
    np.testing.assert_allclose(overall_survival(doubled, death()).survival, curve.survival, rtol=1e-12)


def test_an_impossible_line_or_too_few_draws_are_refused() -> None:
    with pytest.raises(RangeError, match=r"line = 0; the first line is 1"):
        death(line=0)
    with pytest.raises(RangeError, match=r"draws of 10 patients for 300"):
        death(draws=DRAWS.part(0, 10))


# ------------------------------------------------------------------------------------------------------------ the fit


def row(hazard: float, start: float = 0.0) -> tuple[SurvivalCohort, dict[str, float]]:
    one = np.ones(1)
    numbers = {"k_growth_tumour": one, "k_growth_progressed": one, "tumour_progressed": one, "tumour_capacity": 9 * one}
    people = SurvivalCohort(start * one, np.inf * one, one, one, {**numbers, "hazard_ratio_line": one})
    return people, dict(zip(FREE, (hazard, 1.0, 1.0), strict=True))


def test_the_survival_that_is_fitted_is_exponential_from_progression_on() -> None:
    hazard = np.log(2.0) / (15.0 * DAYS_PER_MONTH)
    people, values = row(hazard, start=10.0 * DAYS_PER_MONTH)
    np.testing.assert_allclose(people.survival(values), 0.5 ** (np.maximum(GRID - 10.0, 0.0) / 15.0), rtol=1e-12)
    reported = {item.id: item for study in read_studies() for item in study.items}
    assert value_of(reported["crb_401_os_median"], people.survival(values)) == pytest.approx(25.0, abs=1e-9)
    share = value_of(reported["cartitude_2_d_os_18"], people.survival(values))
    assert share == pytest.approx(100.0 * 0.5 ** (8.0 / 15.0), rel=1e-9)
    slow, values = row(hazard / 10.0)
    assert value_of(reported["crb_401_os_median"], slow.survival(values)) == np.inf


@cache
def small() -> tuple[SurvivalEvidence, SurvivalFit]:
    evidence = gather(read_calibration().parameters(), read_studies(), n=400, checks=())
    return evidence, fit(evidence, draws=200)


def test_the_shipped_numbers_are_those_of_the_fit() -> None:
    _, found = small()
    # 400 patients in place of 4,000: the hazard has an error of a tenth, by seed; the exponents hardly have one
    tolerance = {"hazard_death_progressed": 0.3, "exponent_death_growth": 0.15, "exponent_death_burden": 0.4}
    for name in FREE:
        shipped = CATALOGUE[name]
        assert shipped.prior is not None
        assert np.log(found.median[name] / shipped.value) == pytest.approx(0.0, abs=tolerance[name]), name
        assert found.sd[name] == pytest.approx(shipped.prior.sd, rel=0.3), name
    assert found.shrinkage["exponent_death_burden"] < 0.3, "then its note is no longer true"
    assert np.abs(found.correlation[np.triu_indices(3, 1)]).max() < 0.4, "then they must not be drawn on their own"
    assert found.effective > 50


def test_the_simulated_deaths_have_the_survival_that_was_fitted() -> None:
    evidence, _ = small()
    people = evidence.people["crb_401_os_median"]
    values = {name: CATALOGUE[name].value for name in FREE}
    hazard = hazard_after_progression({**people.numbers, **values}, people.tumour)  # type: ignore[dict-item]
    rng, months = np.random.default_rng(3), (12.0, 24.0, 48.0)
    wait = rng.exponential(size=(200, len(hazard))) / np.where(np.isfinite(people.progression), hazard, np.inf)
    day = np.minimum(people.progression + wait, people.death)
    for month in months:
        brute = np.mean((day > month * DAYS_PER_MONTH) @ people.weight)
        assert people.survival(values)[int(month / 2)] == pytest.approx(brute, abs=0.005)


def test_the_medians_of_1996_count_by_their_ratio_only() -> None:
    evidence, found = small()
    values = dict(found.median)
    one, factor = evidence.doubling(values)
    other, again = evidence.doubling({**values, FREE[0]: 3.0 * values[FREE[0]]})
    assert other == pytest.approx(one, abs=1e-9)
    assert again == pytest.approx(factor / 3.0, rel=1e-9)
    assert evidence.doubling({**values, "exponent_death_growth": 1e-6})[0] < one - 1.0
    rows = {row.item.id: row for row in found.rows}
    fast, slow = rows["m_protein_fast_doubling_os_median"], rows["m_protein_slow_doubling_os_median"]
    assert fast.model < slow.model
    assert fast.misfit * slow.misfit < 0.0  # the free factor puts one above and one below


def test_every_outcome_item_of_survival_is_fitted_and_stands_in_the_table() -> None:
    evidence, found = small()
    wanted = {item.id for _, item in items(read_studies(), "outcome") if item.endpoint.startswith("os_")}
    assert wanted == set(evidence.fitted) == {row.item.id for row in found.rows}
    text = report(found)
    assert all(name in text for name in (*wanted, *FREE))


def test_no_search_of_the_joint_fit_changes_the_numbers_of_death() -> None:
    assert not set(estimated_parameters()) & {*FREE, "hazard_ratio_line"}
    assert not set(read_calibration().estimate) & {*FREE, "hazard_ratio_line"}


def test_without_evidence_of_survival_there_is_nothing_to_fit() -> None:
    others = [study for study in read_studies() if study.name == "caillot_2024"]
    with pytest.raises(FitError, match="no item of overall survival has the role 'outcome'"):
        gather(CATALOGUE, others, n=10)


@pytest.mark.long
def test_the_whole_fit_gives_the_shipped_numbers_to_their_digits() -> None:
    found = fit(gather(read_calibration().parameters(), read_studies(), checks=()))
    for name in FREE:
        shipped = CATALOGUE[name]
        assert shipped.prior is not None
        assert found.median[name] == pytest.approx(shipped.value, rel=0.03), name
        assert found.sd[name] == pytest.approx(shipped.prior.sd, rel=0.06), name
