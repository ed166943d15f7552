"""CAR-T courses of one patient, one after the other: each has states and parameters of its own."""

from dataclasses import dataclass

import sympy

from .system.system import State, parameter

ZERO, ONE = sympy.Integer(0), sympy.Integer(1)


@dataclass(frozen=True)
class CarTCourse:
    """One course of one CAR-T product.

    Attributes
    ----------
    antigens
        What the CAR binds; any of them is enough.
    suffix
        Ending of the names of its states and parameters: '' for the first, then '_2', '_3', ...
    immunity
        Suffix of the immunity that clears it: products whose binders are alike share one.
    """

    antigens: tuple[str, ...] = ("BCMA",)
    suffix: str = ""
    immunity: str = ""

    def parameter(self, name: str) -> sympy.Symbol:
        """A parameter of this product, or a quantity of these cells."""
        return parameter(f"{name}{self.suffix}")

    @property
    def infused(self) -> State:
        """Infused cells that have not engrafted yet."""
        return self._pool("infused", "infused CAR-T cells, not yet engrafted", "I")

    @property
    def effector(self) -> State:
        """Effector cells."""
        return self._pool("effector", "effector CAR-T cells", "E")

    @property
    def memory(self) -> State:
        """Memory cells."""
        return self._pool("memory", "memory CAR-T cells", "M")

    @property
    def exhausted(self) -> State:
        """Cells that can still recover."""
        return self._pool("exhausted", "reversibly exhausted CAR-T cells", "X")

    @property
    def terminal(self) -> State:
        """Cells that cannot."""
        return self._pool("terminal", "terminally exhausted CAR-T cells", "Z")

    @property
    def fitness(self) -> State:
        """What is left of the product's capacity to divide."""
        return State(
            f"fitness{self.suffix}", "", f"proliferative fitness of the product{self._which}", "CAR-T", ONE, 1e-8,
            f"F{self._index}",
        )  # fmt: skip

    @property
    def engrafted(self) -> tuple[State, ...]:
        """The pools that are counted in blood."""
        return (self.effector, self.memory, self.exhausted, self.terminal)

    @property
    def states(self) -> tuple[State, ...]:
        """All states of these cells."""
        return (self.infused, *self.engrafted, self.fitness)

    @property
    def _index(self) -> str:
        return f"_{{{self.suffix.strip('_')}}}" if self.suffix else ""

    @property
    def _which(self) -> str:
        return f", course {self.suffix.strip('_')}" if self.suffix else ""

    def _pool(self, name: str, meaning: str, letter: str) -> State:
        return State(
            f"{name}{self.suffix}", "cell/uL", f"{meaning}{self._which}", "CAR-T", ZERO, 1e-7, f"{letter}{self._index}"
        )


FIRST = CarTCourse()
"""The first, or only, course: it is against BCMA unless a product says otherwise."""
