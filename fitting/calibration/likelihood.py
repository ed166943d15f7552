"""Likelihood of a reported result given the model value; one form for each kind of result.

Each form gives a log-likelihood relative to a perfect match, and the standardised misfit: the signed square root of
twice the drop (a deviance residual), positive where the model is above the report. A misfit beyond 2 is notable.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import log_ndtr

from ..observations import Observation

_NORMAL = NormalDist()
_HALF_WIDTH = _NORMAL.inv_cdf(0.975)

MEDIAN_FACTOR = 0.5 / (math.log(2.0) * 0.5)
"""SE of ln(median) of n event times is this over sqrt(n), for an exponential distribution: the survival function has
SE 0.5/sqrt(n) at its median, and its slope against ln t there is -ln(2)/2 (delta method)."""

MEDIAN_OF_NORMAL = math.sqrt(math.pi / 2.0)
"""SE of the median of a normal sample, in SDs over sqrt(n)."""

QUARTILE_WIDTH = 2.0 * _NORMAL.inv_cdf(0.75)
"""Interquartile range of a normal distribution in SDs."""

CEILING_SD = 0.3
"""Tolerance, on the log scale, of 'function is lost below': assumed, an in-vitro threshold read off titrated clones."""

RATIO_SD = 0.3
"""Log-scale SE of a ratio of medians reported without interval: assumed."""

CENSORED_MEDIAN_FACTOR = 5.0
"""A median that the model does not reach (censored) counts as so many times the reported one."""

UNKNOWN_N = 10
"""Number of patients behind a percentage that was reported without one: assumed, so that it weighs little."""

DIRECTION_SD = 0.1
"""Tolerance, on the log scale, of 'less than' and 'more than': assumed, a tenth is no difference that a study sees."""

LEAST = math.log(1e-12)
"""A one-sided report that fails costs no more than this."""


@dataclass(frozen=True)
class Match:
    """Log-likelihood of an item relative to a perfect match (<= 0), and the standardised misfit."""

    log_likelihood: float
    misfit: float


@dataclass(frozen=True)
class ObservationMatch:
    """One reported result beside the model's value, in the unit of the report."""

    study: str
    item: Observation
    model: float
    log_likelihood: float
    misfit: float


LOST = Match(-50.0, math.nan)
"""Log-likelihood assigned when the model value is undefined, for example a median of no patients: a misfit of 10."""


def match(item: Observation, model: float) -> Match:
    """Compare a model value with a reported one, both in the unit of the report."""
    if math.isnan(model):
        return LOST
    fall, direction = scored(item, np.array([model]))
    return Match(float(fall[0]), float(np.copysign(math.sqrt(-2.0 * fall[0]), direction[0])))


def log_likelihoods(item: Observation, models: np.ndarray) -> np.ndarray:
    """Log-likelihood of an item relative to a perfect match, for an array of model values of any shape."""
    known = ~np.isnan(models)
    fall, _ = scored(item, np.where(known, models, item.value or 1.0))
    return np.where(known, fall, LOST.log_likelihood)


