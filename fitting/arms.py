"""Which virtual trial answers for which study: product, population, treatment, visits, follow-up."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np

from ..model.endpoints import Outcomes, Visits, outcomes
from ..model.regimen import Regimen, infuse
from ..model.simulate import Solver, simulate
from ..model.solution import Solution
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import Draws, draw, make_patients
from .items import Study

SHORT_MONTHS, SHORTEST_MONTHS, LONGEST_MONTHS = 4.0, 18.0, 60.0


@dataclass(frozen=True)
class Arm:
    """A virtual trial arm; studies with the same product, population, treatment and visits share one."""

    product: str
    population: str
    regimens: tuple[tuple[float, Regimen], ...]
    visits: Visits


def arms_of(studies: Iterable[Study], roles: Iterable[str] = ("fit",)) -> dict[str, Arm]:
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
        arms[name] = Arm(study.product, study.population, _regimens(study), Visits(every, months[_key(study)]))
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


def run_arm(parameters: ParameterSet, arm: Arm, *, n: int, seed: int, solver: Solver | None = None) -> Outcomes:
    """Outcomes of `n` virtual patients in an arm."""
    draws = draw(parameters, n, seed)
    patients = make_patients(parameters, draws, product=arm.product, population=arm.population)
    parts = [part for _, part in treated(patients, draws, arm, solver)]
    return parts[0] if len(parts) == 1 else join(parts)


def treated(
    patients: Mapping[str, np.ndarray], draws: Draws, arm: Arm, solver: Solver | None = None
) -> Iterator[tuple[Solution, Outcomes]]:
    """Courses and outcomes of these patients; mixed treatments are given to consecutive shares of them."""
    draws.assay_of(len(arm.visits.days))  # drawn for all, so that they are remembered for the next parameters
    bounds = np.round(draws.n * np.cumsum([0.0, *(share for share, _ in arm.regimens)])).astype(int)
    for (_, regimen), first, last in zip(arm.regimens, bounds[:-1], bounds[1:], strict=True):
        if last > first:
            group = {name: values[first:last] for name, values in patients.items()}
            solution = simulate(group, regimen, times=arm.visits.grid, solver=solver)
            yield solution, outcomes(solution, group, draws.part(first, last), arm.visits)


def run_arms(
    parameters: ParameterSet, arms: Mapping[str, Arm], *, n: int, seed: int, solver: Solver | None = None
) -> dict[str, Outcomes]:
    """Outcomes of every arm by study; an arm that several studies share is simulated once."""
    done: dict[Arm, Outcomes] = {}
    for arm in arms.values():
        if arm not in done:
            done[arm] = run_arm(parameters, arm, n=n, seed=seed, solver=solver)
    return {name: done[arm] for name, arm in arms.items()}


def join(parts: list[Outcomes]) -> Outcomes:
    """Outcomes of several groups of patients as those of one arm."""
    first = parts[0]
    values = {}
    for field in fields(Outcomes):
        one = getattr(first, field.name)
        if isinstance(one, np.ndarray):
            axis = 1 if field.name in {"weight", "persistence", "least_tumour", "tumour_at_progression"} else 0
            values[field.name] = np.concatenate([getattr(part, field.name) for part in parts], axis=axis)
        elif field.name == "responses":
            values[field.name] = tuple(
                type(one[branch])(
                    **{
                        f.name: np.concatenate([getattr(part.responses[branch], f.name) for part in parts])
                        for f in fields(one[branch])
                    }
                )
                for branch in (0, 1)
            )
        else:
            values[field.name] = one
    return Outcomes(**values)
