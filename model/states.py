"""States, named quantities and drug inputs: the nouns of a model."""

from dataclasses import dataclass

import sympy


def symbol(name: str) -> sympy.Symbol:
    """Symbol of a state, quantity, input or parameter; a name means one thing in the whole model."""
    return sympy.Symbol(name, real=True)


@dataclass(frozen=True)
class State:
    """Something that is integrated.

    `initial` is its value at day 0, an expression in parameters. `tolerance` is the absolute error, in the
    state's own unit, below which nobody cares; it decides what the integrator calls small. A `signed` state may be
    negative; otherwise values below zero are read as zero.
    """

    name: str
    unit: str
    meaning: str
    group: str
    initial: sympy.Expr
    tolerance: float
    latex: str
    signed: bool = False

    @property
    def symbol(self) -> sympy.Symbol:
        """Symbol of this state in expressions."""
        return symbol(self.name)


@dataclass(frozen=True)
class Quantity:
    """A named expression that flows and observers share, for example the antigen stimulus."""

    name: str
    unit: str
    meaning: str
    expression: sympy.Expr
    latex: str

    @property
    def symbol(self) -> sympy.Symbol:
        """Symbol of this quantity in expressions."""
        return symbol(self.name)


@dataclass(frozen=True)
class Input:
    """A drug concentration (or amount) that linear pharmacokinetics supplies in closed form."""

    name: str
    unit: str
    meaning: str
    drug: str
    latex: str

    @property
    def symbol(self) -> sympy.Symbol:
        """Symbol of this input in expressions."""
        return symbol(self.name)
