"""The stiff method: Rodas5P, a Rosenbrock-Wanner method of order 5(4) with a continuous extension of order 4.

Steinebach 2023, BIT Numerical Mathematics 63:27. It is L-stable and stiffly accurate: eight linear equations with one
matrix replace the Newton iterations of an implicit method. The form is that without products of Jacobian and vector
(Hairer & Wanner, Solving Ordinary Differential Equations II, second edition, section IV.7): for stages u of a step h

    (I / (gamma h) - J) u_i = f(t + alpha_i h, y + sum_j a_ij u_j) + sum_j c_ij / h u_j + gamma_i h df/dt,

with the Jacobian J and df/dt at the start of the step. The end of the step is y + sum_j a_8j u_j + u_8, where u_8 is
the difference to the embedded method. Stages 6, 7 and 8 lie at the end of the step, and have no part in df/dt.
"""

from .drug_levels import drug_inputs, drug_slopes
from .example_equations import (
    N_DRUGS,
    N_ENTRIES,
    N_FACTORS,
    N_FORCED,
    N_STATES,
    factor,
    forcing,
    forcing_slope,
    jacobian,
    rhs,
    slope,
    solve,
)
from .lanes import Bool, Float, Floats, Int, Lanes, lane_array, lane_scratch, lanes, part, sqrt, where

N_STAGES, N_DENSE = 8, 4
REUSES_SLOPE, END_SLOPE = 0, 0
"""Every step computes its first slope anew, with the derivatives of the same point."""
GAMMA = 0.21193756319429014


def missed_effect(h: Lanes, duration: Lanes, f) -> Lanes:
    """How badly a step resolves what drugs do: the error of its quadrature of every forced value.

    The step's weights (exact for polynomials of degree 4) are compared with those of the polynomial through all six
    levels, as a share of the value's integral over the segment. The difference to the embedded method does see a drug
    that is absorbed, and saturates its effect, within the step; but what it allows is an error near the tolerance at
    every dose, always in the same direction, and there are hundreds of doses.
    """
    worst = lanes(0.0)
    for i in range(N_FORCED):
        before = f[i]
        behind = f[5 * N_FORCED + i]
        missed = (  # differences, so that it is exactly zero without drugs
            0.02707193804433805 * (before - behind) - 0.7985827770919789 * (f[N_FORCED + i] - behind)
            - 4.940505074502963 * (f[2 * N_FORCED + i] - behind) + 1.235490446237615 * (f[3 * N_FORCED + i] - behind)
            + 5.519006292315417 * (f[4 * N_FORCED + i] - behind)
        )  # fmt: skip
        scale = max(abs(before), abs(behind))
        worst = max(worst, where(scale > 0.0, abs(missed) / scale, 0.0))
    return worst * h / duration


