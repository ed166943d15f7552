"""Slope and curvature of every item's log likelihood at one point, by finite differences in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...parameters.errors import FitError, RangeError
from .records import Record

Function = Callable[[np.ndarray], np.ndarray]
"""Points (m, d) in prior SDs in, one row per point out: log likelihood of every item, or the model's values."""

BATCH = 2000
"""Points that are given to a function at once: enough to be fast, few enough to fit the memory."""

STEP = 0.1
"""Step of second differences, prior SDs: coarse, so that they see the slope of the surface and not its rounding."""


def evaluate(function: Function, points: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """The function at points (m, d), as an array (m, columns), computed `batch` points at a time.

    Raises FitError if a value is missing, not finite, or if rows and points do not match.
    """
    parts = [np.asarray(function(points[k : k + batch]), dtype=float) for k in range(0, len(points), batch)]
    if any(part.ndim != 2 for part in parts) or sum(map(len, parts)) != len(points):
        raise FitError(f"the function gave {[part.shape for part in parts]} for {len(points)} points; one row each.")
    values = np.concatenate(parts)
    if not np.all(np.isfinite(values)):
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise FitError(f"the function is {values[row, column]} in column {column} at {points[row].round(3).tolist()}.")
    return values


@dataclass(frozen=True, eq=False)
class Curvature(Record):
    """The log likelihood of `items` results around a point of `d` numbers, each with a standard normal prior.

    Attributes
    ----------
    point
        Where, (d,), prior SDs.
    values, scores, information
        Log likelihood of every item there, (items,); its gradient, (items, d); and the curvature that the item adds,
        (items, d, d): minus the second derivatives without their negative part, which a Gauss-Newton matrix would
        not have either. So the precision without any of the items is never below that of the prior.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    point: np.ndarray
    values: np.ndarray
    scores: np.ndarray
    information: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Inverse covariance (d, d) of the Gaussian approximation: the prior's identity plus what the items add."""
        return np.eye(len(self.ids)) + self.information.sum(axis=0)

    @property
    def slope(self) -> np.ndarray:
        """Gradient (d,) of the log posterior: zero where it is highest, unless a bound is in the way."""
        return self.scores.sum(axis=0) - self.point

    @property
    def covariance(self) -> np.ndarray:
        """Covariance (d, d) of the Gaussian approximation (Laplace)."""
        return np.linalg.inv(self.precision)

    @property
    def sd(self) -> np.ndarray:
        """Posterior SD (d,) of every number, prior SDs."""
        return np.sqrt(np.diag(self.covariance))


def curvature(
    log_likelihoods: Function,
    point: Sequence[float] | np.ndarray,
    ids: Sequence[str],
    labels: Sequence[str] | None = None,
    *,
    step: float = STEP,
    reach: float = 4.0,
) -> Curvature:
    """Scores and information of every item at a point (d,), from d (d + 1) + 1 evaluations.

    Second differences are [f(+i+j) + f(-i-j) - f(+i) - f(-i) - f(+j) - f(-j) + 2 f] / (2 step^2), exact for cubics
    (Abramowitz & Stegun 1964, 25.3.27). A point nearer than two steps to the end of the reach is moved inwards.
    """
    at = np.clip(np.asarray(point, dtype=float), -reach + 2 * step, reach - 2 * step)
    d = len(at)
    if len(ids) != d or step <= 0:
        raise RangeError(f"{len(ids)} names for {d} coordinates, and step {step}; one name each, and a step above 0.")
    unit = step * np.eye(d)
    first, second = np.triu_indices(d, 1)
    pairs = unit[first] + unit[second]
    shifts = np.concatenate([np.zeros((1, d)), unit, -unit, pairs, -pairs])
    values = evaluate(log_likelihoods, at + shifts)
    labels = [f"item {k + 1}" for k in range(values.shape[1])] if labels is None else labels
    if values.shape[1] != len(labels):
        raise FitError(f"the function gave {values.shape[1]} items, and there are {len(labels)} labels.")
    middle, up, down, both, neither = np.split(values, np.cumsum([1, d, d, len(first)]))
    hessian = np.empty((values.shape[1], d, d))
    bend = up + down - 2.0 * middle
    hessian[:, range(d), range(d)] = (bend / step**2).T
    crossed = (both + neither - 2.0 * middle - bend[first] - bend[second]) / (2.0 * step**2)
    hessian[:, first, second] = hessian[:, second, first] = crossed.T
    return Curvature(tuple(ids), tuple(labels), at, middle[0], ((up - down) / (2.0 * step)).T, _positive(-hessian))


def _positive(matrices: np.ndarray) -> np.ndarray:
    """The nearest positive semidefinite matrices (n, d, d): negative eigenvalues become zero (Higham 1988)."""
    values, vectors = np.linalg.eigh(matrices)
    return (vectors * np.maximum(values, 0.0)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
