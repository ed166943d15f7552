"""numbalsoda: LSODA (C++) and DOP853 (Fortran), the whole loop over patients and doses compiled."""

import importlib
from typing import Any, ClassVar

import numpy as np

from peers.compiled import compiled
from peers.problem import MOST_STEPS, Peer, Problem

numba: Any = importlib.import_module("numba")  # not a dependency of perdure, so not always there


class NumbaLsoda(Peer):
    """LSODA on the compiled equations, restarted at every dose.

    The library takes one absolute tolerance, so the states are in units of theirs; it takes no Jacobian.
    """

    name: ClassVar[str] = "numbalsoda LSODA"
    solver: ClassVar[str] = "lsoda"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        library: Any = importlib.import_module("numbalsoda")
        equations = compiled(problem)
        self.function = equations.function(library.lsoda_sig, self.restarts)  # alive as long as its address is used
        self.numbers, self.start = equations.numbers, problem.start / problem.tolerance
        pieces = [(segment.days, segment.places) for segment in problem.segments]
        if not self.restarts:
            pieces = [(problem.grid, np.arange(1, len(problem.grid)))]
        self.days = np.concatenate([days for days, _ in pieces])
        self.first = np.cumsum([0, *(len(days) for days, _ in pieces)])
        self.row = np.concatenate([places for _, places in pieces])
        self.row_first = np.cumsum([0, *(len(places) for _, places in pieces)])
        self.follow = _follow(getattr(library, self.solver), equations.now)
        self._run(slice(0, 1), 1e-3)  # compiles

    def run(self, rtol: float) -> np.ndarray:
        """Follow all patients."""
        return self._run(slice(None), rtol)

    def _run(self, part: slice, rtol: float) -> np.ndarray:
        problem, numbers = self.problem, self.numbers[part].copy()
        states = np.empty((len(numbers), len(problem.grid), self.start.shape[1]))
        stopped = self.follow(
            self.function.address, numbers, self.start[part], self.days, self.first, self.row, self.row_first, rtol,
            MOST_STEPS, states,
        )  # fmt: skip
        if stopped >= 0:
            raise RuntimeError(f"{self.name}, rtol = {rtol:g}: patient {stopped} could not be followed to the end.")
        return problem.burden(states * problem.tolerance)


class NumbaLsodaOn(NumbaLsoda):
    """LSODA that runs on over the doses and leaves it to the step control to notice them."""

    name: ClassVar[str] = "numbalsoda LSODA, no restarts"
    restarts: ClassVar[bool] = False


class NumbaDop853(NumbaLsoda):
    """The explicit method of the same library."""

    name: ClassVar[str] = "numbalsoda DOP853"
    solver: ClassVar[str] = "dop853"


class NumbaDop853On(NumbaDop853):
    """The explicit method, running on over the doses."""

    name: ClassVar[str] = "numbalsoda DOP853, no restarts"
    restarts: ClassVar[bool] = False


def _follow(solver: Any, now: int) -> Any:
    """The compiled loop; returns the patient with whom the solver gave up, or -1."""

    @numba.njit
    def follow(address, numbers, start, days, first, row, row_first, rtol, most, states):  # noqa: ANN001, ANN202
        for patient in range(len(numbers)):
            d, y = numbers[patient], start[patient].copy()
            states[patient, 0] = y
            for segment in range(len(first) - 1):
                d[now] = segment
                solution, fine = solver(address, y, days[first[segment] : first[segment + 1]], d, rtol, 1.0, most)
                if not fine:
                    return patient
                for i in range(row_first[segment], row_first[segment + 1]):
                    states[patient, row[i]] = solution[1 + i - row_first[segment]]
                y = np.maximum(solution[-1], 0.0)
        return -1

    return follow
