"""E5: a model of pyrolysis whose concentrations are tiny and whose rate constants span eighteen decades.

In the end B and C annihilate each other and what is left is decided by the rounding of B - C - D, which is zero for
ever: in double precision hardly a digit is right at the end, and the published digits of B and C part at the third.
`e5_early` stops before that, when nearly all of A is spent.
"""

from dataclasses import replace

from ..rates import parameter
from .problem import BOOK, IN_DOUBLE, TEST_SET, Problem, numbers, reaction, species, system_of


def e5() -> Problem:
    """A -> B + C, B + C ->, A + C -> D, D -> C over thirteen decades of time."""
    state = species(
        {"A": "species A", "B": "species B", "C": "species C", "D": "species D"}, "mol/L", 1e-26, ("A",)
    )  # fmt: skip
    a, b, c, d = state.values()
    binding = parameter("k_3") * a.symbol * c.symbol
    flows = (
        *reaction("A -> B + C", parameter("k_1") * a.symbol, (a,), (b, c)),
        *reaction("B + C -> products", parameter("k_2") * b.symbol * c.symbol, (b, c)),
        # One net flow: both directions are far faster than what is left of them, and B - C - D is zero for ever.
        *reaction("A + C -> D, D -> C", binding - parameter("k_4") * d.symbol, (c,), (d,)),
        *reaction("A lost to D", binding, (a,)),
    )
    return Problem(
        key="e5",
        title="E5: pyrolysis",
        system=system_of("e5", state.values(), flows),
        parameters=numbers({"k_1": 7.89e-10, "k_2": 1.13e9, "k_3": 1.1e7, "k_4": 1.13e3, "initial_A": 1.76e-3}),
        until=1e13,
        reference={"A": 0.0, "B": 8.8612335212910842e-23, "C": 8.8612335212910842e-23, "D": 0.0},
        published={"A": 0.1152903278711829e-290, "B": 0.8867655517642120e-22, "C": 0.8854814626268838e-22, "D": 0.0},
        digits=3,
        source=f"Enright, Hull and Lindberg 1975; {BOOK}; {TEST_SET}, problem E5, {IN_DOUBLE}.",
    )


def e5_early() -> Problem:
    """E5 until rounding begins to take over; this is where methods can be told apart."""
    return replace(
        e5(),
        key="e5_early",
        title="E5 until a hundred thousand seconds",
        until=1e5,
        reference={
            "A": 7.4813208224292220e-06, "B": 2.3734781561205976e-12, "C": 2.2123586689581664e-12,
            "D": 1.6111948716243114e-13,
        },
        published={},
        digits=15,
        source=f"Enright, Hull and Lindberg 1975; {BOOK}. Reference by `extended`: with 10^-16 and 10^-17 in each step "
        "it is the same in 15 digits.",
    )  # fmt: skip
