"""Tumour: logistic growth, antigen-null clones, killing by CAR-T cells."""

import sympy

from ..flow import Flow
from ..rates import parameter, saturating, total
from ..states import Quantity, State


def null_clones() -> tuple[State, ...]:
    """Cells without BCMA, without GPRC5D, and without both; the two losses are independent at day 0."""
    baseline = parameter("tumour_baseline")
    null_bcma, null_gprc5d = parameter("fraction_null_bcma"), parameter("fraction_null_gprc5d")
    only_bcma, only_gprc5d = null_bcma * (1 - null_gprc5d), null_gprc5d * (1 - null_bcma)
    return (
        State("null_bcma", "cell", "BCMA-null tumour cells", "tumour", baseline * only_bcma, 0.01, "N_B"),
        State("null_gprc5d", "cell", "GPRC5D-null tumour cells", "tumour", baseline * only_gprc5d, 0.01, "N_G"),
        State(
            "null_both", "cell", "tumour cells without BCMA and GPRC5D", "tumour",
            baseline * null_bcma * null_gprc5d, 0.01, "N_{BG}",
        ),
    )  # fmt: skip


def burden(classes: tuple[State, ...], nulls: tuple[State, ...]) -> tuple[Quantity, ...]:
    """Burden, what the CAR-T cells see of it, and how fast its cells divide."""
    exposed = _susceptible(classes, nulls)
    positive = total([state.symbol for state in classes])
    load = total([share * state.symbol for state, share in exposed])
    return (
        Quantity("tumour", "cell", "all tumour cells", positive + total([n.symbol for n in nulls]), "T"),
        Quantity("antigen_load", "cell", "tumour cells weighted by the effect they evoke", load, "\\Phi"),
        Quantity(
            "susceptibility", "", "mean share of the maximal effect over all tumour cells",
            parameter("antigen_load") / parameter("tumour"), "\\bar\\varphi",
        ),
        Quantity(
            "null_fraction", "", "share of tumour cells without the antigen under attack",
            (parameter("targets_bcma") * (nulls[0].symbol + nulls[2].symbol)
             + parameter("targets_gprc5d") * (nulls[1].symbol + nulls[2].symbol)) / parameter("tumour"), "f_0",
        ),
        Quantity(
            "k_division", "1/day", "division rate of a tumour cell: net growth and turnover",
            parameter("k_growth_tumour") + parameter("k_turnover_tumour"), "b",
        ),
        Quantity(
            "growth", "1/day", "net growth rate with its capacity and drug effects",
            parameter("k_growth_tumour") * parameter("modifier_growth")
            * (1 - parameter("tumour") / parameter("tumour_capacity")), "\\gamma",
        ),
        Quantity(
            "antigen_stimulus", "", "saturation of the CAR by antigen",
            saturating(parameter("antigen_load"), parameter("half_antigen")), "A",
        ),
    )  # fmt: skip


def kill_pressure() -> Quantity:
    """Killing of a fully susceptible cell: limited by engaged CAR-T cells per tumour cell, lowered by suppression."""
    engaged = parameter("engaged")
    crowd = parameter("half_kill") + parameter("tumour") / parameter("engagement_volume")
    expression = parameter("k_kill_max") / (1 + parameter("suppression")) * saturating(engaged, crowd)
    return Quantity(
        "kill_pressure", "1/day", "rate at which a fully susceptible tumour cell is killed", expression, "h"
    )


def _susceptible(classes: tuple[State, ...], nulls: tuple[State, ...]) -> list[tuple[State, sympy.Expr]]:
    """Every tumour state that an attack can reach, with its susceptibility.

    A clone without one antigen is taken at the median density of the other.
    """
    exposed: list[tuple[State, sympy.Expr]] = []
    exposed += [(state, parameter(f"susceptibility_{k + 1}")) for k, state in enumerate(classes)]
    median = parameter("susceptibility_median")
    exposed.append((nulls[0], parameter("targets_gprc5d") * median))
    exposed.append((nulls[1], parameter("targets_bcma") * median))
    return exposed


def flows(classes: tuple[State, ...], nulls: tuple[State, ...]) -> tuple[Flow, ...]:
    """Growth, killing and loss of antigen at division."""
    everyone = (*classes, *nulls)
    null_bcma, null_gprc5d, null_both = nulls
    result = [Flow(f"growth of {cells.name}", parameter("growth") * cells.symbol, into=cells) for cells in everyone]
    for cells, share in _susceptible(classes, nulls):
        rate = parameter("kill_pressure") * share * cells.symbol
        result.append(Flow(f"killing of {cells.name}", rate, out_of=cells))
    lose_bcma = parameter("probability_loss_bcma") * parameter("k_division")
    lose_gprc5d = parameter("probability_loss_gprc5d") * parameter("k_division")
    for cells in classes:
        result.append(Flow(f"loss of BCMA from {cells.name}", lose_bcma * cells.symbol, out_of=cells, into=null_bcma))
        result.append(
            Flow(f"loss of GPRC5D from {cells.name}", lose_gprc5d * cells.symbol, out_of=cells, into=null_gprc5d)
        )
    result.append(
        Flow("loss of GPRC5D from null_bcma", lose_gprc5d * null_bcma.symbol, out_of=null_bcma, into=null_both)
    )
    result.append(
        Flow("loss of BCMA from null_gprc5d", lose_bcma * null_gprc5d.symbol, out_of=null_gprc5d, into=null_both)
    )
    return tuple(result)
