"""Ensemble Markov chain Monte Carlo with emcee (Foreman-Mackey 2013), for about 100 parameters with a normal prior.

Half of the moves refresh a walker from a Gaussian approximation, as far as the posterior agrees (Cotter 2013). The
others know nothing of it: by differential evolution (ter Braak 2006) a walker moves along the difference of two others,
so that steps have the shape of the posterior; snooker moves (ter Braak and Vrugt 2008) and whole differences change
between modes; the stretch move (Goodman and Weare 2010) is poor in many dimensions and gets a small share.
"""

from collections.abc import Callable
from dataclasses import dataclass

import emcee
import numpy as np
from emcee.autocorr import integrated_time
from emcee.moves import DEMove, MHMove, Move, RedBlueMove, StretchMove

from ...parameters.errors import FitError, RangeError
from .convergence import Convergence, convergence, nested_r_hat
from .search_space import REACH

LogLikelihood = Callable[[np.ndarray], np.ndarray]
"""Log likelihoods (m,) of points (m, numbers) in prior SDs, up to a constant."""

Progress = Callable[[int, int], None]

LEAST_REFRESH = 0.1
"""Smallest share of a walker that a refreshing move replaces."""

START_WIDTH = 1.5
"""Walkers start so many times as wide as the approximation, so that R-hat can see whether they forgot it."""

KEPT = 400
"""Most steps of a chain that are kept, so that four ensembles of a hundred numbers fit into memory."""

DIAGNOSED = 200
"""Most kept steps that the diagnostics look at: ranks of millions of draws take longer than drawing them."""


