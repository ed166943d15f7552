"""Results about sequences of therapies beside what the model says: every scenario of the evidence, simulated once."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from ..model.endpoints import Outcomes, Visits
from ..model.imwg import PR
from ..model.language.sentence import read_plan
from ..model.lines import LineOutcomes, follow_line
from ..model.plan import Plan
from ..model.simulate import Solver
from ..parameters.errors import EvidenceError, InputError
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw, make_patients
from .arms import Arm
from .items import Item, Study
from .likelihood import ItemMatch, match
from .predictions import can_predict, predict
from .scenario import Scenario

MONTHS = 24.0
"""Follow-up of a scenario that does not say how long."""


@dataclass(frozen=True, eq=False)
class Followed:
    """A scenario and what became of its virtual patients."""

    scenario: Scenario
    plan: Plan
    line: LineOutcomes

    @property
    def arm(self) -> Arm:
        """The same as a trial arm, for endpoints that ask for the product or the visits."""
        products = self.plan.products
        return Arm(products[-1] if products else "", self.scenario.population, (), self.line.outcomes.visits)


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
        If a trait or the selection names what no patient has, or nobody comes to the line.
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
        found = follow_line(patients, draws, plan, line=scenario.line, visits=visits, solver=solver)
    except InputError as problem:
        raise EvidenceError(f"{where}: {problem}") from problem
    if scenario.select is not None:
        keep = scenario.select.chosen(patients, where).astype(float)
        found = LineOutcomes(
            found.number, found.regimen, found.since, _weighted(found.outcomes, keep), found.share * keep.mean()
        )
    return Followed(scenario, plan, found)


def _weighted(outcomes: Outcomes, keep: np.ndarray) -> Outcomes:
    values = {field.name: getattr(outcomes, field.name) for field in fields(Outcomes)}
    return Outcomes(**{**values, "weight": outcomes.weight * keep})


def compare_sequences(
    parameters: ParameterSet,
    studies: Iterable[Study],
    *,
    n: int,
    seed: int,
    roles: Iterable[str] = ("fit", "check"),
    only: Iterable[str] | None = None,
    solver: Solver | None = None,
) -> tuple[ItemMatch, ...]:
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
            found = match(item, model)
            rows.append(ItemMatch(study.study, item, model, found.log_likelihood, found.misfit))
    return tuple(rows)


def predict_sequence(
    item: Item, study: Study, parameters: ParameterSet, done: dict[str, Followed], *, n: int, seed: int,
    solver: Solver | None = None,
) -> float:  # fmt: skip
    """Model value of one item; scenarios that are simulated are put into `done`."""

    def of(name: str) -> Followed:
        if name not in done:
            where = f"{study.name}.toml, scenario '{name}'"
            done[name] = follow(study.scenario(name), parameters, n=n, seed=seed, where=where, solver=solver)
        return done[name]

    one = of(item.scenario)
    if item.kind != "direction":
        return predict(item, one.line.outcomes, parameters, one.arm)
    other = of(one.scenario.against)
    return _CONTRASTS[item.endpoint](one.line.outcomes, other.line.outcomes)


def _median_peak(outcomes: Outcomes) -> float:
    weight = outcomes.weight[0] * outcomes.usable
    order = np.argsort(outcomes.c_max)
    total = np.cumsum(weight[order])
    return float(outcomes.c_max[order][np.searchsorted(total, 0.5 * total[-1])])


_CONTRASTS = {
    "c_max": lambda one, other: _median_peak(one) / _median_peak(other),
    "response": lambda one, other: one.rate(one.best >= PR) / other.rate(other.best >= PR),
    "depth": lambda one, other: one.complete_response_rate / other.complete_response_rate,
}
"""Ratio of one scenario to the other."""
