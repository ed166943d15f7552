"""What papers report: the evidence that perdure is fitted to and checked against.

One TOML file per trial arm or study in `evidence/`; one `[[item]]` per reported number, with its quote, its interval,
its number of patients and its origin. The role of an item says what is done with it: `fit` (in the joint fit), `check`
(computed and compared, never fitted), `waiting` (needs a therapy that is not built yet), `context` (background).
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..parameters.errors import EvidenceError, FileError, unknown
from ..parameters.files import complain, read_toml
from .treatment import Treatment

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
    "qualitative",  # no number; the finding stands in `note`
]
Role = Literal["fit", "check", "waiting", "context"]
TimeZero = Literal["first infusion", "randomisation", "apheresis", "start of therapy", "not stated"]

ROUNDING = 0.6
"""Largest difference, in percentage points, between a printed percentage and events / n (printed to whole percents)."""

_FOLDER = Path(__file__).parent / "evidence"
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
    ("qualitative", "-", "best_response car_expression antigen_shedding primary_endpoint risk_factors"),
)
ENDPOINTS = {
    name: (tuple(kinds.split()), tuple(units.split())) for kinds, units, names in _VOCABULARY for name in names.split()
}
"""Every endpoint with the kinds and the units in which it may be reported."""

_NEEDS = {  # kind: (fields that must be there, fields that must not)
    "proportion": ("value n", "threshold"),
    "rate": ("value time_months", "threshold"),
    "median": ("value", "threshold"),
    "median_not_reached": ("low", "value high threshold"),
    "split": ("threshold", "value low high"),
    "ceiling": ("threshold", "value low high"),
    "ratio": ("value", "threshold"),
    "range": ("", "value threshold"),
    "value": ("value", "threshold"),
    "qualitative": ("note", "value low high threshold"),
}

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_Key = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]*)?$")]
_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Item(BaseModel):
    """One reported result; numbers in `unit`, `time_months` since the time zero of its study."""

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
    group: str = ""
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

    def _printed(self, number: float | None) -> str:
        if number is None:
            return "NE"
        return f"{number:.1f}" if self.unit == "%" else f"{number:.6g}"


class Study(BaseModel):
    """One trial arm or study and everything that is taken from it."""

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
    items: tuple[Item, ...]


_STUDY_KEYS = (Study.model_fields.keys() - {"name", "items"}) | {"item"}


def read_study(path: Path | str) -> Study:
    """Read and check one evidence file.

    Raises
    ------
    FileError, EvidenceError, UnknownNameError
        With the file, the item, the value and what would be right.
    """
    path = Path(path)
    table = read_toml(path)
    for key in table:
        if key not in _STUDY_KEYS:
            raise unknown("key", key, _STUDY_KEYS, path.name)
    entries = table.pop("item", [])
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise FileError(f"{path.name}: item = {entries!r} is wrong: expected at least one [[item]] table.")
    try:
        read = tuple(_read_item(entry, number, path.name) for number, entry in enumerate(entries, start=1))
        study = Study(**table, name=path.stem, items=read)
    except ValidationError as error:
        raise complain(error, path.name, Study.model_fields) from None
    if study.product and (not study.population or study.visit_interval_days is None):
        raise EvidenceError(
            f"{path.name}: product = '{study.product}' is to be simulated, and population = '{study.population}', "
            f"visit_interval_days = {study.visit_interval_days}: give both."
        )
    for item in study.items:
        if item.role == "fit":
            _check_fit(item, study, f"{path.name}, item '{item.id}'")
    _check_unique([study])
    return study


def read_studies(folder: Path | str | None = None) -> tuple[Study, ...]:
    """Read every evidence file of a folder (the shipped ones by default), sorted by file name."""
    place = _FOLDER if folder is None else Path(folder)
    paths = sorted(place.glob("*.toml"))
    if not paths:
        raise FileError(f"{place}: holds no evidence; expected at least one .toml file.")
    studies = tuple(read_study(path) for path in paths)
    _check_unique(studies)
    return studies


def items(studies: Iterable[Study], role: str = "fit") -> tuple[tuple[Study, Item], ...]:
    """Pairs of (study, item) for every item with a role, in the order of the files."""
    if role not in get_args(Role):
        raise unknown("role", role, get_args(Role))
    return tuple((study, item) for study in studies for item in study.items if item.role == role)


def _read_item(entry: dict[str, Any], number: int, file: str) -> Item:
    where = f"{file}, item '{entry['id']}'" if "id" in entry else f"{file}, item number {number}"
    for key, choices in (("kind", get_args(Kind)), ("role", get_args(Role)), ("endpoint", ENDPOINTS)):
        if key in entry and str(entry[key]) not in choices:
            raise unknown(key, str(entry[key]), choices, where)
    try:
        item = Item(**entry)
    except ValidationError as error:
        raise complain(error, where, Item.model_fields) from None
    _check_kind(item, where)
    _check_numbers(item, where)
    return item


def _check_kind(item: Item, where: str) -> None:
    kinds, units = ENDPOINTS[item.endpoint]
    for field, found, allowed in (("kind", item.kind, kinds), ("unit", item.unit, units)):
        if found not in allowed:
            right = " or ".join(f"'{name}'" for name in allowed)
            raise EvidenceError(
                f"{where}: {field} = '{found}' does not go with endpoint '{item.endpoint}'; expected {right}."
            )
    wanted, unwanted = _NEEDS[item.kind]
    for field in wanted.split():
        if getattr(item, field) in (None, ""):
            hint = " (a percentage without its number of patients is kind = 'value')" if field == "n" else ""
            raise EvidenceError(f"{where}: kind = '{item.kind}' needs '{field}'{hint}.")
    for field in unwanted.split():
        if getattr(item, field) is not None:
            raise EvidenceError(
                f"{where}: {field} = {getattr(item, field):g} has no meaning for kind = '{item.kind}'; leave it out."
            )
    if item.kind == "range" and item.low is None and item.high is None:
        raise EvidenceError(f"{where}: kind = 'range' needs 'low' or 'high' or both.")


def _check_numbers(item: Item, where: str) -> None:
    top = 100.0 if item.unit == "%" else math.inf
    for field in ("value", "low", "high"):
        number = getattr(item, field)
        if number is not None and not 0.0 <= number <= top:
            raise EvidenceError(f"{where}: {field} = {number:g} {item.unit} is impossible; expected 0 to {top:g}.")
    low, high, value = item.low, item.high, item.value
    if (low is None and high is None) == bool(item.interval):
        raise EvidenceError(
            f"{where}: low = {low}, high = {high}, interval = '{item.interval}'; a bound and its name go together."
        )
    if low is not None and high is not None and low > high:
        raise EvidenceError(f"{where}: low = {low:g} is above high = {high:g}; exchange them.")
    if value is not None and not (low or 0.0) <= value <= (math.inf if high is None else high):
        raise EvidenceError(f"{where}: value = {value:g} lies outside its interval ({low} to {high}); one is misread.")
    if item.events is None:
        return
    if item.n is None or item.events > item.n:
        raise EvidenceError(f"{where}: events = {item.events} of n = {item.n}; expected n, and no more events than n.")
    percent = 100.0 * item.events / item.n
    if item.kind == "proportion" and value is not None and abs(percent - value) > ROUNDING:
        raise EvidenceError(
            f"{where}: value = {value:g} %, but {item.events} of {item.n} is {percent:.1f} %; one is misread."
        )


def _check_fit(item: Item, study: Study, where: str) -> None:
    for field in ("citation", "origin", "quote"):
        if not getattr(item, field):
            raise EvidenceError(f"{where}: {field} = '' and role = 'fit'; what is fitted needs its {field}.")
    if not study.product:
        raise EvidenceError(f"{where}: role = 'fit', and product = '' in the file; say which product to simulate.")
    if study.time_zero == "not stated":
        raise EvidenceError(f"{where}: role = 'fit', and time_zero = 'not stated' in the file; state or assume it.")
    if item.threshold is None and item.n is None and item.low is None and item.high is None:
        raise EvidenceError(f"{where}: n, low and high are missing and role = 'fit'; give n or an interval.")


def _check_unique(studies: Iterable[Study]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for study in studies:
        for item in study.items:
            place = f"{study.name}.toml, item '{item.id}'"
            for what, label in (("id", item.id), *(("row", row) for row in item.rows)):
                if (what, label) in seen:
                    raise EvidenceError(
                        f"{place}: {what} '{label}' is used already in {seen[what, label]}; each may be used once."
                    )
                seen[what, label] = place
