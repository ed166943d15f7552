"""From simulated points to the emulator of the joint fit."""

from collections.abc import Sequence

import numpy as np

from .design import Design
from .emulator import Emulator
from .one_thread import on_one_thread
from .problem import Problem
from .quadratic import Quadratic, learn
from .relevance import relevant
from .scale import to_scale

CLOSE = 1.5
"""Points within so many posterior SDs (root mean square) of the centre count fully, others by its square."""


@on_one_thread
def learn_emulator(
    problem: Problem, design: Design, *, centre: np.ndarray, covariance: np.ndarray | None = None,
    noise: np.ndarray | None = None, before: Emulator | None = None, logs: Sequence[np.ndarray] | None = None,
) -> Emulator:  # fmt: skip
    """Learn every fitted result.

    Parameters
    ----------
    centre, covariance
        Where the emulator shall be good, in the search space: the posterior so far. Without a covariance: everywhere.
    noise : array (items,)
        SD of an evaluation on the scale of each result that comes from the sampling of patients (`patient_noise`).
    before
        An earlier emulator, whose relevances are where the learning starts.
    logs
        Relevances and noise that were learnt before, result by result, and are taken as they are.
    """
    mix = problem.space.mix
    numbers, there = design.points @ mix.T, mix @ centre
    spread = None if covariance is None else mix @ covariance @ mix.T
    quadratics: list[Quadratic] = []
    for k, (study, item) in enumerate(problem.fitted):
        chosen = relevant(problem.space.ids, study, item)
        known = np.flatnonzero(~np.isnan(design.models[:, k]))
        doubt = np.ones(len(known))
        if spread is not None:
            away = numbers[np.ix_(known, chosen)] - there[chosen]
            metric = np.linalg.inv(spread[np.ix_(chosen, chosen)] + 1e-6 * np.eye(len(chosen)))
            doubt = np.maximum(1.0, np.einsum("ni,ij,nj->n", away, metric, away) / len(chosen) / CLOSE**2)
        quadratics.append(
            learn(
                numbers[known], to_scale(item, design.models[known, k]), chosen, centre=there, doubt=doubt,
                patient_noise=0.0 if noise is None else float(noise[k]),
                start=None if before is None else before.quadratics[k].logs,
                known=None if logs is None else logs[k],
            )
        )  # fmt: skip
    return Emulator(problem.items, tuple(quadratics), mix)


def patient_noise(problem: Problem, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """SD of each result on its scale between two sets of patients at the same points: arrays (points, items).

    The pure error of response surfaces (Box & Draper 1987): half the mean square of the differences of pairs.
    """
    found = np.zeros(len(problem.items))
    for k, item in enumerate(problem.items):
        difference = to_scale(item, first[:, k]) - to_scale(item, second[:, k])
        known = difference[np.isfinite(difference)]
        found[k] = np.sqrt(0.5 * np.mean(known**2)) if known.size else 0.0
    return found
