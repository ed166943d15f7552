"""When doses are given: single days or a rhythm, its start and its end."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...parameters.errors import RegimenError
from ...parameters.units import DAYS_PER_MONTH
from .tokens import Cursor

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
        dose_days: list[float] = []
        for k in range(MOST_DOSES * max(1, self.cycle, 7)):
            since = round(step * k, 9)  # free of rounding: 27.999999999999996 would belong to the cycle before
            if since >= end or len(dose_days) >= most:
                break
            if self._chosen(since):
                dose_days.append(start + since)
        if not dose_days:
            raise RegimenError(f"no dose falls between day {start:g} and day {start + end:g}; write a longer course")
        return tuple(dose_days)

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


# Grammar of a schedule: 'daily', 'days 1-21 of 28', 'from day 30', 'for 24 months', 'until progression'.


_UNITS = {"day": 1.0, "week": 7.0, "month": DAYS_PER_MONTH, "year": 12.0 * DAYS_PER_MONTH}
LENGTHS = {**_UNITS, **{f"{unit}s": days for unit, days in _UNITS.items()}}
SHORT = {"min": 1 / 1440, "minute": 1 / 1440, "minutes": 1 / 1440, "h": 1 / 24, "hour": 1 / 24, "hours": 1 / 24}
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_WEEK = {1: (0,), 2: (0, 3), 3: (0, 2, 4), 4: (0, 2, 4, 6), 5: (0, 1, 2, 3, 4), 6: (0, 1, 2, 3, 4, 5)}
WORDS = (
    "on", "day", "days", "of", "daily", "weekly", "monthly", "once", "twice", "thrice", "times", "every", "other",
    "week", "weeks", "month", "months", "years", "from", "to", "until", "for", "cycles", "doses", "progression", "over",
    "split", "again", "maintenance", "half", "and",
)  # fmt: skip


def read_phrase(cursor: Cursor, known: Schedule) -> Schedule | None:
    """Read one phrase of a schedule and add it to what is known; None if the next word begins none.

    Raises
    ------
    RegimenError
        If something is said twice or is incomplete.
    """
    for begins, read in _PHRASES:
        if begins(cursor):
            begin = cursor.position
            said = read(cursor)
            back = cursor.position - begin
            for name in said:
                if getattr(known, name) not in (None, 0.0, 0, (), False):
                    raise cursor.wrong(f"{_MEANING.get(name, name)} is said twice; say it once", back=back)
            if any(name in ENDS for name in said) and known.ends:
                raise cursor.wrong("the end is said twice; say it once", back=back)
            return Schedule(**{**known.__dict__, **said})
    return None


_MEANING = {
    "days": "on which days", "step": "how often", "week": "how often", "start": "the start", "over": "the duration",
    "stop": "the end", "last": "the end", "length": "the end", "on": "the cycle", "progression": "until progression",
}  # fmt: skip


def check_schedule(cursor: Cursor, schedule: Schedule) -> None:
    """Say what contradicts itself or is missing.

    Raises
    ------
    RegimenError
        If single days stand beside a rhythm, there are two rhythms, or a rhythm never ends.
    """
    if schedule.days and (schedule.repeats or schedule.ends or schedule.start is not None):
        raise cursor.whole("single days and a course at once; write either 'days 0, 7' or 'weekly from day 0 to day 7'")
    if schedule.step and schedule.week:
        raise cursor.whole("two rhythms; write one, for example 'weekly'")
    if schedule.cycles is not None and not schedule.cycle and schedule.step < 14:
        raise cursor.whole("cycles of unknown length; write for example 'days 1-21 of 28' or 'every 21 days'")
    if schedule.repeats and not schedule.ends and not schedule.progression:
        raise cursor.whole("has no end; write for example 'for 12 months', 'to day 90' or 'until progression'")


def _days(cursor: Cursor) -> dict[str, object]:
    cursor.accept("on")
    if not cursor.one_of(("day", "days")):
        raise cursor.wrong("expected 'on day 0' or 'on days 0, 7'")
    days = _list(cursor)
    if not cursor.accept("of"):
        return {"days": tuple(days)}
    length = cursor.take_number("the length of the cycle, for example 'days 1-21 of 28'")
    if length != int(length) or any(day != int(day) or not 1 <= day <= length for day in days):
        raise cursor.wrong("days of a cycle are whole numbers from 1 to its length, as 'days 1-21 of 28'", back=1)
    return {"cycle": int(length), "on": tuple(sorted({int(day) for day in days}))}


def _list(cursor: Cursor) -> list[float]:
    """Days as '0, 2 and 4' or '0-4'."""
    days: list[float] = []
    while True:
        first = cursor.take_number("a day, for example 'day 0'")
        if cursor.word() in {"-", "–", "to"} and cursor.number(1) is not None:
            cursor.one_of(("-", "–", "to"))
            last = cursor.take_number("the last day")
            if not 0 <= last - first <= 1000 or (last - first) % 1:
                raise cursor.wrong(f"days from {first:g} to {last:g}; write them rising, as 'days 0-4'", back=3)
            days += [first + k for k in range(int(last - first) + 1)]
        else:
            days.append(first)
        if not _another(cursor):
            break
    if len(set(days)) < len(days):
        raise cursor.wrong("a day is given twice; for two doses on one day write two clauses", back=1)
    return sorted(days)


def _another(cursor: Cursor) -> bool:
    """Take ',', 'and' and 'day' if one more day follows."""
    for sign in ((",", "and"), (",",), ("and",)):
        for words in (sign, (*sign, "day"), (*sign, "days")):
            counted = cursor.word(len(words) + 1) in {"times", "cycles", "cycle", "doses", "dose"}
            if cursor.number(len(words)) is not None and not counted and cursor.accept(*words):
                return True
    return False


def _often(cursor: Cursor) -> dict[str, object]:
    number = cursor.number()
    times = int(number) if number is not None else _TIMES.get(cursor.word(), 1)
    if number is not None and (number != times or times < 1):
        raise cursor.wrong("expected a whole number of times")
    if number is not None:
        cursor.take_number("a number")
        cursor.accept("times")
    else:
        cursor.one_of(_TIMES)
    if cursor.accept("a") or cursor.accept("per"):
        unit = cursor.one_of(("day", "week", "month"))
    else:
        unit = {"daily": "day", "weekly": "week", "monthly": "month"}.get(
            cursor.one_of(("daily", "weekly", "monthly")), ""
        )
    if unit == "day":
        return {"step": 1.0 / times}
    if unit == "week" and times <= 7:
        return {"step": 7.0 / times} if times in {1, 7} else {"week": _WEEK[times]}
    if unit == "month" and times == 1:
        return {"step": DAYS_PER_MONTH}
    raise cursor.wrong("expected 'daily', 'twice daily', 'weekly', 'monthly' or '3 times a week'", back=1)


def _every(cursor: Cursor) -> dict[str, object]:
    cursor.accept("every")
    number = 2.0 if cursor.accept("other") else 1.0 if cursor.number() is None else cursor.take_number("a number")
    return {"step": _positive(cursor, number * LENGTHS[_unit(cursor, LENGTHS, "every 2 weeks")])}


def _unit(cursor: Cursor, units: dict[str, float], example: str) -> str:
    unit = cursor.one_of(units)
    if not unit:
        raise cursor.wrong(f"expected {', '.join(sorted(units))}, as in '{example}'")
    return unit


def _positive(cursor: Cursor, value: float) -> float:
    if not 0 < value < math.inf:
        raise cursor.wrong("expected a positive number", back=2)
    return value


def _point(cursor: Cursor, example: str) -> float:
    unit = cursor.one_of(_UNITS)
    if not unit:
        raise cursor.wrong(f"expected a day or a month, as in '{example}'")
    return cursor.take_number("its number") * _UNITS[unit]


def _from(cursor: Cursor) -> dict[str, object]:
    cursor.accept("from")
    return {"start": _point(cursor, "from day 30")}


def _until(cursor: Cursor) -> dict[str, object]:
    word = cursor.one_of(("to", "until"))
    if cursor.accept("progression"):
        return {"progression": True}
    return {"last" if word == "to" else "stop": _point(cursor, f"{word} day 90")}


def _for(cursor: Cursor) -> dict[str, object]:
    cursor.accept("for")
    if cursor.word(1) in {"cycles", "cycle", "doses", "dose"}:
        return _count(cursor)
    number = cursor.take_number("a duration, as in 'for 12 months'")
    return {"length": _positive(cursor, number * LENGTHS[_unit(cursor, LENGTHS, "for 12 months")])}


def _count(cursor: Cursor) -> dict[str, object]:
    number = cursor.take_number("a number")
    if number != int(number) or number < 1:
        raise cursor.wrong("expected a whole number of cycles or doses", back=1)
    what = cursor.one_of(("cycles", "cycle", "doses", "dose"))
    return {"cycles" if what.startswith("cycle") else "doses": int(number)}


def _over(cursor: Cursor) -> dict[str, object]:
    cursor.accept("over")
    units = {**SHORT, "day": 1.0, "days": 1.0}
    number = cursor.take_number("a duration, as in 'over 2 hours'")
    return {"over": _positive(cursor, number * units[_unit(cursor, units, "over 2 hours")])}


def _split(cursor: Cursor) -> dict[str, object]:
    cursor.accept("split")
    parts = [cursor.take_number("shares, as in 'split 20/30/50'")]
    while cursor.accept("/"):
        parts.append(cursor.take_number("a share"))
    whole = 1.0 if math.isclose(sum(parts), 1.0, rel_tol=1e-9) else 100.0
    if not math.isclose(sum(parts), whole, rel_tol=1e-9) or min(parts) <= 0:
        raise cursor.wrong("shares are positive and add up to 100, as 'split 20/30/50'", back=2 * len(parts) - 1)
    return {"split": tuple(part / whole for part in parts)}


def _begins(*words: str) -> Callable[[Cursor], bool]:
    return lambda cursor: cursor.word() in words


def _counts(*words: str) -> Callable[[Cursor], bool]:
    return lambda cursor: cursor.number() is not None and cursor.word(1) in words


_PHRASES: tuple[tuple[Callable[[Cursor], bool], Callable[[Cursor], dict[str, object]]], ...] = (
    (_begins("on", "day", "days"), _days),
    (_begins("daily", "weekly", "monthly", "once", "twice", "thrice"), _often),
    (_counts("times"), _often),
    (_begins("every"), _every),
    (_begins("from"), _from),
    (_begins("to", "until"), _until),
    (_begins("for"), _for),
    (_counts("cycles", "cycle", "doses", "dose"), _count),
    (_begins("over"), _over),
    (_begins("split"), _split),
)


# Runs and cycles: dose days as repeats, and repeats as dose days, without rounding error.


@dataclass(frozen=True)
class Run:
    """Days at one distance: `first`, `first` + `step`, ...; a single day has step 0."""

    first: float
    step: float
    count: int

    @property
    def days(self) -> tuple[float, ...]:
        """Every day of the run."""
        return tuple(self.first + round(self.step * k, 9) for k in range(self.count))


def runs(days: Sequence[float], *, shortest: int = 3, tolerance: float = 0.0) -> list[Run]:
    """Rising days as runs of at least `shortest` days, and single days; no day moves by more than the tolerance."""
    pieces, here = [], 0
    while here < len(days):
        step = round(days[here + 1] - days[here], 9) if here + 1 < len(days) else 0.0
        count = 1
        while here + count < len(days) and step > 0:
            if abs(days[here + count] - (days[here] + round(step * count, 9))) > tolerance:
                break
            count += 1
        pieces.append(Run(days[here], step, count) if count >= shortest else Run(days[here], 0.0, 1))
        here += pieces[-1].count
    return pieces


def cycle(days: Sequence[float]) -> tuple[int, tuple[int, ...]] | None:
    """Length of the shortest cycle in which rising days repeat, and its days (1 is the first); None if they do not.

    Only whole days, at least two of them in a cycle, and at least two full cycles.
    """
    since = [round(day - days[0]) for day in days]
    if any(day != days[0] + offset for day, offset in zip(days, since, strict=True)):
        return None
    for several in range(2, len(since) // 2 + 1):
        length = since[several]
        if all(offset == length * (k // several) + since[k % several] for k, offset in enumerate(since)):
            return length, tuple(offset + 1 for offset in since[:several])
    return None
