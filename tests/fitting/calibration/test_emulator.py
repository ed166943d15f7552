"""The emulator of the joint fit: quadratics, scores and slopes by closed forms; families of products."""

import numpy as np
import pytest

from perdure.fitting.calibration.design import prior_points
from perdure.fitting.calibration.emulator import Emulator, Quadratic, Scoring, from_scale, learn, to_scale
from perdure.fitting.calibration.problem import Problem, Sizes
from perdure.fitting.calibration.search_space import SHARE, families, joint_space, relevant
from perdure.fitting.studies import read_studies
from perdure.model.catalogue import read_catalogue

CATALOGUE = read_catalogue()
STUDIES = read_studies()
JOINT = Problem(joint_space(CATALOGUE), STUDIES)


def bent(numbers: np.ndarray) -> np.ndarray:
    """A quadratic of three numbers out of however many there are."""
    x, y, z = numbers[:, 0], numbers[:, 1], numbers[:, 2]
    return 1.0 + 0.8 * x - 0.5 * y + 0.3 * z + 0.4 * x * y - 0.2 * z**2


# -------------------------------------------------------------------------------------------------------- quadratics
def test_a_quadratic_is_learnt_from_noisy_values_and_knows_how_noisy_they_were() -> None:
    rng = np.random.default_rng(1)
    numbers = rng.standard_normal((160, 8))
    found = learn(
        numbers, bent(numbers) + 0.3 * rng.standard_normal(160), np.arange(8), centre=np.zeros(8),
        doubt=np.ones(160), patient_noise=0.3,
    )  # fmt: skip
    new = rng.standard_normal((1000, 8))
    error = float(np.sqrt(np.mean((found.value(new) - bent(new)) ** 2)))
    assert error < 0.15  # a linear fit has 0.46
    assert found.noise == pytest.approx(0.3, rel=0.15)
    assert 0.5 * error < found.spread < 3.0 * error  # it says how wrong it is


def test_only_the_chosen_numbers_bear_on_a_quadratic_and_its_slope_is_its_derivative() -> None:
    rng = np.random.default_rng(2)
    numbers = rng.standard_normal((120, 6))
    chosen = np.array([0, 1, 2, 4])
    found = learn(numbers, bent(numbers), chosen, centre=np.full(6, 0.2), doubt=np.ones(120))
    here = rng.standard_normal(6)
    steps = 1e-5 * np.eye(6)
    by_difference = [(found.value((here + s)[None]) - found.value((here - s)[None]))[0] / 2e-5 for s in steps]
    np.testing.assert_allclose(found.slope(here), by_difference, atol=1e-7)
    assert found.slope(here)[3] == found.slope(here)[5] == 0.0


def test_points_that_are_doubted_say_less() -> None:
    rng = np.random.default_rng(3)
    numbers = rng.standard_normal((80, 3))
    values, far = bent(numbers), np.arange(80) >= 40
    values[far] += 5.0  # another world far away
    doubt = np.where(far, 1e4, 1.0)
    found = learn(numbers, values, np.arange(3), centre=np.zeros(3), doubt=doubt)
    np.testing.assert_allclose(found.value(numbers[~far]), bent(numbers[~far]), atol=0.2)


# ---------------------------------------------------------------------------------------------------------- emulator
def exact(problem: Problem, seed: int = 4, spread: float = 0.0) -> Emulator:
    """An emulator of made-up quadratics through the reported values."""
    rng = np.random.default_rng(seed)
    made = []
    for study, item in problem.fitted:
        chosen = relevant(problem.space.ids, study, item)
        size = len(chosen)
        bend = 0.01 * rng.standard_normal((size, size))
        level = float(to_scale(item, np.array(item.value or item.low or 1.0)))
        slope = 0.15 * rng.standard_normal(size)
        made.append(
            Quadratic(chosen, np.zeros(size), level, slope, 0.5 * (bend + bend.T), 0.2, spread, np.zeros(2 + size))
        )
    return Emulator(problem.items, tuple(made), problem.space.mix)


def test_many_results_scored_together_are_scored_as_one_by_one() -> None:
    models = exact(JOINT).models(prior_points(50, JOINT.space.size, 5))
    np.testing.assert_allclose(Scoring(JOINT.items)(models), JOINT.log_likelihoods(models), rtol=1e-9, atol=1e-10)


def test_the_emulators_gradient_is_the_derivative_of_its_log_posterior() -> None:
    emulator = exact(JOINT, spread=0.2)
    point = 0.4 * prior_points(1, emulator.size, 6)[0]
    value, gradient = emulator.with_gradient(point)
    assert value == pytest.approx(float(emulator.log_posterior(point)[0]))
    for k in range(0, emulator.size, 7):
        step = 1e-4 * np.eye(emulator.size)[k]
        by_difference = np.diff(emulator.log_posterior(np.stack([point - step, point + step])))[0] / 2e-4
        assert gradient[k] == pytest.approx(by_difference, abs=2e-3, rel=1e-3)


def test_what_the_emulator_leaves_open_widens_the_likelihood() -> None:
    sharp, open_ = exact(JOINT), exact(JOINT, spread=0.5)
    median = next(k for k, item in enumerate(JOINT.items) if item.id == "crb_401_pfs_median")
    places = np.tile(sharp.places(np.zeros((1, sharp.size))), (3, 1))
    places[:, median] += np.array([0.0, 0.5, 1.0])
    error = 0.155  # ln(11.9 / 8.8) / 1.96, the upper side of the interval
    narrow, wide = sharp.of_places(places)[:, median], open_.of_places(places)[:, median]
    assert narrow[1] == pytest.approx(-0.5 * (0.5 / error) ** 2, rel=0.02)
    assert wide[2] - wide[0] > narrow[2] - narrow[0]


