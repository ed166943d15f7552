"""Adaptive importance sampling: Student proposals, and weights over the mixture of all of them."""

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln

FREEDOM = 5.0
"""Degrees of freedom of a proposal: its tails are heavier than those of what it approximates."""
WIDER = 1.3
"""Factor on the covariance of a proposal, for the same reason."""

Proposal = tuple[np.ndarray, np.ndarray]
"""Centre (dim,) and scale matrix (dim, dim) of a Student density."""


def student_draws(rng: np.random.Generator, proposal: Proposal, n: int) -> np.ndarray:
    """Draws of a multivariate Student density: array (n, dim)."""
    centre, scale = proposal
    normal = rng.standard_normal((n, len(centre))) @ np.linalg.cholesky(scale).T
    return centre + normal * np.sqrt(FREEDOM / rng.chisquare(FREEDOM, n))[:, None]


def log_student(points: np.ndarray, proposal: Proposal) -> np.ndarray:
    """Log density of a multivariate Student distribution (Kotz and Nadarajah 2004): array (n,)."""
    centre, scale = proposal
    distance, log_det = _mahalanobis(points, centre, scale)
    dim = len(centre)
    front = gammaln((FREEDOM + dim) / 2) - gammaln(FREEDOM / 2) - 0.5 * (dim * np.log(FREEDOM * np.pi) + log_det)
    return front - 0.5 * (FREEDOM + dim) * np.log1p(distance / FREEDOM)


def log_normal(points: np.ndarray, centre: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Log density of a multivariate normal distribution: array (n,)."""
    distance, log_det = _mahalanobis(points, centre, covariance)
    return -0.5 * (distance + log_det + len(centre) * np.log(2 * np.pi))


def _mahalanobis(points: np.ndarray, centre: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, float]:
    factor = np.linalg.cholesky(matrix)
    scaled = np.linalg.solve(factor, (points - centre).T)
    return np.sum(scaled**2, axis=0), 2.0 * float(np.sum(np.log(np.diag(factor))))


def log_weights(points: np.ndarray, log_target: np.ndarray, proposals: Sequence[Proposal]) -> np.ndarray:
    """Log weights of the draws of all rounds over the equal mixture of their proposals (deterministic mixture, Owen and
    Zhou 2000): array (n,), not normalised.
    """
    densities = np.stack([log_student(points, proposal) for proposal in proposals])
    return log_target - np.logaddexp.reduce(densities, axis=0) + np.log(len(proposals))


def normalised(log_weight: np.ndarray) -> np.ndarray:
    """Weights that add up to one; NaN if all are zero."""
    highest = log_weight.max()
    weight = np.exp(log_weight - highest) if np.isfinite(highest) else np.full(log_weight.shape, np.nan)
    return weight / weight.sum()


def effective_size(weight: np.ndarray) -> float:
    """Effective number of draws (Kish 1965) of weights that add up to one."""
    return float(1.0 / np.sum(weight**2))


def adapted(points: np.ndarray, log_weight: np.ndarray) -> Proposal:
    """A proposal with the weighted mean and covariance of the draws (Cornuet, Marin, Mira and Robert 2012).

    While few draws carry all the weight, the weights are flattened by a power, or the covariance would collapse.
    """
    dim = points.shape[1]
    finite = np.isfinite(log_weight)
    power, weight = 1.0, normalised(log_weight)
    while effective_size(weight) < min(5.0 * dim, 0.5 * finite.sum()):
        power *= 0.8
        weight = normalised(np.where(finite, power * np.where(finite, log_weight, 0.0), -np.inf))
    centre = weight @ points
    apart = points - centre
    covariance = (weight[:, None] * apart).T @ apart
    return centre, WIDER * covariance + 1e-8 * np.eye(dim)
