"""Endpoints of made-up courses whose answer is known, and the laws that the endpoints of a population obey."""

import numpy as np
import pytest
from scipy.stats import kstest

from perdure.model.catalogue import read_catalogue
from perdure.model.endpoints import (
    DAYS_PER_YEAR,
    Outcomes,
    Visits,
    area,
    death_without_progression,
    last_above,
    outcomes,
    peak,
)
from perdure.model.regimens.regimen import Regimen, infuse
from perdure.model.relapse import CAUSES, causes
from perdure.model.simulate import simulate
from perdure.model.solution import Solution
from perdure.parameters.errors import RangeError, UnknownNameError
from perdure.parameters.patients import Draws, draw, make_patients
from perdure.parameters.streams import stream_keys
from perdure.parameters.units import DAYS_PER_MONTH

CATALOGUE = read_catalogue()
VISITS = Visits(months=24.0)
QUIET = {
    "error_m_protein": 0.0,
    "error_floor_m_protein": 0.0,
    "hazard_death_first_year": 0.0,
    "hazard_death_later": 0.0,
}


def test_a_parabola_has_its_peak_where_it_is() -> None:
    times = np.array([0.0, 1.0, 2.5, 4.0, 4.5, 7.0, 9.0])
    tops, days = np.array([5.0, 80.0, 3.0]), np.array([1.7, 3.9, 7.2])
    course = tops[:, None] - np.array([0.3, 4.0, 0.1])[:, None] * (times[None, :] - days[:, None]) ** 2
    highest, day = peak(times, course)
    np.testing.assert_allclose(highest, tops, rtol=1e-12)
    np.testing.assert_allclose(day, days, rtol=1e-12)


def test_a_peak_at_either_end_is_the_value_recorded_there() -> None:
    times = np.arange(0.0, 6.0)
    highest, day = peak(times, np.array([np.exp(-times), np.exp(times), np.full(6, 2.0)]))
    np.testing.assert_allclose(highest, [1.0, np.exp(5.0), 2.0])
    np.testing.assert_allclose(day, [0.0, 5.0, 0.0])
    missing = peak(times, np.full((1, 6), np.nan))
    assert np.isnan(missing).all()


@pytest.mark.parametrize("until", [28.0, 30.0, 3.3, 100.0])
def test_the_area_under_a_constant_and_a_line_is_known(until: float) -> None:
    times = np.array([0.0, 1.0, 7.0, 20.0, 30.0, 45.0])
    end = min(until, 45.0)
    np.testing.assert_allclose(
        area(times, np.array([np.full(6, 4.0), 2.0 * times]), until), [4.0 * end, end**2], rtol=1e-12
    )


def test_an_exponential_falls_below_a_limit_exactly_when_it_does() -> None:
    times = np.array([0.0, 10.0, 40.0, 95.0, 200.0])
    rates, limit = np.array([0.02, 0.05, 0.11]), np.full(3, 0.1)
    found = last_above(times, 50.0 * np.exp(-rates[:, None] * times), limit, np.full(3, 400.0))
    np.testing.assert_allclose(found, np.minimum(np.log(500.0) / rates, 200.0), rtol=1e-12)


def test_a_count_above_the_limit_at_the_end_of_follow_up_gives_that_day() -> None:
    times = np.arange(0.0, 101.0, 10.0)
    falling, rising = 50.0 * np.exp(-0.001 * times), 50.0 * np.exp(0.001 * times)
    course, limit = np.array([falling, rising, rising]), np.full(3, 0.1)
    np.testing.assert_allclose(last_above(times, course, limit, np.array([33.0, 33.0, np.inf])), [33.0, 33.0, 100.0])


def test_a_count_that_comes_back_is_followed_to_its_last_day_and_one_that_never_was_gives_zero() -> None:
    times = np.arange(0.0, 60.0, 10.0)
    course = np.array([[5.0, 0.0, 0.0, 5.0, 0.05, 0.0], [0.01] * 6])
    found = last_above(times, course, np.full(2, 0.1), np.full(2, 100.0))
    np.testing.assert_allclose(found, [30.0 + 10.0 * np.log(50.0) / np.log(100.0), 0.0])


