"""Profiles, verdicts and evidence pull against linear models, where all of them have closed forms."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize
from scipy.special import log_ndtr
from scipy.stats import norm

from perdure.fitting.identifiability.influence import (
    Curvature,
    Function,
    conflicts,
    curvature,
    observation_influence,
)
from perdure.fitting.identifiability.profile import THRESHOLD, Objective, bounded_step, minimise, profile_all
from perdure.fitting.identifiability.verdict import (
    counted,
    expected_shrinkage,
    informative_experiment_table,
    settling_evidence,
    verdicts,
)
from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import FileError, FitError, InputError, RangeError, UnknownNameError
from perdure.reports.figures.assessment import profile_picture
from perdure.reports.figures.picture import save_picture
from perdure.reports.figures.tables import correlation_picture, heat_picture, pull_picture

RNG = np.random.default_rng(5)
A = RNG.standard_normal((6, 3))
Y = np.array([0.4, -0.3, 0.6, 0.1, -0.5, 0.2])
SIGMA = np.array([0.3, 0.5, 0.4, 0.3, 0.6, 0.5])
IDS, LABELS = ("k_one", "k_two", "k_three"), tuple(f"result {k}" for k in range(6))


def linear(points: np.ndarray, a: np.ndarray = A, y: np.ndarray = Y, sigma: np.ndarray = SIGMA) -> np.ndarray:
    return -0.5 * np.square((points @ a.T - y) / sigma)


def solved(keep: np.ndarray | None = None, prior: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the linear model with these items and prior precision, by the normal equations."""
    a, y = A / SIGMA[:, None], Y / SIGMA
    a, y = (a, y) if keep is None else (a[keep], y[keep])
    covariance = np.linalg.inv(prior * np.eye(3) + a.T @ a)
    return covariance @ a.T @ y, covariance


def of(function: Function, optimum: object, ids: tuple[str, ...] = IDS, labels: tuple[str, ...] = LABELS) -> Curvature:
    return curvature(function, np.asarray(optimum, dtype=float), ids, labels)


def test_the_profile_likelihood_of_a_linear_model_is_the_textbook_interval() -> None:
    mean, covariance = solved(prior=0.0)
    half = np.sqrt(2.0 * THRESHOLD * np.diag(covariance))
    for k, profile in enumerate(profile_all(linear, np.zeros(3), IDS).profiles):
        curve = profile.likelihood
        assert (curve.peak, curve.low, curve.high) == pytest.approx(
            (mean[k], mean[k] - half[k], mean[k] + half[k]), abs=6e-3
        )
        np.testing.assert_allclose(curve.fall, -0.5 * (curve.grid - mean[k]) ** 2 / covariance[k, k], atol=0.03)
        assert curve.converged.all()
        assert not any(curve.blocked_by)


def test_the_profile_posterior_of_a_linear_model_is_its_marginal_and_evidence_takes_the_own_prior_off() -> None:
    mean, covariance = solved()
    for k, profile in enumerate(profile_all(linear, np.zeros(3), IDS).profiles):
        half = np.sqrt(2.0 * THRESHOLD * covariance[k, k])
        assert (profile.posterior.low, profile.posterior.high) == pytest.approx(
            (mean[k] - half, mean[k] + half), abs=3e-3
        )
        precision = 1.0 / covariance[k, k] - 1.0
        centre = mean[k] / covariance[k, k] / precision
        half = np.sqrt(2.0 * THRESHOLD / precision)
        assert (profile.evidence.low, profile.evidence.high) == pytest.approx((centre - half, centre + half), abs=3e-3)


