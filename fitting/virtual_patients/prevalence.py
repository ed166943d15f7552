"""Prevalence weights: how common each plausible patient must be for the virtual trial to report what was reported.

Patients get weights w, as near as possible to the base weights b, so that weighted means of their features meet targets
within their errors: the minimum of KL(w || b) + 1/2 sum_j ((F'w - t)_j / e_j)^2 over all w >= 0 that add up to 1. A
target of one side costs nothing on its other side. Idea: prevalence weights of Klinke (2008) and of Schmidt et al.
(2013); plausible patients and virtual populations: Allen, Rieger and Musante (2016), Rieger et al. (2018).

Where the minimum lies, w_i is b_i exp(lambda' F_i) up to a constant, and the multipliers lambda minimise the convex
dual log sum_i b_i exp(lambda'(F_i - t)) + 1/2 sum_j e_j^2 lambda_j^2 (maximum entropy: Jaynes 1957; with errors:
Hummer and Koefinger 2015). So there are as many unknowns as targets, however many patients there are.

How far the base weights hold against the targets: n patients drawn from b look like w with probability exp(-n KL)
(Sanov 1957), so that b counts here as much as one patient would, and a target as much as its trial.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...parameters.errors import FitError, InputError, RangeError

NOTABLE = 2.0
"""A target that stays off by more than so many of its errors is called unmet."""

TWO_SIDED, AT_LEAST, AT_MOST = 0, 1, -1
"""Sides of a target: to be met, to be reached or exceeded, not to be exceeded."""

FINEST = 1e-5
"""Least error, in the largest distance of a feature from its target: with finer ones, weights that contradictory
targets pull apart would be lost to rounding. A mean within a hundred-thousandth of its target is met."""

_MOST_STEPS, _CLOSE_ENOUGH = 300, 1e-6


@dataclass(frozen=True, eq=False)
class Prevalence:
    """Weights of plausible patients, and how the targets are met.

    Attributes
    ----------
    weights, base : array (patients,)
        Both add up to 1.
    before, met : array (targets,)
        Weighted mean of each feature, under the base weights and under the weights found.
    misfits : array (targets,)
        Met minus target, in errors of the target; zero on the free side of a one-sided target.
    multipliers : array (targets,)
        By how much the logarithm of a weight rises per unit of the feature.
    reachable : array (targets,)
        Whether some patients lie on either side of the target (on the wanted one): if not, no weights can meet it.
    """

    weights: np.ndarray
    base: np.ndarray
    before: np.ndarray
    met: np.ndarray
    misfits: np.ndarray
    multipliers: np.ndarray
    reachable: np.ndarray

    @property
    def effective(self) -> float:
        """Effective number of patients, 1 / sum w^2 (Kish 1965)."""
        return _kish(self.weights)

    @property
    def effective_before(self) -> float:
        """Effective number of patients under the base weights."""
        return _kish(self.base)

    @property
    def largest(self) -> float:
        """Largest weight, as a share of all."""
        return float(self.weights.max())

    @property
    def divergence(self) -> float:
        """KL(w || b) in nats: what the weighting adds to the base weights; zero if the base meets every target."""
        kept = self.weights > 0
        return float(np.sum(self.weights[kept] * np.log(self.weights[kept] / self.base[kept])))

    @property
    def unmet(self) -> tuple[int, ...]:
        """Targets, by their place, that are off by more than two errors or that no weights can reach."""
        return tuple(int(j) for j in np.flatnonzero((np.abs(self.misfits) > NOTABLE) | ~self.reachable))


def prevalence_weights(
    features: ArrayLike,
    targets: ArrayLike,
    errors: ArrayLike,
    base: ArrayLike | None = None,
    *,
    sides: ArrayLike | None = None,
) -> Prevalence:
    """Weights nearest to the base weights with which the features meet their targets (see the head of this file).

    Targets that contradict each other, or that no patient comes near, are no error: they stay misfitted, and `unmet`
    lists them.

    Parameters
    ----------
    features : array (patients, targets)
    targets, errors : array (targets,)
        In the unit of the feature; errors are positive, and taken as `FINEST` where they are finer.
    base : array (patients,), optional
        Weights to start from, of any sum; equal ones by default. Who has none gets none.
    sides : array (targets,), optional
        `TWO_SIDED` (the default), `AT_LEAST` or `AT_MOST` for each target.

    Raises
    ------
    InputError, RangeError
        If shapes do not fit, or a number is not finite, an error not positive, a weight negative, a side unknown.
    FitError
        If the search does not come to an end, which has not been seen.
    """
    table, aims, sizes, start, signs = _checked(features, targets, errors, base, sides)
    sizes = np.maximum(sizes, FINEST * np.abs(table - aims).max(axis=0))
    multipliers = _solve(table - aims, sizes, start, signs)
    weights = _tilted(table, start, multipliers)
    met = weights @ table
    off = (met - aims) / sizes
    misfits = np.where(signs == TWO_SIDED, off, np.where(signs == AT_LEAST, np.minimum(off, 0.0), np.maximum(off, 0.0)))
    seen = table[start > 0]
    reachable = ((seen.min(axis=0) <= aims) | (signs == AT_LEAST)) & (
        (seen.max(axis=0) >= aims) | (signs == AT_MOST)
    )  # fmt: skip
    return Prevalence(weights, start, start @ table, met, misfits, multipliers, reachable)


def _kish(weights: np.ndarray) -> float:
    return float(1.0 / np.sum(weights**2))


def _tilted(table: np.ndarray, base: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """Base weights times exp(lambda' F), adding up to 1."""
    exponent = np.where(base > 0, table @ multipliers, -np.inf)
    weights = base * np.exp(exponent - exponent.max())
    return weights / weights.sum()


def _solve(centred: np.ndarray, errors: np.ndarray, base: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Multipliers by Newton's method on the dual, projected on the signs that one-sided targets allow (Bertsekas 1982).

    The Hessian is the weighted covariance of the features plus the squared errors: positive definite, so that every
    step goes down. Multipliers of `AT_LEAST` are not negative, those of `AT_MOST` not positive.
    """
    low = np.where(sides == AT_LEAST, 0.0, -np.inf)
    high = np.where(sides == AT_MOST, 0.0, np.inf)
    here = np.zeros(len(errors))
    height, slope, curvature = _dual(here, centred, errors, base)
    width = np.sqrt(np.diag(curvature))  # of a feature and its error: the scale on which a slope is small
    for _ in range(_MOST_STEPS):
        held = ((here <= low) & (slope > 0)) | ((here >= high) & (slope < 0))
        free = np.flatnonzero(~held)
        if not free.size or np.all(np.abs(slope[free]) <= 1e-12 * width[free]):
            return here
        step = np.zeros_like(here)
        step[free] = -_solved(curvature[np.ix_(free, free)], slope[free])
        for halving in range(60):
            there = np.clip(here + 0.5**halving * step, low, high)
            found = _dual(there, centred, errors, base)
            fall = float(slope @ (there - here))
            # beside huge multipliers a height is too coarse a number; of a convex function the slopes say as much
            if found[0] <= height + 1e-4 * fall or abs(float(found[1] @ (there - here))) <= 0.5 * abs(fall):
                break
        else:  # no lower point can be told from this one by double precision
            break
        if np.array_equal(there, here):
            break
        here, (height, slope, curvature) = there, found
    held = ((here <= low) & (slope > 0)) | ((here >= high) & (slope < 0))
    # a slope is the difference of two numbers: the gap of the feature and the error squared times its multiplier
    if np.any(np.abs(slope[~held]) > _CLOSE_ENOUGH * (width + np.abs(centred).max(axis=0))[~held]):
        raise FitError(f"prevalence weights: the search ended on a slope of {np.abs(slope[~held]).max():.2g}, not 0.")
    return here


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solution of a positive definite system, scaled first: errors may differ by orders of magnitude."""
    scale = 1.0 / np.sqrt(np.diag(matrix))
    return scale * np.linalg.solve(matrix * np.outer(scale, scale), scale * right)


def _dual(
    multipliers: np.ndarray, centred: np.ndarray, errors: np.ndarray, base: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Height, slope (targets,) and curvature (targets, targets) of the dual."""
    exponent = np.where(base > 0, centred @ multipliers, -np.inf)
    top = float(exponent.max())
    weights = base * np.exp(exponent - top)
    total = float(weights.sum())
    weights /= total
    mean = weights @ centred
    spread = centred - mean
    covariance = spread.T @ (weights[:, None] * spread)
    height = top + float(np.log(total)) + 0.5 * float(np.sum((errors * multipliers) ** 2))
    return height, mean + errors**2 * multipliers, covariance + np.diag(errors**2)


def _checked(
    features: ArrayLike, targets: ArrayLike, errors: ArrayLike, base: ArrayLike | None, sides: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    table, aims, sizes = (np.asarray(one, dtype=float) for one in (features, targets, errors))
    if table.ndim != 2 or 0 in table.shape:
        raise InputError(f"prevalence weights: features have shape {table.shape}; expected (patients, targets).")
    patients, number = table.shape
    start = np.ones(patients) if base is None else np.asarray(base, dtype=float)
    signs = np.zeros(number, dtype=int) if sides is None else np.asarray(sides)
    for name, one, size in (
        ("targets", aims, number), ("errors", sizes, number), ("base", start, patients), ("sides", signs, number),
    ):  # fmt: skip
        if one.shape != (size,):
            raise InputError(f"prevalence weights: {name} has shape {one.shape}; expected ({size},).")
    for name, one in (("features", table), ("targets", aims), ("errors", sizes), ("base", start)):
        if not np.isfinite(one).all():
            raise RangeError(f"prevalence weights: {name} holds {one[~np.isfinite(one)][0]}; expected finite numbers.")
    if np.any(sizes <= 0):
        raise RangeError(f"prevalence weights: errors holds {sizes.min():g}; expected positive numbers.")
    if np.any(start < 0) or not np.any(start > 0):
        raise RangeError(f"prevalence weights: base goes from {start.min():g} to {start.max():g}; expected positive.")
    if not np.isin(signs, (TWO_SIDED, AT_LEAST, AT_MOST)).all():
        raise RangeError(f"prevalence weights: sides = {signs.tolist()}; expected 0, 1 (at least) or -1 (at most).")
    return table, aims, sizes, start / start.sum(), signs
