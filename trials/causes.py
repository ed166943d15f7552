"""Cause of failure times therapy: who fails a first line for which cause, and what each salvage gains in them.

Causes are those of `model.relapse`, at the progression of the first line; a patient with several counts with a share
in each. The first line is quick to simulate and the next slow: many patients are treated first, sorted by their main
cause, and of each sort only so many go on, with the weight of all. So rare causes are seen in more patients than their
share.
"""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import SEED, Estimate, Posterior, Sizes, interval, over_posterior
from ..model.endpoints import Outcomes, Visits, outcomes
from ..model.lines import LATEST_MONTHS, LineOutcomes, follow_line
from ..model.regimens.plan import Plan
from ..model.relapse import CAUSES
from ..model.simulate import Solver, simulate
from ..model.statistics.cox import hazard_ratio
from ..model.statistics.sizes import events_needed
from ..model.statistics.survival import effective_size, kaplan_meier
from ..parameters.errors import InputError, RegimenError, unknown
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import Draws, draw, make_patients
from ..parameters.units import DAYS_PER_MONTH

# The numbers of a cause table, gains, ratios, trial sizes, or too few.


EVERYBODY = "whatever the cause"
LEAST = 10.0
"""A cell with a smaller effective number of patients at the estimate is said to be too few, and not printed."""
LEAST_PER_DRAW = 5.0
"""The same for one posterior draw, which only has to place an interval around the estimate."""
POWER, ALPHA = 0.8, 0.05
"""Of the trials that are asked for; the error is two-sided."""
SIZES = Sizes(patients=5000, draws=16, patients_per_draw=2000)
"""First lines are quick to simulate, and causes rare."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What one set of parameters shows; the first group is everybody, then come the causes.

    Attributes
    ----------
    size : array (groups,)
        Kish's effective number of simulated patients of each group who come to the salvage.
    prevalence : array (causes,)
        Share of each cause among the relapses.
    gain : array (groups, therapies)
        Restricted mean progression-free survival less that of the comparator, in months; NaN without patients.
    log_ratio : array (groups, therapies)
        Logarithm of the hazard ratio against the comparator over the follow-up.
    seen : array (groups, therapies)
        Share of patients with an event within the follow-up, mean of both arms.
    """

    size: np.ndarray
    prevalence: np.ndarray
    gain: np.ndarray
    log_ratio: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True, eq=False)
