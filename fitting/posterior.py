"""Uncertainty about parameters, freed from the sampling error of few virtual patients.

Every posterior draw is simulated with fewer patients than the estimate. They are the same patients in every draw, so
what they differ by from the large sample at the estimate is taken off: value + (draw - estimate on the few patients).
"""

import numpy as np


def anchored(
    value: np.ndarray | float, draws: np.ndarray, anchor: np.ndarray | float, low: float, high: float
) -> np.ndarray:
    """Draws moved by what the few patients differ from the many at the estimate, kept inside [low, high].

    Parameters
    ----------
    value
        At the estimate with many patients: a number, or an array (points,) of a curve.
    draws
        Array (draws,) or (draws, points).
    anchor
        At the estimate with the few patients of the draws.

    Returns
    -------
    array
        Shaped like `draws`. A draw stays as it is where it, the value or the anchor is not finite (not reached).
    """
    drawn = np.asarray(draws, dtype=float)
    finite = np.isfinite(drawn) & np.isfinite(value) & np.isfinite(anchor)
    with np.errstate(invalid="ignore"):
        moved = np.asarray(value) + (drawn - np.asarray(anchor))
    return np.where(finite, np.clip(moved, low, high), drawn)


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Central interval of draws, by order statistics, so that an infinite draw (not reached) can stand in it."""
    known = np.sort(draws[~np.isnan(draws)])
    if known.size == 0:
        return float("nan"), float("nan")
    tail = 0.5 * (1.0 - level)
    low, high = (known[round((known.size - 1) * q)] for q in (tail, 1.0 - tail))
    return float(low), float(high)
