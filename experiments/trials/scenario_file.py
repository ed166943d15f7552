"""What stands in a scenario file (TOML), before it is understood: keys, kinds of values, nothing that is not known."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perdure.parameters.errors import FileError, unknown
from perdure.parameters.files import complain, read_toml

Entry = TypeVar("Entry", bound=BaseModel)
KEYS = ("title", "population", "arm", "trial")


class _Strict(BaseModel):
    # "300" is not a number of patients, and true is not 1
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ArmEntry(_Strict):
    """An [[arm]]."""

    name: str = Field(min_length=1)
    given: str = Field(min_length=1)
    population: str = ""
    share: float = 1.0


class EligibleEntry(_Strict):
    """A [[trial.eligible]]."""

    what: str
    above: float | None = None
    below: float | str | None = None
    at_least: str | None = None


class StratumEntry(_Strict):
    """A [[trial.stratum]]."""

    what: str
    cut: float | str


class TrialEntry(_Strict):
    """The [trial] without its criteria and factors."""

    time_zero: str
    randomised_on_day: float | None = None
    patients: int
    accrual_months: float
    follow_up_months: float
    dropout_per_year: float = 0.0
    visit_days: float = 28.0
    endpoint: str
    test: str = ""
    restricted_months: float | None = None
    alpha: float = 0.05
    power: float = 0.8
    not_infused: float = 0.0
    not_infused_source: str = "assumed"


class ScenarioEntry(BaseModel):
    """The whole file; `trial` is None if the file only compares arms."""

    title: str
    population: str
    arms: list[ArmEntry]
    trial: TrialEntry | None
    eligible: list[EligibleEntry]
    strata: list[StratumEntry]


def read_entry(path: Path) -> ScenarioEntry:
    """Read the file and check its form.

    Raises
    ------
    FileError, UnknownNameError
        If it is missing or malformed, a key is unknown or missing, or a value is of the wrong kind.
    """
    table, where = read_toml(path), path.name
    for key in table:
        if key not in KEYS:
            raise unknown("key", key, KEYS, where)
    title = table.get("title", "")
    population = table.get("population", "")
    for key, value in (("title", title), ("population", population)):
        if not isinstance(value, str):
            raise FileError(f"{where}: {key} = {value!r}; give a text in quotes.")
    arms = [_read(ArmEntry, one, f"{where}, [[arm]] {k}") for k, one in enumerate(_tables(table, "arm", where), 1)]
    if "trial" not in table:
        return ScenarioEntry(title=title, population=population, arms=arms, trial=None, eligible=[], strata=[])
    trial = table["trial"]
    if not isinstance(trial, Mapping):
        raise FileError(f"{where}: trial = {trial!r}; write a table, [trial].")
    parts = {"eligible", "stratum"}
    plain = {key: value for key, value in trial.items() if key not in parts}
    return ScenarioEntry(
        title=title,
        population=population,
        arms=arms,
        trial=_read(TrialEntry, plain, f"{where}, [trial]", parts),
        eligible=[
            _read(EligibleEntry, one, f"{where}, [[trial.eligible]]") for one in _tables(trial, "eligible", where)
        ],
        strata=[_read(StratumEntry, one, f"{where}, [[trial.stratum]]") for one in _tables(trial, "stratum", where)],
    )


def _tables(table: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        name = key if key == "arm" else f"trial.{key}"
        raise FileError(f"{where}: {name} = {found!r:.60}; write it as [[{name}]], once for each.")
    return found


def _read(kind: type[Entry], table: Mapping[str, Any], where: str, more: Collection[str] = ()) -> Entry:
    try:
        return kind.model_validate(dict(table))
    except ValidationError as error:
        raise complain(error, where, {**kind.model_fields, **dict.fromkeys(more)}) from None
