"""Residual error: how far a measurement falls from its prediction, below-limit measurements included.

A measurement below the limit of quantification contributes the probability of falling below it (method M3 of Beal 2001,
J Pharmacokinet Pharmacodyn 28:481).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import log_ndtr

from ...parameters.errors import RangeError, unknown

_LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_TINY = 1e-300
_NEEDED = {
    "log": ("additive",),
    "additive": ("additive",),
    "proportional": ("proportional",),
    "combined": ("additive", "proportional"),
}


@dataclass(frozen=True)
class Residual:
    """One residual error model.

    ``log``: log y = log f + additive * e; ``additive``: y = f + additive * e; ``proportional``: y = f + proportional *
    f * e; ``combined``: y = f + sqrt(additive^2 + proportional^2 f^2) * e; e is standard normal.

    Attributes
    ----------
    kind
        One of the four.
    additive
        SD in the unit of the data, for ``log`` the SD of the log.
    proportional
        SD as a fraction of the prediction.

    Raises
    ------
    UnknownNameError, RangeError
        For an unknown kind, or a number that its kind needs and that is not positive.
    """

    kind: Literal["log", "additive", "proportional", "combined"]
    additive: float = 0.0
    proportional: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in _NEEDED:
            raise unknown("kind of residual error", self.kind, _NEEDED)
        for name in ("additive", "proportional"):
            value = getattr(self, name)
            if name in self.needed and not (math.isfinite(value) and value > 0.0):
                raise RangeError(f"residual error '{self.kind}': {name} is {value:g}; a positive number is expected.")
            if name not in self.needed and value != 0.0:
                raise RangeError(f"residual error '{self.kind}' has no {name} part; leave {name} = {value:g} out.")

    @property
    def needed(self) -> tuple[str, ...]:
        """The numbers that this kind has, in the order of `numbers`."""
        return _NEEDED[self.kind]

    @property
    def numbers(self) -> np.ndarray:
        """(needed,) the SDs."""
        return np.array([getattr(self, name) for name in self.needed])

    def with_numbers(self, numbers: np.ndarray) -> "Residual":
        """The same kind with other SDs (needed,)."""
        return replace(self, **dict(zip(self.needed, map(float, numbers), strict=True)))

    def scale(self, prediction: np.ndarray) -> np.ndarray:
        """SD at each prediction, on the log scale for ``log``; shape of the prediction."""
        if self.kind in ("log", "additive"):
            return np.full_like(prediction, self.additive, dtype=float)
        return np.maximum(np.hypot(self.additive, self.proportional * prediction), _TINY)

    def standardised(self, value: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """(y - f) / SD, or its form on the log scale; for a below-limit value the standardised limit."""
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                return (np.log(value) - np.log(prediction)) / self.additive
        return (value - prediction) / self.scale(prediction)

    def log_likelihood(self, value: np.ndarray, below: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Log density of each observation, log probability of each below-limit one; all arrays of one shape.

        The density is that of y itself (for ``log`` the log-normal density), so that kinds can be compared. A
        prediction that is NaN, or not positive under ``log``, has log-likelihood minus infinity.
        """
        z = self.standardised(value, prediction)
        with np.errstate(divide="ignore", invalid="ignore"):
            jacobian = np.log(value) if self.kind == "log" else 0.0
            result = -0.5 * z * z - _LOG_ROOT_TWO_PI - np.log(self.scale(prediction)) - jacobian
            result[below] = log_ndtr(z[below])
        result[np.isnan(result)] = -np.inf
        return result

    def simulate(self, prediction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Measurements drawn around the predictions, same shape; without any limit of quantification."""
        noise = self.scale(prediction) * rng.standard_normal(prediction.shape)
        return prediction * np.exp(noise) if self.kind == "log" else prediction + noise

    def slope(self, value: np.ndarray, below: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How the log-likelihood of each observation changes with log SD (n,), and each number's share of the SD
        (needed, n): their product is the slope with the log of each number.
        """
        z = self.standardised(value, prediction)
        hazard = np.exp(-0.5 * z * z - _LOG_ROOT_TWO_PI - log_ndtr(z))
        if self.kind == "combined":
            share = (self.additive / self.scale(prediction)) ** 2
            shares = np.stack([share, 1.0 - share])
        else:
            shares = np.ones((1, len(z)))
        return np.where(below, -z * hazard, z * z - 1.0), shares
