"""The numbers of a cause table, freed of few patients where there are draws: gains, ratios, trial sizes, or too few."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perdure.experiments.projection import Estimate
from perdure.fitting.anchored import anchored, interval
from perdure.model.statistics.sizes import events_needed

EVERYBODY = "whatever the cause"
LEAST = 10.0
"""A cell with a smaller effective number of patients at the estimate is said to be too few, and not printed."""
LEAST_PER_DRAW = 5.0
"""The same for one posterior draw, which only has to place an interval around the estimate."""
POWER, ALPHA = 0.8, 0.05
"""Of the trials that are asked for; the error is two-sided."""


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

    `best` and `few` are at the estimate, with many patients and with as few as a draw has.
    """

    causes: tuple[str, ...]
    therapies: tuple[str, ...]
    comparator: str
    best: Seen
    few: Seen
    drawn: Sequence[Seen]

    @property
    def groups(self) -> tuple[str, ...]:
        """Everybody, then the causes."""
        return (EVERYBODY, *self.causes)

    def size(self, group: str) -> float:
        """Effective number of simulated patients behind the cells of a group at the estimate."""
        return float(self.best.size[self.groups.index(group)])

    def enough(self, group: str) -> bool:
        """Whether there are enough of them for a number."""
        return self.size(group) >= LEAST

    @cached_property
    def _known(self) -> np.ndarray:
        """Whether a draw has enough patients of a group: array (draws, groups)."""
        found = np.array([one.size >= LEAST_PER_DRAW for one in self.drawn]).reshape(len(self.drawn), -1)
        return found & (self.few.size >= LEAST_PER_DRAW)

    def draws_behind(self, group: str) -> int:
        """Number of posterior draws with enough patients of a group."""
        return int(self._known[:, self.groups.index(group)].sum()) if len(self.drawn) else 0

    def prevalence(self, group: str) -> Estimate:
        """Share of a cause among relapses, 0 to 1, with its 95 % interval over posterior draws."""
        if group == EVERYBODY:
            return Estimate(1.0, 1.0, 1.0)
        at = self.causes.index(group)
        value = float(self.best.prevalence[at])
        return Estimate(value, *interval(self._prevalences[:, at]))

    @cached_property
    def _prevalences(self) -> np.ndarray:
        """Array (draws, causes)."""
        drawn = np.array([one.prevalence for one in self.drawn]).reshape(-1, len(self.causes))
        return anchored(self.best.prevalence, drawn, self.few.prevalence, 0.0, 1.0)

    def gain(self, group: str, therapy: str) -> Estimate:
        """Restricted mean progression-free survival less that of the comparator, in months."""
        return self._estimate("gain", group, therapy)

    def ratio(self, group: str, therapy: str) -> Estimate:
        """Hazard ratio against the comparator; below one is better."""
        found = self._estimate("log_ratio", group, therapy)
        return Estimate(*(math.exp(value) for value in (found.value, found.low, found.high)))

    def patients_needed(self, group: str, therapy: str) -> Estimate:
        """Patients of this cause in a trial of two equal arms: events (Schoenfeld 1983) over the share with an event.

        Infinite where the therapy is not better than the comparator.
        """
        ratio, drawn_ratio = self._both("log_ratio", group, therapy)
        seen, drawn_seen = self._both("seen", group, therapy, 0.0, 1.0)
        value = trial_size(math.exp(ratio), seen)
        drawn = [trial_size(math.exp(one), part) for one, part in zip(drawn_ratio, drawn_seen, strict=True)]
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
        gains = self.best.gain[self.groups.index(group)]
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

        value = months(self.best.gain, self.best.prevalence)
        few = months(self.few.gain, self.few.prevalence)
        drawn = np.array([months(one.gain, one.prevalence) for one in self.drawn])
        return Estimate(value, *interval(anchored(value, drawn, few, -np.inf, np.inf)))

    def _of(self, gains: np.ndarray, therapy: str) -> float:
        return 0.0 if therapy == self.comparator else float(gains[self.therapies.index(therapy)])

    def _both(
        self, what: str, group: str, therapy: str, low: float = -np.inf, high: float = np.inf
    ) -> tuple[float, np.ndarray]:
        """A number at the estimate, and at the draws freed of what few patients differ by; NaN with too few."""
        at = self.groups.index(group), self.therapies.index(therapy)
        value = float(getattr(self.best, what)[at])
        drawn = np.array([getattr(one, what)[at] for one in self.drawn], dtype=float)
        if not drawn.size:
            return value, drawn
        moved = anchored(value, drawn, float(getattr(self.few, what)[at]), low, high)
        return value, np.where(self._known[:, at[0]], moved, np.nan)

    def _estimate(self, what: str, group: str, therapy: str) -> Estimate:
        value, drawn = self._both(what, group, therapy)
        return Estimate(value, *self._interval(group, drawn))

    def _interval(self, group: str, drawn: np.ndarray) -> tuple[float, float]:
        """Central 95 % of the draws; none if fewer than half of them have enough patients."""
        if 2 * self.draws_behind(group) < len(self.drawn):
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
