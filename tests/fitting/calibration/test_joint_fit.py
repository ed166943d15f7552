"""The joint fit: what its emulator learns, how it searches, and that a fit cut off ends where it would have."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perdure.fitting.calibration import reference_fit as whole_fit
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.calibration.design import Design, evaluate, prior_points
from perdure.fitting.calibration.emulator import patient_noise, to_scale, train_emulator
from perdure.fitting.calibration.ensemble import EnsembleSettings
from perdure.fitting.calibration.points import read_points
from perdure.fitting.calibration.problem import Problem, Sizes
from perdure.fitting.calibration.reference_fit import reference_fit
from perdure.fitting.calibration.rounds import FitSettings, around
from perdure.fitting.calibration.search import Starts, climb, search_from
from perdure.fitting.calibration.search_space import SearchSpace, joint_space
from perdure.fitting.calibration.smc import SmcSettings
from perdure.fitting.observations import Observation, Study
from perdure.fitting.studies import read_studies
from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import FileError, FitError, RangeError

CATALOGUE = read_catalogue()
STUDIES = read_studies()
JOINT = Problem(joint_space(CATALOGUE), STUDIES)


# ------------------------------------------------------------------------------------------------- designs and starts
def two_numbers(patients: int = 30) -> Problem:
    study = next(study for study in STUDIES if study.name == "crb_401")
    space = SearchSpace(("k_growth_tumour", "ide_cel.half_density_kill"), CATALOGUE)
    return Problem(space, (study,), Sizes(patients, 30, 30))


def test_points_of_the_prior_are_even_and_standard_normal() -> None:
    points = prior_points(256, 5, 1)
    np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=0.02)
    np.testing.assert_allclose(points.std(axis=0), 1.0, atol=0.03)
    assert not np.array_equal(points, prior_points(256, 5, 2))
    assert prior_points(7, 5, 1).shape == (7, 5)


def test_points_around_a_centre_have_its_covariance_times_the_width() -> None:
    covariance = np.array([[0.5, 0.3], [0.3, 0.4]])
    points = around(np.array([1.0, -1.0]), covariance, 512, 1.5, 3)
    np.testing.assert_allclose(points.mean(axis=0), [1.0, -1.0], atol=0.03)
    np.testing.assert_allclose(np.cov(points.T), 2.25 * covariance, rtol=0.1)


def test_every_point_is_simulated_among_other_patients_and_threads_change_nothing() -> None:
    problem, points = two_numbers(), np.zeros((3, 2))
    later = np.zeros(3, dtype=bool)
    one = evaluate(problem, points, first_seed=5, later=later, threads=1)
    two = evaluate(problem, points, first_seed=5, later=later, threads=2)
    np.testing.assert_array_equal(one.models, two.models)
    assert len({tuple(row) for row in one.models}) == 3


def test_noise_between_sets_of_patients_is_half_the_mean_square_of_pairs() -> None:
    problem = two_numbers()
    first = np.tile([60.0, 9.0, 10.0], (400, 1))
    rng = np.random.default_rng(1)

    def patients() -> np.ndarray:
        return first * np.exp(np.array([0.0, 0.1, 0.1]) * rng.standard_normal((400, 3)))

    np.testing.assert_allclose(patient_noise(problem, patients(), patients()), [0.0, 0.1, 0.1], rtol=0.1, atol=1e-12)


def ridge(points: np.ndarray) -> np.ndarray:
    """Two hills; the one at (1, 1) is higher by two."""
    high = -2.0 * np.sum((points - 1.0) ** 2, axis=1)
    low = -2.0 - 2.0 * np.sum((points + 1.5) ** 2, axis=1)
    return np.maximum(high, low)


def slope_of_ridge(point: np.ndarray) -> tuple[float, np.ndarray]:
    top = 1.0 if -2.0 * np.sum((point - 1.0) ** 2) > -2.0 - 2.0 * np.sum((point + 1.5) ** 2) else -1.5
    return float(ridge(point[None])[0]), -4.0 * (point - top)


def test_starts_on_two_hills_are_counted_by_the_hill_they_climb() -> None:
    starts = [np.full(2, where) for where in (0.8, 1.5, -1.0, -2.0)]
    found: Starts = search_from(
        starts, ridge, slope_of_ridge, lambda _: 4.0 * np.eye(2), by_cma=1, evaluations=800
    )  # fmt: skip
    np.testing.assert_allclose(found.best.point, 1.0, atol=1e-3)
    assert (found.agreeing("gradient"), found.agreeing("CMA-ES"), found.agreeing()) == (2, 1, 3)


def test_a_climb_stays_within_reach_of_the_prior() -> None:
    found = climb(lambda point: (float(point.sum()), np.ones(2)), np.zeros(2))
    np.testing.assert_allclose(found.point, 4.0)


# ---------------------------------------------------------------------------------------------------------- whole fit
SMALL = FitSettings(
    prior=16, per_round=6, last=8, widths=(1.5, 1.0), repeats=2, starts=3, by_cma=1, cma_evaluations=200, draws=6,
    sizes=Sizes(25, 25, 25),
)  # fmt: skip
FEW = {"ensembles": EnsembleSettings(steps=40, burn_in=10, walkers=12), "particles": SmcSettings(particles=40)}


def test_a_whole_fit_cut_off_twice_is_the_fit_that_ran_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = next(study for study in STUDIES if study.name == "crb_401")
    space = SearchSpace(("k_growth_tumour", "ide_cel.half_density_kill"), CATALOGUE)
    monkeypatch.setattr(whole_fit, "joint_space", lambda _: space)
    monkeypatch.setattr(whole_fit, "read_studies", lambda: (study,))
    through = reference_fit(tmp_path / "through.json", SMALL, **FEW)
    seen: list[str] = []

    def stop_during(stage: str) -> Callable[[str, int, int], None]:
        def progress(label: str, done: int, total: int) -> None:
            seen.append(label)
            if label == stage and done > total / 2:
                raise KeyboardInterrupt

        return progress

    for stage in ("prior", "draws"):
        with pytest.raises(KeyboardInterrupt):
            reference_fit(tmp_path / "cut.json", SMALL, **FEW, resume=True, progress=stop_during(stage))
        assert (tmp_path / "cut.ledger").exists()
        assert not (tmp_path / "cut.json").exists()
    resumed = reference_fit(tmp_path / "cut.json", SMALL, **FEW, resume=True)
    assert {"prior", "search", "ensembles", "particles", "estimate", "draws"} <= set(seen)
    assert any(label.startswith("round 1 of 2, worst: crb_401_") for label in seen)
    assert (resumed.estimate, resumed.draws, resumed.shrinkage) == (through.estimate, through.draws, through.shrinkage)
    assert read_calibration(str(tmp_path / "cut.json")) == resumed
    kept = ["cut.json", "cut.points.npz", "through.json", "through.points.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept  # no ledger, no draft
    assert len(resumed.draws) == 6
    assert set(resumed.misfits) == {item.id for item in study.items if item.role == "fit"}
    points, problem = read_points(str(tmp_path / "cut.json")), Problem(space, (study,), SMALL.sizes)
    emulator = points.emulator(problem)
    assert len(points.design) == 30
    assert np.isfinite(emulator.log_posterior(points.centre)).all()
    with pytest.raises(FileError, match="repeat the fit"):
        points.emulator(JOINT)


def test_a_fit_refuses_a_place_it_cannot_write_to(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"fit\.toml: the calibration is written as \.json or \.json\.gz"):
        reference_fit(tmp_path / "fit.toml", SMALL)
    with pytest.raises(FileError, match="there is no such folder"):
        reference_fit(tmp_path / "nowhere" / "fit.json", SMALL)
    (tmp_path / "fit.ledger").write_text("{}\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"fit\.ledger: an earlier fit stopped here; go on with --resume"):
        reference_fit(tmp_path / "fit.json", SMALL)
    with pytest.raises(FileError, match="belongs to a fit with other evidence"):
        reference_fit(tmp_path / "fit.json", SMALL, resume=True)
    assert not (tmp_path / "fit.json").exists()


def test_the_sizes_of_a_fit_are_checked() -> None:
    with pytest.raises(RangeError, match="prior = 0; expected at least 1"):
        FitSettings(prior=0)
    with pytest.raises(RangeError, match="by_cma = 9 of 3 starts"):
        FitSettings(starts=3, by_cma=9)
    with pytest.raises(RangeError, match="arm = 1 virtual patients; expected at least 2"):
        Sizes(arm=1)


def test_points_that_are_missing_or_broken_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="written beside the calibration by a fit"):
        read_points(str(tmp_path / "fit.json"))
    (tmp_path / "fit.points.npz").write_text("nonsense", encoding="utf-8")
    with pytest.raises(FileError, match="does not hold the points of a fit"):
        read_points(str(tmp_path / "fit.json"))


def orr(role: str = "fit") -> Study:
    report = {"id": f"trial_{role}", "endpoint": "orr", "kind": "proportion", "value": 80.0, "unit": "%", "n": 50}
    return Study(
        name="trial_1", study="TRIAL-1", title="A trial.", time_zero="first infusion", product="ide_cel",
        population="late_line", visit_interval_days=28.0, items=(Observation.model_validate({**report, "role": role}),),
    )  # fmt: skip


def test_a_problem_without_anything_to_fit_is_refused() -> None:
    with pytest.raises(FitError, match="no item has the role 'fit'"):
        Problem(JOINT.space, (orr("check"),))


def test_a_learnt_emulator_predicts_trials_that_it_has_not_seen() -> None:
    problem = two_numbers(150)
    points = prior_points(96, 2, 1)
    design = evaluate(problem, points, first_seed=1, later=np.zeros(96, dtype=bool))
    emulator = train_emulator(problem, Design(points[:72], design.models[:72]), centre=np.zeros(2))
    seen = np.stack([to_scale(item, design.models[72:, k]) for k, item in enumerate(problem.items)], axis=1)
    error = np.sqrt(np.mean((emulator.places(points[72:]) - seen) ** 2, axis=0))
    assert np.all(error[1:] < 0.6 * seen.std(axis=0)[1:])  # of response, sampling of the patients is the larger part
    noise = np.array([quadratic.noise for quadratic in emulator.quadratics])
    assert np.all(error < 2.5 * np.hypot(noise, emulator.spread))
