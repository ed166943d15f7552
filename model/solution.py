"""What a simulation returns: time courses by name, the probability of eradication, and the ledger of failures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..parameters.errors import unknown
from .failure import Failure
from .regimen import Regimen


@dataclass(frozen=True, eq=False)
class Fired:
    """When a rule fired: `days` (n, most times that it did in one patient), NaN after the last."""

    days: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """Day on which it first fired, by patient; NaN if never, and for patients that could not be integrated."""
        return self.days[:, 0]

    @property
    def count(self) -> np.ndarray:
        """How often it fired, by patient."""
        return np.isfinite(self.days).sum(axis=1)


@dataclass(frozen=True, eq=False)
class Solution:
    """Time courses of virtual patients, by name and never by column.

    Attributes
    ----------
    times : array (n_times,)
        Days since the first infusion.
    eradication : array (n_patients,)
        Probability that every tumour cell has died out by the end (branching process).
    failures : tuple of Failure
        Patients that could not be integrated.
    steps : array (n_patients,)
        Steps that the integrator took.
    events : mapping of Fired
        When the rules fired, by name.
    """

    regimen: Regimen
    times: np.ndarray
    names: tuple[str, ...]
    units: Mapping[str, str]
    courses: np.ndarray
    eradication: np.ndarray
    delivered: Mapping[str, np.ndarray]
    failures: tuple[Failure, ...]
    steps: np.ndarray
    events: Mapping[str, Fired] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of virtual patients."""
        return self.courses.shape[0]

    @property
    def failed_share(self) -> float:
        """Share of patients without a result."""
        return len(self.failures) / self.n

    def __getitem__(self, name: str) -> np.ndarray:
        """Time course of an observable: array (n_patients, n_times) in `units[name]`."""
        if name not in self.names:
            raise unknown("observable", name, self.names)
        return self.courses[:, :, self.names.index(name)]
