"""The loop over patients: integrate each, and follow its tumour cell by cell where few are left."""

import math

import numpy as np

from .drug_levels import drug_course
from .example_equations import SIZES, branching_rates, exchange, forcing, initial
from .stepper import OK, integrate

PHASES = 8  # drug levels looked at per day: with one, tablets taken daily would always be seen at the same hour


def drug_phases(middles, widths):
    """Days within every interval at which drug levels are looked at, and where each interval's days begin.

    Their hours wander from interval to interval (golden section), so that they do not favour the hour after a tablet.
    """
    begins = np.zeros(widths.shape[0] + 1, dtype=np.int64)
    for j in range(widths.shape[0]):
        begins[j + 1] = begins[j] + max(1, math.ceil(PHASES * widths[j] - 1e-9))
    days = np.zeros(begins[-1])
    for j in range(widths.shape[0]):
        share = widths[j] / (begins[j + 1] - begins[j])
        hour = (0.5 + 0.6180339887498949 * j) % 1.0
        for i in range(begins[j], begins[j + 1]):
            days[i] = middles[j] - 0.5 * widths[j] + (i - begins[j] + hour) * share
    return days, begins


def mean_rates(p, c, f, y, levels, r, q, r_now, q_now):
    """Fill `r` and `q` with their means over the drug levels of an interval; return the mean division rate."""
    n = levels.shape[0] if np.any(levels) else 1
    r[:] = 0.0
    q[:] = 0.0
    division = 0.0
    for i in range(n):
        forcing(p, c, levels[i], f)
        division += branching_rates(p, c, f, y, r_now, q_now) / n
        r += r_now / n
        q += q_now / n
    return division


def eradication(p, c, f, widths, kept, doses_matter, levels, begins, start, r, q, r_now, q_now, u, du):
    """Probability that every branching cell line of day 0 has died out by the end.

    The single-cell survival probability solves, backwards in time, u' = -(r u - b u^2 + exchange), u(end) = 1
    (probability generating function of a birth-death process with time-dependent rates; Kendall 1948, Harris 1963).
    The Riccati part is solved exactly over each interval with the states of its middle and the mean over its drug
    levels, the exchange in half steps on either side of it (Strang 1968). The probability is exp(-sum of cells x
    survival).
    """
    n = u.shape[0]
    for i in range(n):
        u[i] = 1.0
    for j in range(widths.shape[0] - 1, -1, -1):
        if doses_matter:
            b = mean_rates(p, c, f, kept[j], levels[begins[j] : begins[j + 1]], r, q, r_now, q_now)
        else:
            b = branching_rates(p, c, f, kept[j], r, q)
        h = widths[j]
        for half in range(2):
            du[:] = 0.0
            exchange(q, u, du)
            for i in range(n):
                u[i] = min(1.0, max(0.0, u[i] + 0.5 * h * du[i]))
            if half == 0:
                for i in range(n):
                    e = math.exp(min(r[i] * h, 500.0))
                    grown = (e - 1.0) / r[i] if abs(r[i]) > 1e-12 else h
                    u[i] = u[i] * e / (1.0 + b * u[i] * grown)
    cells = 0.0
    for i in range(n):
        cells += start[i] * u[i]
    return math.exp(-cells)


def run_patients(
    first, last, p, doses, kind, target, amount, scale, weight, rate, times, middles, widths, settings, tolerance,
    branching, few, out, delivered, reason, reached, steps, probability,
):  # fmt: skip
    """Integrate patients `first` to `last` (not included); all arrays have one row per patient."""
    n_states, n_constants, n_forced, _n_observed, n_branching, n_exchange = SIZES
    n_drugs, n_terms = weight.shape[1], weight.shape[2]
    work = (
        np.zeros(max(n_constants, 1)), np.zeros(max(n_forced, 1)), np.zeros(max(n_forced, 1)),
        np.zeros(max(n_drugs, 1)),
        np.zeros(n_states), np.zeros(n_states), np.zeros(n_states), np.zeros((7, n_states)),
        np.zeros((n_drugs, n_terms)), np.zeros(n_drugs), np.zeros(n_states + n_drugs),
    )  # fmt: skip
    kept = np.zeros((middles.shape[0], n_states))
    start = np.zeros(n_states)
    r, q = np.zeros(max(n_branching, 1)), np.zeros(max(n_exchange, 1))
    r_now, q_now = np.zeros(max(n_branching, 1)), np.zeros(max(n_exchange, 1))
    u, du, cells = np.zeros(n_branching), np.zeros(n_branching), np.zeros(n_branching)
    phases, begins = drug_phases(middles, widths)
    levels = np.zeros((phases.shape[0], max(n_drugs, 1)))
    for i in range(first, last):
        stopped, day, taken = integrate(
            p[i], doses, kind, target, amount, scale[i], weight[i], rate[i], times, middles, settings, tolerance,
            out[i], kept, work,
        )  # fmt: skip
        reason[i], reached[i], steps[i] = stopped, day, taken
        delivered[i] = work[10]
        probability[i] = 0.0
        if stopped != OK:
            out[i] = np.nan
            probability[i] = np.nan
            continue
        if n_branching == 0 or middles.shape[0] == 0:
            continue
        least = np.inf
        for j in range(middles.shape[0]):
            total = 0.0
            for b in range(n_branching):
                total += kept[j, branching[b]]
            least = min(least, total)
        if least > few:
            continue
        dosed = drug_course(doses, kind, target, amount, weight[i], rate[i], phases, levels)
        initial(p[i], work[0], start)
        for b in range(n_branching):
            cells[b] = start[branching[b]]
        f = work[1] if dosed else work[2]
        probability[i] = eradication(
            p[i], work[0], f, widths, kept, dosed, levels, begins, cells, r, q, r_now, q_now, u, du
        )
