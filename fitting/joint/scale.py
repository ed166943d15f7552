"""The scale on which a result is emulated: logit for percentages, log for everything else, inside what can occur."""

import numpy as np

from ..items import Item
from ..likelihood import FARTHEST

LEAST_SHARE = 0.003
"""Percentages are kept this far from 0 and 1: a few hundred virtual patients tell no less."""


def to_scale(item: Item, models: np.ndarray) -> np.ndarray:
    """Model values in the unit of the report, any shape, on the scale of the emulator; NaN stays NaN."""
    if item.unit == "%":
        share = np.clip(models / 100.0, LEAST_SHARE, 1.0 - LEAST_SHARE)
        return np.log(share / (1.0 - share))
    low, high = bounds(item)
    return np.log(np.clip(models, low, high))


def from_scale(item: Item, places: np.ndarray) -> np.ndarray:
    """Inverse of `to_scale`."""
    if item.unit == "%":
        return 100.0 / (1.0 + np.exp(-places))
    low, high = bounds(item)
    return np.exp(np.clip(places, np.log(low), np.log(high)))


def bounds(item: Item) -> tuple[float, float]:
    """Range of what is not a percentage: ratios within 100-fold, others within what matters for the likelihood."""
    if item.kind in ("ceiling", "split", "direction"):
        return 0.01, 100.0
    reported = item.value or item.low or item.high or 1.0
    return reported / 100.0, reported * FARTHEST
