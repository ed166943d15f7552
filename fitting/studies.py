"""Evidence: the reported results that perdure is calibrated to and checked against.

One TOML file per trial arm or study in `evidence/`; one `[[item]]` per reported number, with its quote, its interval,
its number of patients and its origin. The role of an item says what is done with it: `fit` (in the joint fit),
`outcome` (decides the models of death and toxicity, after that fit), `check` (computed and compared, never fitted),
`context` (background). A result about a sequence of therapies names its `scenario`. Items of one `conflict` contradict
each other: all are kept, with weights that widen them. A `[[curve]]` is a whole Kaplan-Meier curve as read off its
picture; it becomes one item per interval (`km_reconstruction.py`).
"""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from ..parameters.errors import EvidenceError, FileError, unknown
from ..parameters.files import complain, read_toml
from .calibration.likelihood import UNKNOWN_N, log_error
from .km_reconstruction import check_counted_once, intervals, read_curve
from .observations import ENDPOINTS, Kind, Observation, Role, Scenario, Study

# Conflicting reports: all are kept, and down-weighted until they agree.
#
# Items of one `conflict` are scored with the weight 1 / R^2, R being the Birge ratio of the group (Birge 1932, The
# calculation of errors by the method of least squares): chi-square of the group about its common value, over its
# degrees of freedom, never below 1. A log-likelihood times 1 / R^2 is that of errors R times as wide. Reports of the
# very same patients also share one weight between them.


def in_conflict(studies: Iterable[Study]) -> dict[str, tuple[Observation, ...]]:
    """Items by the name of their conflict."""
    conflicts: dict[str, list[Observation]] = {}
    for study in studies:
        for item in study.items:
            if item.conflict:
                conflicts.setdefault(item.conflict, []).append(item)
    return {name: tuple(items) for name, items in conflicts.items()}


def birge_weight(items: Sequence[Observation], *, same_patients: bool) -> float:
    """Weight of every item of a conflict: percentages with a pooled binomial error, medians on the log scale."""
    values = np.array([item.value or 0.0 for item in items])
    if items[0].unit == "%":
        n = np.array([item.n or UNKNOWN_N for item in items], dtype=float)
        share = float(n @ values / n.sum()) / 100.0
        places, errors = values / 100.0, np.sqrt(share * (1.0 - share) / n)
    else:
        places, errors = np.log(values), np.array([log_error(item, above=True) for item in items])
    common = np.average(places, weights=errors**-2.0)
    chi_square = float(np.sum(((places - common) / errors) ** 2))
    return 1.0 / max(1.0, chi_square / (len(items) - 1)) / (len(items) if same_patients else 1)


ROUNDING = 0.6
"""Largest difference, in percentage points, between a printed percentage and events / n (printed to whole percents)."""

_FOLDER = Path(__file__).parent / "evidence"
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
    "direction": ("sense", "value low high threshold"),
    "qualitative": ("note", "value low high threshold"),
}

_STUDY_KEYS = (Study.model_fields.keys() - {"name", "items", "curves", "scenarios"}) | {"item", "curve", "scenario"}


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
    entries, curves = (_entries(table, key, path.name) for key in ("item", "curve"))
    if not entries and not curves:
        raise FileError(f"{path.name}: item = [] is wrong: expected at least one [[item]] or [[curve]] table.")
    try:
        read = tuple(_read_item(entry, number, path.name) for number, entry in enumerate(entries, start=1))
        drawn = tuple(read_curve(entry, number, path.name) for number, entry in enumerate(curves, start=1))
        scenarios = tuple(Scenario.model_validate(entry) for entry in table.pop("scenario", []))
        study = Study(**table, name=path.stem, items=read, curves=drawn, scenarios=scenarios)
    except ValidationError as error:
        raise complain(error, path.name, Study.model_fields) from None
    if study.product and (not study.population or study.visit_interval_days is None):
        raise EvidenceError(
            f"{path.name}: product = '{study.product}' is to be simulated, and population = '{study.population}', "
            f"visit_interval_days = {study.visit_interval_days}: give both."
        )
    study = _with_intervals(study, path.name)
    for item in study.items:
        if item.role == "fit":
            _check_fit(item, study, f"{path.name}, item '{item.id}'")
        if item.scenario:
            study.scenario(item.scenario)
    _check_unique([study])
    return study


