"""The bridging period: growth, progression and death of virtual patients between apheresis and their CAR-T cells."""

from functools import lru_cache

import numpy as np

from ..model.imwg import HIGH_M_PROTEIN, RISE_LIGHT_CHAIN, RISE_M_PROTEIN, RISE_M_PROTEIN_HIGH, RISE_RELATIVE
from ..model.overall_survival import hazard_after_progression
from ..model.regimens.regimen import Regimen
from ..model.simulate import Solver, simulate
from ..parameters.units import DAYS_PER_MONTH
from .measures import RESTRICTED_MONTHS, Measure
from .treat import ArmResult


@lru_cache(maxsize=4)  # several measures read the same arm
def bridging_period(result: ArmResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate the days from apheresis to the infusion of an arm, with what is given before lymphodepletion.

    Returns
    -------
    tuple of array
        Days (days,), tumour in cells (n, days) and M-protein in g/L (n, days).
    """
    wait = _wait(result)
    before = tuple(
        dose for dose in result.regimen.doses
        if dose.day < wait and dose.therapy not in {"lymphodepletion", *result.regimen.products}
    )  # fmt: skip
    days = np.linspace(0.0, max(wait, 1.0), 15)
    patients = {**result.patients, "fraction_lymphodepletion": np.zeros(result.outcomes.n)}
    solution = simulate(patients, Regimen(before, "while waiting"), times=days, solver=Solver(rtol=1e-5))
    return days, solution["tumour"], solution["m_protein"]


def alive_at_infusion(result: ArmResult) -> np.ndarray:
    """Probability (n,) of being alive when the cells come.

    Hazard while waiting: that of death without progression, and that of a myeloma that has progressed
    (`overall_survival`), since who waits for cells has one. Whoever is apheresed counts as having just progressed, at
    the usual burden of that, and the hazard moves with the burden from there on: how it differs between the burdens at
    apheresis and at a relapse after CAR-T cells was never seen.
    """
    days, tumour, _ = bridging_period(result)
    burden = result.patients["tumour_progressed"] * (tumour.T / tumour[:, 0])
    hazard = hazard_after_progression(result.patients, burden) + result.patients["hazard_death_first_year"]
    return np.exp(-np.trapezoid(hazard, days, axis=0)) if _wait(result) else np.ones(result.outcomes.n)


def progressed_at_infusion(result: ArmResult) -> np.ndarray:
    """Whether (n,) the marker has risen by what counts as progression (Kumar 2016) when the cells come."""
    _, tumour, protein = bridging_period(result)
    patients = result.patients
    light = patients["light_chain_only"] > 0.5
    chains = patients["flc_baseline"] * tumour[:, -1] / patients["tumour_baseline"]
    first = np.where(light, patients["flc_baseline"], protein[:, 0])
    last = np.where(light, chains, protein[:, -1])
    least = np.where(light, RISE_LIGHT_CHAIN, RISE_M_PROTEIN)
    high = ~light & (first >= HIGH_M_PROTEIN)
    return last - first >= np.where(high, RISE_M_PROTEIN_HIGH, np.maximum(RISE_RELATIVE * first, least))


def _wait(result: ArmResult) -> float:
    return min(result.regimen.infusions, default=0.0)


def _months_per_apheresed(result: ArmResult) -> float:
    until = min(RESTRICTED_MONTHS, result.outcomes.visits.months) * DAYS_PER_MONTH
    day = np.minimum(np.minimum(result.outcomes.progression(), result.outcomes.death), until)
    return result.mean(alive_at_infusion(result) * day / DAYS_PER_MONTH)


def _growth(result: ArmResult) -> float:
    _, tumour, _ = bridging_period(result)
    return result.median(tumour[:, -1] / tumour[:, 0])


def _died(result: ArmResult) -> float:
    return 100.0 * result.mean(1.0 - alive_at_infusion(result))


def _progressed(result: ArmResult) -> float:
    return 100.0 * result.mean(progressed_at_infusion(result).astype(float))


DIED = Measure("die before infusion", "%", _died, 0.0, 100.0)
PROGRESSED = Measure("progress before infusion", "%", _progressed, 0.0, 100.0)
GROWTH = Measure("median tumour at infusion, that at apheresis being 1", "", _growth)
PER_APHERESED = Measure(
    "months without progression after infusion, per patient apheresed", "months", _months_per_apheresed
)  # fmt: skip
"""Restricted mean PFS from infusion, nothing for who dies before it: no month of waiting counts as gained."""
