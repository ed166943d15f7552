"""Tumour: growth that slows with size, and killing by CAR-T cells and drugs."""

from collections.abc import Mapping, Sequence

import numpy as np
import sympy

from ..car_t_course import CarTCourse
from ..system.system import Flow, Quantity, parameter, saturating, total
from .antigen import Axis, CellLine, having
from .antigen_response import load
from .killing import KillingMechanism

# Tumour growth of given patients; `burden` has the same law in symbols (Richards 1959).


def growth_rate(patients: Mapping[str, np.ndarray], tumour: np.ndarray) -> np.ndarray:
    """Net growth rate (1/day) without drugs, of patients (n,) at these burdens (n,) or (n, times)."""
    size = (tumour.T + patients["tumour_least"]) / patients["tumour_capacity"]  # patients last, as their numbers
    return (_alone(patients) * (1.0 - size ** patients["exponent_growth"])).T


def burden_untreated(patients: Mapping[str, np.ndarray], days: float) -> np.ndarray:
    """Tumour cells (n,) after growing from `tumour_baseline` without treatment: Richards' curve, one cell apart."""
    size = (patients["tumour_baseline"] / patients["tumour_capacity"]) ** patients["exponent_growth"]
    odds = (1.0 / size - 1.0) * np.exp(-patients["exponent_growth"] * _alone(patients) * days)
    return patients["tumour_capacity"] * (1.0 + odds) ** (-1.0 / patients["exponent_growth"])


def _alone(patients: Mapping[str, np.ndarray]) -> np.ndarray:
    usual = (patients["tumour_reference"] / patients["tumour_capacity"]) ** patients["exponent_growth"]
    return patients["k_growth_tumour"] / (1.0 - usual)


def burden(axes: Sequence[Axis], lines: Sequence[CellLine]) -> tuple[Quantity, ...]:
    """Burden, how fast its cells divide and grow (Richards 1959, near Gompertz), and what of it has lost an antigen.

    `k_growth_tumour` is the net growth rate at the burden at which trials see it, `tumour_reference`.
    """
    capacity, exponent = parameter("tumour_capacity"), parameter("exponent_growth")
    quantities = [
        Quantity("tumour", "cell", "all tumour cells", total([line.state.symbol for line in lines]), "T"),
        Quantity(
            "growth_alone", "1/day", "net growth rate of tumour cells that nothing crowds",
            parameter("k_growth_tumour") / (1 - (parameter("tumour_reference") / capacity) ** exponent), "\\gamma_0",
        ),
        Quantity(
            "k_division", "1/day", "division rate of a tumour cell: net growth where nothing crowds it, and turnover",
            parameter("growth_alone") + parameter("k_turnover_tumour"), "b",
        ),
        Quantity(
            "crowding", "", "share of its growth that a tumour loses by its size",
            ((parameter("tumour") + parameter("tumour_least")) / capacity) ** exponent, "\\kappa",
        ),
        Quantity(
            "growth", "1/day", "net growth rate with crowding and drug effects",
            parameter("growth_alone") * parameter("modifier_growth") * (1 - parameter("crowding")), "\\gamma",
        ),
    ]  # fmt: skip
    for number, axis in enumerate(axes):
        lost = having(lines, number, 0) / parameter("tumour")
        name = "null_fraction" if axis.antigen == "BCMA" else f"null_fraction_{axis.key}"
        quantities.append(Quantity(name, "", f"share of tumour cells without {axis.antigen}", lost, "f_0"))
        density, sd = parameter(f"density_{axis.key}"), parameter("sd_density")
        carry = [having(lines, number, place) for place in range(1, axis.classes + 1)]
        mean = total([z * cells for z, cells in zip(axis.grid, carry, strict=True)]) / total(carry)
        name = "density_mean" if axis.antigen == "BCMA" else f"density_mean_{axis.key}"
        meaning = f"geometric mean {axis.antigen} density of the cells that carry it, as flow cytometry reports it"
        quantities.append(Quantity(name, "molecule/cell", meaning, density * sympy.exp(sd * mean), "\\bar a"))
    return tuple(quantities)


