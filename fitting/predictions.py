"""What the model says about each reported result, in the unit of the report."""

from collections.abc import Callable

import numpy as np

from ..model.endpoints import Outcomes
from ..model.imwg import CR, PR
from ..model.survival import SurvivalCurve, hazard_ratio, weighted_quantile
from ..parameters.errors import RangeError
from ..parameters.parameter_set import ParameterSet
from ..parameters.units import DAYS_PER_MONTH
from .arms import Arm
from .items import Item

SUSTAINED_MONTHS = 24.0
"""A best response is called sustained if there is no progression for this long; the paper gives no definition."""


def predict(item: Item, outcome: Outcomes, parameters: ParameterSet, arm: Arm) -> float:
    """Model value of one reported result, NaN if the virtual trial has nobody to compute it from."""
    return _PREDICTORS[item.endpoint](item, outcome, parameters, arm)


def can_predict(item: Item) -> bool:
    """Whether the model computes this endpoint, in the form and for the group of patients for which it was reported."""
    # the first patients of a trial are like all; a scenario says itself who its patients are
    known_group = bool(item.scenario) or item.group in _GROUPS or item.group.startswith("first ")
    if item.kind == "direction":
        return True
    form = item.kind != "qualitative" and (item.kind != "range" or bool(item.scenario))
    return item.endpoint in _PREDICTORS and form and known_group


_GROUPS = {"", "responders", "sustained best response", "best response not sustained"}


def _percent(outcome: Outcomes, holds: np.ndarray) -> float:
    return 100.0 * outcome.rate(holds)


def _median(values: np.ndarray, weight: np.ndarray) -> float:
    """Weighted median of those who count; patients that could not be integrated have NaN, and weight zero."""
    counts = (weight > 0).ravel()
    return float(weighted_quantile(values.ravel()[counts], 0.5, weight.ravel()[counts])) if counts.any() else np.nan


def _pfs_rate(item: Item, outcome: Outcomes) -> float:
    return 100.0 * float(outcome.progression_free("expected").at(item.time_months or np.nan))


def _interval(item: Item, curve: SurvivalCurve) -> float:
    """Percentage without an event at the end of an interval, of those without one at its beginning; 0 if of nobody."""
    before, after = curve.at([item.from_months or 0.0, item.time_months or np.nan])
    return 0.0 if before == 0.0 else 100.0 * float(after / before)


def _durations(outcome: Outcomes, ask: Callable[[SurvivalCurve], float]) -> float:
    """What is asked of the curve of durations of response; NaN if nobody responds, which makes no curve."""
    try:
        return ask(outcome.duration_of_response("expected"))
    except RangeError:
        return np.nan


def _persistence(item: Item, outcome: Outcomes) -> float:
    """Median day of last detection, in responders whose response is sustained or not."""
    progression = outcome.progression() / DAYS_PER_MONTH
    sustained = progression >= SUSTAINED_MONTHS
    group = item.group.lower()
    keep = outcome.best >= PR
    if "not" in group:
        keep = keep & ~sustained
    elif "sustained" in group:
        keep = keep & sustained
    return _median(outcome.persistence, outcome.weight * outcome.usable * keep)


def _time_to_response(outcome: Outcomes) -> float:
    """Median time from the start to the first confirmed response among responders, in days."""
    first = np.stack([response.first_response for response in outcome.responses])
    return _median(np.where(np.isfinite(first), first, np.nan), outcome.weight * outcome.usable * np.isfinite(first))


def _marker_reduction(outcome: Outcomes) -> float:
    """Median of the largest fall of the marker, in percent."""
    change = np.stack([response.best_change for response in outcome.responses])
    return -100.0 * _median(change, outcome.weight * outcome.usable * np.isfinite(change))


def _response_duration(item: Item, outcome: Outcomes) -> float:
    months = _durations(outcome, SurvivalCurve.smooth_median)
    return months * DAYS_PER_MONTH if item.unit == "days" else months


