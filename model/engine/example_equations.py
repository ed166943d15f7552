"""What generated equations look like, written by hand for one cell pool that decays: E' = -k E, seen with a drug x.

`stepper` is written against these names. For a real system they are generated (`codegen`) and take their place;
with these the stepper also runs as plain Python, for reading and for tests.

Arguments: `p` parameters of one patient, `c` values that need parameters only, `x` drug inputs, `f` values that
need parameters and inputs only, `y` states, `dy` their derivatives per day.
"""

SIZES = (1, 1, 1, 1, 1, 0)
"""Numbers of states, constants, forced values, observables, branching states, exchanges between them."""


def constants(p, c):
    """Fill `c`."""
    c[0] = 2.0 * p[0]


def forcing(p, c, x, f):
    """Fill `f`."""
    f[0] = 1.0 + x[0]


def initial(p, c, y):
    """Fill `y` with the values at day 0."""
    y[0] = p[1]


def rhs(p, c, f, y, dy):
    """Fill `dy`."""
    dy[0] = -0.5 * c[0] * f[0] * y[0]


def observe(p, c, f, y, out):
    """Fill `out` with the observables."""
    out[0] = y[0]


def branching_rates(p, c, f, y, r, q):
    """Fill `r` with net growth per cell and `q` with exchange rates per cell; return the division rate."""
    r[0] = -0.5 * c[0] * f[0]
    return 0.1


def exchange(q, u, du):
    """Add to `du` what the exchange rates `q` do to the survival probabilities `u`."""
