"""Regimens that several questions give: the two products as they were fitted, and what is added to them."""

from ..fitting.studies import read_studies
from ..model.regimens.regimen import Regimen, give
from ..model.therapy import read_therapy
from ..parameters.units import DAYS_PER_MONTH
from .arm import Arm
from .provenance import fitted_regimens


def lenalidomide_maintenance(amount: str = "10 mg", start: float = 21.0, until_month: float = 24.0) -> Regimen:
    """Lenalidomide on days 1-21 of 28, from a day to a month after infusion.

    10 mg on days 1-21 of 28 as in NCT04662099 (Li 2024a); from day 21 for up to two years as in CARTITUDE-2 D.
    """
    regimen = give("lenalidomide", amount, start=start, stop=until_month * DAYS_PER_MONTH, cycle=28.0, days_on=21.0)
    return regimen.named("lenalidomide maintenance")


def secretase_inhibitor(start: float = 0.0, stop: float = 22.0) -> Regimen:
    """Crenigacestat three times a week around infusion; the schedule is assumed: from day 0 for three weeks."""
    return give("crenigacestat", start=start, stop=stop, days_of_week=(0, 2, 4)).named("gamma-secretase inhibitor")


def default_arms() -> dict[str, tuple[Arm, ...]]:
    """Ide-cel and cilta-cel by key: each alone, with each drug, and with both.

    Each product is projected in the population in which its efficacy was calibrated, so that "alone" is no
    extrapolation, and at the dose and schedule given there; the two products are therefore not to be compared.
    """
    studies = read_studies()
    arms: dict[str, tuple[Arm, ...]] = {}
    for product, population in (("ide_cel", "late_line"), ("cilta_cel", "mixed_line")):
        alone = fitted_regimens(product, population, studies)[0]
        title = read_therapy(product).short
        lenalidomide, inhibitor = lenalidomide_maintenance(), secretase_inhibitor()
        arms[product] = (
            Arm(f"{title} alone", alone, population),
            Arm("+ lenalidomide", alone + lenalidomide, population),
            Arm("+ GSI", alone + inhibitor, population),
            Arm("+ both", alone + lenalidomide + inhibitor, population),
        )
    return arms