def test_deaths_come_at_the_hazard_that_was_asked_for() -> None:
    n, early, late = 4000, 0.3 / DAYS_PER_YEAR, 0.8 / DAYS_PER_YEAR
    patients = {"hazard_death_first_year": np.full(n, early), "hazard_death_later": np.full(n, late)}
    days = death_without_progression(patients, np.random.default_rng(0).random(n))

    def dead_by(t: np.ndarray) -> np.ndarray:
        return -np.expm1(-early * np.minimum(t, DAYS_PER_YEAR) - late * np.maximum(t - DAYS_PER_YEAR, 0.0))

    assert kstest(days, dead_by).pvalue > 0.01
    nobody = {name: np.zeros(3) for name in patients}
    assert np.isinf(death_without_progression(nobody, np.array([0.1, 0.5, 0.999]))).all()


@pytest.mark.parametrize(
    ("every", "months"),
    [(0.0, 60.0), (-28.0, 60.0), (28.0, 0.0), (28.0, 2.0), (7.0, 60.0), (np.nan, 60.0), (28.0, np.inf)],
)
def test_visits_that_cannot_be_are_an_error(every: float, months: float) -> None:
    with pytest.raises(RangeError, match=r"visits"):
        Visits(every, months)


@pytest.mark.parametrize(
    "visits", [Visits(), Visits(months=24.0), Visits(every=30.4375, months=12.0), Visits(every=10.0 / 3.0, months=6.0)]
)
def test_every_visit_is_on_the_grid_of_the_simulation(visits: Visits) -> None:
    assert np.all(np.diff(visits.grid) > 0.0)
    nearest = np.min(np.abs(visits.grid[None, :] - visits.days[:, None]), axis=1)
    assert nearest.max() < 1e-6
    assert visits.grid[-1] == pytest.approx(visits.until, abs=1e-6)
    assert visits.days[0] == 0.0


def made_up(eradication: np.ndarray, **courses: np.ndarray | float) -> Solution:
    """Courses that nobody simulated, on the grid of the visits."""
    n = len(eradication)
    quiet = {"tumour": 1e11, "m_protein": 30.0, "car_t": 1.0, "engaged": 1.0, "susceptibility": 0.9, "suppression": 0.0,
             "density_mean": 600.0, "soluble_bcma": 1.0}  # fmt: skip
    filled = {name: np.broadcast_to(courses.get(name, value), (n, len(VISITS.grid))) for name, value in quiet.items()}
    stacked, units = np.stack(list(filled.values()), axis=2), dict.fromkeys(filled, "")
    return Solution(Regimen(), VISITS.grid, tuple(filled), units, stacked,
                    eradication, {}, (), np.ones(n))  # fmt: skip


def typical(n: int, **changes: float) -> dict[str, np.ndarray]:
    numbers = {**CATALOGUE.typical("ide_cel", "late_line"), "light_chain_only": 0.0, **QUIET, **changes}
    return {name: np.full(n, value) for name, value in numbers.items()}


def draws_of(n: int) -> Draws:
    rng = np.random.default_rng(0)
    return Draws(0, stream_keys(0, np.arange(n)), rng.standard_normal((n, 160, 2)))


def fall_and_rise(t: np.ndarray, low: float, day: float = 200.0) -> np.ndarray:
    """A tumour of 1e11 cells that shrinks to its lowest point on a day and comes back at the same pace."""
    return 1e11 * low ** (1.0 - np.abs(t - day) / day)


def one_that_may_be_gone(chance: float) -> Outcomes:
    tumour = fall_and_rise(VISITS.grid, 1e-10)
    solution = made_up(np.array([chance]), tumour=tumour, m_protein=30.0 * tumour / 1e11)
    return outcomes(solution, typical(1, k_clearance_m_protein=0.1), draws_of(1), VISITS)


