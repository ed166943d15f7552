"""What generated equations look like, written by hand for one cell pool that decays: E' = -k E, seen with a drug x.

The integrator is written against these names. For a real system they are generated (`codegen`) and take their place;
with these the integrator also runs as plain Python with one lane, for reading and for tests.

Arguments: `p` parameters, `c` values that need parameters only, `x` drug inputs, `f` values that need parameters and
inputs only, `y` states, `dy` their derivatives per day; one number per lane each.
"""

from typing import Any

SIZES = (1, 1, 1, 1, 1, 0, 1, 1, 0)
N_STATES, N_CONSTANTS, N_FORCED, N_OBSERVED, N_BRANCHING, N_EXCHANGE, N_ENTRIES, N_FACTORS, N_MARKERS = SIZES
"""States, constants, forced values, observables, branching states and exchanges between them; for an implicit method
the non-zero entries of the Jacobian and of its factors."""
N_PARAMETERS, N_DRUGS, N_TERMS = 2, 1, 2
"""Parameters, drugs, and exponentials per drug."""


def constants(p: Any, c: Any) -> None:
    """Fill `c`."""
    c[0] = 2.0 * p[0]


def forcing(p: Any, c: Any, x: Any, f: Any) -> None:
    """Fill `f`."""
    f[0] = 1.0 + x[0]


def initial(p: Any, c: Any, y: Any) -> None:
    """Fill `y` with the values at day 0."""
    y[0] = p[1]


def rhs(p: Any, c: Any, f: Any, y: Any, dy: Any) -> None:
    """Fill `dy`."""
    dy[0] = -0.5 * c[0] * f[0] * y[0]


def observe(p: Any, c: Any, f: Any, y: Any, out: Any) -> None:
    """Fill `out` with the observables."""
    out[0] = y[0]


def branching_rates(p: Any, c: Any, f: Any, y: Any, r: Any, q: Any) -> None:
    """Fill `r` with net growth per cell and, last, the division rate; fill `q` with exchange rates per cell."""
    r[0] = -0.5 * c[0] * f[0]
    r[1] = 0.1


def exchange(q: Any, u: Any, du: Any) -> None:
    """Add to `du` what the exchange rates `q` do to the survival probabilities `u`."""


def jacobian(p: Any, c: Any, f: Any, y: Any, j: Any) -> None:
    """Fill `j` with the non-zero derivatives of `dy` with respect to `y`, row by row."""
    j[0] = -0.5 * c[0] * f[0]


def forcing_slope(p: Any, c: Any, x: Any, dx: Any, df: Any) -> None:
    """Fill `df` with the time derivatives of `f`, where the inputs have the time derivatives `dx`."""
    df[0] = dx[0]


def slope(p: Any, c: Any, f: Any, df: Any, y: Any, dt: Any) -> None:
    """Fill `dt` with the time derivatives of `dy` where the states stand still."""
    dt[0] = -0.5 * c[0] * y[0] * df[0]


def factor(j: Any, g: Any, m: Any) -> None:
    """Fill `m` with the factors of g I - J, with reciprocals of the pivots."""
    m[0] = 1.0 / (g[0] - j[0])


def solve(m: Any, b: Any) -> None:
    """Solve (g I - J) u = b by the factors `m`; `u` takes the place of `b`."""
    b[0] = b[0] * m[0]


def marker_sources(p: Any, c: Any, y: Any, a: Any) -> None:
    """Fill `a` with the production of the markers from the states `y`, which may be slopes; here there is none."""


def marker_losses(p: Any, c: Any, r: Any) -> None:
    """Fill `r` with the rates at which the markers are lost."""


def marker_values(y: Any, a: Any) -> None:
    """Copy the markers from the states."""


def set_markers(a: Any, y: Any) -> None:
    """Copy the markers into the states."""
