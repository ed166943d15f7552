"""A closed reaction network with a trillion molecules: nothing enters, nothing leaves, not stiff."""

from ..rates import parameter
from .problem import Problem, numbers, reaction, species, system_of

TOTAL = 1e12
"""Number of molecules, bound ones counted for each partner."""


def closed_network() -> Problem:
    """An enzyme turns a substrate into a product that is recycled; E + S <-> ES -> E + P, P -> S.

    Substrate, product and complex together stay constant, and so do enzyme and complex.
    """
    state = species(
        {"S": "substrate", "E": "enzyme", "ES": "complex of both", "P": "product"}, "molecule", 1e-3, ("S", "E")
    )  # fmt: skip
    s, e, es, p = state.values()
    flows = (
        *reaction("E + S -> ES", parameter("k_1") * e.symbol * s.symbol, (s, e), (es,)),
        *reaction("ES -> E + S", parameter("k_2") * es.symbol, (es,), (s, e)),
        *reaction("ES -> E + P", parameter("k_3") * es.symbol, (es,), (p, e)),
        *reaction("P -> S", parameter("k_4") * p.symbol, (p,), (s,)),
    )
    return Problem(
        key="closed_network",
        title="A closed reaction network of a trillion molecules",
        system=system_of("closed_network", state.values(), flows),
        parameters=numbers(
            {
                "k_1": 2e-12, "k_2": 0.3, "k_3": 0.8, "k_4": 0.5,
                "initial_S": 0.75 * TOTAL, "initial_E": 0.25 * TOTAL,
            }
        ),
        until=5.0,
        reference={
            "S": 464530100707.67412, "E": 135001153355.05744, "ES": 114998846644.94256, "P": 170471052647.38332,
        },
        published={},
        digits=15,
        source="Our own. Reference by `extended`: with 10^-14 and 10^-18 in each step it is the same in 15 digits.",
    )  # fmt: skip
