"""Observations: reported results and the studies that they come from."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..model.processes.tumour import burden_untreated
from ..model.regimens.regimen import Regimen, give, infuse
from ..parameters.errors import EvidenceError, unknown

# Treatment of a study, as far as it differs from the product given alone at its usual dose.


class Treatment(BaseModel):
    """One way of treating within a study; `share` is its number of patients, so several are mixed in proportion."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    share: Annotated[float, Field(gt=0)] = 1.0
    cells: Annotated[float, Field(gt=0)] | None = None
    split: Annotated[tuple[float, ...], Field(strict=False)] = (1.0,)
    split_every_days: Annotated[float, Field(gt=0)] = 1.0
    drug: str = ""
    amount: str = ""
    start_day: float = 0.0
    months: Annotated[float, Field(gt=0)] | None = None
    cycle_days: Annotated[float, Field(gt=0)] | None = None
    days_on: Annotated[float, Field(gt=0)] | None = None
    note: str = ""

    def regimen(self, product: str) -> Regimen:
        """The doses, for a product."""
        cells = infuse(product, self.cells, split=self.split, every=self.split_every_days)
        if not self.drug:
            return cells
        return cells + give(
            self.drug, self.amount or None, start=self.start_day, months=self.months, cycle=self.cycle_days,
            days_on=self.days_on,
        )  # fmt: skip


# Scenario of a result about a sequence of therapies: a plan in words, and the patients.


_Positive = Annotated[float, Field(gt=0)]


class Selection(BaseModel):
    """Patients who were chosen by something: the highest or lowest `share` of them by a number of theirs.

    `by` is a parameter of the patients, or 'burden_at_infusion': the tumour after growing untreated for `wait_days`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    by: str
    side: Literal["high", "low"]
    share: Annotated[float, Field(gt=0, lt=1)]
    wait_days: Annotated[float, Field(ge=0)] = 0.0

    def chosen(self, patients: dict[str, np.ndarray], where: str) -> np.ndarray:
        """Which patients they are: array (n,) of yes or no."""
        if self.by == "burden_at_infusion":
            value = burden_untreated(patients, self.wait_days)
        elif self.by in patients:
            value = patients[self.by]
        else:
            raise EvidenceError(f"{where}: selects by '{self.by}', which no patient has; give the name of a parameter.")
        border = np.quantile(value, 1.0 - self.share if self.side == "high" else self.share)
        return value >= border if self.side == "high" else value <= border


class Scenario(BaseModel):
    """A plan, the line of it that the results are about, and the patients.

    Attributes
    ----------
    plan
        In the words of `model.regimens.sentence`.
    line
        The line that is reported, 1 being that of day 0.
    traits
        Numbers that all of its patients have, by name: `{ sensitive_braf_inhibitor = 1.0 }` where only carriers were
        treated, `{ fraction_lymphodepletion = 0.6 }` for incomplete lymphodepletion.
    against
        For a result that compares: the scenario of the same study that it is compared with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    plan: Annotated[str, Field(min_length=1)]
    line: Annotated[int, Field(ge=1)] = 1
    population: str
    visit_interval_days: _Positive = 28.0
    months: _Positive | None = None
    traits: dict[str, float] = {}
    select: Selection | None = None
    against: str = ""
    note: str = ""


Kind = Literal[
    "proportion",  # events of n patients, in percent
    "rate",  # Kaplan-Meier estimate at `time_months`, in percent
    "median",
    "median_not_reached",  # the median lies beyond `low`
    "split",  # `threshold` parts the patients into two groups with different outcomes
    "ceiling",  # an effect is lost below `threshold`
    "ratio",  # relative to another value: a baseline, a control arm
    "range",  # printed without a central value: between `low` and `high`, or beyond the one that is given
    "value",  # a single number, or a percentage whose number of patients is not reported
    "direction",  # whether one scenario has more ('more') or less ('less') of something than another
    "qualitative",  # no number; the finding stands in `note`
]
Role = Literal["fit", "outcome", "check", "context"]
TimeZero = Literal["first infusion", "randomisation", "apheresis", "start of therapy", "not stated"]

_PERCENTAGES = "proportion value range"
_VOCABULARY = (  # kinds, units, endpoints
    (_PERCENTAGES, "%", "orr cr_rate scr_rate mrd_negative_rate mrd_negative_cr_rate stable_disease_rate relapse_rate"),
    (_PERCENTAGES, "%", "progressive_disease_rate deeper_response_rate progression_or_death_rate survey_rate"),
    (_PERCENTAGES, "%", "primary_resistance_rate penta_refractory_rate anti_drug_antibody_rate antigen_positive_rate"),
    (_PERCENTAGES, "%", "crs_rate severe_crs_rate icans_rate severe_icans_rate fast_doubling_rate"),
    (_PERCENTAGES, "%", "graft_versus_host_rate light_chain_reduction"),
    ("rate", "%", "pfs_rate os_rate"),
    ("median median_not_reached", "months", "pfs_median dor_median os_median"),
    ("median", "months days", "followup_median"),
    ("value range", "months days years", "response_duration time_to_response treatment_duration"),
    ("median", "days", "persistence_median"),
    ("median", "day", "t_max t_last t_below_limit"),
    ("median", "molecules/cell", "density_all density_before density_at_progression"),
    ("ceiling", "molecules/cell", "function_threshold"),
    ("split", "cells/mm3", "expansion_split"),
    ("ratio", "ratio", "sbcma_relative hazard_ratio"),
    ("median value", "ng/mL", "sbcma_level"),
    ("value range", "hours days", "half_life manufacture_time"),
    ("value", "days", "start_day dosing_days_per_cycle"),
    ("value", "mg/day", "dose"),
    ("median", "lines", "prior_lines"),
    ("value", "patients", "cohort_size responders"),
    ("value", "cases/year", "new_cases"),
    ("value", "count", "products_approved"),
    ("direction", "-", "c_max response depth"),
    ("qualitative", "-", "best_response car_expression antigen_shedding primary_endpoint risk_factors"),
)
ENDPOINTS = {
    name: (tuple(kinds.split()), tuple(units.split())) for kinds, units, names in _VOCABULARY for name in names.split()
}
"""Every endpoint with the kinds and the units in which it may be reported."""

