"""Risk of cytokine release syndrome and neurotoxicity from the peak of CAR-T cells in blood.

A proportional-odds model (McCullagh 1980) of three ordered outcomes, none, grade 1-2 and grade 3 or more, in the log of
the peak: the odds of reaching a grade are those at a reference peak, times (peak / reference) to the power of a slope
that is the same for both grades. So severe never exceeds any, risk rises with the peak, and without cells it is zero.

It speaks of CAR-T cells only. Nothing in it knows the costimulatory domain, prophylaxis, tumour burden, ferritin or the
scale of grading: they are what studies differ by, and stand in the priors of the probabilities.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from ..parameters.errors import InputError, RangeError, unknown

REFERENCE = "car_t_peak_reference"


def crs_probability(patients: Mapping[str, np.ndarray], c_max: ArrayLike) -> np.ndarray:
    """Probability of cytokine release syndrome of any grade.

    Parameters
    ----------
    patients
        Parameters of virtual patients, arrays (n,): those of `parameters/sets/toxicity.toml` are used.
    c_max
        Peak of CAR-T cells in blood, cells per microlitre, (n,); NaN stays NaN.

    Returns
    -------
    np.ndarray
        Probabilities (n,).

    Raises
    ------
    UnknownNameError, InputError, RangeError
        If a parameter is missing; if there is not one peak for each patient; if a peak is negative.
    """
    return _probability(patients, c_max, "crs", severe=False)


def severe_crs_probability(patients: Mapping[str, np.ndarray], c_max: ArrayLike) -> np.ndarray:
    """Probability (n,) of cytokine release syndrome of grade 3 or more; arguments and errors of `crs_probability`."""
    return _probability(patients, c_max, "crs", severe=True)


def icans_probability(patients: Mapping[str, np.ndarray], c_max: ArrayLike) -> np.ndarray:
    """Probability (n,) of neurotoxicity (ICANS) of any grade; arguments and errors of `crs_probability`."""
    return _probability(patients, c_max, "icans", severe=False)


def severe_icans_probability(patients: Mapping[str, np.ndarray], c_max: ArrayLike) -> np.ndarray:
    """Probability (n,) of neurotoxicity (ICANS) of grade 3 or more; arguments and errors of `crs_probability`."""
    return _probability(patients, c_max, "icans", severe=True)


def proportional_odds(at_reference: ArrayLike, times_reference: ArrayLike, slope: ArrayLike) -> np.ndarray:
    """Probability whose odds are those `at_reference`, times the ratio of the peak to the reference to the `slope`.

    p r / (1 - p + p r) with r = ratio^slope: the logistic function of the log ratio, which is exact at a ratio of zero.
    """
    probability, ratio = np.asarray(at_reference, dtype=float), np.asarray(times_reference, dtype=float)
    odds_ratio = ratio ** np.asarray(slope, dtype=float)
    return probability * odds_ratio / (1.0 - probability + probability * odds_ratio)


def _probability(
    patients: Mapping[str, np.ndarray], c_max: ArrayLike, toxicity: str, *, severe: bool
) -> np.ndarray:  # fmt: skip
    at_reference = _of(patients, f"probability_{toxicity}")
    if severe:
        at_reference = at_reference * _of(patients, f"fraction_severe_{toxicity}")
    peak = np.asarray(c_max, dtype=float)
    if peak.shape != at_reference.shape:
        raise InputError(f"c_max has the shape {peak.shape}; expected one peak for each patient, {at_reference.shape}.")
    if (peak < 0.0).any():
        raise RangeError(f"c_max = {peak[peak < 0.0][0]:g} cells/uL; a peak is not negative.")
    return proportional_odds(at_reference, peak / _of(patients, REFERENCE), _of(patients, f"slope_{toxicity}"))


def _of(patients: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in patients:
        raise unknown("parameter", name, patients, "the virtual patients")
    return np.asarray(patients[name], dtype=float)