class CauseTable:
    """Cause of failure times therapy; groups are `EVERYBODY` and the causes.

    `posterior` holds what the patients show at the estimate and at posterior draws.
    """

    causes: tuple[str, ...]
    therapies: tuple[str, ...]
    comparator: str
    posterior: Posterior[Seen, Seen]

    @property
    def groups(self) -> tuple[str, ...]:
        """Everybody, then the causes."""
        return (EVERYBODY, *self.causes)

    def size(self, group: str) -> float:
        """Effective number of simulated patients behind the cells of a group at the estimate."""
        return float(self.posterior.value.size[self.groups.index(group)])

    def enough(self, group: str) -> bool:
        """Whether there are enough of them for a number."""
        return self.size(group) >= LEAST

    @cached_property
    def _known(self) -> np.ndarray:
        """Whether a draw has enough patients of a group: array (draws, groups)."""
        enough = self.posterior.numbers(lambda seen: seen.size).draws >= LEAST_PER_DRAW
        return enough & (self.posterior.few.size >= LEAST_PER_DRAW)

    def draws_behind(self, group: str) -> int:
        """Number of posterior draws with enough patients of a group."""
        return int(self._known[:, self.groups.index(group)].sum()) if len(self.posterior.draws) else 0

    def prevalence(self, group: str) -> Estimate:
        """Share of a cause among relapses, 0 to 1, with its 95 % interval over posterior draws."""
        if group == EVERYBODY:
            return Estimate(1.0, 1.0, 1.0)
        at = self.causes.index(group)
        return self.posterior.estimate(lambda seen: float(seen.prevalence[at]), 0.0, 1.0)

    @cached_property
    def _prevalences(self) -> np.ndarray:
        """Array (draws, causes)."""
        return self.posterior.numbers(lambda seen: seen.prevalence, 0.0, 1.0).centred

    def gain(self, group: str, therapy: str) -> Estimate:
        """Restricted mean progression-free survival less that of the comparator, in months."""
        return self._estimate("gain", group, therapy)

    def ratio(self, group: str, therapy: str) -> Estimate:
        """Hazard ratio against the comparator; below one is better."""
        log_ratio = self._estimate("log_ratio", group, therapy)
        return Estimate(*(math.exp(value) for value in (log_ratio.value, log_ratio.low, log_ratio.high)))

    def patients_needed(self, group: str, therapy: str) -> Estimate:
        """Patients of this cause in a trial of two equal arms: events (Schoenfeld 1983) over the share with an event.

        Infinite where the therapy is not better than the comparator.
        """
        ratio, drawn_ratio = self._both("log_ratio", group, therapy)
        seen, drawn_seen = self._both("seen", group, therapy, 0.0, 1.0)
        value = trial_size(math.exp(ratio), seen)
        drawn = [trial_size(math.exp(log_ratio), part) for log_ratio, part in zip(drawn_ratio, drawn_seen, strict=True)]
        return Estimate(value, *self._interval(group, np.array(drawn, dtype=float)))

    def patients_screened(self, group: str, therapy: str) -> Estimate:
        """Patients whose cause must be looked for, to find those who are needed: their number over the prevalence.

        Limits are those of the number and of the prevalence in the same draws.
        """
        needed = self.patients_needed(group, therapy)
        share = self.prevalence(group).value
        if group == EVERYBODY or not share > 0:
            return needed if share > 0 else Estimate(math.inf, math.inf, math.inf)
        ratio, seen = self._both("log_ratio", group, therapy)[1], self._both("seen", group, therapy, 0.0, 1.0)[1]
        shares = self._prevalences[:, self.causes.index(group)]
        drawn = [
            trial_size(math.exp(a), b) / c if c > 0 else math.inf for a, b, c in zip(ratio, seen, shares, strict=True)
        ]
        value = math.ceil(needed.value / share) if math.isfinite(needed.value) else needed.value
        return Estimate(value, *self._interval(group, np.array(drawn, dtype=float)))

    def best_therapy(self, group: str) -> str:
        """Therapy with the largest gain at the estimate, or the comparator if none gains."""
        gains = self.posterior.value.gain[self.groups.index(group)]
        top = int(np.nanargmax(gains))
        return self.therapies[top] if gains[top] > 0 else self.comparator

    def gain_of_triage(self) -> Estimate:
        """Months that choosing by cause adds to giving everybody what is best for all together.

        Over the causes with enough patients, each with its prevalence. Choices are those of the estimate; in the draws
        they are kept, so that the interval also tells whether a choice was luck.
        """
        chosen = {group: self.best_therapy(group) for group in self.causes if self.enough(group)}
        common = self.best_therapy(EVERYBODY)

        def months(gain: np.ndarray, prevalence: np.ndarray) -> float:
            total, people = 0.0, 0.0
            for group, therapy in chosen.items():
                c, share = self.groups.index(group), float(prevalence[self.causes.index(group)])
                difference = self._of(gain[c], therapy) - self._of(gain[c], common)
                if np.isfinite(difference):
                    total, people = total + share * difference, people + share
            return total / people if people > 0 else math.nan

        return self.posterior.estimate(lambda seen: months(seen.gain, seen.prevalence))

    def _of(self, gains: np.ndarray, therapy: str) -> float:
        return 0.0 if therapy == self.comparator else float(gains[self.therapies.index(therapy)])

    def _both(
        self, what: str, group: str, therapy: str, low: float = -np.inf, high: float = np.inf
    ) -> tuple[float, np.ndarray]:
        """A number at the estimate, and its centred draws; NaN where a draw has too few patients."""
        at = self.groups.index(group), self.therapies.index(therapy)
        numbers = self.posterior.numbers(lambda seen: getattr(seen, what)[at], low, high)
        value = float(numbers.value)
        if not self.posterior.draws:
            return value, numbers.draws
        return value, np.where(self._known[:, at[0]], numbers.centred, np.nan)

    def _estimate(self, what: str, group: str, therapy: str) -> Estimate:
        value, drawn = self._both(what, group, therapy)
        return Estimate(value, *self._interval(group, drawn))

    def _interval(self, group: str, drawn: np.ndarray) -> tuple[float, float]:
        """Central 95 % of the draws; none if fewer than half of them have enough patients."""
        if 2 * self.draws_behind(group) < len(self.posterior.draws):
            return math.nan, math.nan
        return interval(drawn)


def trial_size(ratio: float, seen: float) -> float:
    """Patients of a trial of two equal arms, 80 % power, two-sided 5 %; infinite if the ratio is one or more.

    Parameters
    ----------
    ratio
        Hazard ratio (Schoenfeld 1983: the log-rank test needs 4 (1.96 + 0.84)^2 / log(ratio)^2 events).
    seen
        Share of patients with an event within the follow-up, mean of both arms.
    """
    if math.isnan(ratio) or math.isnan(seen):
        return math.nan
    if ratio >= 1.0 or seen <= 0.0:
        return math.inf
    events = events_needed(ratio, POWER, ALPHA) if ratio > 0 else 1  # nobody had an event: any would tell
    return float(max(2, math.ceil(events / seen)))


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


