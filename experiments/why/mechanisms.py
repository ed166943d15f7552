"""By which mechanism a therapy acts: every effect and attack of a drug, every number of a CAR-T product, has one.

Seven mechanisms. Two of them have wider borders than their names. Engraftment (the dose of cells, and the share of it
that engrafts) belongs to expansion, since what counts is how many cells begin to divide. Killing is what a CAR-T cell
does at its fastest; which tumour cells it reaches is a matter of the antigen, and what a drug does to tumour cells
itself is drug kill, by whatever means, the slowing of growth included.
"""

from collections.abc import Collection, Mapping

import numpy as np

from perdure.model.therapy import Attack, Effect, Therapy
from perdure.parameters.errors import FileError

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
    found = {of_effect(effect) for effect in therapy.effects}
    found |= {of_attack(therapy, attack) for attack in therapy.attacks}
    return tuple(name for name in MECHANISMS if name in found)


def of_numbers(therapy: Therapy) -> dict[str, frozenset[str]]:
    """Mechanisms of every number in the file of a therapy, by its id.

    Pharmacokinetics are exposure, and so belong to all that the drug does. What decides who has a trait, and how a
    number differs between patients, goes with that number. A number that belongs to none has an empty set.
    """
    known: dict[str, set[str]] = {}

    def note(name: str, *mechanisms: str) -> None:
        known.setdefault(name, set()).update(mechanisms)

    for effect in therapy.effects:
        for name in (*effect.strength, effect.half):
            note(name, of_effect(effect))
    for attack in therapy.attacks:
        for _, name in attack.numbers:
            note(name, of_attack(therapy, attack))
    for _, name in therapy.pk.names if therapy.pk else ():
        note(name, *mechanisms_of(therapy))
    for parameter in therapy.parameters:
        if parameter.drawn_with:
            note(parameter.drawn_with, *known.get(parameter.id, ()))
    found = {}
    for parameter in therapy.parameters:
        own = parameter.id.removeprefix(f"{therapy.key}.").removesuffix(".spread")
        found[parameter.id] = frozenset({OF_NUMBER[own]} if own in OF_NUMBER else known.get(own, ()))
    return found


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
    for effect in (one for one in kept if shared in one.strength):
        others = [one for one in drug.effects if one is not effect]
        private = [name for name in effect.strength if not any(name in (*one.strength, one.half) for one in others)]
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
