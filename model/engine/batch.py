"""A batch of patients in the compiled engine: its arrays, how far it has come, and what has been recorded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .seats import EVENT, OK
from .source import Engine

_ALIGNMENT = 64  # bytes of the widest vector


@dataclass(frozen=True)
class Numbers:
    """What a system and its patients are to the engine, one row per patient.

    `parameters` (n, parameters); `weight` and `rate` (n, drugs, exponentials) of the unit-dose responses; `scale` (n,
    states): what one unit of a dose adds to a state. `tolerance` and `lowest` (states); `branching`: places of the
    states that are followed cell by cell.
    """

    parameters: np.ndarray
    weight: np.ndarray
    rate: np.ndarray
    scale: np.ndarray
    tolerance: np.ndarray
    lowest: np.ndarray
    branching: np.ndarray

    def rows(self, chosen: slice | np.ndarray) -> "Numbers":
        """The same for some of the patients."""
        parameters, weight, rate, scale = (
            np.ascontiguousarray(array[chosen]) for array in (self.parameters, self.weight, self.rate, self.scale)
        )
        return Numbers(parameters, weight, rate, scale, self.tolerance, self.lowest, self.branching)


@dataclass(frozen=True)
class Schedule:
    """Dose edges: `doses` (edges, 2) day and amount; `targets` (edges, 2) kind and state or drug; `edges` (n, 2) first
    edge of every patient and the one after its last.
    """

    doses: np.ndarray
    targets: np.ndarray
    edges: np.ndarray

    @classmethod
    def same(cls, rows: Sequence[Sequence[float]], n: int) -> "Schedule":
        """The same edges (day, kind, target, amount, and more that is not looked at) for all patients."""
        table = np.array([row[:4] for row in sorted(rows, key=lambda row: row[0])], dtype=float).reshape(-1, 4)
        doses = np.ascontiguousarray(table[:, [0, 3]])
        return cls(doses, table[:, 1:3].astype(np.int64), np.tile(np.array([0, len(table)]), (n, 1)))


@dataclass(frozen=True)
class Watch:
    """Observables that stop a patient when they go beyond a limit.

    `what` (watches, 2): observable and direction (1: above, -1: below); `limits` and `armed` (n, watches): see `watch`.
    """

    what: np.ndarray
    limits: np.ndarray
    armed: np.ndarray


NO_WATCH = Watch(np.zeros((0, 2), dtype=np.int64), np.zeros((0, 0)), np.zeros((0, 0), dtype=np.int64))


@dataclass(frozen=True)
class Recording:
    """What to record: observables at `times`; states in the middle of intervals of `widths`, for eradication."""

    times: np.ndarray
    widths: np.ndarray

    @property
    def begins(self) -> np.ndarray:
        """First day of every interval."""
        return np.append(0.0, np.cumsum(self.widths)[:-1]) if len(self.widths) else np.zeros(0)

    def marks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Days of all outputs in order; which of them are the times, and which the middles of the intervals."""
        days = np.concatenate([self.times, self.begins + 0.5 * self.widths])
        order = np.argsort(days, kind="stable")
        places = np.argsort(order).astype(np.int64)
        return days[order], places[: len(self.times)], places[len(self.times) :]


