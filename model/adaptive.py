"""Adaptive dosing: simulate from visit to visit, and apply rules that change the doses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..parameters.errors import InputError, RegimenError, unknown
from .engine.batch import Batch, Schedule, Watch
from .engine.watch import ARMED, OFF
from .preparation import DosePlans, Edge, is_infused
from .regimens.regimen import Regimen
from .regimens.rules import Look, Rule, Start
from .solution import Fired
from .system.system import System

Note = tuple[int, np.ndarray, np.ndarray]
"""A rule, patients for whom it fired, and the days."""


@dataclass(frozen=True, eq=False)
class AdaptiveDosing:
    """The rules of a simulation, checked.

    `edges` gives the dose edges of a regimen that starts on a day, `channels` where each therapy arrives.

    Raises
    ------
    InputError
        If two rules have one name, a rule waits for itself, or something is watched that never changes; a name that
        does not exist; a therapy that nothing prescribes.
    """

    rules: tuple[Rule, ...]
    regimen: Regimen
    system: System
    stop: float
    edges: Callable[[Regimen, float], Sequence[Edge]]
    channels: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        """Check every rule."""
        check_rules(self.rules, self.regimen, self.system)

    @property
    def visits(self) -> np.ndarray:
        """Days of all visits."""
        return _union([rule.visits.until(self.stop) for rule in self.rules if rule.visits])

    @property
    def parameters(self) -> tuple[str, ...]:
        """Parameters of patients that conditions ask for."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.when.parameters))

    @property
    def infusions(self) -> tuple[float, ...]:
        """Days from which eradication is computed finely: if rules give cells, they may do so on any day."""
        return tuple(np.arange(0.0, self.stop, 40.0)) if any(part.infusions for part in started(self.rules)) else ()

    def times(self, grid: np.ndarray) -> np.ndarray:
        """Days to record: the user's, and those that rules look at."""
        return _union([grid, [0.0], self.visits]) if len(self.visits) else grid

    def follow(self, batch: Batch, patients: Mapping[str, np.ndarray]) -> "Course":
        """Follow a batch to the last day."""
        course = Course(self, batch, patients)
        for day in self.visits:
            course.advance(float(day), final=False)
            course.visit(float(day))
        course.advance(self.stop, final=True)
        return course


def _union(days: Sequence[np.ndarray | Sequence[float]]) -> np.ndarray:
    return np.unique(np.concatenate([np.zeros(0), *days]))


def started(rules: Sequence[Rule]) -> tuple[Regimen, ...]:
    """Regimens that rules may start."""
    return tuple(action.regimen for rule in rules for action in rule.actions if isinstance(action, Start))


def check_rules(rules: Sequence[Rule], regimen: Regimen, system: System) -> None:
    """Check rules against one another, the regimen and the system."""
    names = [rule.name for rule in rules]
    prescribed = {dose.therapy for part in (regimen, *started(rules)) for dose in part.doses}
    for rule in rules:
        where = f"rule '{rule.name}'"
        if names.count(rule.name) > 1:
            raise InputError(f"{where}: the name is used {names.count(rule.name)} times; once is right.")
        for observable in rule.when.observables:
            if observable not in system.observables:
                raise unknown("observable", observable, system.observables, where)
        for action in rule.actions:
            if not isinstance(action, Start) and action.therapy not in prescribed:
                raise RegimenError(f"{where}: {action.verb} {action.therapy}, which neither regimen nor rules give.")
        waits, seen = rule, {rule.name}
        while waits.after:
            if waits.after not in names:
                raise unknown("rule", waits.after, names, f"rule '{waits.name}', after")
            if waits.after in seen:
                raise InputError(f"{where}: waits for itself (after = '{rule.after}'); one rule has to be the first.")
            seen.add(waits.after)
            waits = rules[names.index(waits.after)]
        crossing = rule.when.crossing
        if rule.visits is None and crossing and not _changes(crossing.observable, system):
            raise InputError(f"{where}: {crossing.observable} never changes, so it cannot cross a limit.")


def _changes(observable: str, system: System) -> bool:
    """Whether an observable depends on anything that moves."""
    moving = {name for name, side in system.equations.items() if side != 0} | {put.name for put in system.inputs}
    expressions = [quantity.expression for quantity in system.quantities if quantity.name == observable]
    reached = system.ancestors(expressions[0]) if expressions else {observable}
    return bool(reached & moving) or any(is_infused(state) for state in system.states if state.name in reached)


