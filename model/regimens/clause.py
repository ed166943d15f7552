"""Clauses of a sentence: a therapy, an amount and a schedule, and the doses that they mean."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ...parameters.errors import InputError, RegimenError, UnknownNameError, unknown
from ..therapy import Therapy
from .amounts import Amount, begins_amount, read_amount
from .regimen import Bolus, Dose, Infusion
from .schedule import WORDS, Schedule, check_schedule, read_phrase
from .tokens import Cursor, place, without_comments


@dataclass(frozen=True)
class Clause:
    """What one clause says of one therapy.

    `where` is its place in the sentence; `named`: it names its therapy; `usual`: it means the usual course.
    """

    therapy: Therapy
    amount: Amount
    schedule: Schedule
    where: str = ""
    named: bool = True
    usual: bool = False
    again: bool = False
    maintenance: bool = False
    together: bool = False

    @property
    def doses(self) -> tuple[Dose, ...]:
        """Every dose that the clause means."""
        schedule, key = self.schedule, self.therapy.key
        amount = self.amount.value if self.amount.said else self.therapy.default_dose * self.amount.share
        try:
            days = schedule.given()
        except RegimenError as problem:
            raise RegimenError(f"{self.where}: {key}: {problem}.") from None
        if schedule.over:
            return tuple(Infusion(key, amount, schedule.over, day) for day in days)
        return tuple(
            Bolus(key, amount * share, day)
            for day, share in zip(days, schedule.split or (1.0,) * len(days), strict=True)
        )


def names_of(therapy: Therapy) -> tuple[str, ...]:
    """Every name under which a sentence may call a therapy; '-', '_' and a space are the same."""
    head = therapy.title.partition("(")[0].strip()
    return tuple(dict.fromkeys((therapy.key, therapy.title, head, *therapy.names)))


@cache
def _pattern(name: str) -> re.Pattern[str]:
    parts = [re.escape(part) for part in re.split(r"[\s_-]+", name.strip())]
    return re.compile(r"[\s_-]+".join(parts) + r"(?![\w]|-\w)", re.IGNORECASE)


def find_name(source: str, begin: int, end: int, shelf: Sequence[Therapy]) -> tuple[Therapy, int] | None:
    """The therapy with the longest name that stands at a place, and where its name ends."""
    candidates = [
        (match.end(), therapy.key, therapy)
        for therapy in shelf
        for name in names_of(therapy)
        if (match := _pattern(name).match(source, begin, end))
    ]
    if not candidates:
        return None
    end, _, therapy = max(candidates, key=lambda candidate: candidate[:2])
    return therapy, end


def read_clause(source: str, begin: int, end: int, shelf: Sequence[Therapy], before: Therapy | None) -> list[Clause]:
    """Read one clause; several come back if it means the usual course of a therapy, which has several.

    `before` is the therapy that was named last: a clause that begins with an amount belongs to it.
    """
    where = place(source, begin)
    joined = re.compile(r"together\s+with\s+", re.IGNORECASE).match(source, begin, end)
    begin = joined.end() if joined else begin
    match = find_name(source, begin, end, shelf)
    cursor = Cursor(source, match[1] if match else begin, end, begin)
    if match:
        therapy = match[0]
    elif begins_amount(cursor) and not joined:
        if before is None:
            raise cursor.whole("begins with an amount; name a therapy before it")
        therapy = before
    else:
        raise _unknown_name(source, begin, end, shelf)
    clause = Clause(therapy, Amount(), Schedule(), where, named=bool(match), together=bool(joined))
    clause = _read_rest(cursor, clause, shelf)
    return _meant(cursor, clause)


def _unknown_name(source: str, begin: int, end: int, shelf: Iterable[Therapy]) -> UnknownNameError:
    said = source[begin:end]
    stop = re.search(r"\s(?=[\d(.+-]|(?:" + "|".join(WORDS) + r")\b)", said, re.IGNORECASE)
    name = said[: stop.start()] if stop else said
    known = {name.lower().replace("_", "-") for therapy in shelf for name in names_of(therapy)}
    return unknown("therapy", name.strip().lower(), known, place(source, begin))


def _read_rest(cursor: Cursor, clause: Clause, shelf: Sequence[Therapy]) -> Clause:
    """Amount, schedule and marks, in any order."""
    said: dict[str, object] = {}
    schedule = clause.schedule
    while cursor:
        mark = cursor.one_of(("again", "maintenance"))
        if mark or cursor.accept(","):
            said |= {mark: True} if mark else {}
            continue
        if cursor.accept("."):
            if cursor:
                raise cursor.wrong("a clause ends with ';'", back=1)
            continue
        if (more := read_phrase(cursor, schedule)) is not None:
            schedule = more
        elif begins_amount(cursor):
            if "amount" in said:
                raise cursor.wrong("a second amount; begin a new clause with ';'")
            said["amount"] = read_amount(cursor, clause.therapy)
        elif find_name(cursor.source, cursor.place, cursor.end, shelf):
            raise cursor.wrong("begins a new therapy; separate therapies by ';'")
        elif cursor.word() and cursor.word() not in WORDS:
            raise cursor.strange(WORDS)
        else:
            raise cursor.wrong("does not fit here; write for example '10 mg daily from day 30 for 12 months'")
    return replace(clause, schedule=schedule, **said)  # pyright: ignore[reportArgumentType]


def _meant(cursor: Cursor, clause: Clause) -> list[Clause]:
    """The clause with what goes without saying: the usual course, day 0, the days of a split dose."""
    therapy, schedule, amount = clause.therapy, clause.schedule, clause.amount
    check_schedule(cursor, schedule)
    cells = therapy.kind == "car_t"
    if cells and (schedule.over or schedule.progression):
        raise cursor.whole(f"{therapy.key}: cells are given at once, not over a time or until progression")
    if schedule.split:
        return [replace(clause, schedule=_split(cursor, clause))]
    if schedule.bare and not clause.named:
        raise cursor.whole("an amount without a day; write for example 'day 0' or 'daily for 12 months'")
    one_day = len(schedule.days) == 1
    if not (schedule.bare or (one_day and not amount.said and not cells)):
        return [clause]
    usual = read_usual(therapy)
    if not usual and cells and not schedule.ends:
        return [replace(clause, schedule=schedule if one_day else Schedule(days=(schedule.start or 0.0,)))]
    if one_day:
        if sum(len(part.doses) for part in usual) > 1:
            raise cursor.whole(
                f"{therapy.key}: one dose or its usual course? Write the amount for one dose, "
                f"or 'from day {schedule.days[0]:g}' for the usual course"
            )
        return [clause]
    if not usual:
        raise cursor.whole(f"{therapy.key}: has no usual course; write when, as 'day 0' or 'daily for 12 months'")
    return _usual_course(cursor, clause, usual)


def _split(cursor: Cursor, clause: Clause) -> Schedule:
    schedule = clause.schedule
    if clause.therapy.kind != "car_t" or schedule.repeats or schedule.ends:
        raise cursor.whole("only cells are split, over single days; write 'split 20/30/50 on days 0, 1, 2'")
    first = schedule.start or 0.0
    days = schedule.days or tuple(first + k for k in range(len(schedule.split)))
    if len(days) != len(schedule.split):
        raise cursor.whole(f"{len(schedule.split)} shares on {len(days)} days; write as many days as shares")
    return replace(schedule, days=days, start=None)


def _usual_course(cursor: Cursor, clause: Clause, usual: Sequence[Clause]) -> list[Clause]:
    """The usual course of a therapy, with the start, end or amount that the clause says."""
    schedule, amount, key = clause.schedule, clause.amount, clause.therapy.key
    if schedule.doses is not None:
        raise cursor.whole(f"{key}: says how many doses, but not how often; write for example 'weekly'")
    if amount.said and len({part.amount for part in usual}) > 1:
        raise cursor.whole(f"{key}: the usual course has several amounts; write the whole course with days")
    start = schedule.start or 0.0
    parts = [replace(part, schedule=part.schedule.later(start)) for part in usual]
    if schedule.ends or schedule.progression:
        parts = _ended(cursor, parts, schedule, start)
    return [
        replace(
            clause,
            usual=True,
            amount=amount if amount.said else replace(part.amount, **_shared(part.amount, amount.share)),
            schedule=replace(part.schedule, over=schedule.over or part.schedule.over),
        )
        for part in parts
    ]


def _shared(amount: Amount, share: float) -> Mapping[str, float]:
    return {"value": amount.value * share, "share": amount.share * share}


def _ended(cursor: Cursor, parts: list[Clause], said: Schedule, start: float) -> list[Clause]:
    """The parts with another end of the course; the last part is the one that goes on."""
    last = parts[-1].schedule
    stop = start + said.length if said.length is not None else said.stop
    if said.ends and not last.repeats:
        raise cursor.whole(f"{parts[-1].therapy.key}: the usual course does not repeat; write a rhythm, as 'weekly'")

    def before(day: float) -> bool:
        return (stop is None or day < stop) and (said.last is None or day <= said.last)

    on = replace(last.without_end(), progression=said.progression or last.progression)
    tail = [replace(parts[-1], schedule=on)] if last.days or before(last.start or 0.0) else []
    kept = []
    for part in (*parts[:-1], *tail):
        days = part.schedule.given()
        if fine := tuple(filter(before, days)):
            cut = Schedule(days=fine, over=part.schedule.over, progression=part.schedule.progression)
            kept.append(part if len(fine) == len(days) else replace(part, schedule=cut))
    if not kept:
        raise cursor.whole("ends before its first dose; write a later end")
    return kept


@cache
def read_usual(therapy: Therapy) -> tuple[Clause, ...]:
    """Clauses of the usual course of a therapy; none if it has none. Days count from its start."""
    text = without_comments(therapy.usual).replace("\n", ";")
    clauses: list[Clause] = []
    for part in re.finditer(r"[^;]*[^;\s]", text):
        begin = part.start() + len(part[0]) - len(part[0].lstrip())
        cursor = Cursor(text, begin, part.end())
        try:
            clause = _read_rest(cursor, Clause(therapy, Amount(), Schedule(), place(text, begin)), ())
            check_schedule(cursor, clause.schedule)
            if clause.schedule.bare and therapy.kind != "car_t":
                raise cursor.whole("the usual course says on which days, as 'day 0' or 'daily for 12 months'")
            if clause.schedule.split:
                clause = replace(clause, schedule=_split(cursor, clause))
        except InputError as problem:
            raise type(problem)(f"usual course of {therapy.key}: {problem}") from None
        clauses.append(clause)
    return tuple(clauses)
