"""Plans as sentences: "ide-cel 450e6 cells day 0; lenalidomide 10 mg daily from day 30 for 24 months".

Clauses are separated by ';' or a new line; '#' begins a comment. A clause is a therapy, an amount and a schedule::

    [at progression: | at second progression: | at CR: | at VGPR: | at PR:] [together with] NAME [again] [maintenance]
        [AMOUNT UNIT[/kg] | half dose] [SCHEDULE]

    day 0 | days 0, 2 and 4 | days 0-4          daily | twice daily | weekly | 3 times a week | every 2 weeks
    days 1-21 of 28 | over 2 hours              from day 30 | to day 90 (included) | until day 90 (not included)
    split 20/30/50 on days 0, 1, 2 (cells)      for 24 months | 6 cycles | 12 doses | until progression

A therapy alone means its usual course; 'from', 'for' and 'until' move it and change its end. A clause that begins with
an amount belongs to the therapy named before. 'at ...' opens a line, whose days count from its start; what follows
belongs to it. A dose per kilogram is read with the catalogue's body weight. What is given until progression is given
for at most 60 months. Two products on one day are joined with 'together with'; a product that returns says 'again'.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from ...parameters.errors import InputError, RegimenError
from ...parameters.files import read_text
from ..therapy import Therapy, read_therapies, read_therapy
from .amounts import body_weight
from .clause import Clause, read_clause
from .plan import PROGRESSION, RESPONSES, Line, Plan, ordinal
from .regimen import SPLIT_DAYS, Dose, Infusion, Regimen
from .schedule import cycle, runs
from .tokens import place, without_comments

__all__ = ["read_plan", "read_plan_file", "write_plan"]

_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
_AT = re.compile(r"\s*at\s+(?:(?P<which>\w+)\s+(?=progression))?(?P<what>\w*)\s*[:,]?\s*", re.IGNORECASE)


class _Draft:
    """A line while it is read."""

    def __init__(self, when: str, where: str) -> None:
        self.when, self.where = when, where
        self.clauses: list[Clause] = []

    def doses_of(self, therapy: str) -> list[float]:
        """Days of a therapy in this line, rising."""
        return sorted(dose.day for clause in self.clauses if clause.therapy.key == therapy for dose in clause.doses)


def read_plan(text: str, *, therapies: Iterable[Therapy] | None = None) -> Plan:
    """Read a plan from a sentence; the grammar stands at the top of `model.regimens.sentence`.

    Parameters
    ----------
    text
        Clauses separated by ';' or a new line, such as 'ide-cel; at progression: talquetamab'. Days count from the
        first infusion, those of a later line from its start.
    therapies
        Those that the sentence may name; by default all that are shipped.

    Returns
    -------
    Plan
        One line, and one more for each 'at progression' or 'at CR'.

    Raises
    ------
    UnknownNameError
        If there is no such therapy or word (near matches are given).
    UnitError
        If an amount has no unit, or one in which the therapy is not given.
    RegimenError
        If a clause is incomplete or contradicts itself or another one.

    Examples
    --------
    >>> from perdure import read_plan
    >>> plan = read_plan("ide-cel 450e6 cells day 0; lenalidomide 10 mg daily from day 30 for 6 months")
    >>> plan.text
    'Day 0: ... 450 million cells on day 0; lenalidomide 10 mg, 183 doses from day 30 to day 212, 1830 mg in all.'
    """
    shelf = tuple(read_therapies() if therapies is None else therapies)
    source = without_comments(text)
    drafts = [_Draft("", "")]
    for part in re.finditer(r"[^;\n]*[^;\s]", source):
        begin, end = part.start() + len(part[0]) - len(part[0].lstrip()), part.end()
        if opens := re.compile(r"at\s", re.IGNORECASE).match(source, begin, end):
            begin = _open_line(source, opens.start(), end, drafts)
        if begin < end:
            _read_into(drafts[-1], source, begin, end, shelf)
    if not drafts[0].clauses:
        first = f"the first line is missing before 'at {drafts[1].when}'" if len(drafts) > 1 else "nothing is given"
        raise RegimenError(f"sentence: {first}; write what is given on day 0, for example 'ide-cel'.")
    for k, draft in enumerate(drafts):
        if not draft.clauses:
            raise RegimenError(f"{draft.where}: nothing follows 'at {draft.when}'; name a therapy.")
        _check_products(drafts[: k + 1])
        _check_marks(drafts[: k + 1])
    return Plan(tuple(_line_of(draft, text) for draft in drafts))


def read_plan_file(path: str | Path) -> Plan:
    """Read a plan from a text file; a new line stands for ';', and '#' begins a comment.

    Raises
    ------
    FileError
        If the file is missing or is not text.
    InputError
        If the sentence is wrong.
    """
    text = read_text(path)
    try:
        return read_plan(text)
    except InputError as problem:
        raise type(problem)(f"{path}, {problem}") from None


def _open_line(source: str, begin: int, end: int, drafts: list[_Draft]) -> int:
    """Begin a line; returns where its first clause begins."""
    where = place(source, begin)
    match = _AT.match(source, begin, end)
    what = match["what"] if match else ""
    when = PROGRESSION if what.lower() == PROGRESSION else what.upper()
    if not match or when not in {PROGRESSION, *RESPONSES}:
        said = source[begin:end].partition(":")[0][:40]
        raise RegimenError(
            f"{where}, '{said}': a line starts 'at progression', 'at second progression', "
            f"or at a response: {', '.join(f'at {response}' for response in RESPONSES)}."
        )
    number = 1 + sum(draft.when == PROGRESSION for draft in drafts)
    which = (match["which"] or "").lower()
    if which and _ORDINALS.get(which) != number:
        right = f"at {ordinal(number)}progression"
        why = "is not how progressions are counted" if which not in _ORDINALS else f"comes as number {number}"
        raise RegimenError(f"{where}, 'at {which} progression': {why}; write '{right}'.")
    drafts.append(_Draft(when, where))
    return match.end()


def _read_into(draft: _Draft, source: str, begin: int, end: int, shelf: tuple[Therapy, ...]) -> None:
    before = draft.clauses[-1] if draft.clauses else None
    read = read_clause(source, begin, end, shelf, before.therapy if before else None)
    if before and before.usual and not read[0].named:
        raise RegimenError(
            f"{read[0].where}: a dose more after the usual course of {before.therapy.key}; "
            "write the first amount beside the name, or name the therapy again."
        )
    if read[0].together and before is None:
        raise RegimenError(f"{read[0].where}: 'together with' follows nothing; name the first product before it.")
    draft.clauses += read


def _check_products(drafts: list[_Draft]) -> None:
    """A product that returns says so, and so do two products on one day."""
    draft, before = drafts[-1], {clause.therapy.key for past in drafts[:-1] for clause in past.clauses}
    for therapy in dict.fromkeys(clause.therapy for clause in draft.clauses):
        of_therapy = [clause for clause in draft.clauses if clause.therapy.key == therapy.key]
        marked = [clause for clause in of_therapy if clause.again]
        days = draft.doses_of(therapy.key)
        gap = next((late for early, late in pairwise(days) if late - early > SPLIT_DAYS), None)
        cells = therapy.kind == "car_t"
        if cells and not marked and (therapy.key in before or gap is not None):
            when = f"on day {gap:g}" if therapy.key not in before else f"at {draft.when}"
            raise RegimenError(
                f"{of_therapy[-1].where}: {therapy.key} a second time {when}; "
                f"if it is meant, write '{therapy.short} again'."
            )
        if marked and therapy.key not in before and gap is None and len(of_therapy) == 1:
            raise RegimenError(f"{marked[0].where}: {therapy.key} again, but it was not given before; omit 'again'.")
    taken: dict[float, Clause] = {}
    for clause in draft.clauses:
        if clause.therapy.kind != "car_t":
            continue
        shared = [taken[dose.day] for dose in clause.doses if dose.day in taken]
        others = [other for other in shared if other.therapy.key != clause.therapy.key]
        if others and not clause.together:
            raise RegimenError(
                f"{clause.where}: {others[0].therapy.key} and {clause.therapy.key} on one day; "
                f"write 'together with {clause.therapy.short}' if it is meant, or another day."
            )
        taken |= {dose.day: clause for dose in clause.doses}


def _check_marks(drafts: list[_Draft]) -> None:
    """Maintenance follows cells or a transplant."""

    def first(draft: _Draft) -> list[float]:
        return [
            dose.day for clause in draft.clauses for dose in clause.doses
            if clause.therapy.kind == "car_t" or clause.therapy.group == "transplant"
        ]  # fmt: skip

    past = any(first(draft) for draft in drafts[:-1])
    day = min(first(drafts[-1]), default=None)
    for clause in drafts[-1].clauses:
        begins = min(dose.day for dose in clause.doses)
        if not clause.maintenance or past or (day is not None and begins >= day):
            continue
        none = "there are no CAR-T cells and no transplant before it"
        why = none if day is None else f"the cells come on day {day:g}"
        right = "omit 'maintenance'" if day is None else f"let it begin later, for example 'from day {day + 30:g}'"
        raise RegimenError(f"{clause.where}: {clause.therapy.key} maintenance from day {begins:g}, but {why}; {right}.")


def _line_of(draft: _Draft, text: str) -> Line:
    regimen = Regimen(tuple(dose for clause in draft.clauses for dose in clause.doses), " ".join(text.split()))
    until = tuple(clause.therapy.key for clause in draft.clauses if clause.schedule.progression)
    by_weight = dict.fromkeys(clause.therapy.short for clause in draft.clauses if clause.amount.per_kilogram)
    note = f"doses per kg of {', '.join(by_weight)} are for a body weight of {body_weight():g} kg" if by_weight else ""
    try:
        return Line(regimen, draft.when, until, note)
    except RegimenError as problem:
        raise RegimenError(f"{draft.where}: {problem}" if draft.where else str(problem)) from None


# Writing a plan as a sentence that reads back to the same doses, to the last bit.


def write_plan(plan: Plan) -> str:
    """A sentence that `read_plan` reads back to the same doses, to the last bit.

    Names of regimens and notes of lines are not kept.

    Parameters
    ----------
    plan
        The plan; amounts are written in the unit of each therapy's doses.

    Returns
    -------
    str
        Clauses separated by ';'.

    Examples
    --------
    >>> from perdure import read_plan, write_plan
    >>> write_plan(read_plan("ide-cel; at progression: lenalidomide 10 mg daily for 4 days"))
    'ide-cel 450 million cells day 0; at progression: lenalidomide 10 mg daily from day 0, 4 doses'
    """
    clauses: list[str] = []
    before: set[str] = set()
    progressions = 0
    for line in plan.lines:
        written = list(_written_line(line, before))
        if line.when == PROGRESSION:
            progressions += 1
            written[0] = f"at {ordinal(progressions)}progression: {written[0]}"
        elif line.when:
            written[0] = f"at {line.when}: {written[0]}"
        clauses += written
        before |= set(line.therapies)
    return "; ".join(clauses)


def _written_line(line: Line, before: set[str]) -> Iterator[str]:
    taken: dict[float, str] = {}
    for key in dict.fromkeys(dose.therapy for dose in line.regimen.doses):
        therapy = read_therapy(key)
        doses = [dose for dose in line.regimen.doses if dose.therapy == key]
        end = " until progression" if key in line.until else ""
        cells = therapy.kind == "car_t"
        again = cells and (key in before or _returns(doses))
        for number, (amount, days, when) in enumerate(_pieces(doses)):
            words = f"{_amount(amount, therapy)} {when}{end}"
            if cells or number == 0:  # cells are named in every clause, which may say 'together with'
                words = f"{therapy.short}{' again' if again and number == 0 else ''} {words}"
            if cells and any(taken.get(day, key) != key for day in days):
                words = f"together with {words}"
            if cells:
                taken |= dict.fromkeys(days, key)
            yield words


def _returns(doses: Sequence[Dose]) -> bool:
    return any(late.day - early.day > SPLIT_DAYS for early, late in pairwise(doses))


def _pieces(doses: Sequence[Dose]) -> Iterator[tuple[float, Sequence[float], str]]:
    """Amount, days and schedule of every clause that the doses of a therapy need."""
    alike: dict[tuple[float, float, int], list[float]] = defaultdict(list)
    copies: dict[Dose, int] = defaultdict(int)
    for dose in doses:
        duration = dose.duration if isinstance(dose, Infusion) else 0.0
        alike[dose.amount, duration, copies[dose]].append(dose.day)  # two equal doses on a day are two clauses
        copies[dose] += 1
    for (amount, duration, _), days in alike.items():
        over = f" over {_number(duration)} days" if duration else ""
        for part, when in _schedules(days):
            yield amount, part, when + over


def _schedules(days: list[float]) -> Iterator[tuple[Sequence[float], str]]:
    repeated = cycle(days) if len(days) > 3 else None
    day_runs = runs(days)
    if repeated and len(day_runs) > 1:
        length, on = repeated
        yield days, f"days {_listed(on)} of {length} from day {_number(days[0])}, {len(days)} doses"
        return
    single = [run.first for run in day_runs if run.count == 1]
    if single:
        yield single, f"{'days' if len(single) > 1 else 'day'} {', '.join(_number(day) for day in single)}"
    for run in day_runs:
        if run.count > 1:
            often = "daily" if run.step == 1 else "weekly" if run.step == 7 else f"every {_number(run.step)} days"
            yield run.days, f"{often} from day {_number(run.first)}, {run.count} doses"


def _listed(days: Sequence[int]) -> str:
    """Whole days with ranges: '1-21', '1, 8 and 15' as '1, 8, 15'."""
    groups: list[list[int]] = []
    for day in days:
        if groups and day == groups[-1][-1] + 1:
            groups[-1].append(day)
        else:
            groups.append([day])
    return ", ".join(f"{group[0]}-{group[-1]}" if len(group) > 1 else f"{group[0]}" for group in groups)


def _amount(amount: float, therapy: Therapy) -> str:
    if therapy.dose_unit == "cell":
        millions = amount / 1e6
        if millions * 1e6 == amount and len(repr(millions)) < 10:
            return f"{_number(millions)} million cells"
        return f"{_number(amount)} cells"
    return f"{_number(amount)} {therapy.dose_unit}"


def _number(value: float) -> str:
    """Shortest text that reads back as the same float."""
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
