"""Maximum a posteriori estimation from many starts, by gradients and by CMA-ES."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cma
import numpy as np
from scipy.optimize import minimize

from ...parameters.errors import RangeError
from .emulator import Emulator
from .search_space import REACH
from .smc import SmcSettings, sample_smc_from

# Posterior sampling on the emulator: sequential Monte Carlo from a Gaussian around the mode.
#
# It removes what is wrong with the Gaussian, and takes fewer stages than from the prior. A Gaussian that is much wider,
# or around another place, must not be used: among a hundred numbers some hundred particles then end too close together,
# and intervals would be too narrow.


PROPOSAL_INFLATION = 1.5
"""The Gaussian has so many times the covariance of the Laplace approximation."""


def sample_posterior(
    emulator: Emulator, particles: int, seed: int, start: np.ndarray | None = None
) -> np.ndarray:  # fmt: skip
    """Draws (particles, size) of the emulator's posterior; `start` is where its highest point is looked for."""
    mode = climb(emulator.with_gradient, np.zeros(emulator.size) if start is None else start).point
    covariance = PROPOSAL_INFLATION * np.linalg.inv(emulator.precision(mode))
    settings = SmcSettings(particles=particles, seed=seed)
    return sample_smc_from(lambda at: emulator.log_likelihoods(at).sum(axis=1), mode, covariance, settings).points


Progress = Callable[[int, int], None]
"""Called with what is done and what is planned."""

SAME_OPTIMUM = 0.5
"""Searches that end within so many log units of the best have reached the same height."""
SAME_PLACE = 1.0
"""And within so many posterior SDs (root mean square over the coordinates) they are at the same place."""


@dataclass(frozen=True)
class SearchSettings:
    """`evaluations` at most; first step `sigma` in prior SDs; `seed` of the search itself."""

    evaluations: int = 3000
    sigma: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the seed: CMA-ES takes 0 as a request for a new seed every time, and nothing could be resumed."""
        if self.seed < 1:
            raise RangeError(f"seed of the search = {self.seed}; expected a whole number of at least 1.")


@dataclass(frozen=True, eq=False)
class Search:
    """Result of a search: the best point, its log posterior, and the evaluations it took."""

    point: np.ndarray
    log_posterior: float
    evaluations: int


@dataclass(frozen=True, eq=False)
class Starts:
    """Results of many searches, the best first; `ways` says how each searched."""

    searches: tuple[Search, ...]
    ways: tuple[str, ...]
    distances: np.ndarray

    @property
    def best(self) -> Search:
        """The highest."""
        return self.searches[0]

    def agreeing(self, way: str = "") -> int:
        """How many searches (of one way, or of all) reached the best optimum: as high, and at the same place."""
        top = self.best.log_posterior
        return sum(
            top - result.log_posterior <= SAME_OPTIMUM and distance <= SAME_PLACE and way in ("", how)
            for result, how, distance in zip(self.searches, self.ways, self.distances, strict=True)
        )


def search(
    log_posterior: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    settings: SearchSettings | None = None,
    *,
    progress: Progress | None = None,
) -> Search:
    """Maximise a log posterior by CMA-ES (Hansen & Ostermeier 2001, covariance matrix adaptation).

    It needs no derivatives. `log_posterior` takes points (m, size) and gives (m,); `start` is an array (size,) in prior
    SDs; the search stays within `REACH` of the prior median.
    """
    settings = settings or SearchSettings()
    options = {"seed": settings.seed, "bounds": [-REACH, REACH], "verbose": -9, "maxfevals": settings.evaluations}
    strategy = cma.CMAEvolutionStrategy(np.asarray(start, dtype=float), settings.sigma, options)
    best_point, best, count = np.asarray(start, dtype=float), -np.inf, 0
    while not strategy.stop() and count < settings.evaluations:
        candidates = [np.asarray(candidate) for candidate in strategy.ask()]
        values = np.asarray(log_posterior(np.stack(candidates)))
        strategy.tell(candidates, [-float(value) for value in values])
        count += len(candidates)
        top = int(np.argmax(values))
        if values[top] > best:
            best, best_point = float(values[top]), candidates[top]
        if progress is not None:
            progress(count, settings.evaluations)
    return Search(best_point, best, count)


def climb(with_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray) -> Search:
    """Maximise a log posterior by its gradient (L-BFGS-B, Byrd et al. 1995), within `REACH` of the prior median."""

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = with_gradient(point)
        return -value, -slope

    optimum = minimize(
        loss, np.asarray(start, dtype=float), jac=True, method="L-BFGS-B",
        bounds=[(-REACH, REACH)] * len(start), options={"maxiter": 400},
    )  # fmt: skip
    return Search(optimum.x, -float(optimum.fun), int(optimum.nfev))


def search_from(
    starts: Sequence[np.ndarray], log_posterior: Callable[[np.ndarray], np.ndarray],
    with_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
    precision: Callable[[np.ndarray], np.ndarray], *, by_cma: int, evaluations: int, progress: Progress | None = None,
) -> Starts:  # fmt: skip
    """Climb by the gradient from every start, and search the first `by_cma` of them by CMA-ES too."""
    searches, ways = [], []
    planned = len(starts) + by_cma
    for start in starts:
        searches.append(climb(with_gradient, start))
        ways.append("gradient")
        if progress is not None:
            progress(len(searches), planned)
    for k, start in enumerate(starts[:by_cma]):
        searches.append(search(log_posterior, start, SearchSettings(evaluations, sigma=0.3, seed=k + 1)))
        ways.append("CMA-ES")
        if progress is not None:
            progress(len(searches), planned)
    order = np.argsort([-result.log_posterior for result in searches])
    best = searches[order[0]].point
    metric = precision(best)
    away = np.array([searches[k].point - best for k in order])
    distances = np.sqrt(np.einsum("mi,ij,mj->m", away, metric, away) / len(best))
    return Starts(tuple(searches[k] for k in order), tuple(ways[k] for k in order), distances)
