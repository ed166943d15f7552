"""Learning a quadratic of many numbers from noisy values: a Gaussian process with a polynomial kernel.

The kernel is linear + quadratic in the numbers scaled by their relevance: x.A.x' + c (x.A.x')^2, plus a constant. The
relevances A (automatic relevance determination, MacKay 1994), the curvature c and the noise are those of the highest
marginal likelihood (Rasmussen & Williams 2006, chapters 2 and 5).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

ENOUGH = 400
"""Points from which relevances and noise are learnt; the coefficients use all."""
ITERATIONS = 40
_CONSTANT = 10.0
_WIDTH = 2.5
"""Prior SD of the logarithms of relevances and noise, so that none runs away."""


@dataclass(frozen=True, eq=False)
class Quadratic:
    """level + slope . (x - centre) + (x - centre) . bend . (x - centre), of the numbers `chosen` out of all.

    Attributes
    ----------
    noise
        SD of one evaluation around the quadratic.
    spread
        SD of what is not known of the mean: the quadratic's own uncertainty near the centre, and lack of fit.
    logs
        What was learnt of curvature, noise and relevances.
    """

    chosen: np.ndarray
    centre: np.ndarray
    level: float
    slope_at_centre: np.ndarray
    bend: np.ndarray
    noise: float
    spread: float
    logs: np.ndarray

    def value(self, numbers: np.ndarray) -> np.ndarray:
        """Values (m,) at numbers (m, all)."""
        away = numbers[:, self.chosen] - self.centre
        return self.level + away @ self.slope_at_centre + np.einsum("mi,mi->m", away @ self.bend, away)

    def slope(self, numbers: np.ndarray) -> np.ndarray:
        """Derivative (all,) at numbers (all,)."""
        found = np.zeros(len(numbers))
        away = numbers[self.chosen] - self.centre
        found[self.chosen] = self.slope_at_centre + 2.0 * self.bend @ away
        return found


def learn(
    numbers: np.ndarray, values: np.ndarray, chosen: np.ndarray, *, centre: np.ndarray, doubt: np.ndarray,
    patient_noise: float = 0.0, start: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> Quadratic:  # fmt: skip
    """Learn a quadratic from values (n,) at numbers (n, all), of which only those `chosen` can bear on it.

    Parameters
    ----------
    centre
        Where it shall be good, array (all,).
    doubt : array (n,)
        Factor (>= 1) on the noise variance of each point: points far from where the quadratic shall be good say less.
    patient_noise
        SD of an evaluation that comes from the sampling of patients alone; noise beyond it is lack of fit.
    start
        `logs` of a quadratic that was learnt of fewer points.
    known
        `logs` to be taken as they are.
    """
    away = numbers[:, chosen] - centre[chosen]
    level, scale = float(np.average(values, weights=1.0 / doubt)), float(np.std(values)) or 1.0
    y = (values - level) / scale
    order = np.argsort(doubt, kind="stable")[:ENOUGH]
    logs = known
    if logs is None:
        logs = _best_logs(away[order], y[order], doubt[order], _first_logs(len(chosen)) if start is None else start)
    curl, noise, relevance = np.exp(logs[0]), np.exp(logs[1]), np.exp(logs[2:])
    inner = (away * relevance) @ away.T
    kernel = _CONSTANT + inner + curl * inner**2
    kernel[np.diag_indices_from(kernel)] += noise * doubt + 1e-9
    factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)
    dual = cho_solve(factor, y)
    slope = relevance * (away.T @ dual)
    bend = curl * np.outer(relevance, relevance) * ((away.T * dual) @ away)
    near = doubt <= np.quantile(doubt, 0.5)
    inverse = np.diag(cho_solve(factor, np.eye(len(y))))
    open_variance = np.maximum(1.0 / inverse - noise * doubt, 0.0)[near].mean()
    lack = max(noise - (patient_noise / scale) ** 2, 0.0) if patient_noise > 0.0 else 0.0
    return Quadratic(
        chosen, centre[chosen], level + scale * _CONSTANT * float(dual.sum()), scale * slope, scale * bend,
        float(scale * np.sqrt(noise)), float(scale * np.sqrt(open_variance + lack)), logs,
    )  # fmt: skip


def _first_logs(numbers: int) -> np.ndarray:
    """Logarithms of how curved, how noisy and how relevant each number is, before anything is learnt."""
    return np.log(np.array([0.1, 0.2, *np.full(numbers, 1.0 / numbers)]))


def _best_logs(away: np.ndarray, y: np.ndarray, doubt: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Those of the highest marginal likelihood times their prior."""
    first, n = _first_logs(away.shape[1]), len(y)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        curl, noise, relevance = np.exp(logs[0]), np.exp(logs[1]), np.exp(logs[2:])
        inner = (away * relevance) @ away.T
        squared = curl * inner**2
        kernel = _CONSTANT + inner + squared
        kernel[np.diag_indices_from(kernel)] += noise * doubt + 1e-9
        factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)
        dual = cho_solve(factor, y, check_finite=False)
        excess = cho_solve(factor, np.eye(n), check_finite=False) - np.outer(dual, dual)
        value = 0.5 * y @ dual + np.log(np.diag(factor[0])).sum()
        weighed = excess * (1.0 + 2.0 * curl * inner)
        slopes = np.concatenate([
            [0.5 * np.sum(excess * squared), 0.5 * noise * np.diag(excess) @ doubt],
            0.5 * relevance * np.einsum("ni,ni->i", away, weighed @ away),
        ])  # fmt: skip
        beyond = (logs - first) / _WIDTH
        return float(value + 0.5 * beyond @ beyond), slopes + beyond / _WIDTH

    bounds = [(-14.0, 3.0)] * len(first)
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}).x
