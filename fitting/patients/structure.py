"""Interface of a structural model, and the population model built on it.

A structure turns individual parameters into predictions of what was observed. The individual parameters are positive
and log-normal between subjects: log(value) = log(typical) + eta, eta normal with mean zero and covariance omega.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...parameters.errors import InputError, RangeError, unknown
from .data import Subject
from .residual import Residual


class Structure(Protocol):
    """A structural model: individual parameters in, predictions of the observations out."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the individual parameters, all positive."""
        ...

    def predict(self, values: np.ndarray, subjects: Sequence[Subject]) -> list[np.ndarray]:
        """Predictions at every observation of every row.

        Parameters
        ----------
        values
            (rows, len(ids)) individual parameters, natural (not logs).
        subjects
            (rows,) whose observations row i predicts; a subject may stand in several rows.

        Returns
        -------
        list of (observations,) arrays
            In the units of the data; NaN where a prediction cannot be computed.
        """
        ...


@dataclass(frozen=True, eq=False)
class PopulationModel:
    """A structure with its typical values, its spread between subjects and its residual errors.

    Attributes
    ----------
    structure
        The structural model.
    typical
        (ids,) typical values, natural; the medians of the population.
    omega
        (ids, ids) covariance of the logs of the individual parameters; a zero row and column is a parameter without
        spread.
    residual
        Residual error for each kind of observation.

    Raises
    ------
    RangeError, InputError
        If typical values are not positive, or omega is not a covariance of the right shape.
    """

    structure: Structure
    typical: np.ndarray
    omega: np.ndarray
    residual: Mapping[str, Residual]

    def __post_init__(self) -> None:
        n = len(self.structure.ids)
        typical, omega = np.asarray(self.typical, float), np.asarray(self.omega, float)
        if typical.shape != (n,) or omega.shape != (n, n):
            raise InputError(
                f"population model: typical values of shape {typical.shape} and omega of shape {omega.shape}; "
                f"expected ({n},) and ({n}, {n}) for the parameters {', '.join(self.structure.ids)}."
            )
        for name, value in zip(self.structure.ids, typical, strict=True):
            if not (np.isfinite(value) and value > 0.0):
                raise RangeError(f"population model: the typical {name} is {value:g}; a positive number is expected.")
        if not np.isfinite(omega).all() or not np.allclose(omega, omega.T) or np.linalg.eigvalsh(omega)[0] < -1e-10:
            raise InputError("population model: omega is not a covariance matrix: symmetric, no negative eigenvalue.")
        object.__setattr__(self, "typical", typical)
        object.__setattr__(self, "omega", omega)

    @property
    def free(self) -> np.ndarray:
        """(ids,) bool: the parameters that differ between subjects."""
        return np.diag(self.omega) > 0.0

    def values(self, eta: np.ndarray) -> np.ndarray:
        """Individual parameters (..., ids), natural, for deviations eta (..., ids) on the log scale."""
        return self.typical * np.exp(eta)

    def check(self, subjects: Sequence[Subject]) -> None:
        """Every kind that was observed needs a residual error, and a log error needs positive values.

        Raises
        ------
        UnknownNameError, RangeError
            With the subject, the time and the value.
        """
        for subject in subjects:
            for kind in np.unique(subject.kind):
                if str(kind) not in self.residual:
                    raise unknown("kind of observation", str(kind), self.residual, f"subject {subject.id}")
                if self.residual[str(kind)].kind == "log":
                    wrong = np.flatnonzero((subject.kind == kind) & (subject.value <= 0.0))
                    if wrong.size:
                        raise RangeError(
                            f"subject {subject.id}: {kind} at {subject.time[wrong[0]]:g} days is "
                            f"{subject.value[wrong[0]]:g}; an error on the log scale needs positive values: give "
                            "the limit of quantification instead."
                        )
