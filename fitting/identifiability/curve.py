"""One profile as a curve: its peak, its interval, and which bounds hold it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from .records import Record

THRESHOLD = 3.84 / 2.0
"""Fall of the log likelihood at the ends of a 95 % interval: half the 95 % point of chi-square with one degree of
freedom (Murphy & van der Vaart 2000; Raue 2009)."""

_FINE = 8001

Kind = Literal["likelihood", "evidence", "posterior"]


@dataclass(frozen=True, eq=False)
class Curve(Record):
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
        found = []
        for end, index in ((self.low, self._beyond(-1)), (self.high, self._beyond(1))):
            more = {name: gain - self.blocked_by[top].get(name, 0.0) for name, gain in self.blocked_by[index].items()}
            limited = np.isfinite(end) and self.fall[index] + self.release[index] - self.release[top] > -THRESHOLD
            found.append(max(more, key=lambda name: more[name]) if limited and more else "")
        return found[0], found[1]

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
