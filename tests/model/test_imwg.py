"""Response and progression of hand-made patients whose category every haematologist can read off the list of values."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.model.imwg import CATEGORIES, PR, Markers, Response, assess_response, measure
from perdure.parameters.patients import Draws
from perdure.parameters.streams import stream_keys


def marker(*values: float, negative: tuple[int, ...] = (), light_chain: bool = False, every: float = 28.0) -> Markers:
    """One patient; `negative` are the visits at which nothing is found."""
    level = np.array([values], dtype=float)
    found = np.zeros_like(level, dtype=bool)
    found[0, list(negative)] = True
    return Markers(np.arange(len(values)) * every, level, level, found, np.array([light_chain]))


def judged(*values: float, **options: Any) -> Response:
    return assess_response(marker(*values, **options))


def best(*values: float, **options: Any) -> str:
    return CATEGORIES[int(judged(*values, **options).best[0])]


@pytest.mark.parametrize(
    ("values", "category"),
    [
        ((40, 3.9, 3.9, 3.9), "VGPR"),
        ((40, 4.0, 4.0, 4.0), "VGPR"),  # 90 % is enough
        ((40, 4.1, 4.1, 4.1), "PR"),
        ((40, 20, 20, 20), "PR"),
        ((40, 20.1, 20, 20.1), "MR"),
        ((40, 30, 30, 30), "MR"),
        ((40, 31, 31, 31), "SD"),
        ((40, 44, 44, 44), "SD"),
        ((40, 50, 50, 50), "PD"),
        ((40, 45, 51, 52), "PD"),  # at the second visit, before anything else can be confirmed
        ((40, 30, 20, 10, 3, 3), "VGPR"),  # the best of a row of falls
        ((40, 3, 3, 30, 40), "VGPR"),  # what comes after does not take a response away
    ],
)
def test_the_fall_from_baseline_gives_the_category(values: tuple[float, ...], category: str) -> None:
    assert best(*values) == category


def test_complete_response_is_a_marker_that_is_not_found_at_two_visits_running() -> None:
    assert best(40, 2, 0.1, 0.1, 0.1, negative=(2, 3)) == "CR"
    assert best(40, 2, 0.1, 0.1, 0.1, negative=(3, 4)) == "CR"
    assert best(40, 2, 0.1, 0.1, 0.1, negative=(3,)) == "VGPR"
    assert best(40, 2, 0.1, 0.1, 0.1, negative=(2, 4)) == "VGPR"
    assert best(40, 2, 0.1, 0.1, 0.1, negative=(0, 1)) == "VGPR"  # baseline confirms nothing


def test_a_response_that_is_not_confirmed_does_not_count() -> None:
    assert best(40, 38, 10, 38, 38) == "SD"
    assert best(40, 38, 10, 25, 38) == "MR"  # the two together show a fall by 37 %
    assert best(40, 38, 38, 38, 3) == "SD"  # the last visit has none after it
    assert best(40, 3, 45, 46, 46) == "SD"


def test_a_response_counts_only_before_progression() -> None:
    assert best(40, 38, 44, 50, 50, 2, 2, 2) == "SD"
    assert best(40, 38, 44, 50, 50, 2, 2, 2, negative=(5, 6, 7)) == "SD"


def test_the_first_response_is_dated_at_the_first_of_the_two_visits() -> None:
    assert judged(40, 30, 18, 18, 3, 3).first_response[0] == 2 * 28.0
    assert judged(40, 10, 30, 18, 3, 3).first_response[0] == 3 * 28.0
    assert judged(40, 10, 10, 10).first_response[0] == 28.0
    assert np.isinf(judged(40, 30, 30, 30).first_response[0])


COURSES = st.lists(st.tuples(st.floats(0.0, 80.0), st.booleans()), min_size=3, max_size=12)


@given(course=COURSES, light_chain=st.booleans(), death=st.floats(0.0, 400.0) | st.just(np.inf))
def test_a_first_response_has_a_day_in_responders_and_in_nobody_else(
    course: list[tuple[float, bool]], light_chain: bool, death: float
) -> None:
    values, found = zip(*course, strict=True)
    scale = 20.0 if light_chain else 1.0
    negative = tuple(visit for visit, seen in enumerate(found) if not seen)
    response = assess_response(
        marker(*(scale * value for value in values), negative=negative, light_chain=light_chain), np.array([death])
    )
    first = response.first_response[0]
    assert np.isfinite(first) == (response.best[0] >= PR)
    if np.isfinite(first):  # its confirmation comes before progression and in life, and so it does itself
        assert 28.0 <= first < min(response.progression[0], response.shown[0], death)


def test_a_rise_that_is_not_confirmed_does_not_count() -> None:
    assert np.isinf(judged(40, 10, 10, 30, 10, 10).shown[0])
    assert np.isinf(judged(40, 10, 10, 10, 10, 30).shown[0])  # at the last visit
    assert judged(40, 10, 10, 10, 30, 30).shown[0] == 4 * 28.0


def test_a_quarter_is_not_progression_below_five_grams_per_litre() -> None:
    assert np.isinf(judged(40, 4, 4, 8.9, 8.9, 8.9).shown[0])  # more than doubled, by 4.9 g/L
    assert judged(40, 4, 4, 9.0, 9.0, 9.0).shown[0] == 3 * 28.0
    assert np.isinf(judged(60, 40, 40, 49.9, 49.9, 49.9).shown[0])  # by 9.9 g/L, less than a quarter
    assert judged(60, 40, 40, 50.0, 50.0).shown[0] == 3 * 28.0


def test_ten_grams_per_litre_are_needed_and_enough_from_fifty_on() -> None:
    assert np.isinf(judged(52, 52, 52, 61.9, 61.9, 61.9).shown[0])
    assert judged(52, 52, 52, 62.0, 62.0).shown[0] == 3 * 28.0  # less than a quarter
    assert np.isinf(judged(60, 49.9, 49.9, 62.0, 62.0, 62.0).shown[0])  # below 50 g/L a quarter is needed


def test_light_chain_patients_progress_by_a_hundred_milligrams_per_litre() -> None:
    assert np.isinf(judged(600, 60, 60, 159, 159, 159, light_chain=True).shown[0])
    assert judged(600, 60, 60, 160, 160, light_chain=True).shown[0] == 3 * 28.0
    assert np.isinf(judged(900, 600, 600, 740, 740, light_chain=True).shown[0])  # 140 mg/L, less than a quarter
    assert judged(900, 600, 600, 750, 750, light_chain=True).shown[0] == 3 * 28.0
    assert best(600, 60, 60, 60, light_chain=True) == "VGPR"


def test_progression_is_measured_from_the_lowest_confirmed_value_and_not_from_a_noisy_low() -> None:
    # a single value of 2 would make 9 g/L a progression; confirmed are only 6 g/L
    assert np.isinf(judged(40, 6, 6, 2, 6, 9, 9, 9).shown[0])
    assert judged(40, 6, 6, 2, 2, 9, 9, 9).shown[0] == 5 * 28.0
    assert judged(40, 6, 6, 2, 6, 11, 11, 11).shown[0] == 5 * 28.0


def test_the_lowest_value_is_of_the_past() -> None:
    assert judged(40, 45.5, 51, 51, 2, 2, 2).shown[0] == 2 * 28.0
    assert np.isinf(judged(40, 20, 20, 10, 10, 3, 3).shown[0])


def test_progression_is_dated_at_the_visit_that_shows_it_and_the_crossing_lies_before_it() -> None:
    response = judged(40, 4, 4, 5, 15, 25)
    assert response.shown[0] == 4 * 28.0
    assert response.before[0] == 3 * 28.0
    assert response.progression[0] == pytest.approx((3 + (9.0 - 5.0) / 10.0) * 28.0)  # where 4 + 5 g/L is passed


def test_without_progression_the_last_visit_is_kept() -> None:
    response = judged(40, 4, 4, 5, 5, 5)
    assert np.isinf(response.progression[0])
    assert response.before[0] == 5 * 28.0


def test_the_crossing_moves_continuously_with_the_values() -> None:
    rises = np.linspace(0.0, 4.999, 60)
    crossing = [judged(40, 4, 4, 4 + rise, 9 + rise, 30).progression[0] for rise in rises]
    assert np.max(np.abs(np.diff(crossing))) < 1.0
    before, after = (judged(40, 4, 4, value, 15, 15).progression[0] for value in (8.9999, 9.0001))
    assert before == pytest.approx(after, abs=0.01)


def test_there_are_no_visits_after_death() -> None:
    course = marker(40, 30, 10, 10, 2, 2, 20, 20, negative=(4, 5))
    days = {
        "alive": np.inf,
        "in month 6": 6.5 * 28,
        "in month 4": 4.5 * 28,
        "in month 2": 2.5 * 28,
        "in month 1": 0.5 * 28,
    }
    seen = {name: assess_response(course, np.array([day])) for name, day in days.items()}
    assert [CATEGORIES[int(response.best[0])] for response in seen.values()] == ["CR", "CR", "PR", "MR", "SD"]
    assert [response.shown[0] for response in seen.values()] == [6 * 28.0, *[np.inf] * 4]
    assert [response.before[0] / 28 for response in seen.values()] == [5, 6, 4, 2, 0]
    np.testing.assert_allclose(
        [response.best_change[0] for response in seen.values()], [-0.95, -0.95, -0.95, -0.75, np.nan]
    )


def test_the_best_change_is_the_deepest_fall_or_the_smallest_rise_before_progression() -> None:
    assert judged(40, 30, 10, 20, 20).best_change[0] == pytest.approx(-0.75)
    assert judged(40, 44, 42, 44, 44).best_change[0] == pytest.approx(0.05)
    assert judged(40, 60, 70, 10).best_change[0] == pytest.approx(0.5)
    assert judged(40, 30, 50, 50, 1, 1).best_change[0] == pytest.approx(-0.25)


def test_patients_are_judged_each_for_themselves() -> None:
    rng = np.random.default_rng(0)
    values = np.abs(np.cumsum(rng.normal(0.0, 6.0, (40, 14)), axis=1) + 25.0)
    negative, light = rng.random((40, 14)) < 0.4, rng.random(40) < 0.3
    values[light] *= 20.0
    days = np.arange(14) * 28.0
    together = assess_response(Markers(days, values, values, negative, light))
    for i in range(40):
        alone = assess_response(
            Markers(days, values[i : i + 1], values[i : i + 1], negative[i : i + 1], light[i : i + 1])
        )
        for name in ("best", "progression", "shown", "before", "first_response", "best_change"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[i])


def by_hand(values: np.ndarray, light: bool) -> int | None:
    """First visit of a progression that the next visit confirms: the definition, visit by visit."""
    for j in range(1, len(values) - 1):
        pairs = [max(values[i], values[i + 1]) for i in range(j - 1)]
        lowest = min([values[0], *pairs])
        limit = lowest + (10.0 if lowest >= 50.0 and not light else max(0.25 * lowest, 100.0 if light else 5.0))
        if values[j] >= limit and values[j + 1] >= limit:
            return j
    return None


def test_progression_is_what_the_definition_says_visit_by_visit() -> None:
    rng = np.random.default_rng(1)
    found = set()
    for k in range(400):
        light = k % 4 == 0
        values = np.abs(np.cumsum(rng.normal(0.0, 5.0, 12)) + 10.0 + 10.0 * (k % 6)) * (20.0 if light else 1.0)
        visit = by_hand(values, light)
        shown = judged(*values, light_chain=light).shown[0]
        assert shown == (np.inf if visit is None else visit * 28.0)
        found.add(visit)
    assert len(found) > 8


def someone(n: int, **changes: float) -> dict[str, np.ndarray]:
    numbers = {"light_chain_only": 0.0, "flc_baseline": 500.0, "flc_background": 15.0, "tumour_baseline": 1e11,
               "error_m_protein": 0.07, "error_floor_m_protein": 0.2, "limit_flc": 26.0, "limit_m_protein": 0.15,
               "fraction_marrow_complete": 0.05, "marrow_cells": 1e12, **changes}  # fmt: skip
    return {name: np.full(n, value) for name, value in numbers.items()}


def draws_of(n: int, seed: int = 0) -> Draws:
    rng = np.random.default_rng(seed)
    return Draws(seed, stream_keys(seed, np.arange(n)), rng.standard_normal((n, 160, 2)))


def test_the_assay_errs_in_proportion_and_by_a_floor() -> None:
    n, days = 4000, np.arange(4) * 28.0
    levels = np.tile([30.0, 10.0, 3.0, 0.0], (n, 1))
    seen = measure(days, levels, np.full((n, 4), 1e9), someone(n), draws_of(n)).measured
    np.testing.assert_allclose(seen[:, :3].mean(axis=0), [30.0, 10.0, 3.0], rtol=0.01)
    np.testing.assert_allclose(seen[:, :3].std(axis=0), np.hypot(0.07 * levels[0, :3], 0.2), rtol=0.05)
    assert seen.min() == 0.0  # never below nothing
    assert np.corrcoef(seen[:, 0], seen[:, 1])[0, 1] == pytest.approx(0.0, abs=0.06)


def test_nothing_is_found_only_if_blood_and_marrow_are_clean() -> None:
    days, draws = np.array([0.0, 28.0]), draws_of(1)

    def negative(m_protein: float, tumour: float, **changes: float) -> bool:
        found = measure(days, np.full((1, 2), m_protein), np.full((1, 2), tumour), someone(1, **changes), draws)
        return bool(found.negative[0, 1])

    assert negative(0.1, 1e9)
    assert not negative(0.2, 1e9)
    assert not negative(0.1, 6e10)  # six percent of the marrow
    light = {"light_chain_only": 1.0}
    assert negative(0.0, 2e9, **light)  # 10 mg/L above the background of 15
    assert not negative(0.0, 3e9, **light)
    found = measure(days, np.zeros((1, 2)), np.full((1, 2), 1e11), someone(1, error_m_protein=0.0, **light), draws)
    np.testing.assert_allclose(found.measured, 500.0)
    assert found.light_chain[0]
