"""Arms in between two arms: some mechanisms as in the one, the others as in the other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..model.regimens.plan import Line, Plan
from ..model.regimens.regimen import Dose, Regimen
from ..model.therapy import Attack, Effect, Therapy, read_therapy
from ..parameters.errors import FileError, InputError, RegimenError
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw, make_patients
from .compare import Arm

# By which mechanism a therapy acts: every effect and attack of a drug, every number of a CAR-T product, has one.
#
# Seven mechanisms. Two of them have wider borders than their names. Engraftment (the dose of cells, and the share of it
# that engrafts) belongs to expansion, since what counts is how many cells begin to divide. Killing is what a CAR-T cell
# does at its fastest; which tumour cells it reaches is a matter of the antigen, and what a drug does to tumour cells
# itself is drug kill, by whatever means, the slowing of growth included.


ANTIGEN, EXPANSION, PERSISTENCE, EXHAUSTION = "antigen", "expansion", "persistence", "exhaustion"
KILLING, MICROENVIRONMENT, DRUG_KILL = "killing", "microenvironment", "drug kill"

MECHANISMS: Mapping[str, str] = {
    ANTIGEN: "which antigens are bound, at which density, and how much is shed",
    EXPANSION: "how many cells engraft, and how far they multiply",
    PERSISTENCE: "how long CAR-T cells last: memory, death, immunity and rejection",
    EXHAUSTION: "how fast T cells tire, recover, and tire for good",
    KILLING: "how fast a CAR-T cell kills what it reaches",
    MICROENVIRONMENT: "suppression of T cells by their surroundings",
    DRUG_KILL: "what a drug itself does to tumour cells",
}
"""Mechanisms in the order in which they are listed, with what each is about."""

OF_PROCESS: Mapping[str, str] = {
    "growth": DRUG_KILL,
    "expansion": EXPANSION,
    "exhaustion": EXHAUSTION,
    "recovery": EXHAUSTION,
    "terminal_exhaustion": EXHAUSTION,
    "suppression": MICROENVIRONMENT,
    "shedding": ANTIGEN,
}
"""Mechanism of each process that a drug may change (`model.processes.drugs.PROCESSES`)."""

OF_NUMBER: Mapping[str, str] = {
    "half_density_kill": ANTIGEN,
    "fraction_engrafted": EXPANSION,
    "k_expansion": EXPANSION,
    "car_t_capacity": EXPANSION,
    "fraction_fitness_lost": EXPANSION,
    "fraction_memory_product": PERSISTENCE,
    "k_memory_formation": PERSISTENCE,
    "k_death_memory": PERSISTENCE,
    "immunogenic": PERSISTENCE,
    "fraction_immunogenic": PERSISTENCE,
    "k_rejection_host": PERSISTENCE,
    "k_exhaustion": EXHAUSTION,
    "k_kill_max": KILLING,
}
"""Mechanism of each number that a CAR-T product has of its own (`of_product` in the catalogue)."""

NOTHING = 2.0**-500
"""A strength times this is no effect, to the bit; a power of two, so that it can be taken back without rounding."""
NEVER = 1e300
"""A level at half effect that is never approached."""


def of_effect(effect: Effect) -> str:
    """Mechanism of an effect."""
    return OF_PROCESS[effect.on]


def of_attack(therapy: Therapy, attack: Attack) -> str:
    """Mechanism of an attack.

    On tumour cells it is drug kill; an antibody that redirects the patient's T cells tires them by the same. On
    lymphocytes: conditioning makes room for cells to expand into; any other drug takes CAR-T cells away with the rest.
    """
    if attack.means != "lymphocytes":
        return DRUG_KILL
    return EXPANSION if therapy.group == "conditioning" else PERSISTENCE


def mechanisms_of(therapy: Therapy) -> tuple[str, ...]:
    """Mechanisms by which a drug acts, in the order of `MECHANISMS`; none for a CAR-T product, which has numbers."""
    mechanisms = {of_effect(effect) for effect in therapy.effects}
    mechanisms |= {of_attack(therapy, attack) for attack in therapy.attacks}
    return tuple(name for name in MECHANISMS if name in mechanisms)


def silenced(drug: Therapy, on: Collection[str], patients: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Numbers of a drug under which it acts by the mechanisms `on` and by no other: those that differ, arrays (n,).

    A strength of an effect that is off, or a rate of killing, becomes zero. Where a strength is shared with an effect
    that is on, it is made negligible, and the other factor of that effect as much larger: their product stays the same
    to the bit.

    Raises
    ------
    FileError
        If two effects of the drug share all of their numbers, so that no patient could have one without the other.
    """
    kept = [effect for effect in drug.effects if of_effect(effect) in on]
    still = [attack for attack in drug.attacks if of_attack(drug, attack) in on]
    held = {name for effect in kept for name in (*effect.strength, effect.half)}
    held |= {name for attack in still for _, name in attack.numbers}
    factors: dict[str, float] = {}
    changed: dict[str, np.ndarray] = {}
    for effect in drug.effects:
        if effect in kept:
            continue
        free = [name for name in effect.strength if name not in held]
        if free:
            changed[free[0]] = np.zeros_like(patients[free[0]])
        elif effect.strength[0] not in factors:
            _scale(drug, effect, kept, factors)
    for attack in drug.attacks:
        if attack not in still:
            changed |= _disarmed(drug, attack, held, patients)
    return changed | {name: patients[name] * factor for name, factor in factors.items()}


