"""The probability that a tumour has died out to its last cell, from the course of the rates that its cells met.

The single-cell survival probability solves, backwards in time, u' = -(r u - b u^2 + exchange), u(end) = 1 (probability
generating function of a birth-death process with time-dependent rates; Kendall 1948, Harris 1963). The Riccati part is
solved exactly over each interval with the states of its middle and the mean over its drug levels, the exchange in half
steps on either side of it (Strang 1968). The probability is exp(-sum of cells x survival).
"""

from .drug_levels import (
    N_LEVELS,
    N_MOVING,
    STATE_BOLUS,
    advance_drugs,
    bring_drugs,
    dose_drug,
    drug_inputs,
    drugs_present,
)
from .example_equations import (
    N_BRANCHING,
    N_CONSTANTS,
    N_DRUGS,
    N_EXCHANGE,
    N_FORCED,
    N_PARAMETERS,
    N_STATES,
    branching_rates,
    constants,
    exchange,
    forcing,
    initial,
)
from .lanes import LANES, Float, Floats, Int, Ints, LaneArray, exp, halted, int_array, lane_array, lanes, part, where
from .seats import N_SAVED

PHASES = 8.0
"""Drug levels looked at per day: with one, tablets taken daily would always be seen at the same hour."""
GOLDEN, NAN = 0.6180339887498949, float("nan")
N_RATES = N_BRANCHING + 1 + N_EXCHANGE
"""Per interval: net growth of every cell line, division, exchanges."""


def dose_until(
    lane: Int, who: Int, day: Float, edge: Ints, edges: Ints, doses: Floats, targets: Ints, drugs, since
) -> None:
    """Give one patient the drug doses up to a day; `since` becomes the day of the last."""
    e = edge[lane]
    while e < edges[2 * who + 1] and doses[2 * e] <= day:
        if targets[2 * e] != STATE_BOLUS:
            advance_drugs(lane, doses[2 * e] - since[0, lane], drugs)
            since[0, lane] = doses[2 * e]
            dose_drug(lane, targets[2 * e], targets[2 * e + 1], doses[2 * e + 1], drugs)
        e = e + 1
    edge[lane] = e


def mean_over_levels(
    n: Int,
    begin: Float,
    width: Float,
    hour: Float,
    first: Int,
    last: Int,
    edge: Ints,
    edges: Ints,
    doses: Floats,
    targets: Ints,
    drugs,
    since,
    p,
    c,
    f,
    x,
    y,
    now,
    mean,
) -> None:
    """Mean rates over the drug levels of an interval, in the lanes that have any; the others keep theirs.

    The hours wander from interval to interval (golden section), so that they do not favour the hour after a tablet.
    """
    total = lane_array(N_RATES)
    present = lanes(0.0)
    for phase in range(n):
        day = begin + (float(phase) + hour) * (width / float(n))
        for lane in range(last - first):
            dose_until(lane, first + lane, day, edge, edges, doses, targets, drugs, since)
        drug_inputs(day - since[0], drugs, x)
        for drug in range(N_DRUGS):
            present = where(x[drug] > 0.0, 1.0, present)
        forcing(p, c, x, f)
        branching_rates(p, c, f, y, now, part(now, N_BRANCHING + 1))
        for i in range(N_RATES):
            total[i] = total[i] + now[i] * (1.0 / float(n))
    for i in range(N_RATES):
        mean[i] = where(present > 0.0, total[i], mean[i])


def backwards(intervals: Int, widths: Floats, means, u, change) -> None:
    """Survival of one cell of every line from day 0 to the end."""
    for i in range(N_BRANCHING):
        u[i] = 1.0
    for back in range(intervals):
        j = intervals - 1 - back
        h = widths[j]
        r = part(means, j * N_RATES)
        for half in range(2):
            for i in range(N_BRANCHING):
                change[i] = 0.0
            exchange(part(means, j * N_RATES + N_BRANCHING + 1), u, change)
            for i in range(N_BRANCHING):
                u[i] = min(1.0, max(0.0, u[i] + 0.5 * h * change[i]))
            if half == 0:
                for i in range(N_BRANCHING):
                    e = exp(min(r[i] * h, 500.0))
                    still = abs(r[i]) < 1e-12
                    grown = where(still, h, (e - 1.0) / where(still, 1.0, r[i]))
                    u[i] = u[i] * e / (1.0 + r[N_BRANCHING] * u[i] * grown)


