"""Scenarios and designs: arms, and how a trial of them would be run; read from a file, and checked."""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from perdure.experiments.trials.design_checks import check_arms, check_design, population_of
from perdure.experiments.trials.eligibility import Criterion, Factor
from perdure.experiments.trials.scenario_file import ArmEntry, ScenarioEntry, read_entry
from perdure.model.endpoints import Visits
from perdure.model.language.sentence import read_plan
from perdure.model.plan import Plan
from perdure.parameters.errors import InputError
from perdure.parameters.units import DAYS_PER_MONTH

RATES = ("orr", "cr", "mrd_1e-5", "mrd_1e-6")
"""Endpoints that a patient has or has not."""
TIMES = ("pfs", "os", "dor", "ttnt")
"""Endpoints that come after a time."""
TIME_TESTS = ("logrank", "max_combo", "restricted_mean")


@dataclass(frozen=True)
class TrialArm:
    """One arm: its name, its plan in words and as read, who is treated, and its share of the randomisation."""

    name: str
    given: str
    plan: Plan
    population: str
    share: float = 1.0


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
        Primary endpoint (`TIMES`, `RATES`) and its test (`TIME_TESTS`, or 'rate').
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
    arms: tuple[TrialArm, ...]
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
        told = [
            f"Patients enter evenly over {self.accrual_months:g} months; {lost}.",
            "Progression is known at visits only, and dated by the visit that shows it.",
            "A next therapy begins at the visit that confirms progression, or when the plan gives it after that visit.",
        ]
        if self.time_zero == "apheresis":
            told.append(
                f"{100 * self.not_infused:g} % are not infused because no product is made or they are too ill "
                f"({self.not_infused_source}); they get what the plan gives before the cells, without conditioning."
            )
        return tuple(told)


@dataclass(frozen=True)
class TrialScenario:
    """A scenario file: its title, its arms (the first is the reference), and the design of a trial, if it has one."""

    title: str
    population: str
    arms: tuple[TrialArm, ...]
    design: Design | None = None


def read_scenario(path: str | Path) -> TrialScenario:
    """Read a scenario from a TOML file.

    Raises
    ------
    InputError
        If anything is missing, unknown, impossible, or contradicts something else: one error that names the file, the
        key, its value, and what would be right.
    """
    path = Path(path)
    entry = read_entry(path)
    try:
        arms = tuple(_arm(one, entry.population, number) for number, one in enumerate(entry.arms, start=1))
        check_arms(arms)
        title = entry.title or path.stem
        return TrialScenario(title, arms[0].population, arms, _design(entry, title, arms))
    except InputError as problem:
        raise type(problem)(f"{path.name}, {problem}") from None


def _arm(entry: ArmEntry, default: str, number: int) -> TrialArm:
    where = f"[[arm]] {number}, '{entry.name}'"
    population = population_of(entry.population or default, where)
    try:
        plan = read_plan(entry.given)
    except InputError as problem:
        raise type(problem)(f"{where}, given: {problem}") from None
    return TrialArm(entry.name, entry.given, plan, population, entry.share)


def _design(entry: ScenarioEntry, title: str, arms: tuple[TrialArm, ...]) -> Design | None:
    if entry.trial is None:
        return None
    try:
        return Design(
            title=title,
            arms=arms,
            eligible=tuple(Criterion(**one.model_dump()) for one in entry.eligible),
            strata=tuple(Factor(**one.model_dump()) for one in entry.strata),
            **entry.trial.model_dump(),
        )
    except InputError as problem:
        raise type(problem)(f"[trial]: {problem}") from None
