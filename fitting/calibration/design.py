"""Design points of the joint fit and the model values there: the training data of the emulator."""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from ...parameters.errors import FileError
from .problem import Problem
from .search_space import REACH

# Evaluation log: what a fit has already computed, so that it can be interrupted and resumed.


class EvaluationLog:
    """What was computed at each point, one line each, written as it is computed.

    A fit is deterministic: started again with the same settings it asks for the same points, finds them here, and
    simulates only what is new. A torn last line is dropped. Several threads may write.

    Raises
    ------
    FileError
        If the file belongs to a fit with other evidence, sizes, seeds or free parameters.
    """

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, np.ndarray] = {}
        head = json.dumps(dict(identity), sort_keys=True)
        if not path.exists():
            path.write_text(head + "\n", encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a torn line ends anywhere, and -12 of -1234.5 would read as a number
        lines = whole.splitlines()
        if not lines or lines[0] != head:
            raise FileError(
                f"{path}: belongs to a fit with other evidence, sizes, seeds or free parameters; "
                "delete it, or repeat that fit's settings."
            )
        for line in lines[1:]:
            key, *numbers = line.split(" ")
            try:
                self._known[key] = np.array([float(number) for number in numbers])
            except ValueError:
                break
        kept = [head, *(_line(key, values) for key, values in self._known.items())]
        path.write_text("\n".join(kept) + "\n", encoding="utf-8")

    def __len__(self) -> int:
        """Number of points known."""
        return len(self._known)

    def ask(self, key: tuple[object, ...], point: np.ndarray, evaluate: Callable[[], np.ndarray]) -> np.ndarray:
        """What `evaluate` gives at a point under a key, from the record if it is there."""
        digest = hashlib.sha256(json.dumps(key).encode() + np.ascontiguousarray(point, dtype=float).tobytes())
        name = digest.hexdigest()[:20]
        if name not in self._known:
            values = np.asarray(evaluate(), dtype=float)
            with self._lock:
                self._known[name] = values
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(_line(name, values) + "\n")
        return self._known[name]


def _line(key: str, values: np.ndarray) -> str:
    return " ".join([key, *(repr(float(value)) for value in values)])


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
    problem: Problem, points: np.ndarray, *, first_seed: int, later: np.ndarray, ledger: EvaluationLog | None = None,
    threads: int = 2, progress: Progress | None = None,
) -> Design:  # fmt: skip
    """Simulate every fitted result at many points, each among other virtual patients.

    So no point is better because it suits one set of patients, and what the emulator learns is the mean over patients.
    `later`: at which points (n,) the later lines of therapy, which cost most, are simulated too.
    """
    done, lock = 0, threading.Lock()

    def evaluate_point(k: int) -> np.ndarray:
        nonlocal done
        seed, also_later = first_seed + k, bool(later[k])

        def simulated() -> np.ndarray:
            return problem.models(points[k], seed=seed, later=also_later)

        key = (seed, also_later)
        results = simulated() if ledger is None else ledger.ask(key, points[k], simulated)
        with lock:
            done += 1
            if progress is not None:
                progress(done, len(points))
        return results

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        return Design(points, np.stack(list(pool.map(evaluate_point, range(len(points))))))
