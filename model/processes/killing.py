"""Killing of tumour cells, and of lymphocytes, by CAR-T cells and drugs; one law for each mechanism.

Direct: k C/(half + C), on the share of the tumour that is still sensitive. Redirected: the patient's own working T
cells, limited by their number per tumour cell like CAR-T cells. Conjugate: an antibody with a payload, by antigen
density, without T cells. Linear-quadratic: radiotherapy with repair (Lea and Catcheside 1942; Dale 1985). Lymphocytes:
lymphodepletion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from ..car_t_course import CarTCourse
from ..system.system import Flow, Quantity, State, parameter, saturating, total
from ..therapy import Attack, Therapy
from .antigen import Axis
from .antigen_response import Attacker

ONE = sympy.Integer(1)


@dataclass(frozen=True)
class KillingMechanism:
    """A killing mechanism: its rate on cells that it reaches fully, and the antigens through which it acts.

    `share` is the fraction of the tumour that it can kill at all (sensitive, irradiated).
    """

    pressure: sympy.Expr
    attacker: Attacker | None
    share: sympy.Expr = ONE

    def on(self, axes: Sequence[Axis], places: Sequence[int]) -> sympy.Expr:
        """Rate at which it kills cells with these places."""
        reached = self.attacker.reached(axes, places) if self.attacker else ONE
        return self.pressure * self.share * reached

    def graded(self, axes: Sequence[Axis]) -> tuple[int, ...]:
        """Numbers of the axes that matter to it."""
        return self.attacker.graded(axes) if self.attacker else ()


def from_car_t(courses: Sequence[CarTCourse]) -> tuple[KillingMechanism, ...]:
    """Killing by CAR-T cells."""
    return tuple(
        KillingMechanism(
            cells.parameter("kill_pressure"),
            Attacker(
                cells.antigens, cells.suffix, f"half_density_kill{cells.suffix}", "hill_density", "engagement_gain"
            ),
        )
        for cells in courses
    )


def _killing(drugs: Sequence[Therapy]) -> list[tuple[Therapy, Attack]]:
    return [(drug, attack) for drug in drugs for attack in drug.attacks if attack.means != "lymphocytes"]


def of_drugs(drugs: Sequence[Therapy]) -> tuple[KillingMechanism, ...]:
    """Killing by drugs."""
    assaults = []
    for drug, attack in _killing(drugs):
        share = ONE
        if attack.number("sensitive"):
            share = share * parameter(attack.number("sensitive"))
        if _clone(drug, attack) is not None:
            share = share * parameter(f"{_share_name(attack)}_{drug.key}")
        attacker = None
        if attack.antigens:
            half = attack.number("half_density")
            attacker = Attacker(
                attack.antigens, f"_{drug.key}", half, "hill_density_antibody", "engagement_gain_antibody"
            )
        assaults.append(KillingMechanism(parameter(f"pressure_{drug.key}"), attacker, share))
    return tuple(assaults)


def levels(drugs: Sequence[Therapy]) -> tuple[Quantity, ...]:
    """Occupancy of every drug at its level; soluble BCMA keeps a part of it from the tumour."""
    quantities = []
    for drug, attack in _killing(drugs):
        if attack.means == "linear_quadratic":
            continue
        level: sympy.Expr = parameter(drug.key)
        if attack.number("half_binding"):
            quantities.append(_free(drug, attack))
            level = level * parameter(f"free_{drug.key}")
        reached = saturating(level, parameter(attack.number("half")))
        quantities.append(
            Quantity(f"occupancy_{drug.key}", "", f"effect of {drug.title}, of its maximum", reached, "o")
        )
    return tuple(quantities)


def _free(drug: Therapy, attack: Attack) -> Quantity:
    """Free share of a drug that soluble BCMA binds (quasi-equilibrium, one site each; Hibma 2026 for elranatamab).

    Written without the difference that would cancel at low levels.
    """
    given = parameter(drug.key) / parameter(attack.number("molar_mass"))
    half = parameter(attack.number("half_binding"))
    bound = parameter("soluble_bcma_baseline") * parameter("soluble_bcma")
    rest = bound + half - given
    share = 2 * half / (rest + sympy.sqrt(rest**2 + 4 * half * given))
    return Quantity(
        f"free_{drug.key}", "", f"share of {drug.title} that soluble BCMA leaves free", share, "f_\\mathrm{u}"
    )


def pressures(drugs: Sequence[Therapy]) -> tuple[Quantity, ...]:
    """Rate at which each drug kills a tumour cell that it reaches fully."""
    quantities = []
    for drug, attack in _killing(drugs):
        if attack.means == "linear_quadratic":
            level = parameter(drug.key)
            damage = parameter(attack.number("linear")) * level + 2 * parameter(attack.number("quadratic")) * level**2
            rate = sympy.log(2) / parameter(attack.number("half_life")) * damage
        else:
            rate = parameter(attack.number("k_kill")) * parameter(f"occupancy_{drug.key}")
        if attack.means == "redirected":
            crowd = parameter(attack.number("half_host")) + parameter("tumour") / parameter("engagement_volume_host")
            rate = rate / (1 + parameter("suppression")) * saturating(parameter("host_working"), crowd)
        meaning = f"rate at which {drug.title} kills what it reaches"
        quantities.append(Quantity(f"pressure_{drug.key}", "1/day", meaning, rate, "h"))
    return tuple(quantities)


def redirection(drugs: Sequence[Therapy]) -> sympy.Expr:
    """How hard antibodies drive the patient's own T cells: occupancy times antigen, over all of them."""
    terms = []
    for drug, attack in _killing(drugs):
        if attack.means == "redirected":
            terms.append(parameter(f"occupancy_{drug.key}") * parameter(f"antigen_stimulus_{drug.key}"))
    return total(terms)


