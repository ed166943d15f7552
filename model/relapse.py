"""Causes of relapse: which mechanism, if restored alone, would still have controlled the tumour.

At progression the rate of killing is compared with that of growth under counterfactuals, each restoring one mechanism:
the antigen of day 0, the work of all CAR-T cells that are there, or the patient's own peak number of CAR-T cells
(working as well as those that are there). What would have sufficed alone is a cause; several causes share the relapse
equally. This is bookkeeping on the model, not a measurement.
"""

from collections.abc import Mapping

import numpy as np

from .processes.tumour import growth_rate
from .solution import Solution

CAUSES = ("antigen low or lost", "cells exhausted", "cells gone", "several together", "never expanded")


def causes(
    solution: Solution, patients: Mapping[str, np.ndarray], progression: np.ndarray, course: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Share of each cause in each patient's relapse: array (n, 5), zero where there is no progression.

    Parameters
    ----------
    progression
        Day of progression, infinite if none.
    course
        Must hold 'tumour': array (n, times), the tumour given that it was not eradicated.
    """
    n = solution.n
    rows = np.arange(n)
    relapsed = np.isfinite(progression)
    at = np.clip(np.searchsorted(solution.times, np.where(relapsed, progression, 0.0)), 0, len(solution.times) - 1)
    now = {name: solution[name][rows, at] for name in ("car_t", "engaged", "susceptibility", "suppression")}
    tumour = course["tumour"][rows, at]
    crowd = patients["half_kill"] + tumour / patients["engagement_volume"]
    strength = patients["k_kill_max"] / (1.0 + now["suppression"])
    growth = growth_rate(patients, tumour)
    peak = solution["car_t"].max(axis=1)
    working = np.divide(now["engaged"], now["car_t"], out=np.ones(n), where=now["car_t"] > 0)
    antigen = solution["susceptibility"][:, 0]

    def holds(cells: np.ndarray, share: np.ndarray) -> np.ndarray:
        return strength * cells / (cells + crowd) * share >= growth

    alone = np.stack(
        [
            holds(now["engaged"], antigen),
            holds(now["car_t"], now["susceptibility"]),
            holds(peak * working, now["susceptibility"]),
        ],
        axis=1,
    )
    together = holds(peak, np.maximum(antigen, now["susceptibility"]))
    count = alone.sum(axis=1)
    shares = np.zeros((n, len(CAUSES)))
    shares[:, :3] = np.where(count[:, None] > 0, alone / np.maximum(count, 1)[:, None], 0.0)
    shares[:, 3] = (count == 0) & together
    shares[:, 4] = (count == 0) & ~together
    shares[~relapsed] = 0.0
    return shares
