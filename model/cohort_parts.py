"""The parts of a cohort: what they are made from, how one is computed, and what is left of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..parameters.errors import RangeError
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import Draws, draw, make_patients
from .cast import cast_of
from .engine.source import engine_source
from .preparation import drugs_of, terms_of
from .reduction import Part, Reduction
from .regimen import Regimen
from .simulate import Solver, simulate
from .solution import Failure

MOST_FAILURES = 100
"""Failures that are listed; all are counted."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Virtual patients that are made when they are simulated, and never held all at once.

    They are those of `make_patients(catalogue, draw(catalogue, n, seed), product=..., population=...)`.

    Raises
    ------
    RangeError, UnknownNameError
        If `n` or the seed is not a whole number, or the product or population is not known.
    """

    catalogue: ParameterSet
    n: int
    seed: int
    product: str | tuple[str, ...] = ""
    population: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without patients."""
        draw(self.catalogue, 1, self.seed)
        if int(self.n) != self.n or self.n < 1:
            raise RangeError(f"number of virtual patients = {self.n}; expected a whole number of at least 1.")
        for product in self.products or ("",):
            self.catalogue.typical(product, self.population)

    @property
    def products(self) -> tuple[str, ...]:
        """The products, as `Regimen.products` gives them."""
        return tuple(name for name in ((self.product,) if isinstance(self.product, str) else self.product) if name)

    def part(self, first: int, last: int) -> tuple[Mapping[str, np.ndarray], Draws]:
        """Parameters and randomness of patients `first` to `last` (not included)."""
        draws = draw(self.catalogue, last - first, self.seed, first=first)
        return make_patients(self.catalogue, draws, product=self.product, population=self.population), draws


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything that the parts of one scenario have in common, and all that a distant worker is sent."""

    cohort: Cohort
    regimen: Regimen
    reductions: Mapping[str, Reduction]
    solver: Solver

    def run(self, first: int, last: int) -> "Finished":
        """Make, simulate and reduce patients `first` to `last` (not included)."""
        patients, draws = self.cohort.part(first, last)
        times = np.unique(np.concatenate([np.asarray(wanted.days) for wanted in self.reductions.values()]))
        solution = simulate(patients, self.regimen, times=times, solver=self.solver)
        part = Part(first, patients, draws, solution)
        failures = tuple(replace(f, patient=first + f.patient) for f in solution.failures[:MOST_FAILURES])
        arrays = {
            (key, name): array
            for key, wanted in self.reductions.items()
            for name, array in wanted.reduce(part).items()
        }  # fmt: skip
        return Finished(last - first, len(solution.failures), failures, arrays)

    @property
    def description(self) -> str:
        """All that decides what a part results in, as text."""
        cohort = self.cohort
        numbers = [(number.id, number.value, number.low, number.high) for number in cohort.catalogue.values()]
        links = [(key, population.correlations) for key, population in cohort.catalogue.populations.items()]
        people = (cohort.n, cohort.seed, cohort.product, cohort.population)
        system = cast_of(self.regimen).system
        equations = engine_source(system, terms_of(drugs_of(system)), self.solver.method).text
        wanted = sorted(self.reductions.items())
        return repr((people, numbers, links, self.regimen, wanted, self.solver, equations))


@dataclass(frozen=True, eq=False)
class Finished:
    """What is left of a part: `arrays` by reduction and name."""

    patients: int
    failed: int
    failures: tuple[Failure, ...]
    arrays: Mapping[tuple[str, str], np.ndarray]