def depletion(drugs: Sequence[Therapy]) -> sympy.Expr:
    """Rate at which drugs take lymphocytes away."""
    return total(
        [
            parameter(attack.number("slope")) * parameter(drug.key)
            for drug in drugs
            for attack in drug.attacks
            if attack.means == "lymphocytes"
        ]
    )


def _share_name(attack: Attack) -> str:
    return "in_field" if attack.means == "linear_quadratic" else "sensitive_share"


def _clone(drug: Therapy, attack: Attack) -> State | None:
    """The share of the tumour that a drug can still kill, where that is not all of it for ever."""
    name = f"{_share_name(attack)}_{drug.key}"
    if attack.means == "linear_quadratic":
        meaning, start = f"share of the tumour in the field of {drug.title}", parameter(attack.number("in_field"))
    elif attack.number("resistant"):
        meaning, start = f"share of the tumour sensitive to {drug.title}", 1 - parameter(attack.number("resistant"))
    else:
        return None
    return State(name, "", meaning, "tumour composition", start, 1e-9, "\\sigma")


def clones(drugs: Sequence[Therapy]) -> tuple[State, ...]:
    """Shares of the tumour that drugs can still kill."""
    states = [_clone(drug, attack) for drug, attack in _killing(drugs)]
    return tuple(state for state in states if state is not None)


def selection(drugs: Sequence[Therapy]) -> tuple[Flow, ...]:
    """A drug that kills a share s of the tumour at a rate h makes that share fall at h s (1 - s); exact where
    sensitivity has nothing to do with antigens. Without it the sensitive cells come back: those that are resistant pay
    for it.
    """
    flows = []
    for drug, attack in _killing(drugs):
        state = _clone(drug, attack)
        if state is None:
            continue
        rate = parameter(f"pressure_{drug.key}")
        if attack.number("sensitive"):
            rate = rate * parameter(attack.number("sensitive"))
        if attack.antigens:  # cells that it does not reach through its antigens are not selected against
            rate = rate * parameter(f"antigen_load_{drug.key}") / parameter("tumour")
        share = state.symbol
        flows.append(Flow(f"selection against {state.name}", rate * share * (1 - share), out_of=state))
        if attack.number("resistant"):
            back = parameter("k_regain_sensitivity") * share * (1 - share)
            flows.append(Flow(f"return of {state.name}", back, into=state))
    return tuple(flows)
