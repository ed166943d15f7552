"""The search, its ledger and the whole fit: the top is found, and a fit cut off anywhere ends where it would have."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.fitting import reference_fit as whole_fit
from perdure.fitting.calibration import read_calibration
from perdure.fitting.fit import Search, SearchSettings, search
from perdure.fitting.ledger import Ledger
from perdure.fitting.problem import Problem
from perdure.fitting.reference_fit import FitSettings, reference_fit
from perdure.fitting.reported import Item, Study, read_studies
from perdure.fitting.search_space import REACH, REFERENCE_FREE, SearchSpace
from perdure.model.catalogue import read_catalogue
from perdure.model.simulate import Solver
from perdure.parameters.errors import FileError, FitError, RangeError, UnknownNameError

CATALOGUE = read_catalogue()
SPACE = SearchSpace(REFERENCE_FREE, CATALOGUE)
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


def quadratic(point: np.ndarray) -> float:
    """Five correlated coordinates; its highest value is 7, at TOP."""
    return 7.0 - 0.5 * float(np.sum(np.square(ROOT.T @ (point - TOP))))


# ---------------------------------------------------------------------------------------------------------- search
def test_the_search_finds_the_top_of_a_quadratic() -> None:
    found = search(quadratic, np.zeros(5), SearchSettings(2000, seed=2))
    np.testing.assert_allclose(found.point, TOP, atol=1e-3)  # an adapted search gains a digit in some 100 evaluations
    assert found.log_posterior == pytest.approx(7.0, abs=1e-5)
    assert found.log_posterior == quadratic(found.point)


def test_the_search_stays_within_reach_of_the_prior() -> None:
    asked: list[np.ndarray] = []

    def far_away(point: np.ndarray) -> float:
        asked.append(point)
        return -float(np.sum(np.square(point - 10.0)))

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
    with pytest.raises(RangeError, match="at least 1"):
        FitSettings(search_seed=seed)


def test_the_search_reports_how_far_it_is() -> None:
    seen: list[tuple[int, int]] = []
    settings = SearchSettings(64, seed=1)
    found = search(quadratic, np.zeros(5), settings, progress=lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [64] * len(seen)
    assert seen[-1][0] == found.evaluations
    assert np.all(np.diff([done for done, _ in seen]) > 0)


# ---------------------------------------------------------------------------------------------------------- ledger
Function = Callable[[np.ndarray], float]


def interrupted_after(calls: int, of: Function) -> tuple[Function, list[bytes]]:
    """The same function, stopped by the user at a call; and the points that were really computed."""
    asked: list[bytes] = []

    def evaluate(point: np.ndarray) -> float:
        if len(asked) == calls:
            raise KeyboardInterrupt
        asked.append(point.tobytes())
        return of(point)

    return evaluate, asked


def search_with(ledger: Ledger, evaluate: Function) -> Search:
    return search(ledger.remembered(evaluate), np.zeros(5), QUADRATIC_SETTINGS)


@pytest.mark.parametrize("calls", [0, 1, 37, 200])
def test_a_search_that_was_cut_off_goes_on_where_it_stood(tmp_path: Path, calls: int) -> None:
    never_stopped, all_points = interrupted_after(10_000, quadratic)
    through = search_with(Ledger(tmp_path / "through.ledger", IDENTITY), never_stopped)
    path = tmp_path / "cut.ledger"
    first, before = interrupted_after(calls, quadratic)
    with pytest.raises(KeyboardInterrupt):
        search_with(Ledger(path, IDENTITY), first)
    ledger = Ledger(path, IDENTITY)
    assert len(ledger) == calls
    second, after = interrupted_after(10_000, quadratic)
    resumed = search_with(ledger, second)
    np.testing.assert_array_equal(resumed.point, through.point)
    assert resumed.log_posterior == through.log_posterior
    assert before + after == all_points  # nothing twice, nothing left out
    assert len(Ledger(path, IDENTITY)) == len(set(all_points))


@pytest.mark.parametrize("torn", [1, 8, 12, 30])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "fit.ledger"
    remembered = Ledger(path, IDENTITY).remembered(lambda point: -1234.5678 - point[0])
    for first in (0.0, 1.0, 2.0):
        remembered(np.array([first]))
    path.write_text(path.read_text(encoding="utf-8")[:-torn], encoding="utf-8")  # even half a number is a number
    ledger = Ledger(path, IDENTITY)
    assert len(ledger) == 2
    again, asked = interrupted_after(10, lambda point: -1234.5678 - point[0])
    values = [ledger.remembered(again)(np.array([first])) for first in (0.0, 1.0, 2.0)]
    assert values == [-1234.5678, -1235.5678, -1236.5678]
    assert len(asked) == 1
    assert len(Ledger(path, IDENTITY)) == 3


def test_a_ledger_of_another_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.ledger"
    Ledger(path, IDENTITY)
    Ledger(path, dict(reversed(IDENTITY.items())))  # the order of the settings is no difference
    with pytest.raises(FileError, match=r"fit\.ledger: belongs to a fit with other evidence, sizes, seeds"):
        Ledger(path, {**IDENTITY, "seed": 2})


def test_a_ledger_keeps_values_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "fit.ledger"
    values = [1.0 / 3.0, -math.pi * 1e5, 5e-324, -math.inf]
    for k, value in enumerate(values):
        Ledger(path, IDENTITY).remembered(lambda _, value=value: np.float64(value))(np.array([float(k)]))
    again, asked = interrupted_after(0, quadratic)
    remembered = Ledger(path, IDENTITY).remembered(again)
    assert [remembered(np.array([float(k)])) for k in range(len(values))] == values
    assert asked == []


# ---------------------------------------------------------------------------------------------------- search space
def test_every_free_parameter_of_the_reference_fit_exists_and_has_a_prior() -> None:
    assert len(set(REFERENCE_FREE)) == len(REFERENCE_FREE)
    for name in REFERENCE_FREE:
        prior = CATALOGUE[name].prior
        assert prior is not None, name
        assert prior.value(0.0) == pytest.approx(CATALOGUE[name].value), name


@given(st.lists(st.floats(-2.0, 2.0), min_size=len(REFERENCE_FREE), max_size=len(REFERENCE_FREE)))
def test_a_point_and_its_values_are_the_same_thing(point: list[float]) -> None:
    values = SPACE.values(point)
    inside = np.array([CATALOGUE[name].low < value < CATALOGUE[name].high for name, value in values.items()])
    np.testing.assert_allclose(SPACE.point(values)[inside], np.array(point)[inside], atol=1e-9)


@given(st.lists(st.floats(-50.0, 50.0), min_size=len(REFERENCE_FREE), max_size=len(REFERENCE_FREE)))
def test_values_stay_inside_their_ranges(point: list[float]) -> None:
    for name, value in SPACE.values(point).items():
        assert CATALOGUE[name].low <= value <= CATALOGUE[name].high


def test_the_middle_of_the_search_space_is_the_catalogue() -> None:
    at = SPACE.at(np.zeros(SPACE.size))
    for name in CATALOGUE:
        assert at[name].value == pytest.approx(CATALOGUE[name].value, rel=1e-12)
        assert at[name].grade == ("calibrated" if name in REFERENCE_FREE else CATALOGUE[name].grade)
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


# ------------------------------------------------------------------------------------------- problem and whole fit
def orr(role: str = "fit", weight: float = 1.0) -> Study:
    report = {"id": f"trial_{role}", "endpoint": "orr", "kind": "proportion", "value": 80.0, "unit": "%", "n": 50}
    item = Item.model_validate({**report, "role": role, "weight": weight})
    return Study(
        name="trial_1", study="TRIAL-1", title="A trial.", time_zero="first infusion", product="ide_cel",
        population="late_line", visit_interval_days=28.0, items=(item,),
    )  # fmt: skip


def test_a_problem_without_anything_to_fit_is_refused() -> None:
    with pytest.raises(FitError, match="no item has the role 'fit'"):
        Problem(SPACE, (orr("check"),))


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_half_the_squares_of_the_residuals_are_minus_the_log_posterior(weight: float) -> None:
    problem = Problem(SPACE, (orr(weight=weight),), n=20, seed=3, solver=Solver(rtol=1e-4, workers=1), threads=1)
    for point in (np.zeros(SPACE.size), np.linspace(-0.5, 0.5, SPACE.size)):
        found, residuals = problem.evaluate(point), problem.residuals(point)
        assert found.log_posterior == pytest.approx(-0.5 * float(residuals @ residuals), rel=1e-9)
        assert found.log_likelihood == pytest.approx(weight * found.matches[0].log_likelihood)
        assert found.log_posterior == pytest.approx(found.log_likelihood - 0.5 * float(point @ point))


def test_the_sizes_of_a_fit_are_checked() -> None:
    for name in ("evaluations", "draws", "moves", "patients"):
        with pytest.raises(RangeError, match=f"{name} = 1; expected at least 2"):
            FitSettings(**{name: 1})


def test_a_fit_refuses_a_place_it_cannot_write_to(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"fit\.toml: the calibration is written as \.json; name it .*fit\.json"):
        reference_fit(tmp_path / "fit.toml", FitSettings())
    with pytest.raises(FileError, match="there is no such folder"):
        reference_fit(tmp_path / "nowhere" / "fit.json", FitSettings())
    (tmp_path / "fit.ledger").write_text("{}\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"fit\.ledger: an earlier fit stopped here; go on with --resume"):
        reference_fit(tmp_path / "fit.json", FitSettings())
    with pytest.raises(FileError, match="belongs to a fit with other evidence"):
        reference_fit(tmp_path / "fit.json", FitSettings(), resume=True)
    assert not (tmp_path / "fit.json").exists()


def test_a_whole_fit_cut_off_twice_is_the_fit_that_ran_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = next(study for study in read_studies() if study.name == "crb_401")
    monkeypatch.setattr(whole_fit, "REFERENCE_FREE", ("k_growth_tumour", "ide_cel.half_density_kill"))
    monkeypatch.setattr(whole_fit, "read_studies", lambda: (study,))
    settings = FitSettings(evaluations=24, draws=6, moves=2, patients=20)
    through = reference_fit(tmp_path / "through.json", settings)
    seen: list[str] = []

    def stop_during(stage: str) -> Callable[[str, int, int], None]:
        def progress(label: str, done: int, total: int) -> None:
            seen.append(label)
            if label == stage and done > total / 2:
                raise KeyboardInterrupt

        return progress

    for stage in ("search", "posterior"):
        with pytest.raises(KeyboardInterrupt):
            reference_fit(tmp_path / "cut.json", settings, resume=True, progress=stop_during(stage))
        assert (tmp_path / "cut.ledger").exists()
        assert not (tmp_path / "cut.json").exists()
    resumed = reference_fit(tmp_path / "cut.json", settings, resume=True)
    assert set(seen) == {"search", "covariance", "posterior"}
    assert (resumed.estimate, resumed.draws, resumed.shrinkage) == (through.estimate, through.draws, through.shrinkage)
    assert read_calibration(str(tmp_path / "cut.json"), therapies="") == resumed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.json", "through.json"]  # no ledger, no draft
    assert len(resumed.draws) == 6
    assert set(resumed.misfits) == {item.id for item in study.items if item.role == "fit"}
