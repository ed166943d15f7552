"""The explicit method: a Runge-Kutta pair of order 5(4) with a continuous extension of order 4.

Dormand & Prince 1980; Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, second edition, sections
II.4 to II.6. It is the method of choice where fast linear pharmacokinetics is solved in closed form and enters as an
input: the myeloma model is then only mildly stiff.
"""

from .drug_levels import stage_levels
from .example_equations import N_DRUGS, N_FORCED, N_MARKERS, N_STATES, forcing, rhs
from .lanes import Bool, Float, Floats, Int, Lanes, abs, lanes, max, part, sqrt
from .markers import N_FORMS, forgive_markers, markers_within, solve_markers

N_STAGES, N_DENSE, END_SLOPE = 8, 4, 6
"""Rows of working memory in `k` (the last for scales of error) and in `dense`; row of the slope at the end."""
PAIRS, STRICT = N_STATES // 2, 4.0
"""Pairs of states; and how much the root mean square of errors counts: of twenty states, a single one could otherwise
err by more than four times its tolerance."""
REUSES_SLOPE = 1
"""The slope at the end of a step is the slope at the start of the next."""


def missed_effect(h: Lanes, duration: Lanes, f) -> Lanes:
    """How badly a step resolves what drugs do: an error of its quadrature of every forced value.

    The step's weights are compared with those on the five later stages alone (both exact for polynomials of degree 4),
    as a share of the value's integral over the segment. The error estimate of the pair hardly sees a drug that is
    absorbed, and saturates its effect, within the first stage: every dose then errs in the same direction by less than
    the tolerance, and hundreds of doses do not.
    """
    worst = lanes(0.0)
    for i in range(N_FORCED):
        before = f[5 * N_FORCED + i]
        behind = f[4 * N_FORCED + i]
        # differences, so that nothing at all is missed where no drug is
        missed = (
            35.0 / 384.0 * (before - behind) - 875.0 / 1488.0 * (f[i] - behind)
            + 100.0 / 159.0 * (f[N_FORCED + i] - behind) - 175.0 / 192.0 * (f[2 * N_FORCED + i] - behind)
            + 229635.0 / 210304.0 * (f[3 * N_FORCED + i] - behind)
        )  # fmt: skip
        scale = max(abs(before), abs(behind))
        worst = max(worst, abs(missed) / max(scale, 1e-300))
    return worst * h / duration


