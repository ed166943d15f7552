"""How probable a reported result is, given what the model says; one form for each kind of result.

Each form gives a log-likelihood relative to a perfect match, and the standardised misfit: the signed square root of
twice its fall (a deviance residual), positive where the model is above the report. A misfit beyond 2 is notable.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from .items import Item

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


UNKNOWN_N = 10
"""Number of patients behind a percentage that was reported without one: assumed, so that it weighs little."""

DIRECTION_SD = 0.1
"""Tolerance, on the log scale, of 'less than' and 'more than': assumed, a tenth is no difference that a study sees."""


@dataclass(frozen=True)
class Match:
    """Log-likelihood of an item relative to a perfect match (<= 0), and the standardised misfit."""

    log_likelihood: float
    misfit: float


@dataclass(frozen=True)
class ItemMatch:
    """One reported result beside the model's value, in the unit of the report."""

    study: str
    item: Item
    model: float
    log_likelihood: float
    misfit: float


LOST = Match(-50.0, math.nan)
"""For a model value that does not exist, for example a median of nobody: as bad as a misfit of ten."""


def match(item: Item, model: float) -> Match:
    """Compare a model value with a reported one, both in the unit of the report."""
    if math.isnan(model):
        return LOST
    if item.kind == "proportion":
        return _binomial(item, model)
    if item.kind == "rate":
        return _gaussian(_cloglog(model) - _cloglog(item.value or 0.0), _rate_error(item), sign=-1.0)
    if item.kind == "median_not_reached":
        return _one_sided(
            math.log(max(model, 1e-3) / (item.low or 1.0)), MEDIAN_FACTOR / math.sqrt(item.n or 1), above=True
        )
    if item.kind == "ceiling":
        return _one_sided(-math.log(max(model, 1e-9)), CEILING_SD, above=False)
    if item.kind == "split":
        return _split(item, model)
    if item.kind == "direction":
        distance = math.log(max(model, 1e-9)) * (1.0 if item.sense == "more" else -1.0)
        return _one_sided(distance, DIRECTION_SD, above=item.sense == "more")
    if item.kind == "range":
        return _range(item, model)
    if item.unit == "%":
        return _binomial(item, model)
    if item.value is None or item.value <= 0:
        return LOST
    distance = math.log(min(max(model, 1e-6), 1e6) / item.value)
    return _gaussian(distance, _log_error(item, distance))


def _range(item: Item, model: float) -> Match:
    """Nothing is lost inside; outside, as if the bound had been reported of `UNKNOWN_N` patients."""
    low, high = item.low or 0.0, math.inf if item.high is None else item.high
    if low <= model <= high:
        return Match(0.0, 0.0)
    bound = low if model < low else high
    if item.unit == "%":
        return _binomial(item.model_copy(update={"value": bound, "kind": "value"}), model)
    return _gaussian(math.log(max(model, 1e-6) / bound), MEDIAN_FACTOR / math.sqrt(item.n or 1))


def _binomial(item: Item, model: float) -> Match:
    n = item.n or UNKNOWN_N
    events = item.events if item.events is not None else n * (item.value or 0.0) / 100.0
    share = min(max(model / 100.0, 1e-4), 1.0 - 1e-4)

    def log_of(p: float) -> float:
        hits = events * math.log(p) if events else 0.0
        return hits + ((n - events) * math.log(1.0 - p) if n > events else 0.0)

    best = events / n
    fall = log_of(share) - (log_of(best) if 0.0 < best < 1.0 else 0.0)
    return _match(min(fall, 0.0), share - best)


def _gaussian(distance: float, error: float, sign: float = 1.0) -> Match:
    z = sign * distance / error
    return Match(-0.5 * z * z, z)


def _one_sided(distance: float, error: float, *, above: bool) -> Match:
    """Probability that the report holds, when the model lies `distance` on the right side of its bound."""
    fall = math.log(max(_NORMAL.cdf(distance / error), 1e-12))
    return _match(fall, -1.0 if above else 1.0)


def _split(item: Item, ratio: float) -> Match:
    """Probability that a cohort of this size would report a significant association in the right direction."""
    error = 2.0 / math.sqrt(item.n or 1)  # SE of the log hazard ratio of two equal groups, every patient an event
    beyond = -math.log(max(ratio, 1e-9)) / error  # a ratio of 0: the better group has no event at all
    return _match(math.log(max(_NORMAL.cdf(beyond - _HALF_WIDTH), 1e-12)), 1.0)


def _match(fall: float, direction: float) -> Match:
    return Match(fall, math.copysign(math.sqrt(-2.0 * fall), direction))


def _cloglog(percent: float) -> float:
    share = min(max(percent / 100.0, 1e-3), 1.0 - 1e-3)
    return math.log(-math.log(share))


def _rate_error(item: Item) -> float:
    """SE of a survival rate on the complementary log-log scale, from its interval or (Greenwood) its n."""
    if item.low is not None and item.high is not None and item.low > 0:
        return (_cloglog(item.low) - _cloglog(item.high)) / (2.0 * _HALF_WIDTH)
    share = min(max((item.value or 50.0) / 100.0, 0.01), 0.99)
    return math.sqrt((1.0 - share) / (share * (item.n or 1))) / abs(math.log(share))


def _log_error(item: Item, distance: float) -> float:
    """SE of the log of a median: from its 95 % interval (the side towards the model), its quartiles, or its n."""
    value, low, high = item.value or 1.0, item.low, item.high
    if item.interval == "95% CI":
        side = high if (distance > 0 and high is not None) or low is None else low
        return abs(math.log((side or value) / value)) / _HALF_WIDTH or MEDIAN_FACTOR
    if item.interval == "IQR" and low and high and item.n:
        return MEDIAN_OF_NORMAL * math.log(high / low) / QUARTILE_WIDTH / math.sqrt(item.n)
    if item.kind == "ratio":
        return RATIO_SD
    return MEDIAN_FACTOR / math.sqrt(item.n or 1)
