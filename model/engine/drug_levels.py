"""Drug levels between doses, in closed form: sums of exponentials per drug, restarted at every dose."""

import math

import numpy as np

STATE_BOLUS, DRUG_BOLUS, DRUG_RATE = 0, 1, 2
"""Kinds of dose edges: cells into a state, a dose of a drug, a change of a drug's infusion rate."""


def drug_inputs(after, weight, rate, coefficient, infusion, x):
    """Concentrations `after` days into a segment: sums of exponentials, plus the steady part of an infusion."""
    for drug in range(weight.shape[0]):
        level = 0.0
        for k in range(weight.shape[1]):
            if rate[drug, k] > 0.0:
                steady = infusion[drug] * weight[drug, k] / rate[drug, k]
                level += steady + (coefficient[drug, k] - steady) * math.exp(-rate[drug, k] * after)
        x[drug] = max(level, 0.0)


def advance_drugs(after, weight, rate, coefficient, infusion):
    """Carry the exponentials to the end of a segment; what has fallen below 1e-14 of the doses' scale is gone."""
    for drug in range(weight.shape[0]):
        for k in range(weight.shape[1]):
            if rate[drug, k] > 0.0:
                steady = infusion[drug] * weight[drug, k] / rate[drug, k]
                coefficient[drug, k] = steady + (coefficient[drug, k] - steady) * math.exp(-rate[drug, k] * after)
                if abs(coefficient[drug, k]) < 1e-14 * abs(weight[drug, k]):
                    coefficient[drug, k] = 0.0


def drugs_present(coefficient, infusion):
    """Whether any drug is in the body."""
    for drug in range(coefficient.shape[0]):
        if infusion[drug] != 0.0:
            return True
        for k in range(coefficient.shape[1]):
            if coefficient[drug, k] != 0.0:
                return True
    return False


def drug_course(doses, kind, target, amount, weight, rate, days, levels):
    """Fill `levels` with the drug levels on increasing days; returns whether there were any doses of drugs."""
    n_drugs = weight.shape[0]
    levels[:] = 0.0
    coefficient, infusion = np.zeros((n_drugs, weight.shape[1])), np.zeros(n_drugs)
    dosed, edge = False, 0
    t = min(0.0, doses[0]) if doses.shape[0] > 0 else 0.0
    for j in range(days.shape[0]):
        while edge < doses.shape[0] and doses[edge] <= days[j]:
            if kind[edge] != STATE_BOLUS:
                dosed = True
                advance_drugs(doses[edge] - t, weight, rate, coefficient, infusion)
                t = doses[edge]
                if kind[edge] == DRUG_BOLUS:
                    for k in range(weight.shape[1]):
                        coefficient[target[edge], k] += amount[edge] * weight[target[edge], k]
                else:
                    infusion[target[edge]] += amount[edge]
            edge += 1
        if dosed:
            drug_inputs(days[j] - t, weight, rate, coefficient, infusion, levels[j])
    return dosed