def test_a_tumour_that_may_be_eradicated_has_two_branches_and_only_one_comes_back() -> None:
    sure, perhaps = one_that_may_be_gone(0.0), one_that_may_be_gone(0.25)
    np.testing.assert_allclose(perhaps.weight[:, 0], [0.75, 0.25])
    assert np.isfinite(perhaps.progression()[0, 0])
    assert np.isinf(perhaps.progression()[1, 0])
    assert (
        perhaps.progression("expected")[0, 0] < sure.progression("expected")[0, 0]
    )  # what survives is more than the mean
    assert perhaps.best[1, 0] == perhaps.best[0, 0]
    curve = perhaps.progression_free()
    assert curve.at(23.9) == pytest.approx(0.25)
    assert perhaps.least_tumour[1, 0] == 0.0
    assert perhaps.least_tumour[0, 0] >= 10.0
    assert sure.progression_free().at(23.9) == 0.0


def test_progression_is_dated_as_asked_and_in_no_other_way() -> None:
    found = one_that_may_be_gone(0.0)
    shown, expected = found.progression()[0, 0], found.progression("expected")[0, 0]
    assert shown in VISITS.days
    assert abs(expected - shown) <= 14.0
    with pytest.raises(UnknownNameError, match=r"There is no way to date progression 'visits'\. Did you mean 'visit'"):
        found.progression_free("visits")
    with pytest.raises(UnknownNameError, match="limit of residual disease '1e-7'"):
        found.mrd_negative("1e-7")


def test_who_dies_early_has_no_response_and_no_relapse_afterwards() -> None:
    tumour = fall_and_rise(VISITS.grid, 1e-10)
    solution = made_up(np.zeros(2), tumour=tumour, m_protein=30.0 * tumour / 1e11)
    patients = typical(2) | {"hazard_death_first_year": np.array([1e6, 0.0])}
    found = outcomes(solution, patients, draws_of(2), VISITS)
    assert found.overall_response_rate == 0.5
    assert np.isinf(found.progression()[0, 0])
    np.testing.assert_allclose(found.cause_shares.sum(axis=1), [0.0, 1.0])
    assert found.mrd_negative()[0].tolist() == [False, True]
    assert found.progression_free().at(1.0) == 0.5
    assert found.persistence[0, 0] < 1.0


def relapse_of(
    susceptibility: float = 0.9, car_t: float = 500.0, engaged: float = 500.0, peak: float = 500.0
) -> np.ndarray:
    """Causes of a relapse on day 400, with antigen, cells and working cells as given; before, there was a peak."""
    late = VISITS.grid > 300.0
    solution = made_up(
        np.zeros(1), susceptibility=np.where(late, susceptibility, 0.9), car_t=np.where(late, car_t, peak),
        engaged=np.where(late, engaged, peak), tumour=1e10,
    )  # fmt: skip
    patients = typical(1, half_kill=20.0, k_kill_max=0.8, k_growth_tumour=0.1)
    return causes(solution, patients, np.array([400.0]), {"tumour": solution["tumour"]})[0]


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ({"susceptibility": 0.01}, {"antigen low or lost": 1.0}),
        ({"car_t": 500.0, "engaged": 0.5}, {"cells exhausted": 1.0}),
        ({"car_t": 20.0, "engaged": 2.0}, {"cells exhausted": 0.5, "cells gone": 0.5}),
        ({"car_t": 1.0, "engaged": 0.005}, {"several together": 1.0}),
        ({"car_t": 0.0, "engaged": 0.0}, {"cells gone": 1.0}),
        ({"car_t": 0.0, "engaged": 0.0, "peak": 0.0}, {"never expanded": 1.0}),
        ({"car_t": 0.5, "engaged": 0.5}, {"cells gone": 1.0}),
        ({"car_t": 0.5, "engaged": 0.5, "susceptibility": 0.01}, {"several together": 1.0}),
        ({"car_t": 0.5, "engaged": 0.5, "peak": 1.0}, {"never expanded": 1.0}),
        ({"car_t": 500.0, "engaged": 0.5, "peak": 1.0}, {"cells exhausted": 1.0}),
        ({"susceptibility": 0.01, "car_t": 100.0, "engaged": 100.0}, {"antigen low or lost": 1.0}),
    ],
)
def test_the_cause_of_a_relapse_is_what_would_have_sufficed_alone(
    state: dict[str, float], cause: dict[str, float]
) -> None:
    np.testing.assert_allclose(relapse_of(**state), [cause.get(name, 0.0) for name in CAUSES])


