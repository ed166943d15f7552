"""What happens between apheresis and infusion: growth, progression and death of virtual patients who wait for cells."""

from functools import lru_cache

import numpy as np

from perdure.experiments.arms.measures import (
    MEDIAN_PFS,
    PEAK,
    RESPONSE,
    RESTRICTED_MONTHS,
    RESTRICTED_PFS,
    Measure,
    Treated,
)
from perdure.model.imwg import HIGH_M_PROTEIN, RISE_LIGHT_CHAIN, RISE_M_PROTEIN, RISE_M_PROTEIN_HIGH, RISE_RELATIVE
from perdure.model.overall_survival import hazard_after_progression
from perdure.model.regimen import Regimen
from perdure.model.simulate import Solver, simulate
from perdure.parameters.units import DAYS_PER_MONTH

USUAL = 49.0
REPORTED_WAITS = ((44.0, "CARTITUDE-4"), (USUAL, "KarMMa-3"))
"""Median days from apheresis to infusion (PMC10873054)."""
NOT_INFUSED = {"KarMMa": (12, 140), "KarMMa-3": (29, 254)}
"""Patients who were apheresed or randomised and never had cells, for whatever reason (PMC10873054)."""


def words(wait: float, bridging: str = "", product: str = "ide-cel") -> str:
    """The plan of a wait in words: the last five days are for lymphodepletion."""
    cells = f"lymphodepletion days {wait - 5:g}-{wait - 3:g}; {product} on day {wait:g}"
    return f"{bridging}; {cells}" if bridging else cells


@lru_cache(maxsize=4)
def _course(one: Treated) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days, tumour (n, days) and M-protein (n, days) from apheresis until the cells of this arm."""
    wait = min(one.regimen.infusions, default=0.0)
    before = tuple(
        dose for dose in one.regimen.doses
        if dose.day < wait and dose.therapy not in {"lymphodepletion", *one.regimen.products}
    )  # fmt: skip
    days = np.linspace(0.0, max(wait, 1.0), 15)
    full = {**one.patients, "fraction_lymphodepletion": np.zeros(one.outcomes.n)}
    found = simulate(full, Regimen(before, "while waiting"), times=days, solver=Solver(rtol=1e-5))
    return days, found["tumour"], found["m_protein"]


def alive_at_infusion(one: Treated) -> np.ndarray:
    """Probability (n,) of being alive when the cells come.

    Hazard while waiting: that of death without progression, and that of a myeloma that has progressed
    (`overall_survival`), since who waits for cells has one. Whoever is apheresed counts as having just progressed, at
    the usual burden of that, and the hazard moves with the burden from there on: how it differs between the burdens at
    apheresis and at a relapse after CAR-T cells was never seen.
    """
    days, tumour, _ = _course(one)
    burden = one.patients["tumour_progressed"] * (tumour.T / tumour[:, 0])
    hazard = hazard_after_progression(one.patients, burden) + one.patients["hazard_death_first_year"]
    wait = min(one.regimen.infusions, default=0.0)
    return np.exp(-np.trapezoid(hazard, days, axis=0)) if wait else np.ones(one.outcomes.n)


def progressed_at_infusion(one: Treated) -> np.ndarray:
    """Whether (n,) the marker has risen by what counts as progression (Kumar 2016) when the cells come."""
    _, tumour, protein = _course(one)
    light = one.patients["light_chain_only"] > 0.5
    chains = one.patients["flc_baseline"] * tumour[:, -1] / one.patients["tumour_baseline"]
    first = np.where(light, one.patients["flc_baseline"], protein[:, 0])
    last = np.where(light, chains, protein[:, -1])
    least = np.where(light, RISE_LIGHT_CHAIN, RISE_M_PROTEIN)
    high = ~light & (first >= HIGH_M_PROTEIN)
    return last - first >= np.where(high, RISE_M_PROTEIN_HIGH, np.maximum(RISE_RELATIVE * first, least))


def _months_per_apheresed(one: Treated) -> float:
    until = min(RESTRICTED_MONTHS, one.outcomes.visits.months) * DAYS_PER_MONTH
    day = np.minimum(np.minimum(one.outcomes.progression(), one.outcomes.death), until)
    return one.mean(alive_at_infusion(one) * day / DAYS_PER_MONTH)


def _growth(one: Treated) -> float:
    tumour = _course(one)[1]
    return one.median(tumour[:, -1] / tumour[:, 0])


LOST = Measure("die before infusion", "%", lambda one: 100.0 * one.mean(1.0 - alive_at_infusion(one)), 0.0, 100.0)
WORSE = Measure(
    "progress before infusion", "%", lambda one: 100.0 * one.mean(progressed_at_infusion(one).astype(float)), 0.0, 100.0
)  # fmt: skip
GROWN = Measure("median tumour at infusion, that at apheresis being 1", "", _growth)
PER_APHERESED = Measure(
    "months without progression after infusion, per patient apheresed", "months", _months_per_apheresed
)  # fmt: skip
"""Restricted mean PFS from infusion, nothing for who dies before it: no month of waiting counts as gained."""

MEASURES = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS, PER_APHERESED, LOST, WORSE, GROWN, PEAK)
"""What is read off an arm of patients who wait."""
