"""CAR-T cells and an antibody in both orders: plans, and what is known of them once they are compared."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..fitting.posterior import Estimate
from .arm import Arm
from .compare import Comparison
from .measures import Measure
from .two_lines import CONTROL

USUAL_WAIT = 42.0
"""Days from progression to cells that have to be made, as in the evidence files (assumed there)."""


@dataclass(frozen=True)
class Pair:
    """A product in the population in which it was calibrated, and an antibody, to be given in both orders."""

    cells: str
    antibody: str
    population: str

    @property
    def cells_first(self) -> Arm:
        """Cells on day 0, the antibody when progression is seen."""
        given = f"{self.cells}; at progression: {self.antibody}"
        return Arm(f"{self.cells}, then {self.antibody}", given, self.population)

    @property
    def antibody_first(self) -> Arm:
        """The antibody until progression, then cells that have to be made."""
        return self.after(USUAL_WAIT)

    def after(self, wait: float) -> Arm:
        """The antibody until progression, and cells so many days later."""
        cells = f"lymphodepletion days {wait - 5:g}-{wait - 3:g}; {self.cells} on day {wait:g}"
        name = f"{self.antibody}, then {self.cells}" + ("" if wait == USUAL_WAIT else f" after {wait:g} days")
        return Arm(name, f"{self.antibody}; at progression: {cells}", self.population)

    @property
    def rested(self) -> Arm:
        """The antibody first, if it exhausted no T cells: a thought experiment."""
        arm = self.antibody_first
        return replace(arm, name=f"{arm.name}, no exhaustion", change=_no_exhaustion)


def _no_exhaustion(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"k_exhaustion_host": np.zeros_like(values["k_exhaustion_host"])}


@dataclass(frozen=True, eq=False)
class Orders:
    """Every order of every pair, and how exhausted the T cells are after the antibody.

    Attributes
    ----------
    waits
        Days before the cells of the first pair, other than the usual ones.
    exhaustion
        By antibody what `host_exhaustion` returns.
    """

    pairs: tuple[Pair, ...]
    waits: tuple[float, ...]
    comparison: Comparison
    exhaustion: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def gain(self, pair: Pair, measure: Measure = CONTROL) -> Estimate:
        """What cells first gain over the antibody first, in the same patients."""
        return self.comparison.gain(pair.cells_first.name, measure, pair.antibody_first.name)

    def gain_of_wait(self, wait: float, measure: Measure = CONTROL) -> Estimate:
        """What another interval before the cells changes in the first pair, against the usual one."""
        pair = self.pairs[0]
        return self.comparison.gain(pair.after(wait).name, measure, pair.antibody_first.name)
