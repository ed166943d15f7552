"""Log-likelihood of the data for many sets of individual parameters at once.

One row is one subject with one set of individual parameters; the predictions of all rows come from one call of the
structure, and their observations lie behind each other in flat arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_ndtr

from ...parameters.errors import FitError
from .data import Subject
from .residual import Residual
from .structure import Structure


@dataclass(frozen=True, eq=False)
class Rows:
    """The observations of a sequence of subjects, flat; a subject may stand in it several times.

    Attributes
    ----------
    subjects
        (rows,) the subject of each row.
    value, below
        (observations,) of all rows together, as in `Subject`.
    row
        (observations,) the row of each observation.
    where
        For each kind, the places of its observations in the flat arrays.
    """

    subjects: tuple[Subject, ...]
    value: np.ndarray = field(init=False)
    below: np.ndarray = field(init=False)
    row: np.ndarray = field(init=False)
    where: Mapping[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        kinds = np.concatenate([subject.kind for subject in self.subjects])
        lengths = [len(subject.time) for subject in self.subjects]
        made = {
            "value": np.concatenate([subject.value for subject in self.subjects]),
            "below": np.concatenate([subject.below for subject in self.subjects]),
            "row": np.repeat(np.arange(len(lengths)), lengths),
            "where": {str(kind): np.flatnonzero(kinds == kind) for kind in np.unique(kinds)},
        }
        for name, part in made.items():
            object.__setattr__(self, name, part)

    def predict(self, structure: Structure, values: np.ndarray) -> np.ndarray:
        """Predictions (observations,) of all rows for individual parameters (rows, ids), natural."""
        return flat(structure.predict(values, self.subjects), self.subjects)

    def each(self, prediction: np.ndarray, residual: Mapping[str, Residual]) -> np.ndarray:
        """Log-likelihood (observations,) of each observation."""
        result = np.empty(len(self.value))
        for kind, place in self.where.items():
            error = residual[kind]
            result[place] = error.log_likelihood(self.value[place], self.below[place], prediction[place])
        return result

    def log_likelihood(self, prediction: np.ndarray, residual: Mapping[str, Residual]) -> np.ndarray:
        """Log-likelihood (rows,) of the data of each row."""
        each = self.each(prediction, residual)
        return np.bincount(self.row, weights=each, minlength=len(self.subjects))

    def misfit(self, prediction: np.ndarray, residual: Mapping[str, Residual]) -> tuple[np.ndarray, np.ndarray]:
        """For each observation z and log SD, with -2 log-likelihood = z^2 + 2 log SD + a constant.

        A below-limit observation has z = sqrt(-2 log probability), and no SD of its own (0).
        """
        z, log_sd = np.empty(len(prediction)), np.zeros(len(prediction))
        for kind, place in self.where.items():
            error, below = residual[kind], self.below[place]
            standard = error.standardised(self.value[place], prediction[place])
            z[place] = np.where(below, np.sqrt(-2.0 * log_ndtr(standard)), standard)
            log_sd[place] = np.where(below, 0.0, np.log(error.scale(prediction[place])))
        return z, log_sd


def flat(predictions: Sequence[np.ndarray], subjects: Sequence[Subject]) -> np.ndarray:
    """Predictions behind each other; a structure that returned the wrong shapes is a `FitError`."""
    right = len(predictions) == len(subjects)
    if right:
        right = all(len(part) == len(subject.time) for part, subject in zip(predictions, subjects, strict=True))
    if not right:
        raise FitError(
            f"the structure returned {len(predictions)} arrays for {len(subjects)} rows, or one of the wrong length; "
            "expected one prediction for each observation of each row."
        )
    return np.concatenate(predictions)