def _scale(drug: Therapy, off: Effect, kept: list[Effect], factors: dict[str, float]) -> None:
    """Make the first strength of `off` negligible, and make up for it in the effects that are kept."""
    shared = off.strength[0]
    factors[shared] = NOTHING
    for effect in (effect for effect in kept if shared in effect.strength):
        others = [other for other in drug.effects if other is not effect]
        private = [
            name for name in effect.strength if not any(name in (*other.strength, other.half) for other in others)
        ]
        if not private:
            raise FileError(
                f"{drug.key}.toml: its effects on {off.on} and {effect.on} have all of their numbers in common, and "
                "cannot be told apart; give one of them a weight of its own."
            )
        factors[private[0]] = factors.get(private[0], 1.0) / NOTHING


_RATES = {
    "direct": ("k_kill",),
    "conjugate": ("k_kill",),
    "redirected": ("k_kill",),
    "linear_quadratic": ("linear", "quadratic"),
    "lymphocytes": ("slope",),
}


def _disarmed(
    drug: Therapy, attack: Attack, held: set[str], patients: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Rates of zero. An antibody that redirects T cells does not bind either, so that it does not tire them."""
    names = [attack.number(role) for role in _RATES[attack.means]]
    for name in names:
        if name in held:
            raise FileError(f"{drug.key}.toml: {name} serves two mechanisms, which cannot be told apart.")
    changed = {name: np.zeros_like(patients[name]) for name in names}
    if attack.means == "redirected" and attack.number("half") not in held:
        changed[attack.number("half")] = np.full_like(patients[attack.number("half")], NEVER)
    return changed


Patients = Mapping[str, np.ndarray]


def pair_of(reference: Arm, other: Arm, parameters: ParameterSet, *, patients: int, seed: int) -> "Pair":
    """Two arms on the same virtual patients; what they differ in is looked up in these patients.

    Raises
    ------
    InputError
        If the arms differ in population, in when they are counted from, or in a number that has no mechanism.
    RegimenError
        If one arm has more courses of CAR-T cells than the other.
    """
    for what in ("population", "from_infusion"):
        first, second = getattr(reference, what), getattr(other, what)
        if first != second:
            raise InputError(
                f"'{reference.name}' and '{other.name}': {what} is {first} and {second}; it must be the same."
            )
    before, after = (len(arm.plan.first.courses) for arm in (reference, other))
    if before != after:
        raise RegimenError(
            f"'{reference.name}' has {before} courses of CAR-T cells and '{other.name}' has {after}; a difference is "
            "split by mechanism where every course has its counterpart."
        )
    people = draw(parameters, patients, seed)

    def of(arm: Arm) -> Patients:
        plan = Plan(arm.plan.lines[:1])
        values = dict(make_patients(parameters, people, product=plan.products, population=arm.population))
        return values | (dict(arm.change(values)) if arm.change else {})

    pair = Pair(reference, other, of(reference), of(other))
    homeless = sorted(name for name in pair.differing if _shared_name(name) not in OF_NUMBER)
    if homeless:
        raise InputError(
            f"'{reference.name}' and '{other.name}' differ in {', '.join(homeless)}, which belongs to no mechanism of "
            "a therapy; compare the arms as they are."
        )
    return pair


@dataclass(frozen=True, eq=False)
class Pair:
    """Two arms, with the numbers of the same virtual patients in each: arrays (n,) by name."""

    reference: Arm
    other: Arm
    patients: Patients
    patients_other: Patients

    @property
    def line(self) -> Line:
        """First line of the reference."""
        return self.reference.plan.lines[0]

    @property
    def line_other(self) -> Line:
        """First line of the other arm."""
        return self.other.plan.lines[0]

    @cached_property
    def differing(self) -> tuple[str, ...]:
        """Names of the numbers in which patients differ between the arms."""
        names = dict.fromkeys([*self.patients, *self.patients_other])
        return tuple(
            name
            for name in names
            if name not in self.patients
            or name not in self.patients_other
            or not np.array_equal(self.patients[name], self.patients_other[name])
        )

    @cached_property
    def from_car_t(self) -> tuple[str, ...]:
        """Mechanisms in which the cells differ: their antigens, their doses, their numbers."""
        mechanisms = {OF_NUMBER[_shared_name(name)] for name in self.differing}
        first, second = self.line.regimen, self.line_other.regimen
        targets, targets_other = (
            [read_therapy(key).targets for key in regimen.products] for regimen in (first, second)
        )
        if targets != targets_other:
            mechanisms.add(ANTIGEN)
        if [_amounts(doses) for doses in _courses(first)] != [_amounts(doses) for doses in _courses(second)]:
            mechanisms.add(EXPANSION)
        return tuple(name for name in MECHANISMS if name in mechanisms)

    @cached_property
    def drugs(self) -> dict[str, str]:
        """How every drug differs between the arms: 'same', 'reference' or 'other' (only there), or 'rescheduled'."""
        differences = {}
        for drug in sorted({*self.line.regimen.drugs, *self.line_other.regimen.drugs}):
            first, second = _given(self.line, drug), _given(self.line_other, drug)
            only = "reference" if not second[0] else "other" if not first[0] else "rescheduled"
            differences[drug] = "same" if first == second else only
        return differences

    @cached_property
    def rescheduled(self) -> tuple[str, ...]:
        """Drugs that both arms have, with different doses."""
        return tuple(drug for drug, how in self.drugs.items() if how == "rescheduled")

    @cached_property
    def of_rescheduled(self) -> frozenset[str]:
        """Mechanisms of these."""
        return frozenset(name for drug in self.rescheduled for name in mechanisms_of(read_therapy(drug)))

    @cached_property
    def mechanisms(self) -> tuple[str, ...]:
        """Mechanisms by which the arms differ, in the order of `MECHANISMS`."""
        mechanisms = {*self.from_car_t}
        for drug, how in self.drugs.items():
            mechanisms |= set(mechanisms_of(read_therapy(drug))) if how != "same" else set()
        return tuple(name for name in MECHANISMS if name in mechanisms)

    def hybrid(self, some: Collection[str]) -> Arm:
        """The arm in which these mechanisms are as in the other arm, and the rest as in the reference.

        A drug of which nothing is left is not given, so that with none or all of the mechanisms it is one of the arms.
        """
        acting = {}
        for drug, how in self.drugs.items():
            whole = mechanisms_of(read_therapy(drug))
            acts = {"same": whole, "reference": [name for name in whole if name not in some]}
            on = acts.get(how, [name for name in whole if name in some])
            acting[drug] = (self.line if how in ("same", "reference") else self.line_other, on)
        return self._arm(some, acting)

    def counterpart(self, some: Collection[str]) -> Arm:
        """The reference, with rescheduled drugs acting by these mechanisms only."""
        acting = {}
        for drug in self.line.regimen.drugs:
            whole = mechanisms_of(read_therapy(drug))
            again = drug in self.rescheduled
            acting[drug] = (self.line, [name for name in whole if name in some or not again])
        return self._arm((), acting)

    def _arm(self, some: Collection[str], acting: Mapping[str, tuple[Line, Collection[str]]]) -> Arm:
        acting = {drug: (line, on) for drug, (line, on) in acting.items() if on}
        doses = list(self._cells(some))
        for drug, (line, _) in acting.items():
            doses += _given(line, drug)[0]
        until = tuple(drug for drug, (line, _) in acting.items() if drug in line.until)
        numbers = {
            name: (self.patients_other if OF_NUMBER[_shared_name(name)] in some else self.patients)[name]
            for name in self.differing
        }
        if self.reference.change is not None:  # numbers that a thought experiment changes in both arms alike
            numbers = {name: numbers.get(name, values) for name, values in self.patients.items()}

        def change(patients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            changed = dict(numbers)
            for drug, (_, on) in acting.items():
                therapy = read_therapy(drug)
                if set(on) != set(mechanisms_of(therapy)):
                    changed |= silenced(therapy, on, {**patients, **numbers})
            return changed

        name = " + ".join(sorted(some)) or self.reference.name
        plan = Plan.of(Regimen(tuple(doses)), until=until)
        return replace(self.reference, name=name, given=plan, change=change)

    def _cells(self, some: Collection[str]) -> list[Dose]:
        """Infusions of cells: doses go with expansion; the product, which carries the antigens, with the antigen.

        If the antigen is the same in both arms the product has nothing to say but its binder, which tells whether the
        immunity against one course clears the next; it then goes with the first mechanism in which the cells differ.
        """
        carrier = ANTIGEN if ANTIGEN in self.from_car_t or not self.from_car_t else self.from_car_t[0]
        products = (self.line_other if carrier in some else self.line).regimen.products
        courses = _courses((self.line_other if EXPANSION in some else self.line).regimen)
        doses = [
            replace(dose, therapy=product) for product, course in zip(products, courses, strict=True) for dose in course
        ]
        if Regimen(tuple(doses)).products != products:
            raise RegimenError(
                f"'{self.reference.name}' and '{self.other.name}': their courses of CAR-T cells cannot be exchanged "
                "one for one; give both arms cells on the same days."
            )
        return doses


def _given(line: Line, drug: str) -> tuple[tuple[Dose, ...], bool]:
    """Doses of a drug in a line, and whether they end at progression."""
    return tuple(dose for dose in line.regimen.doses if dose.therapy == drug), drug in line.until


def _courses(regimen: Regimen) -> list[list[Dose]]:
    """Infusions of every course of CAR-T cells."""
    courses = []
    for product, first in regimen.courses:
        later = [day for key, day in regimen.courses if key == product and day > first]
        infusions = [d for d in regimen.doses if d.therapy == product and first <= d.day < min(later, default=np.inf)]
        courses.append(infusions)
    return courses


def _amounts(doses: list[Dose]) -> list[tuple[float, float]]:
    return [(dose.day, dose.amount) for dose in doses]


def _shared_name(name: str) -> str:
    """Name of a number without the ending of a further course: k_expansion_2 is k_expansion."""
    head, _, tail = name.rpartition("_")
    return head if tail.isdigit() and head in OF_NUMBER else name