class Course:
    """One batch on its way under rules: who is being looked at, since when, and what has happened.

    `notes`: what fired when, in this order: the place of a rule, patients of the batch, and their days.
    """

    def __init__(self, steering: AdaptiveDosing, batch: Batch, patients: Mapping[str, np.ndarray]) -> None:
        self.steering, self.batch, self.patients, self.rules = steering, batch, patients, steering.rules
        shape = (batch.n, len(self.rules))
        self.plans = DosePlans(steering.edges(steering.regimen, 0.0), batch.n, len(steering.system.states))
        self.notes: list[Note] = []
        self.counts = np.zeros(shape, dtype=np.int64)
        self.since = np.zeros(shape)  # day from which a rule counts
        self.waits = np.tile([not rule.after for rule in self.rules], (batch.n, 1))  # for its condition to hold
        self.watched = [r for r, rule in enumerate(self.rules) if rule.visits is None]
        self.watch = self._watch()
        self._edges: dict[tuple[int, float], np.ndarray] = {}  # those that many patients start on one day

    def _watch(self) -> Watch:
        crossings = [self.rules[r].when.crossing for r in self.watched]
        observables = self.steering.system.observables
        what = np.array([(observables.index(c.observable), c.side) for c in crossings if c], dtype=np.int64)
        limits = [np.broadcast_to(self.patients[c.limit] if isinstance(c.limit, str) else c.limit, self.batch.n)
                  for c in crossings if c]  # fmt: skip
        armed = np.where(self.waits[:, self.watched], ARMED, OFF).astype(np.int64, order="C")
        shape = (self.batch.n, len(self.watched))
        return Watch(what.reshape(-1, 2), np.array(limits, dtype=float).reshape(shape[::-1]).T.copy(), armed)

    @property
    def schedule(self) -> Schedule:
        """Every dose edge of every patient, as it came to be."""
        return self.plans.whole()

    def advance(self, day: float, *, final: bool) -> None:
        """Simulate to a day; a patient in whom a watch fires on the way continues under its rule."""
        while True:
            self.batch.advance(self.plans.coming(), day, final=final, watch=self.watch)
            self.plans.come_to(self.batch.next_edge)
            for w, r in enumerate(self.watched):
                self._fire(r, np.flatnonzero(self.batch.fired == w), self.batch.day)
            if not np.any(self.batch.fired >= 0):
                return

    def visit(self, day: float) -> None:
        """Look at every patient; whatever rules do, they all see the same."""
        times, names = self.batch.recording.times, self.steering.system.observables
        for r, rule in enumerate(self.rules):
            days = _union([[0.0], rule.visits.until(day)]) if rule.visits else np.zeros(1)
            if days[-1] != day:
                continue
            asked = self.waits[:, r] & (self.since[:, r] < day)
            rearmed = not rule.once and not rule.after  # then it matters in everybody whether it holds
            rows = np.arange(self.batch.n) if rearmed else np.flatnonzero(asked)
            if not len(rows):
                continue
            seen = self.batch.observed(np.searchsorted(times, days))[rows]
            values = {name: seen[:, :, names.index(name)] for name in rule.when.observables}
            first = np.searchsorted(days, self.since[rows, r])
            patients = {name: self.patients[name][rows] for name in rule.when.parameters}
            holds = np.zeros(self.batch.n, dtype=bool)
            holds[rows] = rule.when.holds(Look(days, first, values, patients))
            holds &= self.batch.reason == 0
            now = holds & asked
            if rearmed:
                self.waits[:, r] |= ~holds
            self._fire(r, np.flatnonzero(now), np.full(self.batch.n, day))

    def _fire(self, r: int, who: np.ndarray, day: np.ndarray) -> None:
        """Do what a rule says to some patients, and let the rules wait that come after it."""
        rule = self.rules[r]
        if not len(who):
            return
        self.notes.append((r, who, day[who]))
        self.counts[who, r] += 1
        self.waits[who, r] = False
        for i in who:
            self._act(rule, int(i), float(day[i]))
        for other, follower in enumerate(self.rules):
            if follower.after == rule.name:
                again = who[self.counts[who, other] == 0] if follower.once else who
                self.waits[again, other], self.since[again, other] = True, day[again]
        for w, other in enumerate(self.watched):
            if self.rules[other].once or self.rules[other].after:
                self.watch.armed[who, w] = np.where(self.waits[who, other], ARMED, OFF)

    def _act(self, rule: Rule, who: int, day: float) -> None:
        for action in rule.actions:
            if isinstance(action, Start):
                known = (id(action), day)
                if known not in self._edges:
                    self._edges[known] = np.array(self.steering.edges(action.regimen, day), dtype=float).reshape(-1, 5)
                self.plans.start(who, self._edges[known])
            elif action.therapy in self.steering.channels:
                change = {"stop": self.plans.stop, "hold": self.plans.hold, "resume": self.plans.resume}[action.verb]
                for channel in self.steering.channels[action.therapy]:
                    change(who, channel, day)


def events(rules: Sequence[Rule], notes: Sequence[Note], fine: np.ndarray) -> dict[str, Fired]:
    """Days on which every rule fired, by patient; none for patients that are not fine."""
    fired = {}
    for r, rule in enumerate(rules):
        of_rule = [note for note in notes if note[0] == r]
        who = np.concatenate([np.zeros(0, dtype=np.int64), *(note[1] for note in of_rule)])
        day = np.concatenate([np.zeros(0), *(note[2] for note in of_rule)])
        order = np.lexsort((day, who))
        count = np.bincount(who, minlength=len(fine))
        days = np.full((len(fine), max(1, count.max(initial=0))), np.nan)
        rank = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count)
        days[who[order], rank] = day[order]
        days[~fine] = np.nan
        fired[rule.name] = Fired(days)
    return fired
