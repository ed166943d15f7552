"""The regimens that are projected by default, and what each of them rests on."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..fitting.calibration.predictions import plan_of
from ..fitting.studies import Study, read_studies
from ..model.regimens.plan import Line, Plan
from ..model.regimens.regimen import Regimen, give, infuse
from ..model.therapy import read_therapy
from ..parameters.units import DAYS_PER_MONTH

EFFICACY = ("orr", "cr_rate", "pfs_median", "pfs_rate", "pfs_interval", "dor_median", "dor_interval")


@dataclass(frozen=True)
class Scenario:
    """A regimen in a population, with a short name for axes and tables."""

    product: str
    population: str
    name: str
    regimen: Regimen


@dataclass(frozen=True)
class Footing:
    """Whether a scenario is calibrated or extrapolated, and why."""

    calibrated: bool
    reason: str

    @property
    def flag(self) -> str:
        """One word for tables."""
        return "calibrated" if self.calibrated else "extrapolated"


def lenalidomide_maintenance(amount: str = "10 mg", start: float = 21.0, until_month: float = 24.0) -> Regimen:
    """Lenalidomide on days 1-21 of 28, from a day to a month after infusion.

    10 mg on days 1-21 of 28 as in NCT04662099 (Li 2024a); from day 21 for up to two years as in CARTITUDE-2 D.
    """
    regimen = give("lenalidomide", amount, start=start, stop=until_month * DAYS_PER_MONTH, cycle=28.0, days_on=21.0)
    return regimen.named("lenalidomide maintenance")


def secretase_inhibitor(start: float = 0.0, stop: float = 22.0) -> Regimen:
    """Crenigacestat three times a week around infusion; the schedule is assumed: from day 0 for three weeks."""
    return give("crenigacestat", start=start, stop=stop, days_of_week=(0, 2, 4)).named("gamma-secretase inhibitor")


def default_scenarios() -> tuple[Scenario, ...]:
    """Ide-cel and cilta-cel alone, with each drug, and with both.

    Each product is projected in the population in which its efficacy was calibrated, so that "alone" is no
    extrapolation, and at the dose and schedule given there; the two products are therefore not to be compared.
    """
    studies = read_studies()
    scenarios = []
    for product, population in (("ide_cel", "late_line"), ("cilta_cel", "mixed_line")):
        alone = fitted_regimens(product, population, studies)[0]
        title = read_therapy(product).short
        lenalidomide, inhibitor = lenalidomide_maintenance(), secretase_inhibitor()
        for name, regimen in (
            (f"{title} alone", alone),
            ("+ lenalidomide", alone + lenalidomide),
            ("+ GSI", alone + inhibitor),
            ("+ both", alone + lenalidomide + inhibitor),
        ):
            scenarios.append(Scenario(product, population, name, regimen))
    return tuple(scenarios)


def fitted_regimens(product: str, population: str, studies: Iterable[Study]) -> tuple[Regimen, ...]:
    """How the product alone was given where its efficacy in this population was fitted; its usual dose if nowhere."""
    given = []
    for study in studies:
        fits = any(item.role == "fit" and item.endpoint in EFFICACY for item in study.items)
        if fits and (study.product, study.population) == (product, population):
            alone = [treatment for treatment in study.treatment if not treatment.drug]
            given += [treatment.regimen(product) for treatment in alone] or [infuse(product)]
    return tuple(given) or (infuse(product),)


def footing(scenario: Scenario, studies: Iterable[Study]) -> Footing:
    """Say whether reported efficacy of this product in this population was fitted, and what is borrowed."""
    studies = tuple(studies)
    here, elsewhere = [], []
    for study in studies:
        fitted = study.product == scenario.product and any(
            item.role == "fit" and item.endpoint in EFFICACY for item in study.items
        )
        if fitted:
            (here if study.population == scenario.population else elsewhere).append(study.study)
    drugs = scenario.regimen.drugs
    reasons = []
    cells = tuple(dose for dose in scenario.regimen.doses if dose.therapy == scenario.product)
    known = [regimen.doses for regimen in fitted_regimens(scenario.product, scenario.population, studies)]
    if here and cells not in known:
        reasons.append(f"{scenario.product}: another dose or schedule than in {', '.join(here)}")
    if not here:
        where = (
            f"its efficacy was fitted elsewhere ({', '.join(elsewhere)})"
            if elsewhere
            else "its efficacy was not fitted"
        )
        reasons.append(f"{scenario.product} in {scenario.population}: {where}")
    for drug in map(read_therapy, drugs):
        reasons.append(
            f"{drug.short} was never fitted together with this product; alone it is {drug.grade}: {drug.grade_note}"
        )
    if reasons:
        return Footing(False, "; ".join(reason.removesuffix(".") for reason in reasons))
    return Footing(True, f"product and population were fitted to {', '.join(here)}")


def footing_of_plan(
    plan: Plan, population: str, studies: Iterable[Study], missed: Collection[str] = ()
) -> Footing:  # fmt: skip
    """The same for a plan: of its first line, of every later therapy, and of putting them one after the other.

    `missed` are the ids of results that the calibration does not meet.
    """
    studies = tuple(studies)
    first = plan.lines[0].regimen
    reasons: list[str] = []
    if first.products:
        own = footing(Scenario(first.products[0], population, "", first), studies)
        reasons += [] if own.calibrated else [own.reason]
    later = [line.regimen for line in plan.lines[1:]] if first.products else [line.regimen for line in plan.lines]
    named = dict.fromkeys(dose.therapy for regimen in later for dose in regimen.doses)
    for therapy in map(read_therapy, named):
        if therapy.grade != "calibrated":
            reasons.append(f"{therapy.short} is {therapy.grade}: {therapy.grade_note.removesuffix('.')}")
    if len(plan.lines) == 1:
        return Footing(not reasons, "; ".join(reasons) or "every therapy was fitted to its own results")
    reported = fitted_sequences(studies).get((population, given(plan.lines)), {})
    if not reported:
        reasons.append("this sequence was not fitted: what a line leaves to the next follows from the mechanisms")
    elif misses := [study for item, study in reported.items() if item in missed]:
        reasons.append(f"the fit misses what was reported of this sequence ({', '.join(dict.fromkeys(misses))})")
    where = ", ".join(dict.fromkeys(reported.values()))
    return Footing(not reasons, "; ".join(reasons) or f"this sequence was fitted to {where}")


Given = tuple[frozenset[str], ...]


def given(lines: Iterable[Line]) -> Given:
    """Therapies of every line, without the conditioning before cells."""
    return tuple(frozenset(dose.therapy for dose in line.regimen.doses) - {"lymphodepletion"} for line in lines)


def fitted_sequences(studies: Iterable[Study]) -> dict[tuple[str, Given], dict[str, str]]:
    """By population and sequence of therapies: fitted results of its last line, by id, each with its study."""
    found: dict[tuple[str, Given], dict[str, str]] = {}
    for study in studies:
        for item in study.items:
            scenario = study.scenario(item.scenario) if item.role == "fit" and item.scenario else None
            if scenario is not None and scenario.line > 1:
                key = scenario.population, given(plan_of(scenario).lines[: scenario.line])
                found.setdefault(key, {})[item.id] = study.study
    return found
