"""The search and its ledger: the top is found, and what was computed before is not computed again."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.fitting.calibration.design import EvaluationLog
from perdure.fitting.calibration.search import SearchSettings, search
from perdure.fitting.calibration.search_space import REACH, SearchSpace, estimated_parameters
from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import FileError, FitError, RangeError, UnknownNameError

CATALOGUE = read_catalogue()
FREE = estimated_parameters()
SPACE = SearchSpace(FREE, CATALOGUE)
TOP = np.array([0.5, -1.0, 1.5, 0.0, -0.3])
ROOT = np.array(
    [
        [2.0, 0.0, 0.0, 0.0, 0.0],
        [0.9, 1.5, 0.0, 0.0, 0.0],
        [0.0, -0.7, 1.0, 0.0, 0.0],
        [0.3, 0.0, 0.4, 0.7, 0.0],
        [-0.2, 0.5, 0.0, 0.3, 0.5],
    ]
)
IDENTITY = {"seed": 1, "free": ["a", "b"]}
QUADRATIC_SETTINGS = SearchSettings(240, seed=3)


def quadratic(points: np.ndarray) -> np.ndarray:
    """Five correlated coordinates; its highest value is 7, at TOP."""
    return 7.0 - 0.5 * np.sum(np.square((np.atleast_2d(points) - TOP) @ ROOT), axis=1)


# ---------------------------------------------------------------------------------------------------------- search
def test_the_search_finds_the_top_of_a_quadratic() -> None:
    found = search(quadratic, np.zeros(5), SearchSettings(2000, seed=2))
    np.testing.assert_allclose(found.point, TOP, atol=1e-3)  # an adapted search gains a digit in some 100 evaluations
    assert found.log_posterior == pytest.approx(7.0, abs=1e-5)
    assert found.log_posterior == quadratic(found.point)[0]


def test_the_search_stays_within_reach_of_the_prior() -> None:
    asked: list[np.ndarray] = []

    def far_away(points: np.ndarray) -> np.ndarray:
        asked.extend(points)
        return -np.sum(np.square(points - 10.0), axis=1)

    found = search(far_away, np.zeros(2), SearchSettings(400, seed=2))
    assert np.abs(asked).max() <= REACH
    np.testing.assert_allclose(found.point, REACH, atol=0.01)


def test_the_search_is_the_same_for_a_seed_and_another_for_another() -> None:
    once, twice = (search(quadratic, np.zeros(5), SearchSettings(60, seed=4)) for _ in range(2))
    np.testing.assert_array_equal(once.point, twice.point)
    assert not np.array_equal(once.point, search(quadratic, np.zeros(5), SearchSettings(60, seed=5)).point)


@pytest.mark.parametrize("seed", [0, -3])
def test_a_seed_that_the_search_would_not_keep_is_refused(seed: int) -> None:
    with pytest.raises(RangeError, match=f"seed of the search = {seed}; expected a whole number of at least 1"):
        SearchSettings(seed=seed)


def test_the_search_reports_how_far_it_is() -> None:
    seen: list[tuple[int, int]] = []
    settings = SearchSettings(64, seed=1)
    found = search(quadratic, np.zeros(5), settings, progress=lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [64] * len(seen)
    assert seen[-1][0] == found.evaluations
    assert np.all(np.diff([done for done, _ in seen]) > 0)


# ---------------------------------------------------------------------------------------------------------- ledger
Asked = list[float]


def ask_all(ledger: EvaluationLog, places: Sequence[float], asked: Asked, stop_after: int = 10_000) -> list[np.ndarray]:
    """Values at some places, from the ledger or computed; a user stops it when so many were computed."""

    def at(place: float) -> Callable[[], np.ndarray]:
        def evaluate() -> np.ndarray:
            if len(asked) == stop_after:
                raise KeyboardInterrupt
            asked.append(place)
            return np.array([-1234.5678 - place, math.nan, place / 3.0])

        return evaluate

    return [ledger.ask((7, True), np.array([place, 0.0]), at(place)) for place in places]


PLACES = [0.0, 1.0, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_evaluations_that_were_cut_off_go_on_where_they_stood(tmp_path: Path, calls: int) -> None:
    through = ask_all(EvaluationLog(tmp_path / "through.ledger", IDENTITY), PLACES, [])
    path, before, after = tmp_path / "cut.ledger", [], []
    with pytest.raises(KeyboardInterrupt):
        ask_all(EvaluationLog(path, IDENTITY), PLACES, before, stop_after=calls)
    ledger = EvaluationLog(path, IDENTITY)
    assert len(ledger) == calls
    np.testing.assert_array_equal(ask_all(ledger, PLACES, after), through)
    assert before + after == [0.0, 1.0, 0.5, 2.0]  # nothing twice, nothing left out
    assert len(EvaluationLog(path, IDENTITY)) == 4


def test_another_seed_or_depth_is_another_evaluation(tmp_path: Path) -> None:
    ledger = EvaluationLog(tmp_path / "fit.ledger", IDENTITY)
    for key in ((1, True), (2, True), (1, False)):
        ledger.ask(key, np.zeros(2), lambda key=key: np.array([float(key[0])]))
    assert len(ledger) == 3


@pytest.mark.parametrize("torn", [1, 8, 12, 30])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: int) -> None:
    path, asked = tmp_path / "fit.ledger", []
    ask_all(EvaluationLog(path, IDENTITY), [0.0, 1.0, 2.0], asked)
    path.write_text(path.read_text(encoding="utf-8")[:-torn], encoding="utf-8")  # even half a number is a number
    ledger = EvaluationLog(path, IDENTITY)
    assert len(ledger) == 2
    again: Asked = []
    values = ask_all(ledger, [0.0, 1.0, 2.0], again)
    assert [value[0] for value in values] == [-1234.5678, -1235.5678, -1236.5678]
    assert again == [2.0]
    assert len(EvaluationLog(path, IDENTITY)) == 3


def test_a_ledger_of_another_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.ledger"
    EvaluationLog(path, IDENTITY)
    EvaluationLog(path, dict(reversed(IDENTITY.items())))  # the order of the settings is no difference
    with pytest.raises(FileError, match=r"fit\.ledger: belongs to a fit with other evidence, sizes, seeds"):
        EvaluationLog(path, {**IDENTITY, "seed": 2})


def test_a_ledger_keeps_values_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "fit.ledger"
    values = np.array([1.0 / 3.0, -math.pi * 1e5, 5e-324, -math.inf, math.nan])
    EvaluationLog(path, IDENTITY).ask((1,), np.zeros(1), lambda: values)

    def never() -> np.ndarray:
        raise AssertionError

    np.testing.assert_array_equal(EvaluationLog(path, IDENTITY).ask((1,), np.zeros(1), never), values)


# ---------------------------------------------------------------------------------------------------- search space
def test_every_free_parameter_of_the_reference_fit_exists_and_has_a_prior() -> None:
    assert len(set(FREE)) == len(FREE)
    for name in FREE:
        prior = CATALOGUE[name].prior
        assert prior is not None, name
        assert prior.value(0.0) == pytest.approx(CATALOGUE[name].value), name


@given(st.lists(st.floats(-2.0, 2.0), min_size=len(FREE), max_size=len(FREE)))
def test_a_point_and_its_values_are_the_same_thing(point: list[float]) -> None:
    values = SPACE.values(point)
    inside = np.array([CATALOGUE[name].low < value < CATALOGUE[name].high for name, value in values.items()])
    np.testing.assert_allclose(SPACE.point(values)[inside], np.array(point)[inside], atol=1e-9)


@given(st.lists(st.floats(-50.0, 50.0), min_size=len(FREE), max_size=len(FREE)))
def test_values_stay_inside_their_ranges(point: list[float]) -> None:
    for name, value in SPACE.values(point).items():
        assert CATALOGUE[name].low <= value <= CATALOGUE[name].high


def test_the_middle_of_the_search_space_is_the_catalogue() -> None:
    at = SPACE.at(np.zeros(SPACE.size))
    for name in CATALOGUE:
        assert at[name].value == pytest.approx(CATALOGUE[name].value, rel=1e-12)
        assert at[name].grade == ("calibrated" if name in FREE else CATALOGUE[name].grade)
    half = SPACE.point({"k_growth_tumour": CATALOGUE["k_growth_tumour"].value * math.exp(0.5)})
    assert half[0] == pytest.approx(1.0)  # its prior SD is 0.5 on the log scale
    np.testing.assert_array_equal(half[1:], 0.0)


def test_a_search_space_refuses_what_cannot_be_free() -> None:
    with pytest.raises(FitError, match="search space is empty"):
        SearchSpace((), CATALOGUE)
    with pytest.raises(FitError, match="blood_volume: has no prior, so it cannot be free"):
        SearchSpace(("k_growth_tumour", "blood_volume"), CATALOGUE)
    with pytest.raises(UnknownNameError, match="Did you mean 'k_growth_tumour'"):
        SearchSpace(("k_grwth_tumour",), CATALOGUE)