def test_profiles_of_a_curved_model_inside_bounds_agree_with_one_search_for_each_point() -> None:
    def curved(x: np.ndarray) -> np.ndarray:
        model = np.stack([x[:, 0] + np.exp(0.5 * x[:, 1]), x[:, 1] * x[:, 2], x[:, 2] - 0.2 * x[:, 0] ** 2, x[:, 2]], 1)
        return -0.5 * np.square((model - [2.0, 0.5, 0.3, 0.8]) / [0.5, 0.4, 0.5, 0.6])

    bounds = [(-4.0, 4.0), (-1.0, 1.5), (-4.0, 4.0)]
    low, high = np.array(bounds).T
    found = profile_all(curved, np.zeros(3), IDS, bounds=(low, high), iterations=25)
    assert max(found.excess) < 0.05
    for k, profile in enumerate(found.profiles):
        curve = profile.evidence
        falls = []
        for place in curve.grid:
            held = [(place, place) if j == k else bound for j, bound in enumerate(bounds)]
            worth = [
                minimize(
                    lambda x: 0.5 * float(x @ x) - curved(x[None]).sum(), np.clip(start, low, high), bounds=held
                ).fun - 0.5 * place**2
                for start in (np.array([1.5, 0.3, 0.6]), np.zeros(3), np.array([-2.0, 1.4, 1.0]))
            ]  # fmt: skip
            falls.append(-min(worth))
        np.testing.assert_allclose(curve.fall - curve.fall.max(), np.array(falls) - max(falls), atol=0.02)


def test_steps_inside_a_box_are_those_of_bounded_least_squares() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        a, y = rng.standard_normal((9, 6)), 3.0 * rng.standard_normal(9)
        hessian, gradient = (a.T @ a)[None], -(a.T @ y)[None]
        room = (np.full((1, 6), -0.4), np.full((1, 6), 0.3))
        step = bounded_step(hessian, gradient, np.zeros((1, 6)), np.zeros((1, 6), dtype=bool), room)[0]
        np.testing.assert_allclose(step, lsq_linear(a, y, (-0.4, 0.3), tol=1e-12).x, atol=1e-5)


def test_the_search_finds_the_end_of_a_bent_valley() -> None:
    def valley(x: np.ndarray) -> np.ndarray:
        return -np.stack([10.0 * (x[:, 1] - x[:, 0] ** 2) ** 2, 0.1 * (1.0 - x[:, 0]) ** 2], 1)

    objective = Objective(valley, np.zeros(2), np.full(2, -4.0), np.full(2, 4.0))
    starts = np.array([[-1.2, 1.0], [2.0, -1.0], [0.0, 3.0]])
    found = minimise(
        objective, starts, np.repeat(np.eye(2)[None], 3, axis=0), np.zeros((3, 2), dtype=bool), iterations=300,
        tolerance=1e-6,
    )  # fmt: skip
    assert found.converged.all()
    np.testing.assert_allclose(found.points, 1.0, atol=0.03)


def test_if_only_a_product_is_known_both_factors_are_flat_and_name_each_other() -> None:
    """On the log scale of two lognormal numbers their product is a sum."""

    def product(x: np.ndarray) -> np.ndarray:
        return -0.5 * np.square((np.log(np.exp(x[:, :1]) * np.exp(x[:, 1:2]))) / 0.1)

    names = ("k_kill_max_x", "half_effect_y")
    profiles = profile_all(product, np.zeros(2), names)
    for verdict, other in zip(verdicts(profiles, of(product, np.zeros(2), names, ("sum",))), names[::-1], strict=True):
        assert (verdict.word, verdict.partner) == ("flat", other)
        assert verdict.correlation == pytest.approx(-100.0 / 101.0, abs=1e-3)
        assert verdict.interval == (-np.inf, np.inf)
        assert f"falls when {other} rises" in verdict.sentence
        assert verdict.settling is not None
        assert verdict.settling.evidence in verdict.sentence


def test_an_interval_that_rests_on_the_bound_of_another_number_says_whose() -> None:
    def total(x: np.ndarray) -> np.ndarray:
        return -0.5 * np.square((x[:, :1] + x[:, 1:2] - 0.5) / 0.3) + 0.0 * x[:, 2:]

    bounds = (np.array([-4.0, -4.0, -4.0]), np.array([4.0, 1.0, 4.0]))
    profiles = profile_all(total, np.zeros(3), IDS, bounds=bounds)
    first, second, third = verdicts(profiles, of(total, np.zeros(3), labels=("total",)))
    assert (first.word, first.limited_by) == ("limited by another bound", ("k_two",))
    assert first.interval == pytest.approx((-0.5 - 0.3 * np.sqrt(3.84), np.inf), abs=0.02)
    assert "limited by the bound of k_two" in first.sentence
    assert (second.word, third.word) == ("flat", "flat")
    assert counted((first, second, third))["flat"] == 2


