"""Van der Pol's oscillator: slow creeping, interrupted by sudden jumps."""

from dataclasses import replace

from ..flow import Flow
from ..rates import parameter
from .problem import BOOK, IN_DOUBLE, TEST_SET, Problem, numbers, species, system_of


def van_der_pol() -> Problem:
    """The equation epsilon x'' = (1 - x^2) x' - x; one flow for each term, both states with a sign."""
    state = species(
        {"x": "deflection", "v": "speed of the deflection"}, "", {"x": 1e-10, "v": 1e-8}, ("x",)
    )  # fmt: skip
    x, v = (replace(one, signed=True) for one in state.values())
    epsilon = parameter("epsilon")
    flows = (
        Flow("motion", v.symbol, into=x),
        Flow("excitation", v.symbol / epsilon, into=v),
        Flow("damping", x.symbol**2 * v.symbol / epsilon, out_of=v),
        Flow("restoring force", x.symbol / epsilon, out_of=v),
    )
    return Problem(
        key="van_der_pol",
        title="Van der Pol: a relaxation oscillator",
        system=system_of("van_der_pol", (x, v), flows),
        parameters=numbers({"epsilon": 1e-6, "initial_x": 2.0}),
        until=2.0,
        reference={"x": 1.7061677321704650, "v": -0.89280970102481655},
        published={"x": 0.1706167732170483e1, "v": -0.8928097010247975},
        digits=13,
        source=f"Van der Pol 1926; {BOOK}; {TEST_SET}, problem VDPOLM, {IN_DOUBLE}.",
    )
