"""scikit-sundae: CVODE of SUNDIALS on the compiled equations and their exact compiled Jacobian."""

import importlib
from typing import Any, ClassVar

import numpy as np

from peers.compiled import compiled
from peers.problem import MOST_STEPS, Peer, Problem, Segment


class Sundae(Peer):
    """CVODE, BDF with dense Newton; one solver for all patients, restarted in place at every dose."""

    name: ClassVar[str] = "scikit-sundae BDF"
    method: ClassVar[str] = "BDF"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.library: Any = importlib.import_module("sksundae").cvode
        equations = compiled(problem)
        self.now, self.numbers = equations.now, equations.numbers
        self.slope, self.matrix = equations.slope(self.restarts), equations.matrix(self.restarts)
        whole = Segment(problem.grid, np.arange(1, len(problem.grid)), ())
        self.segments = problem.segments if self.restarts else [whole]
        self._run(range(1), 1e-3)  # compiles

    def run(self, rtol: float) -> np.ndarray:
        """Follow all patients."""
        return self._run(range(self.problem.n), rtol)

    def _run(self, patients: range, rtol: float) -> np.ndarray:
        problem, slope, matrix, d = self.problem, self.slope, self.matrix, self.numbers[0].copy()
        # Faster than the library's user data: with a tuple or list among the arguments numba's dispatch is slow.
        solver = self.library.CVODE(
            lambda t, y, yp: slope(t, y, yp, d), jacfn=lambda t, y, yp, m: matrix(t, y, m, d),
            method=self.method, rtol=rtol, atol=problem.tolerance, max_num_steps=MOST_STEPS,
        )  # fmt: skip
        states = np.empty((len(patients), len(problem.grid), problem.start.shape[1]))
        for patient in patients:
            d[:] = self.numbers[patient]
            y = states[patient, 0] = problem.start[patient]
            for segment_number, segment in enumerate(self.segments):
                d[self.now], end = segment_number, float(segment.days[-1])
                solver.init_step(float(segment.days[0]), y)
                for number, when in enumerate(segment.days[1:]):
                    answer = solver.step(float(when), "normal", end)
                    if not answer.success:
                        raise RuntimeError(f"{self.name}, rtol = {rtol:g}, day {when:g}: {answer.message}")
                    y = answer.y
                    if number < len(segment.places):
                        states[patient, segment.places[number]] = y
                y = np.maximum(y, 0.0)
        return problem.burden(states)


class SundaeAdams(Sundae):
    """The Adams method of CVODE."""

    name: ClassVar[str] = "scikit-sundae Adams"
    method: ClassVar[str] = "Adams"


class SundaeOn(Sundae):
    """BDF that runs on over the doses."""

    name: ClassVar[str] = "scikit-sundae BDF, no restarts"
    restarts: ClassVar[bool] = False


class SundaeAdamsOn(SundaeAdams):
    """The Adams method, running on over the doses."""

    name: ClassVar[str] = "scikit-sundae Adams, no restarts"
    restarts: ClassVar[bool] = False