@dataclass(frozen=True)
class EnsembleSettings:
    """How long to sample; `walkers` per ensemble (0: two and a half for each number, at least 40)."""

    steps: int = 4000
    burn_in: int = 1000
    walkers: int = 0
    ensembles: int = 4
    seed: int = 1

    def __post_init__(self) -> None:
        """Everything that is counted must be there."""
        for name, least in (("steps", 8), ("burn_in", 0), ("ensembles", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise RangeError(f"{name} = {getattr(self, name)} of the ensemble sampler; expected at least {least}.")


@dataclass(frozen=True, eq=False)
class EnsembleRun:
    """Chains of several independent ensembles, after burn-in and thinned.

    Attributes
    ----------
    chain
        Array (ensembles, steps, walkers, numbers), in prior SDs.
    log_posterior
        Array (ensembles, steps, walkers), up to a constant.
    thin
        Steps of the sampler from one kept step to the next.
    autocorrelation
        Integrated autocorrelation time of every number in steps of the sampler, (numbers,): mean over ensembles.
    acceptance
        Share of proposals that were taken, (ensembles,).
    convergence
        Over all walkers as chains.
    between
        Nested R-hat of every number, (numbers,): ensembles against each other. Walkers of one ensemble depend on each
        other, ensembles do not.
    evaluations
        Points at which the likelihood was computed.
    """

    chain: np.ndarray
    log_posterior: np.ndarray
    thin: int
    autocorrelation: np.ndarray
    acceptance: np.ndarray
    convergence: Convergence
    between: np.ndarray
    evaluations: int

    def draws(self, n: int, seed: int) -> np.ndarray:
        """Draws (n, numbers) from all ensembles at random, each kept state at most once.

        Raises
        ------
        RangeError
            If fewer states were kept.
        """
        states = self.chain.reshape(-1, self.chain.shape[-1])
        if n > len(states):
            raise RangeError(f"{n} draws of an ensemble run that kept {len(states)} states; sample longer.")
        return states[np.random.default_rng(seed).choice(len(states), size=n, replace=False)]


class Snooker(RedBlueMove):
    """Move on the line through another walker, by the difference of two more projected on it.

    Accepted with (distance after / distance before)^(numbers - 1), since the line is drawn to the other walker (ter
    Braak and Vrugt 2008). The move of the same name in emcee 3.1.6 scales the step by the distance and has half of the
    exponent: a standard normal in six dimensions comes out with a variance of two thirds.
    """

    def __init__(self, scale: float = 1.7) -> None:
        super().__init__(nsplits=4)
        self.scale = scale

    def get_proposal(
        self, sample: np.ndarray, complement: list[np.ndarray], random: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Proposals and the logarithms of their factors; each of the three other walkers is of another group."""
        count, size = sample.shape
        others = np.stack([group[random.randint(len(group), size=count)] for group in complement])
        role = random.rand(3, count).argsort(axis=0)  # which group the anchor is of, walker by walker
        anchor, start, end = np.take_along_axis(others, role[:, :, None], axis=0)
        away = sample - anchor
        distance = np.linalg.norm(away, axis=1, keepdims=True)
        line = away / distance
        step = self.scale * np.sum(line * (start - end), axis=1, keepdims=True)
        proposal = sample + step * line
        after = np.linalg.norm(proposal - anchor, axis=1)
        return proposal, (size - 1.0) * (np.log(after) - np.log(distance[:, 0]))


class Refresh:
    """Crank-Nicolson proposals towards a Gaussian approximation of the posterior, which they leave as it is.

    q = mean + sqrt(1 - b^2) (x - mean) + b noise, with noise of the covariance of the approximation (Cotter 2013, with
    its Gaussian in place of the prior). Every walker has its own b, log-uniform from `LEAST_REFRESH` to 1, where the
    proposal forgets the walker: so the move suits approximations of any quality.
    """

    def __init__(self, mean: np.ndarray, covariance: np.ndarray) -> None:
        self.mean = mean
        self.root = np.linalg.cholesky(covariance)
        self.inverse = np.linalg.inv(self.root)

    def __call__(self, points: np.ndarray, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Proposals and the logarithms of their factors."""
        share = LEAST_REFRESH ** random.rand(len(points), 1)
        before = (points - self.mean) @ self.inverse.T
        after = np.sqrt(1.0 - share**2) * before + share * random.randn(*points.shape)
        factor = 0.5 * (np.sum(after**2, axis=1) - np.sum(before**2, axis=1))
        return self.mean + after @ self.root.T, factor


def moves(mean: np.ndarray, covariance: np.ndarray) -> list[tuple[Move, float]]:
    """The mixture of moves and their shares, for a posterior that is somewhat like this Gaussian."""
    usual = 2.38 / np.sqrt(2.0 * len(mean))
    return [
        (MHMove(Refresh(mean, covariance)), 0.5),
        (DEMove(sigma=0.3, gamma0=usual), 0.35),
        (DEMove(sigma=1e-3, gamma0=1.0), 0.05),  # the whole difference: from one mode into another
        (Snooker(), 0.05),
        (StretchMove(), 0.05),
    ]


def sample_ensembles(
    log_likelihood: LogLikelihood,
    mean: np.ndarray,
    covariance: np.ndarray,
    settings: EnsembleSettings | None = None,
    *,
    progress: Progress | None = None,
) -> EnsembleRun:
    """Sample the posterior of a likelihood under a standard normal prior, cut at `REACH` prior SDs.

    Parameters
    ----------
    log_likelihood
        Vectorised; it is asked for half of the walkers or all at once, and never for points out of reach.
    mean, covariance
        A Gaussian approximation of the posterior, (numbers,) and (numbers, numbers). Walkers start from it, with
        `START_WIDTH` times its SDs. How good it is decides about speed, not about the result.

    Raises
    ------
    RangeError, FitError
        If the walkers are fewer than emcee needs, or none starts at a finite posterior.
    """
    settings = settings or EnsembleSettings()
    mean = np.asarray(mean, dtype=float)
    size = len(mean)
    walkers = settings.walkers or max(40, 2 * round(1.25 * size))
    if walkers < 2 * size or walkers % 2:
        raise RangeError(f"walkers = {walkers} for {size} numbers; expected an even number of at least {2 * size}.")
    counted = _Counted(log_likelihood)
    approximation = (mean, np.atleast_2d(np.asarray(covariance, dtype=float)))
    parts = []
    for k in range(settings.ensembles):
        parts.append(_one(counted, approximation, walkers, settings, k, progress))
    chain = np.stack([part.chain for part in parts])
    some = chain[:, :: -(-chain.shape[1] // DIAGNOSED)]
    return EnsembleRun(
        chain=chain,
        log_posterior=np.stack([part.log_posterior for part in parts]),
        thin=parts[0].thin,
        autocorrelation=np.mean([part.autocorrelation for part in parts], axis=0),
        acceptance=np.array([part.acceptance for part in parts]),
        convergence=convergence(some.transpose(1, 0, 2, 3).reshape(some.shape[1], -1, size)),
        between=nested_r_hat(some),
        evaluations=counted.points,
    )


class _Counted:
    """The log posterior; out of reach it is minus infinity without asking, and what is asked is counted."""

    def __init__(self, log_likelihood: LogLikelihood) -> None:
        self.ask = log_likelihood
        self.points = 0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        values = np.full(len(points), -np.inf)
        inside = np.abs(points).max(axis=1) <= REACH
        if inside.any():
            likelihoods = np.asarray(self.ask(points[inside]), dtype=float)
            half_square = 0.5 * np.sum(points[inside] ** 2, axis=1)
            values[inside] = np.where(np.isnan(likelihoods), -np.inf, likelihoods) - half_square
            self.points += int(inside.sum())
        return values


@dataclass(frozen=True, eq=False)
class _Part:
    """What one ensemble found."""

    chain: np.ndarray
    log_posterior: np.ndarray
    thin: int
    autocorrelation: np.ndarray
    acceptance: float


def _one(
    log_posterior: _Counted, approximation: tuple[np.ndarray, np.ndarray], walkers: int, settings: EnsembleSettings,
    number: int, progress: Progress | None,
) -> _Part:  # fmt: skip
    """Run one ensemble, burn-in first."""
    mean, covariance = approximation
    rng = np.random.default_rng((settings.seed, number))
    away = rng.standard_normal((walkers, len(mean))) @ np.linalg.cholesky(covariance).T
    points = np.clip(mean + START_WIDTH * away, -REACH, REACH)
    if not np.isfinite(log_posterior(points)).any():
        raise FitError("no walker starts at a point with a finite posterior; start nearer to the optimum.")
    sampler = emcee.EnsembleSampler(walkers, len(mean), log_posterior, moves=moves(mean, covariance), vectorize=True)
    seeded = np.random.RandomState(rng.integers(2**32)).get_state()  # emcee knows no other generator
    state = emcee.State(points, random_state=seeded)
    each = settings.burn_in + settings.steps
    if settings.burn_in:
        state = sampler.run_mcmc(state, settings.burn_in, store=False, skip_initial_state_check=True)
        sampler.reset()
    thin = max(1, -(-settings.steps // KEPT))
    steps = sampler.sample(state, iterations=settings.steps // thin, thin_by=thin, skip_initial_state_check=True)
    for step, _ in enumerate(steps, start=1):
        if progress is not None:
            progress(number * each + settings.burn_in + step * thin, settings.ensembles * each)
    chain = np.asarray(sampler.get_chain())
    return _Part(
        chain=chain,
        log_posterior=np.asarray(sampler.get_log_prob()),
        thin=thin,
        autocorrelation=thin * integrated_time(chain, tol=0),
        acceptance=float(np.mean(sampler.acceptance_fraction)),
    )
