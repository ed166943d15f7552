"""Profile likelihood of each estimated parameter.

Raue et al. 2009 (Bioinformatics 25:1923); Murphy & van der Vaart 2000 (JASA 95:449). All profiles walk outwards from
the optimum together, each point started where the one before it ended, so that one batch serves all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from ...parameters.errors import RangeError, unknown
from .influence import Curvature, Function, curvature, evaluate

# A profile: its maximum, its interval, and the bounds that limit it.


THRESHOLD = 3.84 / 2.0
"""Fall of the log likelihood at the ends of a 95 % interval: half the 95 % point of chi-square with one degree of
freedom (Murphy & van der Vaart 2000; Raue 2009)."""

_FINE = 8001

Kind = Literal["likelihood", "evidence", "posterior"]


@dataclass(frozen=True, eq=False)
class Curve:
    """A profile of one number, at grid points (g,) in prior SDs.

    Attributes
    ----------
    kind
        What was maximised over the other numbers; see `profile_all`.
    fall
        Log likelihood (or posterior) below the peak of the curve, (g,), at most about 0.
    slope
        Its derivative along the profile, (g,): that of the function with the other numbers held (envelope theorem).
    peak
        Where the curve is highest.
    low, high
        Ends of the 95 % interval around the peak; infinite if the curve does not fall by `THRESHOLD` within the bounds
        of this number.
    blocked_by
        At every grid point, the other numbers that stand on a bound and would go further, and what log likelihood each
        would win if it alone had none.
    release
        Log likelihood that would be won if none of the others had a bound, (g,), by the quadratic model there.
    converged
        Whether the search for the other numbers converged there, (g,).
    bounds
        The range of this number, within which the curve was followed until it had fallen far.
    """

    id: str
    kind: Kind
    grid: np.ndarray
    fall: np.ndarray
    slope: np.ndarray
    peak: float
    low: float
    high: float
    blocked_by: tuple[dict[str, float], ...]
    release: np.ndarray
    converged: np.ndarray
    bounds: tuple[float, float]

    @property
    def peak_at_bound(self) -> bool:
        """Whether the number itself is driven to the end of its range: open there, and closed on the other side."""
        if np.isfinite(self.low) == np.isfinite(self.high):
            return False
        return self.peak <= self.bounds[0] + 1e-3 or self.peak >= self.bounds[1] - 1e-3

    def drawn(self, points: int = 201) -> tuple[np.ndarray, np.ndarray]:
        """The curve between its grid points as well: places and falls, (points,) each."""
        places = np.linspace(self.grid[0], self.grid[-1], points)
        return places, CubicHermiteSpline(self.grid, self.fall, self.slope)(places)

    def limits(self) -> tuple[str, str]:
        """For the low and the high end: the other number without whose bound the end would not be there, or ''.

        An end is the work of bounds if, with the others released there and at the peak, the fall would stay above
        the threshold.
        """
        top = int(np.argmax(self.fall))
        limits = []
        for end, index in ((self.low, self._beyond(-1)), (self.high, self._beyond(1))):
            more = {name: gain - self.blocked_by[top].get(name, 0.0) for name, gain in self.blocked_by[index].items()}
            limited = np.isfinite(end) and self.fall[index] + self.release[index] - self.release[top] > -THRESHOLD
            limits.append(max(more, key=lambda name: more[name]) if limited and more else "")
        return limits[0], limits[1]

    def _beyond(self, side: int) -> int:
        """Index of the first grid point outside the interval on one side, or the last point."""
        outside = np.flatnonzero(self.grid < self.low if side < 0 else self.grid > self.high)
        if not outside.size:
            return 0 if side < 0 else len(self.grid) - 1
        return int(outside[-1] if side < 0 else outside[0])


def peak_and_interval(
    grid: np.ndarray, values: np.ndarray, slopes: np.ndarray, threshold: float = THRESHOLD
) -> tuple[float, float, float, float]:
    """Highest point, its value, and the first places on both sides that lie lower by `threshold` (or infinite).

    Between grid points the curve is the cubic with the right values and slopes, so a parabola is met exactly.
    """
    fine = np.linspace(grid[0], grid[-1], _FINE)
    curve = CubicHermiteSpline(grid, values, slopes)(fine)
    top = int(np.argmax(curve))
    below = curve - (curve[top] - threshold)
    left, right = np.flatnonzero(below[:top] <= 0), np.flatnonzero(below[top:] <= 0) + top

    def crossing(first: int) -> float:
        share = below[first] / (below[first] - below[first + 1])
        return float(fine[first] + share * (fine[first + 1] - fine[first]))

    low = crossing(left[-1]) if left.size else -np.inf
    high = crossing(right[0] - 1) if right.size else np.inf
    return float(fine[top]), float(curve[top]), low, high


# Batched bounded minimisation: many problems share the batches of their finite differences.
#
# Damped BFGS (Powell 1978) inside a box: every step minimises its quadratic model within the bounds, and a ladder of
# step lengths is tried in one batch. One profile likelihood is a thousand small problems with nearly the same
# curvature, for which one call for each of them would spend its time in overhead.


_LADDER = np.array([1.0, 0.5, 0.2, 0.05, 0.01])
_STEP = 1e-3  # of central differences, prior SDs
_AT = 1e-9  # nearer to a bound than this is on it
_ROUNDS = 8  # of setting coordinates to their bounds, and of releasing them, within one step
_SWEEPS = 2  # over single coordinates
_DAMPED = 1e8  # a problem that needs more damping than this has stalled


@dataclass(frozen=True, eq=False)
class Objective:
    """Minus the log likelihood plus half of `ridge` times the square of every coordinate, in the box [low, high]."""

    function: Function
    ridge: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def values(self, points: np.ndarray) -> np.ndarray:
        """The objective (m,) at points (m, d)."""
        return 0.5 * np.square(points) @ self.ridge - evaluate(self.function, points).sum(axis=1)

    def gradients(self, points: np.ndarray) -> np.ndarray:
        """Gradients (m, d) by central differences; at a bound by a difference into the box."""
        m, d = points.shape
        steps = np.eye(d) * _STEP
        upper = np.minimum(points[:, None, :] + steps, self.high)
        lower = np.maximum(points[:, None, :] - steps, self.low)
        both = np.stack([upper, lower]).reshape(-1, d)
        values = evaluate(lambda x: self.function(x).sum(axis=1, keepdims=True), both)
        above, below = values.reshape(2, m, d)
        width = np.einsum("mdd->md", upper - lower)
        return points * self.ridge - (above - below) / width

    def outward(self, points: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Which coordinates (m, d) stand on a bound and would leave the box if they could."""
        return ((points <= self.low + _AT) & (gradients > 0)) | ((points >= self.high - _AT) & (gradients < 0))