def sort(first: Outcomes, people: Draws, most: int) -> Failed:
    """Of each main cause the first `most` patients, each standing for as many as there are of that cause."""
    relapse = first.weight[0] * first.usable
    shares = first.cause_shares
    main = np.where((shares.sum(axis=1) > 0) & (relapse >= NOBODY), np.argmax(shares, axis=1), -1)
    if (main < 0).all():
        raise InputError(f"none of {len(main)} virtual patients relapses within {LATEST_MONTHS:g} months.")
    rows, factor = [], []
    for cause in range(shares.shape[1]):
        same = np.flatnonzero(main == cause)
        rows.append(same[:most])
        factor.append(np.full(len(rows[-1]), len(same) / max(len(rows[-1]), 1)))
    taken = np.concatenate(rows)
    some = Draws(people.seed, people.keys[taken], None if people.errors is None else people.errors[taken])
    return Failed(some, shares[taken], np.concatenate(factor), first.cause_share())


def look(failed: Failed, lines: Mapping[str, LineOutcomes], comparator: str) -> Seen:
    """What the salvage lines of the same patients show, in everybody and by cause (`Seen`)."""
    groups = np.column_stack([np.ones(len(failed.factor)), failed.shares])
    therapies = [name for name in lines if name != comparator]
    k, t = groups.shape[1], len(therapies)
    size, gain, log_ratio, seen = np.zeros(k), np.full((k, t), np.nan), np.full((k, t), np.nan), np.full((k, t), np.nan)
    first = lines[comparator].outcomes
    for c in range(k):
        weights = {name: _weights(line.outcomes, failed.factor * groups[:, c]) for name, line in lines.items()}
        patients = weights[comparator].reshape(2, -1).sum(axis=0)
        if not patients.sum() > 0:
            continue
        size[c] = effective_size(patients)
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


def _weights(salvage: Outcomes, factor: np.ndarray) -> np.ndarray:
    return (salvage.weight * salvage.usable * factor).ravel()


def _rows(salvage: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Months and events of both branches of every patient."""
    day, until = np.minimum(salvage.progression(), salvage.death).ravel(), salvage.visits.until
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
    weight = np.concatenate([weight_before, weight_after])
    ratio = hazard_ratio(time, event, group, weight, ties="breslow").value
    with np.errstate(divide="ignore"):
        return float(np.log(ratio))


def cause_table(
    plans: Mapping[str, Plan],
    comparator: str,
    calibration: Calibration,
    *,
    population: str = "late_line",
    sizes: Sizes = SIZES,
    most: int = 100,
    most_per_draw: int = 30,
) -> CauseTable:
    """Gain of every salvage over the comparator in the patients of each cause, at the estimate and at posterior draws.

    Parameters
    ----------
    plans
        By name: the same first line, and a salvage at progression. Salvage cells count from their infusion.
    comparator
        Name of the salvage against which the others are compared.
    sizes, most, most_per_draw
        How many get the first line, and how many of each main cause go on, at the estimate and at a draw.

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

    def seen(parameters: ParameterSet, patients: int, most_of_a_cause: int) -> Seen:
        failed = fail(
            parameters, Plan(lead.lines[:1]), population, patients=patients, most=most_of_a_cause, seed=sizes.seed
        )
        return look(failed, follow_all(plans, failed, parameters, population), comparator)

    posterior = over_posterior(
        lambda parameters, patients: seen(parameters, patients, most),
        lambda shown: shown,
        calibration,
        sizes,
        simulate_few=lambda parameters, patients: seen(parameters, patients, most_per_draw),
        label="causes",
    )
    therapies = tuple(name for name in plans if name != comparator)
    return CauseTable(CAUSES, therapies, comparator, posterior)


def _given(plan: Plan) -> tuple[object, ...]:
    """Doses of the first line, and what of it ends at progression."""
    return plan.first.doses, plan.lines[0].until


def follow_all(
    plans: Mapping[str, Plan], failed: Failed, parameters: ParameterSet, population: str
) -> dict[str, LineOutcomes]:
    """The salvage line of every plan in these patients."""
    solver, visits = Solver(rtol=1e-4, workers=1), Visits(28.0, FOLLOW_UP_MONTHS)

    def follow(plan: Plan) -> LineOutcomes:
        values = make_patients(parameters, failed.people, product=plan.products, population=population)
        return follow_line(values, replace(failed.people), plan, visits=visits, solver=solver)

    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(plans, pool.map(follow, plans.values()), strict=True))
