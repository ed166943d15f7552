"""When doses are given: single days or a rhythm, its start and its end."""

import math
from dataclasses import dataclass, replace

from ...parameters.errors import RegimenError
from ...parameters.units import DAYS_PER_MONTH

MOST_MONTHS = 60.0
"""What is given until progression is given for so many months at most."""
MOST_DOSES = 20_000
"""More doses of one clause are taken for a mistake."""


@dataclass(frozen=True)
class Schedule:
    """Days on which doses are given; None, 0 or () is what was not said.

    Attributes
    ----------
    days
        Single days.
    step, week
        Days between two doses; days of the week (0 is the start).
    cycle, on
        Length of a cycle in days, and days of it with doses (1 is its first).
    start
        First day; 0 if none was said.
    stop, last, length, cycles, doses
        The end: no dose on this day or later, none after this day, a number of days, of cycles, or of doses.
    progression
        Whether progression ends it.
    over
        Days that each dose takes.
    split
        Shares of one dose, over the days.
    """

    days: tuple[float, ...] = ()
    step: float = 0.0
    week: tuple[int, ...] = ()
    cycle: int = 0
    on: tuple[int, ...] = ()
    start: float | None = None
    stop: float | None = None
    last: float | None = None
    length: float | None = None
    cycles: int | None = None
    doses: int | None = None
    progression: bool = False
    over: float = 0.0
    split: tuple[float, ...] = ()

    @property
    def repeats(self) -> bool:
        """Whether there is a rhythm."""
        return bool(self.step or self.week or self.cycle)

    @property
    def ends(self) -> bool:
        """Whether an end was said, progression not counted."""
        return any(getattr(self, name) is not None for name in ENDS)

    @property
    def bare(self) -> bool:
        """Whether nothing says on which days or how often."""
        return not (self.days or self.repeats or self.split)

    def later(self, days: float) -> "Schedule":
        """Same schedule, so many days later."""
        if not days:
            return self
        moved = {name: value + days for name in ("stop", "last") if (value := getattr(self, name)) is not None}
        start = (self.start or 0.0) + days if not self.days else None
        return replace(self, days=tuple(day + days for day in self.days), start=start, **moved)

    def without_end(self) -> "Schedule":
        """Same start and rhythm, for ever."""
        return replace(self, progression=False, **dict.fromkeys(ENDS))

    def given(self) -> tuple[float, ...]:
        """Every day with a dose.

        Raises
        ------
        RegimenError
            If no day fits, or thousands of doses do.
        """
        if self.days:
            return self.days
        start = self.start or 0.0
        if not self.repeats:
            return (start,)
        step = self.step or 1.0
        end = self._end(start)
        if (end / step if self.doses is None else self.doses) > MOST_DOSES:
            raise RegimenError(f"more than {MOST_DOSES} doses; write a longer interval or an earlier end")
        most = math.inf if self.doses is None else self.doses
        found: list[float] = []
        for k in range(MOST_DOSES * max(1, self.cycle, 7)):
            since = round(step * k, 9)  # free of rounding: 27.999999999999996 would belong to the cycle before
            if since >= end or len(found) >= most:
                break
            if self._chosen(since):
                found.append(start + since)
        if not found:
            raise RegimenError(f"no dose falls between day {start:g} and day {start + end:g}; write a longer course")
        return tuple(found)

    def _end(self, start: float) -> float:
        """Days from the start to the end."""
        if self.stop is not None:
            return round(self.stop - start, 9)
        if self.last is not None:
            return round(self.last - start, 9) + 1e-9
        if self.length is not None:
            return round(self.length, 9)
        if self.cycles is not None:
            return round(self.cycles * (self.cycle or self.step), 9)
        return math.inf if self.doses is not None else MOST_MONTHS * DAYS_PER_MONTH

    def _chosen(self, since: float) -> bool:
        if self.week and round(since) % 7 not in self.week:
            return False
        return not self.cycle or math.floor(round(since % self.cycle, 9) % self.cycle) + 1 in self.on


ENDS = ("stop", "last", "length", "cycles", "doses")