@pytest.fixture(scope="module")
def population() -> Outcomes:
    return treated(400)


def treated(n: int) -> Outcomes:
    strong = CATALOGUE.with_values({"cilta_cel.half_density_kill": 80.0}, k_kill_max=6.0)
    draws = draw(CATALOGUE, n, seed=2)
    patients = make_patients(strong, draws, product="cilta_cel", population="late_line")
    return outcomes(simulate(patients, infuse("cilta_cel"), times=VISITS.grid), patients, draws, VISITS)


def test_the_weights_of_the_branches_add_up_to_the_patients(population: Outcomes) -> None:
    assert population.flat_weight.sum() == pytest.approx(400.0, rel=1e-12)
    np.testing.assert_allclose(population.weight.sum(axis=0), 1.0, rtol=1e-12)
    assert np.sum(population.weight[1] > 0.01) >= 5
    assert population.rate(np.ones((2, 400))) == pytest.approx(1.0)
    assert population.progression_free().n == pytest.approx(400.0)


def test_an_eradicated_tumour_never_progresses(population: Outcomes) -> None:
    gone = population.weight[1] > 1e-6
    assert gone.any()
    assert np.isinf(population.progression()[1, gone]).all()
    assert np.all(population.best[1, gone] >= population.best[0, gone])
    assert np.all(population.least_tumour[1, gone] <= population.least_tumour[0, gone])


def test_the_causes_of_a_relapse_share_it_and_there_are_none_without_relapse(population: Outcomes) -> None:
    relapsed = np.isfinite(population.progression()[0])
    assert 0 < relapsed.sum() < 400
    np.testing.assert_allclose(population.cause_shares[relapsed].sum(axis=1), 1.0)
    assert not population.cause_shares[~relapsed].any()
    assert population.cause_share().sum() == pytest.approx(1.0)


def test_responses_and_their_dates_agree_with_one_another(population: Outcomes) -> None:
    for response in population.responses:
        shows = np.isfinite(response.shown)
        assert np.all(response.progression[shows] <= response.shown[shows])
        assert np.all(response.progression[shows] >= response.before[shows])
        assert np.array_equal(np.isfinite(response.first_response), response.best >= 3)
    assert population.complete_response_rate <= population.overall_response_rate
    assert population.rate(population.mrd_negative("1e-6")) <= population.rate(population.mrd_negative("1e-5"))


def test_the_duration_of_response_is_that_of_everybody_with_a_first_response(population: Outcomes) -> None:
    first = np.stack([response.first_response for response in population.responses])
    lasted = (np.minimum(population.progression(), population.death) - first)[np.isfinite(first)]
    weight, duration = population.weight[np.isfinite(first)], population.duration_of_response()
    assert np.all(lasted > 0.0)
    assert [duration.n, 400.0 * population.overall_response_rate] == pytest.approx([weight.sum()] * 2, rel=1e-12)
    for month in (0.0, 3.0, 6.0):  # so early nobody is censored
        share = weight[lasted > month * DAYS_PER_MONTH].sum() / weight.sum()
        assert duration.at(month) == pytest.approx(share, rel=1e-9)


def test_progression_free_survival_of_twice_as_many_patients_is_the_same_within_its_band(population: Outcomes) -> None:
    few, many = population.progression_free(), treated(800).progression_free()
    assert many.n == pytest.approx(2.0 * few.n)
    for month in (3.0, 6.0, 12.0, 18.0, 23.0):
        low, high = few.interval_at(month)
        assert low <= many.at(month) <= high
        assert low < few.at(month) < high


def test_the_two_ways_to_date_progression_agree_on_average(population: Outcomes) -> None:
    shown, expected = (population.progression(dated)[0] for dated in ("visit", "expected"))
    seen = np.isfinite(shown)
    assert np.array_equal(seen, np.isfinite(expected))
    assert np.mean(expected[seen] - shown[seen]) == pytest.approx(
        0.0, abs=4.0 * 28.0 / np.sqrt(12.0 * seen.sum()) + 2.0
    )
    assert population.progression_free("expected").median() == pytest.approx(
        population.progression_free().median(), abs=28.0 / DAYS_PER_MONTH
    )
