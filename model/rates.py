"""Building blocks of rates, so that an equation reads like the paper."""

import sympy

from .states import symbol


def parameter(name: str) -> sympy.Symbol:
    """A number of the catalogue, by name."""
    return symbol(name)


def saturating(amount: sympy.Expr, half: sympy.Expr) -> sympy.Expr:
    """Share of the maximum reached at `amount`: amount / (half + amount) (Michaelis and Menten)."""
    return amount / (half + amount)


def hill(ratio: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    """Share of the maximum at a dimensionless `ratio` to the half-effect level: r^n / (1 + r^n) (Hill)."""
    return ratio**exponent / (1 + ratio**exponent)


def total(terms: "list[sympy.Expr] | tuple[sympy.Expr, ...]") -> sympy.Expr:
    """Sum of several expressions."""
    return sympy.Add(*terms)
