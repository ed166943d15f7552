"""Regimens: doses as values. They add up, repeat, and read back in words."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...parameters.errors import RegimenError, unknown
from ...parameters.units import DAYS_PER_MONTH, read_number
from ..therapy import Therapy, read_therapies, read_therapy

SPLIT_DAYS = 60.0
"""Longest time between two infusions of one course; later ones are another course, of new cells."""


@dataclass(frozen=True)
class Bolus:
    """A dose given at once: an infusion of CAR-T cells, a tablet. `day` counts from the first CAR-T infusion."""

    therapy: str
    amount: float
    day: float = 0.0


@dataclass(frozen=True)
class Infusion:
    """A drug given at a constant rate over `duration` days."""

    therapy: str
    amount: float
    duration: float
    day: float = 0.0


Dose = Bolus | Infusion


@dataclass(frozen=True)
class Regimen:
    """Doses in the order of time; regimens are added with `+`.

    Lymphodepletion before day 0 is a trait of the patients, not a dose.

    Attributes
    ----------
    doses
        Every dose (`Bolus` or `Infusion`), sorted by day: key of the therapy, amount in the unit of its doses, day
        since the first CAR-T infusion, and days that an infusion takes.
    name
        What the regimen is called in tables.

    Raises
    ------
    RegimenError
        If a dose is negative, zero or not a number, CAR-T cells are given before day 0 or twice on one day, or an
        infusion has no finite duration.
    UnknownNameError
        If there is no such therapy.

    Examples
    --------
    >>> from perdure import give, infuse
    >>> regimen = infuse("ide_cel", "450e6 cell") + give("lenalidomide", "10 mg", start=30, stop=33)
    >>> [(dose.therapy, dose.day) for dose in regimen.doses]
    [('ide_cel', 0.0), ('lenalidomide', 30.0), ('lenalidomide', 31.0), ('lenalidomide', 32.0)]
    >>> regimen.total("lenalidomide")
    30.0
    """

    doses: tuple[Dose, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Check every dose and sort them."""
        shelf = {therapy.key: therapy for therapy in read_therapies()}
        cells: set[tuple[str, float]] = set()
        for dose in self.doses:
            _check(dose, shelf)
            if shelf[dose.therapy].kind == "car_t":
                if isinstance(dose, Infusion):
                    raise RegimenError(
                        f"{dose.therapy}: cells are given as a Bolus, not as an Infusion over {dose.duration:g} d."
                    )
                if (dose.therapy, dose.day) in cells:
                    raise RegimenError(
                        f"{dose.therapy}: two infusions on day {dose.day:g}; add the amounts or move one."
                    )
                cells.add((dose.therapy, dose.day))
        ordered = tuple(sorted(self.doses, key=lambda dose: (dose.day, dose.therapy)))
        object.__setattr__(self, "doses", ordered)

    def __add__(self, other: "Regimen") -> "Regimen":
        """Both regimens together.

        Returns
        -------
        Regimen
            The doses of both, sorted by day; the names are joined by ' + '.
        """
        name = " + ".join(part for part in (self.name, other.name) if part)
        return Regimen((*self.doses, *other.doses), name)

    def named(self, name: str) -> "Regimen":
        """Same doses under another name.

        Returns
        -------
        Regimen
            A new one; this one stays as it is.
        """
        return replace(self, name=name)

    @cached_property
    def courses(self) -> tuple[tuple[str, float], ...]:
        """Courses of CAR-T cells as (product, day of the first infusion), in the order of that day.

        Infusions of one product are one course if each is at most `SPLIT_DAYS` after the one before.
        """
        courses: list[tuple[str, float]] = []
        last: dict[str, float] = {}
        for dose in self.doses:
            if read_therapy(dose.therapy).kind != "car_t":
                continue
            if dose.day > last.get(dose.therapy, -math.inf) + SPLIT_DAYS:
                courses.append((dose.therapy, dose.day))
            last[dose.therapy] = dose.day
        return tuple(courses)

    @cached_property
    def products(self) -> tuple[str, ...]:
        """CAR-T product of every course; one that is given again stands there twice."""
        return tuple(product for product, _ in self.courses)

    @cached_property
    def infusions(self) -> tuple[float, ...]:
        """Days on which CAR-T cells are given."""
        return tuple(dose.day for dose in self.doses if read_therapy(dose.therapy).kind == "car_t")

    @cached_property
    def drugs(self) -> tuple[str, ...]:
        """Drugs of the regimen, in alphabetical order."""
        return self._of_kind("drug")

    def _of_kind(self, kind: str) -> tuple[str, ...]:
        return tuple(name for name in sorted({dose.therapy for dose in self.doses}) if read_therapy(name).kind == kind)

    def total(self, therapy: str, until: float = math.inf) -> float:
        """Prescribed amount of a therapy up to a day (of an infusion, the part that falls before it).

        Returns
        -------
        float
            In the unit of the therapy's doses: cells, mg; 0 if the regimen does not give it.
        """
        amount = 0.0
        for dose in self.doses:
            if dose.therapy != therapy or dose.day > until:
                continue
            share = 1.0 if isinstance(dose, Bolus) else min(1.0, (until - dose.day) / dose.duration)
            amount += dose.amount * share
        return amount

    @property
    def text(self) -> str:
        """The regimen in words, one clause per therapy."""
        clauses = []
        for therapy in dict.fromkeys(dose.therapy for dose in self.doses):
            given = [dose for dose in self.doses if dose.therapy == therapy]
            entry = read_therapy(therapy)
            amounts = sorted({dose.amount for dose in given})
            amount = " / ".join(f"{value:.4g}" for value in amounts)
            days = (
                f"on day {given[0].day:g}" if len(given) == 1
                else f"{len(given)} doses from day {given[0].day:g} to day {given[-1].day:g}"
            )  # fmt: skip
            clauses.append(f"{entry.title} {amount} {entry.dose_unit}{'s' if entry.dose_unit == 'cell' else ''} {days}")
        return "; ".join(clauses) or "no therapy"


