"""Synthetic reports: every result drawn from its own likelihood, given the model.

Counts are binomial, survival rates normal on the complementary log-log scale, medians and other numbers log-normal with
the error that `likelihood` gives them (two halves of different width where the interval is not symmetric); the interval
moves with the value. Results that are yes or no hold with the probability that their likelihood states: a direction
turns round, a median that was not reached becomes a median that was. The opposite of a split, a ceiling or a range
cannot be written as a report; such a result is left out, and said to be.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ...parameters.errors import FitError
from ..calibration.likelihood import MEDIAN_FACTOR, UNKNOWN_N, cloglog, log_error, log_likelihoods, rate_error
from ..observations import Observation

ONE_SIDED = ("median_not_reached", "direction", "split", "ceiling", "range")
"""Kinds whose likelihood is the probability that what was reported holds."""

HELD = ("split", "ceiling", "range")
"""Kinds whose opposite cannot be reported."""

_LEAST, _MOST = 1e-3, 1.0 - 1e-3  # shares between which survival rates are compared


@dataclass(frozen=True)
class Synthetic:
    """A drawn set of reports.

    Attributes
    ----------
    items
        In the order of the originals; one that could not be drawn stands as it was reported.
    failed
        Ids of results that would not have been found, and whose opposite cannot be reported.
    """

    items: tuple[Observation, ...]
    failed: tuple[str, ...]


def synthesise(
    items: Sequence[Observation], models: np.ndarray, rng: np.random.Generator, *, tempered: bool = False
) -> Synthetic:
    """Draw all reports from the model's values (items,), in the units of the reports.

    With `tempered` a result of weight w is drawn as imprecisely as its weighted likelihood says: with an error larger
    by 1/sqrt(w), or of w n patients. So a posterior can be calibrated; without, trials are drawn as they were.
    """
    drawn, failed = [], []
    for item, model in zip(items, models, strict=True):
        report = synthetic(item, float(model), rng, tempered=tempered)
        if report is None:
            failed.append(item.id)
        drawn.append(item if report is None else report)
    return Synthetic(tuple(drawn), tuple(failed))


def synthetic(
    item: Observation, model: float, rng: np.random.Generator, *, tempered: bool = False
) -> Observation | None:
    """Draw one report; None if the model has no value, or the result fails and its opposite cannot be reported."""
    if math.isnan(model) or (math.isinf(model) and item.kind not in ONE_SIDED):
        return None
    if item.kind in HELD or item.kind == "direction":
        holds = float(_tempered(item, probability(item, np.array([model])), tempered)[0])
        if rng.random() < holds:
            return item
        return None if item.kind in HELD else item.model_copy(update={"sense": _opposite(item)})
    value = float(draw_values(item, np.array([model]), rng, tempered=tempered)[0])
    if item.kind == "median_not_reached":
        if value > (item.low or 0.0):
            return item
        reached = {"kind": "median", "value": value, "low": None, "high": None, "interval": ""}
        return item.model_copy(update=reached)
    return with_value(item, value, tempered=tempered)


def draw_values(
    item: Observation, models: np.ndarray, rng: np.random.Generator, *, tempered: bool = False
) -> np.ndarray:
    """Values that trials would report, one for each model value (m,), both in the unit of the report.

    For a median that was not reached: the median that would be found with follow-up without end. NaN stays NaN.

    Raises
    ------
    FitError
        For a result without a number of its own (split, ceiling, range, direction).
    """
    models = np.asarray(models, dtype=float)
    if item.kind in HELD or item.kind in ("direction", "qualitative"):
        raise FitError(f"item '{item.id}': kind = '{item.kind}' has no value that could be drawn.")
    wider = 1.0 / math.sqrt(max(item.weight, 1e-6)) if tempered else 1.0
    known = np.where(np.isnan(models), 1.0, models)
    if item.kind == "rate":
        drawn = cloglog(known) + wider * _rate_errors(item, known) * rng.standard_normal(models.shape)
        values = 100.0 * np.exp(-np.exp(drawn))
        values = np.clip(values, 100.0 * _LEAST, 100.0 * _MOST)
    elif item.unit == "%":
        n = _patients(item, tempered)
        values = 100.0 * rng.binomial(n, np.clip(known / 100.0, 1e-4, 1.0 - 1e-4)) / n
    else:
        above, below = (wider * error for error in _log_errors(item))
        # a report below the model is judged by the side of its interval that is above it, and the other way round
        under = rng.random(models.shape) < above / (above + below)
        size = np.abs(rng.standard_normal(models.shape))
        values = np.clip(known, 1e-6, 1e6) * np.exp(np.where(under, -above, below) * size)
    return np.where(np.isnan(models), np.nan, values)


def probability(item: Observation, models: np.ndarray) -> np.ndarray:
    """Probability (m,) that a yes-or-no result is found as it was reported, at model values (m,)."""
    if item.kind not in ONE_SIDED:
        raise FitError(f"item '{item.id}': kind = '{item.kind}' is a number, not something that holds or fails.")
    return np.exp(log_likelihoods(item, np.asarray(models, dtype=float)))


def with_value(item: Observation, value: float, *, tempered: bool = False) -> Observation:
    """The report with another value, in its unit, and its interval moved to it with the same relative width.

    A percentage gets its events, and Wilson's interval (1927) for its number of patients, at the level of the original.
    """
    if item.kind == "rate":
        shift = float(cloglog(value)) - float(cloglog(item.value or 0.0))
        bounds = {name: _moved(getattr(item, name), shift) for name in ("low", "high")}
        return item.model_copy(update={"value": value, **_around(value, bounds), "events": None})
    if item.unit == "%":
        n = _patients(item, tempered)
        hits = round(value * n / 100.0)
        whole = item.events is not None and n == item.n
        update: dict[str, object] = {"value": 100.0 * hits / n, "events": hits if whole else None}
        if item.interval:
            update |= _wilson(item, hits, n)
        return item.model_copy(update=update)
    factor = value / (item.value or value)
    scaled = {name: None if (bound := getattr(item, name)) is None else bound * factor for name in ("low", "high")}
    return item.model_copy(update={"value": value, **scaled})


def _patients(item: Observation, tempered: bool) -> int:
    n = item.n or UNKNOWN_N
    return max(round(item.weight * n), 1) if tempered else n


def _rate_errors(item: Observation, models: np.ndarray) -> np.ndarray:
    """Error of a survival rate: from its interval, which moves with it, or from n at the rate that is true."""
    if item.low is not None and item.high is not None and item.low > 0:
        return np.full(models.shape, rate_error(item))
    bare = item.model_copy(update={"low": None, "high": None})
    return np.array([rate_error(bare.model_copy(update={"value": float(rate)})) for rate in models.ravel()]).reshape(
        models.shape
    )


def _log_errors(item: Observation) -> tuple[float, float]:
    """Errors of the log of a value towards models above and below it."""
    if item.kind == "median_not_reached":
        error = MEDIAN_FACTOR / math.sqrt(item.n or 1)
        return error, error
    return log_error(item, above=True), log_error(item, above=False)


def _moved(percent: float | None, shift: float) -> float | None:
    return None if percent is None else 100.0 * float(np.exp(-np.exp(float(cloglog(percent)) + shift)))


def _around(value: float, bounds: dict[str, float | None]) -> dict[str, float | None]:
    """Bounds that hold the value, though it was kept a thousandth from its ends."""
    low, high = bounds["low"], bounds["high"]
    return {"low": None if low is None else min(low, value), "high": None if high is None else max(high, value)}


def _wilson(item: Observation, hits: int, n: int) -> dict[str, float]:
    """Score interval of a share, in percent."""
    level = float(item.interval.partition("%")[0]) if item.interval.endswith("% CI") else 95.0
    z = NormalDist().inv_cdf(0.5 + level / 200.0)
    centre = (hits + 0.5 * z * z) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(hits * (n - hits) / n + 0.25 * z * z)
    share = hits / n
    low, high = min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)
    return {"low": 100.0 * low, "high": 100.0 * high}


def _opposite(item: Observation) -> str:
    return "less" if item.sense == "more" else "more"


def _tempered(item: Observation, holds: np.ndarray, tempered: bool) -> np.ndarray:
    """Probability that goes with the weighted likelihood: for a direction, both outcomes to the power of the weight."""
    if not tempered:
        return holds
    if item.kind in HELD:
        return holds**item.weight
    yes, no = holds**item.weight, (1.0 - holds) ** item.weight
    return yes / (yes + no)
