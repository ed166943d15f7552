"""Treatment plans: successive lines of therapy, each a regimen with the condition that starts it.

::

    plan = Plan.of(infuse("ide_cel")).at_progression(usual("talquetamab"))
    solution = simulate(patients, plan.first, times=times, rules=plan.rules())

The first line starts on day 0. A later one starts at a visit, and its days count from there. At progression a new line
replaces the old one: nothing more is given of what went before. A line that waits for a response adds something, and
stops nothing; it belongs to the line in which it is seen, and the next progression is looked for with or without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...parameters.errors import RegimenError, unknown
from ..therapy import read_therapy
from .amounts import show_amounts
from .clause import read_usual
from .regimen import Bolus, Dose, Infusion, Regimen, infuse
from .rules import Every, Rule, every, progression, remission, start, stop, waited

# Description of a line of therapy, with total doses for checking.


MOST_DAYS = 5
"""More days than these are told by the first and the last."""


def line_text(regimen: Regimen, heading: str, until: Sequence[str], stopped: Sequence[str], note: str) -> str:
    """One sentence: what is given, from when to when, how much in all, and what else is stopped."""
    therapies = tuple(dict.fromkeys(dose.therapy for dose in regimen.doses))
    clauses = [
        _doses_text([dose for dose in regimen.doses if dose.therapy == therapy])
        + (", until progression" if therapy in until else "")
        for therapy in therapies
    ]
    if stopped:
        names = [read_therapy(key).title + (" as before" if key in therapies else "") for key in stopped]
        clauses.append(f"no more {_joined(names)}")
    clauses_text = "; ".join(clauses) or "no therapy"
    return f"{heading}: {clauses_text}." + (f" ({note})" if note else "")


def _doses_text(doses: Sequence[Dose]) -> str:
    therapy = read_therapy(doses[0].therapy)
    words = f"{therapy.title} {show_amounts(tuple(dose.amount for dose in doses), therapy)}"
    durations = {dose.duration for dose in doses if isinstance(dose, Infusion)}
    if durations:
        words += f" over {_joined([_duration(days) for days in sorted(durations)])}"
    days = [dose.day for dose in doses]
    if len(days) == 1:
        return f"{words} on day {days[0]:.6g}"
    if len(days) <= MOST_DAYS:
        when = f" on days {_joined([f'{day:.6g}' for day in days])}"
    else:
        when = f", {len(days)} doses from day {days[0]:.6g} to day {days[-1]:.6g}"
    return f"{words}{when}, {show_amounts((sum(dose.amount for dose in doses),), therapy)} in all"


def _duration(days: float) -> str:
    if days < 1 / 24:
        return f"{days * 1440:.4g} min"
    return f"{days * 24:.4g} hours" if days < 2 else f"{days:.4g} days"


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


PROGRESSION = "progression"
RESPONSES = ("MR", "PR", "VGPR", "CR")
"""Responses at whose confirmation a line may start."""


@dataclass(frozen=True)
class Line:
    """One line: a regimen whose days count from its start.

    Attributes
    ----------
    regimen
        What is given.
    when
        '' for the first line (day 0); 'progression', or the response that is confirmed: 'MR', 'PR', 'VGPR', 'CR'.
    until
        Therapies that are given only until progression.
    note
        What a reader should know of how the line was read.

    Raises
    ------
    UnknownNameError
        If there is no such response.
    RegimenError
        If a later line has no doses or some before its start, or `until` names what is not given.
    """

    regimen: Regimen
    when: str = ""
    until: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        """Check the line."""
        if self.when not in {"", PROGRESSION, *RESPONSES}:
            raise unknown("reason to start a line", self.when, (PROGRESSION, *RESPONSES), "line")
        object.__setattr__(self, "until", tuple(sorted(set(self.until))))
        for therapy in self.until:
            if therapy not in self.therapies:
                raise RegimenError(f"line: {therapy} is given until progression, but the line has no dose of it.")
        if self.when and not self.regimen.doses:
            raise RegimenError(f"line at {self.when}: has no doses; give at least one.")
        if self.when and self.regimen.doses[0].day < 0:
            first = self.regimen.doses[0]
            raise RegimenError(
                f"line at {self.when}: {first.therapy} on day {first.day:g}, before the line starts; "
                "count its days from 0, and give the cells on a later day."
            )

    @property
    def therapies(self) -> tuple[str, ...]:
        """Therapies of the line, in alphabetical order."""
        return tuple(sorted({dose.therapy for dose in self.regimen.doses}))


@dataclass(frozen=True)
class Plan:
    """Lines of therapy that follow one another; `Plan.of(regimen).at_progression(regimen)` makes one.

    Attributes
    ----------
    lines
        `Line` by line: a regimen whose days count from the start of the line, and what is waited for before it begins:
        nothing (day 0), progression, or a confirmed response.

    Raises
    ------
    RegimenError
        If there is no line, or any but the first waits for nothing.

    Examples
    --------
    >>> from perdure import Plan, give, infuse
    >>> plan = Plan.of(infuse("ide_cel")).at_progression(give("talquetamab", start=0, months=6, every=14))
    >>> len(plan.lines), plan.products
    (2, ('ide_cel',))
    >>> plan.lines[1].when
    'progression'
    """

    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        """Check the order of the lines."""
        if not self.lines:
            raise RegimenError("plan: has no lines; give at least one.")
        for number, line in enumerate(self.lines, start=1):
            if (number == 1) != (not line.when):
                right = "the first starts on day 0 (when = '')" if number == 1 else "say when it starts ('progression')"
                raise RegimenError(f"plan, line {number}: when = '{line.when}'; {right}.")

    @classmethod
    def of(cls, regimen: Regimen, *, until: Sequence[str] = (), note: str = "") -> "Plan":
        """A plan of one line; `until` are therapies that are given only until progression.

        Returns
        -------
        Plan
            One line, from day 0.
        """
        return cls((Line(regimen, "", tuple(until), note),))

    def at_progression(self, what: "Regimen | Plan", *, until: Sequence[str] = ()) -> "Plan":
        """Same plan, and at progression something else; a plan brings all its lines.

        Returns
        -------
        Plan
            With the new lines behind its own; their days count from the visit that confirms progression.
        """
        return self._then(PROGRESSION, what, until)

    def at_response(self, category: str, what: "Regimen | Plan", *, until: Sequence[str] = ()) -> "Plan":
        """Same plan, and something more when a response ('PR', 'VGPR', 'CR') is confirmed.

        Returns
        -------
        Plan
            With the new lines behind its own; their days count from the visit that confirms the response.
        """
        return self._then(category, what, until)

    def _then(self, when: str, what: "Regimen | Plan", until: Sequence[str]) -> "Plan":
        lines = what.lines if isinstance(what, Plan) else (Line(what),)
        first = replace(lines[0], when=when, until=(*lines[0].until, *until))
        return Plan((*self.lines, first, *lines[1:]))

    def __add__(self, regimen: Regimen) -> "Plan":
        """Same plan with more in its first line.

        Returns
        -------
        Plan
            With as many lines as before.
        """
        return Plan((replace(self.lines[0], regimen=self.lines[0].regimen + regimen), *self.lines[1:]))

    @property
    def first(self) -> Regimen:
        """Regimen of the first line; the rules give the others."""
        return self.lines[0].regimen

    @property
    def products(self) -> tuple[str, ...]:
        """CAR-T products in the order in which they are given; a second course of a product stands there again."""
        return tuple(product for line in self.lines for product in line.regimen.products)

    @property
    def therapies(self) -> tuple[str, ...]:
        """Every therapy of the plan, in alphabetical order."""
        return tuple(sorted({therapy for line in self.lines for therapy in line.therapies}))

    @property
    def text(self) -> str:
        """The plan in words, one sentence for each line."""
        return " ".join(
            line_text(line.regimen, _heading(self, k), line.until, self._stopped(k, every(28)), line.note)
            for k, line in enumerate(self.lines)
        )

    def rules(self, visits: Every = every(28)) -> tuple[Rule, ...]:  # noqa: B008  # a frozen value
        """Rules that start the later lines, to simulate after `first`; what they wait for is looked for at the visits.

        Each rule counts from the line that is under way: from the last one that started at progression, or from day 0;
        if its cells come later than it starts, from the first visit after they have come.

        Returns
        -------
        tuple of Rule
            For `simulate(..., plan.first, rules=plan.rules())`; none for a plan of one line that nothing ends.
        """
        rules = []
        for k, line in enumerate(self.lines):
            last = not any(later.when for later in self.lines[k + 1 :]) and not line.until
            if wait_for_cells(line.regimen) > 0.0 and not last:
                rules.append(Rule(_cells(k), waited(wait_for_cells(line.regimen)), (), visits, _name(k)))
            if line.when:
                stops = tuple(stop(therapy) for therapy in self._stopped(k, visits))
                when = progression() if line.when == PROGRESSION else remission(line.when)
                rules.append(
                    Rule(_name(k), when, (*stops, start(line.regimen)), visits, self._counted_from(self._under_way(k)))
                )
            if line.until and not any(later.when == PROGRESSION for later in self.lines[k + 1 :]):
                stops = tuple(stop(therapy) for therapy in line.until)
                rules.append(Rule(f"end of line {k + 1}", progression(), stops, visits, self._counted_from(k)))
        return tuple(rules)

    def _counted_from(self, k: int) -> str:
        """The rule after which what is seen in line k counts."""
        return _cells(k) if wait_for_cells(self.lines[k].regimen) > 0.0 else _name(k)

    def _under_way(self, k: int) -> int:
        """The line that is under way when line k starts: responses are counted with the line in which they are seen."""
        return max((j for j in range(1, k) if self.lines[j].when == PROGRESSION), default=0)

    def _stopped(self, k: int, visits: Every) -> tuple[str, ...]:
        """Therapies that may have doses to come when line k starts at progression."""
        if self.lines[k].when != PROGRESSION:
            return ()
        stopped: set[str] = set()
        for j in range(self._under_way(k), k):
            earliest = visits.days if j or visits.start is None else visits.start
            stopped |= {dose.therapy for dose in self.lines[j].regimen.doses if _end(dose) >= earliest}
        return tuple(sorted(stopped))


def _end(dose: Dose) -> float:
    return dose.day if isinstance(dose, Bolus) else dose.day + dose.duration


def _name(k: int) -> str:
    """Name of the rule that starts line k; the first line needs none."""
    return f"line {k + 1}" if k else ""


def _cells(k: int) -> str:
    """Name of the rule that dates the cells of line k."""
    return f"cells of line {k + 1}"


def wait_for_cells(regimen: Regimen) -> float:
    """Days from the start of a line to its first CAR-T cells; 0 if it has none."""
    return min(regimen.infusions, default=0.0)


def _heading(plan: Plan, k: int) -> str:
    line = plan.lines[k]
    if line.when != PROGRESSION:
        return f"At {line.when}" if line.when else "Day 0"
    return f"At {ordinal(sum(earlier.when == PROGRESSION for earlier in plan.lines[: k + 1]))}progression"


def ordinal(number: int) -> str:
    """Words before 'progression': '' for the first, 'second ', 'third ', ..."""
    return ("", "second ", "third ", "fourth ", "fifth ")[number - 1] if number <= 5 else f"{number}th "


def usual(key: str, start: float = 0.0) -> Regimen:
    """The usual regimen of a therapy, from a day on; of a CAR-T product without one, its usual dose on that day.

    Raises
    ------
    UnknownNameError
        If there is no such therapy.
    RegimenError
        If it has no usual regimen.
    """
    therapy = read_therapy(key)
    clauses = read_usual(therapy)
    if clauses:
        doses = (replace(dose, day=dose.day + start) for clause in clauses for dose in clause.doses)
        return Regimen(tuple(doses), therapy.title)
    if therapy.kind == "car_t":
        return infuse(key, day=start)
    raise RegimenError(f"{key}: has no usual regimen; use give({key!r}, ...) with a schedule.")
