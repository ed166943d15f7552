"""The joint fit as one function: a point in the search space in, the log posterior and every misfit out."""

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ..model.endpoints import Outcomes
from ..model.simulate import Solver
from ..parameters.errors import FitError
from ..parameters.parameter_set import ParameterSet
from .arms import Arm, arms_of, run_arm
from .items import Study
from .likelihood import ItemMatch, match
from .predictions import can_predict, predict
from .search_space import SearchSpace
from .sequences import compare_sequences


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Log posterior (up to a constant) of one point, and how every item is met."""

    log_posterior: float
    log_likelihood: float
    matches: tuple[ItemMatch, ...]


@dataclass(frozen=True, eq=False)
class Problem:
    """Evidence, free parameters and virtual patients of a fit.

    The same virtual patients serve every point (common random numbers), `n` of them per arm, from `seed`.
    """

    space: SearchSpace
    studies: tuple[Study, ...]
    n: int = 200
    seed: int = 20260101
    solver: Solver = field(default_factory=lambda: Solver(rtol=1e-4, workers=1))
    threads: int = 2

    def __post_init__(self) -> None:
        """There must be something to fit."""
        if not any(item.role == "fit" for study in self.studies for item in study.items):
            raise FitError("no item has the role 'fit'; there is nothing to fit.")

    def evaluate(self, point: np.ndarray, *, roles: Iterable[str] = ("fit",)) -> Evaluation:
        """Simulate every arm at a point and compare; the prior is a standard normal in every coordinate."""
        parameters = self.space.at(point)
        matches = compare(
            parameters, self.studies, n=self.n, seed=self.seed, solver=self.solver, roles=roles, threads=self.threads
        )
        likelihood = sum(m.item.weight * m.log_likelihood for m in matches if m.item.role == "fit")
        prior = -0.5 * float(np.sum(np.square(point)))
        return Evaluation(likelihood + prior, likelihood, matches)

    def residuals(self, point: np.ndarray) -> np.ndarray:
        """Weighted misfits and prior coordinates: half their sum of squares is minus the log posterior."""
        matches = self.evaluate(point).matches
        misfits = [math.sqrt(m.item.weight) * (10.0 if math.isnan(m.misfit) else m.misfit) for m in matches]
        return np.array([*misfits, *point])


def compare(
    parameters: ParameterSet,
    studies: Iterable[Study],
    *,
    n: int,
    seed: int,
    solver: Solver | None = None,
    roles: Iterable[str] = ("fit", "check"),
    threads: int = 2,
) -> tuple[ItemMatch, ...]:
    """Model value and misfit of every item with one of the roles that the model computes.

    Of items about a scenario, only those that are fitted: the others are many, and have a table of their own.
    """
    studies, wanted = tuple(studies), set(roles)
    arms = arms_of(studies, wanted)
    solver = solver or Solver(workers=1)
    unique = list(dict.fromkeys(arms.values()))

    def one(arm: Arm) -> Outcomes:
        return run_arm(parameters, arm, n=n, seed=seed, solver=solver)

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        done = dict(zip(unique, pool.map(one, unique), strict=True))
    rows = []
    for study in studies:
        for item in study.items:
            if item.scenario or study.name not in arms or item.role not in wanted or not can_predict(item):
                continue
            arm = arms[study.name]
            model = predict(item, done[arm], parameters, arm)
            found = match(item, model)
            rows.append(ItemMatch(study.study, item, model, found.log_likelihood, found.misfit))
    if "fit" in wanted:
        rows += compare_sequences(parameters, studies, n=n, seed=seed, roles=("fit",), solver=solver)
    return tuple(rows)
