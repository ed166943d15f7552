"""A fast stand-in for the simulated trials: a quadratic in the free numbers for every fitted result.

Calibrate, emulate, sample (Cleary, Garbuno-Inigo, Lan, Schneider & Stuart 2021): the model is run at some hundred
points, every time among other virtual patients; each result is learnt on its own scale (`scale`) as a Gaussian process
whose kernel is a polynomial of second degree in the numbers that can bear on it, each with a relevance of its own. Such
a process is an explicit quadratic, so values and derivatives cost nothing. What it leaves uncertain (few points, and
shape that no quadratic has) widens the likelihood of the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..items import Item
from .quadratic import Quadratic
from .scoring import Scoring
from .search_space import REACH

_NODES = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)])
_SHARES = np.array([1.0, 4.0, 1.0]) / 6.0
"""Gauss-Hermite rule of three nodes for a standard normal."""
_STEP = 1e-3
"""Step of the derivative of a likelihood by the emulated value, on the emulator's scale."""


@dataclass(frozen=True, eq=False)
class Emulator:
    """Every fitted result as a quadratic of the point of the search space, and the joint posterior that follows.

    Attributes
    ----------
    items
        The results, one for every quadratic.
    quadratics
        In prior SDs of the numbers, on the scale of the result.
    mix : array (ids, size)
        Turns a point of the search space into prior SDs of the numbers (`SearchSpace.mix`).
    learnt
        The reports on whose scales the quadratics were learnt, if `items` are others.
    """

    items: tuple[Item, ...]
    quadratics: tuple[Quadratic, ...]
    mix: np.ndarray
    learnt: tuple[Item, ...] | None = None

    @property
    def size(self) -> int:
        """Coordinates of a point."""
        return self.mix.shape[1]

    @cached_property
    def spread(self) -> np.ndarray:
        """What the emulator leaves uncertain of each result, as an SD on its scale: array (items,)."""
        return np.array([quadratic.spread for quadratic in self.quadratics])

    @cached_property
    def _scoring(self) -> Scoring:
        return Scoring(self.items, self.learnt)

    @cached_property
    def _groups(self) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...]:
        """Quadratics of the same numbers, stacked: places, numbers, centre, levels, slopes and bends."""
        places: dict[bytes, list[int]] = {}
        for k, one in enumerate(self.quadratics):
            places.setdefault(one.chosen.tobytes() + one.centre.tobytes(), []).append(k)
        groups = []
        for which in places.values():
            some = [self.quadratics[k] for k in which]
            groups.append((
                np.array(which), some[0].chosen, some[0].centre, np.array([one.level for one in some]),
                np.stack([one.slope_at_centre for one in some], axis=1), np.stack([one.bend for one in some], axis=1),
            ))  # fmt: skip
        return tuple(groups)

    def places(self, points: np.ndarray) -> np.ndarray:
        """Every result on its scale at points (m, size): array (m, items)."""
        numbers = np.asarray(points) @ self.mix.T
        found = np.empty((len(numbers), len(self.items)))
        for which, chosen, centre, level, slope, bend in self._groups:
            away = numbers[:, chosen] - centre
            curved = (away @ bend.reshape(len(chosen), -1)).reshape(len(away), len(which), len(chosen))
            found[:, which] = level + away @ slope + np.einsum("mki,mi->mk", curved, away)
        return found

    def models(self, points: np.ndarray) -> np.ndarray:
        """Every result in the unit of its report at points (m, size): array (m, items)."""
        return self._scoring.models(self.places(points))

    def noisy(self, models: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Results (m, items) with what the emulator leaves uncertain added, in the unit of their reports."""
        places = self._scoring.places(models)
        return self._scoring.models(places + self.spread * rng.standard_normal(places.shape))

    def slopes(self, point: np.ndarray) -> np.ndarray:
        """Derivative of every result on its scale by the coordinates of one point: array (items, size)."""
        numbers = self.mix @ point
        return np.stack([quadratic.slope(numbers) for quadratic in self.quadratics]) @ self.mix

    def of_places(self, places: np.ndarray) -> np.ndarray:
        """Weighted log-likelihoods (m, items) of results on their scale, averaged over what is left open."""
        around = places[:, None, :] + _NODES[:, None] * self.spread
        logs = self._scoring(self._scoring.models(around))
        top = logs.max(axis=1)
        return top + np.log(np.einsum("n,mnk->mk", _SHARES, np.exp(logs - top[:, None, :])))

    def log_likelihoods(self, points: np.ndarray) -> np.ndarray:
        """Weighted log-likelihood of every result at points (m, size): array (m, items)."""
        return self.of_places(self.places(points))

    def log_posterior(self, points: np.ndarray) -> np.ndarray:
        """Log posterior at points (m, size), up to a constant; minus infinity beyond the reach of the search."""
        points = np.atleast_2d(points)
        inside = np.abs(points).max(axis=1) <= REACH
        found = np.full(len(points), -np.inf)
        if inside.any():
            chosen = points[inside]
            found[inside] = self.log_likelihoods(chosen).sum(axis=1) - 0.5 * np.sum(chosen**2, axis=1)
        return found

    def with_gradient(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Log posterior at one point and its gradient (size,): exact in the quadratics, and by difference in the
        likelihood of each.
        """
        point = np.asarray(point, dtype=float)
        places = self.places(point[None, :])
        above, below = self.of_places(places + _STEP)[0], self.of_places(places - _STEP)[0]
        value = float(self.of_places(places).sum() - 0.5 * point @ point)
        return value, ((above - below) / (2.0 * _STEP)) @ self.slopes(point) - point

    def precision(self, point: np.ndarray) -> np.ndarray:
        """Inverse covariance (size, size) of the Gaussian approximation at a point (Gauss-Newton, Fisher scoring)."""
        places = self.places(np.asarray(point)[None, :])
        step = 0.05
        three = [self.of_places(places + s)[0] for s in (-step, 0.0, step)]
        bend = np.maximum(-(three[0] - 2.0 * three[1] + three[2]) / step**2, 0.0)
        slopes = self.slopes(point)
        return slopes.T @ (bend[:, None] * slopes) + np.eye(self.size)

    def of_items(self, items: Sequence[Item]) -> "Emulator":
        """The same emulator for other reports of the same endpoints, such as synthetic ones; order as in `items`."""
        return Emulator(tuple(items), self.quadratics, self.mix, self.learnt or self.items)

    def without(self, study_items: Sequence[str]) -> "Emulator":
        """The posterior without the results of these ids."""
        kept = [k for k, item in enumerate(self.items) if item.id not in set(study_items)]
        learnt = self.learnt or self.items
        return Emulator(
            tuple(self.items[k] for k in kept), tuple(self.quadratics[k] for k in kept), self.mix,
            tuple(learnt[k] for k in kept),
        )  # fmt: skip
