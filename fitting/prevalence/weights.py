"""Reported results as calibration targets for prevalence weights.

A response rate is a share already. A survival rate is the share still free of the event at the landmark; a median is
the share that has had the event by the reported time, which is one half. A result among some patients only (responders)
is the share within that group. Each virtual patient counts with the probabilities of its two branches (`Outcomes`).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from ...model.endpoints import Outcomes
from ...model.imwg import CR, PR
from ...parameters.errors import FitError, InputError, RangeError
from ...parameters.units import DAYS_PER_MONTH
from ..calibration.likelihood import UNKNOWN_N
from ..calibration.predictions import SUSTAINED_MONTHS, can_predict
from ..observations import Observation, Study

# Prevalence weights: the prevalence of each plausible patient that makes the virtual trial reproduce the reports.
#
# Patients get weights w, as near as possible to the base weights b, so that weighted means of their features meet
# targets within their errors: the minimum of KL(w || b) + 1/2 sum_j ((F'w - t)_j / e_j)^2 over all w >= 0 that add up
# to 1. A target of one side costs nothing on its other side. Idea: prevalence weights of Klinke (2008) and of Schmidt
# et al. (2013); plausible patients and virtual populations: Allen, Rieger and Musante (2016), Rieger et al. (2018).
#
# Where the minimum lies, w_i is b_i exp(lambda' F_i) up to a constant, and the multipliers lambda minimise the convex
# dual log sum_i b_i exp(lambda'(F_i - t)) + 1/2 sum_j e_j^2 lambda_j^2 (maximum entropy: Jaynes 1957; with errors:
# Hummer and Koefinger 2015). So there are as many unknowns as targets, however many patients there are.
#
# How far the base weights hold against the targets: n patients drawn from b look like w with probability exp(-n KL)
# (Sanov 1957), so that b counts here as much as one patient would, and a target as much as its trial.


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
        return float(1.0 / np.sum(self.weights**2))

    @property
    def largest(self) -> float:
        """Largest weight, as a share of all."""
        return float(self.weights.max())

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
            trial = _dual(there, centred, errors, base)
            fall = float(slope @ (there - here))
            # beside huge multipliers a height is too coarse a number; of a convex function the slopes say as much
            if trial[0] <= height + 1e-4 * fall or abs(float(trial[1] @ (there - here))) <= 0.5 * abs(fall):
                break
        else:  # no lower point can be told from this one by double precision
            break
        if np.array_equal(there, here):
            break
        here, (height, slope, curvature) = there, trial
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
    table, aims, sizes = (np.asarray(array, dtype=float) for array in (features, targets, errors))
    if table.ndim != 2 or 0 in table.shape:
        raise InputError(f"prevalence weights: features have shape {table.shape}; expected (patients, targets).")
    patients, number = table.shape
    start = np.ones(patients) if base is None else np.asarray(base, dtype=float)
    signs = np.zeros(number, dtype=int) if sides is None else np.asarray(sides)
    for name, array, size in (
        ("targets", aims, number), ("errors", sizes, number), ("base", start, patients), ("sides", signs, number),
    ):  # fmt: skip
        if array.shape != (size,):
            raise InputError(f"prevalence weights: {name} has shape {array.shape}; expected ({size},).")
    for name, array in (("features", table), ("targets", aims), ("errors", sizes), ("base", start)):
        if not np.isfinite(array).all():
            wrong = array[~np.isfinite(array)][0]
            raise RangeError(f"prevalence weights: {name} holds {wrong}; expected finite numbers.")
    if np.any(sizes <= 0):
        raise RangeError(f"prevalence weights: errors holds {sizes.min():g}; expected positive numbers.")
    if np.any(start < 0) or not np.any(start > 0):
        raise RangeError(f"prevalence weights: base goes from {start.min():g} to {start.max():g}; expected positive.")
    if not np.isin(signs, (TWO_SIDED, AT_LEAST, AT_MOST)).all():
        raise RangeError(f"prevalence weights: sides = {signs.tolist()}; expected 0, 1 (at least) or -1 (at most).")
    return table, aims, sizes, start / start.sum(), signs


@dataclass(frozen=True, eq=False)
class Share:
    """One reported result as a share of a group of patients.

    Attributes
    ----------
    holds, group : array (patients,)
        Probability that a patient belongs to the group and has what is counted; probability of belonging to the group.
    reported, error
        The share to be met, and its sampling error.
    side
        `AT_MOST` where the report is a bound ("median not reached").
    """

    study: str
    item: Observation
    holds: np.ndarray
    group: np.ndarray
    reported: float
    error: float
    side: int = TWO_SIDED

    def under(self, weights: np.ndarray) -> float:
        """The share under these weights; NaN if no patient with a weight belongs to the group."""
        whole = float(weights @ self.group)
        return float(weights @ self.holds) / whole if whole > 0 else math.nan


@dataclass(frozen=True)
class LeftOut:
    """A reported result that is not asked of the weights, and why."""

    study: str
    item: Observation
    reason: str


def targets_of(
    results: Iterable[tuple[Study, Observation]], outcome: Outcomes
) -> tuple[tuple[Share, ...], tuple[LeftOut, ...]]:
    """The results of an arm as shares of its virtual patients, and those that are none.

    An item of weight v has an error larger by 1 / sqrt(v), as its likelihood would be flatter.
    """
    shares, left = [], []
    for study, item in results:
        if reason := _why_not(item, outcome):
            left.append(LeftOut(study.study, item, reason))
            continue
        holds, group = _COUNTED[item.endpoint](item, outcome)
        there = outcome.weight * group
        reported, error = _reported(item)
        side = AT_MOST if item.kind == "median_not_reached" else TWO_SIDED
        shares.append(
            Share(
                study.study, item, (there * holds).sum(axis=0), there.sum(axis=0), reported,
                error / math.sqrt(item.weight), side,
            )
        )  # fmt: skip
    return tuple(shares), tuple(left)


def weigh_targets(shares: Sequence[Share], base: np.ndarray, targets: ArrayLike | None = None) -> Prevalence:
    """Prevalence weights for which the shares are as reported, or as in `targets`.

    A share s within a group is met where the mean of `holds - s group` is zero. That is divided by the group's share
    under the base weights, so that it is a difference of shares and has their error; where the group has another size
    under the new weights, the error has changed by that factor. `before` and `met` of the result are those differences.
    """
    aims = np.array([share.reported for share in shares] if targets is None else targets, dtype=float)
    start = base / base.sum()
    sizes = [max(float(start @ share.group), 1e-9) for share in shares]
    features = [(share.holds - aim * share.group) / size for share, aim, size in zip(shares, aims, sizes, strict=True)]
    return prevalence_weights(
        np.stack(features, axis=1), np.zeros(len(aims)), [share.error for share in shares], start,
        sides=[share.side for share in shares],
    )  # fmt: skip


def _why_not(item: Observation, outcome: Outcomes) -> str:
    if item.endpoint in {"expansion_split", "function_threshold"}:
        return "a comparison or a threshold is not a share of patients"
    if not item.weight:
        return "its weight is zero"
    if item.endpoint not in _COUNTED or not can_predict(item):
        return "the model does not compute it for this group"
    months = item.time_months if item.kind == "rate" else (item.value or item.low) if item.unit == "months" else None
    if months and months > outcome.visits.months:
        return f"it lies beyond the follow-up of {outcome.visits.months:g} months"
    return ""


def _reported(item: Observation) -> tuple[float, float]:
    """The share and its sampling error: of a median 1/2 and 0.5 / sqrt(n), as if no patient were censored before it.

    Of a proportion it is binomial with one success and one failure added (Laplace), so that 100 % of 14 has an error;
    of a survival rate the half width of its 95 % interval over 1.96, or binomial where there is none.
    """
    n = item.n or UNKNOWN_N
    if item.unit != "%":
        return 0.5, 0.5 / math.sqrt(n)
    share = (item.value or 0.0) / 100.0
    if item.kind == "rate" and item.interval == "95% CI" and item.low is not None and item.high is not None:
        return share, (item.high - item.low) / 100.0 / (2.0 * NormalDist().inv_cdf(0.975))
    events = item.events if item.events is not None else n * share
    kept = (events + 1.0) / (n + 2.0)
    return share, math.sqrt(kept * (1.0 - kept) / n)


# What is counted: (holds, group), both (2, patients) in the branches of `Outcomes`


_Counted = tuple[np.ndarray, np.ndarray]


def _of_all(holds: np.ndarray) -> _Counted:
    both = np.broadcast_to(holds, (2, holds.shape[-1]))
    return both, np.ones_like(both, dtype=bool)


def _event_day(outcome: Outcomes) -> np.ndarray:
    return np.minimum(outcome.progression("expected"), outcome.death)


def _event_by(item: Observation, outcome: Outcomes) -> _Counted:
    """Progression or death by the reported median, or by the bound beyond which it lies."""
    return _of_all(_event_day(outcome) <= (item.value or item.low or 0.0) * DAYS_PER_MONTH)


def _event_free(item: Observation, outcome: Outcomes) -> _Counted:
    return _of_all(_event_day(outcome) > (item.time_months or 0.0) * DAYS_PER_MONTH)


def _response_over_by(item: Observation, outcome: Outcomes) -> _Counted:
    """Response over by the reported median, among responders as `Outcomes.duration_of_response` has them."""
    first = np.stack([response.first_response for response in outcome.responses])
    day = _event_day(outcome)
    group = (outcome.best >= PR) & np.isfinite(first) & (first < day)
    length = day - np.where(np.isfinite(first), first, 0.0)
    return length <= (item.value or item.low or 0.0) * DAYS_PER_MONTH, group


def _gone_by(item: Observation, outcome: Outcomes) -> _Counted:
    """Last detection by the reported median, in responders whose response is sustained or not."""
    sustained = outcome.progression() / DAYS_PER_MONTH >= SUSTAINED_MONTHS
    group = outcome.best >= PR
    if "not" in item.group.lower():
        group = group & ~sustained
    elif "sustained" in item.group.lower():
        group = group & sustained
    return outcome.persistence <= (item.value or 0.0), group


def _density_at_progression(item: Observation, outcome: Outcomes) -> _Counted:
    """Density at or below the reported median at progression, among responders who progress within follow-up."""
    came_back = np.isfinite(outcome.density_at_progression) & (outcome.best[0] >= PR)
    below = np.nan_to_num(outcome.density_at_progression, nan=np.inf) <= (item.value or 0.0)
    return np.stack([below, below]), np.stack([came_back, np.zeros_like(came_back)])


_COUNTED: dict[str, Callable[[Observation, Outcomes], _Counted]] = {
    "orr": lambda item, outcome: _of_all(outcome.best >= PR),
    "cr_rate": lambda item, outcome: _of_all(outcome.best >= CR),
    "scr_rate": lambda item, outcome: _of_all(outcome.best >= CR),
    "mrd_negative_rate": lambda item, outcome: _of_all(outcome.mrd_negative()),
    "mrd_negative_cr_rate": lambda item, outcome: _of_all(outcome.mrd_negative() & (outcome.best >= CR)),
    "pfs_rate": _event_free,
    "pfs_median": _event_by,
    "dor_median": _response_over_by,
    "persistence_median": _gone_by,
    "density_before": lambda item, outcome: _of_all(outcome.density_before <= (item.value or 0.0)),
    "density_at_progression": _density_at_progression,
    "t_max": lambda item, outcome: _of_all(outcome.t_max <= (item.value or 0.0)),
}