@dataclass(frozen=True, eq=False)
class Minima:
    """Solutions: points (p, d), values (p,), gradients (p, d), curvatures (p, d, d), and which converged (p,)."""

    points: np.ndarray
    values: np.ndarray
    gradients: np.ndarray
    hessians: np.ndarray
    converged: np.ndarray


def bounded_step(
    hessians: np.ndarray,
    gradients: np.ndarray,
    moves: np.ndarray,
    held: np.ndarray,
    room: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Steps (p, d) that lower a quadratic model most inside a box, where `held` coordinates make the given `moves`.

    `room` is how far every coordinate may go down and up. The primal-dual active set method (Hintermüller, Ito &
    Kunisch 2003) finds the answer in a few rounds or circles; sweeps over single coordinates then lower what it left.
    """
    down, up = room
    still = np.where(held, moves, 0.0)
    low, high = ~held & (down >= -_AT) & (gradients > 0), ~held & (up <= _AT) & (gradients < 0)
    steps = still
    for _ in range(_ROUNDS):
        fixed = held | low | high
        known = np.where(low, down, np.where(high, up, still))
        free = ~fixed
        matrices = hessians * (free[:, :, None] & free[:, None, :])
        matrices[:, range(held.shape[1]), range(held.shape[1])] += fixed
        right = np.where(free, -gradients - _times(hessians, known), known)
        steps = np.linalg.solve(matrices, right[..., None])[..., 0]
        pushes = gradients + _times(hessians, steps)
        below, above = ~held & ((steps < down) | (low & (pushes > 0))), ~held & ((steps > up) | (high & (pushes < 0)))
        if np.array_equal(below, low) and np.array_equal(above, high):
            break
        low, high = below, above
    steps = np.where(held, moves, np.clip(steps, down, up))
    worse = _model(hessians, gradients, steps) > _model(hessians, gradients, still)
    return _swept(hessians, gradients, np.where(worse[:, None], still, steps), held, room)


def _times(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return (matrices @ vectors[..., None])[..., 0]


def _model(hessians: np.ndarray, gradients: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Change (p,) of the quadratic model by steps (p, d)."""
    return np.sum(steps * (gradients + 0.5 * _times(hessians, steps)), axis=1)


def _swept(
    hessians: np.ndarray,
    gradients: np.ndarray,
    steps: np.ndarray,
    held: np.ndarray,
    room: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Projected Gauss-Seidel: every free coordinate in turn goes to its own least, `_SWEEPS` times."""
    steps, pushes = steps.copy(), gradients + _times(hessians, steps)
    for _ in range(_SWEEPS):
        for k in range(steps.shape[1]):
            to = np.clip(steps[:, k] - pushes[:, k] / hessians[:, k, k], room[0][:, k], room[1][:, k])
            change = np.where(held[:, k], 0.0, to - steps[:, k])
            steps[:, k] += change
            pushes += hessians[:, k] * change[:, None]
    return steps


def minimise(
    objective: Objective,
    starts: np.ndarray,
    hessians: np.ndarray,
    held: np.ndarray,
    *,
    iterations: int,
    tolerance: float = 1e-3,
) -> Minima:
    """Minimise from `starts` (p, d) with the coordinates `held` (p, d) kept, from a guess of the curvature.

    `hessians` (p, d, d) must be positive definite. A problem has converged when its quadratic model promises a fall
    of less than `tolerance` (in units of log likelihood); the others end after so many iterations.
    """
    x, b = starts.copy(), hessians.copy()
    f, g = objective.values(x), objective.gradients(x)
    damping, converged = np.zeros(len(x)), np.zeros(len(x), dtype=bool)
    for _ in range(iterations):
        room = (objective.low - x, objective.high - x)
        work = np.flatnonzero(~converged & (damping < _DAMPED))
        curved = b[work] + damping[work, None, None] * np.eye(x.shape[1])
        step = bounded_step(curved, g[work], np.zeros_like(x[work]), held[work], (room[0][work], room[1][work]))
        promised = -_model(curved, g[work], step)
        done = (promised < tolerance) & (damping[work] == 0.0)
        converged[work[done]] = True
        work, step = work[~done], step[~done]
        if not work.size:
            break
        trials = np.clip(x[work] + _LADDER[:, None, None] * step, objective.low, objective.high)
        values = objective.values(trials.reshape(-1, x.shape[1])).reshape(len(_LADDER), -1)
        best = np.argmin(values, axis=0)
        value, column = values[best, range(len(work))], np.arange(len(work))
        better = value < f[work]
        damping[work[~better]] = np.maximum(10.0 * damping[work[~better]], 1.0)
        damping[work[better & (best == 0)]] *= 0.1
        damping[damping < 0.1] = 0.0
        moved = work[better]
        if moved.size:
            new = trials[best, column][better]
            slope = objective.gradients(new)
            b[moved] = _bfgs(b[moved], new - x[moved], slope - g[moved])
            x[moved], f[moved], g[moved] = new, value[better], slope
    return Minima(x, f, g, b, converged)


def _bfgs(b: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Damped BFGS update of curvatures (p, d, d), which keeps them positive definite (Powell 1978)."""
    bs = np.einsum("pij,pj->pi", b, s)
    sbs, sy = np.einsum("pi,pi->p", s, bs), np.einsum("pi,pi->p", s, y)
    short = sy < 0.2 * sbs
    share = np.where(short, 0.8 * sbs / np.where(short, sbs - sy, 1.0), 1.0)[:, None]
    r = share * y + (1.0 - share) * bs
    sr = np.einsum("pi,pi->p", s, r)
    usable = (sbs > 1e-14) & (sr > 1e-14)
    sbs, sr = np.where(usable, sbs, 1.0), np.where(usable, sr, 1.0)
    change = np.einsum("pi,pj->pij", r, r) / sr[:, None, None] - np.einsum("pi,pj->pij", bs, bs) / sbs[:, None, None]
    return b + np.where(usable[:, None, None], change, 0.0)


WEAK_RIDGE = 1e-3
"""Penalty of the likelihood profile: a prior SD of 32, which makes the others unique where nothing informs them. At a
bound of 4 it costs 0.008."""

FAR = 10.0
"""A profile is followed until it has fallen by so much log likelihood: five times what its interval needs."""

_NEVER_WORSE = 0.5  # log likelihood: a profile that finds this much more than the optimum restarts from there
_FELT = 1e-3  # log likelihood: a bound that costs less is not told


@dataclass(frozen=True, eq=False)
class Profile:
    """The three profiles of one number."""

    id: str
    likelihood: Curve
    evidence: Curve
    posterior: Curve


@dataclass(frozen=True, eq=False)
class Profiles:
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
    """Profile every parameter, or those `chosen`, on a grid of its own from the optimum to both of its bounds.

    Three kinds of profile, since with more parameters than data the first is flat for many of them by construction:

    likelihood
        No priors; the other parameters only stay within the bounds (with `WEAK_RIDGE`). What the data alone say.
    evidence
        The others keep their standard normal priors, the parameter itself has none: what the data say about it if the
        priors of the others hold.
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
    profiles = [
        Profile(
            ids[k],
            likelihood=_curve(weak, row, k, ids, "likelihood"),
            evidence=_curve(full, row, k, ids, "evidence"),
            posterior=_curve(full, row, k, ids, "posterior"),
        )
        for row, k in enumerate(int(k) for k in wanted)
    ]
    return Profiles(tuple(ids), tuple(profiles), places[1], places[0], (excess[0], excess[1]))


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
    released = {int(pushing[j]): float(gains[j]) for j in np.argsort(-gains) if gains[j] > _FELT}
    return float(0.5 * slope[pushing] @ block @ slope[pushing]), released


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
