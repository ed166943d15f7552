"""Cause of failure times therapy: who fails a first line for which cause, and what each salvage gains in them.

Causes are those of `model.relapse`, at the progression of the first line; a patient with several counts with a share
in each. The first line is quick to simulate and the next slow: many patients are treated first, sorted by their main
cause, and of each sort only so many go on, with the weight of all. So rare causes are seen in more patients than their
share.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from perdure.experiments.projection import Progress
from perdure.experiments.treat import SEED
from perdure.experiments.why.cause_numbers import CauseTable, Seen
from perdure.fitting.calibration import Calibration
from perdure.model.endpoints import Outcomes, Visits, outcomes
from perdure.model.lines import LATEST_MONTHS, LineOutcomes, follow_line
from perdure.model.plan import Plan
from perdure.model.relapse import CAUSES
from perdure.model.simulate import Solver, simulate
from perdure.model.survival import effective_size, hazard_ratio, kaplan_meier
from perdure.parameters.errors import InputError, RegimenError, unknown
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import Draws, draw, make_patients
from perdure.parameters.units import DAYS_PER_MONTH

RESTRICTED_MONTHS = 12.0
"""Restricted mean progression-free survival is taken over so many months of the salvage."""
FOLLOW_UP_MONTHS = 18.0
"""Follow-up of the salvage, and of the trial whose size is asked for."""
NOBODY = 0.01
"""Who relapses with less probability than this is left out: the salvage would be simulated for next to nobody."""
THREADS = 2


@dataclass(frozen=True, eq=False)
class Failed:
    """Virtual patients whom a first line has failed, of each main cause at most so many.

    Attributes
    ----------
    people
        Their randomness, by which they are the same persons in every salvage.
    shares : array (m, causes)
        Share of each cause in each patient's relapse.
    factor : array (m,)
        How many patients each one stands for.
    prevalence : array (causes,)
        Share of each cause among all relapses, those of patients who do not go on included.
    """

    people: Draws
    shares: np.ndarray
    factor: np.ndarray
    prevalence: np.ndarray


def fail(
    parameters: ParameterSet, first: Plan, population: str, *, patients: int, most: int, seed: int = SEED,
    solver: Solver | None = None,
) -> Failed:  # fmt: skip
    """Treat patients with a first line, and take at most `most` of each main cause of relapse.

    Raises
    ------
    InputError
        If nobody relapses.
    """
    people, visits = draw(parameters, patients, seed), Visits(months=LATEST_MONTHS)
    values = make_patients(parameters, people, product=first.products, population=population)
    solution = simulate(values, first.first, times=visits.grid, solver=solver or Solver(rtol=1e-5))
    return sort(outcomes(solution, values, people, visits), people, most)


def sort(found: Outcomes, people: Draws, most: int) -> Failed:
    """Of each main cause the first `most` patients, each standing for as many as there are of that cause."""
    relapse = found.weight[0] * found.usable
    shares = found.cause_shares
    main = np.where((shares.sum(axis=1) > 0) & (relapse >= NOBODY), np.argmax(shares, axis=1), -1)
    if (main < 0).all():
        raise InputError(f"none of {len(main)} virtual patients relapses within {LATEST_MONTHS:g} months.")
    rows, factor = [], []
    for cause in range(shares.shape[1]):
        mine = np.flatnonzero(main == cause)
        rows.append(mine[:most])
        factor.append(np.full(len(rows[-1]), len(mine) / max(len(rows[-1]), 1)))
    taken = np.concatenate(rows)
    some = Draws(people.seed, people.keys[taken], None if people.errors is None else people.errors[taken])
    return Failed(some, shares[taken], np.concatenate(factor), found.cause_share())


def look(failed: Failed, lines: Mapping[str, LineOutcomes], comparator: str) -> Seen:
    """What the salvage lines of the same patients show, in everybody and by cause (`Seen`)."""
    groups = np.column_stack([np.ones(len(failed.factor)), failed.shares])
    therapies = [name for name in lines if name != comparator]
    k, t = groups.shape[1], len(therapies)
    size, gain, log_ratio, seen = np.zeros(k), np.full((k, t), np.nan), np.full((k, t), np.nan), np.full((k, t), np.nan)
    first = lines[comparator].outcomes
    for c in range(k):
        weights = {name: _weights(line.outcomes, failed.factor * groups[:, c]) for name, line in lines.items()}
        mine = weights[comparator].reshape(2, -1).sum(axis=0)
        if not mine.sum() > 0:
            continue
        size[c] = effective_size(mine)
        before = _rows(first)
        mean, events = _mean_and_events(before, weights[comparator])
        for j, name in enumerate(therapies):
            after = _rows(lines[name].outcomes)
            if not weights[name].sum() > 0:
                continue
            own_mean, own_events = _mean_and_events(after, weights[name])
            gain[c, j], seen[c, j] = own_mean - mean, 0.5 * (events + own_events)
            log_ratio[c, j] = _log_ratio(before, after, weights[comparator], weights[name])
    return Seen(size, failed.prevalence, gain, log_ratio, seen)


def _weights(found: Outcomes, factor: np.ndarray) -> np.ndarray:
    return (found.weight * found.usable * factor).ravel()


def _rows(found: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Months and events of both branches of every patient."""
    day, until = np.minimum(found.progression(), found.death).ravel(), found.visits.until
    return np.minimum(day, until) / DAYS_PER_MONTH, day <= until


