"""Linear pharmacokinetics in closed form: the response to a unit dose is a sum of exponentials.

`concentration(t) = sum_k weight_k exp(-rate_k t)` after a unit bolus; doses superpose. So a drug given every day for
two years costs no integration of fast absorption and elimination.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .therapy import Pharmacokinetics, Therapy

_COUNT = {
    "amount": 1,
    "one_compartment": 1,
    "one_compartment_oral": 2,
    "one_compartment_absorbed": 2,
    "two_compartment": 2,
    "two_compartment_absorbed": 3,
}


def exponentials_of(pk: Pharmacokinetics) -> int:
    """Number of exponentials of a model."""
    return _COUNT[pk.model]


def exponentials(pk: Pharmacokinetics, patients: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Weights and rates of the unit-dose response, each of shape (n, exponentials); a weight is per unit of dose.

    - 'amount': what is left of the dose, exp(-ln 2 t / half-life).
    - one compartment: elimination at k = CL/V; with absorption at ka
      C = F ka / (V (ka - k)) (exp(-k t) - exp(-ka t)) (Bateman 1910). 'oral' has apparent clearance and volume (F = 1).
    - two compartments: the rates are the roots of x^2 - (k10 + k12 + k21) x + k10 k21, with k10 = CL/V, k12 = Q/V and
      k21 = Q/V2; each term has the weight (k21 - x) / (V product of the other rates less x), with absorption times F ka
      (Gibaldi and Perrier, Pharmacokinetics, 1982).
    """
    names = dict(pk.names)
    if pk.model == "amount":
        rate = np.log(2.0) / patients[names["half_life"]]
        return np.ones_like(rate)[:, None], rate[:, None]
    volume = patients[names["volume"]]
    out = patients[names["clearance"]] / volume
    back = np.zeros_like(out)  # between two compartments; one has nowhere to come back from
    if pk.model.startswith("one"):
        rates, numerators = [out], [np.ones_like(out)]
    else:
        there = patients[names["clearance_exchange"]] / volume
        back = patients[names["clearance_exchange"]] / patients[names["volume_peripheral"]]
        middle = 0.5 * (out + there + back)
        fast = middle + np.sqrt(middle**2 - out * back)
        rates = [out * back / fast, fast]  # the slow one as a quotient: a difference would cancel
        numerators = [back - rate for rate in rates]
    given = 1.0 / volume
    if "k_absorption" in names:
        absorption = patients[names["k_absorption"]]
        for rate in rates:  # equal rates have a limit of their own; a shift of 1e-6 is within any assay and avoids it
            absorption = np.where(np.isclose(absorption, rate, rtol=1e-6), rate * (1 + 1e-6), absorption)
        given = given * absorption
        if "fraction_absorbed" in names:
            given = given * patients[names["fraction_absorbed"]]
        numerators.append(np.ones_like(out) if len(rates) == 1 else back - absorption)
        rates.append(absorption)
    weights = []
    for i, rate in enumerate(rates):
        others = [other - rate for j, other in enumerate(rates) if j != i]
        weights.append(given * numerators[i] / np.prod(others, axis=0))
    return np.stack(weights, axis=1), np.stack(rates, axis=1)


def unit_responses(
    drugs: Sequence[Therapy], patients: Mapping[str, np.ndarray], n: int, terms: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and rates of every drug of a model, each of shape (n, drugs, terms), zero where a drug has fewer."""
    weight, rate = np.zeros((n, len(drugs), terms)), np.zeros((n, len(drugs), terms))
    for index, drug in enumerate(drugs):
        if drug.pk is not None:
            count = exponentials_of(drug.pk)
            weight[:, index, :count], rate[:, index, :count] = exponentials(drug.pk, patients)
    return weight, rate
