"""Scenarios and designs: arms, and how a trial of them would be run; read from a file, and checked."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..model.endpoints import Visits
from ..model.lines import STEP
from ..model.regimens.plan import PROGRESSION, wait_for_cells
from ..model.regimens.sentence import read_plan
from ..parameters.errors import FileError, InputError, RangeError, RegimenError, unknown
from ..parameters.files import complain, read_toml
from ..parameters.population import read_populations
from ..parameters.units import DAYS_PER_MONTH
from .arm import Arm
from .eligibility import RESPONSE, Criterion, Factor

# What cannot be a trial: contradictions of a design, each one clear error.
#
# Designs and arms are of any type here: `design.py` imports these checks, so that they cannot import its classes.


ENDPOINTS = ("pfs", "os", "orr", "cr", "mrd_1e-5", "mrd_1e-6", "dor", "ttnt")
RATE = "rate"
TESTS = ("logrank", "max_combo", "restricted_mean", RATE)
TIME_ZEROS = ("infusion", "apheresis", "randomisation")
LARGEST_BLOCK = 60
VISITS_OF_RESPONSE = 3
"""A response counts from this visit on: two in a row confirm it, after the baseline."""


def population_of(name: str, where: str) -> str:
    """A population that exists."""
    if not name:
        raise InputError(f'{where}: has no population; write population = "late_line" at the top of the file.')
    known = read_populations()[0]
    if name not in known:
        raise unknown("population", name, known, where)
    return name


def check_arms(arms: Sequence[Any]) -> None:
    """There are arms, each with a name of its own."""
    if not arms:
        raise InputError("arm: there is none; write at least one [[arm]] with a name and what is given.")
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"arm: name = '{name}' stands {names.count(name)} times; give every arm its own name.")


def check_design(design: Any) -> None:
    """Check a design as a whole; see `Design` for what its fields mean."""
    check_arms(design.arms)
    for kind, name, known in (
        ("time zero", design.time_zero, TIME_ZEROS), ("endpoint", design.endpoint, ENDPOINTS),
        ("test", design.test, TESTS),
    ):  # fmt: skip
        if name not in known:
            raise unknown(kind, name, known)
    _check_numbers(design)
    _check_follow_up(design)
    _check_test(design)
    _check_shares(design)
    _check_time_zero(design)
    for arm in design.arms:
        _check_cells(design, arm)
        _check_lines(design, arm)
    if design.time_zero == "randomisation":
        _check_same_before(design)
    elif design.time_zero == "apheresis" and not any(arm.plan.first.infusions for arm in design.arms):
        raise RegimenError(
            "time_zero = 'apheresis', but no arm is given cells; choose another time zero or give cells."
        )


def _check_numbers(design: Any) -> None:
    for name, low, high, right in (
        ("patients", 2, math.inf, "a whole number of at least 2"),
        ("accrual_months", 0.0, math.inf, "0 (all at once) or more"),
        ("follow_up_months", 0.0, math.inf, "months after the last patient has entered, more than 0"),
        ("visit_days", 1.0, 365.0, "days between visits, from 1 to 365"),
    ):
        value = getattr(design, name)
        if not low <= value < math.inf or value > high:
            raise RangeError(f"{name} = {value:g}; give {right}.")
    if int(design.patients) != design.patients:
        raise RangeError(f"patients = {design.patients:g}; give a whole number of at least 2.")
    for name, right in (("alpha", "the two-sided level, such as 0.05"), ("power", "the power wanted, such as 0.8")):
        value = getattr(design, name)
        if not 0.0 < value < 1.0:
            raise RangeError(f"{name} = {value:g}; give a number between 0 and 1: {right}.")
    for name in ("dropout_per_year", "not_infused"):
        value = getattr(design, name)
        if not 0.0 <= value < 1.0:
            raise RangeError(f"{name} = {value:g}; give a share from 0 to less than 1, such as 0.05.")


def _check_follow_up(design: Any) -> None:
    days = design.follow_up_months * DAYS_PER_MONTH
    if days < design.visit_days:
        raise RangeError(
            f"follow_up_months = {design.follow_up_months:g} ({days:.0f} days) is shorter than the interval between "
            f"visits, visit_days = {design.visit_days:g}; follow longer, or visit more often."
        )
    try:
        _ = design.visits
    except RangeError as problem:
        raise RangeError(
            f"accrual_months = {design.accrual_months:g}, follow_up_months = {design.follow_up_months:g} and "
            f"visit_days = {design.visit_days:g} do not go together: {problem}"
        ) from None


def _check_test(design: Any) -> None:
    rates = design.endpoint in ("orr", "cr") or design.endpoint.startswith("mrd")
    if rates != (design.test == RATE):
        right = f"'{RATE}'" if rates else ", ".join(f"'{test}'" for test in TESTS if test != RATE)
        kind = "is had or not" if rates else "comes after a time"
        raise InputError(
            f"test = '{design.test}' does not go with endpoint = '{design.endpoint}', which {kind}; give {right}."
        )
    until = design.restricted_months
    if until is None:
        return
    if design.test != "restricted_mean":
        raise InputError(f"restricted_months = {until:g} is for test = 'restricted_mean', not for '{design.test}'.")
    if not 0.0 < until <= design.months:
        raise RangeError(
            f"restricted_months = {until:g}; give more than 0 and at most the longest follow-up, {design.months:g}."
        )


def _check_shares(design: Any) -> None:
    if len(design.arms) < 2:
        raise InputError(
            f"arm: a trial compares arms, and there is only '{design.arms[0].name}'; write another [[arm]]."
        )
    for arm in design.arms:
        if not 0.0 < arm.share < math.inf:
            raise RangeError(f"arm '{arm.name}': share = {arm.share:g}, an arm without patients; give more than 0.")
        if arm.population != design.population:
            raise InputError(
                f"arm '{arm.name}': population = '{arm.population}', and '{design.population}' in "
                f"'{design.arms[0].name}'; the arms of a trial draw from one population."
            )
    total = sum(arm.share for arm in design.arms)
    counts = design.block
    if min(counts) < 1 or sum(counts) > LARGEST_BLOCK:
        shares = ", ".join(f"{arm.share:g}" for arm in design.arms)
        raise RangeError(
            f"arm: shares {shares} need blocks of {sum(counts)} patients; give small whole numbers (2 and 1)."
        )
    for arm in design.arms:
        expected = design.patients * arm.share / total
        if expected < 1.0:
            raise RangeError(
                f"arm '{arm.name}': of {design.patients} patients {expected:.2g} belong to it; give more patients."
            )


def _check_time_zero(design: Any) -> None:
    day, zero = design.randomised_on_day, design.time_zero
    if zero == "randomisation":
        if day is None:
            raise InputError("time_zero = 'randomisation' needs randomised_on_day, a day after infusion (such as 30).")
        if not 0.0 < day < math.inf:
            raise RangeError(f"randomised_on_day = {day:g}; give a day after infusion (day 0), such as 30.")
    elif day is not None:
        raise InputError(f"randomised_on_day = {day:g}, but time_zero = '{zero}'; give time_zero = 'randomisation'.")
    if zero != "apheresis" and design.not_infused:
        raise InputError(f"not_infused = {design.not_infused:g}, but time_zero = '{zero}'; it is for 'apheresis'.")
    earliest = VISITS_OF_RESPONSE * design.visit_days
    for part in (*design.eligible, *design.strata):
        if part.what == RESPONSE and (day is None or day < earliest):
            when = f"on day {day:g} (randomised_on_day)" if day is not None else f"at time_zero = '{zero}'"
            raise InputError(
                f"what = 'response': none is confirmed {when} with visit_days = {design.visit_days:g}; "
                f"randomise on day {earliest:g} or later, or ask for a parameter."
            )


def _check_cells(design: Any, arm: Any) -> None:
    infusions, where = arm.plan.first.infusions, f"arm '{arm.name}'"
    if design.time_zero == "apheresis":
        if infusions and wait_for_cells(arm.plan.first) <= 0.0:
            raise RegimenError(
                f"{where}: cells on day 0, which is the day of apheresis (time_zero); give them later, "
                "for example 'ide-cel on day 42', or count from infusion."
            )
        if design.visits.until - wait_for_cells(arm.plan.first) < (VISITS_OF_RESPONSE + 1) * design.visit_days:
            raise RegimenError(
                f"{where}: cells on day {wait_for_cells(arm.plan.first):g} leave fewer than {VISITS_OF_RESPONSE} "
                f"visits after them (follow_up_months = {design.follow_up_months:g}); give them earlier."
            )
    elif 0.0 not in infusions:
        first = f"the first cells come on day {min(infusions):g}" if infusions else "no cells are given"
        raise RegimenError(
            f"{where}: {first}, and time_zero = '{design.time_zero}' counts from an infusion on day 0; "
            "give cells on day 0, or choose time_zero = 'apheresis'."
        )


def _check_lines(design: Any, arm: Any) -> None:
    later = False
    for line in arm.plan.lines[1:]:
        if later and line.when != PROGRESSION:
            raise RegimenError(
                f"arm '{arm.name}': 'at {line.when}' after 'at progression'; "
                "a trial follows a response only in the first line."
            )
        later = later or line.when == PROGRESSION
    if later and design.visit_days % STEP > 1e-9:
        raise RangeError(
            f"visit_days = {design.visit_days:g}; with a line 'at progression' (arm '{arm.name}') give a multiple of "
            f"{STEP:g} days, such as 28."
        )


def _check_same_before(design: Any) -> None:
    """Nobody can be treated by an arm before it is drawn."""
    day, first = design.origin, design.arms[0]
    given = [dose for dose in first.plan.first.doses if dose.day < day]
    for arm in design.arms[1:]:
        other = [dose for dose in arm.plan.first.doses if dose.day < day]
        differing = [dose for dose in (*given, *other) if (dose in given) != (dose in other)]
        if differing or len(given) != len(other):
            dose = differing[0] if differing else given[0]
            raise RegimenError(
                f"arms '{first.name}' and '{arm.name}' differ before randomised_on_day = {day:g} ({dose.therapy} on "
                f"day {dose.day:g}); give the same until then, or randomise earlier."
            )
        if _at_response(first) != _at_response(arm):
            raise RegimenError(
                f"arms '{first.name}' and '{arm.name}' give different things at a response, which may come before "
                f"randomised_on_day = {day:g}; let them differ from a day on."
            )


def _at_response(arm: Any) -> list[object]:
    return [(line.when, line.regimen.doses) for line in arm.plan.lines[1:] if line.when != PROGRESSION]


# What stands in a scenario file (TOML), before it is understood: keys, kinds of values, nothing that is not known.


Entry = TypeVar("Entry", bound=BaseModel)
KEYS = ("title", "population", "arm", "trial")


class _Strict(BaseModel):
    # "300" is not a number of patients, and true is not 1
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ArmEntry(_Strict):
    """An [[arm]]."""

    name: str = Field(min_length=1)
    given: str = Field(min_length=1)
    population: str = ""
    share: float = 1.0


class EligibleEntry(_Strict):
    """A [[trial.eligible]]."""

    what: str
    above: float | None = None
    below: float | str | None = None
    at_least: str | None = None


class StratumEntry(_Strict):
    """A [[trial.stratum]]."""

    what: str
    cut: float | str


class TrialEntry(_Strict):
    """The [trial] without its criteria and factors."""

    time_zero: str
    randomised_on_day: float | None = None
    patients: int
    accrual_months: float
    follow_up_months: float
    dropout_per_year: float = 0.0
    visit_days: float = 28.0
    endpoint: str
    test: str = ""
    restricted_months: float | None = None
    alpha: float = 0.05
    power: float = 0.8
    not_infused: float = 0.0
    not_infused_source: str = "assumed"


class ScenarioEntry(BaseModel):
    """The whole file; `trial` is None if the file only compares arms."""

    title: str
    population: str
    arms: list[ArmEntry]
    trial: TrialEntry | None
    eligible: list[EligibleEntry]
    strata: list[StratumEntry]


def read_entry(path: Path) -> ScenarioEntry:
    """Read the file and check its form.

    Raises
    ------
    FileError, UnknownNameError
        If it is missing or malformed, a key is unknown or missing, or a value is of the wrong kind.
    """
    table, where = read_toml(path), path.name
    for key in table:
        if key not in KEYS:
            raise unknown("key", key, KEYS, where)
    title = table.get("title", "")
    population = table.get("population", "")
    for key, value in (("title", title), ("population", population)):
        if not isinstance(value, str):
            raise FileError(f"{where}: {key} = {value!r}; give a text in quotes.")
    arms = [_read(ArmEntry, arm, f"{where}, [[arm]] {k}") for k, arm in enumerate(_tables(table, "arm", where), 1)]
    if "trial" not in table:
        return ScenarioEntry(title=title, population=population, arms=arms, trial=None, eligible=[], strata=[])
    trial = table["trial"]
    if not isinstance(trial, Mapping):
        raise FileError(f"{where}: trial = {trial!r}; write a table, [trial].")
    parts = {"eligible", "stratum"}
    plain = {key: value for key, value in trial.items() if key not in parts}
    return ScenarioEntry(
        title=title,
        population=population,
        arms=arms,
        trial=_read(TrialEntry, plain, f"{where}, [trial]", parts),
        eligible=[
            _read(EligibleEntry, criterion, f"{where}, [[trial.eligible]]")
            for criterion in _tables(trial, "eligible", where)
        ],
        strata=[
            _read(StratumEntry, stratum, f"{where}, [[trial.stratum]]") for stratum in _tables(trial, "stratum", where)
        ],
    )


def _tables(table: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    entries = table.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        name = key if key == "arm" else f"trial.{key}"
        raise FileError(f"{where}: {name} = {entries!r:.60}; write it as [[{name}]], once for each.")
    return entries


def _read(kind: type[Entry], table: Mapping[str, Any], where: str, more: Collection[str] = ()) -> Entry:
    try:
        return kind.model_validate(dict(table))
    except ValidationError as error:
        raise complain(error, where, {**kind.model_fields, **dict.fromkeys(more)}) from None


RATES = ("orr", "cr", "mrd_1e-5", "mrd_1e-6")
"""Endpoints that a patient has or has not."""
TIMES = ("pfs", "os", "dor", "ttnt")
"""Endpoints that come after a time."""


@dataclass(frozen=True)
class Design:
    """How a trial of the arms is run; the first arm is the reference.

    Attributes
    ----------
    time_zero
        From when the endpoints count: 'infusion', 'apheresis' (day 0 of plans whose cells come later), or
        'randomisation' on day `randomised_on_day` after infusion, of those alive and without progression by then.
    accrual_months, follow_up_months
        Patients enter uniformly over the accrual; the analysis is `follow_up_months` after the last of them.
    dropout_per_year
        Share that is lost within a year, at a constant rate.
    visit_days
        Days between assessments, counted from infusion (from apheresis if that is time zero).
    endpoint, test
        Primary endpoint (`TIMES`, `RATES`) and its test (`TESTS`).
    restricted_months
        Until when restricted means are taken; None leaves it to the test.
    alpha, power
        Two-sided level, and the power that is wanted.
    not_infused, not_infused_source
        Share for whom no product can be made or who are too ill for it (time zero 'apheresis'), and where it is from.

    Raises
    ------
    InputError
        If anything contradicts anything: `design_checks`.
    """

    title: str
    arms: tuple[Arm, ...]
    time_zero: str
    patients: int
    accrual_months: float
    follow_up_months: float
    endpoint: str
    randomised_on_day: float | None = None
    dropout_per_year: float = 0.0
    visit_days: float = 28.0
    test: str = ""
    restricted_months: float | None = None
    alpha: float = 0.05
    power: float = 0.8
    eligible: tuple[Criterion, ...] = ()
    strata: tuple[Factor, ...] = ()
    not_infused: float = 0.0
    not_infused_source: str = "assumed"

    def __post_init__(self) -> None:
        """Choose the usual test if none is named, and check everything."""
        if not self.test:
            object.__setattr__(self, "test", "rate" if self.endpoint in RATES else "logrank")
        check_design(self)

    @property
    def population(self) -> str:
        """Whom all arms treat."""
        return self.arms[0].population

    @property
    def months(self) -> float:
        """Longest follow-up from time zero: that of the first patient in."""
        return self.accrual_months + self.follow_up_months

    @property
    def origin(self) -> float:
        """Time zero as a day of the plans."""
        return self.randomised_on_day or 0.0

    @property
    def visits(self) -> Visits:
        """Assessments of the virtual patients, until one confirms what is seen on the last day."""
        return Visits(self.visit_days, self.months + (self.origin + self.visit_days) / DAYS_PER_MONTH)

    @property
    def block(self) -> tuple[int, ...]:
        """Patients of every arm in a block of the randomisation, at least four together: shares in whole numbers."""
        parts = [Fraction(arm.share).limit_denominator(100) for arm in self.arms]
        common = math.lcm(*(part.denominator for part in parts))
        counts = [int(part * common) for part in parts]
        least = math.gcd(*counts)
        counts = [count // least for count in counts]
        times = math.ceil(4 / sum(counts))
        return tuple(count * times for count in counts)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the simulation of the trial takes for granted, in sentences for the reader of its results."""
        lost = f"{100 * self.dropout_per_year:g} % of the patients are lost each year, whatever their state"
        sentences = [
            f"Patients enter evenly over {self.accrual_months:g} months; {lost}.",
            "Progression is known at visits only, and dated by the visit that shows it.",
            "A next therapy begins at the visit that confirms progression, or when the plan gives it after that visit.",
        ]
        if self.time_zero == "apheresis":
            sentences.append(
                f"{100 * self.not_infused:g} % are not infused because no product is made or they are too ill "
                f"({self.not_infused_source}); they get what the plan gives before the cells, without conditioning."
            )
        return tuple(sentences)