def test_a_number_of_which_only_a_limit_was_reported_is_one_sided() -> None:
    def above(x: np.ndarray) -> np.ndarray:
        return log_ndtr(3.0 * x)

    at = of(above, [0.5], ("k_one",), ("not reached",))
    (verdict,) = verdicts(profile_all(above, [0.5], ("k_one",)), at)
    assert verdict.word == "one-sided"
    assert verdict.interval == pytest.approx((norm.ppf(np.exp(-THRESHOLD)) / 3.0, np.inf), abs=0.01)
    assert "at least" in verdict.sentence


def test_what_more_patients_would_tell_is_the_variance_of_the_larger_trial() -> None:
    mean, covariance = solved()
    found = expected_shrinkage(of(linear, mean), 4.0)
    for i in range(6):
        extra = A[i] / SIGMA[i]
        larger = np.linalg.inv(np.linalg.inv(covariance) + 3.0 * np.outer(extra, extra))
        np.testing.assert_allclose(found[i], 1.0 - np.diag(larger) / np.diag(covariance), atol=1e-6)


def test_the_pull_of_an_item_is_the_move_of_the_fit_when_it_joins() -> None:
    mean, covariance = solved()
    pulls = observation_influence(of(linear, mean))
    for i in range(6):
        without, left = solved(np.arange(6) != i)
        np.testing.assert_allclose(pulls.pulls[i], (mean - without) / np.sqrt(np.diag(covariance)), atol=1e-6)
        z = (Y[i] - A[i] @ without) / np.sqrt(SIGMA[i] ** 2 + A[i] @ left @ A[i])
        assert pulls.p_values[i] == pytest.approx(2.0 * norm.sf(abs(z)), abs=1e-5)
    strongest = np.unravel_index(np.argmax(np.abs(pulls.pulls)), pulls.pulls.shape)
    assert pulls.sentences()[0].startswith(f"{LABELS[strongest[0]]} pulls {IDS[strongest[1]]} ")


def test_reweighted_posterior_draws_agree_with_the_pulls() -> None:
    mean, covariance = solved()
    draws = np.random.default_rng(3).multivariate_normal(mean, covariance, 20_000)
    pulls = observation_influence(of(linear, mean), log_likelihoods=linear, draws=draws)
    assert pulls.reweighted is not None
    assert pulls.effective is not None
    usable = pulls.effective > 5000
    assert usable.sum() >= 4
    np.testing.assert_allclose(pulls.reweighted[usable], pulls.pulls[usable], atol=0.05)
    assert pulls.agreement > 0.9


def test_two_reports_of_one_number_that_differ_are_a_conflict_with_the_p_value_of_their_difference() -> None:
    a, y, sigma = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([1.0, -1.0, 0.1]), np.array([0.4, 0.4, 0.5])

    def two(x: np.ndarray) -> np.ndarray:
        return linear(x, a, y, sigma)

    first, *rest = conflicts(of(two, [0.0, 0.08], ("k_one", "k_two"), ("high", "low", "other")))
    assert {first.first, first.second, first.id} == {"high", "low", "k_one"}
    assert first.opposition == pytest.approx(-1.0)
    assert first.p_value == pytest.approx(2.0 * norm.sf(2.0 / (0.4 * np.sqrt(2.0))), rel=1e-4)
    assert not rest
    assert "high pulls k_one up by" in first.sentence


