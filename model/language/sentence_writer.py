"""Plans written as sentences that read back to the same doses, to the last bit."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..plan import PROGRESSION, Line, Plan, ordinal
from ..regimen import SPLIT_DAYS, Dose, Infusion
from ..therapy import Therapy, read_therapy
from .repeats import cycle, runs


def write_plan(plan: Plan) -> str:
    """A sentence that `read_plan` reads back to the same doses; regimens and notes lose their names and words."""
    clauses: list[str] = []
    before: set[str] = set()
    progressions = 0
    for line in plan.lines:
        written = list(_line(line, before))
        if line.when == PROGRESSION:
            progressions += 1
            written[0] = f"at {ordinal(progressions)}progression: {written[0]}"
        elif line.when:
            written[0] = f"at {line.when}: {written[0]}"
        clauses += written
        before |= set(line.therapies)
    return "; ".join(clauses)


def _line(line: Line, before: set[str]) -> Iterator[str]:
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
    found = runs(days)
    if repeated and len(found) > 1:
        length, on = repeated
        yield days, f"days {_listed(on)} of {length} from day {_number(days[0])}, {len(days)} doses"
        return
    single = [run.first for run in found if run.count == 1]
    if single:
        yield single, f"{'days' if len(single) > 1 else 'day'} {', '.join(_number(day) for day in single)}"
    for run in found:
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