def _check(dose: Dose, shelf: dict[str, Therapy]) -> None:
    if dose.therapy not in shelf:
        raise unknown("therapy", dose.therapy, shelf, "regimen")
    unit = shelf[dose.therapy].dose_unit
    if not math.isfinite(dose.amount) or dose.amount <= 0:
        raise RegimenError(f"{dose.therapy}: dose = {dose.amount} {unit} on day {dose.day:g}; give a positive amount.")
    if not math.isfinite(dose.day):
        raise RegimenError(f"{dose.therapy}: day = {dose.day}; give a finite day.")
    if shelf[dose.therapy].kind == "car_t" and dose.day < 0:
        raise RegimenError(
            f"{dose.therapy}: infusion on day {dose.day:g}; day 0 is the first infusion, so give a day >= 0."
        )
    if isinstance(dose, Infusion) and not 0 < dose.duration < math.inf:
        raise RegimenError(f"{dose.therapy}: infusion over {dose.duration} d; give a positive, finite duration.")


def infuse(
    product: str, cells: object = None, *, day: float = 0.0, split: Sequence[float] = (1.0,), every: float = 1.0
) -> Regimen:
    """CAR-T cells on a day, at once or split over several infusions.

    Parameters
    ----------
    product
        Key of the product, such as 'ide_cel'.
    cells
        A number of cells, or a text such as '450e6 cell'; the product's usual dose if omitted.
    day
        Day of the first of these infusions, 0 or later.
    split
        Shares of the dose, for example (0.2, 0.3, 0.5); they add up to 1.
    every
        Days between the infusions of a split dose.

    Returns
    -------
    Regimen
        One dose for each share, in cells.

    Raises
    ------
    UnknownNameError
        If there is no such therapy.
    RegimenError
        If it is a drug, the shares do not add up to 1, the amount is not positive, or the day is before 0.
    UnitError, RangeError
        If `cells` has another unit, or is not a number.

    Examples
    --------
    >>> from perdure import infuse
    >>> [(dose.day, dose.amount) for dose in infuse("ide_cel", 400e6, split=(0.25, 0.75)).doses]
    [(0.0, 100000000.0), (1.0, 300000000.0)]
    """
    therapy = read_therapy(product)
    if therapy.kind != "car_t":
        raise RegimenError(f"{product}: is a drug, not CAR-T cells; use give({product!r}, ...).")
    amount = therapy.default_dose if cells is None else read_number(cells, therapy.dose_unit, product)
    if not math.isclose(sum(split), 1.0, rel_tol=1e-9):
        raise RegimenError(f"{product}: the split {tuple(split)} adds up to {sum(split):g}; it should add up to 1.")
    doses = tuple(Bolus(product, amount * share, day + every * k) for k, share in enumerate(split))
    return Regimen(doses, therapy.title)


