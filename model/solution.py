"""What a simulation returns: time courses by name, the probability of eradication, and the ledger of failures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..parameters.errors import unknown
from .regimen import Regimen

REASONS = {
    1: "a value became infinite or not a number",
    2: "more steps than allowed",
    3: "the step size collapsed",
}


@dataclass(frozen=True)
class Failure:
    """A patient that could not be integrated: why, and how far it came. Its results are NaN."""

    patient: int
    reason: str
    day: float
    parameters: Mapping[str, float]


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