def scored(item: Observation, models: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fall of the log-likelihood (<= 0) and its direction, positive above the report, for model values without NaN."""
    if item.kind == "proportion":
        return _binomial(item, models)
    if item.kind == "rate":
        return _gaussian((cloglog(item.value or 0.0) - cloglog(models)) / rate_error(item))
    if item.kind == "median_not_reached":
        distance = np.log(np.maximum(models, 1e-3) / (item.low or 1.0))
        return _one_sided(distance, MEDIAN_FACTOR / math.sqrt(item.n or 1), above=True)
    if item.kind == "ceiling":
        return _one_sided(-np.log(np.maximum(models, 1e-9)), CEILING_SD, above=False)
    if item.kind == "split":
        return _split(item, models)
    if item.kind == "direction":
        distance = np.log(np.maximum(models, 1e-9)) * (1.0 if item.sense == "more" else -1.0)
        return _one_sided(distance, DIRECTION_SD, above=item.sense == "more")
    if item.kind == "range":
        return _range(item, models)
    if item.unit == "%":
        return _binomial(item, models)
    if item.value is None or item.value <= 0:
        return np.full(models.shape, LOST.log_likelihood), np.ones(models.shape)
    reached = np.where(np.isinf(models), CENSORED_MEDIAN_FACTOR * item.value, models)
    distance = np.log(np.clip(reached, 1e-6, 1e6) / item.value)
    error = np.where(distance > 0, log_error(item, above=True), log_error(item, above=False))
    return _gaussian(distance / error)


Scores = tuple[np.ndarray, np.ndarray]


def _range(item: Observation, models: np.ndarray) -> Scores:
    """Nothing is lost inside; outside, as if the bound had been reported of `UNKNOWN_N` patients."""
    low, high = item.low or 0.0, math.inf if item.high is None else item.high
    fall, direction = np.zeros(models.shape), np.ones(models.shape)
    for bound, outside in ((low, models < low), (high, models > high)):
        if not outside.any():
            continue
        if item.unit == "%":
            there = _binomial(item.model_copy(update={"value": bound, "kind": "value"}), models)
        else:
            there = _gaussian(np.log(np.maximum(models, 1e-6) / bound) / (MEDIAN_FACTOR / math.sqrt(item.n or 1)))
        fall, direction = np.where(outside, there[0], fall), np.where(outside, there[1], direction)
    return fall, direction


def _binomial(item: Observation, models: np.ndarray) -> Scores:
    n = item.n or UNKNOWN_N
    events = item.events if item.events is not None else n * (item.value or 0.0) / 100.0
    share = np.clip(models / 100.0, 1e-4, 1.0 - 1e-4)
    best = events / n
    top = events * math.log(best) + (n - events) * math.log(1.0 - best) if 0.0 < best < 1.0 else 0.0
    fall = events * np.log(share) + (n - events) * np.log1p(-share) - top
    return np.minimum(fall, 0.0), share - best


def _gaussian(z: np.ndarray) -> Scores:
    return -0.5 * z * z, z


def _one_sided(distance: np.ndarray, error: float, *, above: bool) -> Scores:
    """Probability that the report holds, when the model lies `distance` on the right side of its bound."""
    return np.maximum(log_ndtr(distance / error), LEAST), np.full(distance.shape, -1.0 if above else 1.0)


def _split(item: Observation, ratio: np.ndarray) -> Scores:
    """Probability that a cohort of this size would report a significant association in the right direction."""
    error = 2.0 / math.sqrt(item.n or 1)  # SE of the log hazard ratio of two equal groups, every patient an event
    beyond = -np.log(np.maximum(ratio, 1e-9)) / error  # a ratio of 0: the better group has no event at all
    return np.maximum(log_ndtr(beyond - _HALF_WIDTH), LEAST), np.ones(ratio.shape)


def cloglog(percent: np.ndarray | float) -> np.ndarray:
    """Complementary log-log of a percentage, kept a thousandth from its ends: ln(-ln(share))."""
    share = np.clip(np.asarray(percent) / 100.0, 1e-3, 1.0 - 1e-3)
    return np.log(-np.log(share))


def rate_error(item: Observation) -> float:
    """SE of a survival rate on the complementary log-log scale, from its interval or (Greenwood) its n."""
    if item.low is not None and item.high is not None and item.low > 0:
        return float(cloglog(item.low) - cloglog(item.high)) / (2.0 * _HALF_WIDTH)
    share = min(max((item.value or 50.0) / 100.0, 0.01), 0.99)
    return math.sqrt((1.0 - share) / (share * (item.n or 1))) / abs(math.log(share))


def log_error(item: Observation, *, above: bool) -> float:
    """SE of the log of a median: from its 95 % interval (the side towards the model), its quartiles, or its n."""
    value, low, high = item.value or 1.0, item.low, item.high
    if item.interval == "95% CI":
        side = high if (above and high is not None) or low is None else low
        return abs(math.log((side or value) / value)) / _HALF_WIDTH or MEDIAN_FACTOR
    if item.interval == "IQR" and low and high and item.n:
        return MEDIAN_OF_NORMAL * math.log(high / low) / QUARTILE_WIDTH / math.sqrt(item.n)
    if item.kind == "ratio":
        return RATIO_SD
    return MEDIAN_FACTOR / math.sqrt(item.n or 1)
