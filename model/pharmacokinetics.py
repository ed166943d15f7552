"""Linear pharmacokinetics in closed form: the response to a unit dose is a sum of exponentials.

`concentration(t) = sum_k weight_k exp(-rate_k t)` after a unit bolus; doses superpose. So a drug given every day for
two years costs no integration of fast absorption and elimination.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .therapy import Pharmacokinetics, Therapy


def exponentials(pk: Pharmacokinetics, patients: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Weights and rates of the unit-dose response, each of shape (n, 2); a weight is per unit of dose.

    - 'one_compartment_oral': first-order absorption and elimination, k = CL/V:
      C = ka / (V (ka - k)) (exp(-k t) - exp(-ka t)); clearance and volume are apparent (divided by bioavailability).
      (Bateman 1910; any pharmacokinetics text.)
    - 'amount': what is left of the dose, exp(-ln 2 t / half-life).
    """
    names = dict(pk.names)
    if pk.model == "amount":
        rate = np.log(2.0) / patients[names["half_life"]]
        one = np.ones_like(rate)
        return np.stack([one, 0.0 * one], axis=1), np.stack([rate, 0.0 * one], axis=1)
    volume, absorption = patients[names["volume"]], patients[names["k_absorption"]]
    elimination = patients[names["clearance"]] / volume
    # equal rates have a limit of their own (t exp(-kt)); a shift of 1e-6 is within any assay and avoids the case
    absorption = np.where(np.isclose(absorption, elimination, rtol=1e-6), elimination * (1 + 1e-6), absorption)
    weight = absorption / (volume * (absorption - elimination))
    return np.stack([weight, -weight], axis=1), np.stack([elimination, absorption], axis=1)


def unit_responses(
    drugs: Sequence[Therapy], patients: Mapping[str, np.ndarray], n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and rates of every drug of a model, each of shape (n, drugs, 2)."""
    weight, rate = np.zeros((n, len(drugs), 2)), np.zeros((n, len(drugs), 2))
    for index, drug in enumerate(drugs):
        if drug.pk is not None:
            weight[:, index], rate[:, index] = exponentials(drug.pk, patients)
    return weight, rate
