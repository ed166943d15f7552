"""Emulator of the simulated trials: a quadratic in the estimated parameters for every fitted result.

Calibrate, emulate, sample (Cleary, Garbuno-Inigo, Lan, Schneider & Stuart 2021): the model is run at some hundred
points, every time among other virtual patients; each result is learnt on its own scale (`scale`) as a Gaussian process
whose kernel is a polynomial of second degree in the numbers that can bear on it, each with a relevance of its own. Such
a process is an explicit quadratic, so values and derivatives cost nothing. What it leaves uncertain (few points, and
shape that no quadratic has) widens the likelihood of the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from ..observations import Observation
from .design import Design
from .likelihood import CENSORED_MEDIAN_FACTOR, UNKNOWN_N, cloglog, log_error, log_likelihoods, rate_error
from .problem import Problem
from .search_space import REACH, relevant

# Threads of BLAS: many small matrices are faster on one thread than on several.


on_one_blas_thread = threadpool_limits.wrap(limits=1, user_api="blas")
"""Decorator: OpenBLAS and its kin use one thread while it runs; on two cores learning is three times quicker."""


# Emulated scale of a result: logit for percentages, log for everything else.


LEAST_SHARE = 0.003
"""Percentages are kept this far from 0 and 1: a few hundred virtual patients tell no less."""


def to_scale(item: Observation, models: np.ndarray) -> np.ndarray:
    """Model values in the unit of the report, any shape, on the scale of the emulator; NaN stays NaN."""
    if item.unit == "%":
        share = np.clip(models / 100.0, LEAST_SHARE, 1.0 - LEAST_SHARE)
        return np.log(share / (1.0 - share))
    low, high = bounds(item)
    return np.log(np.clip(models, low, high))


def from_scale(item: Observation, places: np.ndarray) -> np.ndarray:
    """Inverse of `to_scale`."""
    if item.unit == "%":
        return 100.0 / (1.0 + np.exp(-places))
    low, high = bounds(item)
    return np.exp(np.clip(places, np.log(low), np.log(high)))


def bounds(item: Observation) -> tuple[float, float]:
    """Range of what is not a percentage: ratios within 100-fold, others within what matters for the likelihood."""
    if item.kind in ("ceiling", "split", "direction"):
        return 0.01, 100.0
    reported = item.value or item.low or item.high or 1.0
    return reported / 100.0, reported * CENSORED_MEDIAN_FACTOR


# Vectorised log-likelihoods of many results at many points, in the forms of `likelihood`.


class Scoring:
    """Weighted log-likelihoods of the same items again and again, equal to those of `likelihood` item by item."""

    def __init__(self, items: Sequence[Observation], learnt: Sequence[Observation] | None = None) -> None:
        """`learnt` are the reports on whose scales results were learnt, if these are others of the same endpoints."""
        self.items, self.learnt = tuple(items), tuple(learnt or items)
        self.weights = np.array([item.weight for item in items])
        kinds = np.array([_form(item) for item in items])
        self._counts, self._rates, self._logs, self._others = (
            np.flatnonzero(kinds == kind) for kind in ("count", "rate", "log", "other")
        )
        counted = [self.items[int(k)] for k in self._counts]
        self._n = np.array([item.n or UNKNOWN_N for item in counted], dtype=float)
        self._events = np.array([_events(item) for item in counted], dtype=float)
        best = self._events / self._n
        inside = np.where((best > 0) & (best < 1), best, 0.5)
        top = self._events * np.log(inside) + (self._n - self._events) * np.log1p(-inside)
        self._top = np.where((best > 0) & (best < 1), top, 0.0)
        rated = [self.items[int(k)] for k in self._rates]
        self._cloglog = np.array([float(cloglog(item.value or 0.0)) for item in rated])
        self._rate_error = np.array([rate_error(item) for item in rated])
        logged = [self.items[int(k)] for k in self._logs]
        self._log_value = np.log([item.value or 1.0 for item in logged])
        self._above = np.array([log_error(item, above=True) for item in logged])
        self._below = np.array([log_error(item, above=False) for item in logged])
        self._percent = np.array([item.unit == "%" for item in items])
        limits = [bounds(item) if item.unit != "%" else (1.0, 1.0) for item in self.learnt]
        self._bounds = np.log(limits).reshape(-1, 2)

    def models(self, places: np.ndarray) -> np.ndarray:
        """Results in the unit of their reports from their scale, arrays (..., items)."""
        models = np.empty(places.shape)
        share, other = self._percent, ~self._percent
        models[..., share] = 100.0 / (1.0 + np.exp(-places[..., share]))
        models[..., other] = np.exp(np.clip(places[..., other], self._bounds[other, 0], self._bounds[other, 1]))
        return models

    def places(self, models: np.ndarray) -> np.ndarray:
        """Inverse of `models`: results (..., items) on their scale."""
        columns = [to_scale(item, models[..., k]) for k, item in enumerate(self.learnt)]
        return np.stack(columns, axis=-1)

    def __call__(self, models: np.ndarray) -> np.ndarray:
        """Weighted log-likelihoods, shaped like `models` (..., items), which hold no NaN."""
        terms = np.empty(models.shape)
        share = np.clip(models[..., self._counts] / 100.0, 1e-4, 1.0 - 1e-4)
        fall = self._events * np.log(share) + (self._n - self._events) * np.log1p(-share) - self._top
        terms[..., self._counts] = np.minimum(fall, 0.0)
        z = (self._cloglog - cloglog(models[..., self._rates])) / self._rate_error
        terms[..., self._rates] = -0.5 * z**2
        logged = models[..., self._logs]
        reached = np.where(np.isinf(logged), CENSORED_MEDIAN_FACTOR * np.exp(self._log_value), logged)
        distance = np.log(np.clip(reached, 1e-6, 1e6)) - self._log_value
        terms[..., self._logs] = -0.5 * (distance / np.where(distance > 0, self._above, self._below)) ** 2
        for k in self._others:
            terms[..., k] = log_likelihoods(self.items[k], models[..., k])
        return terms * self.weights


def _form(item: Observation) -> str:
    if item.kind == "proportion" or (item.kind == "value" and item.unit == "%"):
        return "count"
    if item.kind == "rate":
        return "rate"
    if item.kind in ("median", "ratio", "value") and item.unit != "%" and (item.value or 0.0) > 0:
        return "log"
    return "other"


def _events(item: Observation) -> float:
    return item.events if item.events is not None else (item.n or UNKNOWN_N) * (item.value or 0.0) / 100.0


# Training: a Gaussian process with a polynomial kernel, learnt from noisy values.
#
# The kernel is linear + quadratic in the parameters scaled by relevance: x.A.x' + c (x.A.x')^2, plus a constant. The
# relevances A (automatic relevance determination, MacKay 1994), the curvature c and the noise are those of the highest
# marginal likelihood (Rasmussen & Williams 2006, chapters 2 and 5).


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
        derivative = np.zeros(len(numbers))
        away = numbers[self.chosen] - self.centre
        derivative[self.chosen] = self.slope_at_centre + 2.0 * self.bend @ away
        return derivative


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


_NODES = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)])
_SHARES = np.array([1.0, 4.0, 1.0]) / 6.0
"""Gauss-Hermite rule of three nodes for a standard normal."""
_STEP = 1e-3
"""Step of the derivative of a likelihood by the emulated value, on the emulator's scale."""


