"""Robertson's autocatalytic reaction: three species, time scales from microseconds to thousands of years."""

from ..rates import parameter
from .problem import BOOK, IN_DOUBLE, TEST_SET, Problem, numbers, reaction, species, system_of


def robertson() -> Problem:
    """A -> B, 2 B -> B + C, B + C -> A + C over eleven decades of time."""
    state = species(
        {"A": "species A", "B": "species B, the short-lived one", "C": "species C"},
        "mol/L", {"A": 1e-15, "B": 1e-21, "C": 1e-12}, ("A",),
    )  # fmt: skip
    a, b, c = state.values()
    flows = (
        *reaction("A -> B", parameter("k_1") * a.symbol, (a,), (b,)),
        *reaction("2 B -> B + C", parameter("k_2") * b.symbol**2, (b,), (c,)),
        *reaction("B + C -> A + C", parameter("k_3") * b.symbol * c.symbol, (b,), (a,)),
    )
    return Problem(
        key="robertson",
        title="Robertson: an autocatalytic reaction",
        system=system_of("robertson", state.values(), flows),
        parameters=numbers({"k_1": 0.04, "k_2": 3e7, "k_3": 1e4, "initial_A": 1.0}),
        until=1e11,
        reference={"A": 2.0833401497012943e-08, "B": 8.3333607703347834e-14, "C": 0.99999997916651517},
        published={"A": 0.2083340149701255e-07, "B": 0.8333360770334713e-13, "C": 0.9999999791665050},
        digits=13,
        source=f"Robertson 1966; {BOOK}; {TEST_SET}, problem ROBER, {IN_DOUBLE}.",
    )
