"""Influence of each observation on each parameter, and prior-data conflicts.

The influence (`pull`) of an item on a parameter is how far the posterior mode moves, in posterior SDs, because the item
is there (case deletion): above zero it raises the parameter. Left out, the mode moves by as much the other way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, ndtr
from scipy.stats import chi2

from ...parameters.errors import FitError, RangeError

# Gradient and Hessian of every item's log-likelihood at one point, by finite differences in batches.


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
class Curvature:
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


FEWEST = 20.0
"""Effective draws below which a reweighted posterior says nothing."""

NOTABLE = 0.2
"""Posterior SDs: smaller pulls are of the size of the sampling error of some hundred draws."""


@dataclass(frozen=True, eq=False)
class Pulls:
    """Pulls (items, d) in posterior SDs, and how each item stands to everything else.

    Attributes
    ----------
    pulls
        Gaussian approximation: one Newton step without the item.
    p_values
        Of every item against all the others and the prior, (items,): its score where the others would have the optimum,
        against the spread that it would then have. Small: the item does not belong.
    reweighted, effective
        The same pulls from posterior draws weighted by 1 over the item's likelihood, and the effective number of draws
        (Kish); NaN below `FEWEST`. None without draws.
    agreement
        Correlation of both kinds of pull, over those of at least `NOTABLE` with enough draws; NaN if there are fewer
        than three.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    pulls: np.ndarray
    p_values: np.ndarray
    reweighted: np.ndarray | None
    effective: np.ndarray | None
    agreement: float

    def sentences(self, most: int = 10) -> tuple[str, ...]:
        """The strongest pulls in words, one for each item."""
        strongest = np.argmax(np.abs(self.pulls), axis=1)
        sizes = self.pulls[range(len(self.labels)), strongest]
        return tuple(
            f"{self.labels[i]} pulls {self.ids[strongest[i]]} {'up' if sizes[i] > 0 else 'down'} by "
            f"{abs(sizes[i]):.2f} posterior SDs."
            for i in np.argsort(-np.abs(sizes))[:most]
        )


@dataclass(frozen=True)
class Conflict:
    """Two items that want different values of a number.

    Attributes
    ----------
    opposition
        Cosine between the scores of both, in units in which the posterior is a sphere: -1 if what one wants is just
        what the other does not.
    first_pull, second_pull
        On the number, posterior SDs.
    difference
        Estimate of the number with the first item and without the second, less that with the second and without the
        first, in posterior SDs; and its two-sided p-value as in node splitting (Dias et al. 2010). The pair and
        the number were chosen because they differ, so `p_adjusted` counts all opposed pairs (Bonferroni).
    """

    first: str
    second: str
    id: str
    opposition: float
    first_pull: float
    second_pull: float
    difference: float
    p_value: float
    p_adjusted: float

    @property
    def sentence(self) -> str:
        """In words."""
        up, down = (self.first, self.second) if self.first_pull > 0 else (self.second, self.first)
        sizes = sorted((self.first_pull, self.second_pull))
        return (
            f"{up} pulls {self.id} up by {sizes[1]:.2f} posterior SDs, {down} pulls it down by {-sizes[0]:.2f}; with "
            f"only one of them it would differ by {abs(self.difference):.2f} (p = {self.p_value:.2g}, adjusted "
            f"{self.p_adjusted:.2g})."
        )


def observation_influence(
    at: Curvature, *, log_likelihoods: Function | None = None, draws: np.ndarray | None = None
) -> Pulls:
    """Pull of every item on every number at the highest posterior.

    The step is (P - H_i)^-1 s_i with the precision P, and score s_i and information H_i of the item: exact for linear
    models with normal errors, and one step of Newton's method otherwise (Pregibon 1981). With
    `draws` (n, d) from the posterior and the function, importance reweighting checks it (Gelfand, Dey & Chang 1992).
    """
    precision, sd = at.precision, at.sd
    shape = (len(at.labels), len(at.ids))
    pulls, p_values = np.empty(shape), np.empty(shape[0])
    for i, (score, information) in enumerate(zip(at.scores, at.information, strict=True)):
        without = np.linalg.inv(precision - information)
        pulls[i] = without @ score
        p_values[i] = _against_the_rest(score, information, pulls[i], without)
    reweighted, effective, agreement = None, None, np.nan
    if draws is not None:
        if log_likelihoods is None:
            raise RangeError("draws are reweighted by the likelihood of each item; give log_likelihoods with them.")
        reweighted, effective = _reweighted(evaluate(log_likelihoods, draws), np.asarray(draws, dtype=float))
        known = np.isfinite(reweighted) & (np.abs(pulls / sd) >= NOTABLE)
        if known.sum() > 2:
            agreement = float(np.corrcoef(reweighted[known], (pulls / sd)[known])[0, 1])
    return Pulls(at.ids, at.labels, pulls / sd, p_values, reweighted, effective, agreement)


