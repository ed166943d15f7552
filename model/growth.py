"""The law of tumour growth in numbers, as `processes.tumour.burden` writes it in symbols (Richards 1959)."""

from collections.abc import Mapping

import numpy as np


def growth_rate(patients: Mapping[str, np.ndarray], tumour: np.ndarray) -> np.ndarray:
    """Net growth rate (1/day) without drugs, of patients (n,) at these burdens (n,) or (n, times)."""
    size = (tumour.T + patients["tumour_least"]) / patients["tumour_capacity"]  # patients last, as their numbers
    return (_alone(patients) * (1.0 - size ** patients["exponent_growth"])).T


def burden_untreated(patients: Mapping[str, np.ndarray], days: float) -> np.ndarray:
    """Tumour cells (n,) after growing from `tumour_baseline` without treatment: Richards' curve, one cell apart."""
    size = (patients["tumour_baseline"] / patients["tumour_capacity"]) ** patients["exponent_growth"]
    odds = (1.0 / size - 1.0) * np.exp(-patients["exponent_growth"] * _alone(patients) * days)
    return patients["tumour_capacity"] * (1.0 + odds) ** (-1.0 / patients["exponent_growth"])


def _alone(patients: Mapping[str, np.ndarray]) -> np.ndarray:
    usual = (patients["tumour_reference"] / patients["tumour_capacity"]) ** patients["exponent_growth"]
    return patients["k_growth_tumour"] / (1.0 - usual)