def _mean_and_events(rows: tuple[np.ndarray, np.ndarray], weight: np.ndarray) -> tuple[float, float]:
    curve = kaplan_meier(*rows, weight)
    return curve.restricted_mean(RESTRICTED_MONTHS), 1.0 - float(curve.survival[-1])


def _log_ratio(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], weight_before: np.ndarray,
    weight_after: np.ndarray,
) -> float:  # fmt: skip
    time, event = (np.concatenate(pair) for pair in zip(before, after, strict=True))
    group = np.repeat([0.0, 1.0], [len(weight_before), len(weight_after)])
    ratio = hazard_ratio(time, event, group, np.concatenate([weight_before, weight_after]))
    with np.errstate(divide="ignore"):
        return float(np.log(ratio))


def cause_table(
    plans: Mapping[str, Plan],
    comparator: str,
    calibration: Calibration,
    *,
    population: str = "late_line",
    patients: int = 5000,
    most: int = 100,
    draws: int = 16,
    patients_per_draw: int = 2000,
    most_per_draw: int = 30,
    seed: int = SEED,
    progress: Progress | None = None,
) -> CauseTable:
    """Gain of every salvage over the comparator in the patients of each cause, at the estimate and at posterior draws.

    Parameters
    ----------
    plans
        By name: the same first line, and a salvage at progression. Salvage cells count from their infusion.
    comparator
        Name of the salvage against which the others are compared.
    patients, most
        How many get the first line at the estimate, and how many of each main cause go on; `_per_draw` at a draw.

    Raises
    ------
    UnknownNameError
        If the comparator is none of the plans.
    RegimenError
        If a plan has not two lines, or another first line than the rest.
    """
    if comparator not in plans:
        raise unknown("comparator", comparator, plans)
    lead = next(iter(plans.values()))
    for name, plan in plans.items():
        if len(plan.lines) != 2 or _given(plan) != _given(lead):
            raise RegimenError(f"'{name}': give two lines, the first being that of the other plans ({lead.text}).")
    draws = min(draws, len(calibration.draws))

    def seen(parameters: ParameterSet, n: int, some: int) -> Seen:
        failed = fail(parameters, Plan(lead.lines[:1]), population, patients=n, most=some, seed=seed)
        return look(failed, follow_all(plans, failed, parameters, population), comparator)

    best = seen(calibration.parameters(), patients, most)
    few = seen(calibration.parameters(), patients_per_draw, most_per_draw) if draws else best
    drawn = []
    for k in range(draws):
        drawn.append(seen(calibration.draw(k), patients_per_draw, most_per_draw))
        if progress is not None:
            progress("causes, posterior draws", k + 1, draws)
    therapies = tuple(name for name in plans if name != comparator)
    return CauseTable(CAUSES, therapies, comparator, best, few, tuple(drawn))


def _given(plan: Plan) -> tuple[object, ...]:
    """Doses of the first line, and what of it ends at progression."""
    return plan.first.doses, plan.lines[0].until


def follow_all(
    plans: Mapping[str, Plan], failed: Failed, parameters: ParameterSet, population: str
) -> dict[str, LineOutcomes]:
    """The salvage line of every plan in these patients."""
    solver, visits = Solver(rtol=1e-4, workers=1), Visits(28.0, FOLLOW_UP_MONTHS)

    def one(plan: Plan) -> LineOutcomes:
        values = make_patients(parameters, failed.people, product=plan.products, population=population)
        return follow_line(values, replace(failed.people), plan, visits=visits, solver=solver)

    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(plans, pool.map(one, plans.values()), strict=True))
