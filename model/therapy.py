"""A therapy is one file: what it is, how it is given, its pharmacokinetics, and which processes it changes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..parameters.errors import FileError, unknown
from ..parameters.files import complain, read_toml, shipped
from ..parameters.parameter import Parameter, read_parameter

# Schema of a therapy file, and its validation.


Group = Literal[
    "CAR-T product", "bispecific antibody", "checkpoint inhibitor", "antibody-drug conjugate", "small molecule",
    "antibody", "transplant", "radiotherapy", "conditioning", "hypothetical",
]  # fmt: skip
Grade = Literal["calibrated", "informed by class", "assumed", "hypothetical"]
"""What the efficacy of a therapy rests on: its own trials, those of its class, reasoning alone, or an idea."""
Binder = Literal["murine", "camelid", "humanised", "human"]
Means = Literal["direct", "redirected", "conjugate", "linear_quadratic", "lymphocytes"]

GRADED = ("BCMA", "GPRC5D")
"""Antigens followed by classes of density, with clones that have lost them."""
FIXED = ("FcRH5", "CS1", "CD38", "CD19")
"""Antigens of which a fixed share of the tumour cells carries enough."""


PK_NEEDS = {
    "amount": ("half_life",),
    "one_compartment": ("clearance", "volume"),
    "one_compartment_oral": ("clearance", "volume", "k_absorption"),
    "one_compartment_absorbed": ("clearance", "volume", "k_absorption", "fraction_absorbed"),
    "two_compartment": ("clearance", "volume", "clearance_exchange", "volume_peripheral"),
    "two_compartment_absorbed": (
        "clearance", "volume", "clearance_exchange", "volume_peripheral", "k_absorption", "fraction_absorbed",
    ),
}  # fmt: skip
"""Numbers that each pharmacokinetic model needs."""

_ATTACK_NEEDS: dict[Means, tuple[set[str], set[str]]] = {  # what must be there, what may
    "direct": ({"k_kill", "half"}, {"sensitive", "resistant"}),
    "redirected": (
        {"k_kill", "half", "half_host"},
        {"half_density", "half_binding", "molar_mass", "sensitive", "resistant"},
    ),
    "conjugate": ({"k_kill", "half"}, {"half_density", "half_binding", "molar_mass", "sensitive", "resistant"}),
    "linear_quadratic": ({"linear", "quadratic", "half_life", "in_field"}, set()),
    "lymphocytes": ({"slope"}, set()),
}


class PkEntry(BaseModel):
    """The [pk] table."""

    model_config = ConfigDict(extra="forbid")
    model: str
    unit: str
    route: str = ""
    parameters: dict[str, str]


class EffectEntry(BaseModel):
    """An [[effect]]."""

    model_config = ConfigDict(extra="forbid")
    on: str
    form: Literal["exponential", "inhibition"]
    strength: list[str] = Field(min_length=1)
    half: str


class AttackEntry(BaseModel):
    """An [[attack]]."""

    model_config = ConfigDict(extra="forbid")
    means: Means
    antigens: list[str] = []
    numbers: dict[str, str]


class TherapyEntry(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    kind: Literal["car_t", "drug"]
    group: Group
    title: str = Field(min_length=1)
    meaning: str = Field(min_length=1)
    names: list[str] = []
    targets: list[str] = []
    binder: Binder | Literal[""] = ""
    dose_unit: str
    default_dose: float = Field(gt=0)
    dose_note: str = ""
    usual: str = ""
    grade: Grade
    grade_note: str = Field(min_length=1)
    evidence: list[str] = []
    fitted: list[str] = []
    limits: str = ""
    pk: PkEntry | None = None
    effect: list[EffectEntry] = []
    attack: list[AttackEntry] = []
    parameter: dict[str, dict[str, Any]] = {}


def read_entry(path: Path) -> TherapyEntry:
    """Read and check the file of a therapy."""
    try:
        entry = TherapyEntry.model_validate(read_toml(path))
    except ValidationError as error:
        raise complain(error, path.name, TherapyEntry.model_fields) from None
    _check_kind(entry, path.name)
    for antigen in entry.targets:
        _known_antigen(antigen, f"{path.name}, targets")
    _check_pk(entry.pk, path.name)
    for attack in entry.attack:
        _check_attack(attack, entry, path.name)
    for number in entry.fitted:
        if entry.kind == "car_t" and number not in entry.parameter:
            raise unknown("fitted number", number, entry.parameter, path.name)
    return entry


def _check_kind(entry: TherapyEntry, where: str) -> None:
    if entry.kind == "car_t":
        if entry.pk or entry.effect or entry.attack:
            raise FileError(f"{where}: a CAR-T product has cells and parameters, no [pk], [[effect]] or [[attack]].")
        if not entry.targets or not entry.binder:
            raise FileError(
                f"{where}: a CAR-T product needs its targets and its binder ({', '.join(get_args(Binder))})."
            )
    elif not entry.pk:
        raise FileError(f"{where}: a drug needs a [pk] table, or its doses could not reach anything.")
    elif not entry.effect and not entry.attack:
        raise FileError(f"{where}: a drug needs an [[effect]] or an [[attack]], or its doses would change nothing.")
    if len([attack for attack in entry.attack if attack.means != "lymphocytes"]) > 1:
        raise FileError(f"{where}: two [[attack]] on tumour cells; a drug kills them in one way, so make it two drugs.")


def _known_antigen(antigen: str, where: str) -> None:
    if antigen not in (*GRADED, *FIXED):
        raise unknown("antigen", antigen, (*GRADED, *FIXED), where)


def _check_pk(entry: PkEntry | None, where: str) -> None:
    if entry is None:
        return
    if entry.model not in PK_NEEDS:
        raise unknown("pharmacokinetic model", entry.model, PK_NEEDS, f"{where}, [pk]")
    for need in PK_NEEDS[entry.model]:
        if need not in entry.parameters:
            raise FileError(f"{where}, [pk]: model '{entry.model}' needs the name of its {need}.")
    for given in entry.parameters:
        if given not in PK_NEEDS[entry.model]:
            raise unknown("number", given, PK_NEEDS[entry.model], f"{where}, [pk], model '{entry.model}'")


def _check_attack(attack: AttackEntry, entry: TherapyEntry, file: str) -> None:
    where = f"{file}, [[attack]] '{attack.means}'"
    needed, possible = _ATTACK_NEEDS[attack.means]
    for antigen in attack.antigens:
        _known_antigen(antigen, where)
        if antigen not in entry.targets:
            raise FileError(f"{where}: attacks {antigen}, which does not stand among the targets {entry.targets}.")
    if attack.means in ("redirected", "conjugate") and not attack.antigens:
        raise FileError(f"{where}: needs the antigens through which it kills.")
    if attack.means not in ("redirected", "conjugate") and attack.antigens:
        raise FileError(f"{where}: needs no antigens; leave them out.")
    if any(antigen in GRADED for antigen in attack.antigens):
        needed = needed | {"half_density"}
    if "half_binding" in attack.numbers:
        needed = needed | {"molar_mass"}
    for role in sorted(needed - set(attack.numbers)):
        raise FileError(f"{where}: the name of its {role} is missing.")
    for role in attack.numbers:
        if role not in needed | possible:
            raise unknown("number", role, needed | possible, where)


_FOLDER = Path(__file__).parent / "therapies"


@dataclass(frozen=True)
class Pharmacokinetics:
    """Linear pharmacokinetics, solved in closed form (`pharmacokinetics.exponentials`).

    `names` maps what the model needs (clearance, volume, ...) to parameters of the catalogue. The level is a
    concentration, or the amount left in the body.
    """

    model: str
    quantity: str
    unit: str
    names: tuple[tuple[str, str], ...]
    route: str = ""


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
class Attack:
    """How a drug takes cells away (see `processes.attack`): the means, the antigens it needs, its numbers by role."""

    means: Means
    antigens: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...]

    def number(self, role: str) -> str:
        """Name of the parameter in a role; '' if the attack has none."""
        return dict(self.numbers).get(role, "")


@dataclass(frozen=True)
class Therapy:
    """A CAR-T product or a drug; `dose_unit` is that of its doses, `default_dose` the amount given by default.

    `usual` is its default regimen, in the words of `sentence`; `evidence` names the reported results that bear on it,
    and `fitted` the ids of the numbers that those decide.
    """

    key: str
    kind: str
    group: Group
    title: str
    meaning: str
    names: tuple[str, ...]
    targets: tuple[str, ...]
    binder: str
    dose_unit: str
    default_dose: float
    dose_note: str
    usual: str
    grade: Grade
    grade_note: str
    evidence: tuple[str, ...]
    fitted: tuple[str, ...]
    limits: str
    pk: Pharmacokinetics | None
    effects: tuple[Effect, ...]
    attacks: tuple[Attack, ...]
    parameters: tuple[Parameter, ...]

    @property
    def short(self) -> str:
        """Short name for axes and tables: 'ide-cel'."""
        return self.key.replace("_", "-")


def read_therapy(name: str, *, folder: Path = _FOLDER) -> Therapy:
    """Read a therapy by its key, or a user's own file when the name ends with .toml.

    Raises
    ------
    UnknownNameError
        If there is no therapy of that name (near matches are given).
    FileError
        If the file is malformed, incomplete or contradicts itself.
    """
    return _read(Path(name)) if str(name).endswith(".toml") else _read_once(name, folder)


@cache
def _read_once(name: str, folder: Path) -> Therapy:
    """Shipped files do not change while the program runs, and regimens ask for them at every dose."""
    return _read(shipped(folder, name, "therapy"))


def _read(path: Path) -> Therapy:
    entry, key = read_entry(path), path.stem
    owner = f"{key}." if entry.kind == "car_t" else ""  # a drug's numbers are shared values that carry its name
    parameters: list[Parameter] = []
    for number, values in entry.parameter.items():
        parameters.extend(read_parameter(f"{owner}{number}", values, path.name))
    fitted = tuple(f"{owner}{number}" for number in entry.fitted)
    return Therapy(
        key=key, kind=entry.kind, group=entry.group, title=entry.title, meaning=entry.meaning, names=tuple(entry.names),
        targets=tuple(entry.targets), binder=entry.binder, dose_unit=entry.dose_unit, default_dose=entry.default_dose,
        dose_note=entry.dose_note, usual=entry.usual, grade=entry.grade, grade_note=entry.grade_note,
        evidence=tuple(entry.evidence), fitted=fitted, limits=entry.limits, pk=_read_pk(entry.pk),
        effects=tuple(Effect(e.on, e.form, tuple(e.strength), e.half) for e in entry.effect),
        attacks=tuple(_read_attack(attack) for attack in entry.attack), parameters=tuple(parameters),
    )  # fmt: skip


def _read_pk(entry: PkEntry | None) -> Pharmacokinetics | None:
    if entry is None:
        return None
    quantity = "amount in the body" if entry.model == "amount" else "concentration"
    return Pharmacokinetics(entry.model, quantity, entry.unit, tuple(sorted(entry.parameters.items())), entry.route)


def _read_attack(entry: AttackEntry) -> Attack:
    return Attack(entry.means, tuple(entry.antigens), tuple(sorted(entry.numbers.items())))


@cache
def read_therapies(folder: Path = _FOLDER) -> tuple[Therapy, ...]:
    """Read every shipped therapy, in alphabetical order."""
    return tuple(read_therapy(path.stem, folder=folder) for path in sorted(folder.glob("*.toml")))


def parameters_of(therapies: Iterable[Therapy]) -> tuple[Parameter, ...]:
    """All parameters that therapies bring along."""
    return tuple(parameter for therapy in therapies for parameter in therapy.parameters)
