"""Global sensitivity: Sobol indices and Morris's elementary effects, over the prior or the posterior."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc, sobol_indices

from ...parameters.errors import RangeError
from .influence import Function, evaluate

RESAMPLES = 200
LEVELS = 4
TAIL = 0.025
"""Elementary effects are taken between these quantiles: the ends of a normal distribution are infinitely far."""


@dataclass(frozen=True, eq=False)
class Spread:
    """Independent normal distributions of the numbers, in prior SDs, cut off at `reach`.

    `prior` is what was believed before. `posterior` has the posterior's means and SDs without its correlations: Sobol's
    decomposition needs independent inputs, so it says how much each number's own remaining uncertainty moves a result,
    and overstates numbers that trade off against one another.
    """

    centre: np.ndarray
    sd: np.ndarray
    reach: float = 4.0

    @classmethod
    def prior(cls, d: int) -> "Spread":
        """Standard normal in each of `d` coordinates."""
        return cls(np.zeros(d), np.ones(d))

    @classmethod
    def posterior(cls, draws: np.ndarray) -> "Spread":
        """Means and SDs of posterior draws (n, d)."""
        return cls(draws.mean(axis=0), draws.std(axis=0, ddof=1))

    def points(self, unit: np.ndarray) -> np.ndarray:
        """Points (m, d) at quantiles (m, d) between 0 and 1 of the normal distribution within the reach."""
        low, high = (ndtr((end - self.centre) / self.sd) for end in (-self.reach, self.reach))
        places = self.centre + self.sd * ndtri(low + unit * (high - low))
        return np.clip(places, -self.reach, self.reach)

    def over(self, models: Function) -> Function:
        """The model as a function of quantiles."""
        return lambda unit: models(self.points(unit))


@dataclass(frozen=True, eq=False)
class Sobol:
    """Shares of the variance of every output, (outputs, d): alone (first order) and with all interactions (total).

    The intervals, (outputs, d, 2), hold 95 % of bootstrap samples. An output that does not vary has zeros.
    """

    ids: tuple[str, ...]
    outputs: tuple[str, ...]
    first: np.ndarray
    total: np.ndarray
    first_interval: np.ndarray
    total_interval: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    evaluations: int


@dataclass(frozen=True, eq=False)
class Morris:
    """Elementary effects of every number on every output, (outputs, d), per whole range of quantiles.

    `mu_star` is the mean of their sizes (Campolongo et al. 2007), `mu` their mean and `sigma` their SD (Morris 1991):
    a `sigma` near `mu_star` is a number that interacts or acts non-linearly. The interval, (outputs, d, 2), holds 95 %
    of bootstrap samples of trajectories.
    """

    ids: tuple[str, ...]
    outputs: tuple[str, ...]
    mu_star: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    mu_star_interval: np.ndarray
    evaluations: int


def sobol(function: Function, ids: Sequence[str], outputs: Sequence[str], *, n: int = 1024, seed: int = 1) -> Sobol:
    """Sobol indices of a function of quantiles: points (m, d) in the unit cube to outputs (m, outputs).

    First order by Saltelli et al. 2010, total by Jansen 1999, as in `scipy.stats.sobol_indices`, from n (d + 2)
    evaluations at Sobol points with a random shift (Cranley & Patterson 1976). `n` must be a power of 2. Use
    `Spread.prior(d).over(models)` or `Spread.posterior(draws).over(models)` as the function.
    """
    d = len(ids)
    if n < 2 or n & (n - 1) or not d:
        raise RangeError(f"n is {n} for {d} numbers; the balance of Sobol points requires a power of 2, at least 2.")
    rng = np.random.default_rng(seed)
    unit = (qmc.Sobol(2 * d, scramble=False).random(n) + rng.random(2 * d)) % 1.0
    a, b = unit[:, :d], unit[:, d:]
    f_a, f_b = (_columns(function, points, outputs).T for points in (a, b))
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES) / n
    shape = (len(outputs), d)
    first, total, bands = np.zeros(shape), np.zeros(shape), np.zeros((2, *shape, 2))
    for k in range(d):
        mixed = a.copy()
        mixed[:, k] = b[:, k]
        f_ab = _columns(function, mixed, outputs).T
        # Twice the same, because scipy cannot take one input with one output.
        indices = sobol_indices(func={"f_A": f_a, "f_B": f_b, "f_AB": np.stack([f_ab, f_ab])}, n=n)
        first[:, k], total[:, k] = (np.reshape(x, (-1, 2))[:, 0] for x in (indices.first_order, indices.total_order))
        for which, drawn in enumerate(_resampled(f_a, f_b, f_ab, counts)):
            bands[which, :, k] = np.quantile(drawn, [0.025, 0.975], axis=0).T
    both = np.concatenate([f_a, f_b], axis=1)
    return Sobol(
        tuple(ids), tuple(outputs), first, total, bands[0], bands[1], both.mean(axis=1), both.var(axis=1), n * (d + 2)
    )


def _resampled(f_a: np.ndarray, f_b: np.ndarray, f_ab: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both indices (resamples, outputs) of the bootstrap samples in which row i is drawn n `counts`[:, i] times."""
    middle = 0.5 * (f_a.mean(axis=1) + f_b.mean(axis=1))[:, None]
    a, b, ab = f_a - middle, f_b - middle, f_ab - middle
    variance = 0.5 * counts @ (a**2 + b**2).T - (0.5 * counts @ (a + b).T) ** 2
    known = variance > 0
    safe = np.where(known, variance, 1.0)
    return (
        np.where(known, counts @ (b * (ab - a)).T / safe, 0.0),
        np.where(known, 0.5 * counts @ ((a - ab) ** 2).T / safe, 0.0),
    )


