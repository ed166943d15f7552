"""Model value of each reported result, in the unit of the report."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ...model.endpoints import Outcomes, Visits, outcomes
from ...model.imwg import CR, PR
from ...model.lines import LineOutcomes, follow_line
from ...model.regimens.plan import Plan
from ...model.regimens.regimen import Regimen, infuse
from ...model.regimens.sentence import read_plan
from ...model.simulate import Solver, simulate
from ...model.solution import Solution
from ...model.statistics.cox import hazard_ratio
from ...model.statistics.survival import SurvivalCurve, weighted_quantile
from ...parameters.errors import EvidenceError, InputError, RangeError
from ...parameters.parameter_set import ParameterSet
from ...parameters.patients import Draws, draw, make_patients
from ...parameters.units import DAYS_PER_MONTH
from ..observations import Observation, Scenario, Study
from .likelihood import ObservationMatch, match

# The virtual trial arm of each study: product, population, treatment, visits, follow-up.


SHORT_MONTHS, SHORTEST_MONTHS, LONGEST_MONTHS = 4.0, 18.0, 60.0


@dataclass(frozen=True)
class EvidenceArm:
    """A virtual trial arm; studies with the same product, population, treatment and visits share one."""

    product: str
    population: str
    regimens: tuple[tuple[float, Regimen], ...]
    visits: Visits


def arms_of(studies: Iterable[Study], roles: Iterable[str] = ("fit",)) -> dict[str, EvidenceArm]:
    """The arm of every study that has items with one of the roles, by study name."""
    wanted = set(roles)
    kept = {
        study.name: study
        for study in studies
        if study.product and any(item.role in wanted and not item.scenario for item in study.items)
    }
    months: dict[tuple, float] = {}
    for study in kept.values():
        months[_key(study)] = max(months.get(_key(study), 0.0), _months(study, wanted))
    arms = {}
    for name, study in kept.items():
        every = study.visit_interval_days or Visits.every
        arms[name] = EvidenceArm(study.product, study.population, _regimens(study), Visits(every, months[_key(study)]))
    return arms


def _key(study: Study) -> tuple:
    return study.product, study.population, study.treatment, study.visit_interval_days


def _months(study: Study, roles: set[str]) -> float:
    """Follow-up that the study's items ask for: twice their medians, their landmarks, the whole of their curves."""
    needed = SHORT_MONTHS
    for item in study.items:
        if item.scenario or item.role not in roles:
            continue
        if item.endpoint.startswith(("pfs", "dor", "os")):
            reach = item.time_months or 2.0 * (item.value or item.low or 0.0)
            needed = max(needed, SHORTEST_MONTHS, reach)
        elif item.endpoint == "persistence_median":
            needed = LONGEST_MONTHS
        elif item.endpoint not in {"t_max", "function_threshold"}:
            needed = max(needed, SHORTEST_MONTHS)
    whole = (item.reach_months for item in study.items if not item.scenario and item.role in roles)
    return max(min(needed, LONGEST_MONTHS), *whole, 0.0)


def _regimens(study: Study) -> tuple[tuple[float, Regimen], ...]:
    if not study.treatment:
        return ((1.0, infuse(study.product)),)
    total = sum(treatment.share for treatment in study.treatment)
    return tuple((treatment.share / total, treatment.regimen(study.product)) for treatment in study.treatment)


def run_arm(parameters: ParameterSet, arm: EvidenceArm, *, n: int, seed: int, solver: Solver | None = None) -> Outcomes:
    """Outcomes of `n` virtual patients in an arm."""
    draws = draw(parameters, n, seed)
    patients = make_patients(parameters, draws, product=arm.product, population=arm.population)
    parts = [part for _, part in treated(patients, draws, arm, solver)]
    return parts[0] if len(parts) == 1 else Outcomes.concatenate(parts)


