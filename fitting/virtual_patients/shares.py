"""Reported results as shares of patients: what a weight per patient can be asked to meet.

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
from ...parameters.units import DAYS_PER_MONTH
from ..items import Item, Study
from ..likelihood import UNKNOWN_N
from ..predictions import SUSTAINED_MONTHS, can_predict
from .prevalence import AT_MOST, TWO_SIDED, Prevalence, prevalence_weights


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
    item: Item
    holds: np.ndarray
    group: np.ndarray
    reported: float
    error: float
    side: int = TWO_SIDED

    def under(self, weights: np.ndarray) -> float:
        """The share under these weights; NaN if nobody with a weight belongs to the group."""
        whole = float(weights @ self.group)
        return float(weights @ self.holds) / whole if whole > 0 else math.nan


@dataclass(frozen=True)
class LeftOut:
    """A reported result that is not asked of the weights, and why."""

    study: str
    item: Item
    reason: str


def shares_of(
    results: Iterable[tuple[Study, Item]], outcome: Outcomes
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


def weigh_shares(shares: Sequence[Share], base: np.ndarray, targets: ArrayLike | None = None) -> Prevalence:
    """Prevalence weights for which the shares are as reported, or as in `targets`.

    A share s within a group is met where the mean of `holds - s group` is zero. That is divided by the group's share
    under the base weights, so that it is a difference of shares and has their error; where the group has another size
    under the new weights, the error has changed by that factor. `before` and `met` of the result are those differences.
    """
    aims = np.array([one.reported for one in shares] if targets is None else targets, dtype=float)
    start = base / base.sum()
    sizes = [max(float(start @ one.group), 1e-9) for one in shares]
    features = [(one.holds - aim * one.group) / size for one, aim, size in zip(shares, aims, sizes, strict=True)]
    return prevalence_weights(
        np.stack(features, axis=1), np.zeros(len(aims)), [one.error for one in shares], start,
        sides=[one.side for one in shares],
    )  # fmt: skip


def _why_not(item: Item, outcome: Outcomes) -> str:
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


def _reported(item: Item) -> tuple[float, float]:
    """The share and its sampling error: of a median 1/2 and 0.5 / sqrt(n), as if nobody were censored before it.

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


def _event_by(item: Item, outcome: Outcomes) -> _Counted:
    """Progression or death by the reported median, or by the bound beyond which it lies."""
    return _of_all(_event_day(outcome) <= (item.value or item.low or 0.0) * DAYS_PER_MONTH)


def _event_free(item: Item, outcome: Outcomes) -> _Counted:
    return _of_all(_event_day(outcome) > (item.time_months or 0.0) * DAYS_PER_MONTH)


def _response_over_by(item: Item, outcome: Outcomes) -> _Counted:
    """Response over by the reported median, among responders as `Outcomes.duration_of_response` has them."""
    first = np.stack([response.first_response for response in outcome.responses])
    day = _event_day(outcome)
    group = (outcome.best >= PR) & np.isfinite(first) & (first < day)
    length = day - np.where(np.isfinite(first), first, 0.0)
    return length <= (item.value or item.low or 0.0) * DAYS_PER_MONTH, group


def _gone_by(item: Item, outcome: Outcomes) -> _Counted:
    """Last detection by the reported median, in responders whose response is sustained or not."""
    sustained = outcome.progression() / DAYS_PER_MONTH >= SUSTAINED_MONTHS
    group = outcome.best >= PR
    if "not" in item.group.lower():
        group = group & ~sustained
    elif "sustained" in item.group.lower():
        group = group & sustained
    return outcome.persistence <= (item.value or 0.0), group


def _density_at_progression(item: Item, outcome: Outcomes) -> _Counted:
    """Density at or below the reported median at progression, among responders who progress within follow-up."""
    came_back = np.isfinite(outcome.density_at_progression) & (outcome.best[0] >= PR)
    below = np.nan_to_num(outcome.density_at_progression, nan=np.inf) <= (item.value or 0.0)
    return np.stack([below, below]), np.stack([came_back, np.zeros_like(came_back)])


_COUNTED: dict[str, Callable[[Item, Outcomes], _Counted]] = {
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