def attempt(
    dosed: Bool, shared: Int, after: Lanes, h: Lanes, rtol: Float, tolerance: Floats, duration: Lanes, p, c, f, x,
    drugs, y, k, trial, end,
) -> Lanes:
    """One step; fills `end` and the stages `k`, returns the error over the tolerance."""
    n = N_STATES
    w = 1.0 / h
    m = lane_scratch(N_FACTORS)
    j = lane_scratch(N_ENTRIES)
    g = lane_array(1)
    dt = lane_array(N_STATES)
    moved = 0  # without drugs, all stages share the same forced values
    if dosed:
        moved = 1 * N_FORCED
        dx = lane_scratch(N_DRUGS)
        df = lane_scratch(N_FORCED)
        drug_inputs(after, drugs, x)
        drug_slopes(after, drugs, dx)
        forcing(p, c, x, f)
        forcing_slope(p, c, x, dx, df)
        slope(p, c, f, df, y, dt)
        for i in range(n):
            dt[i] = h * dt[i]
    g[0] = w * (1.0 / GAMMA)
    jacobian(p, c, f, y, j)
    factor(j, g, m)

    rhs(p, c, f, y, k)
    for i in range(n):
        k[i] = k[i] + GAMMA * dt[i]
    solve(m, k)

    for i in range(n):
        trial[i] = y[i] + 3.0 * k[i]
    if dosed:
        drug_inputs(after + 0.6358126895828704 * h, drugs, x)
        forcing(p, c, x, part(f, N_FORCED))
    u = part(k, n)
    rhs(p, c, part(f, moved), trial, u)
    for i in range(n):
        u[i] = u[i] - 0.42387512638858027 * dt[i] - w * (14.155112264123755 * k[i])
    solve(m, u)

    for i in range(n):
        trial[i] = y[i] + 2.849394379747939 * k[i] + 0.45842242204463923 * k[n + i]
    if dosed:
        drug_inputs(after + 0.4095798393397535 * h, drugs, x)
        forcing(p, c, x, part(f, 2 * N_FORCED))
    u = part(k, 2 * n)
    rhs(p, c, part(f, 2 * moved), trial, u)
    for i in range(n):
        u[i] = u[i] - 0.3384627126235924 * dt[i] - w * (17.97296035885952 * k[i] + 2.859693295451294 * k[n + i])
    solve(m, u)

    for i in range(n):
        trial[i] = y[i] - 6.954028509809101 * k[i] + 2.489845061869568 * k[n + i] - 10.358996098473584 * k[2 * n + i]
    if dosed:
        drug_inputs(after + 0.9769306725060716 * h, drugs, x)
        forcing(p, c, x, part(f, 3 * N_FORCED))
    u = part(k, 3 * n)
    rhs(p, c, part(f, 3 * moved), trial, u)
    for i in range(n):
        u[i] = u[i] + 1.8046452872882734 * dt[i] + w * (
            147.12150275711716 * k[i] - 1.41221402718213 * k[n + i] + 71.68940251302358 * k[2 * n + i]
        )  # fmt: skip
    solve(m, u)

    for i in range(n):
        trial[i] = (
            y[i] + 2.8029986275628964 * k[i] + 0.5072464736228206 * k[n + i] - 0.3988312541770524 * k[2 * n + i]
            - 0.04721187230404641 * k[3 * n + i]
        )  # fmt: skip
    if dosed:
        drug_inputs(after + 0.4288403609558664 * h, drugs, x)
        forcing(p, c, x, part(f, 4 * N_FORCED))
    u = part(k, 4 * n)
    rhs(p, c, part(f, 4 * moved), trial, u)
    for i in range(n):
        u[i] = u[i] + 2.325825639765069 * dt[i] + w * (
            165.43517024871676 * k[i] - 0.4592823456491126 * k[n + i] + 42.90938336958603 * k[2 * n + i]
            - 5.961986721573306 * k[3 * n + i]
        )  # fmt: skip
    solve(m, u)

    for i in range(n):
        trial[i] = (
            y[i] - 7.502846399306121 * k[i] + 2.561846144803919 * k[n + i] - 11.627539656261098 * k[2 * n + i]
            - 0.18268767659942256 * k[3 * n + i] + 0.030198172008377946 * k[4 * n + i]
        )  # fmt: skip
    if dosed:
        drug_inputs(after + h, drugs, x)
        forcing(p, c, x, part(f, 5 * N_FORCED))
    u = part(k, 5 * n)
    rhs(p, c, part(f, 5 * moved), trial, u)
    for i in range(n):
        u[i] = u[i] + w * (
            24.854864614690072 * k[i] - 3.0009227002832186 * k[n + i] + 47.4931110020768 * k[2 * n + i]
            + 5.5814197821558125 * k[3 * n + i] - 0.6610691825249471 * k[4 * n + i]
        )  # fmt: skip
    solve(m, u)

    for i in range(n):
        trial[i] = trial[i] + k[5 * n + i]
    u = part(k, 6 * n)
    rhs(p, c, part(f, 5 * moved), trial, u)
    for i in range(n):
        u[i] = u[i] + w * (
            30.91273214028599 * k[i] - 3.1208243349937974 * k[n + i] + 77.79954646070892 * k[2 * n + i]
            + 34.28646028294783 * k[3 * n + i] - 19.097331116725623 * k[4 * n + i] - 28.087943162872662 * k[5 * n + i]
        )  # fmt: skip
    solve(m, u)

    for i in range(n):
        trial[i] = trial[i] + k[6 * n + i]
    u = part(k, 7 * n)
    rhs(p, c, part(f, 5 * moved), trial, u)
    for i in range(n):
        u[i] = u[i] + w * (
            37.80277123390563 * k[i] - 3.2571969029072276 * k[n + i] + 112.26918849496327 * k[2 * n + i]
            + 66.9347231244047 * k[3 * n + i] - 40.06618937091002 * k[4 * n + i] - 54.66780262877968 * k[5 * n + i]
            - 9.48861652309627 * k[6 * n + i]
        )  # fmt: skip
    solve(m, u)

    total = lanes(0.0)
    for i in range(n):
        end[i] = trial[i] + u[i]
        scaled = u[i] / (tolerance[i] + rtol * max(abs(y[i]), abs(end[i])))
        total = total + scaled * scaled
    error = sqrt(total * (1.0 / N_STATES))
    if dosed:
        error = max(error, missed_effect(h, duration, f) / rtol)
    return error


def prepare(h: Lanes, y, end, k, dense) -> None:
    """Coefficients of the continuous extension over a finished step, as published with the method."""
    n = N_STATES
    for i in range(n):
        dense[i] = end[i] - y[i]
        dense[n + i] = (
            25.948786856663858 * k[i] - 2.5579724845846235 * k[n + i] + 10.433815404888879 * k[2 * n + i]
            - 2.3679251022685204 * k[3 * n + i] + 0.524948541321073 * k[4 * n + i] + 1.1241088310450404 * k[5 * n + i]
            + 0.4272876194431874 * k[6 * n + i] - 0.17202221070155493 * k[7 * n + i]
        )  # fmt: skip
        dense[2 * n + i] = (
            -9.91568850695171 * k[i] - 0.9689944594115154 * k[n + i] + 3.0438037242978453 * k[2 * n + i]
            - 24.495224566215796 * k[3 * n + i] + 20.176138334709044 * k[4 * n + i] + 15.98066361424651 * k[5 * n + i]
            - 6.789040303419874 * k[6 * n + i] - 6.710236069923372 * k[7 * n + i]
        )  # fmt: skip
        dense[3 * n + i] = (
            11.419903575922262 * k[i] + 2.8879645146136994 * k[n + i] + 72.92137995996029 * k[2 * n + i]
            + 80.12511834622643 * k[3 * n + i] - 52.072871366152654 * k[4 * n + i] - 59.78993625266729 * k[5 * n + i]
            - 0.15582684282751913 * k[6 * n + i] + 4.883087185713722 * k[7 * n + i]
        )  # fmt: skip


def interpolate(theta: Lanes, lowest: Floats, y, dense, at) -> None:
    """State at a fraction `theta` of a finished step, not below the lowest value that it may have."""
    n = N_STATES
    rest = 1.0 - theta
    for i in range(n):
        curve = dense[n + i] + theta * (dense[2 * n + i] + theta * dense[3 * n + i])
        at[i] = max(y[i] + theta * (dense[i] + rest * curve), lowest[i])