def _against_the_rest(score: np.ndarray, information: np.ndarray, move: np.ndarray, without: np.ndarray) -> float:
    """p-value of an item where the others have the optimum: its score there has covariance H + H C H (normal theory).

    One degree of freedom, along the score: exact for an item that depends on the numbers through one value.
    """
    there = score + information @ move
    expected = there @ (information + information @ without @ information) @ there
    return float(chi2.sf((there @ there) ** 2 / expected, 1)) if expected > 1e-12 else 1.0


def _reweighted(values: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logs = -values
    weights = np.exp(logs - logsumexp(logs, axis=0))  # (n, items)
    effective = 1.0 / np.sum(weights**2, axis=0)
    shift = (draws.mean(axis=0) - weights.T @ draws) / draws.std(axis=0, ddof=1)
    return np.where(effective[:, None] >= FEWEST, shift, np.nan), effective


def conflicts(at: Curvature, *, most: int = 20, candidates: int = 300) -> tuple[Conflict, ...]:
    """Pairs of items that disagree, the least probable first.

    Of the pairs that move some parameter in opposite directions, the `candidates` with the most opposed scores are
    compared on the parameter on which the weaker of the two influences is strongest.
    """
    precision, covariance, sd = at.precision, at.covariance, at.sd
    root = np.linalg.cholesky(covariance)
    white = at.scores @ root
    sizes = np.linalg.norm(white, axis=1)
    products = white @ white.T
    pulls = observation_influence(at).pulls
    first, second = np.triu_indices(len(at.labels), 1)
    opposed = np.flatnonzero(np.any(pulls[first] * pulls[second] < 0, axis=1) & (products[first, second] < 0))
    order = opposed[np.argsort(products[first[opposed], second[opposed]])][:candidates]
    ranked = []
    for i, j in zip(first[order], second[order], strict=True):
        weaker = np.where(pulls[i] * pulls[j] < 0, np.minimum(np.abs(pulls[i]), np.abs(pulls[j])), 0.0)
        k = int(np.argmax(weaker))
        difference, error = _split(at, precision, int(i), int(j), k)
        p = float(2.0 * ndtr(-abs(difference) / error)) if error > 0 else 1.0
        ranked.append(
            Conflict(
                at.labels[i], at.labels[j], at.ids[k], float(products[i, j] / (sizes[i] * sizes[j])),
                float(pulls[i, k]), float(pulls[j, k]), float(difference / sd[k]), p, min(1.0, p * len(opposed)),
            )
        )  # fmt: skip
    return tuple(sorted(ranked, key=lambda conflict: conflict.p_value)[:most])


def _split(at: Curvature, precision: np.ndarray, i: int, j: int, k: int) -> tuple[float, float]:
    """Number k with item i instead of item j, less with j instead of i, and the SD of this if they agree.

    With C the covariance without both, and C_i and C_j with one of them, the SD follows from
    (C - C_i) + (C - C_j) - 2 (C - C_i) C^-1 (C - C_j): normal theory, the rest and the prior being shared.
    """
    base = precision - at.information[i] - at.information[j]
    neither, with_i, with_j = (np.linalg.inv(base + extra) for extra in (0.0, at.information[i], at.information[j]))
    only_i, only_j = with_i @ -at.scores[j], with_j @ -at.scores[i]
    gain_i, gain_j = neither - with_i, neither - with_j
    variance = gain_i[k, k] + gain_j[k, k] - 2.0 * (gain_i[k] @ base @ gain_j[:, k])
    return float(only_i[k] - only_j[k]), float(np.sqrt(max(variance, 0.0)))