def seen(
    courses: Sequence[CarTCourse], assaults: Sequence[KillingMechanism], axes: Sequence[Axis], lines: Sequence[CellLine]
) -> tuple[Quantity, ...]:
    """Antigen exposure of each course of CAR-T cells and of each antibody."""
    quantities = []
    for assault in assaults:
        attacker = assault.attacker
        if attacker is None:
            continue
        suffix = attacker.suffix
        evoked = load(attacker, axes, lines)
        quantities.append(
            Quantity(f"antigen_load{suffix}", "cell", "tumour cells weighted by the effect they evoke", evoked, "\\Phi")
        )
        seen = parameter(f"antigen_load{suffix}")
        quantities.append(
            Quantity(
                f"antigen_stimulus{suffix}", "", "saturation of T cells by antigen",
                saturating(seen, parameter("half_antigen")), "A",
            )
        )  # fmt: skip
        if suffix in {cells.suffix for cells in courses}:
            mean, meaning = seen / parameter("tumour"), "mean share of the maximal effect over all tumour cells"
            quantities.append(Quantity(f"susceptibility{suffix}", "", meaning, mean, "\\bar\\varphi"))
    return tuple(quantities)


def kill_pressure(courses: Sequence[CarTCourse]) -> tuple[Quantity, ...]:
    """Killing of a fully susceptible cell by each course: limited by engaged CAR-T cells per tumour cell, and lowered
    by suppression. All courses share the tumour cells that they engage.
    """
    crowd = parameter("half_kill") + parameter("tumour") / parameter("engagement_volume")
    everyone = total([cells.parameter("engaged") for cells in courses])
    return tuple(
        Quantity(
            f"kill_pressure{cells.suffix}", "1/day", "rate at which a fully susceptible tumour cell is killed",
            cells.parameter("k_kill_max") / (1 + parameter("suppression")) * cells.parameter("engaged") / (everyone +
            crowd), "h",
        )
        for cells in courses
    )  # fmt: skip


def hazards(assaults: Sequence[KillingMechanism], axes: Sequence[Axis]) -> tuple[Quantity, ...]:
    """Killing rates that many cell lines share: of all, and of all with a place on one axis."""
    nowhere = (0,) * len(axes)
    plain = [assault.on(axes, nowhere) for assault in assaults if not assault.graded(axes)]
    quantities = [Quantity("hazard_all", "1/day", "killing that spares no class", total(plain), "h_0")] if plain else []
    for number, axis in enumerate(axes):
        on_axis = [assault for assault in assaults if assault.graded(axes) == (number,)]
        for place in axis.places if on_axis else ():
            rate = total([assault.on(axes, (*nowhere[:number], place, *nowhere[number + 1 :])) for assault in on_axis])
            if rate != 0:
                name, meaning = f"hazard_{axis.key}_{place}", f"killing of cells in {axis.antigen} class {place}"
                quantities.append(Quantity(name, "1/day", meaning, rate, f"h_{{{axis.key},{place}}}"))
    return tuple(quantities)


def flows(
    assaults: Sequence[KillingMechanism], axes: Sequence[Axis], lines: Sequence[CellLine], shared: Sequence[Quantity]
) -> tuple[Flow, ...]:
    """Growth and killing of every cell line; `shared` are its `hazards`."""
    known = {quantity.name: quantity.symbol for quantity in shared}
    result = []
    for line in lines:
        cells = line.state
        result.append(Flow(f"growth of {cells.name}", parameter("growth") * cells.symbol, into=cells))
        names = ["hazard_all", *(f"hazard_{axis.key}_{k}" for axis, k in zip(axes, line.places, strict=True))]
        rates = [known[name] for name in names if name in known]
        rates += [assault.on(axes, line.places) for assault in assaults if len(assault.graded(axes)) > 1]
        if total(rates) != 0:
            result.append(Flow(f"killing of {cells.name}", total(rates) * cells.symbol, out_of=cells))
    return tuple(result)
