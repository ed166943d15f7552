"""Samplers and their diagnostics, judged by what is known: closed forms, a grid, processes of known memory."""

from collections.abc import Callable

import emcee
import numpy as np
import pytest
from scipy.stats import genpareto

from perdure.fitting.calibration.agreement import agreement, correlations, strongest
from perdure.fitting.calibration.convergence import (
    convergence,
    ess_bulk,
    ess_tail,
    nested_r_hat,
    pareto_smoothed,
    r_hat,
)
from perdure.fitting.calibration.ensemble import EnsembleSettings, Refresh, Snooker, sample_ensembles
from perdure.fitting.calibration.search_space import REACH
from perdure.fitting.calibration.smc import SmcSettings, sample_smc, sample_smc_from
from perdure.parameters.errors import FitError, RangeError

LogLikelihood = Callable[[np.ndarray], np.ndarray]


class Gaussian:
    """Reports that are linear in the numbers: posterior and evidence in closed form."""

    def __init__(self, numbers: int, reports: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        # from hardly informative to thirty times as sharp as the prior
        sharpness = np.logspace(-0.5, 1.5, reports)[:, None]
        self.slopes = sharpness * rng.standard_normal((reports, numbers)) / np.sqrt(numbers)
        self.values = self.slopes @ (0.7 * rng.standard_normal(numbers)) + rng.standard_normal(reports)
        self.covariance = np.linalg.inv(np.eye(numbers) + self.slopes.T @ self.slopes)
        self.mean = self.covariance @ self.slopes.T @ self.values
        self.sd = np.sqrt(np.diag(self.covariance))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return -0.5 * np.sum((self.values - points @ self.slopes.T) ** 2, axis=1)

    @property
    def log_evidence(self) -> float:
        """Of reports with the likelihood above, which leaves out the constants of a density."""
        spread = np.eye(len(self.values)) + self.slopes @ self.slopes.T
        return float(-0.5 * (self.values @ np.linalg.solve(spread, self.values) + np.linalg.slogdet(spread)[1]))

    def check(self, draws: np.ndarray, size: float) -> None:
        """Means and SDs within four standard errors of so many independent draws; narrow directions are narrow."""
        off = (draws.mean(axis=0) - self.mean) / self.sd
        assert np.abs(off).max() < 4.0 / np.sqrt(size)
        assert np.sqrt(np.mean(off**2)) < 1.6 / np.sqrt(size)
        assert np.abs(draws.std(axis=0) / self.sd - 1.0).max() < 4.0 / np.sqrt(2.0 * size)
        root = np.linalg.cholesky(np.linalg.inv(self.covariance))
        assert np.mean(((draws - self.mean) @ root) ** 2) == pytest.approx(1.0, abs=0.06)


POSTERIOR = Gaussian(60, 20)


def autoregressive(memory: float, draws: int, chains: int, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((draws, chains))
    found = np.empty_like(noise)
    found[0] = noise[0] / np.sqrt(1.0 - memory**2)
    for t in range(1, draws):
        found[t] = memory * found[t - 1] + noise[t]
    return found


# ----------------------------------------------------------------------------------------------------- convergence
@pytest.mark.parametrize("memory", [-0.5, 0.0, 0.5, 0.9])
def test_an_autoregressive_chain_is_worth_as_many_draws_as_its_memory_leaves(memory: float) -> None:
    chains = autoregressive(memory, 4000, 4)
    assert ess_bulk(chains) == pytest.approx(16000 * (1.0 - memory) / (1.0 + memory), rel=0.15)
    assert r_hat(chains) < 1.01


def test_tails_of_independent_draws_are_worth_all_draws() -> None:
    assert ess_tail(autoregressive(0.0, 4000, 4)) == pytest.approx(16000, rel=0.1)


def test_r_hat_sees_a_shifted_chain_a_wider_chain_and_a_drift() -> None:
    same = np.random.default_rng(2).standard_normal((1000, 4))
    assert r_hat(same) < 1.01
    assert r_hat(same + np.array([0.0, 0.0, 0.0, 1.0])) > 1.05
    assert r_hat(same * [1.0, 1.0, 1.0, 3.0]) > 1.05
    assert r_hat(same + np.linspace(0.0, 2.0, 1000)[:, None]) > 1.05


def test_diagnostics_do_not_change_when_a_number_is_stretched() -> None:
    chains = autoregressive(0.6, 500, 4)
    assert r_hat(np.exp(3.0 * chains)) == pytest.approx(r_hat(chains), abs=0.01)
    assert ess_bulk(np.exp(3.0 * chains)) == pytest.approx(ess_bulk(chains))


def test_a_number_that_never_moves_has_no_diagnosis_and_is_not_converged() -> None:
    chains = np.random.default_rng(3).standard_normal((500, 4, 2))
    assert convergence(chains).converged
    chains[:, :, 1] = 1.0
    found = convergence(chains)
    assert np.isnan(found.r_hat[1])
    assert not found.converged
    with pytest.raises(RangeError, match=r"\(3, 4, 2\); expected"):
        convergence(chains[:3])


def test_nested_r_hat_is_that_of_the_means_of_the_groups() -> None:
    rng = np.random.default_rng(4)
    chains = rng.standard_normal((4, 200, 50, 1))
    assert nested_r_hat(chains)[0] == pytest.approx(1.0, abs=1e-3)
    shifts = np.array([0.0, 1.0, 2.0, 3.0])
    # variance of the shifts is 5/3, that inside a group 1
    shifted = chains + shifts[:, None, None, None]
    assert nested_r_hat(shifted)[0] == pytest.approx(np.sqrt(1.0 + 5.0 / 3.0), rel=0.02)


# --------------------------------------------------------------------------------------------- importance weights
@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_k_hat_is_the_shape_of_the_tail_of_the_weights(shape: float) -> None:
    # exp(shape * exponential) has the tail of a Pareto distribution of this shape
    found = [pareto_smoothed(shape * np.random.default_rng(s).exponential(size=8000)).k_hat for s in range(5)]
    assert np.mean(found) == pytest.approx(shape, abs=0.12)


def test_smoothed_weights_add_up_and_none_exceeds_the_largest_raw_weight() -> None:
    logs = 1.2 * np.random.default_rng(5).exponential(size=3000)
    smoothed = pareto_smoothed(logs)
    raw = np.exp(logs - logs.max())
    assert smoothed.weights.sum() == pytest.approx(1.0)
    assert smoothed.weights.max() <= 1.0 / (raw.sum() - raw.max())
    assert np.all(np.diff(smoothed.weights[np.argsort(logs)]) >= 0)


def test_a_tail_drawn_from_a_generalised_pareto_is_found_again() -> None:
    values = genpareto.rvs(0.6, size=20000, random_state=6)
    assert pareto_smoothed(np.log(values)).k_hat == pytest.approx(0.6, abs=0.15)


def test_equal_weights_are_trusted_and_too_few_are_not() -> None:
    assert pareto_smoothed(np.zeros(1000)).k_hat < 0.7
    assert pareto_smoothed(np.zeros(1000)).effective == pytest.approx(1000)
    assert pareto_smoothed(np.zeros(10)).k_hat == np.inf


# -------------------------------------------------------------------------------------------------- ensemble moves
@pytest.mark.parametrize(
    "move",
    [
        Snooker(),
        emcee.moves.MHMove(Refresh(np.full(4, 0.5), 0.5 * np.eye(4) + 0.3)),
        emcee.moves.MHMove(Refresh(np.zeros(4), 2.0 * np.eye(4))),
    ],
    ids=["snooker", "refresh from a wrong Gaussian", "refresh from a wide Gaussian"],
)
def test_a_move_of_our_own_leaves_a_normal_distribution_as_it_is(move: emcee.moves.Move) -> None:
    start = emcee.State(
        np.random.default_rng(7).standard_normal((60, 4)), random_state=np.random.RandomState(7).get_state()
    )
    sampler = emcee.EnsembleSampler(60, 4, lambda x: -0.5 * np.sum(x**2, axis=1), moves=move, vectorize=True)
    sampler.run_mcmc(start, 700)
    draws = np.asarray(sampler.get_chain(discard=100, flat=True))
    assert np.abs(draws.mean(axis=0)).max() < 0.1
    np.testing.assert_allclose(np.cov(draws.T), np.eye(4), atol=0.12)


# -------------------------------------------------------------------------------------------- the two samplers
def test_the_ensemble_finds_a_correlated_posterior_in_sixty_dimensions_from_a_poor_approximation() -> None:
    # the approximation is off by half an SD and has SDs a fifth too large
    root = np.linalg.cholesky(POSTERIOR.covariance)
    mean = POSTERIOR.mean + 0.5 * root @ np.random.default_rng(8).standard_normal(60) / np.sqrt(60)
    settings = EnsembleSettings(steps=300, burn_in=100, ensembles=2, seed=1)
    run = sample_ensembles(POSTERIOR, mean, 1.2**2 * POSTERIOR.covariance, settings)
    assert run.chain.shape == (2, 300, 150, 60)
    assert run.between.max() < 1.01
    POSTERIOR.check(run.chain.reshape(-1, 60), size=run.convergence.ess_bulk.min() / 1.5)
    assert np.all(run.acceptance > 0.2)
    assert run.autocorrelation.max() < 60
    assert run.draws(500, seed=1).shape == (500, 60)
    with pytest.raises(RangeError, match="kept 90000 states"):
        run.draws(100000, seed=1)


def test_sequential_monte_carlo_finds_the_same_posterior_from_the_prior_alone() -> None:
    run = sample_smc(POSTERIOR, 60, SmcSettings(particles=600, seed=2))
    POSTERIOR.check(run.points, size=600 / 1.5)
    assert run.log_evidence == pytest.approx(POSTERIOR.log_evidence, abs=1.5)
    np.testing.assert_allclose(run.log_likelihood, POSTERIOR(run.points))
    assert run.powers[-1] == 1.0
    assert np.all(np.diff(run.powers) > 0)
    assert run.remembered[-1] < 0.2


def test_starting_from_a_similar_gaussian_is_cheaper_and_ends_at_the_same() -> None:
    settings = SmcSettings(particles=300, seed=3)
    posterior = Gaussian(30, 12)
    mean = posterior.mean + 0.5 * posterior.sd * np.random.default_rng(9).standard_normal(30)
    near = sample_smc_from(posterior, mean, 1.4**2 * posterior.covariance + 0.05 * np.eye(30), settings)
    posterior.check(near.points, size=200)
    assert near.log_evidence == pytest.approx(posterior.log_evidence, abs=1.0)
    np.testing.assert_allclose(near.log_likelihood, posterior(near.points))
    assert near.evaluations < 0.7 * sample_smc(posterior, 30, settings).evaluations


def banana(points: np.ndarray) -> np.ndarray:
    return -0.5 * ((points[:, 1] - points[:, 0] ** 2 + 1.0) / 0.15) ** 2


def moments_on_a_grid(log_likelihood: LogLikelihood) -> tuple[np.ndarray, np.ndarray]:
    axis = np.linspace(-REACH, REACH, 1601)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    logs = log_likelihood(points) - 0.5 * np.sum(points**2, axis=1)
    weights = np.exp(logs - logs.max())
    mean = weights @ points / weights.sum()
    return mean, np.sqrt(weights @ (points - mean) ** 2 / weights.sum())


def test_both_samplers_go_round_the_bend_of_a_banana() -> None:
    mean, sd = moments_on_a_grid(banana)
    smc = sample_smc(banana, 2, SmcSettings(particles=2000, seed=4)).points
    settings = EnsembleSettings(steps=500, burn_in=150, walkers=40, ensembles=2, seed=3)
    ensemble = sample_ensembles(banana, np.zeros(2), np.eye(2), settings).chain.reshape(-1, 2)
    for draws in (smc, ensemble):
        np.testing.assert_allclose((draws.mean(axis=0) - mean) / sd, 0.0, atol=0.12)
        np.testing.assert_allclose(draws.std(axis=0) / sd, 1.0, atol=0.08)
    assert agreement(("x", "y"), smc, ensemble).root_mean_square < 0.12


def test_sequential_monte_carlo_finds_both_modes_with_their_weights() -> None:
    def two_modes(points: np.ndarray) -> np.ndarray:
        x = points[:, 0]
        rest = -0.5 * np.sum((points[:, 1:4] - 0.5) ** 2, axis=1) / 0.3**2
        return (
            np.logaddexp(np.log(0.7) - 0.5 * ((x - 2.0) / 0.2) ** 2, np.log(0.3) - 0.5 * ((x + 2.0) / 0.2) ** 2) + rest
        )

    # by symmetry the prior weighs both modes alike
    shares = [np.mean(sample_smc(two_modes, 8, SmcSettings(particles=400, seed=s)).points[:, 0] > 0) for s in range(3)]
    assert np.mean(shares) == pytest.approx(0.7, abs=0.07)


@pytest.mark.parametrize("which", ["ensemble", "smc"])
def test_a_sampler_is_the_same_for_a_seed_and_stays_in_reach(which: str) -> None:
    asked: list[float] = []

    def far_away(points: np.ndarray) -> np.ndarray:
        asked.append(float(np.abs(points).max()))
        return 10.0 * points[:, 0]

    def run(seed: int) -> np.ndarray:
        if which == "smc":
            return sample_smc(far_away, 3, SmcSettings(particles=100, seed=seed)).points
        settings = EnsembleSettings(steps=60, burn_in=40, ensembles=2, seed=seed)
        return sample_ensembles(far_away, np.zeros(3), np.eye(3), settings).chain.reshape(-1, 3)

    np.testing.assert_array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))
    assert max(asked) <= REACH
    assert run(1)[:, 0].max() > 3.5


