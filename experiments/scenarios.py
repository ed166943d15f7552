"""The regimens that are projected by default, and what each of them rests on."""

from collections.abc import Iterable
from dataclasses import dataclass

from perdure.fitting.reported import Study, read_studies
from perdure.model.regimen import Regimen, give, infuse
from perdure.model.therapy import read_therapy
from perdure.parameters.units import DAYS_PER_MONTH

EFFICACY = ("orr", "cr_rate", "pfs_median", "pfs_rate", "dor_median")


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
    if "lenalidomide" in drugs:
        reasons.append(
            "no reported comparison of lenalidomide after this product: its effect on T cells keeps a prior centred on "
            "none, its effect on growth comes from trials after transplant"
        )
    if "crenigacestat" in drugs:
        reasons.append(
            "no reported efficacy with a gamma-secretase inhibitor was fitted: the rise of membrane BCMA and its "
            "duration come from the literature with wide priors"
        )
    other = [drug for drug in drugs if drug not in {"lenalidomide", "crenigacestat"}]
    if other:
        reasons.append(f"no evidence was fitted for {', '.join(other)}")
    if reasons:
        return Footing(False, "; ".join(reasons))
    return Footing(True, f"product and population were fitted to {', '.join(here)}")
