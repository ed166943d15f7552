"""The search for the values with the highest posterior probability."""

from collections.abc import Callable
from dataclasses import dataclass

import cma
import numpy as np

from ..parameters.errors import RangeError
from .search_space import REACH

Progress = Callable[[int, int], None]
"""Called after every generation with evaluations done and evaluations planned."""


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


def search(
    log_posterior: Callable[[np.ndarray], float],
    start: np.ndarray,
    settings: SearchSettings | None = None,
    *,
    progress: Progress | None = None,
) -> Search:
    """Maximise a log posterior by CMA-ES (Hansen & Ostermeier 2001, covariance matrix adaptation).

    It needs no derivatives, which suits endpoints that are counts of virtual patients. `start` is an array (free,) in
    prior SDs; the search stays within `REACH` of the prior median.
    """
    settings = settings or SearchSettings()
    options = {"seed": settings.seed, "bounds": [-REACH, REACH], "verbose": -9, "maxfevals": settings.evaluations}
    strategy = cma.CMAEvolutionStrategy(np.asarray(start, dtype=float), settings.sigma, options)
    best_point, best, count = np.asarray(start, dtype=float), -np.inf, 0
    while not strategy.stop() and count < settings.evaluations:
        candidates = [np.asarray(candidate) for candidate in strategy.ask()]
        values = [log_posterior(candidate) for candidate in candidates]
        strategy.tell(candidates, [-value for value in values])
        count += len(candidates)
        top = int(np.argmax(values))
        if values[top] > best:
            best, best_point = values[top], candidates[top]
        if progress is not None:
            progress(count, settings.evaluations)
    return Search(best_point, best, count)
