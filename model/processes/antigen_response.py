"""Effect as a fraction of Emax by antigen density."""

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from ..system.system import Quantity, hill, parameter, total
from ..therapy import FIXED
from .antigen import Axis, CellLine, having


@dataclass(frozen=True)
class Attacker:
    """An effector that kills antigen-positive cells: CAR-T cells, or a drug.

    `suffix` tells its quantities from those of others; `half` is the density at half effect, `hill` its steepness,
    `gain` the quantity by which blocked shedding raises the effect of BCMA.
    """

    antigens: tuple[str, ...]
    suffix: str
    half: str
    hill: str
    gain: str

    def graded(self, axes: Sequence[Axis]) -> tuple[int, ...]:
        """Numbers of the axes that matter to it."""
        return tuple(number for number, axis in enumerate(axes) if axis.antigen in self.antigens)

    def reached(self, axes: Sequence[Axis], places: Sequence[int]) -> sympy.Expr:
        """Fraction of the maximal effect on a cell line; any one of its antigens is enough.

        Written as a + b - a b, because 1 - (1 - a)(1 - b) would lose the digits of small shares.
        """
        shares = [parameter(name) for antigen, name in _FIXED.items() if antigen in self.antigens]
        for number in self.graded(axes):
            if places[number]:
                shares.append(parameter(f"reached_{axes[number].key}_{places[number]}{self.suffix}"))
        together: sympy.Expr = sympy.Integer(0)
        for share in shares:
            together = share + together * (1 - share)
        return together


_FIXED = {name: f"fraction_reached_{name.lower()}" for name in FIXED}
"""Share of the tumour that carries enough of an antigen without classes."""


def gains() -> tuple[Quantity, ...]:
    """Rise of membrane BCMA while its shedding is blocked, and the gain in effect of CAR-T cells and antibodies."""
    inner, shed = parameter("k_internalisation_bcma"), parameter("k_shedding_bcma")
    rise = parameter("density_gain")
    return (
        Quantity(
            "density_gain", "", "rise of membrane BCMA while its shedding is blocked (quasi-steady state)",
            (inner + shed) / (inner + shed * parameter("modifier_shedding")), "g",
        ),
        Quantity(
            "engagement_gain", "", "the same rise, on the scale of the density effect",
            rise ** parameter("hill_density"), "G",
        ),
        Quantity(
            "engagement_gain_antibody", "", "the same rise, on the scale of the density effect of antibodies",
            rise ** parameter("hill_density_antibody"), "G_\\mathrm{ab}",
        ),
    )  # fmt: skip


def classes(attacker: Attacker, axes: Sequence[Axis]) -> tuple[Quantity, ...]:
    """Fraction of the maximal effect in every density class of its antigens (Hill)."""
    quantities = []
    for number in attacker.graded(axes):
        axis = axes[number]
        for place, z in enumerate(axis.grid, start=1):
            name = f"{axis.key}_{place}{attacker.suffix}"
            density = parameter(f"density_{axis.key}") * sympy.exp(parameter("sd_density") * z)
            engaged = parameter(f"engagement_{name}")
            if axis.antigen == "BCMA":
                engaged *= parameter(attacker.gain)
            index = f"{axis.antigen},{place}"
            quantities += [
                Quantity(
                    f"engagement_{name}", "", f"density over its half-effect level, to a power, {axis.antigen} {place}",
                    (density / parameter(attacker.half)) ** parameter(attacker.hill), f"r_{{{index}}}",
                ),
                Quantity(
                    f"reached_{name}", "", f"share of the maximal effect evoked by {axis.antigen} class {place}",
                    hill(engaged, sympy.Integer(1)), f"\\varphi_{{{index}}}",
                ),
            ]  # fmt: skip
    return tuple(quantities)


def load(attacker: Attacker, axes: Sequence[Axis], lines: Sequence[CellLine]) -> sympy.Expr:
    """Tumour cells weighted by what they evoke."""
    graded = attacker.graded(axes)
    if len(graded) == 1:  # of a sum over both axes, the cells of one class come first
        number = graded[0]
        return total(
            [
                attacker.reached(axes, [place if i == number else 0 for i in range(len(axes))])
                * having(lines, number, place)
                for place in axes[number].places
            ]
        )
    return total([attacker.reached(axes, line.places) * line.state.symbol for line in lines])
