"""Importance sampling of a few numbers in rounds: over the prior, then where the rounds before found something.

All rounds are weighed together, each particle by the likelihood times the prior over the mixture of the densities that
it could have come from (balance heuristic, Veach and Guibas 1995; adaptive as in Cappé 2004, population Monte Carlo).
Coordinates are prior SDs, so the prior is the standard normal in each.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

ROUNDS = 3
INFLATION = 2.0
"""A round has so many times the covariance that the rounds before found, so that its tails are covered."""
LEAST_SD = 0.1
"""Smallest spread of a round, prior SDs."""
FEWEST = 12.0
"""A round is aimed with weights so tempered that at least so many particles count: one says nothing of a spread."""


@dataclass(frozen=True, eq=False)
class Particles:
    """Points (n, numbers) in prior SDs with weights that add up to 1."""

    points: np.ndarray
    weights: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Weighted mean."""
        return self.weights @ self.points

    @property
    def effective(self) -> float:
        """Effective number of particles."""
        return float(1.0 / np.sum(self.weights**2))

    def resampled(self, n: int, seed: int) -> np.ndarray:
        """Equally likely draws (n, numbers), by systematic resampling (Kitagawa 1996), in an order without meaning."""
        rng = np.random.default_rng(seed)
        places = (rng.random() + np.arange(n)) / n
        chosen = np.minimum(np.searchsorted(np.cumsum(self.weights), places), len(self.weights) - 1)
        rng.shuffle(chosen)
        return self.points[chosen]


def weigh(
    log_likelihoods: Callable[[np.ndarray], np.ndarray], numbers: int, *, per_round: int, reach: float, seed: int
) -> Particles:
    """Sample `numbers` coordinates in `ROUNDS` rounds of `per_round` particles, a power of two.

    `log_likelihoods` gives those of many points (n, numbers) as an array (n,); points stay within `reach` prior SDs.
    """
    rng = np.random.default_rng(seed)
    sources = [_Normal(np.zeros(numbers), np.eye(numbers))]
    points, found, logs = np.zeros((0, numbers)), np.zeros(0), np.zeros(0)
    for _ in range(ROUNDS):
        new = np.clip(sources[-1].sample(per_round, rng), -reach, reach)
        points, found = np.concatenate([points, new]), np.concatenate([found, log_likelihoods(new)])
        density = np.stack([source.log_density(points) for source in sources])
        logs = found + density[0] - np.logaddexp.reduce(density, axis=0)
        weights = _relative(_tempered(logs))
        centre = weights @ points
        away = points - centre
        covariance = INFLATION * (away.T * weights) @ away + LEAST_SD**2 * np.eye(numbers)
        sources.append(_Normal(centre, np.linalg.cholesky(covariance)))
    return Particles(points, _relative(logs))


@dataclass(frozen=True, eq=False)
class _Normal:
    """A normal distribution with the Cholesky factor `root` of its covariance."""

    mean: np.ndarray
    root: np.ndarray

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Evenly spread: Sobol points with a shift at random (Cranley and Patterson 1976)."""
        numbers = len(self.mean)
        even = (qmc.Sobol(numbers, scramble=False).random(n) + rng.random(numbers)) % 1.0
        return self.mean + ndtri(even) @ self.root.T

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Up to a constant that all normals of so many numbers share."""
        scaled = np.linalg.solve(self.root, (points - self.mean).T)
        return -0.5 * np.sum(scaled**2, axis=0) - np.log(np.diag(self.root)).sum()


def _tempered(logs: np.ndarray) -> np.ndarray:
    """Log weights, lowered to a power at which at least `FEWEST` particles count."""
    power = 1.0
    while 1.0 / np.sum(_relative(power * logs) ** 2) < FEWEST and power > 1e-6:
        power *= 0.8
    return power * logs


def _relative(logs: np.ndarray) -> np.ndarray:
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()
