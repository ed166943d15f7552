"""What is measured of a treated arm: response, progression-free survival, peak, persistence, risks; each one number.

In here, in percent where no unit is given: `RESPONSE`, `COMPLETE`, `MRD`; `MEDIAN_PFS` and `RESTRICTED_PFS` (months),
`PFS_12`, `PFS_24`; `ALIVE_24`; `PEAK` (cells/uL), `PERSISTENCE` (days); `CRS`, `SEVERE_CRS`, `ICANS`, `SEVERE_ICANS`;
and `COMING`, those who come to a later line. Several together: `EFFICACY`, `TOXICITY`, `LATER_LINE`. Made to order:
`restricted_mean`, `progression_free_at`, `alive_at`, `mrd_negative`, `days_of_treatment`; anything else is a `Measure`
with a function of the `ArmResult`.

Examples
--------
>>> from perdure import measures, treat
>>> result = treat("ide-cel", patients=20, months=6.0)
>>> measures.PEAK.label, 1.0 < measures.PEAK.read(result) < 10_000.0
('median peak of CAR-T cells, cells/uL', True)
>>> 0.0 <= measures.progression_free_at(3.0).read(result) <= 100.0
True
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..model.imwg import PR
from ..model.overall_survival import death_after_progression, overall_survival
from ..model.toxicity import crs_probability, icans_probability, severe_crs_probability, severe_icans_probability
from .treat import ArmResult

RESTRICTED_MONTHS = 36.0
"""Restricted mean progression-free survival is taken over so many months, of a later line over a year."""


@dataclass(frozen=True)
class Measure:
    """A number measured of a treated arm: its name, its unit, how it is read, and between what it can lie."""

    name: str
    unit: str
    read: Callable[[ArmResult], float]
    low: float = 0.0
    high: float = np.inf

    @property
    def label(self) -> str:
        """Name and unit, for the head of a table."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


def _percent(read: Callable[[ArmResult], float], name: str) -> Measure:
    return Measure(name, "%", lambda result: 100.0 * read(result), 0.0, 100.0)


def restricted_mean(months: float = RESTRICTED_MONTHS) -> Measure:
    """Restricted mean progression-free survival over so many months, from time zero of the arm."""

    def read(result: ArmResult) -> float:
        return result.outcomes.progression_free().restricted_mean(min(months, result.outcomes.visits.months))

    return Measure(f"restricted mean PFS to month {months:g}", "months", read, 0.0, months)


def progression_free_at(months: float) -> Measure:
    """Progression-free survival at so many months."""
    return _percent(lambda result: float(result.outcomes.progression_free().at(months)), f"PFS at {months:g} months")


def mrd_negative(limit: str = "1e-5") -> Measure:
    """Share whose tumour ever falls below the limit of residual disease."""
    return _percent(lambda result: result.outcomes.rate(result.outcomes.mrd_negative(limit)), f"MRD below {limit}")


def days_of_treatment(therapy: str) -> Measure:
    """Days on which a dose of a therapy is prescribed: the burden of taking it."""

    def read(result: ArmResult) -> float:
        return float(len({np.floor(dose.day) for dose in result.regimen.doses if dose.therapy == therapy}))

    return Measure(f"days with {therapy}", "days", read)


def alive_at(months: float) -> Measure:
    """Overall survival at so many months from time zero: death with or without progression (`overall_survival`)."""

    def read(result: ArmResult) -> float:
        outcomes = result.outcomes
        after = death_after_progression(
            result.patients, outcomes.progression(), outcomes.tumour_at_progression, result.people
        )  # fmt: skip
        return float(overall_survival(outcomes, after).at(min(months, outcomes.visits.months)))

    return _percent(read, f"overall survival at {months:g} months")


def _risk(probability: Callable[..., np.ndarray], name: str) -> Measure:
    return _percent(lambda result: result.mean(probability(result.patients, result.outcomes.c_max)), name)


RESPONSE = _percent(lambda result: result.outcomes.rate(result.outcomes.best >= PR), "overall response")
COMPLETE = _percent(lambda result: result.outcomes.complete_response_rate, "complete response")
MEDIAN_PFS = Measure("median PFS", "months", lambda result: result.outcomes.progression_free().median())
RESTRICTED_PFS = restricted_mean()
PFS_12 = progression_free_at(12.0)
PFS_24 = progression_free_at(24.0)
MRD = mrd_negative()
PEAK = Measure("median peak of CAR-T cells", "cells/uL", lambda result: result.median(result.outcomes.c_max))
PERSISTENCE = Measure(
    "median persistence of CAR-T cells", "days", lambda result: result.median(result.outcomes.persistence)
)
ALIVE_24 = alive_at(24.0)
SEVERE_CRS = _risk(severe_crs_probability, "severe CRS (grade 3 or more)")
CRS = _risk(crs_probability, "CRS of any grade")
ICANS = _risk(icans_probability, "ICANS of any grade")
SEVERE_ICANS = _risk(severe_icans_probability, "severe ICANS (grade 3 or more)")
TOXICITY = (CRS, SEVERE_CRS, ICANS, SEVERE_ICANS)
"""Risks that go with the peak of CAR-T cells (`model.toxicity`); nothing else is behind them."""
COMING = _percent(lambda result: result.share, "patients who come to this line")
"""Of a later line."""
LATER_LINE = (COMING, RESPONSE, COMPLETE, MEDIAN_PFS, restricted_mean(12.0))
"""What a reader of a later line asks first; its restricted mean is taken over a year."""
EFFICACY = (RESPONSE, COMPLETE, MEDIAN_PFS, PFS_24, RESTRICTED_PFS)
"""What a reader of a trial asks first."""