def morris(
    function: Function,
    ids: Sequence[str],
    outputs: Sequence[str],
    *,
    trajectories: int = 50,
    seed: int = 1,
    tail: float = 0.0,
) -> Morris:
    """Elementary effects along random trajectories on a grid of four levels, from trajectories (d + 1) evaluations.

    `function` as in `sobol`; with normal distributions give `tail=TAIL`, so that the grid spans the quantiles from
    there to its mirror image. An effect is the change of the output over that of the grid, whose range is 1.
    """
    d = len(ids)
    if trajectories < 2 or not d or not 0 <= tail < 0.5:
        raise RangeError(f"{trajectories} trajectories, tail {tail}: give at least 2, and a tail from 0 to below 0.5.")
    rng = np.random.default_rng(seed)
    jump = LEVELS / (2.0 * (LEVELS - 1))  # Morris 1991: every level is then equally likely
    low = rng.integers(0, LEVELS // 2, size=(trajectories, d)) / (LEVELS - 1.0)
    sign = rng.choice([-1.0, 1.0], size=(trajectories, d))
    base = np.where(sign > 0, low, low + jump)
    order = rng.permuted(np.tile(np.arange(d), (trajectories, 1)), axis=1)
    # Number k has moved in step j of its trajectory if its turn came before.
    turn = np.argsort(order, axis=1)
    moved = np.arange(d + 1)[None, :, None] > turn[:, None, :]
    walks = base[:, None, :] + moved * (sign * jump)[:, None, :]
    values = _columns(function, tail + (1.0 - 2.0 * tail) * walks.reshape(-1, d), outputs)
    steps = np.diff(values.reshape(trajectories, d + 1, -1), axis=1)
    rows = np.arange(trajectories)[:, None]
    effects = steps[rows, turn] / (sign * jump)[:, :, None]  # (trajectories, d, outputs)
    counts = rng.multinomial(trajectories, np.full(trajectories, 1.0 / trajectories), size=RESAMPLES) / trajectories
    drawn = np.tensordot(counts, np.abs(effects), axes=1)
    return Morris(
        tuple(ids), tuple(outputs), np.abs(effects).mean(axis=0).T, effects.mean(axis=0).T,
        effects.std(axis=0, ddof=1).T, np.moveaxis(np.quantile(drawn, [0.025, 0.975], axis=0), 0, -1).swapaxes(0, 1),
        trajectories * (d + 1),
    )  # fmt: skip


def _columns(function: Function, points: np.ndarray, outputs: Sequence[str]) -> np.ndarray:
    values = evaluate(function, points)
    if values.shape[1] != len(outputs):
        raise RangeError(f"the function gives {values.shape[1]} outputs, and {len(outputs)} are named.")
    return values
