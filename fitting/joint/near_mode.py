"""Draws of a posterior that an emulator knows: sequential Monte Carlo from a Gaussian around its own highest point.

It removes what is wrong with the Gaussian, and takes fewer stages than from the prior. A Gaussian that is much wider,
or around another place, must not be used: among a hundred numbers some hundred particles then end too close together,
and intervals would be too narrow.
"""

import numpy as np

from ..samplers.smc import SmcSettings, sample_smc_from
from .emulator import Emulator
from .search import climb

WIDER = 1.5
"""The Gaussian has so many times the covariance of the Laplace approximation."""


def sample_near_mode(
    emulator: Emulator, particles: int, seed: int, start: np.ndarray | None = None
) -> np.ndarray:  # fmt: skip
    """Draws (particles, size) of the emulator's posterior; `start` is where its highest point is looked for."""
    mode = climb(emulator.with_gradient, np.zeros(emulator.size) if start is None else start).point
    covariance = WIDER * np.linalg.inv(emulator.precision(mode))
    settings = SmcSettings(particles=particles, seed=seed)
    return sample_smc_from(lambda at: emulator.log_likelihoods(at).sum(axis=1), mode, covariance, settings).points