def test_a_likelihood_that_is_nowhere_finite_is_one_clear_error() -> None:
    def nowhere(points: np.ndarray) -> np.ndarray:
        return np.full(len(points), np.nan)

    with pytest.raises(FitError, match="no particle of the prior"):
        sample_smc(nowhere, 2, SmcSettings(particles=50))
    with pytest.raises(FitError, match="no walker starts"):
        sample_ensembles(nowhere, np.zeros(2), np.eye(2), EnsembleSettings(steps=10, burn_in=0))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(RangeError, match="steps = 2 of the ensemble sampler; expected at least 8"):
        EnsembleSettings(steps=2)
    with pytest.raises(RangeError, match="walkers = 10 for 6 numbers; expected an even number of at least 12"):
        sample_ensembles(banana, np.zeros(6), np.eye(6), EnsembleSettings(walkers=10))
    with pytest.raises(RangeError, match="particles = 5"):
        SmcSettings(particles=5)
    with pytest.raises(RangeError, match=r"kept = 1\.5"):
        SmcSettings(kept=1.5)


# ------------------------------------------------------------------------------------------------------- agreement
def test_agreement_measures_in_posterior_sds_and_names_the_worst() -> None:
    rng = np.random.default_rng(10)
    one = rng.standard_normal((4000, 3)) * [1.0, 0.1, 2.0]
    two = rng.standard_normal((4000, 3)) * [1.0, 0.1, 4.0] + [0.0, 0.05, 0.0]
    found = agreement(("a", "b", "c"), one, two)
    assert found.furthest.name == "b"
    assert found.furthest.mean == pytest.approx(0.5, abs=0.08)
    assert found.widest.name == "c"
    assert found.widest.sd_ratio == pytest.approx(2.0, rel=0.06)
    assert found.expected == pytest.approx(np.sqrt(2.0 / 4000))
    assert "most in b (+0.5" in found.text
    with pytest.raises(RangeError, match="expected"):
        agreement(("a", "b"), one, two)


def test_the_strongest_ties_are_said_in_sentences() -> None:
    rng = np.random.default_rng(11)
    a, b = rng.standard_normal((2, 5000))
    draws = np.stack([a, -0.9 * a + np.sqrt(1.0 - 0.81) * b, b, np.zeros(5000)], axis=1)
    np.testing.assert_allclose(correlations(draws)[:3, :3], np.corrcoef(draws[:, :3].T))
    tie = strongest(("growth", "killing", "other", "fixed"), draws)[0]
    assert (tie.first, tie.second) == ("growth", "killing")
    assert tie.text.startswith("growth falls as killing rises (correlation -0.9")
