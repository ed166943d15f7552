"""The joint fit as a function: from a point of the search space to the model value of every fitted result."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...model.endpoints import Outcomes
from ...model.simulate import Solver
from ...parameters.errors import FitError, InputError, RangeError
from ...parameters.parameter_set import ParameterSet
from ..observations import Observation, Study
from .likelihood import ObservationMatch, log_likelihoods, match
from .predictions import EvidenceArm, arms_of, can_predict, compare_sequences, predict, predict_sequence, run_arm
from .search_space import SearchSpace


@dataclass(frozen=True)
class Sizes:
    """Virtual patients of an evaluation: per arm, per scenario of a first line, and per scenario of a later line."""

    arm: int = 300
    first_line: int = 150
    later_line: int = 100

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("arm", "first_line", "later_line"):
            if getattr(self, name) < 2:
                raise RangeError(f"{name} = {getattr(self, name)} virtual patients; expected at least 2.")


@dataclass(frozen=True, eq=False)
class Problem:
    """Evidence, free parameters and sizes of a joint fit."""

    space: SearchSpace
    studies: tuple[Study, ...]
    sizes: Sizes = field(default_factory=Sizes)
    solver: Solver = field(default_factory=lambda: Solver(rtol=1e-4, workers=1))

    def __post_init__(self) -> None:
        """There must be something to fit."""
        if not self.fitted:
            raise FitError("no item has the role 'fit'; there is nothing to fit.")

    @cached_property
    def fitted(self) -> tuple[tuple[Study, Observation], ...]:
        """Every fitted result with its study, in the order of the files."""
        return tuple(
            (study, item)
            for study in self.studies
            for item in study.items
            if item.role == "fit" and can_predict(item) and (item.scenario or study.product)
        )

    @cached_property
    def items(self) -> tuple[Observation, ...]:
        """The fitted results."""
        return tuple(item for _, item in self.fitted)

    @cached_property
    def later(self) -> np.ndarray:
        """Whether a result is about a later line of therapy: array (items,)."""
        return np.array([bool(i.scenario) and study.scenario(i.scenario).line > 1 for study, i in self.fitted])

    @cached_property
    def _arms(self) -> dict[str, EvidenceArm]:
        return arms_of(self.studies, ("fit",))

    def models(self, point: np.ndarray, *, seed: int, later: bool = True) -> np.ndarray:
        """Model values (items,) in the units of the reports at a point, among virtual patients of a seed.

        NaN where the virtual trial has no patients to compute a value from, and for later lines unless asked for.
        """
        parameters = self.space.at(point)
        done: dict[EvidenceArm, Outcomes] = {}
        followed: dict[tuple[str, int], dict] = {}
        values = np.full(len(self.items), np.nan)
        for k, (study, item) in enumerate(self.fitted):
            if self.later[k] and not later:
                continue
            try:
                if item.scenario:
                    n = self.sizes.later_line if self.later[k] else self.sizes.first_line
                    cache = followed.setdefault((study.name, n), {})
                    values[k] = predict_sequence(item, study, parameters, cache, n=n, seed=seed, solver=self.solver)
                else:
                    arm = self._arms[study.name]
                    if arm not in done:
                        done[arm] = run_arm(parameters, arm, n=self.sizes.arm, seed=seed, solver=self.solver)
                    values[k] = predict(item, done[arm], parameters, arm)
            except InputError:  # at a point far from the truth no patient may come to the line, or to the trial
                continue
        return values

    def models_of(
        self, points: Sequence[np.ndarray], seeds: Sequence[int], *, later: bool = True, threads: int = 2
    ) -> np.ndarray:
        """`models` of many points, each with its own seed: array (points, items)."""
        with ThreadPoolExecutor(max(threads, 1)) as pool:
            jobs = pool.map(lambda job: self.models(job[0], seed=job[1], later=later), zip(points, seeds, strict=True))
            return np.stack(list(jobs))

    def log_likelihoods(self, models: np.ndarray) -> np.ndarray:
        """Weighted log-likelihood of every result, shaped like `models` (..., items)."""
        columns = [item.weight * log_likelihoods(item, models[..., k]) for k, item in enumerate(self.items)]
        return np.stack(columns, axis=-1)


def compare(
    parameters: ParameterSet,
    studies: Iterable[Study],
    *,
    n: int,
    seed: int,
    solver: Solver | None = None,
    roles: Iterable[str] = ("fit", "check"),
    threads: int = 2,
    sequences: bool = False,
) -> tuple[ObservationMatch, ...]:
    """Model value and misfit of every item with one of the roles that the model computes.

    Items about a scenario only if `sequences` are asked for: they are many, and have a table of their own.
    """
    studies, wanted = tuple(studies), set(roles)
    arms = arms_of(studies, wanted)
    solver = solver or Solver(workers=1)
    unique = list(dict.fromkeys(arms.values()))

    def outcomes_of(arm: EvidenceArm) -> Outcomes:
        return run_arm(parameters, arm, n=n, seed=seed, solver=solver)

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        done = dict(zip(unique, pool.map(outcomes_of, unique), strict=True))
    rows = []
    for study in studies:
        for item in study.items:
            if item.scenario or study.name not in arms or item.role not in wanted or not can_predict(item):
                continue
            arm = arms[study.name]
            model = predict(item, done[arm], parameters, arm)
            matched = match(item, model)
            rows.append(ObservationMatch(study.study, item, model, matched.log_likelihood, matched.misfit))
    if sequences:
        rows += compare_sequences(parameters, studies, n=n, seed=seed, roles=wanted, solver=solver)
    return tuple(rows)
