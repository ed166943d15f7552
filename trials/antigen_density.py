"""BCMA on the tumour cells of a treated arm: before treatment, at progression, and in how many relapses it is lost."""

import numpy as np

from ..model.relapse import CAUSES
from .measures import Measure
from .treat import ArmResult

LOST = 50.0
"""Molecules per cell below which CAR-T cells do nothing in vitro (Perica 2023)."""


def _relapsing(values: np.ndarray) -> np.ndarray:
    """A number of each relapse: only the branch in which the tumour comes back counts."""
    return np.stack([values, np.full(len(values), np.nan)])


def _before(result: ArmResult) -> float:
    return result.median(result.outcomes.density_before)


def _at_progression(result: ArmResult) -> float:
    return result.median(_relapsing(result.outcomes.density_at_progression))


def _below(result: ArmResult) -> float:
    density = result.outcomes.density_at_progression
    return result.mean(_relapsing(np.where(np.isnan(density), np.nan, 100.0 * (density < LOST))))


def _held_by_antigen(result: ArmResult) -> float:
    return cause_percent(result, "antigen low or lost")


BEFORE = Measure("BCMA before treatment", "molecules/cell", _before)
AFTER = Measure("BCMA at progression", "molecules/cell", _at_progression)
BELOW = Measure("progressions with cells below 50 molecules", "%", _below, 0.0, 100.0)
CAUSE = Measure("relapses that the antigen of day 0 would hold", "%", _held_by_antigen, 0.0, 100.0)


def cause_percent(result: ArmResult, cause: str) -> float:
    """Share of a cause (`model.relapse.CAUSES`) among the relapses of an arm, in percent; NaN without a relapse."""
    return 100.0 * float(result.outcomes.cause_share()[CAUSES.index(cause)])


def null_relapses(result: ArmResult) -> float:
    """Share of the progressions in which most cells have lost BCMA, in percent; NaN without a progression.

    Raises
    ------
    InputError
        If the courses in time were not kept.
    """
    outcomes, course = result.outcomes, result.course
    progression = outcomes.progression()[0]
    at = np.searchsorted(course.times, np.where(np.isfinite(progression), progression, 0.0))
    lost = course["null_fraction"][np.arange(outcomes.n), np.minimum(at, len(course.times) - 1)] > 0.5
    weight = outcomes.weight[0] * outcomes.usable * np.isfinite(progression)
    return float(100.0 * np.sum(weight * lost) / np.sum(weight)) if weight.sum() > 0 else float("nan")