def treated(
    patients: Mapping[str, np.ndarray], draws: Draws, arm: EvidenceArm, solver: Solver | None = None
) -> Iterator[tuple[Solution, Outcomes]]:
    """Courses and outcomes of these patients; mixed treatments are given to consecutive shares of them."""
    draws.assay_of(len(arm.visits.days))  # drawn for all, so that they are remembered for the next parameters
    bounds = np.round(draws.n * np.cumsum([0.0, *(share for share, _ in arm.regimens)])).astype(int)
    for (_, regimen), first, last in zip(arm.regimens, bounds[:-1], bounds[1:], strict=True):
        if last > first:
            group = {name: values[first:last] for name, values in patients.items()}
            solution = simulate(group, regimen, times=arm.visits.grid, solver=solver)
            yield solution, outcomes(solution, group, draws.part(first, last), arm.visits)


SUSTAINED_MONTHS = 24.0
"""A best response is called sustained if there is no progression for this long; the paper gives no definition."""


def predict(item: Observation, outcome: Outcomes, parameters: ParameterSet, arm: EvidenceArm) -> float:
    """Model value of one reported result, NaN if the virtual trial has no patients to compute it from."""
    return _PREDICTORS[item.endpoint](item, outcome, parameters, arm)


def can_predict(item: Observation) -> bool:
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


def _pfs_rate(item: Observation, outcome: Outcomes) -> float:
    return 100.0 * float(outcome.progression_free("expected").at(item.time_months or np.nan))


def _interval(item: Observation, curve: SurvivalCurve) -> float:
    """Percentage without an event at the end of an interval, of those without one at its beginning; 0 if none."""
    before, after = curve.at([item.from_months or 0.0, item.time_months or np.nan])
    return 0.0 if before == 0.0 else 100.0 * float(after / before)


def _durations(outcome: Outcomes, ask: Callable[[SurvivalCurve], float]) -> float:
    """What is asked of the curve of durations of response; NaN if no patient responds, so that there is no curve."""
    try:
        return ask(outcome.duration_of_response("expected"))
    except RangeError:
        return np.nan


def _persistence(item: Observation, outcome: Outcomes) -> float:
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


def _response_duration(item: Observation, outcome: Outcomes) -> float:
    months = _durations(outcome, SurvivalCurve.smooth_median)
    return months * DAYS_PER_MONTH if item.unit == "days" else months


def _density_at_progression(outcome: Outcomes) -> float:
    """Median antigen density at progression among responders who progress within follow-up."""
    keep = np.isfinite(outcome.density_at_progression) & (outcome.best[0] >= PR)
    return _median(outcome.density_at_progression, outcome.weight[0] * outcome.usable * keep)


def _function_threshold(item: Observation, parameters: ParameterSet, arm: EvidenceArm) -> float:
    """Maximal killing at the threshold density over net growth, typical patient at the usual burden: lost below 1."""
    typical = parameters.typical(arm.product, arm.population)
    engaged = ((item.threshold or np.nan) / typical["half_density_kill"]) ** typical["hill_density"]
    return typical["k_kill_max"] * engaged / (1.0 + engaged) / typical["k_growth_tumour"]


def _expansion_split(item: Observation, outcome: Outcomes) -> float:
    """Hazard ratio of progression or death, peak above the threshold against below."""
    day = np.minimum(outcome.progression("expected"), outcome.death)
    time = np.minimum(day, outcome.visits.until).ravel() / DAYS_PER_MONTH
    event = (day <= outcome.visits.until).ravel()
    above = np.tile(outcome.c_max > (item.threshold or np.inf), 2)
    keep = outcome.flat_weight > 0
    if above[keep].all() or not above[keep].any():
        return np.nan
    weight = outcome.flat_weight[keep]
    return hazard_ratio(time[keep], event[keep], above[keep], weight, ties="breslow").value


def _soluble_bcma(item: Observation, outcome: Outcomes, parameters: ParameterSet) -> float:
    """Median relative to baseline; what other cells shed stays as it is."""
    day = (item.time_months or 0.0) * DAYS_PER_MONTH
    at = int(np.argmin(np.abs(outcome.visits.days - day)))
    others = parameters["fraction_sbcma_other_cells"].value
    return others + (1.0 - others) * _median(outcome.soluble_bcma[:, at], outcome.usable)


_Predictor = Callable[[Observation, Outcomes, ParameterSet, EvidenceArm], float]
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


# Results about sequences of therapies: every scenario of the evidence, simulated once.


MONTHS = 24.0
"""Follow-up of a scenario that does not say how long."""


