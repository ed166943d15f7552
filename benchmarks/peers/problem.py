"""What every engine of the comparison is given: the same patients, equations, doses and output times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from perdure.model.engine.referee import Equations
from perdure.model.myeloma import assemble
from perdure.model.pharmacokinetics import unit_responses
from perdure.model.preparation import drugs_of, terms_of
from perdure.model.regimens.regimen import Bolus, Regimen

MOST_STEPS = 100_000
"""Steps that a peer may take between two output times."""
TERMS = 2
"""Exponentials of a drug that the peers are written for."""


@dataclass(frozen=True)
class Segment:
    """Time between two doses.

    `days` are the start, the output times inside, and the end, each once; `places` are the rows of the output grid
    that belong to the second and later days; `doses` are given at the start, as pairs (number of the drug, amount).
    """

    days: np.ndarray
    places: np.ndarray
    doses: tuple[tuple[int, float], ...]


class Problem:
    """Virtual patients, a regimen of CAR-T cells on day 0 and doses of drugs, and the output times (days)."""

    def __init__(self, patients: Mapping[str, np.ndarray], regimen: Regimen, grid: np.ndarray) -> None:
        self.system, self.patients, self.regimen, self.grid = assemble(regimen).system, patients, regimen, grid
        self.n = len(patients["tumour_baseline"])
        self.people = [Equations(self.system, patients, i) for i in range(self.n)]
        self.start = np.stack([equations.initial() + equations.cells(regimen, 0.0) for equations in self.people])
        self.tolerance = np.array([state.tolerance for state in self.system.states])
        self.tumour = np.array([state.group == "tumour" for state in self.system.states])
        drugs = drugs_of(self.system)
        names = [drug.key for drug in drugs]
        if terms_of(drugs) > TERMS or len(regimen.courses) > 1:
            raise ValueError(f"{regimen.text}: peers follow one course of cells, and drugs of {TERMS} exponentials.")
        self.weight, self.rate = unit_responses(drugs, patients, self.n, TERMS)
        self.doses: dict[float, tuple[tuple[int, float], ...]] = {}
        for dose in regimen.doses:
            if not isinstance(dose, Bolus) or (dose.therapy not in names and dose.day != 0.0):
                raise ValueError(f"{dose}: peers are given cells on day 0 and drugs at once, no infusions.")
            if dose.therapy in names and dose.day < grid[-1]:
                self.doses[dose.day] = (*self.doses.get(dose.day, ()), (names.index(dose.therapy), dose.amount))
        edges = sorted({0.0, float(grid[-1]), *self.doses})
        self.segments = [self._segment(start, end) for start, end in pairwise(edges)]

    def _segment(self, start: float, end: float) -> Segment:
        places = np.flatnonzero((self.grid > start) & (self.grid <= end))
        days = np.unique(np.concatenate([[start], self.grid[places], [end]]))
        return Segment(days, places, self.doses.get(start, ()))

    def burden(self, states: np.ndarray) -> np.ndarray:
        """ln(tumour cells) of an array (..., states)."""
        return np.log(np.maximum(states, 0.0)[..., self.tumour].sum(axis=-1))


class Peer:
    """Another engine: built once from a problem, not timed, and then run at any relative tolerance."""

    name: ClassVar[str]
    rtols: ClassVar[Sequence[float]] = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
    restarts: ClassVar[bool] = True
    """Whether the engine begins anew at every dose; without doses that makes no difference."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def run(self, rtol: float) -> np.ndarray:
        """Follow all patients once: ln(tumour cells), array (patients, times)."""
        raise RuntimeError(f"{type(self).__name__} has no run of its own.")
