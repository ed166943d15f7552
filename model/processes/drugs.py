"""How drugs reach the mechanisms: each effect changes one named process, never an outcome."""

from collections.abc import Sequence

import sympy

from ...parameters.errors import unknown
from ..system.system import Input, Quantity, parameter, saturating
from ..therapy import Effect, Therapy

PROCESSES = {
    "growth": "net growth of the tumour",
    "expansion": "expansion of effector CAR-T cells",
    "exhaustion": "exhaustion of effector CAR-T cells and host T cells",
    "recovery": "recovery of exhausted CAR-T cells and host T cells",
    "terminal_exhaustion": "passage of exhausted CAR-T cells to the state without return",
    "suppression": "level towards which the suppressive microenvironment moves",
    "shedding": "shedding of BCMA by gamma-secretase",
}
"""Processes that a therapy file may name, with what is multiplied."""


def inputs(drugs: Sequence[Therapy]) -> tuple[Input, ...]:
    """Concentration (or amount in the body) of every drug, supplied in closed form."""
    return tuple(
        Input(drug.key, drug.pk.unit, f"{drug.pk.quantity} of {drug.title}", drug.key, f"C_{{\\mathrm{{{drug.key}}}}}")
        for drug in drugs
        if drug.pk is not None
    )


def modifiers(drugs: Sequence[Therapy]) -> tuple[Quantity, ...]:
    """One factor per process: the product of what every drug does to it; 1 without drugs."""
    factors: dict[str, list[sympy.Expr]] = {name: [] for name in PROCESSES}
    for drug in drugs:
        for effect in drug.effects:
            if effect.on not in PROCESSES:
                raise unknown("process", effect.on, PROCESSES, f"{drug.key}.toml")
            factors[effect.on].append(_factor(drug, effect))
    return tuple(
        Quantity(
            f"modifier_{name}", "", f"drug effect on: {meaning}", sympy.Mul(*factors[name]), f"m_{{\\mathrm{{{name}}}}}"
        )
        for name, meaning in PROCESSES.items()
    )


def _factor(drug: Therapy, effect: Effect) -> sympy.Expr:
    """Factor of one effect at the present concentration: exp(strength C/(half+C)), or 1 - strength C/(half+C)."""
    strength = sympy.Mul(*(parameter(name) for name in effect.strength))
    reached = strength * saturating(parameter(drug.key), parameter(effect.half))
    return sympy.exp(reached) if effect.form == "exponential" else 1 - reached
