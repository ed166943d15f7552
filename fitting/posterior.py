"""What the evidence leaves open: a Gaussian approximation at the optimum, corrected by Metropolis steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws from the posterior, arrays (draws, free) in prior SDs, equally likely.

    Attributes
    ----------
    fall
        Mean fall of the log posterior from its best value, per free parameter: 0.5 for an exact Gaussian posterior,
        more where draws lie too far out or the posterior is not Gaussian. `fall_before` is that of the approximation.
    acceptance
        Share of Metropolis steps that were taken; 0.2 to 0.5 is healthy.
    evaluations
        How often the log posterior was computed.
    shrinkage
        1 - (posterior SD)^2 of every coordinate: 1 if the evidence decides and 0 if only the prior speaks.
    """

    points: np.ndarray
    fall: float
    fall_before: float
    acceptance: float
    evaluations: int
    shrinkage: np.ndarray


def laplace(
    residuals: Callable[[np.ndarray], np.ndarray],
    point: np.ndarray,
    *,
    step: float = 0.3,
    progress: Progress | None = None,
) -> np.ndarray:
    """Covariance (free, free) of the Gaussian approximation: the inverse of J'J of the residuals (Gauss-Newton).

    The step of the central differences is coarse on purpose (0.3 prior SDs): response rates of n virtual patients
    are steps of 1/n, and a fine difference would see the steps and not the slope.
    """
    size = len(point)
    columns = []
    for k in range(size):
        shift = np.zeros(size)
        shift[k] = step
        columns.append((residuals(point + shift) - residuals(point - shift)) / (2.0 * step))
        if progress is not None:
            progress(k + 1, size)
    jacobian = np.stack(columns, axis=1)
    return np.linalg.inv(jacobian.T @ jacobian)


def metropolis(
    log_posterior: Callable[[np.ndarray], float],
    point: np.ndarray,
    covariance: np.ndarray,
    *,
    draws: int,
    moves: int,
    seed: int,
    progress: Progress | None = None,
) -> Posterior:
    """Draw from the Gaussian approximation, then move every draw by Metropolis steps towards the real posterior.

    Every draw is a chain of its own, started from the approximation, so the draws are independent; `moves` steps
    correct part of what the approximation gets wrong (little of it in dozens of dimensions unless there are hundreds of
    moves), and `fall` against `fall_before` says how much. The step is
    2.38 / sqrt(free) times the covariance (Roberts, Gelman & Gilks 1997). Few moves of many chains are an
    approximation: they cannot find a second optimum far away.
    """
    rng = np.random.default_rng(seed)
    size = len(point)
    factor = np.linalg.cholesky(covariance)
    points = point + rng.standard_normal((draws, size)) @ factor.T
    planned, done = draws * (moves + 1), 0
    best = log_posterior(np.asarray(point, dtype=float))
    values = np.empty(draws)
    for k in range(draws):
        values[k] = log_posterior(points[k])
        done += 1
        if progress is not None:
            progress(done, planned)
    before = float(np.mean(best - values)) / size
    taken = 0
    for _ in range(moves):
        steps = (2.38 / np.sqrt(size)) * rng.standard_normal((draws, size)) @ factor.T
        dice = np.log(rng.random(draws))
        for k in range(draws):
            candidate = points[k] + steps[k]
            value = log_posterior(candidate)
            if dice[k] < value - values[k]:
                points[k], values[k] = candidate, value
                taken += 1
            done += 1
            if progress is not None:
                progress(done, planned)
    return Posterior(
        points=points,
        fall=float(np.mean(best - values)) / size,
        fall_before=before,
        acceptance=taken / max(draws * moves, 1),
        evaluations=done,
        shrinkage=1.0 - points.var(axis=0),
    )
