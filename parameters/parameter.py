"""One parameter with its unit, range, prior and source; declared once, used by simulation, fit and report."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import FileError, RangeError
from .files import complain
from .prior import Kind, Prior
from .source import check_source
from .units import convert, in_days, read_number

Grade = Literal["literature", "derived", "assumed", "calibrated"]


@dataclass(frozen=True)
class Parameter:
    """A number that the model uses.

    `id` is its full name in the catalogue: the plain name for a shared value, `name.spread` for the
    between-patient SD of its logarithm, `owner.name` for the value of a product or population,
    `owner.name.factor` and `owner.name.spread` for what a population changes.
    Value, low and high are in `unit`, whose time is in days. Of a number `of_product`, every CAR-T product in a
    patient has its own: a product's file may replace it.
    """

    id: str
    value: float
    unit: str
    low: float
    high: float
    meaning: str
    symbol: str
    source: str
    note: str
    grade: Grade
    quote: str = ""
    prior: Prior | None = None
    drawn_with: str = ""
    of_product: bool = False

    def with_value(self, value: object, grade: Grade | None = None) -> "Parameter":
        """Same parameter with another value (a number in its unit, or a text such as '3.5 L/hour').

        Raises
        ------
        RangeError
            If the value is not a finite number inside [low, high].
        UnitError
            If the unit does not fit.
        """
        number = read_number(value, self.unit, self.id)
        if not self.low <= number <= self.high:
            raise RangeError(f"{self.id}: {number:g} {self.unit} lies outside [{self.low:g}, {self.high:g}].")
        return replace(self, value=number, grade=grade or self.grade)


class _PriorEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    kind: Kind = "lognormal"
    sd: float = Field(gt=0)


class _Number(BaseModel):
    """What a set, population or therapy file may say of one number."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    value: float = Field(strict=True)  # strict: a text such as "1.2" or a true is not a number
    low: float = Field(strict=True)
    high: float = Field(strict=True)
    source: str
    unit: str = ""
    note: str = ""
    quote: str = ""
    grade: Literal["literature", "derived", "assumed"] = "assumed"
    prior: _PriorEntry | None = None
    symbol: str = ""
    meaning: str = ""
    drawn_with: str = ""
    of_product: bool = False
    spread: dict[str, Any] | None = None


def read_parameter(name: str, entry: dict[str, Any], where: str) -> tuple[Parameter, ...]:
    """Read one entry of a file: the parameter itself and, if the entry has a spread, that of its spread.

    Raises
    ------
    FileError, RangeError, UnitError, UnknownNameError
        If the entry is incomplete, has an unknown key, a wrong unit, an unknown source, or a value outside its range.
    """
    place = f"{where}, [{name}]"
    try:
        number = _Number.model_validate(entry)
    except ValidationError as error:
        raise complain(error, place, _Number.model_fields) from None
    check_source(number.source, number.note, place)
    unit = in_days(number.unit, place)
    value, low, high = (convert(x, number.unit, unit, place) for x in (number.value, number.low, number.high))
    if low > high:
        raise RangeError(f"{place}: low = {low:g} is above high = {high:g}.")
    if not low <= value <= high:
        raise RangeError(f"{place}: value = {value:g} {unit} lies outside [{low:g}, {high:g}].")
    grade = "assumed" if number.source == "assumed" else number.grade
    prior = _read_prior(number, value, low, place)
    own = Parameter(
        name, value, unit, low, high, number.meaning, number.symbol, number.source, number.note, grade, number.quote,
        prior, number.drawn_with, number.of_product,
    )  # fmt: skip
    if number.spread is None:
        return (own,)
    entry = {"low": 0.0, "high": 3.0, "meaning": f"between-patient SD of ln {name}", **number.spread}
    entry.setdefault("symbol", f"\\omega_{{{number.symbol or name}}}")
    return (own, *read_parameter(f"{name}.spread", entry, where))


def _read_prior(number: _Number, value: float, low: float, place: str) -> Prior | None:
    if number.prior is None:
        return None
    if number.prior.kind == "lognormal" and value <= 0:
        raise FileError(f"{place}: a lognormal prior needs a positive value, not {value:g}.")
    if number.prior.kind == "logitnormal" and not 0 < value < 1:
        raise FileError(f"{place}: a logitnormal prior needs a value between 0 and 1, not {value:g} (low = {low:g}).")
    return Prior(number.prior.kind, value, number.prior.sd)