def attempt(
    dosed: Bool, shared: Int, after: Lanes, h: Lanes, rtol: Float, tolerance: Floats, duration: Lanes, p, c, f, x,
    drugs, y, k, trial, end,
) -> Lanes:
    """One step from a point whose slope is in `k`; fills `end` and `k`, returns the error over the tolerance."""
    n = N_STATES
    m = 0  # without drugs, all stages share the same forced values
    if dosed:
        m = 1 * N_FORCED
        stage_levels(after, h, drugs, x)
        forcing(p, c, x, f)
    for i in range(n):
        trial[i] = y[i] + h * (0.2 * k[i])
    rhs(p, c, f, trial, part(k, n))
    for i in range(n):
        trial[i] = y[i] + h * (3.0 / 40.0 * k[i] + 9.0 / 40.0 * k[n + i])
    if dosed:
        forcing(p, c, part(x, N_DRUGS), part(f, N_FORCED))
    rhs(p, c, part(f, m), trial, part(k, 2 * n))
    for i in range(n):
        trial[i] = y[i] + h * (44.0 / 45.0 * k[i] - 56.0 / 15.0 * k[n + i] + 32.0 / 9.0 * k[2 * n + i])
    if dosed:
        forcing(p, c, part(x, 2 * N_DRUGS), part(f, 2 * N_FORCED))
    rhs(p, c, part(f, 2 * m), trial, part(k, 3 * n))
    for i in range(n):
        trial[i] = y[i] + h * (
            19372.0 / 6561.0 * k[i] - 25360.0 / 2187.0 * k[n + i] + 64448.0 / 6561.0 * k[2 * n + i]
            - 212.0 / 729.0 * k[3 * n + i]
        )  # fmt: skip
    if dosed:
        forcing(p, c, part(x, 3 * N_DRUGS), part(f, 3 * N_FORCED))
    rhs(p, c, part(f, 3 * m), trial, part(k, 4 * n))
    for i in range(n):
        trial[i] = y[i] + h * (
            9017.0 / 3168.0 * k[i] - 355.0 / 33.0 * k[n + i] + 46732.0 / 5247.0 * k[2 * n + i]
            + 49.0 / 176.0 * k[3 * n + i] - 5103.0 / 18656.0 * k[4 * n + i]
        )  # fmt: skip
    if dosed:
        forcing(p, c, part(x, 4 * N_DRUGS), part(f, 4 * N_FORCED))
    rhs(p, c, part(f, 4 * m), trial, part(k, 5 * n))
    for i in range(n):
        end[i] = y[i] + h * (
            35.0 / 384.0 * k[i] + 500.0 / 1113.0 * k[2 * n + i] + 125.0 / 192.0 * k[3 * n + i]
            - 2187.0 / 6784.0 * k[4 * n + i] + 11.0 / 84.0 * k[5 * n + i]
        )  # fmt: skip
    rhs(p, c, part(f, 4 * m), end, part(k, 6 * n))
    if N_MARKERS > 0:
        solve_markers(shared, h, p, c, y, end, k, part(k, 8 * n))
    total = lanes(0.0)
    for i in range(n):
        trial[i] = h * (
            71.0 / 57600.0 * k[i] - 71.0 / 16695.0 * k[2 * n + i] + 71.0 / 1920.0 * k[3 * n + i]
            - 17253.0 / 339200.0 * k[4 * n + i] + 22.0 / 525.0 * k[5 * n + i] - 1.0 / 40.0 * k[6 * n + i]
        )  # fmt: skip
        k[7 * n + i] = tolerance[i] + rtol * max(abs(y[i]), abs(end[i]))
    if N_MARKERS > 0:
        forgive_markers(part(k, 8 * n), trial)
    for pair in range(PAIRS):  # two at a time: divisions are what a sum of squares costs
        i = 2 * pair
        first = trial[i] * k[7 * n + i + 1]
        second = trial[i + 1] * k[7 * n + i]
        both = k[7 * n + i] * k[7 * n + i + 1]
        total = total + (first * first + second * second) / (both * both)
    for i in range(2 * PAIRS, n):
        scaled = trial[i] / k[7 * n + i]
        total = total + scaled * scaled
    error = sqrt(total * (STRICT * STRICT / N_STATES))
    if dosed:
        forcing(p, c, part(x, 5 * N_DRUGS), part(f, 5 * N_FORCED))
        error = max(error, missed_effect(h, duration, f) / rtol)
    return error


def prepare(h: Lanes, y, end, k, dense) -> None:
    """Coefficients of the continuous extension over a finished step."""
    n = N_STATES
    for i in range(n):
        change = end[i] - y[i]
        slope = h * k[i] - change
        dense[i] = change
        dense[n + i] = slope
        dense[2 * n + i] = change - h * k[6 * n + i] - slope
        dense[3 * n + i] = h * (
            87487479700.0 / 32700410799.0 * k[2 * n + i] - 12715105075.0 / 11282082432.0 * k[i]
            - 10690763975.0 / 1880347072.0 * k[3 * n + i] + 701980252875.0 / 199316789632.0 * k[4 * n + i]
            - 1453857185.0 / 822651844.0 * k[5 * n + i] + 69997945.0 / 29380423.0 * k[6 * n + i]
        )  # fmt: skip
    for i in range(N_FORMS):
        dense[4 * n + i] = k[8 * n + i]


def interpolate(theta: Lanes, lowest: Floats, y, dense, at) -> None:
    """State at a fraction `theta` of a finished step, not below the lowest value that it may have."""
    n = N_STATES
    rest = 1.0 - theta
    for i in range(n):
        curve = dense[n + i] + theta * (dense[2 * n + i] + rest * dense[3 * n + i])
        at[i] = max(y[i] + theta * (dense[i] + rest * curve), lowest[i])
    if N_MARKERS > 0:
        markers_within(theta, part(dense, 4 * n), at)