def give(
    drug: str,
    amount: object = None,
    *,
    start: float,
    stop: float | None = None,
    months: float | None = None,
    every: float = 1.0,
    cycle: float | None = None,
    days_on: float | None = None,
    days_of_week: Iterable[int] = (),
) -> Regimen:
    """A drug given again and again.

    Parameters
    ----------
    drug, amount
        Key of the drug; amount per dose in its unit or as text ('10 mg'); its usual dose if omitted.
    start, stop, months
        First day; the day on which the course is over (no dose on it or later), or the duration in months of 30.4375
        days.
    every
        Days between doses.
    cycle, days_on
        In days, for example 28 and 21: doses on the first 21 days of every 28.
    days_of_week
        For example (0, 2, 4): three times a week, counted from `start` (0 to 6); replaces `every`.

    Returns
    -------
    Regimen
        One dose at once (`Bolus`) on each day, in the unit of the drug.

    Raises
    ------
    UnknownNameError
        If there is no such therapy.
    RegimenError
        If it is a CAR-T product, or the schedule is empty or contradicts itself.
    UnitError, RangeError
        If the amount has another unit, or is not a number.

    Examples
    --------
    >>> from perdure import give
    >>> course = give("lenalidomide", "10 mg", start=30, months=12, cycle=28, days_on=21)
    >>> len(course.doses), course.total("lenalidomide")
    (275, 2750.0)
    """
    therapy = read_therapy(drug)
    if therapy.kind != "drug":
        raise RegimenError(f"{drug}: is a CAR-T product, not a drug; use infuse({drug!r}, ...).")
    dose = therapy.default_dose if amount is None else read_number(amount, therapy.dose_unit, drug)
    if (stop is None) == (months is None):
        raise RegimenError(
            f"{drug}: give either stop (a day) or months (a duration), not {'both' if stop is not None else 'neither'}."
        )
    end = start + months * DAYS_PER_MONTH if months is not None else float(stop)  # type: ignore[arg-type]
    if (cycle is None) != (days_on is None):
        raise RegimenError(f"{drug}: cycle and days_on belong together (for example cycle=28, days_on=21).")
    if cycle is not None and days_on is not None and not 0 < days_on <= cycle:
        raise RegimenError(
            f"{drug}: days_on = {days_on:g} of a cycle of {cycle:g} days; expected 0 < days_on <= cycle."
        )
    if not 0 < every < math.inf:
        raise RegimenError(f"{drug}: every = {every:g} days; expected a positive, finite number.")
    week = tuple(days_of_week)
    if any(day not in range(7) for day in week):
        raise RegimenError(f"{drug}: days_of_week = {week}; expected whole numbers from 0 (the day of `start`) to 6.")
    if not -math.inf < start < end < math.inf:
        raise RegimenError(f"{drug}: starts on day {start:g} and stops on day {end:g}; give finite days in this order.")
    step = 1.0 if week else every
    # days since the start, free of rounding: 27.999999999999996 would belong to the cycle before
    since = (round(step * k, 9) for k in range(math.ceil(round((end - start) / step, 9))))
    chosen = [
        day for day in since
        if (cycle is None or days_on is None or round(day % cycle, 9) % cycle < days_on)
        and (not week or round(day) % 7 in week)
    ]  # fmt: skip
    if not chosen:
        raise RegimenError(f"{drug}: no dose falls between day {start:g} and day {end:g}; give a longer course.")
    return Regimen(tuple(Bolus(drug, dose, start + day) for day in chosen), therapy.title)