@dataclass(frozen=True, eq=False)
class Followed:
    """A scenario and what became of its virtual patients."""

    scenario: Scenario
    plan: Plan
    line: LineOutcomes

    @property
    def arm(self) -> EvidenceArm:
        """The same as a trial arm, for endpoints that ask for the product or the visits."""
        products = self.plan.products
        return EvidenceArm(products[-1] if products else "", self.scenario.population, (), self.line.outcomes.visits)


_read_once = cache(read_plan)


def plan_of(scenario: Scenario) -> Plan:
    """The plan of a scenario; the same words are read once."""
    return _read_once(scenario.plan)


def follow(
    scenario: Scenario, parameters: ParameterSet, *, n: int, seed: int, where: str = "", solver: Solver | None = None
) -> Followed:
    """Simulate a scenario with `n` virtual patients, of whom the `select`ed count.

    Raises
    ------
    EvidenceError
        If a trait or the selection names what no patient has, or no patient comes to the line.
    """
    where = where or f"scenario '{scenario.name}'"
    plan = plan_of(scenario)
    draws = draw(parameters, n, seed)
    patients = dict(make_patients(parameters, draws, product=plan.products, population=scenario.population))
    for name, value in scenario.traits.items():
        if name not in patients:
            raise EvidenceError(f"{where}: trait '{name}', which no patient has; give the name of a parameter.")
        patients[name] = np.full(n, value)
    visits = Visits(scenario.visit_interval_days, scenario.months or MONTHS)
    try:
        line = follow_line(patients, draws, plan, line=scenario.line, visits=visits, solver=solver)
    except InputError as problem:
        raise EvidenceError(f"{where}: {problem}") from problem
    if scenario.select is not None:
        keep = scenario.select.chosen(patients, where).astype(float)
        line = replace(line, outcomes=line.outcomes.among(keep), share=line.share * keep.mean())
    return Followed(scenario, plan, line)


def compare_sequences(
    parameters: ParameterSet,
    studies: Iterable[Study],
    *,
    n: int,
    seed: int,
    roles: Iterable[str] = ("fit", "check"),
    only: Iterable[str] | None = None,
    solver: Solver | None = None,
) -> tuple[ObservationMatch, ...]:
    """Model value and misfit of every item about a scenario (or of those with the ids `only`)."""
    wanted, chosen = set(roles), None if only is None else set(only)
    rows = []
    for study in studies:
        done: dict[str, Followed] = {}
        for item in study.items:
            if not item.scenario or item.role not in wanted or (chosen is not None and item.id not in chosen):
                continue
            if not can_predict(item):
                continue
            model = predict_sequence(item, study, parameters, done, n=n, seed=seed, solver=solver)
            matched = match(item, model)
            rows.append(ObservationMatch(study.study, item, model, matched.log_likelihood, matched.misfit))
    return tuple(rows)


def predict_sequence(
    item: Observation, study: Study, parameters: ParameterSet, done: dict[str, Followed], *, n: int, seed: int,
    solver: Solver | None = None,
) -> float:  # fmt: skip
    """Model value of one item; scenarios that are simulated are put into `done`."""

    def of(name: str) -> Followed:
        if name not in done:
            where = f"{study.name}.toml, scenario '{name}'"
            done[name] = follow(study.scenario(name), parameters, n=n, seed=seed, where=where, solver=solver)
        return done[name]

    followed = of(item.scenario)
    if item.kind != "direction":
        return predict(item, followed.line.outcomes, parameters, followed.arm)
    against = of(followed.scenario.against)
    return _CONTRASTS[item.endpoint](followed.line.outcomes, against.line.outcomes)


def _median_peak(outcomes: Outcomes) -> float:
    weight = outcomes.weight[0] * outcomes.usable
    order = np.argsort(outcomes.c_max)
    total = np.cumsum(weight[order])
    return float(outcomes.c_max[order][np.searchsorted(total, 0.5 * total[-1])])


_CONTRASTS = {
    "c_max": lambda outcomes, against: _median_peak(outcomes) / _median_peak(against),
    "response": lambda outcomes, against: outcomes.rate(outcomes.best >= PR) / against.rate(against.best >= PR),
    "depth": lambda outcomes, against: outcomes.complete_response_rate / against.complete_response_rate,
}
"""Ratio of one scenario to the other."""