RESPONSE_MONTHS = 3.0
"""From infusion to the response with which its duration begins, when follow-up is planned: assumed, more than usual."""

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_Key = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]*)?$")]
_Count = Annotated[int, Field(ge=1)]
_Pair = Annotated[tuple[float, float], Field(strict=False)]
_Reading = Annotated[tuple[_Pair, ...], Field(strict=False)]
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Observation(BaseModel):
    """One reported result; numbers in `unit`, `time_months` since the time zero of its study.

    An interval of a curve (endpoint 'pfs_interval' or 'dor_interval', made by `curve.py`) has `from_months` too: of the
    `n` without an event by then, `events` were still without one at `time_months`.
    """

    model_config = _STRICT

    id: _Name
    rows: Annotated[tuple[str, ...], Field(strict=False)] = ()
    endpoint: str
    kind: Kind
    value: float | None = None
    unit: str
    low: float | None = None
    high: float | None = None
    interval: str = ""
    n: _Count | None = None
    events: Annotated[int, Field(ge=0)] | None = None
    time_months: _Positive | None = None
    from_months: Annotated[float, Field(ge=0)] | None = None
    group: str = ""
    scenario: _Key = ""
    sense: Literal["", "more", "less"] = ""
    conflict: _Key = ""
    threshold: _Positive | None = None
    role: Role
    weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    citation: str = ""
    origin: str = ""
    quote: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """The reported value with its interval, as tables print it: '21.0 % (12.2-31.4)'."""
        unit = "" if self.unit in ("ratio", "-") else f" {self.unit}"
        if self.kind == "qualitative":
            return self.note
        if self.kind == "direction":
            return self.sense
        if self.kind == "median_not_reached":
            return f"not reached (> {self._printed(self.low)}{unit})"
        if self.kind in ("split", "ceiling"):
            return f"{'split at' if self.kind == 'split' else 'lost below'} {self._printed(self.threshold)}{unit}"
        if self.kind == "range":
            if self.low is None or self.high is None:
                return (f"< {self._printed(self.high)}" if self.low is None else f"> {self._printed(self.low)}") + unit
            return f"{self._printed(self.low)}-{self._printed(self.high)}{unit}"
        name = "" if self.interval == "95% CI" else f"{self.interval} "
        bounds = f" ({name}{self._printed(self.low)}-{self._printed(self.high)})" if self.interval else ""
        return f"{self._printed(self.value)}{unit}{bounds}"

    @property
    def reach_months(self) -> float:
        """Follow-up from infusion that an interval of a curve asks for, in months; 0 for any other result."""
        if self.from_months is None or self.time_months is None:
            return 0.0
        return self.time_months + (RESPONSE_MONTHS if self.endpoint.startswith("dor") else 0.0)

    def _printed(self, number: float | None) -> str:
        if number is None:
            return "NE"
        return f"{number:.1f}" if self.unit == "%" else f"{number:.6g}"


class Curve(BaseModel):
    """A whole Kaplan-Meier curve as read off its picture.

    `points` are (months, percent), `at_risk` (months, number) from the table below the picture, from month 0 on;
    `events` is the total number of events, if it was reported.
    """

    model_config = _STRICT

    id: _Name
    rows: Annotated[tuple[str, ...], Field(strict=False)] = ()
    endpoint: Literal["pfs", "dor"]
    points: _Reading
    at_risk: _Reading
    events: Annotated[int, Field(ge=0)] | None = None
    group: str = ""
    scenario: _Key = ""
    role: Role
    weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    citation: str = ""
    origin: str = ""
    quote: str = ""
    note: str = ""


class Study(BaseModel):
    """One trial arm or study and everything that is taken from it; `items` holds the intervals of its `curves` too."""

    model_config = _STRICT

    name: _Name
    study: Annotated[str, Field(min_length=1)]
    title: Annotated[str, Field(min_length=1)]
    registration: str = ""
    time_zero: TimeZero
    time_zero_note: str = ""
    product: _Key = ""
    population: _Key = ""
    visit_interval_days: _Positive | None = None
    visit_note: str = ""
    followup_months: _Positive | None = None
    n: _Count | None = None
    n_note: str = ""
    treatment: Annotated[tuple[Treatment, ...], Field(strict=False)] = ()
    scenarios: tuple[Scenario, ...] = ()
    items: tuple[Observation, ...]
    curves: tuple[Curve, ...] = ()

    def scenario(self, name: str) -> Scenario:
        """A scenario by name."""
        for scenario in self.scenarios:
            if scenario.name == name:
                return scenario
        raise unknown("scenario", name, (scenario.name for scenario in self.scenarios), f"{self.name}.toml")
