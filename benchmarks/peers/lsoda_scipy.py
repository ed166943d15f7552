"""scipy LSODA on the equations as plain Python: what a modeller without any compiler has."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from peers.problem import Peer


class ScipyLsoda(Peer):
    """LSODA of `scipy.integrate.solve_ivp`, restarted at every dose."""

    name: ClassVar[str] = "scipy LSODA"
    rtols: ClassVar[Sequence[float]] = (1e-5, 1e-6, 1e-7)

    def run(self, rtol: float) -> np.ndarray:
        """Follow all patients."""
        problem = self.problem
        courses = [
            equations.integrate(problem.regimen, problem.grid, "LSODA", rtol, slack=1.0) for equations in problem.people
        ]
        return problem.burden(np.stack(courses))
