"""HIRES: how phytochrome mediates the high irradiance response of plants."""

from ..rates import parameter
from .problem import BOOK, IN_LONGER, TEST_SET, Problem, numbers, reaction, species, system_of

PUBLISHED = {
    "P_r": 0.7371312573325668e-3, "P_fr": 0.1442485726316185e-3, "P_r_X": 0.5888729740967575e-4,
    "P_fr_X": 0.1175651343283149e-2, "P_r_X_prime": 0.2386356198831331e-2,
    "P_fr_X_prime": 0.6238968252742796e-2, "P_fr_X_prime_E": 0.2849998395185769e-2,
    "E": 0.2850001604814231e-2,
}  # fmt: skip


def hires() -> Problem:
    """Eight reactants: phytochrome in its two forms, free, bound to X, to X', and to X' with the enzyme."""
    state = species(
        {
            "P_r": "phytochrome that absorbs red light", "P_fr": "phytochrome that absorbs far-red light",
            "P_r_X": "P_r bound to the receptor X", "P_fr_X": "P_fr bound to the receptor X",
            "P_r_X_prime": "P_r bound to X'", "P_fr_X_prime": "P_fr bound to X'",
            "P_fr_X_prime_E": "P_fr bound to X' and the enzyme", "E": "enzyme",
        },
        "", 1e-12, ("P_r", "E"),
    )  # fmt: skip
    red, far, red_x, far_x, red_x1, far_x1, far_x1_e, enzyme = state.values()
    k = {n: parameter(f"k_{n}") for n in ("1", "2", "3", "4", "5", "6", "plus", "minus", "star")}
    flows = (
        *reaction("synthesis", parameter("o_ks"), (), (red,)),
        *reaction("P_r -> P_fr", k["1"] * red.symbol, (red,), (far,)),
        *reaction("P_fr -> P_r", k["2"] * far.symbol, (far,), (red,)),
        *reaction("P_fr + X -> P_fr X", k["3"] * far.symbol, (far,), (far_x,)),
        *reaction("P_r X -> P_r + X", k["6"] * red_x.symbol, (red_x,), (red,)),
        *reaction("P_r X -> P_fr X", k["1"] * red_x.symbol, (red_x,), (far_x,)),
        *reaction("P_fr X -> P_r X", k["2"] * far_x.symbol, (far_x,), (red_x,)),
        *reaction("P_fr X -> P_fr X'", k["4"] * far_x.symbol, (far_x,), (far_x1,)),
        *reaction("P_r X' -> P_r X", k["5"] * red_x1.symbol, (red_x1,), (red_x,)),
        *reaction("P_r X' -> P_fr X'", k["1"] * red_x1.symbol, (red_x1,), (far_x1,)),
        *reaction("P_fr X' -> P_r X'", k["2"] * far_x1.symbol, (far_x1,), (red_x1,)),
        *reaction("P_fr X' + E -> P_fr X' E", k["plus"] * far_x1.symbol * enzyme.symbol, (far_x1, enzyme), (far_x1_e,)),
        *reaction("P_fr X' E -> P_fr X' + E", k["minus"] * far_x1_e.symbol, (far_x1_e,), (far_x1, enzyme)),
        *reaction("P_fr X' E -> P_r X' + E", k["2"] * far_x1_e.symbol, (far_x1_e,), (red_x1, enzyme)),
        *reaction("P_fr X' E -> E", k["star"] * far_x1_e.symbol, (far_x1_e,), (enzyme,)),
    )
    return Problem(
        key="hires",
        title="HIRES: the high irradiance response of plants",
        system=system_of("hires", state.values(), flows),
        parameters=numbers(
            {
                "k_1": 1.71, "k_2": 0.43, "k_3": 8.32, "k_4": 0.69, "k_5": 0.035, "k_6": 8.32, "k_plus": 280.0,
                "k_minus": 0.69, "k_star": 0.69, "o_ks": 0.0007, "initial_P_r": 1.0, "initial_E": 0.0057,
            }
        ),
        until=321.8122,
        reference=PUBLISHED,
        published=PUBLISHED,
        digits=15,
        source=f"Schäfer 1975; {BOOK}; {TEST_SET}, problem HIRES, {IN_LONGER}.",
    )  # fmt: skip
