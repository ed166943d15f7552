"""A therapy is one file: what it is, how it is given, its pharmacokinetics, and which processes it changes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..parameters.errors import FileError
from ..parameters.files import complain, read_toml, shipped
from ..parameters.parameter import Parameter, read_parameter

_FOLDER = Path(__file__).parent / "therapies"


@dataclass(frozen=True)
class Pharmacokinetics:
    """Linear pharmacokinetics, solved in closed form.

    `model` is 'one_compartment_oral' (clearance, volume, k_absorption; a concentration) or 'amount' (half_life;
    the amount left in the body). `names` maps each of these to a parameter of the catalogue.
    """

    model: str
    quantity: str
    unit: str
    names: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Effect:
    """What a drug does to one process.

    The process is multiplied by exp(s C / (half + C)) ('exponential') or by 1 - s C / (half + C) ('inhibition'),
    where s is the product of the `strength` parameters.
    """

    on: str
    form: str
    strength: tuple[str, ...]
    half: str


@dataclass(frozen=True)
class Therapy:
    """A CAR-T product or a drug; `dose_unit` is that of its doses, `default_dose` the amount given by default."""

    key: str
    kind: str
    title: str
    meaning: str
    target: str
    dose_unit: str
    default_dose: float
    dose_note: str
    pk: Pharmacokinetics | None
    effects: tuple[Effect, ...]
    parameters: tuple[Parameter, ...]

    @property
    def short(self) -> str:
        """Short name for axes and tables: 'ide-cel'."""
        return self.key.replace("_", "-")


_PK_NEEDS = {"one_compartment_oral": ("clearance", "volume", "k_absorption"), "amount": ("half_life",)}


class _Pk(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model: Literal["one_compartment_oral", "amount"]
    unit: str
    parameters: dict[str, str]


class _Effect(BaseModel):
    model_config = ConfigDict(extra="forbid")
    on: str
    form: Literal["exponential", "inhibition"]
    strength: list[str] = Field(min_length=1)
    half: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    kind: Literal["car_t", "drug"]
    title: str
    meaning: str
    target: str = ""
    dose_unit: str
    default_dose: float = Field(gt=0)
    dose_note: str = ""
    pk: _Pk | None = None
    effect: list[_Effect] = []
    parameter: dict[str, dict[str, Any]] = {}


def read_therapy(name: str, *, folder: Path = _FOLDER) -> Therapy:
    """Read a therapy by its key, or a user's own file when the name ends with .toml.

    Raises
    ------
    UnknownNameError
        If there is no therapy of that name (near matches are given).
    FileError
        If the file is malformed, incomplete or contradicts itself.
    """
    path = shipped(folder, name, "therapy")
    return _read(path) if str(name).endswith(".toml") else _read_once(path)


@cache
def _read_once(path: Path) -> Therapy:
    """Shipped files do not change while the program runs, and regimens ask for them at every dose."""
    return _read(path)


def _read(path: Path) -> Therapy:
    try:
        entry = _File.model_validate(read_toml(path))
    except ValidationError as error:
        raise complain(error, path.name, _File.model_fields) from None
    key = path.stem
    if entry.kind == "car_t" and (entry.pk or entry.effect):
        raise FileError(f"{path.name}: a CAR-T product has cells and parameters, no [pk] and no [[effect]].")
    if entry.kind == "drug" and not entry.pk:
        raise FileError(f"{path.name}: a drug needs a [pk] table, or its doses could not reach anything.")
    owner = f"{key}." if entry.kind == "car_t" else ""  # a drug's numbers are shared values that carry its name
    parameters: list[Parameter] = []
    for number, values in entry.parameter.items():
        parameters.extend(read_parameter(f"{owner}{number}", values, path.name))
    return Therapy(
        key=key, kind=entry.kind, title=entry.title, meaning=entry.meaning, target=entry.target,
        dose_unit=entry.dose_unit, default_dose=entry.default_dose, dose_note=entry.dose_note,
        pk=_read_pk(entry.pk, path.name),
        effects=tuple(Effect(e.on, e.form, tuple(e.strength), e.half) for e in entry.effect),
        parameters=tuple(parameters),
    )  # fmt: skip


def _read_pk(entry: _Pk | None, where: str) -> Pharmacokinetics | None:
    if entry is None:
        return None
    for need in _PK_NEEDS[entry.model]:
        if need not in entry.parameters:
            raise FileError(f"{where}, [pk]: model '{entry.model}' needs the name of its {need}.")
    quantity = "amount in the body" if entry.model == "amount" else "concentration"
    return Pharmacokinetics(entry.model, quantity, entry.unit, tuple(sorted(entry.parameters.items())))


@cache
def read_therapies(folder: Path = _FOLDER) -> tuple[Therapy, ...]:
    """Read every shipped therapy, in alphabetical order."""
    return tuple(read_therapy(path.stem, folder=folder) for path in sorted(folder.glob("*.toml")))


def parameters_of(therapies: Iterable[Therapy]) -> tuple[Parameter, ...]:
    """All parameters that therapies bring along."""
    return tuple(parameter for therapy in therapies for parameter in therapy.parameters)
