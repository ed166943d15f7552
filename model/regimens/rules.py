"""Rules: what is done when something is seen in a patient, at a visit or at the very moment at which it happens.

A rule has a condition, the visits at which it is looked for (none: it is watched continuously), and what is done then::

    rules = [
        Rule("salvage", when=progression(), then=start(give("lenalidomide", start=0, months=12)), visits=every(28)),
        Rule("rest", when=below("host", 200), then=hold("lenalidomide"), once=False),
        Rule("go on", when=above("host", 400), then=resume("lenalidomide"), after="rest", once=False),
        Rule("second progression", when=progression(), then=stop("lenalidomide"), visits=every(28), after="salvage"),
    ]

In here: the conditions `above`, `below`, `risen`, `fallen`, `waited`, `progression` and `remission`, joined with `&`,
`|` and `~`; the actions `start`, `stop`, `hold` and `resume`; visits `every` so many days; and `Rule`.

At a visit the true values are seen, without the error of an assay, as they are before the doses of that day: a dose on
the day of a visit is decided at the visit. Conditions of the response criteria are confirmed by a second visit and hold
from that one on.

Examples
--------
>>> from perdure import Rule, draw, infuse, make_patients, read_catalogue, rules, simulate
>>> catalogue = read_catalogue()
>>> patients = make_patients(catalogue, draw(catalogue, 20, 1), product="ide_cel", population="late_line")
>>> peak = Rule("CAR-T cells seen", when=rules.above("car_t", 1.0))
>>> solution = simulate(patients, infuse("ide_cel"), times=range(31), rules=[peak])
>>> solution.events["CAR-T cells seen"].first.shape  # day by patient, NaN: never
(20,)
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...parameters.errors import InputError, RangeError, RegimenError, unknown
from ...parameters.patients import Draws
from ..imwg import CATEGORIES, Response, assess_response, measure
from ..therapy import read_therapies
from .regimen import Regimen

MARKERS = ("m_protein", "tumour")
"""Observables that the response criteria are read from, and the parameters of patients they need."""
MARKER_PARAMETERS = (
    "light_chain_only", "flc_baseline", "tumour_baseline", "error_m_protein", "error_floor_m_protein", "flc_background",
    "limit_flc", "limit_m_protein", "fraction_marrow_complete", "marrow_cells",
)  # fmt: skip


@dataclass(frozen=True)
class Every:
    """Visits every so many days, from `start` (by default one interval after day 0) to `stop`.

    Raises
    ------
    RangeError
        If the interval is not a positive number, or a visit would be on day 0 or before: that is the baseline.
    """

    days: float
    start: float | None = None
    stop: float = math.inf

    def __post_init__(self) -> None:
        """Check the interval and the first day."""
        if not 0 < self.days < math.inf:
            raise RangeError(f"visits every {self.days:g} days; give a positive number of days.")
        if self.start is not None and not 0 < self.start < math.inf:
            raise RangeError(f"first visit on day {self.start:g}; give a day after 0, day 0 being the baseline.")

    def until(self, day: float) -> np.ndarray:
        """Days of the visits up to a day."""
        first = self.days if self.start is None else self.start
        last = min(day, self.stop)
        return first + self.days * np.arange(max(0, math.floor((last - first) / self.days + 1e-9) + 1))


def every(days: float, *, start: float | None = None, stop: float = math.inf) -> Every:
    """Visits every so many days, from `start` (by default one interval after day 0) to `stop`."""
    return Every(days, start, stop)


@dataclass(frozen=True, eq=False)
class Look:
    """A visit: the measurements that a rule may use.

    Attributes
    ----------
    days : array (visits,)
        Day 0, for a rule that counts from there, and the rule's visits so far; the last is today.
    first : array (n,)
        The visit from which the rule counts: its baseline.
    values : mapping of arrays (n, visits)
        Observables by name.
    patients : mapping of arrays (n,)
        Parameters that the condition asked for.
    """

    days: np.ndarray
    first: np.ndarray
    values: Mapping[str, np.ndarray]
    patients: Mapping[str, np.ndarray]

    def now(self, name: str) -> np.ndarray:
        """An observable today: array (n,)."""
        return self.values[name][:, -1]

    def since(self, name: str) -> np.ndarray:
        """An observable at all visits (n, visits), NaN before the baseline."""
        return np.where(np.arange(len(self.days)) >= self.first[:, None], self.values[name], np.nan)


@dataclass(frozen=True)
class Crossing:
    """What can be watched continuously: an observable, its limit, and the side of it that is meant."""

    observable: str
    limit: float | str
    side: Literal[1, -1]


@dataclass(frozen=True, eq=False)
class Condition:
    """Something that holds or not in each patient; joined with `&`, `|` and `~`.

    `holds` gets a `Look` and returns an array (n,) of yes or no; patients must not depend on one another. `observables`
    and `parameters` name what it needs.
    """

    observables: tuple[str, ...]
    holds: Callable[[Look], np.ndarray]
    parameters: tuple[str, ...] = ()
    crossing: Crossing | None = None

    def __and__(self, other: "Condition") -> "Condition":
        """Both."""
        return self._with(other, lambda look: self.holds(look) & other.holds(look))

    def __or__(self, other: "Condition") -> "Condition":
        """At least one of the two."""
        return self._with(other, lambda look: self.holds(look) | other.holds(look))

    def __invert__(self) -> "Condition":
        """The contrary."""
        return Condition(self.observables, lambda look: ~self.holds(look), self.parameters)

    def _with(self, other: "Condition", holds: Callable[[Look], np.ndarray]) -> "Condition":
        return Condition(self.observables + other.observables, holds, self.parameters + other.parameters)


def above(observable: str, limit: float | str) -> Condition:
    """The observable lies above a limit: a number, or the name of a parameter of the patients."""
    return _threshold(observable, limit, 1)


def below(observable: str, limit: float | str) -> Condition:
    """The observable lies below a limit: a number, or the name of a parameter of the patients."""
    return _threshold(observable, limit, -1)


def _threshold(observable: str, limit: float | str, side: Literal[1, -1]) -> Condition:
    if not isinstance(limit, str) and not math.isfinite(limit):
        raise RangeError(f"{observable}: limit = {limit}; give a finite number, or the name of a parameter.")

    def holds(look: Look) -> np.ndarray:
        border = look.patients[limit] if isinstance(limit, str) else limit
        return side * (look.now(observable) - border) > 0.0

    return Condition(
        (observable,), holds, (limit,) if isinstance(limit, str) else (), Crossing(observable, limit, side)
    )


def risen(observable: str, factor: float, *, by: float = 0.0) -> Condition:
    """The observable is at least so many times the lowest value of the visits so far, and at least `by` above it."""

    def holds(look: Look) -> np.ndarray:
        lowest = np.fmin.reduce(look.since(observable), axis=1)
        return look.now(observable) >= np.maximum(factor * lowest, lowest + by)

    return Condition((observable,), holds)


def fallen(observable: str, share: float) -> Condition:
    """The observable is at most a share of what it was at the baseline."""

    def holds(look: Look) -> np.ndarray:
        baseline = look.values[observable][np.arange(len(look.first)), look.first]
        return look.now(observable) <= share * baseline

    return Condition((observable,), holds)


def waited(days: float) -> Condition:
    """So many days have passed since the visit from which the rule counts."""
    return Condition((), lambda look: look.days[-1] - look.days[look.first] >= days - 1e-9)


def progression() -> Condition:
    """Progressive disease by the serum criteria of `imwg`, confirmed by this visit or before."""
    return _judged(lambda response: np.isfinite(response.shown))


def remission(category: str = "CR") -> Condition:
    """A response of this category or better by the serum criteria of `imwg`, confirmed by this visit or before."""
    if category not in CATEGORIES:
        raise unknown("category of response", category, CATEGORIES)
    return _judged(lambda response: response.best >= CATEGORIES.index(category))


def _judged(says: Callable[[Response], np.ndarray]) -> Condition:
    def holds(look: Look) -> np.ndarray:
        satisfied = np.zeros(len(look.first), dtype=bool)
        for first in np.unique(look.first[look.first <= len(look.days) - 3]):  # two visits after a baseline
            rows = look.first == first
            days = look.days[first:]
            patients = {name: values[rows] for name, values in look.patients.items()}
            m_protein, tumour = (np.nan_to_num(look.values[name][rows, first:]) for name in MARKERS)
            markers = measure(days, m_protein, tumour, patients, _without_errors(len(tumour), len(days)))
            satisfied[rows] = says(assess_response(markers))
        return satisfied

    return Condition(MARKERS, holds, MARKER_PARAMETERS)


def _without_errors(n: int, visits: int) -> Draws:
    return Draws(0, np.zeros((n, 2), dtype=np.uint64), np.zeros((n, visits, 2)))


@dataclass(frozen=True)
class Start:
    """A regimen that starts; its days count from then on."""

    regimen: Regimen


@dataclass(frozen=True)
class Change:
    """Something that happens to the doses of a therapy."""

    verb: Literal["stop", "hold", "resume"]
    therapy: str


Action = Start | Change


def start(regimen: Regimen) -> Start:
    """Start a regimen: its day 0 is the day on which the rule fires."""
    if not regimen.doses or regimen.doses[0].day < 0:
        days = f"from day {regimen.doses[0].day:g}" if regimen.doses else "no doses"
        raise RegimenError(f"start: the regimen has {days}; give doses from day 0 on, the day of the start.")
    return Start(regimen)


def stop(therapy: str) -> Change:
    """Give no more doses of a therapy; an infusion under way ends. A later `start` gives it again."""
    return _change("stop", therapy)


def hold(therapy: str) -> Change:
    """Omit the doses of a therapy until it is resumed: they are lost and not postponed; an infusion under way ends."""
    return _change("hold", therapy)


def resume(therapy: str) -> Change:
    """End a hold: what was prescribed from today on is given."""
    return _change("resume", therapy)


def _change(verb: Literal["stop", "hold", "resume"], therapy: str) -> Change:
    shelf = [entry.key for entry in read_therapies()]
    if therapy not in shelf:
        raise unknown("therapy", therapy, shelf, verb)
    return Change(verb, therapy)


@dataclass(frozen=True, eq=False)
class Rule:
    """When something is seen in a patient, do something.

    Attributes
    ----------
    name
        What it is called in `solution.events`.
    when
        The condition, such as `rules.progression()` or `rules.below("host", 200)`; the limit is in the observable's
        unit.
    then
        What is done, in this order: `start`, `stop`, `hold`, `resume`; nothing, for a rule that only dates an event.
    visits
        When the condition is looked for, such as `rules.every(28)` (days). Without visits it is watched continuously,
        and must be one `above` or `below`.
    after
        Name of another rule. This one waits until that one has fired, counts from there (baseline and lowest value),
        and is looked for from the next visit on.
    once
        Whether it fires once, or each time that its condition begins to hold (with `after`: once after each firing of
        the other).

    Raises
    ------
    InputError
        If it has no visits, and a condition that cannot be watched continuously.

    Examples
    --------
    >>> from perdure import Rule, give, rules
    >>> salvage = give("lenalidomide", start=0, months=12)
    >>> rule = Rule("salvage", when=rules.progression(), then=rules.start(salvage), visits=rules.every(28))
    >>> len(rule.actions)
    1
    """

    name: str
    when: Condition
    then: Action | tuple[Action, ...] = ()
    visits: Every | None = None
    after: str = ""
    once: bool = True

    def __post_init__(self) -> None:
        """A rule that is watched continuously needs something that crosses a limit."""
        if self.visits is None and self.when.crossing is None:
            raise InputError(
                f"rule '{self.name}': only one above(...) or below(...) can be watched continuously; "
                "give visits, for example visits=every(28)."
            )

    @property
    def actions(self) -> tuple[Action, ...]:
        """What is done, as a tuple."""
        return self.then if isinstance(self.then, tuple) else (self.then,)
