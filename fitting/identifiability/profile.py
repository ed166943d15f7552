"""Profile likelihood of every free number: the best that all the others can do while it is held at each value.

Raue et al. 2009 (Bioinformatics 25:1923); Murphy & van der Vaart 2000 (JASA 95:449). All profiles walk outwards from
the optimum together, each point started where the one before it ended, so that one batch serves all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...parameters.errors import RangeError, unknown
from .bounded_newton import Minima, Objective, bounded_step, minimise
from .curvature import Curvature, Function, curvature
from .curve import Curve, Kind, peak_and_interval
from .records import Record

WEAK_RIDGE = 1e-3
"""Penalty of the likelihood profile: a prior SD of 32, which makes the others unique where nothing informs them. At a
bound of 4 it costs 0.008."""

FAR = 10.0
"""A profile is followed until it has fallen by so much log likelihood: five times what its interval needs."""

_NEVER_WORSE = 0.5  # log likelihood: a profile that finds this much more than the optimum restarts from there
_FELT = 1e-3  # log likelihood: a bound that costs less is not told


@dataclass(frozen=True, eq=False)
class Profile(Record):
    """The three profiles of one number."""

    id: str
    likelihood: Curve
    evidence: Curve
    posterior: Curve


@dataclass(frozen=True, eq=False)
class Profiles(Record):
    """Profiles of all numbers, and where they started.

    Attributes
    ----------
    optimum, best_fit
        Highest posterior and highest likelihood within the bounds, (d,), prior SDs.
    excess
        By how much (log units) some profile found a higher likelihood and a higher posterior than these: beyond about
        0.1, the optimum was not the highest.
    """

    ids: tuple[str, ...]
    profiles: tuple[Profile, ...]
    optimum: np.ndarray
    best_fit: np.ndarray
    excess: tuple[float, float]


def profile_all(
    log_likelihoods: Function,
    optimum: Sequence[float] | np.ndarray,
    ids: Sequence[str],
    *,
    chosen: Sequence[str] | None = None,
    bounds: tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray] | None = None,
    points: int = 6,
    iterations: int = 6,
    at: Curvature | None = None,
) -> Profiles:
    """Profile every number, or those `chosen`, on a grid of its own from the optimum to both of its bounds.

    Three kinds of profile, since with more numbers than data the first is flat for many numbers by construction:

    likelihood
        Nobody has a prior; the others only stay within the bounds (with `WEAK_RIDGE`). What the data alone say.
    evidence
        The others keep their standard normal priors, the number itself has none: what the data say about it if what
        was believed about the others holds.
    posterior
        The same with its own prior: evidence minus half of its square.

    Parameters
    ----------
    log_likelihoods
        Points (m, d) in prior SDs to weighted log likelihoods (m, items); smooth, since it is differentiated.
    optimum
        Near the highest posterior, (d,); it is polished first.
    bounds
        Lowest and highest coordinates, (d,) each; otherwise -4 and 4.
    points
        Grid points on each side, closer together near the optimum where the posterior is narrow.
    at
        Curvature near the optimum if it is known already.
    """
    start = np.asarray(optimum, dtype=float)
    d = len(start)
    low, high = (np.full(d, -4.0), np.full(d, 4.0)) if bounds is None else map(np.asarray, bounds)
    if len(ids) != d or len(low) != d or np.any(low >= high) or points < 2:
        raise RangeError(f"{len(ids)} names and {len(low)} bounds for {d} coordinates; one name, low < high each.")
    wanted = _places(ids, ids if chosen is None else chosen)
    near = at or curvature(log_likelihoods, start, ids)
    evidence = near.information.sum(axis=0)
    offsets = _offsets(np.sqrt(np.diag(near.covariance)), points)
    sweeps, excess, places = [], [], []
    for ridge in (WEAK_RIDGE, 1.0):
        objective = Objective(log_likelihoods, np.full(d, ridge), low.astype(float), high.astype(float))
        sweep = _sweep(objective, np.clip(start, low, high), evidence + ridge * np.eye(d), wanted, offsets, iterations)
        if sweep.better > _NEVER_WORSE:
            sweep = _sweep(objective, sweep.best, evidence + ridge * np.eye(d), wanted, offsets, iterations)
        sweeps.append(sweep)
        excess.append(max(sweep.better, 0.0))
        places.append(sweep.optimum)
    weak, full = sweeps
    found = [
        Profile(
            ids[k],
            likelihood=_curve(weak, row, k, ids, "likelihood"),
            evidence=_curve(full, row, k, ids, "evidence"),
            posterior=_curve(full, row, k, ids, "posterior"),
        )
        for row, k in enumerate(int(k) for k in wanted)
    ]
    return Profiles(tuple(ids), tuple(found), places[1], places[0], (excess[0], excess[1]))


def _places(ids: Sequence[str], chosen: Sequence[str]) -> np.ndarray:
    for name in chosen:
        if name not in ids:
            raise unknown("free number", name, ids, "profiles")
    return np.array([tuple(ids).index(name) for name in chosen])


def _offsets(sd: np.ndarray, points: int) -> np.ndarray:
    """Shares (d, points) of the way from the optimum to a bound: even if the number is wide, denser near it if not."""
    nearest = np.minimum(sd / 4.0, 1.0 / points)
    return nearest[:, None] ** (1.0 - np.arange(points) / (points - 1))


@dataclass(frozen=True, eq=False)
class _Sweep:
    """Every profile of one objective: arrays (chosen, 2 points + 1), in the order of the grid; NaN beyond the end."""

    objective: Objective
    optimum: np.ndarray
    grid: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    release: np.ndarray
    converged: np.ndarray
    blocked: dict[tuple[int, int], dict[int, float]]
    best: np.ndarray
    better: float


def _sweep(
    objective: Objective,
    start: np.ndarray,
    hessian: np.ndarray,
    wanted: np.ndarray,
    offsets: np.ndarray,
    iterations: int,
) -> _Sweep:
    """Walk outwards from the optimum, to both sides of every number at once."""
    d, n, points = len(start), len(wanted), offsets.shape[1]
    top = minimise(
        objective, start[None], hessian[None], np.zeros((1, d), dtype=bool), iterations=max(200, iterations),
        tolerance=1e-5,
    )  # fmt: skip
    optimum, centre = top.points[0], points
    # The curvature learnt on the way to the optimum is no better than the one computed with care: it sees one path.
    shape = (n, 2 * points + 1)
    grid, values, slopes, release = (np.full(shape, np.nan) for _ in range(4))
    converged, blocked = np.zeros(shape, dtype=bool), {}
    number, side = np.tile(wanted, 2), np.repeat([-1, 1], n)
    row = np.tile(np.arange(n), 2)
    state = _repeated(top, hessian, 2 * n)
    held = np.zeros((2 * n, d), dtype=bool)
    held[np.arange(2 * n), number] = True
    best, better = optimum, 0.0

    def write(which: np.ndarray, solved: Minima, column: np.ndarray) -> None:
        rows, k = row[which], number[which]
        grid[rows, column] = solved.points[range(len(which)), k]
        values[rows, column] = -solved.values
        slopes[rows, column] = -solved.gradients[range(len(which)), k]
        converged[rows, column] = solved.converged
        for i, (r, c) in enumerate(zip(rows, column, strict=True)):
            release[r, c], blocked[r, c] = _release(objective, solved, i, held[which[i]])

    write(np.arange(n), _take(state, np.arange(n)), np.full(n, centre))
    walled = np.where(side < 0, optimum[number] - objective.low[number], objective.high[number] - optimum[number])
    alive = np.flatnonzero(walled > 1e-6)
    for step in range(points):
        if not alive.size:
            break
        k = number[alive]
        end = np.where(side[alive] < 0, objective.low[k], objective.high[k])
        to = optimum[k] + offsets[k, step] * (end - optimum[k])
        now = _take(state, alive)
        moves = np.zeros_like(now.points)
        moves[range(len(k)), k] = to - now.points[range(len(k)), k]
        room = (objective.low - now.points, objective.high - now.points)
        begin = now.points + bounded_step(now.hessians, now.gradients, moves, held[alive], room)
        begin = np.clip(np.where(held[alive], to[:, None], begin), objective.low, objective.high)
        # Where the quadratic model leads astray, only the number itself is moved.
        plain = np.where(held[alive], to[:, None], now.points)
        begin = np.where((objective.values(begin) <= objective.values(plain))[:, None], begin, plain)
        solved = minimise(objective, begin, now.hessians, held[alive], iterations=iterations)
        write(alive, solved, centre + side[alive] * (step + 1))
        _put(state, alive, solved)
        lowest = int(np.argmin(solved.values))
        if top.values[0] - solved.values[lowest] > better:
            better, best = float(top.values[0] - solved.values[lowest]), solved.points[lowest].copy()
        own = 0.5 * objective.ridge[k] * (to**2 - optimum[k] ** 2)
        alive = alive[solved.values - own - top.values[0] < FAR]
    return _Sweep(objective, optimum, grid, values, slopes, release, converged, blocked, best, better)


def _repeated(top: Minima, hessian: np.ndarray, n: int) -> Minima:
    return Minima(
        np.repeat(top.points, n, axis=0), np.repeat(top.values, n), np.repeat(top.gradients, n, axis=0),
        np.repeat(hessian[None], n, axis=0), np.repeat(top.converged, n),
    )  # fmt: skip


def _take(state: Minima, which: np.ndarray) -> Minima:
    return Minima(
        state.points[which], state.values[which], state.gradients[which], state.hessians[which], state.converged[which]
    )


def _put(state: Minima, which: np.ndarray, solved: Minima) -> None:
    state.points[which], state.values[which] = solved.points, solved.values
    state.gradients[which], state.hessians[which] = solved.gradients, solved.hessians
    state.converged[which] = solved.converged


def _release(objective: Objective, solved: Minima, i: int, held: np.ndarray) -> tuple[float, dict[int, float]]:
    """What all the others would win without bounds, and each of those that push against one, the strongest first."""
    slope = solved.gradients[i]
    pushing = np.flatnonzero(objective.outward(solved.points[i : i + 1], slope[None])[0] & ~held)
    if not pushing.size:
        return 0.0, {}
    others = np.flatnonzero(~held)
    inverse = np.linalg.inv(solved.hessians[i][np.ix_(others, others)])
    pushed = np.searchsorted(others, pushing)
    block = inverse[np.ix_(pushed, pushed)]
    gains = 0.5 * np.square(slope[pushing]) * np.diag(block)
    told = {int(pushing[j]): float(gains[j]) for j in np.argsort(-gains) if gains[j] > _FELT}
    return float(0.5 * slope[pushing] @ block @ slope[pushing]), told


def _curve(sweep: _Sweep, row: int, k: int, ids: Sequence[str], kind: Kind) -> Curve:
    """Take the penalty of the number itself off, unless it is the posterior that is wanted."""
    known = np.flatnonzero(np.isfinite(sweep.values[row]))
    grid, ridge = sweep.grid[row, known], 0.0 if kind == "posterior" else sweep.objective.ridge[k]
    values = sweep.values[row, known] + 0.5 * ridge * grid**2
    slopes = sweep.slopes[row, known] + ridge * grid
    peak, top, low, high = peak_and_interval(grid, values, slopes)
    return Curve(
        id=ids[k], kind=kind, grid=grid, fall=values - top, slope=slopes, peak=peak, low=low, high=high,
        blocked_by=tuple({ids[j]: gain for j, gain in sweep.blocked[row, int(c)].items()} for c in known),
        release=sweep.release[row, known], converged=sweep.converged[row, known],
        bounds=(float(sweep.objective.low[k]), float(sweep.objective.high[k])),
    )  # fmt: skip
