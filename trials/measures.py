"""What is read off a treated arm: response, progression-free survival, peak, persistence, risks; each one number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..model.endpoints import Outcomes
from ..model.imwg import PR
from ..model.overall_survival import death_after_progression, overall_survival
from ..model.regimens.regimen import Regimen
from ..model.statistics.survival import weighted_quantile
from ..model.toxicity import crs_probability, icans_probability, severe_crs_probability, severe_icans_probability
from ..parameters.patients import Draws
from .projection import RESTRICTED_MONTHS


@dataclass(frozen=True, eq=False)
class Treated:
    """Virtual patients of one arm and what became of them; `patients` are arrays (n,), outcomes (2, n) by branch.

    `regimen` is what the first line prescribes, `people` the randomness of the patients.
    """

    patients: Mapping[str, np.ndarray]
    outcomes: Outcomes
    regimen: Regimen
    people: Draws

    def among(self, keep: np.ndarray) -> "Treated":
        """The same with only some patients counted: `keep` (n,) or, by branch, (2, n); others get no weight."""
        return replace(self, outcomes=replace(self.outcomes, weight=self.outcomes.weight * keep))

    @property
    def counted(self) -> float:
        """Patients that count, each branch by its probability."""
        return float(self.outcomes.flat_weight.sum())

    def mean(self, values: np.ndarray) -> float:
        """Weighted mean of a number per patient, (n,) or (2, n); NaN values are left out."""
        weight = self.outcomes.flat_weight * np.isfinite(np.broadcast_to(values, (2, self.outcomes.n))).ravel()
        filled = np.nan_to_num(np.broadcast_to(values, (2, self.outcomes.n)), posinf=0.0, neginf=0.0).ravel()
        return float(np.sum(weight * filled) / np.sum(weight)) if np.sum(weight) > 0 else float("nan")

    def median(self, values: np.ndarray) -> float:
        """Weighted median of a number per patient, (n,) or (2, n); NaN values are left out."""
        spread = np.broadcast_to(values, (2, self.outcomes.n)).ravel()
        known = ~np.isnan(spread) & (self.outcomes.flat_weight > 0)
        return weighted_quantile(spread[known], 0.5, self.outcomes.flat_weight[known]) if known.any() else float("nan")


@dataclass(frozen=True)
class Measure:
    """A number read off a treated arm: its name, its unit, how it is read, and between what it can lie."""

    name: str
    unit: str
    read: Callable[[Treated], float]
    low: float = 0.0
    high: float = np.inf

    @property
    def label(self) -> str:
        """Name and unit, for the head of a table."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


def _percent(read: Callable[[Treated], float], name: str) -> Measure:
    return Measure(name, "%", lambda one: 100.0 * read(one), 0.0, 100.0)


def restricted_mean(months: float = RESTRICTED_MONTHS) -> Measure:
    """Restricted mean progression-free survival over so many months, from time zero of the arm."""

    def read(one: Treated) -> float:
        return one.outcomes.progression_free().restricted_mean(min(months, one.outcomes.visits.months))

    return Measure(f"restricted mean PFS to month {months:g}", "months", read, 0.0, months)


def progression_free_at(months: float) -> Measure:
    """Progression-free survival at so many months."""
    return _percent(lambda one: float(one.outcomes.progression_free().at(months)), f"PFS at {months:g} months")


def mrd_negative(limit: str = "1e-5") -> Measure:
    """Share whose tumour ever falls below the limit of residual disease."""
    return _percent(lambda one: one.outcomes.rate(one.outcomes.mrd_negative(limit)), f"MRD below {limit}")


def days_of_treatment(therapy: str) -> Measure:
    """Days on which a dose of a therapy is prescribed: the burden of taking it."""

    def read(one: Treated) -> float:
        return float(len({np.floor(dose.day) for dose in one.regimen.doses if dose.therapy == therapy}))

    return Measure(f"days with {therapy}", "days", read)


def alive_at(months: float) -> Measure:
    """Overall survival at so many months from time zero: death with or without progression (`overall_survival`)."""

    def read(one: Treated) -> float:
        outcomes = one.outcomes
        after = death_after_progression(
            one.patients, outcomes.progression(), outcomes.tumour_at_progression, one.people
        )  # fmt: skip
        return float(overall_survival(outcomes, after).at(min(months, outcomes.visits.months)))

    return _percent(read, f"overall survival at {months:g} months")


def _risk(probability: Callable[..., np.ndarray], name: str) -> Measure:
    return _percent(lambda one: one.mean(probability(one.patients, one.outcomes.c_max)), name)


RESPONSE = _percent(lambda one: one.outcomes.rate(one.outcomes.best >= PR), "overall response")
COMPLETE = _percent(lambda one: one.outcomes.complete_response_rate, "complete response")
MEDIAN_PFS = Measure("median PFS", "months", lambda one: one.outcomes.progression_free().median())
RESTRICTED_PFS = restricted_mean()
PFS_24 = progression_free_at(24.0)
MRD = mrd_negative()
PEAK = Measure("median peak of CAR-T cells", "cells/uL", lambda one: one.median(one.outcomes.c_max))
PERSISTENCE = Measure("median persistence of CAR-T cells", "days", lambda one: one.median(one.outcomes.persistence))
ALIVE_24 = alive_at(24.0)
SEVERE_CRS = _risk(severe_crs_probability, "severe CRS (grade 3 or more)")
CRS = _risk(crs_probability, "CRS of any grade")
ICANS = _risk(icans_probability, "ICANS of any grade")
SEVERE_ICANS = _risk(severe_icans_probability, "severe ICANS (grade 3 or more)")
TOXICITY = (CRS, SEVERE_CRS, ICANS, SEVERE_ICANS)
"""Risks that go with the peak of CAR-T cells (`model.toxicity`); nothing else is behind them."""
EFFICACY = (RESPONSE, COMPLETE, MEDIAN_PFS, PFS_24, RESTRICTED_PFS)
"""What a reader of a trial asks first."""