def test_without_a_study_and_with_other_reports_the_posterior_is_that_of_the_rest() -> None:
    emulator = exact(JOINT)
    points = prior_points(4, emulator.size, 7)
    gone = [item.id for item in JOINT.items if item.id.startswith("legend_2")]
    terms = emulator.log_likelihoods(points)
    kept = np.array([item.id not in gone for item in JOINT.items])
    np.testing.assert_allclose(emulator.without(gone).log_likelihoods(points), terms[:, kept])
    doubled = [item.model_copy(update={"weight": 0.5 * item.weight}) for item in JOINT.items]
    np.testing.assert_allclose(emulator.of_items(doubled).log_likelihoods(points), 0.5 * terms, rtol=1e-9, atol=1e-12)


def test_beyond_the_reach_of_the_search_nothing_is_possible() -> None:
    emulator = exact(JOINT)
    point = np.zeros(emulator.size)
    point[3] = 4.5
    assert emulator.log_posterior(point)[0] == -np.inf


def test_a_scale_and_its_inverse_are_one_and_never_infinite() -> None:
    for item in JOINT.items:
        inside = np.array([20.0, 60.0]) if item.unit == "%" else (item.value or item.low or 1.0) * np.array([0.5, 2.0])
        np.testing.assert_allclose(from_scale(item, to_scale(item, inside)), inside, rtol=1e-12)
        assert np.isfinite(to_scale(item, np.array([0.0, np.inf if item.unit != "%" else 100.0]))).all()


# ------------------------------------------------------------------------------------------ hierarchy and relevance
def test_numbers_of_a_family_keep_their_own_prior_and_correlate_by_the_share_of_the_class() -> None:
    space = JOINT.space
    covariance = space.mix @ space.mix.T
    np.testing.assert_allclose(np.diag(covariance), 1.0, atol=1e-12)
    one, other = (space.ids.index(f"{key}.fraction_engrafted") for key in ("ide_cel", "cilta_cel"))
    assert covariance[one, other] == pytest.approx(SHARE)
    assert covariance[one, space.ids.index("k_kill_max")] == 0.0


def test_a_product_without_results_borrows_from_its_class() -> None:
    space = JOINT.space
    point = np.zeros(space.size)
    point[space.names.index("memory loss of CAR-T products")] = 1.0
    borrowed = space.borrowed(point)
    assert borrowed["phe885.k_death_memory"] > CATALOGUE["phe885.k_death_memory"].value
    drawn = [space.borrowed(point, np.random.default_rng(k))["phe885.k_death_memory"] for k in range(400)]
    prior = CATALOGUE["phe885.k_death_memory"].prior
    assert prior is not None
    coordinates = np.array([prior.coordinate(value) for value in drawn])
    assert coordinates.mean() == pytest.approx(np.sqrt(SHARE), abs=0.1)
    assert coordinates.std() == pytest.approx(np.sqrt(1.0 - SHARE), abs=0.08)


def test_every_member_of_a_family_exists_and_stands_in_one_family_only() -> None:
    members = [name for family in families() for name in family.members]
    assert len(members) == len(set(members))
    assert all(CATALOGUE[name].prior is not None for name in members)


def test_a_point_of_a_space_with_families_has_the_values_it_was_made_of() -> None:
    point = prior_points(1, JOINT.space.size, 8)[0]
    values = JOINT.space.values(point)
    back = JOINT.space.values(JOINT.space.point(values))
    inside = [n for n, value in values.items() if CATALOGUE[n].low < value < CATALOGUE[n].high]
    assert [back[name] for name in inside] == pytest.approx([values[name] for name in inside])


def test_what_was_not_given_cannot_bear_on_a_result_and_what_was_given_can() -> None:
    by_id = {item.id: (study, item) for study, item in JOINT.fitted}
    ids = JOINT.space.ids

    def names(item: str) -> set[str]:
        return {ids[k] for k in relevant(ids, *by_id[item])}

    assert "ide_cel.k_death_memory" in names("crb_401_pfs_median")
    assert not any(name.startswith(("cilta_cel.", "mixed_line.")) for name in names("crb_401_pfs_median"))
    assert {"cilta_cel.k_death_memory", "mixed_line.k_growth_tumour.factor"} <= names("legend_2_pfs_60")
    assert {"ide_cel.k_death_memory", "k_kill_max_talquetamab"} <= names("monumental_1_prior_redirection_orr")
    assert "k_growth_tumour" in names("storm_orr")


@pytest.mark.parametrize("item", ["crb_401_orr", "storm_orr", "legend_2_pfs_median"])
def test_numbers_that_are_said_not_to_bear_on_a_result_do_not_move_it(item: str) -> None:
    study, chosen = next(pair for pair in JOINT.fitted if pair[1].id == item)
    alone = Problem(JOINT.space, (study.model_copy(update={"items": (chosen,)}),), Sizes(20, 20, 20))
    others = np.setdiff1d(np.arange(len(JOINT.space.ids)), relevant(JOINT.space.ids, study, chosen))
    base = JOINT.space.values(np.zeros(JOINT.space.size))
    moved = {name: value * 1.3 for k, (name, value) in enumerate(base.items()) if k in others}
    here = alone.models(JOINT.space.point(base), seed=1)
    there = alone.models(JOINT.space.point({**base, **moved}), seed=1)
    np.testing.assert_allclose(there, here, rtol=1e-9)
