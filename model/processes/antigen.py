"""Antigens: density classes, antigen-negative clones, and the relaxation of density.

A graded antigen (BCMA, GPRC5D) is followed by classes of log-density, which attacks select on and which relax back, and
by clones that have lost it. With two graded antigens the cell lines are all pairs, because density and loss of one are
independent of the other until an attack needs both. Of the other antigens a fixed share of the cells carries enough.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import sympy

from ..system.system import Flow, State, parameter, total

LOWEST, HIGHEST = -4.5, 3.0
CLASSES = {"BCMA": 7, "GPRC5D": 5}
"""Density classes of each graded antigen, over the same span. Fixed in all analyses: where the low tail is cut moves
the time of relapse by months, so the grid is a setting of the model and not a free choice."""


@dataclass(frozen=True)
class Axis:
    """One graded antigen: its classes in within-tumour SDs of log-density, and the clone that has lost it."""

    antigen: str
    classes: int

    @property
    def key(self) -> str:
        """The antigen as it stands in names."""
        return self.antigen.lower()

    @property
    def step(self) -> float:
        """Distance of two classes."""
        return (HIGHEST - LOWEST) / (self.classes - 1)

    @property
    def grid(self) -> tuple[float, ...]:
        """Centre of each class."""
        return tuple(LOWEST + self.step * k for k in range(self.classes))

    @property
    def weights(self) -> tuple[float, ...]:
        """Stationary share of each class: a normal distribution of log-density seen on the grid."""
        bell = [math.exp(-0.5 * z * z) for z in self.grid]
        return tuple(value / sum(bell) for value in bell)

    @property
    def places(self) -> tuple[int, ...]:
        """Classes 1, 2, ... and, last, 0 for the cells without the antigen."""
        return (*range(1, self.classes + 1), 0)

    def share(self, place: int) -> sympy.Expr:
        """Share of the cells at day 0 in a class, or without the antigen."""
        lost = parameter(f"fraction_null_{self.key}")
        return (1 - lost) * self.weights[place - 1] if place else lost


@dataclass(frozen=True)
class CellLine:
    """Tumour cells that are alike: a state, and their place on every axis (0: without that antigen)."""

    state: State
    places: tuple[int, ...]


def axes(antigens: Sequence[str], classes: dict[str, int] | None = None) -> tuple[Axis, ...]:
    """The graded antigens that somebody attacks; BCMA always, since it is measured."""
    counts = classes or CLASSES
    return tuple(Axis(name, count) for name, count in counts.items() if name == "BCMA" or name in antigens)


def cell_lines(graded: Sequence[Axis]) -> tuple[CellLine, ...]:
    """Every combination of places."""
    lines = []
    for places in product(*(axis.places for axis in graded)):
        amount = sympy.Mul(parameter("tumour_baseline"), *(a.share(k) for a, k in zip(graded, places, strict=True)))
        words = [_words(axis, place) for axis, place in zip(graded, places, strict=True)]
        ending = "_".join(str(place) if place else "null" for place in places)
        name = "null_bcma" if places == (0,) else f"tumour_{ending}"
        letters = ",".join(str(place) for place in places)
        lines.append(
            CellLine(
                State(name, "cell", f"tumour cells, {', '.join(words)}", "tumour", amount, 0.01, f"T_{{{letters}}}"),
                places,
            )
        )  # fmt: skip
    return tuple(lines)


def _words(axis: Axis, place: int) -> str:
    if not place:
        return f"without {axis.antigen}"
    return f"{axis.antigen} class {place} of {axis.classes} ({axis.grid[place - 1]:+.2f} SD)"


def having(lines: Sequence[CellLine], axis: int, place: int) -> sympy.Expr:
    """Cells of all lines with a place on an axis."""
    return total([line.state.symbol for line in lines if line.places[axis] == place])


def flows(graded: Sequence[Axis], lines: Sequence[CellLine]) -> tuple[Flow, ...]:
    """Drift between classes, and loss of an antigen at division."""
    at = {line.places: line.state for line in lines}
    antigen_flows = []
    for number, axis in enumerate(graded):
        for places, here in at.items():
            place = places[number]

            def elsewhere(other: int, places: tuple[int, ...] = places, number: int = number) -> State:
                return at[(*places[:number], other, *places[number + 1 :])]

            if place:
                rate = parameter(f"probability_loss_{axis.key}") * parameter("k_division")
                antigen_flows.append(
                    Flow(f"loss of {axis.antigen} from {here.name}", rate * here.symbol, here, elsewhere(0))
                )  # fmt: skip
            if 0 < place < axis.classes:
                antigen_flows += _drift(axis, place, here, elsewhere(place + 1))
    return tuple(antigen_flows)


def _drift(axis: Axis, place: int, here: State, there: State) -> list[Flow]:
    """Phenotypic drift back to the stationary distribution: a birth-death chain (Ornstein-Uhlenbeck)."""
    lower, upper = axis.weights[place - 1 : place + 1]
    rate = parameter("k_relaxation_density")
    up, down = math.sqrt(upper / lower) / axis.step**2, math.sqrt(lower / upper) / axis.step**2
    return [
        Flow(f"{axis.antigen} rises from {here.name}", rate * up * here.symbol, out_of=here, into=there),
        Flow(f"{axis.antigen} falls from {there.name}", rate * down * there.symbol, out_of=there, into=here),
    ]
