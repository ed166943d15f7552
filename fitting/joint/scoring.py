"""Log-likelihoods of many results at many points: the forms of `likelihood`, gathered so that arrays are long."""

from collections.abc import Sequence

import numpy as np

from ..items import Item
from ..likelihood import FARTHEST, UNKNOWN_N, cloglog, log_error, log_likelihoods, rate_error
from .scale import bounds, to_scale


class Scoring:
    """Weighted log-likelihoods of the same items again and again, equal to those of `likelihood` item by item."""

    def __init__(self, items: Sequence[Item], learnt: Sequence[Item] | None = None) -> None:
        """`learnt` are the reports on whose scales results were learnt, if these are others of the same endpoints."""
        self.items, self.learnt = tuple(items), tuple(learnt or items)
        self.weights = np.array([item.weight for item in items])
        kinds = np.array([_form(item) for item in items])
        self._counts, self._rates, self._logs, self._others = (
            np.flatnonzero(kinds == kind) for kind in ("count", "rate", "log", "other")
        )
        counted = [self.items[int(k)] for k in self._counts]
        self._n = np.array([item.n or UNKNOWN_N for item in counted], dtype=float)
        self._events = np.array([_events(item) for item in counted], dtype=float)
        best = self._events / self._n
        inside = np.where((best > 0) & (best < 1), best, 0.5)
        top = self._events * np.log(inside) + (self._n - self._events) * np.log1p(-inside)
        self._top = np.where((best > 0) & (best < 1), top, 0.0)
        rated = [self.items[int(k)] for k in self._rates]
        self._cloglog = np.array([float(cloglog(item.value or 0.0)) for item in rated])
        self._rate_error = np.array([rate_error(item) for item in rated])
        logged = [self.items[int(k)] for k in self._logs]
        self._log_value = np.log([item.value or 1.0 for item in logged])
        self._above = np.array([log_error(item, above=True) for item in logged])
        self._below = np.array([log_error(item, above=False) for item in logged])
        self._percent = np.array([item.unit == "%" for item in items])
        limits = [bounds(item) if item.unit != "%" else (1.0, 1.0) for item in self.learnt]
        self._bounds = np.log(limits).reshape(-1, 2)

    def models(self, places: np.ndarray) -> np.ndarray:
        """Results in the unit of their reports from their scale, arrays (..., items)."""
        found = np.empty(places.shape)
        share, other = self._percent, ~self._percent
        found[..., share] = 100.0 / (1.0 + np.exp(-places[..., share]))
        found[..., other] = np.exp(np.clip(places[..., other], self._bounds[other, 0], self._bounds[other, 1]))
        return found

    def places(self, models: np.ndarray) -> np.ndarray:
        """Inverse of `models`: results (..., items) on their scale."""
        columns = [to_scale(item, models[..., k]) for k, item in enumerate(self.learnt)]
        return np.stack(columns, axis=-1)

    def __call__(self, models: np.ndarray) -> np.ndarray:
        """Weighted log-likelihoods, shaped like `models` (..., items), which hold no NaN."""
        found = np.empty(models.shape)
        share = np.clip(models[..., self._counts] / 100.0, 1e-4, 1.0 - 1e-4)
        fall = self._events * np.log(share) + (self._n - self._events) * np.log1p(-share) - self._top
        found[..., self._counts] = np.minimum(fall, 0.0)
        z = (self._cloglog - cloglog(models[..., self._rates])) / self._rate_error
        found[..., self._rates] = -0.5 * z**2
        logged = models[..., self._logs]
        reached = np.where(np.isinf(logged), FARTHEST * np.exp(self._log_value), logged)
        distance = np.log(np.clip(reached, 1e-6, 1e6)) - self._log_value
        found[..., self._logs] = -0.5 * (distance / np.where(distance > 0, self._above, self._below)) ** 2
        for k in self._others:
            found[..., k] = log_likelihoods(self.items[k], models[..., k])
        return found * self.weights


def _form(item: Item) -> str:
    if item.kind == "proportion" or (item.kind == "value" and item.unit == "%"):
        return "count"
    if item.kind == "rate":
        return "rate"
    if item.kind in ("median", "ratio", "value") and item.unit != "%" and (item.value or 0.0) > 0:
        return "log"
    return "other"


def _events(item: Item) -> float:
    return item.events if item.events is not None else (item.n or UNKNOWN_N) * (item.value or 0.0) / 100.0