def test_p_values_of_pairs_are_even_where_nothing_is_wrong() -> None:
    """Simulated reports of a linear model whose numbers come from the prior; the pair is fixed beforehand."""
    rng = np.random.default_rng(8)
    a = np.array([[1.0, 0.3], [0.8, -0.4], [0.2, 1.0]])
    zs = []
    for _ in range(300):
        y = a @ rng.standard_normal(2) + 0.5 * rng.standard_normal(3)
        precision = np.eye(2) + a.T @ a / 0.25
        at = of(lambda x, y=y: linear(x, a, y, np.full(3, 0.5)), np.linalg.solve(precision, a.T @ y / 0.25),
                ("k_one", "k_two"), ("a", "b", "c"))  # fmt: skip
        zs += [pair.p_value for pair in conflicts(at) if {pair.first, pair.second} == {"a", "b"} and pair.id == "k_one"]
    assert len(zs) > 60
    # Only pairs that are opposed are listed, so p-values lean to small ones, but not below chance among all 300.
    assert np.sum(np.array(zs) < 0.05) <= 300 * 0.05 + 3.0 * np.sqrt(300 * 0.05 * 0.95)


def test_every_number_with_a_prior_has_an_entry_that_says_what_would_settle_it() -> None:
    parameters = read_catalogue()
    free = [name for name in parameters if parameters[name].prior is not None]
    assert len(free) > 100
    assert not [name for name in free if settling_evidence(name) is None]
    used = {entry.key for name in free if (entry := settling_evidence(name)) is not None}
    assert set(informative_experiment_table()) - used <= {"*.spread", "*.factor"}


def test_a_table_without_its_basis_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.toml"
    file.write_text('[k_one]\nevidence = "A trial."\n', encoding="utf-8")
    with pytest.raises(FileError, match=r"table.toml, \[k_one\]: 'basis' is missing"):
        informative_experiment_table(file)
    assert settling_evidence("no_such_number") is None


def test_what_cannot_be_right_is_refused() -> None:
    with pytest.raises(FitError, match="nan in column 0"):
        curvature(lambda x: np.full((len(x), 1), np.nan), np.zeros(1), ("k_one",))
    with pytest.raises(FitError, match="6 items, and there are 1 labels"):
        curvature(linear, np.zeros(3), IDS, ("one",))
    with pytest.raises(RangeError, match="2 names"):
        profile_all(linear, np.zeros(3), IDS[:2])
    with pytest.raises(UnknownNameError, match="Did you mean 'k_one'"):
        profile_all(linear, np.zeros(3), IDS, chosen=("k_onee",))
    with pytest.raises(RangeError, match="at least 1"):
        expected_shrinkage(of(linear, np.zeros(3)), 0.5)
    with pytest.raises(RangeError, match="give log_likelihoods"):
        observation_influence(of(linear, np.zeros(3)), draws=np.zeros((4, 3)))
    with pytest.raises(InputError, match="2 x 1 names"):
        heat_picture(np.zeros((1, 2)), ("a", "b"), ("c",), name="x", title="x", scale="x")


def test_pictures_say_in_words_what_they_show_and_carry_its_numbers(tmp_path: Path) -> None:
    mean, covariance = solved()
    at, profiles = of(linear, mean), profile_all(linear, mean, IDS)
    drawn = profile_picture(profiles.profiles, verdicts(profiles, at))
    assert "3 identified" in drawn.alt
    assert len(drawn.figure.axes) == 3
    assert len(drawn.table["number"]) == sum(
        len(curve.grid) for p in profiles.profiles for curve in (p.likelihood, p.evidence, p.posterior)
    )
    pulls = observation_influence(at)
    heat = pull_picture(pulls, items=4)
    assert len(heat.table["row"]) == 4
    rows = [LABELS.index(str(row)) for row in heat.table["row"]]
    np.testing.assert_allclose(np.array(heat.table["k_two"], dtype=float), pulls.pulls[rows, 1])
    spread = np.sqrt(np.diag(covariance))
    correlations = correlation_picture(covariance / np.outer(spread, spread), IDS)
    assert "posterior correlation" in correlations.alt
    assert all(path.stat().st_size > 0 for path in save_picture(heat, tmp_path))
