"""A therapy is one file: what it is, how it is given, its pharmacokinetics, and which processes it changes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..parameters.files import shipped
from ..parameters.parameter import Parameter, read_parameter
from .therapy_file import AttackEntry, Grade, Group, Means, PkEntry, read_entry

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