def die_out(
    first: Int,
    last: Int,
    few: Float,
    parameters: Floats,
    rates: Floats,
    weights: Floats,
    edges: Ints,
    doses: Floats,
    targets: Ints,
    branching: Ints,
    intervals: Int,
    begins: Floats,
    widths: Floats,
    marks: Int,
    middles: Ints,
    saved: Floats,
    means: LaneArray,
    reason: Ints,
    probability: Floats,
) -> None:
    """Probability for patients `first` to `last`, at most one per lane; 0 where the tumour never falls below `few`."""
    p = lane_array(N_PARAMETERS)
    c = lane_array(N_CONSTANTS)
    f = lane_array(N_FORCED)
    f_rest = lane_array(N_FORCED)
    x = lane_array(N_DRUGS)
    y = lane_array(N_STATES)
    drugs = lane_array(2 * N_LEVELS + N_MOVING)
    now = lane_array(N_RATES)
    u = lane_array(N_BRANCHING)
    change = lane_array(N_BRANCHING)
    since = lane_array(1)
    edge = int_array(LANES)
    for lane in range(LANES):
        who = first + min(lane, last - first - 1)
        for i in range(N_PARAMETERS):
            p[i, lane] = parameters[who * N_PARAMETERS + i]
        bring_drugs(lane, who, rates, weights, drugs)
        edge[lane] = edges[2 * who]
        if edges[2 * who] < edges[2 * who + 1]:
            since[0, lane] = min(0.0, doses[2 * edges[2 * who]])
    constants(p, c)
    for drug in range(N_DRUGS):
        x[drug] = 0.0
    forcing(p, c, x, f_rest)
    least = lanes(1e300)
    for j in range(intervals):
        for lane in range(LANES):
            who = first + min(lane, last - first - 1)
            for i in range(N_STATES):
                y[i, lane] = saved[(who * marks + middles[j]) * N_SAVED + i]
        total = lanes(0.0)
        for b in range(N_BRANCHING):
            total = total + y[branching[b]]
        least = min(least, total)
        mean = part(means, j * N_RATES)
        branching_rates(p, c, f_rest, y, mean, part(mean, N_BRANCHING + 1))
        dosed = 0
        for lane in range(last - first):
            e = edge[lane]
            if drugs_present(lane, drugs) > 0.0 or (
                e < edges[2 * (first + lane) + 1] and doses[2 * e] < begins[j] + widths[j]
            ):
                dosed = 1
        if dosed != 0:
            n = max(1, int(PHASES * widths[j] - 1e-9) + 1)
            hour = 0.5 + GOLDEN * float(j)
            hour = hour - float(int(hour))
            mean_over_levels(
                n, begins[j], widths[j], hour, first, last, edge, edges, doses, targets, drugs, since, p, c, f, x, y,
                now, mean,
            )  # fmt: skip
    initial(p, c, y)
    backwards(intervals, widths, means, u, change)
    cells = lanes(0.0)
    for b in range(N_BRANCHING):
        cells = cells + y[branching[b]] * u[b]
    chance = where(least > few, 0.0, exp(-cells))
    store = lane_array(1)
    store[0] = chance
    for lane in range(last - first):
        probability[first + lane] = store[0, lane]
        if reason[first + lane] != 0:
            probability[first + lane] = NAN


def eradicate(
    first: Int,
    last: Int,
    halt: Ints,
    few: Float,
    parameters: Floats,
    rates: Floats,
    weights: Floats,
    edges: Ints,
    doses: Floats,
    targets: Ints,
    branching: Ints,
    intervals: Int,
    begins: Floats,
    widths: Floats,
    marks: Int,
    middles: Ints,
    saved: Floats,
    means: LaneArray,
    reason: Ints,
    probability: Floats,
) -> None:
    """Probability for patients `first` to `last` (not included), from the states saved amid every interval."""
    at = first
    while at < last and not halted(halt):
        die_out(
            at, min(at + LANES, last), few, parameters, rates, weights, edges, doses, targets, branching, intervals,
            begins, widths, marks, middles, saved, means, reason, probability,
        )  # fmt: skip
        at = at + LANES
