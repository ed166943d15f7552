"""Endpoints of a large cohort: the outcomes of its parts put together as those of one trial arm."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from .endpoints import Outcomes, Visits, outcomes_of_part
from .imwg import Response
from .reduction import Part

LEFT_OUT = "soluble_bcma"
"""The one endpoint with a value per visit, which would need more memory than all others together."""

_BRANCHES = ("relapse", "eradicated")
_BY_BRANCH = ("weight", "persistence", "least_tumour", "tumour_at_progression")
_ARRAYS = tuple(each.name for each in fields(Outcomes) if each.name not in {"visits", "responses", LEFT_OUT})


@dataclass(frozen=True)
class Endpoints:
    """Every endpoint of `model.endpoints` per patient; the result is the `Outcomes` of the whole cohort.

    About 250 bytes per patient. `soluble_bcma` has no columns there: ask for it with `Courses`.
    """

    visits: Visits = field(default_factory=Visits)

    @property
    def days(self) -> np.ndarray:
        """Days that have to be recorded: those of the visits and those that show the peak."""
        return self.visits.grid

    def reduce(self, part: Part) -> dict[str, np.ndarray]:
        """Endpoints of a part, exactly as those of a trial with these patients only."""
        found = outcomes_of_part(part.recorded(self.days), part.patients, part.draws, self.visits)
        arrays = {name: getattr(found, name) for name in _ARRAYS}
        for branch, response in zip(_BRANCHES, found.responses, strict=True):
            arrays |= {f"{branch} {each.name}": getattr(response, each.name) for each in fields(Response)}
        return arrays

    def begin(self, n: int) -> "_RunningOutcomes":
        """Endpoints of nobody yet."""
        return _RunningOutcomes(self.visits, n)


class _RunningOutcomes:
    def __init__(self, visits: Visits, n: int) -> None:
        self.visits, self.n = visits, n
        self.arrays: dict[str, np.ndarray] = {}

    def add(self, first: int, arrays: Mapping[str, np.ndarray]) -> None:
        for name, values in arrays.items():
            axis = 1 if name in _BY_BRANCH else 0
            if name not in self.arrays:
                shape = list(values.shape)
                shape[axis] = self.n
                self.arrays[name] = np.empty(shape, dtype=values.dtype)
            rows = slice(first, first + values.shape[axis])
            self.arrays[name][(slice(None), rows) if axis else rows] = values

    def result(self) -> Outcomes:
        one, other = (
            Response(**{each.name: self.arrays[f"{branch} {each.name}"] for each in fields(Response)})
            for branch in _BRANCHES
        )
        values = {name: self.arrays[name] for name in _ARRAYS}
        return Outcomes(visits=self.visits, responses=(one, other), **{LEFT_OUT: np.empty((self.n, 0))}, **values)