def _density_at_progression(outcome: Outcomes) -> float:
    """Median antigen density at progression among responders who progress within follow-up."""
    keep = np.isfinite(outcome.density_at_progression) & (outcome.best[0] >= PR)
    return _median(outcome.density_at_progression, outcome.weight[0] * outcome.usable * keep)


def _function_threshold(item: Item, parameters: ParameterSet, arm: Arm) -> float:
    """Maximal killing at the threshold density over net growth, typical patient at the usual burden: lost below 1."""
    typical = parameters.typical(arm.product, arm.population)
    engaged = ((item.threshold or np.nan) / typical["half_density_kill"]) ** typical["hill_density"]
    return typical["k_kill_max"] * engaged / (1.0 + engaged) / typical["k_growth_tumour"]


def _expansion_split(item: Item, outcome: Outcomes) -> float:
    """Hazard ratio of progression or death, peak above the threshold against below."""
    day = np.minimum(outcome.progression("expected"), outcome.death)
    time = np.minimum(day, outcome.visits.until).ravel() / DAYS_PER_MONTH
    event = (day <= outcome.visits.until).ravel()
    above = np.tile(outcome.c_max > (item.threshold or np.inf), 2)
    keep = outcome.flat_weight > 0
    if above[keep].all() or not above[keep].any():
        return np.nan
    return float(hazard_ratio(time[keep], event[keep], above[keep], outcome.flat_weight[keep]))


def _soluble_bcma(item: Item, outcome: Outcomes, parameters: ParameterSet) -> float:
    """Median relative to baseline; what other cells shed stays as it is."""
    day = (item.time_months or 0.0) * DAYS_PER_MONTH
    at = int(np.argmin(np.abs(outcome.visits.days - day)))
    others = parameters["fraction_sbcma_other_cells"].value
    return others + (1.0 - others) * _median(outcome.soluble_bcma[:, at], outcome.usable)


_Predictor = Callable[[Item, Outcomes, ParameterSet, Arm], float]
_PREDICTORS: dict[str, _Predictor] = {
    "orr": lambda item, outcome, *_: _percent(outcome, outcome.best >= PR),
    "cr_rate": lambda item, outcome, *_: _percent(outcome, outcome.best >= CR),
    "scr_rate": lambda item, outcome, *_: _percent(outcome, outcome.best >= CR),
    "response_duration": lambda item, outcome, *_: _response_duration(item, outcome),
    "time_to_response": lambda item, outcome, *_: _time_to_response(outcome),
    "light_chain_reduction": lambda item, outcome, *_: _marker_reduction(outcome),
    "mrd_negative_rate": lambda item, outcome, *_: _percent(outcome, outcome.mrd_negative()),
    "mrd_negative_cr_rate": lambda item, outcome, *_: _percent(outcome, outcome.mrd_negative() & (outcome.best >= CR)),
    "pfs_median": lambda item, outcome, *_: outcome.progression_free("expected").smooth_median(),
    "pfs_rate": lambda item, outcome, *_: _pfs_rate(item, outcome),
    "pfs_interval": lambda item, outcome, *_: _interval(item, outcome.progression_free("expected")),
    "dor_interval": lambda item, outcome, *_: _durations(outcome, lambda curve: _interval(item, curve)),
    "dor_median": lambda item, outcome, *_: _durations(outcome, SurvivalCurve.smooth_median),
    "persistence_median": lambda item, outcome, *_: _persistence(item, outcome),
    "density_before": lambda item, outcome, *_: _median(outcome.density_before, outcome.usable),
    "density_at_progression": lambda item, outcome, *_: _density_at_progression(outcome),
    "function_threshold": lambda item, outcome, parameters, arm: _function_threshold(item, parameters, arm),
    "expansion_split": lambda item, outcome, *_: _expansion_split(item, outcome),
    "t_max": lambda item, outcome, *_: _median(outcome.t_max, outcome.usable),
    "sbcma_relative": lambda item, outcome, parameters, _: _soluble_bcma(item, outcome, parameters),
}
