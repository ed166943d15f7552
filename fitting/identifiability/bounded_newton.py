"""Many bounded minimisations at once, which share the batches of their finite differences.

Damped BFGS (Powell 1978) inside a box: every step minimises its quadratic model within the bounds, and a ladder of step
lengths is tried in one batch. One profile likelihood is a thousand small problems with nearly the same curvature, for
which one call for each of them would spend its time in overhead.
"""

from dataclasses import dataclass

import numpy as np

from .curvature import Function, evaluate

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
        found = evaluate(lambda x: self.function(x).sum(axis=1, keepdims=True), np.stack([upper, lower]).reshape(-1, d))
        above, below = found.reshape(2, m, d)
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
