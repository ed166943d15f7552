"""Local treatment of a share of the tumour at the first progression, and the time until the next one.

Everything is restricted to `HORIZON` months, in those who come to the first progression within as long.
"""

from collections.abc import Mapping

import numpy as np

from ..model.imwg import PR
from ..parameters.units import DAYS_PER_MONTH
from .arm import Change
from .treat import ArmResult

HORIZON = 18.0
"""Months."""


def in_field(share: float) -> Change:
    """Virtual patients with this share of the tumour in the field of radiotherapy; none means no radiotherapy at all.

    A share is the same for everybody, from 0 to 1.
    """

    def change(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        field = np.full_like(values["fraction_in_field_radiotherapy"], share)
        if share > 0.0:
            return {"fraction_in_field_radiotherapy": field}
        untouched = np.zeros_like(values["max_inhibition_suppression_radiotherapy"])
        return {"fraction_in_field_radiotherapy": field, "max_inhibition_suppression_radiotherapy": untouched}

    return change


def begins_early(result: ArmResult) -> np.ndarray:
    """Whether (n,) the line begins so early that what follows can be seen to the end."""
    return np.nan_to_num(result.since, nan=np.inf) <= HORIZON * DAYS_PER_MONTH


def months_free(result: ArmResult) -> np.ndarray:
    """Months (2, n) without progression or death from the start of a line, at most `HORIZON`."""
    day = np.minimum(result.outcomes.progression(), result.outcomes.death)
    return np.minimum(day / DAYS_PER_MONTH, HORIZON)


def weights(result: ArmResult) -> np.ndarray:
    """Weights (2, n) of who comes to a line; zero for the others."""
    return np.where(np.isfinite(result.since), result.outcomes.weight * result.outcomes.usable, 0.0)


def mean_months_free(result: ArmResult, keep: np.ndarray) -> float:
    """Mean months without progression or death of some patients (n,); in a second line, of those who begin it early."""
    weight = weights(result) * keep
    if result.line == 2:
        weight = weight * begins_early(result)
    return float(np.sum(weight * months_free(result)) / np.sum(weight))


def response_rate(result: ArmResult, keep: np.ndarray) -> float:
    """Share (0 to 1) of some patients (n,) who reach at least a partial response in a line."""
    weight = weights(result) * keep
    return float(np.sum(weight * (result.outcomes.best >= PR)) / np.sum(weight))


def months_until_failure(before: ArmResult, last: ArmResult) -> float:
    """Mean months from the start of the line before until the last line has failed or the patient is dead.

    Who never comes to the last line counts until death, or `HORIZON`.
    """
    came, wait = np.isfinite(last.since), (last.since - before.since) / DAYS_PER_MONTH
    early = begins_early(before)
    total = np.where(came, np.minimum(np.nan_to_num(wait) + months_free(last), HORIZON), 0.0)
    weight, others = weights(last) * early, weights(before) * early * ~came
    return float((np.sum(weight * total) + np.sum(others * months_free(before))) / (np.sum(weight) + np.sum(others)))