@dataclass(frozen=True, eq=False)
class Emulator:
    """Every fitted result as a quadratic of the point of the search space, and the joint posterior that follows.

    Attributes
    ----------
    items
        The results, one for every quadratic.
    quadratics
        In prior SDs of the numbers, on the scale of the result.
    mix : array (ids, size)
        Turns a point of the search space into prior SDs of the numbers (`SearchSpace.mix`).
    learnt
        The reports on whose scales the quadratics were learnt, if `items` are others.
    """

    items: tuple[Observation, ...]
    quadratics: tuple[Quadratic, ...]
    mix: np.ndarray
    learnt: tuple[Observation, ...] | None = None

    @property
    def size(self) -> int:
        """Coordinates of a point."""
        return self.mix.shape[1]

    @cached_property
    def spread(self) -> np.ndarray:
        """What the emulator leaves uncertain of each result, as an SD on its scale: array (items,)."""
        return np.array([quadratic.spread for quadratic in self.quadratics])

    @cached_property
    def _scoring(self) -> Scoring:
        return Scoring(self.items, self.learnt)

    @cached_property
    def _groups(self) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...]:
        """Quadratics of the same numbers, stacked: places, numbers, centre, levels, slopes and bends."""
        places: dict[bytes, list[int]] = {}
        for k, quadratic in enumerate(self.quadratics):
            places.setdefault(quadratic.chosen.tobytes() + quadratic.centre.tobytes(), []).append(k)
        groups = []
        for which in places.values():
            some = [self.quadratics[k] for k in which]
            groups.append((
                np.array(which), some[0].chosen, some[0].centre, np.array([quadratic.level for quadratic in some]),
                np.stack([quadratic.slope_at_centre for quadratic in some], axis=1),
                np.stack([quadratic.bend for quadratic in some], axis=1),
            ))  # fmt: skip
        return tuple(groups)

    def places(self, points: np.ndarray) -> np.ndarray:
        """Every result on its scale at points (m, size): array (m, items)."""
        numbers = np.asarray(points) @ self.mix.T
        scaled = np.empty((len(numbers), len(self.items)))
        for which, chosen, centre, level, slope, bend in self._groups:
            away = numbers[:, chosen] - centre
            curved = (away @ bend.reshape(len(chosen), -1)).reshape(len(away), len(which), len(chosen))
            scaled[:, which] = level + away @ slope + np.einsum("mki,mi->mk", curved, away)
        return scaled

    def models(self, points: np.ndarray) -> np.ndarray:
        """Every result in the unit of its report at points (m, size): array (m, items)."""
        return self._scoring.models(self.places(points))

    def noisy(self, models: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Results (m, items) with what the emulator leaves uncertain added, in the unit of their reports."""
        places = self._scoring.places(models)
        return self._scoring.models(places + self.spread * rng.standard_normal(places.shape))

    def slopes(self, point: np.ndarray) -> np.ndarray:
        """Derivative of every result on its scale by the coordinates of one point: array (items, size)."""
        numbers = self.mix @ point
        return np.stack([quadratic.slope(numbers) for quadratic in self.quadratics]) @ self.mix

    def of_places(self, places: np.ndarray) -> np.ndarray:
        """Weighted log-likelihoods (m, items) of results on their scale, averaged over what is left open."""
        around = places[:, None, :] + _NODES[:, None] * self.spread
        logs = self._scoring(self._scoring.models(around))
        top = logs.max(axis=1)
        return top + np.log(np.einsum("n,mnk->mk", _SHARES, np.exp(logs - top[:, None, :])))

    def log_likelihoods(self, points: np.ndarray) -> np.ndarray:
        """Weighted log-likelihood of every result at points (m, size): array (m, items)."""
        return self.of_places(self.places(points))

    def log_posterior(self, points: np.ndarray) -> np.ndarray:
        """Log posterior at points (m, size), up to a constant; minus infinity beyond the reach of the search."""
        points = np.atleast_2d(points)
        inside = np.abs(points).max(axis=1) <= REACH
        values = np.full(len(points), -np.inf)
        if inside.any():
            chosen = points[inside]
            values[inside] = self.log_likelihoods(chosen).sum(axis=1) - 0.5 * np.sum(chosen**2, axis=1)
        return values

    def with_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Log posterior at one point and its gradient (size,): exact in the quadratics, and by difference in the
        likelihood of each.
        """
        point = np.asarray(point, dtype=float)
        places = self.places(point[None, :])
        above, below = self.of_places(places + _STEP)[0], self.of_places(places - _STEP)[0]
        value = float(self.of_places(places).sum() - 0.5 * point @ point)
        return value, ((above - below) / (2.0 * _STEP)) @ self.slopes(point) - point

    def precision(self, point: np.ndarray) -> np.ndarray:
        """Inverse covariance (size, size) of the Gaussian approximation at a point (Gauss-Newton, Fisher scoring)."""
        places = self.places(np.asarray(point)[None, :])
        step = 0.05
        three = [self.of_places(places + s)[0] for s in (-step, 0.0, step)]
        bend = np.maximum(-(three[0] - 2.0 * three[1] + three[2]) / step**2, 0.0)
        slopes = self.slopes(point)
        return slopes.T @ (bend[:, None] * slopes) + np.eye(self.size)

    def of_items(self, items: Sequence[Observation]) -> "Emulator":
        """The same emulator for other reports of the same endpoints, such as synthetic ones; order as in `items`."""
        return Emulator(tuple(items), self.quadratics, self.mix, self.learnt or self.items)

    def without(self, study_items: Sequence[str]) -> "Emulator":
        """The posterior without the results of these ids."""
        kept = [k for k, item in enumerate(self.items) if item.id not in set(study_items)]
        learnt = self.learnt or self.items
        return Emulator(
            tuple(self.items[k] for k in kept), tuple(self.quadratics[k] for k in kept), self.mix,
            tuple(learnt[k] for k in kept),
        )  # fmt: skip


# The emulator of the joint fit.


CLOSE = 1.5
"""Points within so many posterior SDs (root mean square) of the centre count fully, others by its square."""


@on_one_blas_thread
def train_emulator(
    problem: Problem, design: Design, *, centre: np.ndarray, covariance: np.ndarray | None = None,
    noise: np.ndarray | None = None, before: Emulator | None = None, logs: Sequence[np.ndarray] | None = None,
) -> Emulator:  # fmt: skip
    """Learn every fitted result.

    Parameters
    ----------
    centre, covariance
        Where the emulator shall be good, in the search space: the posterior so far. Without a covariance: everywhere.
    noise : array (items,)
        SD of an evaluation on the scale of each result that comes from the sampling of patients (`patient_noise`).
    before
        An earlier emulator, whose relevances are where the learning starts.
    logs
        Relevances and noise that were learnt before, result by result, and are taken as they are.
    """
    mix = problem.space.mix
    numbers, there = design.points @ mix.T, mix @ centre
    spread = None if covariance is None else mix @ covariance @ mix.T
    quadratics: list[Quadratic] = []
    for k, (study, item) in enumerate(problem.fitted):
        chosen = relevant(problem.space.ids, study, item)
        known = np.flatnonzero(~np.isnan(design.models[:, k]))
        doubt = np.ones(len(known))
        if spread is not None:
            away = numbers[np.ix_(known, chosen)] - there[chosen]
            metric = np.linalg.inv(spread[np.ix_(chosen, chosen)] + 1e-6 * np.eye(len(chosen)))
            doubt = np.maximum(1.0, np.einsum("ni,ij,nj->n", away, metric, away) / len(chosen) / CLOSE**2)
        quadratics.append(
            learn(
                numbers[known], to_scale(item, design.models[known, k]), chosen, centre=there, doubt=doubt,
                patient_noise=0.0 if noise is None else float(noise[k]),
                start=None if before is None else before.quadratics[k].logs,
                known=None if logs is None else logs[k],
            )
        )  # fmt: skip
    return Emulator(problem.items, tuple(quadratics), mix)


def patient_noise(problem: Problem, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """SD of each result on its scale between two sets of patients at the same points: arrays (points, items).

    The pure error of response surfaces (Box & Draper 1987): half the mean square of the differences of pairs.
    """
    noise = np.zeros(len(problem.items))
    for k, item in enumerate(problem.items):
        difference = to_scale(item, first[:, k]) - to_scale(item, second[:, k])
        known = difference[np.isfinite(difference)]
        noise[k] = np.sqrt(0.5 * np.mean(known**2)) if known.size else 0.0
    return noise