def read_studies(folder: Path | str | None = None) -> tuple[Study, ...]:
    """Read every evidence file of a folder, sorted by file name.

    Parameters
    ----------
    folder
        Holds a TOML file for each trial arm or study; the shipped evidence by default.

    Returns
    -------
    tuple of Study
        With its `items`: reported values, each with unit, interval, number of patients, quote and role.

    Raises
    ------
    FileError
        If the folder holds no evidence, or a file is malformed.
    EvidenceError
        If a reported result cannot be right, or is there twice.
    UnknownNameError
        If a key, a kind or an endpoint is not known.

    Examples
    --------
    >>> from perdure import read_studies
    >>> karmma = next(study for study in read_studies() if study.name == "karmma")
    >>> karmma.items[0].endpoint, karmma.items[0].text
    ('orr', '73.4 %')
    """
    return _read_folder(Path(folder)) if folder is not None else _shipped_once()


@cache
def _shipped_once() -> tuple[Study, ...]:
    """Shipped files do not change while the program runs; a user's own may."""
    return _read_folder(_FOLDER)


def _read_folder(place: Path) -> tuple[Study, ...]:
    paths = sorted(place.glob("*.toml"))
    if not paths:
        raise FileError(f"{place}: holds no evidence; expected at least one .toml file.")
    studies = tuple(read_study(path) for path in paths)
    _check_unique(studies)
    return studies


def items(studies: Iterable[Study], role: str = "fit") -> tuple[tuple[Study, Observation], ...]:
    """Pairs of (study, item) for every item with a role, in the order of the files."""
    if role not in get_args(Role):
        raise unknown("role", role, get_args(Role))
    return tuple((study, item) for study in studies for item in study.items if item.role == role)


def _entries(table: dict[str, Any], key: str, file: str) -> list[dict[str, Any]]:
    """The tables [[key]] of a file, taken out of it."""
    entries = table.pop(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FileError(f"{file}: {key} = {entries!r} is wrong: expected [[{key}]] tables.")
    return entries


def _with_intervals(study: Study, file: str) -> Study:
    """The study with the intervals of its curves behind its items."""
    _check_unique([study])
    made = {}
    for curve in study.curves:
        scenario = study.scenario(curve.scenario) if curve.scenario else None
        made[curve.id] = intervals(curve, f"{file}, curve '{curve.id}'", scenario)
    check_counted_once(made, study.items, file)
    return study.model_copy(update={"items": (*study.items, *(item for own in made.values() for item in own))})


def _read_item(entry: dict[str, Any], number: int, file: str) -> Observation:
    where = f"{file}, item '{entry['id']}'" if "id" in entry else f"{file}, item number {number}"
    for key, choices in (("kind", get_args(Kind)), ("role", get_args(Role)), ("endpoint", ENDPOINTS)):
        if key in entry and str(entry[key]) not in choices:
            raise unknown(key, str(entry[key]), choices, where)
    try:
        item = Observation(**entry)
    except ValidationError as error:
        raise complain(error, where, Observation.model_fields) from None
    _check_kind(item, where)
    _check_numbers(item, where)
    return item


def _check_kind(item: Observation, where: str) -> None:
    kinds, units = ENDPOINTS[item.endpoint]
    for field, value, allowed in (("kind", item.kind, kinds), ("unit", item.unit, units)):
        if value not in allowed:
            right = " or ".join(f"'{name}'" for name in allowed)
            raise EvidenceError(
                f"{where}: {field} = '{value}' does not go with endpoint '{item.endpoint}'; expected {right}."
            )
    if item.from_months is not None:
        raise EvidenceError(f"{where}: from_months = {item.from_months:g} belongs to the intervals of a [[curve]].")
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


def _check_numbers(item: Observation, where: str) -> None:
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


def _check_fit(item: Observation, study: Study, where: str) -> None:
    for field in ("citation", "origin", "quote"):
        if not getattr(item, field):
            raise EvidenceError(f"{where}: {field} = '' and role = 'fit'; what is fitted needs its {field}.")
    if not study.product and not item.scenario:
        raise EvidenceError(f"{where}: role = 'fit', and product = '' in the file; say which product to simulate.")
    if study.time_zero == "not stated":
        raise EvidenceError(f"{where}: role = 'fit', and time_zero = 'not stated' in the file; state or assume it.")
    unweighed = item.threshold is None and item.n is None and item.low is None and item.high is None
    if unweighed and item.kind != "value":  # a percentage without its number of patients is scored as of ten
        raise EvidenceError(f"{where}: n, low and high are missing and role = 'fit'; give n or an interval.")


def _check_unique(studies: Iterable[Study]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for study in studies:
        labels = [(f"curve '{curve.id}'", "id", curve.id) for curve in study.curves]
        for item in study.items:
            labels += [(f"item '{item.id}'", "id", item.id), *((f"item '{item.id}'", "row", row) for row in item.rows)]
        for entry, what, label in labels:
            if (what, label) in seen:
                raise EvidenceError(
                    f"{study.name}.toml, {entry}: {what} '{label}' is used already in {seen[what, label]}; "
                    "each may be used once."
                )
            seen[what, label] = f"{study.name}.toml, {entry}"
