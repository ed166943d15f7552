"""Where the model is evaluated for the joint fit, and what came out: the points that the emulator learns from."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from .ledger import Ledger
from .problem import Problem
from .search_space import REACH

Progress = Callable[[int, int], None]
Staged = Callable[[str, int, int], None]


def labelled(progress: Staged | None, stage: str) -> Progress:
    """Progress of one stage: what is done and what is planned, passed on under its name."""
    return lambda done, total: progress(stage, done, total) if progress is not None else None


@dataclass(frozen=True, eq=False)
class Design:
    """Points (n, size) of the search space and the model's values (n, items) there, in the units of the reports."""

    points: np.ndarray
    models: np.ndarray

    def __len__(self) -> int:
        """Number of evaluations."""
        return len(self.points)

    def joined(self, other: "Design") -> "Design":
        """Both together."""
        return Design(np.concatenate([self.points, other.points]), np.concatenate([self.models, other.models]))


def prior_points(n: int, size: int, seed: int) -> np.ndarray:
    """Evenly spread points (n, size) of the prior: Sobol points, shifted at random (Cranley and Patterson 1976)."""
    shift = np.random.default_rng(seed).random(size)
    whole = qmc.Sobol(size, scramble=False).random_base2(max(n - 1, 0).bit_length())  # a power of two, the first n kept
    even = (whole[:n] + shift) % 1.0
    return np.clip(ndtri(np.clip(even, 1e-9, 1.0 - 1e-9)), -REACH, REACH)


def evaluate(
    problem: Problem, points: np.ndarray, *, first_seed: int, later: np.ndarray, ledger: Ledger | None = None,
    threads: int = 2, progress: Progress | None = None,
) -> Design:  # fmt: skip
    """Simulate every fitted result at many points, each among other virtual patients.

    So no point is better because it suits one set of patients, and what the emulator learns is the mean over patients.
    `later`: at which points (n,) the later lines of therapy, which cost most, are simulated too.
    """
    done, lock = 0, threading.Lock()

    def one(k: int) -> np.ndarray:
        nonlocal done
        seed, also_later = first_seed + k, bool(later[k])

        def simulated() -> np.ndarray:
            return problem.models(points[k], seed=seed, later=also_later)

        key = (seed, also_later)
        found = simulated() if ledger is None else ledger.ask(key, points[k], simulated)
        with lock:
            done += 1
            if progress is not None:
                progress(done, len(points))
        return found

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        return Design(points, np.stack(list(pool.map(one, range(len(points))))))