class Batch:
    """Some patients on their way.

    Attributes
    ----------
    reason, steps : arrays (n,)
        Why a patient stopped (0: it did not fail), and its steps so far.
    fired : array (n,)
        The watch that stopped a patient on its way, -1 if none did.
    """

    def __init__(
        self, compiled: Engine, numbers: Numbers, recording: Recording, settings: np.ndarray, halt: np.ndarray
    ) -> None:
        sizes = compiled.sizes
        self.n, self.compiled, self.numbers = len(numbers.parameters), compiled, numbers
        self.recording, self.settings, self.halt = recording, settings.copy(), halt
        self.days, self.rows, self.middles = recording.marks()
        self.saved = np.full((self.n, len(self.days), sizes["N_SAVED"]), np.nan)
        self.checkpoints = np.zeros((self.n, sizes["N_CHECKPOINT"]))
        self.reason, self.steps = np.zeros(self.n, dtype=np.int64), np.zeros(self.n, dtype=np.int64)
        self.fired = np.full(self.n, -1, dtype=np.int64)
        self.begun = False

    def advance(
        self, schedule: Schedule, until: float, *, final: bool = True, shared: bool = False, watch: Watch = NO_WATCH
    ) -> None:
        """Go on to a day, or to where a watch stops a patient. The doses of that day are given only if it is final.

        With `shared`, each vector of patients makes the steps that its first patient needs; they have one schedule,
        start together, and are not watched. The first edge of a patient that goes on is `next_edge`, or what has come
        in its place.
        """
        if shared and (self.begun or len(watch.what)):
            raise ValueError("patients that share steps start together and stop together: no checkpoints, no watches.")
        mode = np.array([self.begun, final, shared], dtype=np.int64)
        self.fired[:] = -1
        self.settings[0] = until
        numbers = self.numbers
        self._call(
            "follow", 0, self.n, self.halt, mode, self.settings, numbers.tolerance, numbers.lowest, numbers.parameters,
            numbers.rate, numbers.weight, numbers.scale, schedule.edges, schedule.doses, schedule.targets,
            len(self.days), self.days, len(watch.what), watch.what, watch.limits, watch.armed, self.fired,
            self.checkpoints, self.saved, self.reason, self.steps,
        )  # fmt: skip
        self.reason[self.reason == EVENT] = OK
        self.begun = True

    def observed(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Observables at the recorded times, or at some of them by their places: array (n, rows, observables).

        NaN where a patient has not come yet, or never came.
        """
        chosen = np.ascontiguousarray(self.rows if rows is None else self.rows[rows])
        out = np.full((self.n, len(chosen), self.compiled.sizes["N_OBSERVED"]), np.nan)
        self._call(
            "observe_rows", 0, self.n, self.halt, self.numbers.parameters, len(self.days), len(chosen), chosen,
            self.saved, out,
        )  # fmt: skip
        return out

    def eradication(self, schedule: Schedule, few: float) -> np.ndarray:
        """Probability that every branching cell line of day 0 has died out; NaN for patients that failed."""
        probability = np.zeros(self.n)
        numbers, widths = self.numbers, self.recording.widths
        if len(numbers.branching) and len(widths):
            sizes = self.compiled.sizes
            means = _aligned(len(widths) * sizes["N_RATES"] * sizes["LANES"])
            self._call(
                "eradicate", 0, self.n, self.halt, few, numbers.parameters, numbers.rate, numbers.weight,
                schedule.edges, schedule.doses, schedule.targets, numbers.branching, len(widths), self.recording.begins,
                widths, len(self.days), self.middles, self.saved, means, self.reason, probability,
            )  # fmt: skip
        probability[self.reason != 0] = np.nan
        return probability

    @property
    def day(self) -> np.ndarray:
        """Day that every patient has reached."""
        return self.checkpoints[:, -4]

    @property
    def next_edge(self) -> np.ndarray:
        """First dose edge that has not been given, by patient."""
        return self.checkpoints[:, -1].astype(np.int64)

    @property
    def delivered(self) -> np.ndarray:
        """Amounts delivered so far, by state and then by drug."""
        sizes = self.compiled.sizes
        first = sizes["N_STATES"] + sizes["N_MOVING"]
        return self.checkpoints[:, first : first + sizes["N_STATES"] + sizes["N_DRUGS"]]

    def _call(self, name: str, *arguments: float | np.ndarray) -> None:
        self.compiled.call(name, *arguments)


def _aligned(size: int) -> np.ndarray:
    """Zeros in memory that starts where a vector may start."""
    raw = np.zeros(size + _ALIGNMENT // 8)
    skip = -raw.ctypes.data % _ALIGNMENT // 8
    return raw[skip : skip + size]
