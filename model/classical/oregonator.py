"""Oregonator: the oscillating reaction of Belousov and Zhabotinskii, in scaled concentrations."""

from ..flow import Flow
from ..rates import parameter
from .problem import BOOK, IN_DOUBLE, TEST_SET, Problem, numbers, species, system_of


def oregonator() -> Problem:
    """Three scaled concentrations; their reactions are written term by term, because each has a scale of its own."""
    state = species(
        {"x": "HBrO2, scaled", "y": "Br-, scaled", "z": "Ce(IV), scaled"}, "", 1e-8, ("x", "y", "z")
    )  # fmt: skip
    x, y, z = state.values()
    s, q, w = (parameter(name) for name in ("s", "q", "w"))
    flows = (
        Flow("HBrO2 from Br-", s * y.symbol, into=x),
        Flow("autocatalysis of HBrO2", s * x.symbol, into=x),
        Flow("disproportionation of HBrO2", s * q * x.symbol**2, out_of=x),
        Flow("HBrO2 lost to Br-", s * x.symbol * y.symbol, out_of=x),
        Flow("Br- from Ce(IV)", z.symbol / s, into=y),
        Flow("loss of Br-", y.symbol / s, out_of=y),
        Flow("Br- lost to HBrO2", x.symbol * y.symbol / s, out_of=y),
        Flow("Ce(IV) from autocatalysis", w * x.symbol, into=z),
        Flow("loss of Ce(IV)", w * z.symbol, out_of=z),
    )
    return Problem(
        key="oregonator",
        title="Oregonator: the reaction of Belousov and Zhabotinskii",
        system=system_of("oregonator", state.values(), flows),
        parameters=numbers(
            {"s": 77.27, "q": 8.375e-6, "w": 0.161, "initial_x": 1.0, "initial_y": 2.0, "initial_z": 3.0}
        ),
        until=360.0,
        reference={"x": 1.0008148703185227, "y": 1228.1785215498880, "z": 132.05549428465083},
        published={"x": 0.1000814870318523e1, "y": 0.1228178521549917e4, "z": 0.1320554942846706e3},
        digits=12,
        source=f"Field and Noyes 1974; {BOOK}; {TEST_SET}, problem OREGO, {IN_DOUBLE}.",
    )
