"""Drug levels between doses, in closed form: sums of exponentials per drug, restarted at every dose.

The array `drugs` holds, per lane, for every exponential its rate, its weight / rate (both zero if the drug has fewer
exponentials) and its present coefficient, and for every drug its present rate of infusion.
"""

from .example_equations import N_DRUGS, N_TERMS
from .lanes import Bool, Float, Floats, Int, Lanes, exp, lanes

STATE_BOLUS, DRUG_BOLUS, DRUG_RATE = 0, 1, 2
"""Kinds of dose edges: cells into a state, a dose of a drug, a change of a drug's infusion rate."""

N_LEVELS = N_DRUGS * N_TERMS
RATE, SHARE, COEFFICIENT, INFUSION = 0, N_LEVELS, 2 * N_LEVELS, 3 * N_LEVELS
N_MOVING = N_LEVELS + N_DRUGS
"""Coefficients and rates of infusion, the part of `drugs` that changes, stand together at its end."""


def bring_drugs(lane: Int, who: Int, rates: Floats, weights: Floats, drugs) -> None:
    """Fill one lane of `drugs` for a patient that has had no dose."""
    for j in range(N_LEVELS):
        rate = rates[who * N_LEVELS + j]
        drugs[RATE + j, lane] = rate
        drugs[SHARE + j, lane] = 0.0
        if rate > 0.0:
            drugs[SHARE + j, lane] = weights[who * N_LEVELS + j] / rate
    for j in range(N_MOVING):
        drugs[COEFFICIENT + j, lane] = 0.0


def drug_inputs(after: Lanes, drugs, x) -> None:
    """Levels `after` days into a segment: exponentials that fade, plus the steady level of an infusion."""
    for drug in range(N_DRUGS):
        level = lanes(0.0)
        for term in range(N_TERMS):
            j = drug * N_TERMS + term
            steady = drugs[INFUSION + drug] * drugs[SHARE + j]
            level = level + steady + (drugs[COEFFICIENT + j] - steady) * exp(-drugs[RATE + j] * after)
        x[drug] = max(level, 0.0)


def drug_slopes(after: Lanes, drugs, dx) -> None:
    """Time derivatives of the levels `after` days into a segment, per day."""
    for drug in range(N_DRUGS):
        speed = lanes(0.0)
        for term in range(N_TERMS):
            j = drug * N_TERMS + term
            steady = drugs[INFUSION + drug] * drugs[SHARE + j]
            speed = speed - drugs[RATE + j] * ((drugs[COEFFICIENT + j] - steady) * exp(-drugs[RATE + j] * after))
        dx[drug] = speed


def stage_levels(after: Lanes, h: Lanes, drugs, x) -> None:
    """Levels at 0.2, 0.3, 0.8, 8/9 and 1 of a step, and last at its start: `x[stage * N_DRUGS + drug]`.

    The fractions are multiples of 1/90, so that two exponentials per term serve them all.
    """
    for drug in range(N_DRUGS):
        for stage in range(6):
            x[stage * N_DRUGS + drug] = 0.0
        for term in range(N_TERMS):
            j = drug * N_TERMS + term
            steady = drugs[INFUSION + drug] * drugs[SHARE + j]
            q = exp(-drugs[RATE + j] * h * (1.0 / 90.0))
            q8 = q**4 * q**4
            q9 = q8 * q
            q18 = q9 * q9
            q72 = q18**4
            moving = (drugs[COEFFICIENT + j] - steady) * exp(-drugs[RATE + j] * after)
            x[drug] = x[drug] + (steady + moving * q18)
            x[N_DRUGS + drug] = x[N_DRUGS + drug] + (steady + moving * (q18 * q9))
            x[2 * N_DRUGS + drug] = x[2 * N_DRUGS + drug] + (steady + moving * q72)
            x[3 * N_DRUGS + drug] = x[3 * N_DRUGS + drug] + (steady + moving * (q72 * q8))
            x[4 * N_DRUGS + drug] = x[4 * N_DRUGS + drug] + (steady + moving * (q72 * q18))
            x[5 * N_DRUGS + drug] = x[5 * N_DRUGS + drug] + (steady + moving)
        for stage in range(6):
            x[stage * N_DRUGS + drug] = max(x[stage * N_DRUGS + drug], 0.0)


def advance_drugs(lane: Int, after: Float, drugs) -> None:
    """Carry one patient's exponentials on; what has fallen below 1e-14 of a unit dose is gone."""
    for drug in range(N_DRUGS):
        for term in range(N_TERMS):
            j = drug * N_TERMS + term
            steady = drugs[INFUSION + drug, lane] * drugs[SHARE + j, lane]
            left = steady + (drugs[COEFFICIENT + j, lane] - steady) * exp(-drugs[RATE + j, lane] * after)
            if abs(left) < 1e-14 * abs(drugs[SHARE + j, lane] * drugs[RATE + j, lane]):
                left = 0.0
            drugs[COEFFICIENT + j, lane] = left


def drugs_present(lane: Int, drugs) -> Float:
    """1 if any drug is in one patient's body, else 0."""
    for j in range(N_MOVING):
        if drugs[COEFFICIENT + j, lane] != 0.0:
            return 1.0
    return 0.0


def dose_drug(lane: Int, kind: Int, drug: Int, amount: Float, drugs) -> Float:
    """Give a dose, or change an infusion; returns the fastest rate of the drug."""
    fastest = 0.0
    for term in range(N_TERMS):
        j = drug * N_TERMS + term
        fastest = max(fastest, drugs[RATE + j, lane])
        if kind == DRUG_BOLUS:
            weight = drugs[SHARE + j, lane] * drugs[RATE + j, lane]
            drugs[COEFFICIENT + j, lane] = drugs[COEFFICIENT + j, lane] + amount * weight
    if kind == DRUG_RATE:
        drugs[INFUSION + drug, lane] = drugs[INFUSION + drug, lane] + amount
    return fastest


def drug_jumps(lane: Int, kind: Int, drug: Int, drugs) -> Bool:
    """Whether a dose edge makes the level jump; a drug that is absorbed, or infused, begins where it was."""
    total = 0.0
    size = 0.0
    for term in range(N_TERMS):
        weight = drugs[SHARE + drug * N_TERMS + term, lane] * drugs[RATE + drug * N_TERMS + term, lane]
        total = total + weight
        size = size + abs(weight)
    if kind != DRUG_BOLUS:
        return False
    return abs(total) > 1e-12 * size