@dataclass(frozen=True)
class TrialScenario:
    """A scenario file: its title, its arms (the first is the reference), and the design of a trial, if it has one."""

    title: str
    population: str
    arms: tuple[Arm, ...]
    design: Design | None = None


def read_scenario(path: str | Path) -> TrialScenario:
    """Read a scenario from a TOML file: arms, and the design of a trial of them if there is a [trial].

    Parameters
    ----------
    path
        The file; `docs/tutorial.md` shows one.

    Returns
    -------
    TrialScenario
        Title, population and arms, the first being the reference, and the `Design` (days, months, shares from 0 to 1).

    Raises
    ------
    InputError
        If anything is missing, unknown, impossible, or contradicts something else: one error that names the file, the
        key, its value, and what would be right.

    Examples
    --------
    >>> from pathlib import Path
    >>> from perdure import read_scenario
    >>> _ = Path("scenario.toml").write_text('''
    ... population = "late_line"
    ... [[arm]]
    ... name = "alone"
    ... given = "ide-cel"
    ... ''')
    >>> [arm.name for arm in read_scenario("scenario.toml").arms]
    ['alone']
    """
    path = Path(path)
    entry = read_entry(path)
    try:
        arms = tuple(_arm(arm, entry.population, number) for number, arm in enumerate(entry.arms, start=1))
        check_arms(arms)
        title = entry.title or path.stem
        return TrialScenario(title, arms[0].population, arms, _design(entry, title, arms))
    except InputError as problem:
        raise type(problem)(f"{path.name}, {problem}") from None


def _arm(entry: ArmEntry, default: str, number: int) -> Arm:
    where = f"[[arm]] {number}, '{entry.name}'"
    population = population_of(entry.population or default, where)
    try:
        plan = read_plan(entry.given)
    except InputError as problem:
        raise type(problem)(f"{where}, given: {problem}") from None
    return Arm(entry.name, plan, population, share=entry.share)


def _design(entry: ScenarioEntry, title: str, arms: tuple[Arm, ...]) -> Design | None:
    if entry.trial is None:
        return None
    try:
        return Design(
            title=title,
            arms=arms,
            eligible=tuple(Criterion(**criterion.model_dump()) for criterion in entry.eligible),
            strata=tuple(Factor(**stratum.model_dump()) for stratum in entry.strata),
            **entry.trial.model_dump(),
        )
    except InputError as problem:
        raise type(problem)(f"[trial]: {problem}") from None
