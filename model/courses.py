"""What is read off a time course: its peak, the area under it, the last day above a limit."""

import numpy as np


def peak(times: np.ndarray, course: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest value and its day, by a parabola through the largest recorded value and its neighbours."""
    filled = np.nan_to_num(course, nan=-np.inf)
    top = np.clip(filled.argmax(axis=1), 1, len(times) - 2)
    rows = np.arange(len(course))
    t = np.stack([times[top - 1], times[top], times[top + 1]], axis=1)
    v = np.stack([course[rows, top - 1], course[rows, top], course[rows, top + 1]], axis=1)
    left, right = t[:, 1] - t[:, 0], t[:, 2] - t[:, 1]
    rise, fall = (v[:, 1] - v[:, 0]) / left, (v[:, 2] - v[:, 1]) / right
    bend = (fall - rise) / (left + right)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = -(rise + bend * left) / (2.0 * bend)
    inside = np.isfinite(shift) & (bend < 0) & (shift > -left) & (shift < right)
    shift = np.where(inside, shift, 0.0)
    value = v[:, 1] + shift * (rise + bend * left) + bend * shift**2
    best = course[rows, np.clip(filled.argmax(axis=1), 0, len(times) - 1)]
    day = np.where(inside, t[:, 1] + shift, times[filled.argmax(axis=1)])
    return np.where(inside, value, best), np.where(np.isfinite(best), day, np.nan)


def area(times: np.ndarray, course: np.ndarray, until: float) -> np.ndarray:
    """Area under a course from its first recorded day to `until`, at most to its last (trapezoidal rule)."""
    to = np.clip(until, times[:-1], times[1:])
    end = course[:, :-1] + np.diff(course, axis=1) * (to - times[:-1]) / np.diff(times)
    return np.sum(0.5 * (course[:, :-1] + end) * (to - times[:-1]), axis=1)


def last_above(times: np.ndarray, course: np.ndarray, limit: np.ndarray, until: np.ndarray) -> np.ndarray:
    """Last day on which a course stands above an assay limit, within follow-up until a day; 0 if it never does.

    Log-linear between recorded days. A course still above the limit at the end of follow-up gives that day:
    it is a time of last detection and not a half-life.
    """
    above = (course > limit[:, None]) & (times[None, :] <= until[:, None])
    any_above = above.any(axis=1)
    last = len(times) - 1 - above[:, ::-1].argmax(axis=1)
    following = np.minimum(last + 1, len(times) - 1)
    rows = np.arange(len(course))
    still = course[rows, following] > limit
    with np.errstate(divide="ignore", invalid="ignore"):
        drop = np.log(course[rows, last]) - np.log(np.maximum(course[rows, following], 1e-300))
        share = (np.log(course[rows, last]) - np.log(limit)) / drop
    share = np.where(still, 1.0, np.where(np.isfinite(share), np.clip(share, 0.0, 1.0), 0.0))
    day = times[last] + share * (times[following] - times[last])
    return np.where(any_above, np.minimum(day, until), 0.0)
